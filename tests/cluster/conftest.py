# SPDX-License-Identifier: Apache-2.0
"""A whole cluster from `coracle up`, in a network namespace without an uplink, and what is left of it."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORACLE = os.environ.get("CORACLE", str(ROOT / "build/src/cli/coracle"))
KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl")
DEADLINE = 60
ADDRESS = "192.0.2.10"


class Machine:
    """One machine with one cluster. The first call of anything that fails shows what the cluster logged."""

    def __init__(self):
        self.name = "t" + uuid.uuid4().hex[:8]
        # Not pytest's directory: the server's own user could not reach into it.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="coracle-"))
        self.dir.chmod(0o755)
        self.data = self.dir / "data"
        self.ip("netns", "add", self.name)
        # A bridge nobody is connected to carries the machine's address: there is no way out.
        for args in (["link", "set", "lo", "up"], ["link", "add", "up0", "type", "bridge"],
                     ["addr", "add", f"{ADDRESS}/24", "dev", "up0"], ["link", "set", "up0", "up"]):
            self.ip("-n", self.name, *args)

    @staticmethod
    def ip(*args):
        subprocess.run(["ip", *args], check=True)

    def run(self, *cmd, code=0, timeout=DEADLINE, **more):
        """In the machine's network; the text that it printed."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
        out = subprocess.run(["nsenter", f"--net=/run/netns/{self.name}", *map(str, cmd)], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                             check=False, env=env, **more)
        assert code is None or out.returncode == code, \
            f"{' '.join(map(str, cmd))}: {out.returncode}\n{out.stdout}\n{self.log()}"
        return out.stdout

    def coracle(self, command, *args, **more):
        return self.run(CORACLE, command, "--name", self.name, "--data-dir", self.data, *args, **more)

    def kubectl(self, *args, **more):
        return self.run(KUBECTL, "--kubeconfig", self.data / "kubeconfig", f"--cache-dir={self.dir}/cache",
                        *args, **more)

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def wait_for(self, what, condition):
        """What has no event of its own to wait for, up to a deadline."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        pytest.fail(f"not within {DEADLINE} s: {what}\n{self.kubectl('get', 'po,ev', '-A', code=None)}\n{self.log()}")

    def log(self):
        log = self.data / "log"
        return log.read_text(errors="replace")[-3000:] if log.is_file() else ""

    def leftovers(self):
        """Everything that carries this cluster's name after it is down."""
        found = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                 if self.name in line and "/run/netns/" not in line]
        found += [str(p) for p in pathlib.Path("/sys/fs/cgroup").glob(f"**/coracle-{self.name}")]
        found += [line for line in self.run("ip", "-o", "link").splitlines()
                  if line.split()[1].rstrip(":").split("@")[0] not in ("lo", "up0")]
        found += [line for line in self.run("nft", "list", "tables").splitlines() if self.name in line]
        for proc in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if self.name.encode() in proc.read_bytes():
                    found.append(proc.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                pass
        return found

    def close(self):
        self.coracle("down", "--purge", timeout=120)
        left = self.leftovers()
        self.ip("netns", "del", self.name)
        shutil.rmtree(self.dir)
        assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture(scope="module")
def machine():
    m = Machine()
    try:
        m.coracle("up")
        yield m
    finally:
        m.close()


def pytest_configure(config):
    if os.geteuid() != 0:
        sys.exit("these tests make network namespaces and containers: run them as root")
