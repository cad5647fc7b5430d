# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in pods, as a user sees it."""
import re

import pytest
from objects import apply, events, pod, service, wait, workload

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


def test_crashing_and_missing_images_are_named(machine):
    apply(machine, pod("crashing", "exit 1"), pod("imageless", "true", image="127.0.0.1:1/none:1"))
    machine.wait_for("the back-off", lambda: "CrashLoopBackOff" in row(machine, "crashing"))
    machine.wait_for("the pull's failure", lambda: re.search("ErrImagePull|ImagePullBackOff", row(machine, "imageless")))
    machine.wait_for("its event", lambda: 'Failed to pull image "127.0.0.1:1/none:1": 127.0.0.1:1/none:1: 127.0.0.1:1: '
                     in machine.kubectl("get", "events"))
    machine.wait_for("its event", lambda: "crashing" in events(machine, "crashing").get("BackOff", {}).get("message", ""))


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
