# SPDX-License-Identifier: Apache-2.0
"""What a machine does to a cluster besides killing its processes: disks that are full or have become read-only,
descriptors that are used up, memory that is, names that are taken again by force, a reboot. The load and the
ledger of the rounds go on all the while."""
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

import pytest
import truth
from client import Client, Refused, resolve
from load import MAPS, NS, PODS, until
from machine import ADDRESS, IMAGE, control_groups
from rounds import Torture, fixture, in_machine

SEED, DESCRIPTORS = 20261129, 96
CLAIMS = f"/api/v1/namespaces/{NS}/persistentvolumeclaims"
EVENTS = f"/api/v1/namespaces/{NS}/events"


class Disk:
    """A file system of its own, small enough to be filled."""

    def __init__(self, machine, name, mib):
        self.at = machine.data / name
        self.image = machine.dir / f"{name}.disk"
        with open(self.image, "wb") as f:
            f.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard", self.image], check=True)
        self.at.mkdir(parents=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop,errors=remount-ro", self.image, self.at], check=True)

    def umount(self):
        # The kernel lets go of a loop device on it a moment after its last user.
        until(f"{self.at} is unmounted", lambda: subprocess.run(["umount", self.at], check=False).returncode == 0)

    def fill(self):
        with open(self.at / "filler", "ab", buffering=0) as f:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass

    def free(self):
        (self.at / "filler").unlink()

    def break_down(self):
        """What ext4 does when it finds an error."""
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.at], check=True, text=True,
                                capture_output=True).stdout.strip()
        pathlib.Path(f"/sys/fs/ext4/{pathlib.Path(device).name}/trigger_fs_error").write_text("broken by a test")


class OnDisks(Torture):
    def start(self):
        self.disks = [Disk(self.machine, "server", 48), Disk(self.machine, "node", 160)]
        super().start()

    def close(self):
        disks, close = self.disks, self.machine.close
        self.machine.close = lambda: self.take_down(disks, close)
        super().close()

    def take_down(self, disks, close):
        """The disks are the user's: they are still there after `down`."""
        self.machine.coracle("down", timeout=120)
        mounted = [d for d in disks if os.path.ismount(d.at)]
        for d in mounted:
            d.umount()
        close()
        assert mounted == disks, "a disk of the user was unmounted"


class Scarce(Torture):
    """All its processes may have a few descriptors only. (Another process's limit takes a capability.)"""

    def start(self):
        coracle = self.machine.coracle
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))    # noqa: E731
        self.machine.coracle = lambda what, *args, **more: coracle(what, *args, **more, **(
            {"preexec_fn": few} if what == "up" else {}))
        super().start()


disks = fixture(OnDisks, SEED)
plain = fixture(Torture, SEED)
scarce = fixture(Scarce, SEED)


def done(t):
    """Everything that was said and seen agrees."""
    t.number += 1                       # the marker's value
    t.compare()
    assert not t.ledger.wrong, t.report()


FULL = ("No space left on device",)
BROKEN = ("Read-only file system", "Input/output error")


def refused(client, causes):
    """A write is refused and says why."""
    try:
        client.post("/api/v1/namespaces/default/configmaps", {"metadata": {"generateName": "none-"},
                                                              "data": {"v": "x" * 9000}})
    except Refused as e:
        assert e.code == 500 and e.status["reason"] == "InternalError" and any(
            text in e.status["message"] for text in causes), e
        return True
    return False


def pressure(client):
    conditions = client.get("/api/v1/nodes")["items"][0]["status"]["conditions"]
    return next(c for c in conditions if c["type"] == "DiskPressure")


def ready(client):
    conditions = client.get("/api/v1/nodes")["items"][0]["status"]["conditions"]
    return next(c["status"] for c in conditions if c["type"] == "Ready") == "True"


def pod(name, command, **more):
    spec = {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "c", "image": IMAGE, "command": ["sh", "-c", command], **more.pop("container", {})}], **more}
    return {"metadata": {"name": name}, "spec": spec}


def status(client, name):
    return (client.get(f"{PODS}/{name}")["status"].get("containerStatuses") or [{}])[0]


def told(client, name, text):
    return [e["message"] for e in client.get(f"{EVENTS}?fieldSelector=involvedObject.name%3D{name}")["items"]
            if text in e["message"]]


# ---- disks ----

def test_full_disk(disks):
    """Refused and read on; the node says so; room brings it back without a restart."""
    def check():
        t, c = disks, disks.inside
        before = truth.parts(t.machine)
        t.churning.clear()
        for d in t.disks:
            d.fill()
        until("a write is refused", lambda: refused(c, FULL))
        assert c.get(MAPS)["items"] and ready(c)
        said = until("the node says that its disk is full", lambda: pressure(c)["status"] == "True" and pressure(c))
        assert said["reason"] == "KubeletHasDiskPressure", said
        image = t.machine.coracle("image", "import", t.machine.dir / "busybox.tar", code=1)
        assert "No space left on device" in image, image
        for d in t.disks:
            d.free()
        until("a write is done", lambda: not refused(c, FULL))
        until("the node says that it has room", lambda: pressure(c)["status"] == "False")
        t.machine.coracle("image", "import", t.machine.dir / "busybox.tar")
        t.churning.set()
        assert truth.parts(t.machine) == before
        done(t)
    in_machine(disks, check)


