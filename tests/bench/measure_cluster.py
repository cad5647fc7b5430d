# SPDX-License-Identifier: Apache-2.0
"""What is measured on clusters with pods in them: start, pods, a StatefulSet, what an idle one costs."""
import json
import os
import shutil
import struct
import time

from lab import Cluster, Failed, IMAGE, PodWatch, SLEEP, apart, bytes_written, call, cpu_seconds, pss, timed

MB = 1e6
PODS = "/api/v1/namespaces/default/pods"


def pod(name):
    # Not 0: then the object is gone at once, but its container is not yet, and the next measure meets it.
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": IMAGE, "command": SLEEP}]}}


def boot(lab, report):
    """`coracle up` on an empty disk; the node is Ready when it returns, which is checked with a GET."""
    seconds = []
    for _ in range(3 if lab.quick else 10):
        with Cluster(lab) as c:
            seconds.append(c.boot)
    report.add("boot", "coracle up on an empty disk to node Ready", "ms", [s * 1e3 for s in seconds], budget=150)
    report.note("boot", "Debian packages no other cluster to put beside it")


def boot_allocations(lab, report):
    """What the processes ask of the heap until the node is Ready, counted by a preloaded library."""
    counts = lab.dir / "allocs"
    counts.mkdir(exist_ok=True)
    with Cluster(lab, {"LD_PRELOAD": str(lab.tool("tests/bench/libbench_allocs.so")),
                       "BENCH_ALLOCS": str(counts)}) as c:
        for role, pid in c.processes().items():
            if role == "up":    # it was not started as a program: its counts are those of the command in front
                continue
            calls, size = struct.unpack("QQ", (counts / str(pid)).read_bytes())
            report.add(f"allocs-{role}", f"heap until Ready, {role}", "calls", [calls])
            report.add(f"alloc-bytes-{role}", f"heap until Ready, {role}, in all", "MB", [size / MB])


def idle(lab, report):
    """An empty cluster left alone: memory, CPU and what it writes."""
    seconds = 15 if lab.quick else 60
    with Cluster(lab) as c:
        c.settle()
        processes = c.processes()
        cpu = {r: cpu_seconds(p) for r, p in processes.items()}
        disk = {r: bytes_written(p) for r, p in processes.items()}
        time.sleep(seconds)
        if c.processes() != processes:
            raise Failed("a process was replaced while idle")
        sizes = {r: pss(p) for r, p in processes.items()}
        used = sum(cpu_seconds(p) - cpu[r] for r, p in processes.items())
        wrote = sum(bytes_written(p) - disk[r] for r, p in processes.items())
        report.add("idle-memory", "idle memory of all processes (PSS)", "MB", [sum(sizes.values()) / MB], budget=15)
        for role, size in sizes.items():
            report.add(f"idle-memory-{role}", f"idle memory, {role}", "MB", [size / MB])
        report.add("idle-cpu", "idle CPU", "% of a core", [100 * used / seconds], budget=0.2)
        report.add("idle-writes", "idle disk writes", "MB a day", [wrote / seconds * 86400 / MB], budget=10)
        report.note("idle-writes", f"from {seconds} s")


def add_quantiles(report, key, what, started, watch, since, **budgets):
    times = sorted((watch.running[n] - since.get(n, 0)) * 1e3 for n in started)
    p50, p99 = times[len(times) // 2], times[-1 - len(times) // 100]
    report.add(f"{key}-p50", f"{what}, p50", "ms", [p50], budget=budgets.get("p50"), low=times[0], high=times[-1])
    report.add(f"{key}-p99", f"{what}, p99", "ms", [p99], budget=budgets.get("p99"))


def agents(c):
    return {r: p for r, p in c.processes().items() if r in ("server", "node")}


def conmon_memory(c):
    """PSS of the monitors of this cluster's containers. They are no processes of ours, but they come with each pod."""
    total = 0
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and open(f"/proc/{entry}/comm").read().strip() == "conmon" and \
                    c.name.encode() in open(f"/proc/{entry}/cmdline", "rb").read():
                total += pss(entry)
        except OSError:
            pass
    return total


def clear(c, watch):
    c.api.do("DELETE", PODS)
    watch.wait(lambda: not watch.there, 120, "all pods gone")


def pods(lab, report):
    """Pods one after the other, from before the create to Running on a watch, and what each adds to memory; then
    as many at once."""
    number = 20 if lab.quick else 100
    with Cluster(lab) as c:
        c.coracle("image", "import", lab.archive)
        watch = PodWatch(c.api, "default")
        # One that does not count: it mounts the image's layers for all that follow.
        c.api.do("POST", PODS, pod("first"))
        watch.wait(lambda: "first" in watch.running, 60, "the first pod is Running")
        c.settle()
        before, monitors = {r: pss(p) for r, p in agents(c).items()}, conmon_memory(c)
        names, since = [f"p{i}" for i in range(number)], {}
        for name in names:
            since[name] = time.perf_counter()
            c.api.do("POST", PODS, pod(name))
            watch.wait(lambda: name in watch.running, 60, f"pod {name} is Running")
        add_quantiles(report, "pod", f"pod created to Running, {number} one by one", names, watch, since, p50=50, p99=150)
        c.settle()
        after = {r: pss(p) for r, p in agents(c).items()}
        report.add("pod-memory", "memory per further pod, server + node", "KB",
                   [sum(after[r] - before[r] for r in after) / number / 1e3], budget=20)
        for role in after:
            report.add(f"pod-memory-{role}", f"memory per further pod, {role}", "KB",
                       [(after[role] - before[role]) / number / 1e3])
        report.add("pod-memory-conmon", "memory per further pod, its monitor (conmon)", "KB",
                   [(conmon_memory(c) - monitors) / number / 1e3])
        clear(c, watch)
        names = [f"q{i}" for i in range(number)]
        bodies = {n: pod(n) for n in names}
        began = time.perf_counter()
        for name in names:
            c.api.do("POST", PODS, bodies[name])
        try:
            watch.wait(lambda: all(n in watch.running for n in names), 180, f"{number} pods at once are Running")
        except Failed as e:
            late = [n for n in names if n not in watch.running]
            raise Failed(f"{e}; {len(late)} are not: {', '.join(late[:5])}; {c.why(late[0])}") from None
        add_quantiles(report, "burst", f"{number} pods created at once to Running", names, watch,
                      {n: began for n in names})
        clear(c, watch)
        watch.close()


def statefulset(lab, report):
    """50 replicas in order, each Ready before the next, each with a claim."""
    number = 50
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                    "resources": {"requests": {"storage": "1Gi"}}}}
    template = pod("x")
    del template["metadata"]["name"]
    template["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": {
        "serviceName": "web", "replicas": number, "selector": {"matchLabels": {"app": "bench"}},
        "template": template, "volumeClaimTemplates": [claim]}}
    seconds = []
    for _ in range(1 if lab.quick else 2):
        with Cluster(lab) as c:
            c.coracle("image", "import", lab.archive)
            watch = PodWatch(c.api, "default")
            began = time.perf_counter()
            c.api.do("POST", "/apis/apps/v1/namespaces/default/statefulsets", body)
            last = f"web-{number - 1}"
            watch.wait(lambda: last in watch.ready, 180, f"{last} is Ready; {len(watch.ready)} are")
            seconds.append(watch.ready[last] - began)
            watch.close()
    report.add("statefulset", f"StatefulSet of {number} in order, one claim each, to Ready", "s", seconds, budget=5)


