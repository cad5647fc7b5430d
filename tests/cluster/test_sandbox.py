# SPDX-License-Identifier: Apache-2.0
"""The sandbox of each process as seen from outside, on a cluster that works, and containers beside it that still get
the capabilities that they ask for."""
import json
import pathlib
import subprocess

import pytest
from machine import IMAGE, busybox_image

UID = 64420
# Of linux/capability.h.
SYS_MODULE, SYS_CHROOT, SYS_ADMIN, SYS_BOOT, SYS_TIME, IPC_LOCK, MAC_ADMIN, NET_ADMIN = 16, 18, 21, 22, 25, 14, 33, 12
DEFAULT = 0xa80425fb


@pytest.fixture(scope="module", autouse=True)
def image(machine):
    busybox_image(machine.dir / "busybox.tar")
    machine.coracle("image", "import", machine.dir / "busybox.tar")


def status(path):
    return {k: v.strip() for k, v in (line.split(":", 1) for line in (path / "status").read_text().splitlines())}


@pytest.mark.parametrize("command", ["server", "dns"])
def test_no_thread_has_any_right(machine, command):
    proc = pathlib.Path(f"/proc/{machine.process(command)}")
    threads = list((proc / "task").iterdir())
    assert threads
    for thread in threads:
        s = status(thread)
        assert s["Uid"].split() == s["Gid"].split() == [str(UID)] * 4 and s["Groups"] == ""
        assert s["Seccomp"] == "2" and s["NoNewPrivs"] == "1"
        assert {s[c] for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert (thread / "children").read_text() == ""
    limits = (proc / "limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]


@pytest.mark.parametrize("command", ["server", "dns"])
def test_its_own_user_cannot_look_into_it(machine, command):
    proc = pathlib.Path(f"/proc/{machine.process(command)}")
    for name in ("mem", "environ", "maps", "fd/0"):
        out = subprocess.run(["head", "-c1", str(proc / name)], user=UID, group=UID, extra_groups=[],
                             capture_output=True, text=True, check=False)
        assert out.returncode != 0 and "Permission denied" in out.stderr, name


def test_agent_holds_a_part_of_root(machine):
    s = status(pathlib.Path(f"/proc/{machine.process('node')}"))
    effective, bounding = int(s["CapEff"], 16), int(s["CapBnd"], 16)
    assert s["CapPrm"] == s["CapEff"] and int(s["CapInh"], 16) == int(s["CapAmb"], 16) == 0
    assert effective & bounding == effective
    assert effective >> SYS_ADMIN & 1 and effective >> NET_ADMIN & 1
    for cap in (SYS_MODULE, SYS_CHROOT, SYS_TIME, IPC_LOCK):
        assert not effective >> cap & 1 and bounding >> cap & 1
    for cap in (SYS_BOOT, MAC_ADMIN):
        assert not bounding >> cap & 1


def test_containers_get_what_they_ask_for(machine):
    def pod(name, security):
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [{
            "name": "c", "image": IMAGE, "securityContext": security, "command": [
                "sh", "-c", "sed -n 's/^CapEff:.//p' /proc/self/status; mount -t tmpfs t /tmp 2>&1"]}]}}
    pods = [pod("cap-default", {}), pod("cap-none", {"capabilities": {"drop": ["ALL"]}}),
            pod("cap-some", {"capabilities": {"add": ["SYS_TIME", "IPC_LOCK", "SYS_MODULE"]}}),
            pod("cap-privileged", {"privileged": True})]
    machine.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    said = {}
    for p in pods:
        name = p["metadata"]["name"]
        machine.wait_for(f"end of {name}", lambda n=name: machine.get("pod", n)["status"].get("phase") in ("Succeeded", "Failed"))
        lines = machine.kubectl("logs", name).split("\n", 1)
        said[name] = int(lines[0], 16), "denied" in lines[1] or "not permitted" in lines[1]
    assert said["cap-default"] == (DEFAULT, True)
    assert said["cap-none"] == (0, True)
    assert said["cap-some"] == (DEFAULT | 1 << SYS_TIME | 1 << IPC_LOCK | 1 << SYS_MODULE, True)
    everything = int(status(pathlib.Path(f"/proc/{machine.process('node')}"))["CapBnd"], 16)
    assert said["cap-privileged"] == (everything, False)
