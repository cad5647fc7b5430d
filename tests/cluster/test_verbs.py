# SPDX-License-Identifier: Apache-2.0
"""How StatefulSets and Deployments replace their pods, and what is told about it."""
import pytest
from objects import apply, rolled_out, service, workload

pytestmark = pytest.mark.usefixtures("image")


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


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_pods_begin_one_by_one_or_together(machine, policy):
    """None of them gets ready: only those that do not wait for each other are there."""
    name = policy.lower()
    apply(machine, workload("StatefulSet", name, 3, spec={"podManagementPolicy": policy},
                            readinessProbe={"exec": {"command": ["false"]}}))
    count = 1 if policy == "OrderedReady" else 3
    machine.kubectl("wait", f"sts/{name}", f"--for=jsonpath={{.status.replicas}}={count}", "--timeout=30s")
    machine.kubectl("wait", f"pod/{name}-{count - 1}", "--for=jsonpath={.status.phase}=Running", "--timeout=30s")
    assert len(machine.get("pods", "-l", f"app={name}")["items"]) == count
    machine.kubectl("scale", f"sts/{name}", "--replicas=0")
    machine.wait_for("none", lambda: not machine.get("pods", "-l", f"app={name}")["items"])


def test_partition_keeps_the_lower_ones(machine):
    apply(machine, workload("StatefulSet", "part", 2, spec={
        "updateStrategy": {"rollingUpdate": {"partition": 1}}, "podManagementPolicy": "Parallel"}))
    rolled_out(machine, "sts/part")
    machine.kubectl("set", "env", "sts/part", "A=1")
    rolled_out(machine, "sts/part")
    assert "env" in machine.get("pod", "part-1")["spec"]["containers"][0]
    assert "env" not in machine.get("pod", "part-0")["spec"]["containers"][0]


@pytest.fixture(scope="module")
def example(machine, image):
    apply(machine, service("shown", 80, type="LoadBalancer"), workload("Deployment", "shown-d", 1),
          workload("StatefulSet", "shown", 1, spec={"volumeClaimTemplates": [{
              "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {
                  "requests": {"storage": "16Mi"}}}}]}))
    rolled_out(machine, "sts/shown", "deploy/shown-d")


def test_events_of_a_pod_are_told_in_order(machine, example):
    lines = machine.kubectl("describe", "pod", "shown-0").split("\nEvents:\n")[1].splitlines()[2:]
    assert [line.split()[1] for line in lines] == ["Scheduled", "Pulled", "Created", "Started"]
    # Lists are sorted by name: names of events grow with time.
    about = ["--field-selector", "involvedObject.name=shown-0", "--no-headers", "-o", "custom-columns=R:.reason"]
    assert machine.kubectl("get", "events", *about).split() == ["Scheduled", "Pulled", "Created", "Started"]
