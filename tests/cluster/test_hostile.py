# SPDX-License-Identifier: Apache-2.0
"""Hostile containers on a real cluster: what a pod tries against the node, the agent, the API and DNS, and that the
pod beside it goes on working meanwhile. (Races in volumes are in tests/node/test_hostile.c, image layers in
tests/unit/test_image.c.)"""
import io
import json
import os
import pathlib
import socket
import stat
import struct
import subprocess
import sys
import tarfile

import pytest
from machine import ADDRESS, IMAGE, add, busybox_image, control_groups

DNS = "10.96.0.10"
LOG_FILES, LOG_HARD = 5, 40 << 20
PIDS = 4096


def pod(name, command, spec=None, **container):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 0, "containers": [
            {"name": "c", "image": IMAGE, "command": ["sh", "-c", command], **container}], **(spec or {})}}


def apply(machine, *objects, **more):
    return machine.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), **more)


def running(machine, name):
    machine.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Running", "--timeout=30s")


def sh(machine, name, script, **more):
    return machine.kubectl("exec", name, "--", "sh", "-c", script, **more)


@pytest.fixture(scope="module", autouse=True)
def neighbour(machine):
    """A pod that has to go on working, whatever the others do."""
    busybox_image(machine.dir / "busybox.tar")
    machine.coracle("image", "import", machine.dir / "busybox.tar")
    apply(machine, pod("neighbour", "exec sleep 10000"), pod("hostile", "exec sleep 10000"))
    running(machine, "neighbour")
    running(machine, "hostile")
    yield
    machine.kubectl("delete", "pod", "--all", "--now")


def neighbour_works(machine):
    assert sh(machine, "neighbour", "echo fine") == "fine\n"


