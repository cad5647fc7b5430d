# SPDX-License-Identifier: Apache-2.0
"""What people type beside get and exec: rollouts, diffs, edits, watches, descriptions."""
import json

import pytest
from machine import IMAGE
from objects import apply, rolled_out, service, workload
from terminal import Follower

pytestmark = pytest.mark.usefixtures("image")


def objects_of(machine, name):
    return [p["metadata"]["name"] for p in machine.get("pods", "-l", f"app={name}")["items"]]


@pytest.mark.parametrize("kind,short", [("StatefulSet", "sts"), ("Deployment", "deploy")])
def test_rollout_set_image_restart_history_undo(machine, kind, short):
    name = f"roll-{short}"
    apply(machine, workload(kind, name, 2))
    what = f"{short}/{name}"
    rolled_out(machine, what)
    machine.kubectl("set", "env", what, "A=1")
    rolled_out(machine, what)
    history = machine.kubectl("rollout", "history", what).splitlines()
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["1", "2"]
    assert "A:" in machine.kubectl("rollout", "history", what, "--revision=2")
    machine.kubectl("rollout", "undo", what)
    rolled_out(machine, what)
    assert "env" not in machine.get(what)["spec"]["template"]["spec"]["containers"][0]
    before = {p["metadata"]["uid"] for p in machine.get("pods", "-l", f"app={name}")["items"]}
    machine.kubectl("rollout", "restart", what)
    rolled_out(machine, what)
    machine.wait_for("new pods only", lambda: before.isdisjoint(
        p["metadata"]["uid"] for p in machine.get("pods", "-l", f"app={name}")["items"]))
    assert "restartedAt" in json.dumps(machine.get(what)["spec"]["template"]["metadata"])
    machine.kubectl("set", "image", what, f"c={IMAGE}")     # the same one: nothing to do
    machine.kubectl("delete", what)
    machine.wait_for("its pods gone", lambda: not objects_of(machine, name))


def test_on_delete_waits_for_the_user(machine):
    apply(machine, workload("StatefulSet", "ondelete", 2, spec={
        "updateStrategy": {"type": "OnDelete"}, "podManagementPolicy": "Parallel"}))
    machine.kubectl("wait", "sts/ondelete", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=30s")
    machine.kubectl("set", "env", "sts/ondelete", "A=1")
    machine.kubectl("delete", "pod", "ondelete-0")
    machine.wait_for("both ready", lambda: machine.get("sts", "ondelete")["status"].get("updatedReplicas") == 1
                     and machine.get("sts", "ondelete")["status"].get("readyReplicas") == 2)
    assert "env" in machine.get("pod", "ondelete-0")["spec"]["containers"][0]
    assert "env" not in machine.get("pod", "ondelete-1")["spec"]["containers"][0]


def test_partition_keeps_the_lower_ones(machine):
    apply(machine, workload("StatefulSet", "part", 2, spec={
        "updateStrategy": {"rollingUpdate": {"partition": 1}}, "podManagementPolicy": "Parallel"}))
    rolled_out(machine, "sts/part")
    machine.kubectl("set", "env", "sts/part", "A=1")
    rolled_out(machine, "sts/part")
    assert "env" in machine.get("pod", "part-1")["spec"]["containers"][0]
    assert "env" not in machine.get("pod", "part-0")["spec"]["containers"][0]


def test_recreate_leaves_no_old_one(machine):
    apply(machine, workload("Deployment", "anew", 2, spec={"strategy": {"type": "Recreate"}}))
    rolled_out(machine, "deploy/anew")
    machine.kubectl("set", "env", "deploy/anew", "A=1")
    rolled_out(machine, "deploy/anew")
    pods = machine.get("pods", "-l", "app=anew")["items"]
    assert len(pods) == 2 and all("env" in p["spec"]["containers"][0] for p in pods)


def test_diff_and_edit(machine):
    one = workload("Deployment", "edited", 1)
    apply(machine, one)
    one["spec"]["replicas"] = 2
    text = json.dumps(one)
    out = machine.kubectl("diff", "-f", "-", input=text, code=1)
    assert "\n-  replicas: 1\n" in out and "\n+  replicas: 2\n" in out
    assert machine.get("deploy", "edited")["spec"]["replicas"] == 1
    editor = machine.dir / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i "0,/^  replicas: 1/s//  replicas: 2/" "$1"\n')
    editor.chmod(0o755)
    machine.run("env", f"KUBE_EDITOR={editor}",
                *machine.kubectl_words(["edit", "deploy/edited"]))
    assert machine.get("deploy", "edited")["spec"]["replicas"] == 2
    assert machine.kubectl("diff", "-f", "-", input=text) == ""


def test_watch_shows_events_in_order(machine):
    with Follower(machine, machine.kubectl_words(["get", "cm", "-w", "-l", "of=watch"])) as watch:
        machine.kubectl("create", "configmap", "first")
        machine.kubectl("label", "configmap", "first", "of=watch")
        watch.until("NAME    DATA   AGE\n")
        watch.until("first   0 ")
        machine.kubectl("patch", "configmap", "first", "-p", '{"data":{"a":"1"}}')
        watch.until("first   1 ")
        machine.kubectl("annotate", "configmap", "first", "note=x")
        watch.until("first   1 ")


@pytest.fixture(scope="module")
def example(machine, image):
    apply(machine, service("shown", 80, type="LoadBalancer"), workload("Deployment", "shown-d", 1),
          workload("StatefulSet", "shown", 1, spec={"volumeClaimTemplates": [{
              "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {
                  "requests": {"storage": "16Mi"}}}}]}))
    rolled_out(machine, "sts/shown", "deploy/shown-d")


KINDS = ["po", "sts", "deploy", "rs", "svc", "pvc", "pv", "sc", "no", "ns", "events"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_output_of_each_kind(machine, example, kind):
    names = machine.kubectl("get", kind, "-o", "name").split()
    assert names
    assert machine.kubectl("get", kind, "-o", "wide").count("\n") >= len(names) + 1
    assert machine.kubectl("get", kind, "-o", "yaml").startswith("apiVersion: v1\nitems:\n- ")
    plain = [n.split("/", 1)[1] for n in names]
    assert machine.kubectl("get", kind, "-o", "jsonpath={.items[*].metadata.name}").split() == plain
    columns = machine.kubectl("get", kind, "-o", "custom-columns=N:.metadata.name").split()
    assert columns == ["N"] + plain
    described = machine.kubectl("describe", kind)
    assert "<unknown>" not in described and "rror" not in described
    one = machine.get(kind, "--field-selector", f"metadata.name={plain[0]}", "-A")["items"]
    assert [o["metadata"]["name"] for o in one] == plain[:1]


def test_events_of_a_pod_are_told_in_order(machine, example):
    lines = machine.kubectl("describe", "pod", "shown-0").split("\nEvents:\n")[1].splitlines()[2:]
    assert [line.split()[1] for line in lines] == ["Scheduled", "Pulled", "Created", "Started"]


def test_what_the_cluster_says_of_itself(machine):
    assert "Kubernetes control plane" in machine.kubectl("cluster-info")
    assert "Server Version: v1.36.2" in machine.kubectl("version")
    explained = machine.kubectl("explain", "sts.spec")
    assert "volumeClaimTemplates" in explained and "-required-" in explained
    assert "statefulsets" in machine.kubectl("api-resources", "--api-group=apps", "-o", "name")
