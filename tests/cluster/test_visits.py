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


def test_pods_find_each_other_by_name(visits):
    address = visits.get("pod", "app-python-1")["status"]["podIP"]
    out = visits.kubectl("exec", "pod/app-python-0", "--", "nslookup",
                         "app-python-1.app-python.default.svc.cluster.local")
    assert "10.96.0.10" in out and address in out


def test_an_exit_code_is_passed_on(visits):
    visits.kubectl("exec", "pod/app-python-0", "--", "sh", "-c", "exit 7", code=7)


def process(machine, command):
    """The pid of one of the cluster's processes."""
    for proc in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = proc.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"coracle", command.encode()] and str(machine.data).encode() in b" ".join(words):
            return int(proc.parent.name)
    return None


def containers(machine):
    return {s["containerID"]: s["restartCount"] for p in machine.get("pods")["items"]
            for s in p["status"]["containerStatuses"]}


@pytest.mark.parametrize("command", ["server", "node"])
def test_kill_9_stops_no_container_and_starts_none_twice(visits, command):
    before = containers(visits)
    pid = process(visits, command)
    os.kill(pid, signal.SIGKILL)
    visits.wait_for(f"a new {command}", lambda: process(visits, command) not in (None, pid))
    visits.coracle("up")
    visits.wait_for("the API", lambda: "app-python-0" in visits.kubectl("get", "pods", code=None))
    assert visit(visits, "app-python-1", 8000)
    assert containers(visits) == before
    visits.kubectl("exec", "pod/app-python-1", "--", "true")


def test_down_and_up_again_keeps_everything(visits):
    before = [count_of(visits, f"app-python-{i}") for i in range(2)]
    visits.coracle("down", timeout=120)
    assert visits.leftovers() == []
    visits.coracle("up")
    visits.kubectl("rollout", "status", "sts/app-python", "--timeout=60s", timeout=90)
    visits.kubectl("wait", "--for=condition=Ready", "pod/app-python-0", "pod/app-python-1", "--timeout=60s",
                   timeout=90)
    assert [count_of(visits, f"app-python-{i}") for i in range(2)] == before