def memory(proc):
    line = next(x for x in (proc / "status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def in_pod(machine, name, script, *args):
    """A Python script with the network of a pod; what it printed."""
    uid = machine.get("pod", name)["metadata"]["uid"]
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if f"pod{uid}" in path.read_text():
                break
        except OSError:
            pass
    else:
        raise AssertionError(f"no process of {name}")
    return subprocess.run(["nsenter", f"--net={path.parent}/ns/net", "--", sys.executable, "-c", script, *map(str, args)],
                          text=True, capture_output=True, check=True, timeout=60).stdout


# ---- the machine behind the container


@pytest.mark.parametrize("attempt,answer", [
    ("head -c1 /proc/kcore | wc -c", "0"),
    ("ls /sys/firmware | wc -l", "0"),
    ("echo 1 >/proc/sys/kernel/panic", "Read-only file system"),
    # Some kernels have neither this nor modules.
    ("echo b >/proc/sysrq-trigger", "Read-only file system|nonexistent"),
    ("f=$(find /sys/fs/cgroup -name cgroup.procs); test -n \"$f\" && for i in $f; do "
     "(echo 1 >$i || mkdir ${i%/*}/x) 2>/dev/null && echo wrote; done | wc -l", "0"),
    ("mount -t proc p /tmp", "denied"),
    ("mount -o remount,rw /sys", "denied"),
    ("chroot /proc/1/root /bin/cat /etc/debian_version", "No such file"),
    ("unshare -m true", "Operation not permitted"),
    ("mknod /tmp/mem c 1 1 && head -c1 /tmp/mem", "Operation not permitted"),
    ("for m in $(seq 1 300); do mknod /tmp/d$m b $m 0; done; cat /tmp/d* 2>&1 | grep -v 'not permitted' | wc -l", "0"),
    ("dmesg", "Operation not permitted"),
    ("hostname x", "Operation not permitted"),
    ("ls /run/coracle /var/lib/coracle /var/run/crun", "No such file"),
    ("insmod /bin/busybox", "ermission|permitted|denied|not support"),
    ("reboot -f", "Operation not permitted"),
    ("kill -9 -1; echo still here", "still here"),
])
def test_container_does_not_reach_the_machine(machine, attempt, answer):
    said = sh(machine, "hostile", attempt + " 2>&1", code=None)
    assert any(a in said for a in answer.split("|")), said


def test_subpath_symlink_does_not_reach_the_machine(machine):
    victim = machine.dir / "victim"
    victim.write_text("secret")
    victim.chmod(0o600)
    where = {"name": "v", "mountPath": "/v"}
    apply(machine, pod("subpath", "sleep 1000", {
        "volumes": [{"name": "v", "emptyDir": {}}], "securityContext": {"fsGroup": 4242},
        "initContainers": [{"name": "i", "image": IMAGE, "volumeMounts": [where], "command": [
            "sh", "-c", f"ln -s {victim} /v/way && ln -s {machine.dir} /v/dir && ln -s / /v/root"]}]},
        volumeMounts=[{**where, "mountPath": "/w", "subPath": "way"}]))
    machine.wait_for("the refusal", lambda: "subPath" in machine.kubectl("describe", "pod", "subpath"))
    assert machine.get("pod", "subpath")["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == \
        "CreateContainerConfigError"
    machine.kubectl("delete", "pod", "subpath", "--now")
    found = victim.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid, victim.read_text()) == (0o600, 0, "secret")


def test_files_that_the_agent_reads_cannot_be_exchanged(machine):
    apply(machine, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"k": "v"}},
          pod("exchange", "for f in /dev/termination-log /etc/hosts /etc/resolv.conf /m /m/k /m/..data; do rm -rf $f;"
              "ln -sfn /etc/shadow $f; mv /tmp $f/x; done 2>/tmp/said; echo -e '1.2.3.4 x\\n\\0\\xff' >/etc/hosts;"
              "cat /m/k; head -c 100000 /dev/zero | tr '\\0' m >/dev/termination-log; exit 3",
              {"restartPolicy": "Never", "volumes": [{"name": "m", "configMap": {"name": "m"}}]},
              volumeMounts=[{"name": "m", "mountPath": "/m"}]))
    machine.kubectl("wait", "pod/exchange", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
    end = machine.get("pod", "exchange")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert end["exitCode"] == 3 and end["message"] == "m" * 4096
    assert machine.kubectl("logs", "exchange") == "v"
    machine.kubectl("delete", "pod", "exchange", "--now")


@pytest.mark.parametrize("name,change,field", [
    ("volume", {"volumes": [{"name": "../../x", "emptyDir": {}}]}, "volumes[0].name"),
    ("image", {"containers": [{"name": "c", "image": "../../etc:x", "command": ["true"]}]}, None),
    ("container", {"containers": [{"name": "../c", "image": IMAGE}]}, "containers[0].name"),
    ("profile", {"containers": [{"name": "c", "image": IMAGE, "command": ["true"], "securityContext": {
        "seccompProfile": {"type": "Localhost", "localhostProfile": "../../../../etc/shadow"}}}]}, None),
    ("message", {"containers": [{"name": "c", "image": IMAGE, "command": ["true"],
                                 "terminationMessagePath": "/tmp/../../../../../../etc/shadow"}]}, None),
])
def test_names_do_not_become_paths(machine, name, change, field):
    before = os.stat("/etc/shadow")
    said = apply(machine, pod("path-" + name, "true", {"restartPolicy": "Never", **change}), code=None)
    if field:
        assert field in said and "created" not in said
        return
    def settled():
        found = machine.kubectl("get", "pod", "path-" + name, "-o", "json", code=None)
        if not found.startswith("{"):
            return found
        s = json.loads(found)["status"]
        waiting = s.get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {}).get("reason")
        return s["phase"] in ("Succeeded", "Failed") or waiting in ("InvalidImageName", "CreateContainerConfigError",
                                                                    "CreateContainerError")
    machine.wait_for(f"a decision on {name}", settled)
    assert "root:" not in machine.kubectl("get", "pod,ev", "-o", "yaml")
    machine.kubectl("delete", "pod", "path-" + name, "--now", "--ignore-not-found")
    after = os.stat("/etc/shadow")
    assert (before.st_mode, before.st_size, before.st_mtime) == (after.st_mode, after.st_size, after.st_mtime)