def test_full_disk_of_the_node(disks):
    """Files, claims and images that find no room say so, and are made when there is some."""
    def check():
        t, c = disks, disks.inside
        t.churning.clear()
        data = "x" * 400000
        c.post(MAPS, {"metadata": {"name": "large"}, "data": {"v": data}})
        c.post(CLAIMS, {"metadata": {"name": "late"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                              "resources": {"requests": {"storage": "16Mi"}}}})
        t.disks[1].fill()
        mounts = [{"name": "v", "mountPath": "/v"}]
        c.post(PODS, pod("files", "wc -c < /v/v; exec sleep 1000", container={"volumeMounts": mounts}, volumes=[
            {"name": "v", "configMap": {"name": "large"}}], tolerations=[{"operator": "Exists"}]))
        c.post(PODS, pod("claims", "echo kept > /v/file; exec sleep 1000", container={"volumeMounts": mounts}, volumes=[
            {"name": "v", "persistentVolumeClaim": {"claimName": "late"}}], tolerations=[{"operator": "Exists"}]))
        for name in ("files", "claims"):
            until(f"an event of {name} names the cause", lambda n=name: told(c, n, "No space left on device"))
            assert not status(c, name).get("containerID")
        t.disks[1].free()
        for name in ("files", "claims"):
            until(f"{name} runs", lambda n=name: status(c, n).get("ready"), 90)
        assert until("the log", lambda: c.send("GET", f"{PODS}/files/log").read()).strip() == str(len(data)).encode()
        for name in ("files", "claims"):
            c.delete(f"{PODS}/{name}")
        c.delete(f"{MAPS}/large")
        t.churning.set()
        done(t)
    in_machine(disks, check)


def test_read_only_disk(disks):
    """As ext4 becomes after an error: refused and read on; repaired while the containers go on."""
    def check():
        t, c = disks, disks.inside
        disk = t.disks[0]
        t.churning.clear()
        disk.break_down()
        until("a write is refused", lambda: refused(c, BROKEN))
        assert c.get(MAPS)["items"] and ready(c)
        parts = truth.parts(t.machine)
        os.kill(parts["supervisor"], signal.SIGTERM)
        until("all have ended", lambda: not any(truth.started(p) for p in parts.values()))
        disk.umount()
        subprocess.run(["e2fsck", "-fp", disk.image], check=False, stdout=subprocess.DEVNULL)
        disk.mount()
        t.machine.coracle("up")
        c.close()
        until("a write is done", lambda: t.ask(lambda a: not refused(a, BROKEN)))
        t.churning.set()
        done(t)
    in_machine(disks, check)


# ---- descriptors and memory ----

def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def no_spin(pid, seconds=2):
    before = cpu(pid)
    time.sleep(seconds)                 # the span that is measured
    return cpu(pid) - before < seconds / 2


@pytest.mark.parametrize("part,port", [("server", None), ("node", 10250)])
def test_descriptors_are_used_up(scarce, part, port):
    """Who comes too much is turned away, nobody spins, and it goes on as soon as there is room."""
    def check():
        t = scarce
        pid = truth.parts(t.machine)[part]
        held = []
        for _ in range(2 * DESCRIPTORS):
            s = socket.socket()
            held.append(s)
            s.settimeout(2)
            try:
                s.connect((ADDRESS, port or t.identity.port))
            except OSError:
                pass
        assert no_spin(pid), f"{part} spins"
        assert t.ask(lambda a: a.get(MAPS))
        t.pause()                       # nobody who writes was kept out for ever
        t.writing.set()
        for s in held:
            s.close()
        until("new connections are served", lambda: in_reach(t, port))
        assert truth.parts(t.machine)[part] == pid
        done(t)
    in_machine(scarce, check)


def in_reach(t, port):
    if port:
        return "lifetime" in t.machine.kubectl("exec", "-n", NS, "stay-0", "--", "echo", "lifetime", code=None)
    c = Client(t.identity)
    try:
        return bool(c.get(MAPS))
    except OSError:
        return False
    finally:
        c.close()


