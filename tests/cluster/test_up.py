# SPDX-License-Identifier: Apache-2.0
"""`coracle up` as a whole. Its fixture also checks that `down --purge` leaves nothing behind."""
import json
import pathlib
import stat

import pytest
from machine import CORACLE, ROOT


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


def test_a_server_that_cannot_start_is_said_at_once(machine):
    """A second cluster on the same port: up fails, says where to look, and leaves no process behind."""
    name, data = machine.name + "b", machine.dir / "second"
    try:
        out = machine.run(CORACLE, "up", "--name", name, "--data-dir", data, code=1, timeout=20)
        assert f"did not start; see {data}/log: server: " in out and "in use" in out
        machine.run(CORACLE, "status", "--name", name, code=1)
    finally:
        machine.run(CORACLE, "down", "--name", name, "--data-dir", data, "--purge")