def test_kubectl_cp_of_a_hostile_tar(machine):
    """The container's own tar answers `kubectl cp`; what it sends must stay where the user wants it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("x/fine", "../escaped", "x/../../escaped", f"/tmp/{machine.name}"):
            add(tar, name, b"evil")
        add(tar, "x/l", kind=tarfile.SYMTYPE, link="../..")
        add(tar, "x/l/escaped", b"evil")
        add(tar, "x/h", kind=tarfile.LNKTYPE, link="../../victim")
        add(tar, "x/d", kind=tarfile.CHRTYPE)
    path = machine.dir / "evil.tar"
    path.write_bytes(raw.getvalue())
    with path.open("rb") as f:
        machine.kubectl("exec", "-i", "hostile", "--", "sh", "-c", "cat >/evil.tar; mkdir -p /x; rm -f /bin/tar;"
                        "printf '#!/bin/sh\\nexec cat /evil.tar\\n' >/bin/tar; chmod +x /bin/tar", stdin=f)
    into = machine.dir / "cp"
    into.mkdir()
    machine.kubectl("cp", "hostile:/x", into / "got", code=None)
    names = {str(p.relative_to(into)) for p in into.rglob("*") if not p.is_symlink()}
    assert not [n for n in names if n != "got" and not n.startswith("got/")], names
    assert not (machine.dir / "escaped").exists() and not pathlib.Path("/tmp", machine.name).exists()
    neighbour_works(machine)


# ---- more than its share


def test_fork_bomb_stays_within_its_pod(machine):
    apply(machine, pod("bomb", "b() { b | b & }; b; exec sleep 1000", resources={"limits": {"cpu": "1"}}))
    uid = machine.wait_for("the pod", lambda: machine.get("pod", "bomb")["metadata"]["uid"])
    def groups():
        return [p / "pids.max" for p in control_groups(f"pod{uid}") if p.name == f"pod{uid}" and (p / "pids.max").exists()]
    found = machine.wait_for("its control group", groups)[0].parent
    assert (found / "pids.max").read_text().strip() == str(PIDS)
    machine.wait_for("the limit", lambda: int((found / "pids.current").read_text()) >= PIDS - 8)
    neighbour_works(machine)
    machine.kubectl("delete", "pod", "bomb", "--now", timeout=60)
    machine.wait_for("its end", lambda: not found.exists())


def test_memory_hog_ends_alone(machine):
    apply(machine, pod("hog", "tail /dev/zero", {"restartPolicy": "Never"}, resources={"limits": {"memory": "32Mi"}}))
    machine.kubectl("wait", "pod/hog", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
    end = machine.get("pod", "hog")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert end["exitCode"] == 137 and end["reason"] == "OOMKilled"
    neighbour_works(machine)


def test_log_flood_has_a_bound(machine):
    proc = pathlib.Path(f"/proc/{machine.process('node')}")
    before = memory(proc)
    apply(machine, pod("flood", "yes $(head -c 2000 /dev/zero | tr '\\0' x)"))
    def logs():
        return list((machine.data / "node/logs").glob("default_flood_*/c/*"))
    machine.wait_for("its log", logs)
    current = machine.wait_for("its log", lambda: [p for p in logs() if p.name == "0.log"])[0]
    first = current.stat().st_ino
    # Either the agent or conmon, when that is not often enough, begins a new file.
    machine.wait_for("a new file", lambda: current.exists() and current.stat().st_ino != first)
    sizes = [p.stat().st_size for p in logs()]
    assert len(sizes) <= LOG_FILES + 1 and max(sizes) <= LOG_HARD + (1 << 20), sizes
    machine.wait_for("a line", lambda: machine.kubectl("logs", "flood", "--tail=1").startswith("xxx"))
    neighbour_works(machine)
    assert memory(proc) - before < 32 << 20
    machine.kubectl("delete", "pod", "flood", "--now")


# ---- the network

CODES = """
import json, socket, ssl, sys
host, port = sys.argv[1], int(sys.argv[2])
ctx = ssl.create_default_context(); ctx.check_hostname = False; ctx.verify_mode = ssl.CERT_NONE
def ask(data, n=1):
    s = ctx.wrap_socket(socket.create_connection((host, port), 20)); s.settimeout(20)
    try:
        s.sendall(data)
        got = s.recv(4096)
    except OSError:
        got = b""
    s.close()
    return got.split(b" ")[1].decode() if got.startswith(b"HTTP/") else "closed"
get = "GET %s HTTP/1.1\\r\\nHost: x\\r\\n%s\\r\\n"
"""


def test_kubelet_port_wants_credentials(machine):
    said = in_pod(machine, "hostile", CODES + """
print(*[ask((get % (p, h)).encode()) for p in ("/pods", "/containerLogs/default/neighbour/c", "/stats/summary",
    "/exec/default/neighbour/c?command=id&output=1", "/run/default/neighbour/c", "/metrics")
    for h in ("", "Authorization: Bearer x\\r\\n", "X-Remote-User: admin\\r\\nX-Remote-Group: system:masters\\r\\n")])
""", ADDRESS, 10250)
    assert set(said.split()) <= {"401", "403"}, said


def test_api_refuses_what_is_too_large(machine):
    said = in_pod(machine, "hostile", CODES + """
print(ask((get % ("/version", "X: " + "y" * 100000 + "\\r\\n")).encode()),
    ask((get % ("/version", "X: y\\r\\n" * 1000)).encode()),
    ask((get % ("/" + "a" * 100000, "")).encode()),
    ask(b"POST /api/v1/namespaces HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 999999999\\r\\n\\r\\n" + b"a" * 1000),
    ask(b"GET /version HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: -1\\r\\n\\r\\n"),
    ask(b"\\x00\\xff" * 1000 + b"\\r\\n\\r\\n"), ask((get % ("/version", "")).encode()))