def test_out_of_memory(plain):
    """OOMKilled with 137; started again when its policy says so."""
    def check():
        t, c = plain, plain.inside
        limits = {"resources": {"limits": {"memory": "24Mi"}}}
        c.post(PODS, pod("hog-once", "exec tail /dev/zero", container=limits, restartPolicy="Never"))
        c.post(PODS, pod("hog", "[ -e /v/ran ] && exec sleep 1000; touch /v/ran; exec tail /dev/zero", volumes=[
            {"name": "v", "emptyDir": {}}], container={**limits, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
        once = until("the first ends", lambda: status(c, "hog-once").get("state", {}).get("terminated"))
        assert (once["reason"], once["exitCode"]) == ("OOMKilled", 137), once
        again = until("the second runs again", lambda: (s := status(c, "hog")).get("ready") and
                      s["restartCount"] and s)
        assert again["restartCount"] == 1 and again["lastState"]["terminated"]["reason"] == "OOMKilled", again
        for name in ("hog", "hog-once"):
            c.delete(f"{PODS}/{name}", 0)
        done(t)
    in_machine(plain, check)


# ---- names ----

STUBBORN = "trap '' TERM; while true; do sleep 0.1; done"


@pytest.mark.parametrize("away", [False, True], ids=["agent there", "agent away"])
def test_a_name_taken_by_force(plain, away):
    """Deleted without grace, the successor begins when the last process of the one before has ended."""
    def check():
        t, c = plain, plain.inside
        name = f"same-{int(away)}"
        spec = pod(name, STUBBORN)
        uids = []
        for turn in range(2):
            uids.append(c.post(PODS, spec)["metadata"]["uid"])
            if turn == 0:
                until("it runs", lambda: status(c, name).get("ready"))
                first = truth.containers(t.machine)[uids[0]]
                agent = truth.parts(t.machine)["node"]
                if away:
                    os.kill(agent, signal.SIGSTOP)
                c.delete(f"{PODS}/{name}", 0)
        if away:
            os.kill(agent, signal.SIGKILL)
        def both():
            found = truth.containers(t.machine)
            old = any(truth.started(p) == s for procs in first.values() for p, s in procs)
            assert not (old and found.get(uids[1])), "both run"
            return found.get(uids[1])
        until("the successor runs", both)
        c.delete(f"{PODS}/{name}", 0)
        until("it is gone", lambda: not truth.containers(t.machine).get(uids[1]))
        done(t)
    in_machine(plain, check)


# ---- reboot ----

def processes(machine, groups):
    """Those in its control groups and those that have its name on their command line."""
    found = set()
    for g in groups:
        try:
            found |= {int(p) for p in (g / "cgroup.procs").read_text().split()}
        except OSError:
            pass
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if machine.name.encode() in (proc / "cmdline").read_bytes():
                found.add(int(proc.name))
        except OSError:
            pass
    return {p for p in found if truth.started(p) is not None} - {os.getpid()}


def gone(folder):
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def reboot(machine):
    """Nothing survives but the data directory: no process, mount, namespace, interface, rule or control group."""
    groups = list(control_groups(f"coracle-{machine.name}"))
    os.kill(truth.parts(machine)["supervisor"], signal.SIGKILL)

    def nobody():
        """Kills who is left: some may just have been started."""
        left = processes(machine, groups)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left
    until("all processes are gone", nobody)
    mounts = [re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split()[4])
              for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    run = pathlib.Path(f"/run/coracle/{machine.name}")
    for m in reversed(mounts):
        if m.startswith((f"{machine.data}/", f"{run}/")) or m == str(run):
            subprocess.run(["umount", "-l", m], check=True)
    subprocess.run(["rm", "-rf", run], check=True)
    for line in machine.run("ip", "-o", "link").splitlines():
        link = line.split()[1].rstrip(":").partition("@")[0]
        if link.startswith("cor"):
            machine.run("ip", "link", "del", link, code=None)
    for table in re.findall(r"table (\w+ \S+)", machine.run("nft", "list", "tables")):
        machine.run("nft", "delete", "table", *table.split())
    for g in sorted(groups, key=lambda p: -len(str(p))):
        until(f"{g} is gone", lambda p=g: gone(p))


def test_reboot(plain):
    """up brings every pod back under its name and id, with one restart more, its data and its address's service."""
    def check():
        t = plain
        t.machine.kubectl("exec", "-n", NS, "stay-0", "--", "sh", "-c", "echo precious > /d/kept; sync")
        t.churning.clear()
        t.visiting.clear()
        before = t.kept
        reboot(t.machine)
        t.machine.coracle("up")

        def back():
            with t.pods.lock:
                now = {n: t.pods.state.get(n, (None,))[0] for n in before}
            return now if all(now[n] and now[n]["ready"] and now[n]["restarts"] == p["restarts"] + 1
                              for n, p in before.items()) else None
        t.kept = until("all pods run again, once more each", back)
        assert {n: p["uid"] for n, p in t.kept.items()} == {n: p["uid"] for n, p in before.items()}
        assert all(p["id"] != before[n]["id"] for n, p in t.kept.items())
        t.processes = t.kept_processes()
        assert "precious" in t.machine.kubectl("exec", "-n", NS, "stay-0", "--", "cat", "/d/kept")
        address = json.loads(t.machine.kubectl("get", "svc", "web", "-n", NS, "-o", "json"))["spec"]["clusterIP"]
        until("the service answers", lambda: "hello" in t.machine.run("curl", "-sm2", f"http://{address}/", code=None))
        for name in ("stay-0", "stay-1"):
            until(f"DNS knows {name}", lambda n=name: resolve(f"{n}.stay.{NS}.svc.cluster.local") == [t.kept[n]["ip"]])
        t.visiting.set()
        t.churning.set()
        done(t)
    in_machine(plain, check)


def test_nothing_is_left(plain):
    in_machine(plain, plain.rest)
