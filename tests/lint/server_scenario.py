#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server's life in one go, for valgrind: start, requests of every kind, an orderly end.

    server_scenario.py CORACLE [WRAPPER ARGUMENT...]

Exits with what the server exits with. To be run in a network namespace of its own (unshare --net).
"""
import base64
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from http.client import HTTPSConnection
from pathlib import Path

import yaml

PORT, DEADLINE = 6443, 90
NS = "/api/v1/namespaces/a"
POD = {"metadata": {"name": "p", "labels": {"app": "x"}},
       "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
WORKLOAD = {"metadata": {"name": "w"}, "spec": {
    "replicas": 2, "serviceName": "s", "selector": {"matchLabels": {"app": "x"}},
    "template": {"metadata": {"labels": {"app": "x"}}, "spec": POD["spec"]}}}
JSON, MERGE = "application/json", "application/merge-patch+json"
STRATEGIC, JSON_PATCH = "application/strategic-merge-patch+json", "application/json-patch+json"
# method, path, content type, body, the status it must have
REQUESTS = [
    ("GET", "/version", None, None, 200), ("GET", "/readyz?verbose", None, None, 200),
    ("GET", "/apis", None, None, 200), ("GET", "/openapi/v2", None, None, 200),
    ("POST", "/api/v1/namespaces", JSON, {"metadata": {"name": "a"}}, 201),
    ("POST", NS + "/configmaps", JSON, {"metadata": {"name": "c"}, "data": {"k": "v" * 1000}}, 201),
    ("POST", NS + "/configmaps", JSON, {"metadata": {"name": "c"}}, 409),
    ("POST", NS + "/configmaps", JSON, {"metadata": {"name": "-"}}, 422),
    ("PATCH", NS + "/configmaps/c", MERGE, {"data": {"k": None, "l": "w"}}, 200),
    ("POST", NS + "/pods", JSON, POD, 201),
    ("PATCH", NS + "/pods/p", STRATEGIC, {"metadata": {"labels": {"app": None}}}, 200),
    ("PATCH", NS + "/pods/p", JSON_PATCH, [{"op": "remove", "path": "/none"}], 422),
    ("POST", NS + "/services", JSON, {"metadata": {"name": "s"}, "spec": {
        "selector": {"app": "x"}, "ports": [{"port": 80}]}}, 201),
    ("POST", "/apis/apps/v1/namespaces/a/statefulsets", JSON, WORKLOAD, 201),
    ("POST", "/apis/apps/v1/namespaces/a/deployments", JSON, WORKLOAD, 201),
    ("GET", NS + "/pods?labelSelector=app%3Dx&limit=1", None, None, 200),
    ("GET", NS + "/pods/p/log", None, None, 204),
    ("DELETE", NS + "/pods/p?gracePeriodSeconds=0", None, None, 200),
    ("DELETE", "/api/v1/namespaces/a", None, None, 200),
    ("GET", "/metrics", None, None, 200), ("GET", "/nothing", None, None, 404),
]


def context(data):
    """TLS as the administrator's kubeconfig says."""
    config = yaml.safe_load((data / "pki/admin.kubeconfig").read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {}
    for name, text in (("ca", cluster["certificate-authority-data"]),
                       ("cert", user["client-certificate-data"]), ("key", user["client-key-data"])):
        files[name] = data / f"scenario-{name}.pem"
        files[name].write_bytes(base64.b64decode(text))
    tls = ssl.create_default_context(cafile=files["ca"])
    tls.load_cert_chain(files["cert"], files["key"])
    return tls


def talk(tls):
    connection = HTTPSConnection("127.0.0.1", PORT, context=tls, timeout=DEADLINE)
    for method, path, kind, body, want in REQUESTS:
        connection.request(method, path, json.dumps(body) if kind else None,
                           {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != want:
            sys.exit(f"{method} {path}: {answer.status}, want {want}: {text[:300]!r}")
    connection.close()


def watch(tls):
    """A watch that is still open when the server ends."""
    sock = tls.wrap_socket(socket.create_connection(("127.0.0.1", PORT), DEADLINE),
                           server_hostname="127.0.0.1")
    sock.sendall(b"GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    if not sock.recv(100).startswith(b"HTTP/1.1 200"):
        sys.exit("the watch was refused")
    return sock


def main():
    coracle, *wrapper = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        read, write = os.pipe()
        process = subprocess.Popen(
            [*wrapper, coracle, "server", "--no-sandbox", "--data-dir", directory + "/data", "--listen",
             f"127.0.0.1:{PORT}", "--ready-fd", str(write)], pass_fds=[write])
        os.close(write)
        try:
            said = b""
            while b"https://" not in said:
                if not select.select([read], [], [], DEADLINE)[0] or not (more := os.read(read, 200)):
                    sys.exit("the server did not start")
                said += more
            tls = context(Path(directory) / "data")
            sock = watch(tls)
            talk(tls)
            process.send_signal(signal.SIGTERM)
            code = process.wait(DEADLINE)
            sock.close()
            return code
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
