# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in pods, as a user sees it."""
import re

import pytest
from objects import SLEEP, apply, pod, rolled_out, service, wait, workload
from terminal import Follower

pytestmark = pytest.mark.usefixtures("image")


def row(machine, name):
    return machine.kubectl("get", "pod", name, "--no-headers")


def test_restarts_say_how_many_and_when(machine):
    probe = {"exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    apply(machine, pod("restarted", "touch /tmp/ok; exec sleep 1000", livenessProbe=probe))
    wait(machine, "restarted", "{.status.phase}", "Running")
    machine.kubectl("exec", "restarted", "--", "sh", "-c", "until [ -e /tmp/ok ]; do :; done; rm /tmp/ok")
    wait(machine, "restarted", "{.status.containerStatuses[0].restartCount}", "1")
    assert re.search(r" 1 \(\d+s ago\) ", row(machine, "restarted"))


def watched(machine, name):
    return Follower(machine, machine.kubectl_words(["get", "pod", "-w", "--field-selector", f"metadata.name={name}"]))


def described(machine, name):
    """Type, reason and message of each event, as describe tells them."""
    text = machine.kubectl("describe", "pod", name).split("\nEvents:\n")[1]
    rows = [re.split(r" {2,}", line.strip(), maxsplit=4) for line in text.splitlines()[2:]]
    return [(r[0], r[1], r[4]) for r in rows if len(r) == 5]


def test_a_crashing_one_backs_off(machine):
    with watched(machine, "crashing") as table:
        apply(machine, pod("crashing", "echo why; exit 1"))
        seen = table.until("CrashLoopBackOff")
        row_of_it = (seen.splitlines()[-1] + table.until("\n")).strip()
        assert re.fullmatch(r"crashing +0/1 +CrashLoopBackOff +1 \(\d+s ago\) +\d+s", row_of_it), row_of_it
    told = machine.wait_for("the event", lambda: [e for e in described(machine, "crashing") if e[1] == "BackOff"])
    assert told[0][0] == "Warning" and re.search(r"ack-off restarting failed container c in pod crashing_default\(", told[0][2])
    text = re.sub(r" +", " ", machine.kubectl("describe", "pod", "crashing"))
    assert "State: Waiting\n Reason: CrashLoopBackOff" in text
    assert "Last State: Terminated\n Reason: Error\n Exit Code: 1" in text
    assert machine.kubectl("logs", "crashing", "--previous") == "why\n"


def test_a_missing_image_is_named(machine):
    with watched(machine, "imageless") as table:
        apply(machine, pod("imageless", "true", image="127.0.0.1:1/none:1"))
        table.until("0/1     ErrImagePull ")
        table.until("0/1     ImagePullBackOff ")
    told = machine.wait_for("the events", lambda: {
        r: m for t, r, m in described(machine, "imageless") if t == "Warning" or r in ("Pulling", "BackOff")})
    assert told["Pulling"] == 'Pulling image "127.0.0.1:1/none:1"'
    failed = [m for t, r, m in described(machine, "imageless") if (t, r) == ("Warning", "Failed")]
    assert any(m.startswith('Failed to pull image "127.0.0.1:1/none:1": 127.0.0.1:1/none:1: 127.0.0.1:1: ')
               for m in failed), failed
    machine.wait_for("the back-off's event", lambda: any(
        r == "BackOff" and 'ack-off pulling image "127.0.0.1:1/none:1"' in m for _, r, m in described(machine, "imageless")))


def test_who_is_not_ready_leaves_the_service_and_stops_the_rollout(machine):
    probe = {"exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    apply(machine, service("gate", 80), workload("StatefulSet", "gate", 2, readinessProbe=probe))
    wait(machine, "gate-0", "{.status.phase}", "Running")

    def ready():
        slices = machine.get("endpointslices", "-l", "kubernetes.io/service-name=gate")["items"]
        return [e["targetRef"]["name"] for s in slices for e in s["endpoints"] or [] if e["conditions"]["ready"]]

    assert ready() == [] and "gate-1" not in machine.kubectl("get", "pods", "-o", "name")
    machine.kubectl("exec", "gate-0", "--", "touch", "/tmp/ok")
    machine.wait_for("the second pod", lambda: "gate-1" in machine.kubectl("get", "pods", "-o", "name"))
    machine.wait_for("the first in the Service", lambda: ready() == ["gate-0"])
    machine.kubectl("exec", "gate-0", "--", "rm", "/tmp/ok")
    machine.wait_for("an empty Service", lambda: ready() == [])
    assert machine.kubectl("get", "pod", "gate-0").splitlines()[1].split()[:3] == ["gate-0", "0/1", "Running"]


def test_who_does_not_get_ready_stops_an_ordered_update(machine):
    probe = {"exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    apply(machine, workload("StatefulSet", "halted", 2, f"[ $A ] || touch /tmp/ok; {SLEEP}", readinessProbe=probe))
    rolled_out(machine, "sts/halted")
    kept = machine.get("pod", "halted-0")["metadata"]["uid"]
    machine.kubectl("set", "env", "sts/halted", "A=1")
    machine.wait_for("the last one anew", lambda: machine.get("sts", "halted")["status"].get("updatedReplicas") == 1)
    wait(machine, "halted-1", "{.status.phase}", "Running")
    assert "timed out waiting for the condition" in machine.kubectl(
        "rollout", "status", "sts/halted", "--timeout=2s", code=1)
    assert machine.get("pod", "halted-0")["metadata"]["uid"] == kept
    machine.kubectl("exec", "halted-1", "--", "touch", "/tmp/ok")
    machine.wait_for("its turn", lambda: machine.get("sts", "halted")["status"].get("updatedReplicas") == 2)
