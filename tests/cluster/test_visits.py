# SPDX-License-Identifier: Apache-2.0
"""The visit counters from end to end: images, claims, names, restarts. The tests of this file build on
each other, in order, as a person would go through the example."""
import os
import pathlib
import re
import signal
import subprocess

import pytest
from machine import ADDRESS, ROOT
from terminal import Follower

VISITS = ROOT / "examples/visits"
IMAGES = "/var/cache/coracle/visits"


@pytest.fixture(scope="module")
def visits(machine):
    subprocess.run([str(VISITS / "build-images.py")], check=True, stdout=subprocess.DEVNULL, timeout=600)
    machine.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=30s")
    for app in ("python", "javascript"):
        machine.coracle("image", "import", f"{IMAGES}/visits-{app}.tar")
    machine.kubectl("apply", "-f", VISITS / "python/k8s", "-f", VISITS / "javascript/k8s")
    machine.kubectl("rollout", "status", "sts/app-python", "--timeout=60s", timeout=90)
    machine.kubectl("rollout", "status", "deploy/app-javascript", "--timeout=60s", timeout=90)
    return machine


def count_of(machine, pod):
    return machine.kubectl("exec", f"pod/{pod}", "--", "cat", "/app/data/visits.txt").strip()


def visit(machine, pod, port):
    address = machine.get("pod", pod)["status"]["podIP"]
    return machine.run("curl", "-fsS", "--max-time", "5", f"http://{address}:{port}/")


def test_names_are_as_they_should_be(visits):
    pods = visits.kubectl("get", "pods", "-o", "name").split()
    assert {"pod/app-python-0", "pod/app-python-1"} <= set(pods)
    assert sum(bool(re.fullmatch(r"pod/app-javascript-[a-z0-9]+-[a-z0-9]{5}", p)) for p in pods) == 3
    claims = visits.get("pvc")["items"]
    assert sorted(c["metadata"]["name"] for c in claims) == ["data-app-python-0", "data-app-python-1"]
    for claim in claims:
        assert claim["spec"]["volumeName"] == "pvc-" + claim["metadata"]["uid"]
        assert claim["status"]["phase"] == "Bound"


def test_each_pod_counts_for_itself(visits):
    for _ in range(3):
        visit(visits, "app-python-0", 8000)
    visit(visits, "app-python-1", 8000)
    assert count_of(visits, "app-python-0") == "3"
    assert count_of(visits, "app-python-1") == "1"


def test_a_deleted_pod_comes_back_with_its_claim_and_count(visits):
    before = visits.get("pod", "app-python-0")["metadata"]["uid"]
    visits.kubectl("delete", "pod/app-python-0")
    visits.wait_for("app-python-0 is back", lambda: visits.kubectl(
        "get", "pod", "app-python-0", "--ignore-not-found", "-o", "name").strip())
    visits.kubectl("wait", "--for=condition=Ready", "pod/app-python-0", "--timeout=30s")
    assert visits.get("pod", "app-python-0")["metadata"]["uid"] != before
    assert count_of(visits, "app-python-0") == "3"


def test_the_load_balancer_address_and_the_node_port_answer(visits):
    service = visits.get("svc", "app-python-lb")
    address = service["status"]["loadBalancer"]["ingress"][0]["ip"]
    assert address == ADDRESS
    port = service["spec"]["ports"][0]["nodePort"]
    for url in (f"http://{address}:8000/healthz", f"http://{ADDRESS}:{port}/healthz"):
        visits.run("curl", "-fsS", "--max-time", "5", url)


@pytest.fixture(scope="module")
def resolver(machine):
    """The machine's own, for names of the world outside."""
    program = ["/usr/bin/python3", ROOT / "tests/cluster/resolver.py", ADDRESS, "outside.example=198.51.100.7",
               "intranet.corp.example=198.51.100.8"]
    with Follower(machine, program) as running:
        running.until("ready\n")
        yield running


def test_names_are_answered_by_the_clusters_dns(visits):
    name = "app-python-0.app-python.default.svc.cluster.local"
    out = visits.kubectl("exec", "pod/app-python-0", "--", "nslookup", name)
    server, answer = out.split("\n\n")[:2]
    assert re.sub(r"\s+", " ", server) == "Server: 10.96.0.10 Address: 10.96.0.10:53"
    address = visits.get("pod", "app-python-0")["status"]["podIP"]
    assert answer.splitlines() == [f"Name:\t{name}", f"Address: {address}"]


def python(machine, program):
    """What a program in app-python-0 prints: it asks as every program there does, through libc."""
    return machine.kubectl("exec", "pod/app-python-0", "--", "python3", "-c", "import socket\n" + program).split()


