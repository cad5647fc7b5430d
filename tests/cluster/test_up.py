# SPDX-License-Identifier: Apache-2.0
"""`coracle up` and `down` as a whole. Their fixtures also check that `down --purge` leaves nothing behind."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys

import pytest
from machine import CORACLE, ROOT, Machine

LISTEN = "import socket, sys; s = socket.create_server(('', int(sys.argv[1]))); print('there', flush=True); sys.stdin.read()"


@pytest.fixture
def fresh():
    """A machine on which nothing was ever up."""
    m = Machine()
    try:
        yield m
    finally:
        m.close()


def test_up_serves_and_may_be_said_again(machine):
    assert "kube-system" in machine.kubectl("get", "ns")
    before = pathlib.Path(f"/run/coracle/{machine.name}/pid").read_text()
    assert f"export KUBECONFIG={machine.data}/kubeconfig" in machine.coracle("up")
    assert pathlib.Path(f"/run/coracle/{machine.name}/pid").read_text() == before
    assert stat.S_IMODE((machine.data / "kubeconfig").stat().st_mode) == 0o600


def test_status_is_for_programs_too(machine):
    status = json.loads(machine.coracle("status", "-o", "json"))
    assert status["name"] == machine.name and status["running"] and status["dataDir"] == str(machine.data)
    assert pathlib.Path(f"/proc/{status['pid']}/comm").read_text().strip() == "coracle"
    machine.coracle("status", "-o", "xml", code=2)


def test_the_objects_of_the_example_are_accepted_and_planned(machine):
    visits = ROOT / "examples/visits"
    machine.kubectl("apply", "-f", visits / "python/k8s", "-f", visits / "javascript/k8s")
    machine.wait_for("a pod of each", lambda: len(machine.get("pods")["items"]) >= 4)
    names = [p["metadata"]["name"] for p in machine.get("pods")["items"]]
    assert "app-python-0" in names
    machine.kubectl("delete", "sts,deploy,svc,pvc", "--all", "--wait=false")


@pytest.mark.parametrize("args", [["--nonsense"], ["--name"], ["stray"]])
def test_wrong_words_are_told_apart(machine, args):
    out = machine.run(CORACLE, "up", *args, code=2)
    assert out.startswith("coracle up: ")


def test_what_cannot_be_meant_is_told(machine):
    out = machine.run(CORACLE, "up", "--name", "none", "--resolv-conf", "/no-such-file", code=1)
    assert out == "coracle up: --resolv-conf /no-such-file: No such file or directory\n"
    other = machine.dir / "other"
    out = machine.run(CORACLE, "up", "--name", machine.name, "--data-dir", other, code=1)
    assert out == f"coracle up: cluster {machine.name} runs, with another --data-dir than {other}\n"
    assert machine.run(CORACLE, "version", "stray", code=2) == "coracle version: unexpected argument\n"


def test_wrong_words_about_images_are_told(machine):
    assert "want import FILE" in machine.coracle("image", "eat", code=2)
    assert "no-such-file" in machine.coracle("image", "import", "no-such-file", code=1)


def test_a_server_that_cannot_start_is_said_at_once(machine):
    """A second cluster on the same port: up fails, says why and where to look, and leaves no process behind."""
    name, data = machine.name + "b", machine.dir / "second"
    try:
        out = machine.run(CORACLE, "up", "--name", name, "--data-dir", data, code=1, timeout=20)
        assert f"the cluster did not start; see {data}/log: server: 0.0.0.0 port 6443: listen: address already in use" in out
        machine.run(CORACLE, "status", "--name", name, code=1)
    finally:
        machine.run(CORACLE, "down", "--name", name, "--data-dir", data, "--purge")


def test_a_node_that_cannot_start_is_said_at_once(fresh):
    """It was tried again for 30 seconds, and up then knew no reason. Without the obstacle it starts."""
    with fresh.start(sys.executable, "-c", LISTEN, 10250, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "there\n"
        out = fresh.coracle("up", code=1, timeout=20)
        other.stdin.close()
    assert f"did not start; see {fresh.data}/log: node: 0.0.0.0 port 10250: listen: address already in use" in out
    fresh.coracle("status", code=1)
    assert fresh.process("server") is None and fresh.process("node") is None
    assert "is up" in fresh.coracle("up")


def test_down_keeps_what_up_finds_again(fresh):
    fresh.coracle("up")
    assert os.stat(f"/proc/{fresh.process('server')}").st_uid != 0
    fresh.kubectl("create", "configmap", "kept")
    fresh.coracle("down")
    assert fresh.process("server") is None and fresh.process("node") is None
    assert not pathlib.Path("/run/coracle", fresh.name).exists()
    assert "does not run" in fresh.coracle("status", code=1)
    fresh.coracle("up")
    fresh.kubectl("get", "configmap", "kept")
    assert "server: https://" in fresh.coracle("kubeconfig")


def test_a_killed_server_comes_back_with_everything(machine):
    machine.kubectl("create", "configmap", "survivor")
    first = machine.process("server")
    os.kill(first, signal.SIGKILL)
    machine.wait_for("the API answers", lambda: "survivor" in machine.kubectl("get", "configmap", "-o", "name", code=None))
    assert machine.process("server") not in (None, first)


def test_the_node_tells_what_happened_to_it(fresh):
    fresh.coracle("up")

    def told(**fields):
        selector = ",".join(f"{k}={v}" for k, v in {"involvedObject.kind": "Node", **fields}.items())
        return fresh.get("events", "--field-selector", selector)["items"]

    node = fresh.get("nodes")["items"][0]["metadata"]["name"]
    mine = [e["reason"] for e in fresh.wait_for("the node is ready", lambda: [
        e for e in told(source="kubelet")] if told(reason="NodeReady") else None)]
    first = ["Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady"]
    assert mine == first
    registered = told(reason="RegisteredNode")[0]
    assert registered["message"] == f"Node {node} event: Registered Node {node} in Controller"
    assert registered["source"]["component"] == "node-controller"
    since = ready_since(fresh)
    described = fresh.kubectl("describe", "node", node)
    assert all(reason in described.split("\nEvents:\n")[1] for reason in [*first, "RegisteredNode"])
    fresh.coracle("down")
    fresh.coracle("up")
    fresh.wait_for("another start", lambda: len(told(reason="Starting")) == 2)
    assert len(told(reason="NodeReady")) == 1 and ready_since(fresh) == since


def ready_since(machine):
    conditions = machine.get("nodes")["items"][0]["status"]["conditions"]
    return next(c["lastTransitionTime"] for c in conditions if c["type"] == "Ready" and c["status"] == "True")
