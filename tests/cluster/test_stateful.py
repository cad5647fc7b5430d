# SPDX-License-Identifier: Apache-2.0
"""The example's JavaScript application: first a Deployment of 3 behind a ClusterIP Service, then a StatefulSet of 3
with claims under the same name. The Service keeps its address."""
import re
import subprocess

from machine import ROOT

JAVASCRIPT = ROOT / "examples/visits/javascript"
ARCHIVE = "/var/cache/coracle/visits/visits-javascript.tar"
NAME = "app-javascript"


def pods(machine):
    return sorted(machine.kubectl("get", "pods", "-l", f"app={NAME}", "-o", "jsonpath={.items[*].metadata.name}").split())


def behind(machine):
    """The pods that the Service's slices have as ready."""
    slices = machine.get("endpointslices", "-l", f"kubernetes.io/service-name={NAME}")["items"]
    return sorted(e["targetRef"]["name"] for s in slices for e in s["endpoints"] or [] if e["conditions"]["ready"])


def visit(machine, host):
    return machine.run("curl", "-fsS", "--max-time", "5", f"http://{host}:3000/").split()[2].rstrip(":")


def test_a_deployment_becomes_a_stateful_set(machine):
    subprocess.run([str(ROOT / "examples/visits/build-images.py"), "javascript"], check=True,
                   stdout=subprocess.DEVNULL, timeout=600)
    machine.coracle("image", "import", ARCHIVE)
    machine.kubectl("apply", "-f", JAVASCRIPT / "k8s")
    machine.kubectl("rollout", "status", f"deploy/{NAME}", "--timeout=50s")
    service = machine.get("svc", NAME)
    address = service["spec"]["clusterIP"]
    assert service["spec"]["type"] == "ClusterIP"
    before = pods(machine)
    assert len(before) == 3 and all(re.fullmatch(rf"{NAME}-[a-z0-9]+-[a-z0-9]{{5}}", p) for p in before)
    machine.wait_for("all in the Service", lambda: behind(machine) == before)
    assert visit(machine, address) in before

    # As the manifest's first lines say.
    line = f"kubectl delete deployment {NAME} && kubectl apply -f javascript/k8s-stateful"
    assert line in (JAVASCRIPT / "k8s-stateful/statefulset.yaml").read_text()
    assert f'deployment.apps "{NAME}" deleted' in machine.kubectl("delete", "deployment", NAME)
    machine.kubectl("apply", "-f", JAVASCRIPT / "k8s-stateful")
    machine.kubectl("rollout", "status", f"sts/{NAME}", "--timeout=50s")
    wanted = [f"{NAME}-{i}" for i in range(3)]
    machine.wait_for("only the set's pods", lambda: pods(machine) == wanted)
    assert machine.get("rs,deploy", "-l", f"app={NAME}")["items"] == []
    claims = {c["metadata"]["name"]: c["status"]["phase"] for c in machine.get("pvc")["items"]}
    assert claims == {f"data-{p}": "Bound" for p in wanted}
    machine.wait_for("all in the Service", lambda: behind(machine) == wanted)
    after = machine.get("svc", NAME)
    assert (after["metadata"]["uid"], after["spec"]["clusterIP"]) == (service["metadata"]["uid"], address)
    assert visit(machine, address) in wanted

    # And now they remember.
    def count():
        return machine.kubectl("exec", f"{NAME}-1", "--", "cat", "/app/data/visits.txt").strip()

    assert visit(machine, machine.get("pod", f"{NAME}-1")["status"]["podIP"]) == f"{NAME}-1"
    counted = count()
    uid = machine.get("pod", f"{NAME}-1")["metadata"]["uid"]
    machine.kubectl("delete", "pod", f"{NAME}-1")
    machine.kubectl("rollout", "status", f"sts/{NAME}", "--timeout=50s")
    assert machine.get("pod", f"{NAME}-1")["metadata"]["uid"] != uid
    assert count() == counted