def test_plain_names_are_found_by_the_search_path(visits):
    service = visits.get("svc", "app-javascript")["spec"]["clusterIP"]
    pods = {p["metadata"]["name"]: p["status"]["podIP"] for p in visits.get("pods", "-l", "app=app-python")["items"]}
    for name in ("app-javascript", "app-javascript.default", "app-javascript.default.svc"):
        assert python(visits, f"print(socket.gethostbyname('{name}'))") == [service]
    assert sorted(python(visits, "print(*socket.gethostbyname_ex('app-python')[2])")) == sorted(pods.values())
    assert python(visits, "print(socket.gethostbyname('app-python-1.app-python'))") == [pods["app-python-1"]]
    assert python(visits, f"print(socket.gethostbyaddr('{pods['app-python-1']}')[0])") == \
        ["app-python-1.app-python.default.svc.cluster.local"]
    out = visits.kubectl("exec", "pod/app-python-0", "--", "nslookup", "-type=srv",
                         "_http._tcp.app-python.default.svc.cluster.local")
    assert sorted(re.findall(r"service = (\S+ \S+ 8000 \S+)", out)) == [
        f"0 50 8000 app-python-{i}.app-python.default.svc.cluster.local" for i in range(2)]


def test_names_are_answered_over_tcp(visits):
    address = visits.get("svc", "app-javascript")["spec"]["clusterIP"]
    name = "app-javascript.default.svc.cluster.local"
    question = b"\0\x07\x01\0\0\x01" + bytes(6) + b"".join(
        bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\x01\0\x01"
    assert python(visits, f"""
s = socket.create_connection(("10.96.0.10", 53), 10)
s.sendall({len(question).to_bytes(2, "big") + question!r})
n = int.from_bytes(s.recv(2, socket.MSG_WAITALL), "big")
reply = s.recv(n, socket.MSG_WAITALL)
print(reply[:2] == b"\\0\\x07", socket.inet_ntoa(reply[-4:]))
""") == ["True", address]


def test_names_outside_go_to_the_nodes_resolver(visits, resolver):
    assert python(visits, "print(socket.gethostbyname('outside.example'))") == ["198.51.100.7"]
    heard = resolver.until(f"asked outside.example by {ADDRESS}\n")
    # The node's search path is the end of the pod's.
    assert python(visits, "print(socket.gethostbyname('intranet'))") == ["198.51.100.8"]
    out = visits.kubectl("exec", "pod/app-python-0", "--", "nslookup", "nowhere.example", code=1)
    assert "server can't find nowhere.example: NXDOMAIN" in out
    heard += resolver.until(f"asked nowhere.example by {ADDRESS}\n")
    assert "cluster.local" not in heard         # nobody outside hears of the cluster's names


def test_an_exit_code_is_passed_on(visits):
    visits.kubectl("exec", "pod/app-python-0", "--", "sh", "-c", "exit 7", code=7)


def containers(machine):
    return {s["containerID"]: s["restartCount"] for p in machine.get("pods")["items"]
            for s in p["status"]["containerStatuses"]}


@pytest.mark.parametrize("command", ["server", "node", "dns"])
def test_kill_9_stops_no_container_and_starts_none_twice(visits, command):
    before = containers(visits)
    pid = visits.process(command)
    os.kill(pid, signal.SIGKILL)
    visits.wait_for(f"a new {command}", lambda: visits.process(command) not in (None, pid))
    visits.coracle("up")
    visits.wait_for("the API", lambda: "app-python-0" in visits.kubectl("get", "pods", code=None))
    assert visit(visits, "app-python-1", 8000)
    assert containers(visits) == before
    visits.kubectl("exec", "pod/app-python-1", "--", "true")
    name = "app-javascript.default.svc.cluster.local"
    visits.wait_for("names", lambda: visits.get("svc", "app-javascript")["spec"]["clusterIP"] in visits.kubectl(
        "exec", "pod/app-python-1", "--", "nslookup", name, code=None))


def test_down_and_up_again_keeps_everything(visits):
    before = [count_of(visits, f"app-python-{i}") for i in range(2)]
    kinds = "sts,deploy,rs,svc,pvc,pv,sc,cm,sa,ns,no,controllerrevisions,pods"
    objects = {(o["kind"], o["metadata"]["name"]): (o["metadata"]["uid"], o.get("spec", {}).get("clusterIP"),
               [p.get("nodePort") for p in o.get("spec", {}).get("ports", [])]) for o in visits.get(kinds)["items"]}
    visits.coracle("down", timeout=120)
    assert visits.leftovers() == []
    visits.coracle("up")
    visits.kubectl("rollout", "status", "sts/app-python", "--timeout=60s", timeout=90)
    visits.kubectl("wait", "--for=condition=Ready", "pod/app-python-0", "pod/app-python-1", "--timeout=60s",
                   timeout=90)
    assert [count_of(visits, f"app-python-{i}") for i in range(2)] == before
    assert {(o["kind"], o["metadata"]["name"]): (o["metadata"]["uid"], o.get("spec", {}).get("clusterIP"),
            [p.get("nodePort") for p in o.get("spec", {}).get("ports", [])]) for o in visits.get(kinds)["items"]} == objects
    visits.wait_for("the address to answer", lambda: "ok" in visits.run(
        "curl", "-fsS", "--max-time", "5", f"http://{ADDRESS}:8000/healthz", code=None))
