# SPDX-License-Identifier: Apache-2.0
"""What the kernel says about a cluster: its processes, the processes of its containers, and what is there
of its pods. Nothing here asks the cluster."""
import os
import pathlib
import re
import threading

PROC = pathlib.Path("/proc")
CGROUPS = pathlib.Path("/sys/fs/cgroup")


def started(pid):
    """Start time in ticks, None when there is no such process or it is dead: pid and start name it for ever."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def children(pid):
    try:
        return [int(p) for p in (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]
    except OSError:
        return []


def command(pid):
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def parts(machine):
    """Name -> pid of the processes that run now: supervisor, server, node, dns."""
    try:
        supervisor = int(pathlib.Path(f"/run/coracle/{machine.name}/pid").read_text())
    except (OSError, ValueError):
        return {}
    if started(supervisor) is None:
        return {}
    found, todo = {"supervisor": supervisor}, [supervisor]
    while todo:
        for pid in children(todo.pop()):
            argv = command(pid)
            # A fork that is about to become another program still has its parent's command line.
            if len(argv) > 1 and argv[1] in (b"server", b"node", b"dns") and argv[1].decode() not in found:
                found[argv[1].decode()] = pid
                todo.append(pid)
    return found


def cgroup_base(machine):
    """Of one hierarchy; all have the same groups."""
    name = f"coracle-{machine.name}"
    places = [CGROUPS / name, *(CGROUPS / h / name for h in ("pids", "memory", "cpu"))]
    return next((p for p in places if p.is_dir()), places[1])


def folders(path):
    """Control groups come and go while one looks."""
    try:
        with os.scandir(path) as entries:
            return [pathlib.Path(e.path) for e in entries if e.is_dir()]
    except OSError:
        return []


def pod_groups(machine):
    base = cgroup_base(machine)
    return [p for place in (base, base / "burstable", base / "besteffort") for p in folders(place)
            if p.name.startswith("pod")]


def containers(machine):
    """Pod uid -> container id -> {(pid, start)} of the processes alive in its control group."""
    found = {}
    for group in (g for pod in pod_groups(machine) for g in folders(pod)):
        try:
            pids = [int(p) for p in (group / "cgroup.procs").read_text().split()]
        except OSError:
            continue
        alive = {(p, s) for p in pids if (s := started(p)) is not None}
        if alive:
            found.setdefault(group.parent.name[3:], {})[group.name] = alive
    return found


def hostname(pid):
    """HOSTNAME in the environment that the container's first process was given."""
    try:
        text = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    name = re.search(rb"(?:^|\0)HOSTNAME=([^\0]*)", text)
    return name[1].decode() if name else None


def remains(machine, uids, ids):
    """What is on the machine of pods and containers other than these."""
    node, run = machine.data / "node", pathlib.Path(f"/run/coracle/{machine.name}")
    found = [str(p) for place, known in ((node / "pods", uids), (run / "ns", uids), (node / "containers", ids),
                                         (node / "rootfs", ids), (run / "crun", ids))
             if place.is_dir() for p in place.iterdir() if p.name not in known]
    found += [str(p) for p in pod_groups(machine) if p.name[3:] not in uids]
    mounts = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    found += [m for m in mounts if m.startswith((str(node / "pods") + "/", str(node / "rootfs") + "/", str(run / "ns")))
              and not any(i in m for i in uids | ids) and m != str(run / "ns")]
    links = [line.split()[1].partition("@")[0] for line in machine.run("ip", "-o", "link").splitlines()]
    extra = len([x for x in links if re.match(r"cor[0-9a-f]{5}-", x)]) - len(uids)
    return found + ([f"{extra} interfaces of pods"] if extra > 0 else [])


class Sampler:
    """Looks again and again for what must never be at the same time: two containers of a pod (each has one
    here), two pods of one identity. Only what is alive before and after the other was seen counts."""

    def __init__(self, machine, fail):
        self.machine, self.fail = machine, fail
        self.stop = threading.Event()
        self.looks = 0
        self.told = set()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def pairs(self, owners):
        """owners: what must be unique -> instance -> processes."""
        for what, instances in owners.items():
            alive = [i for i, procs in sorted(instances.items()) if any(started(p) == s for p, s in procs)]
            if len(alive) > 1 and (what, *alive) not in self.told:
                self.told.add((what, *alive))
                self.fail(f"{what} runs {len(alive)} times at once: {alive}")

    def run(self):
        while not self.stop.wait(0.02):
            found = containers(self.machine)
            names = {}
            for uid, instances in found.items():
                for procs in instances.values():
                    name = hostname(min(procs)[0])
                    if name:
                        names.setdefault(f"pod name {name}", {}).setdefault(uid, set()).update(procs)
            self.pairs({f"pod {uid}": instances for uid, instances in found.items()})
            self.pairs(names)
            self.looks += 1

    def close(self):
        self.stop.set()
        self.thread.join()
