# SPDX-License-Identifier: Apache-2.0
"""A Deployment's strategies as a watch sees them: whether pods of the old and of the new kind are there together."""
import json

import pytest
from objects import apply, rolled_out, workload
from terminal import Follower

pytestmark = pytest.mark.usefixtures("image")
FINISHED = ("Succeeded", "Failed")


def is_new(pod):
    return "env" in pod["spec"]["containers"][0]


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


# The second shows that the watch would see it.
@pytest.mark.parametrize("strategy,together", [("Recreate", False), ("RollingUpdate", True)])
def test_old_and_new_pods_at_once(machine, strategy, together):
    name = strategy.lower()
    apply(machine, workload("Deployment", name, 2, spec={"strategy": {"type": strategy}}))
    rolled_out(machine, f"deploy/{name}")
    path = f"/api/v1/namespaces/default/pods?labelSelector=app%3D{name}"
    there = json.loads(machine.kubectl("get", "--raw", path))
    pods = {p["metadata"]["uid"]: p for p in there["items"]}
    old = set(pods)
    assert len(old) == 2 and not any(map(is_new, pods.values()))
    met = False
    watch = f"{path}&watch=true&resourceVersion={there['metadata']['resourceVersion']}"
    with Follower(machine, machine.kubectl_words(["get", "--raw", watch])) as events:
        machine.kubectl("set", "env", f"deploy/{name}", "A=1")
        while old & set(pods) or sum(map(is_ready, pods.values())) < 2:
            event = json.loads(events.until("\n"))
            pod = event["object"]
            if event["type"] == "DELETED":
                del pods[pod["metadata"]["uid"]]
            else:
                pods[pod["metadata"]["uid"]] = pod
            alive = [is_new(p) for p in pods.values() if p["status"]["phase"] not in FINISHED]
            met |= len(set(alive)) == 2
    assert met == together
    assert len(pods) == 2 and all(map(is_new, pods.values()))
