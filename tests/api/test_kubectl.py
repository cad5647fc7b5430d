# SPDX-License-Identifier: Apache-2.0
"""Real clients against a server without nodes: every kubectl that the machine has, and Debian's 1.20."""
import json
import signal

import pytest
from conftest import KUBECTLS

STATEFULSET = """
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {clusterIP: None, selector: {app: NAME}, ports: [{port: 80, name: http}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: NAME}
spec:
  serviceName: NAME
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers: [{name: c, image: "busybox:1", command: [sleep, "100"]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 3
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers: [{name: c, image: "busybox:1"}]
"""


@pytest.mark.parametrize("which", list(KUBECTLS))
def test_objects_live(cluster, which):
    """Create, read, change, watch out for conflicts, delete: with each client."""
    name = "live-" + which.replace(".", "-")
    k = lambda *a, **kw: cluster.kubectl(*a, which=which, **kw)
    k("create", "configmap", name, "--from-literal=a=1")
    assert name in k("get", "configmaps")
    k("label", "configmap", name, "team=blue")
    k("annotate", "configmap", name, "note=text")
    k("patch", "configmap", name, "--type=merge", "-p", '{"data":{"b":"2"}}')
    k("patch", "configmap", name, "--type=json", "-p", '[{"op":"add","path":"/data/c","value":"3"}]')
    k("patch", "configmap", name, "-p", '{"data":{"d":"4"}}')
    got = json.loads(k("get", "configmap", name, "-o", "json"))
    assert got["data"] == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert got["metadata"]["labels"] == {"team": "blue"}
    assert name in k("get", "configmaps", "-l", "team=blue", "-o", "name")
    assert name not in k("get", "configmaps", "-l", "team=red", "-o", "name")
    assert name in k("get", "configmaps", "--field-selector", f"metadata.name={name}", "-o", "name")
    assert "already exists" in k("create", "configmap", name, fail=True)
    k("delete", "configmap", name)
    assert "NotFound" in k("get", "configmap", name, fail=True)


def test_a_new_cluster_has_what_clients_expect(cluster):
    names = {n["metadata"]["name"] for n in cluster.get("namespaces")["items"]}
    assert names == {"default", "kube-system", "kube-public", "kube-node-lease"}
    cluster.wait("default account", lambda: cluster.get("serviceaccounts")["items"])
    cluster.wait("root CA", lambda: "kube-root-ca.crt" in cluster.kubectl("get", "configmaps"))
    version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]
    assert (version["major"], version["minor"]) == ("1", "36")


def test_discovery_names_the_kinds(cluster):
    out = cluster.kubectl("api-resources")
    for word in ("statefulsets", "deployments", "persistentvolumeclaims", "endpointslices", "sts", "pvc"):
        assert word in out


def test_statefulset_in_order(cluster):
    """Without a node the first pod stays Pending, and so no second one is made; its claim exists."""
    cluster.kubectl("apply", "--validate=false", "-f", "-", input=STATEFULSET.replace("NAME", "ordered"))
    cluster.wait("first pod", lambda: "ordered-0" in cluster.kubectl("get", "pods", "-o", "name"))
    assert "data-ordered-0" in cluster.kubectl("get", "pvc", "-o", "name")
    pod = cluster.get("pod", "ordered-0")
    assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"
    assert pod["spec"]["hostname"] == "ordered-0" and pod["spec"]["subdomain"] == "ordered"
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "data-ordered-0"
    assert "ordered-1" not in cluster.kubectl("get", "pods", "-o", "name")
    uid = pod["metadata"]["uid"]
    cluster.kubectl("delete", "pod", "ordered-0")
    cluster.wait("its successor", lambda: any(
        p["metadata"]["name"] == "ordered-0" and p["metadata"]["uid"] != uid for p in cluster.get("pods")["items"]))
    cluster.kubectl("delete", "statefulset", "ordered")
    cluster.wait("pods gone", lambda: "ordered" not in cluster.kubectl("get", "pods", "-o", "name"))
    assert "data-ordered-0" in cluster.kubectl("get", "pvc", "-o", "name")


def test_deployment_makes_a_replicaset_and_pods(cluster):
    cluster.kubectl("apply", "--validate=false", "-f", "-", input=DEPLOYMENT.replace("NAME", "rolling"))
    pods = lambda: [p for p in cluster.get("pods", "-l", "app=rolling")["items"]]
    cluster.wait("three pods", lambda: len(pods()) == 3)
    cluster.kubectl("scale", "deployment", "rolling", "--replicas=1")
    cluster.wait("one pod", lambda: len(pods()) == 1)
    owner = pods()[0]["metadata"]["ownerReferences"][0]
    assert owner["kind"] == "ReplicaSet" and owner["name"].startswith("rolling-")
    cluster.kubectl("delete", "deployment", "rolling")
    cluster.wait("nothing left", lambda: not pods())