""", ADDRESS, 6443)
    head, many, line, body, negative, rubbish, good = said.split()
    assert (head, many, line, good) == ("431", "431", "431", "200"), said
    assert body in ("401", "413") and negative == "400" and rubbish in ("400", "closed"), said


def test_slow_clients_and_floods_of_the_api_leave_room(machine):
    """Many connections that never finish their request, others that never begin TLS, and requests without
    credentials; the admin is served all the while."""
    machine.kubectl("get", "nodes")
    child = subprocess.Popen(["nsenter", f"--net=/run/netns/{machine.name}", sys.executable, "-c", CODES + """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
plain = [socket.create_connection((host, port), 20) for _ in range(1500)]
slow = []
for _ in range(150):
    s = ctx.wrap_socket(socket.create_connection((host, port), 20))
    s.sendall(b"GET /api/v1/pods HTTP/1.1\\r\\nHost: x\\r\\nX-A")
    slow.append(s)
print("ready", flush=True)
codes = {ask((get % ("/api/v1/secrets?watch=1", "Authorization: Bearer x\\r\\n")).encode()) for _ in range(100)}
print(*codes, flush=True)
sys.stdin.read()
""", ADDRESS, "6443"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        for _ in range(3):
            assert "Ready" in machine.kubectl("get", "nodes")
        neighbour_works(machine)
        assert child.stdout.readline() == "401\n"
    finally:
        child.stdin.close()
        child.wait(30)
    assert child.returncode == 0
    neighbour_works(machine)


def test_bodies_that_are_never_finished_keep_nobody_from_writing(machine):
    """Whoever makes the server hold most goes first: it used to refuse everybody else's writes."""
    child = subprocess.Popen(["nsenter", f"--net=/run/netns/{machine.name}", sys.executable, "-c", CODES + """
held = []
# Ever smaller ones fill what the larger ones left free.
for size in [2900000] * 25 + [300000] * 12 + [30000] * 12 + [3000] * 12:
    s = ctx.wrap_socket(socket.create_connection((host, port), 20)); s.settimeout(20)
    try:
        s.sendall(b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 3000000\\r\\n\\r\\n")
        s.sendall(b"x" * size)
    except OSError:
        pass
    held.append(s)
print("ready", flush=True)
sys.stdin.read()
""", ADDRESS, "6443"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        for i in range(3):
            assert f"configmap/held-{i} created" in apply(machine, {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"held-{i}"}, "data": {"k": "v" * 10000}})
    finally:
        child.stdin.close()
        child.wait(30)
    assert child.returncode == 0


QUERY = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"".join(
    bytes([len(x)]) + x for x in b"kubernetes.default.svc.cluster.local".split(b".")) + b"\0\0\1\0\1"

DNS_ABUSE = """
import os, socket, struct, sys
where, query = (sys.argv[1], 53), bytes.fromhex(sys.argv[2])
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def name(labels): return b"".join(bytes([len(l)]) + l for l in labels) + b"\\0"
head = struct.pack(">6H", 1, 0x100, 1, 0, 0, 0)
bad = [b"", b"x", head, head + b"\\xc0\\x0c\\0\\1\\0\\1", head + b"\\x3f" * 300, head + name([b"a" * 63] * 8) + b"\\0\\1\\0\\1",
    head[:4] + b"\\xff\\xff" * 4 + query[12:], head + b"\\x01" * 253 + b"\\0\\0\\1\\0\\1", os.urandom(512), query + b"\\0" * 60000,
    head[:4] + struct.pack(">4H", 1, 0, 0, 1) + query[12:] + b"\\0\\0\\x29\\xff\\xff\\0\\0\\0\\0\\xff\\xff"]
for _ in range(300):
    for b in bad:
        u.sendto(b, where)
held = []
for i in range(400):
    try:
        s = socket.create_connection(where, 5)
        s.sendall([b"", b"\\0", b"\\xff\\xff" + b"a" * 100, struct.pack(">H", len(query)) + query[:20]][i % 4])
        held.append(s)
    except OSError:
        pass
# A question must be answered while all of that is there; datagrams may be lost in a flood of our own making.
for _ in range(20):
    v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    v.settimeout(1)
    v.sendto(query, where)
    try:
        a = v.recv(512)
        print(a[:2] == query[:2], a[3] & 15, a[-4:].hex())
        break
    except TimeoutError:
        pass
"""


def test_dns_answers_through_abuse(machine):
    assert in_pod(machine, "hostile", DNS_ABUSE, DNS, QUERY.hex()).split() == ["True", "0", socket.inet_aton("10.96.0.1").hex()]
    neighbour_works(machine)
    assert "10.96.0.1" in sh(machine, "neighbour", "nslookup kubernetes.default.svc.cluster.local")
