# SPDX-License-Identifier: Apache-2.0
"""What is measured on the API, the store, the codec and the program itself."""
import base64
import json
import re
import shutil
import subprocess

from lab import Cluster, Daemon, Failed, HERE, call, cpu_seconds, pss

MB = 1e6
CLIENTS = 128


def big_pod(ns):
    """A pod of about 3 KB of JSON that no scheduler looks at: the one of the codec's benchmark, cut to what a client
    may write."""
    pod = json.loads((HERE / "data/pod.json").read_text())
    meta = pod["metadata"]
    pod["metadata"] = {"name": "pod-%d", "namespace": ns, "labels": meta["labels"], "annotations": meta["annotations"]}
    pod["spec"].pop("nodeName")
    pod["spec"]["schedulerName"] = "nobody"
    pod["spec"].pop("serviceAccountName", None)
    pod["spec"].pop("serviceAccount", None)
    del pod["status"]
    return pod


def status_patch():
    return {"status": json.loads((HERE / "data/pod.json").read_text())["status"]}


def per_second(said):
    """(requests per second, per second of the server's CPU) of what bench_load said"""
    return said["requests"] / said["seconds"], said["requests"] / max(said["cpu"], 0.01)


def rates(lab, report):
    """GETs and durable creates over TLS with many clients, and a list of 10,000 pods."""
    number = 2000 if lab.quick else 10000
    with Cluster(lab) as c:
        server = c.processes()["server"]
        lab.put_ahead(server)
        path = "/api/v1/namespaces/default/pods"

        def measure(requests, clients, target, **more):
            return per_second(lab.load(c.api, target, requests, clients, pid=server, **more))

        creates = [measure(number, CLIENTS, path, method="POST", body=big_pod("default"), first=i * number)
                   for i in range(3)]
        gets = [measure(number * 3, CLIENTS, f"{path}/pod-%d") for _ in range(3)]
        what = f"with {CLIENTS} clients, TLS"
        report.add("get", f"GET of a pod {what}, per second of server CPU", "/s", [g[1] for g in gets], budget=50000,
                   better="higher")
        report.add("get-wall", f"GET of a pod {what}, client on the same cores", "/s", [g[0] for g in gets],
                   better="higher")
        report.add("create", f"durable creates of pods {what}, client on the same cores", "/s", [x[0] for x in creates],
                   budget=10000, better="higher")
        report.add("create-cpu", f"durable creates of pods {what}, per second of server CPU", "/s",
                   [x[1] for x in creates], better="higher")
        # A list of pods that run: a namespace of its own, each with a status.
        c.api.do("POST", "/api/v1/namespaces", {"metadata": {"name": "list"}})
        path = "/api/v1/namespaces/list/pods"
        lab.load(c.api, path, number, CLIENTS, method="POST", body=big_pod("list"))
        lab.load(c.api, f"{path}/pod-%d/status", number, CLIENTS, method="PATCH", body=status_patch(),
                 kind="application/merge-patch+json")
        lists = [lab.load(c.api, path, 2) for _ in range(7)]
        report.add("list", f"list of {number:,} pods as JSON", "ms", [1e3 * x["seconds"] for x in lists],
                   budget=None if lab.quick else 30)
        report.note("list", f"{lists[0]['bytes'] / 2 / MB:.1f} MB of JSON through TLS, read by one client")


def etcd(lab, report):
    """The same number of clients putting 3 KB each into one etcd on the same disk."""
    if not shutil.which("etcd"):
        report.note("create", "etcd: not measured, package etcd-server is missing")
        return
    number = 2000 if lab.quick else 10000
    urls = [f"http://127.0.0.1:{p}" for p in (23790, 23800)]    # this network is ours alone
    value = bytes(97 + (i * i + i // 7) % 26 for i in range(3000))
    with Daemon(lab.dir / "etcd.log", *lab.ahead, "etcd", "--data-dir", lab.dir / "etcd", "--listen-client-urls", urls[0],
                "--advertise-client-urls", urls[0], "--listen-peer-urls", urls[1], "--initial-advertise-peer-urls",
                urls[1], "--initial-cluster", f"default={urls[1]}") as daemon:
        call("curl", "-fsS", "--retry", "50", "--retry-connrefused", "--retry-delay", "1", f"{urls[0]}/health",
             timeout=60)
        # Eight digits after a prefix that fills whole groups: valid base64, another key each time.
        body = {"key": base64.b64encode(b"/registry/po").decode() + "%d", "value": base64.b64encode(value).decode()}
        plain = type("Plain", (), {"url": urls[0]})
        found = [per_second(lab.load(plain, "/v3/kv/put", number, CLIENTS, method="POST", body=body,
                                     first=10**7 + i * number, pid=daemon.pid)) for i in range(3)]
        report.peer("create", "etcd JSON, HTTP/1.1 without TLS", [f[0] for f in found])
        report.peer("create-cpu", "etcd JSON, HTTP/1.1 without TLS", [f[1] for f in found])
        if not shutil.which("h2load"):
            report.note("create", "etcd by gRPC: not measured, package nghttp2-client is missing")
            return
        found = []
        for _ in range(3):
            cpu = cpu_seconds(daemon.pid)
            rate = grpc_puts(lab, urls[0], number, value)
            found.append((rate, number / max(cpu_seconds(daemon.pid) - cpu, 0.01)))
        report.peer("create", "etcd gRPC, without TLS", [f[0] for f in found])
        report.peer("create-cpu", "etcd gRPC, without TLS", [f[1] for f in found])


def grpc_puts(lab, url, number, value):
    """Puts a second; etcdserverpb.PutRequest by hand: key = 1, value = 2."""
    key = b"/registry/pods/default/pod-1"
    message = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(value) & 127 | 128, len(value) >> 7]) + value
    (lab.dir / "put").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    said = call(*lab.ahead, "h2load", "-n", number, "-c", 16, "-m", CLIENTS // 16, "-d", lab.dir / "put", "-H",
                "content-type: application/grpc", "-H", "te: trailers", f"{url}/etcdserverpb.KV/Put", timeout=120)
    if f"status codes: {number} 2xx" not in said:
        raise Failed(f"etcd by gRPC: {said[-400:]}")
    return float(re.search(r"([\d.]+) req/s", said).group(1))