# ---- peers of a pod's start ----

def crun_times(lab, rounds):
    """create and start of one container, with nothing around it."""
    bundle = lab.dir / "bundle"
    bundle.mkdir(exist_ok=True)
    spec = call("sh", "-c", "rm -f config.json && crun spec && cat config.json", cwd=bundle)
    config = json.loads(spec[spec.index("{"):])
    config["process"].update(terminal=False, args=SLEEP)
    config["process"].pop("rlimits", None)
    config["root"] = {"path": str(lab.rootfs), "readonly": True}
    (bundle / "config.json").write_text(json.dumps(config))
    times = []
    for i in range(rounds):
        name = f"{lab.dir.name}-{i}"
        began = time.perf_counter()
        # crun gives its own descriptors to the container: it must not keep a pipe of ours open.
        os.system(f"crun create --bundle {bundle} {name} </dev/null >{bundle}/log 2>&1 && crun start {name}")
        times.append((time.perf_counter() - began) * 1e3)
        call("crun", "delete", "-f", name)
    return times


def podman_times(lab, rounds):
    """podman kube play of the same root file system, without a network of its own, which would cost it more."""
    base = lab.dir / "podman"
    (base / "run").mkdir(parents=True)
    (base / "conf").write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
                               '[engine]\nlock_type = "file"\n')
    (base / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: coracle-bench}\nspec:\n  containers:\n"
        f"  - {{name: c, image: 'localhost/bench:1', command: [{', '.join(SLEEP)}]}}\n".replace(
            ", 3600]", ", '3600']"))
    env = {**os.environ, "CONTAINERS_CONF": str(base / "conf")}
    podman = ["podman", "--root", base / "root", "--runroot", base / "run", "--tmpdir", base / "tmp",
              "--cgroup-manager", "cgroupfs", "--runtime", "crun", "--events-backend", "none"]
    tar = base / "rootfs.tar"
    call("tar", "-C", lab.rootfs, "-cf", tar, ".")
    call(*podman, "import", tar, "localhost/bench:1", env=env)
    times = []
    try:
        for i in range(rounds + 1):
            seconds = timed(*podman, "kube", "play", "--network", "none", base / "pod.yaml", env=env)
            if i > 0:   # the first builds podman's pause image
                times.append(seconds * 1e3)
            call(*podman, "kube", "down", base / "pod.yaml", env=env)
    finally:
        call(*podman, "system", "reset", "--force", env=env)
    return times


def pod_peers(lab, report):
    rounds = 5 if lab.quick else 20
    floor = call(lab.tool("tests/bench/bench_floor"), rounds, *SLEEP)
    values = {k: [float(v) / 1e3 for w, v in map(str.split, floor.splitlines()) if w == k] for k in ("bare", "namespaces")}
    report.peer("pod-p50", "clone + execve", values["bare"])
    report.peer("pod-p50", "the same in namespaces", values["namespaces"])
    for name, package, fn in (("crun create + start", "crun", crun_times), ("podman kube play", "podman", podman_times)):
        if not shutil.which(package):
            report.note("pod-p50", f"{name}: not measured, package {package} is missing")
            continue
        try:
            report.peer("pod-p50", name, apart(lambda fn=fn: fn(lab, rounds)))
        except Failed as e:
            report.note("pod-p50", f"{name}: cannot run on this machine: {e}")
