# SPDX-License-Identifier: Apache-2.0
"""Small objects for tests, and what is asked about them."""
import json

from machine import IMAGE

# Ends when it is told to, as a good program does: nothing waits for the end of its grace period.
SLEEP = "trap exit TERM; sleep 1000 & wait"


def apply(machine, *objects):
    machine.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def pod(name, command, spec=None, **container):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [
            {"name": "c", "image": IMAGE, "command": ["sh", "-c", command], **container}], **(spec or {})}}


def workload(kind, name, replicas, command=SLEEP, spec=None, pod_spec=None, **container):
    template = pod(name, command, pod_spec, **container)
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]},
        **({"serviceName": name} if kind == "StatefulSet" else {}), **(spec or {})}}


def service(name, port, selects=None, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
        "selector": {"app": selects or name}, "ports": [{"name": "http", "port": port}], **spec}}


def wait(machine, name, jsonpath, value):
    machine.kubectl("wait", f"pod/{name}", f"--for=jsonpath={jsonpath}={value}", "--timeout=30s")


def rolled_out(machine, *names):
    for name in names:
        machine.kubectl("rollout", "status", name, "--timeout=50s")


def status(machine, name):
    return machine.get("pod", name)["status"]


def events(machine, name):
    """Reason to event, of one object."""
    items = machine.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return {e["reason"]: e for e in items}
