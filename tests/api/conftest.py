# SPDX-License-Identifier: Apache-2.0
"""A server of its own for every test module, in a network namespace without an uplink."""
import json
import os
import pathlib
import select
import subprocess
import sys
import time
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from clients import kubectls  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORACLE = os.environ.get("CORACLE", str(ROOT / "build/src/cli/coracle"))
DEADLINE = 30


KUBECTLS = kubectls()


class Cluster:
    """A running `coracle server` and ways to talk to it."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.netns = "cor" + uuid.uuid4().hex[:8]
        self.process = None
        self.log = self.dir / "log"

    def nsenter(self, *cmd):
        return ["nsenter", f"--net=/run/netns/{self.netns}", *cmd]

    def start(self):
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        subprocess.run(self.nsenter("ip", "link", "set", "lo", "up"), check=True)
        self.launch()
        return self

    def launch(self):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.nsenter(CORACLE, "server", "--data-dir", str(self.dir / "data"), "--listen", "127.0.0.1:6443",
                             "--node-name", "n1", "--ready-fd", str(write)),
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=[write])
        os.close(write)
        said = b""
        while b"https://" not in said and select.select([read], [], [], DEADLINE)[0]:
            more = os.read(read, 200)
            if not more:
                break
            said += more
        os.close(read)
        assert b"https://" in said, "the server did not start:\n" + self.log.read_text()

    @property
    def kubeconfig(self):
        return str(self.dir / "data/pki/admin.kubeconfig")

    def run_kubectl(self, *args, which="path", input=None):
        binary = KUBECTLS.get(which) or next(iter(KUBECTLS.values()))
        return subprocess.run(
            self.nsenter(binary, "--kubeconfig", self.kubeconfig, f"--cache-dir={self.dir}/cache-{which}", *args),
            input=input, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)

    def kubectl(self, *args, which="path", input=None, fail=False):
        out = self.run_kubectl(*args, which=which, input=input)
        if fail:
            assert out.returncode != 0, out.stdout
            return out.stderr
        assert out.returncode == 0, f"kubectl {' '.join(args)}: {out.stderr}\n{self.log.read_text()[-2000:]}"
        return out.stdout

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def wait(self, what, condition):
        """Polls a condition that has no event to wait for, up to a deadline."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.05)
        pytest.fail(f"not within {DEADLINE} s: {what}\n{self.log.read_text()[-2000:]}")

    def stop(self, signal=None):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal) if signal else self.process.terminate()
            self.process.wait(timeout=DEADLINE)
        return self.process.returncode

    def close(self):
        try:
            self.stop()
        finally:
            subprocess.run(["ip", "netns", "del", self.netns], check=False)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    c = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield c.start()
    finally:
        c.close()


def pytest_configure(config):
    if os.geteuid() != 0:
        sys.exit("these tests make network namespaces: run them as root")