def test_namespace_goes_with_its_content(cluster):
    cluster.kubectl("create", "namespace", "short")
    cluster.kubectl("create", "configmap", "x", "-n", "short")
    cluster.kubectl("delete", "namespace", "short")
    assert "NotFound" in cluster.kubectl("get", "namespace", "short", fail=True)


def test_restart_keeps_everything(cluster):
    """kill -9 loses nothing that was acknowledged; a clean stop neither."""
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    cluster.stop(signal.SIGKILL)
    cluster.launch()
    assert cluster.get("configmap", "kept")["data"] == {"a": "1"}
    assert cluster.stop() == 0
    cluster.launch()
    assert cluster.get("configmap", "kept")["data"] == {"a": "1"}


def test_bad_input_is_named(cluster):
    err = cluster.kubectl("create", "configmap", "Bad_Name", fail=True)
    assert "metadata.name" in err and "Invalid value" in err
    err = cluster.kubectl("apply", "--validate=false", "-f", "-", input='{"apiVersion":"v1","kind":"NoSuchKind","metadata":{"name":"x"}}',
                          fail=True)
    assert "NoSuchKind" in err


FILLED_IN = [
    ("scheduling.k8s.io/v1", "PriorityClass", {"value": 5}, {"preemptionPolicy": "PreemptLowerPriority"}),
    ("autoscaling/v2", "HorizontalPodAutoscaler", {"spec": {
        "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}, {"spec": {
            "minReplicas": 1, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
                "type": "Utilization", "averageUtilization": 80}}}]}}),
    ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}, "egress": [{"ports": [{"port": 53}]}]}}, {"spec": {
        "policyTypes": ["Ingress", "Egress"], "egress": [{"ports": [{"port": 53, "protocol": "TCP"}]}]}}),
]


def holds(whole, part):
    return all(holds(whole[k], v) if isinstance(v, dict) else whole[k] == v for k, v in part.items())


@pytest.mark.parametrize("version,kind,given,wanted", FILLED_IN, ids=[k for _, k, _, _ in FILLED_IN])
def test_what_is_left_out_is_filled_in(cluster, version, kind, given, wanted):
    """kubectl describe counts on it; it fails without."""
    cluster.kubectl("create", "-f", "-", input=json.dumps({
        "apiVersion": version, "kind": kind, "metadata": {"name": "filled"}, **given}))
    assert holds(cluster.get(kind, "filled"), wanted)
    assert "Name: " in cluster.kubectl("describe", kind, "filled")


def test_built_in_objects_can_be_described(cluster):
    for kind in ("priorityclasses", "storageclasses", "clusterroles", "clusterrolebindings", "namespaces", "services"):
        assert "Name:" in cluster.kubectl("describe", kind)
    assert cluster.kubectl("get", "componentstatuses").splitlines()[:2] == [
        "NAME                 STATUS    MESSAGE   ERROR", "scheduler            Healthy   ok        "]
    assert cluster.kubectl("get", "componentstatuses", "etcd-0", "--no-headers").split() == ["etcd-0", "Healthy", "ok"]


HEADERS = {
    "pods": "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED-NODE READINESS-GATES",
    "statefulsets": "NAME READY AGE CONTAINERS IMAGES",
    "deployments": "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR",
    "replicasets": "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR",
    "services": "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
    "pvc": "NAME STATUS VOLUME CAPACITY ACCESS-MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE VOLUMEMODE",
    "storageclasses": "NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE",
    "namespaces": "NAME STATUS AGE",
    "configmaps": "NAME DATA AGE",
}


def test_tables_have_the_columns_people_know(cluster):
    cluster.kubectl("apply", "--validate=false", "-f", "-", input=STATEFULSET.replace("NAME", "shown"))
    cluster.kubectl("apply", "--validate=false", "-f", "-", input=DEPLOYMENT.replace("NAME", "shown-d"))
    cluster.wait("claim", lambda: "data-shown-0" in cluster.kubectl("get", "pvc", "-o", "name"))
    cluster.wait("pods", lambda: "shown-d-" in cluster.kubectl("get", "pods", "-o", "name"))
    for kind, header in HEADERS.items():
        first = cluster.kubectl("get", kind, "-o", "wide").splitlines()[0]
        for two in ("ACCESS MODES", "NOMINATED NODE", "READINESS GATES"):
            first = first.replace(two, two.replace(" ", "-"))
        assert " ".join(first.split()) == header
    row = next(l for l in cluster.kubectl("get", "pods").splitlines() if l.startswith("shown-0"))
    assert row.split()[1:4] == ["0/1", "Pending", "0"]
    assert "standard (default)" in cluster.kubectl("get", "sc")
    claim = next(l for l in cluster.kubectl("get", "pvc").splitlines() if l.startswith("data-shown-0"))
    assert "Pending" in claim and "<unset>" in claim
    assert "10.96.0.10" in cluster.kubectl("get", "svc", "-n", "kube-system")
