# SPDX-License-Identifier: Apache-2.0
"""Debian's python3-kubernetes. It has to run in the server's network, so it is a program of its own."""
import pathlib
import subprocess


def test_debians_python_client(cluster):
    script = pathlib.Path(__file__).with_name("python_client.py")
    out = subprocess.run(cluster.nsenter("/usr/bin/python3", str(script), cluster.kubeconfig), text=True, timeout=60,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert (out.returncode, out.stdout) == (0, "all of it\n"), out.stdout
