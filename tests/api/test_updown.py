# SPDX-License-Identifier: Apache-2.0
"""coracle up, status, kubeconfig and down, as a person types them."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import pytest
from conftest import CORACLE, DEADLINE, KUBECTLS


class Machine:
    """A network namespace with a cluster of a name of its own."""

    def __init__(self):
        self.name = "t" + uuid.uuid4().hex[:8]
        # Not pytest's tmp_path: the server's own user could not reach into it.
        self.dir = tempfile.mkdtemp(prefix="coracle-")
        os.chmod(self.dir, 0o755)
        self.data = pathlib.Path(self.dir) / "data"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["nsenter", f"--net=/run/netns/{self.name}", "ip", "link", "set", "lo", "up"], check=True)

    def coracle(self, command, *args, code=0):
        out = subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.name}", CORACLE, command, "--name", self.name,
             "--data-dir", str(self.data), *args],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("SUDO_")})
        assert out.returncode == code, out.stdout + out.stderr
        return out.stdout + out.stderr

    def kubectl(self, *args):
        binary = KUBECTLS.get("path") or next(iter(KUBECTLS.values()))
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.name}", binary, "--kubeconfig", str(self.data / "kubeconfig"), *args],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)

    def close(self):
        self.coracle("down", "--purge")
        subprocess.run(["ip", "netns", "del", self.name], check=True)
        shutil.rmtree(self.dir)


@pytest.fixture
def machine():
    m = Machine()
    try:
        yield m
    finally:
        m.close()


def server_pid(machine):
    for proc in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = proc.read_bytes().split(b"\0")
        except OSError:
            continue
        if len(words) > 3 and words[1] == b"server" and words[3] == str(machine.data / "server").encode():
            return int(proc.parent.name)
    return 0


def test_up_works_is_idempotent_and_down_leaves_nothing(machine):
    assert "is up" in machine.coracle("up")
    assert "is up" in machine.coracle("up")
    assert "runs" in machine.coracle("status")
    assert "server: https://" in machine.coracle("kubeconfig")
    assert (machine.data / "kubeconfig").stat().st_mode & 0o777 == 0o600
    assert machine.kubectl("get", "namespaces").returncode == 0
    pid = server_pid(machine)
    assert os.stat(f"/proc/{pid}").st_uid != 0
    machine.coracle("down")
    assert server_pid(machine) == 0
    assert not pathlib.Path("/run/coracle", machine.name).exists()
    assert "does not run" in machine.coracle("status", code=1)


def test_a_killed_server_comes_back_with_everything(machine):
    machine.coracle("up")
    assert machine.kubectl("create", "configmap", "kept").returncode == 0
    first = server_pid(machine)
    os.kill(first, signal.SIGKILL)
    end = time.monotonic() + DEADLINE
    while machine.kubectl("get", "configmap", "kept").returncode != 0:
        assert time.monotonic() < end
    assert server_pid(machine) not in (0, first)
    machine.coracle("down")
    machine.coracle("up")
    assert machine.kubectl("get", "configmap", "kept").returncode == 0


def test_wrong_words_are_told(machine):
    assert "unknown option --nonsense" in machine.coracle("up", "--nonsense", code=2)
    assert "want import FILE" in machine.coracle("image", "eat", code=2)
    assert "no-such-file" in machine.coracle("image", "import", "no-such-file", code=1)