def store(lab, report):
    """The store alone beside SQLite alone, in transactions of the same size on the same disk."""
    out = call(*lab.ahead, lab.tool("tests/bench/bench_store"), lab.dir, CLIENTS, timeout=240)
    row = re.search(rf"^ *{CLIENTS} +(\d+) +(\d+) \| +(\d+) +(\d+) .*? ([\d.]+) bytes written per byte", out, re.M)
    if not row:
        raise Failed(f"bench_store said {out[-300:]}")
    report.add("store-create", f"durable creates of 3 KB in the store alone, {CLIENTS} clients", "/s", [float(row[1])],
               better="higher")
    report.add("store-update", f"durable updates of 3 KB in the store alone, {CLIENTS} clients", "/s", [float(row[2])],
               better="higher")
    report.peer("store-create", "SQLite alone, the same rows and transactions", [float(row[3])])
    report.peer("store-update", "SQLite alone, the same rows and transactions", [float(row[4])])
    report.peer("create", "SQLite alone, no API", [float(row[3])])


def codec(lab, report):
    """One running pod, beside what Debian's JSON libraries need for parsing alone."""
    out = call(*lab.ahead, lab.tool("tests/bench/bench_codec"))
    rows = {m[1].strip(): [float(m[i]) for i in (2, 3, 4)]
            for m in re.finditer(r"^(.+?)  +([\d.]+) +([\d.]+) +([\d.]+) us", out, re.M)}
    for key, name, budget in (("decode", "JSON to typed struct", 5), ("encode", "typed struct to JSON", None),
                              ("proto-decode", "protobuf to typed struct", None),
                              ("proto-encode", "typed struct to protobuf", None)):
        best, median, worst = rows[f"coracle: {name}"]
        report.add(key, f"a running pod of 3.5 KB, {name}", "µs", [median], budget=budget, low=best, high=worst)
    for name in ("yajl: events, no callbacks", "cJSON: parse", "json-c: parse", "jansson: parse"):
        if name in rows:
            report.peer("decode", name, rows[name][1:2])
        else:
            report.note("decode", f"{name.split(':')[0]}: not built in, its package was missing")


def objects(lab, report):
    """What one object costs in the server: its PSS before and after many were made."""
    number = 500 if lab.quick else 2000
    data = {f"key{i}": "v" * 90 for i in range(10)}
    kinds = (
        ("configmap", "configmaps", {"data": data}),
        ("secret", "secrets", {"data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}),
        ("service", "services", {"spec": {"ports": [{"port": 80}]}}),
        ("event", "events", {"involvedObject": {"kind": "Pod", "namespace": "default", "name": "web-0"},
                             "reason": "Started", "message": "Started container c", "type": "Normal"}),
        ("pod", "pods", big_pod("default")),
    )
    with Cluster(lab) as c:
        server = c.processes()["server"]
        for kind, plural, body in kinds:
            body = {**body, "metadata": {**body.get("metadata", {}), "name": "x-%d"}}
            path = f"/api/v1/namespaces/default/{plural}"
            # Not the first of its kind: what is made once per kind does not count.
            lab.load(c.api, path, 100, 16, method="POST", body=body, first=number)
            c.settle()
            before = pss(server)
            lab.load(c.api, path, number, 16, method="POST", body=body)
            c.settle()
            size = len(json.dumps(c.api.do("GET", f"{path}/x-1"), separators=(",", ":")))
            report.add(f"object-{kind}", f"memory of one {kind} in the server", "bytes", [(pss(server) - before) / number])
            report.note(f"object-{kind}", f"{size} bytes of JSON")


def binary(lab, report):
    """The stripped program, and where its bytes are."""
    stripped = lab.dir / "stripped"
    call("strip", "-o", stripped, lab.tool("src/cli/coracle"))
    report.add("binary", "stripped binary", "MB", [stripped.stat().st_size / MB], budget=4)
    for name, size in re.findall(r"^\.(\S+) +(\d+)", call("size", "-A", "-d", stripped), re.M):
        if int(size) >= 20000:
            report.add(f"section-{name}", f"section .{name}", "KB", [int(size) / 1e3])


def http(lab, report):
    """TLS and HTTP alone: a handler that sends 3 KB, loaded by h2load."""
    if not shutil.which("h2load"):
        report.note("get", "HTTP alone: not measured, package nghttp2-client is missing")
        return
    out = subprocess.run([*lab.ahead, lab.tool("tests/bench/bench_http"), "20000" if lab.quick else "60000"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120, check=True).stdout
    for name, rate in re.findall(r"^GET, (\S+, \S+) .*? (\d+) per second of server CPU", out, re.M):
        report.add(f"http-{name.lower().replace(', ', '-').replace('/', '')}",
                   f"GET of 3 KB without the API, {name}, per second of server CPU", "/s", [float(rate)], better="higher")
