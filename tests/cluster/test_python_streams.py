# SPDX-License-Identifier: Apache-2.0
"""Debian's python3-kubernetes with a pod that runs. It has to run in the machine's network, so it is a program of its
own."""
import pytest
from machine import ROOT
from objects import apply, rolled_out, workload

pytestmark = pytest.mark.usefixtures("image")


def test_exec_logs_watches_and_patches(machine):
    apply(machine, workload("StatefulSet", "py", 1, "echo started; trap exit TERM; sleep 1000 & wait"))
    rolled_out(machine, "sts/py")
    assert machine.run("/usr/bin/python3", ROOT / "tests/cluster/python_streams.py", machine.data / "kubeconfig", "py-0",
                       code=None) == "all of it\n"
