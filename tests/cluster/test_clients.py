# SPDX-License-Identifier: Apache-2.0
"""What people type, with every kubectl that the machine has: tables in every form, and the verbs that change things.
Objects of a test carry the client's name."""
import json
import re

import pytest
from machine import ADDRESS, IMAGE, IMAGE2
from objects import apply, rolled_out, service, workload

pytestmark = pytest.mark.usefixtures("image")

AGE = r"\d+[smh]\S*"
NONE = "<none>"
HASH = r"[0-9a-z]{8,10}"


@pytest.fixture(scope="module")
def example(machine, image):
    """One of each kind that a table is asked of."""
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {
        "requests": {"storage": "16Mi"}}}}
    apply(machine, service("shown", 80, clusterIP="None"), service("shown-lb", 80, "shown", type="LoadBalancer"),
          workload("Deployment", "shown-d", 2), workload("StatefulSet", "shown", 1, spec={"volumeClaimTemplates": [claim]}))
    rolled_out(machine, "sts/shown", "deploy/shown-d")
    machine.wait_for("an address", lambda: machine.get("svc", "shown-lb")["status"]["loadBalancer"].get("ingress"))
    return machine.get("pvc", "data-shown-0")["spec"]["volumeName"]


# What stands under each column; the last ones, behind the |, with -o wide only. {v} is the volume.
TABLES = {
    "po": ("NAME READY STATUS RESTARTS AGE | IP NODE NOMINATED_NODE READINESS_GATES", {
        "shown-0": rf"1/1 Running 0 {AGE} | 10\.244\.0\.\d+ \S+ {NONE} {NONE}",
        f"shown-d-{HASH}-[a-z0-9]{{5}}": rf"1/1 Running 0 {AGE} | 10\.244\.0\.\d+ \S+ {NONE} {NONE}"}),
    "sts": ("NAME READY AGE | CONTAINERS IMAGES", {"shown": f"1/1 {AGE} | c {IMAGE}"}),
    "deploy": ("NAME READY UP-TO-DATE AVAILABLE AGE | CONTAINERS IMAGES SELECTOR", {
        "shown-d": f"2/2 2 2 {AGE} | c {IMAGE} app=shown-d"}),
    "rs": ("NAME DESIRED CURRENT READY AGE | CONTAINERS IMAGES SELECTOR", {
        f"shown-d-{HASH}": f"2 2 2 {AGE} | c {IMAGE} app=shown-d,pod-template-hash={HASH}"}),
    "svc": ("NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE | SELECTOR", {
        "shown": f"ClusterIP None {NONE} 80/TCP {AGE} | app=shown",
        "shown-lb": rf"LoadBalancer 10\.\S+ {ADDRESS} 80:3\d{{4}}/TCP {AGE} | app=shown",
        "kubernetes": rf"ClusterIP 10\.96\.0\.1 {NONE} 443/TCP {AGE} | {NONE}"}),
    "pvc": ("NAME STATUS VOLUME CAPACITY ACCESS_MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE | VOLUMEMODE", {
        "data-shown-0": f"Bound {{v}} 16Mi RWO standard <unset> {AGE} | Filesystem"}),
    "pv": ("NAME CAPACITY ACCESS_MODES RECLAIM_POLICY STATUS CLAIM STORAGECLASS VOLUMEATTRIBUTESCLASS REASON AGE | "
           "VOLUMEMODE", {
               "{v}": f"16Mi RWO Delete Bound default/data-shown-0 standard <unset> {AGE} | Filesystem"}),
    "sc": ("NAME PROVISIONER RECLAIMPOLICY VOLUMEBINDINGMODE ALLOWVOLUMEEXPANSION AGE |", {
        r"standard_\(default\)": rf"local\.coracle\.dev Delete WaitForFirstConsumer true {AGE} |"}),
    "no": ("NAME STATUS ROLES AGE VERSION | INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME", {
        r"\S+": rf"Ready {NONE} {AGE} v1\.36\.2\S* | {ADDRESS} {NONE} \S+ \S+_\(\S+\) crun://\S+"}),
    "ns": ("NAME STATUS AGE |", {"default": f"Active {AGE} |", "kube-system": f"Active {AGE} |"}),
    "ev": ("LAST_SEEN TYPE REASON OBJECT | SUBOBJECT SOURCE | MESSAGE | FIRST_SEEN COUNT NAME", {}),
    "cm": ("NAME DATA AGE |", {"kube-root-ca.crt": f"1 {AGE} |"}),
    "sa": ("NAME AGE |", {"default": f"{AGE} |"}),
    "ep": ("NAME ENDPOINTS AGE |", {"shown": rf"10\.244\.0\.\d+:80 {AGE} |"}),
    "endpointslices": ("NAME ADDRESSTYPE PORTS ENDPOINTS AGE |", {"shown-[a-z0-9]{5}": rf"IPv4 80 10\.244\.0\.\d+ {AGE} |"}),
    "controllerrevisions": ("NAME CONTROLLER REVISION AGE |", {f"shown-{HASH}": rf"statefulset\.apps/shown 1 {AGE} |"}),
}


def lines(text):
    """The cells of each line, blanks within them as _; what the server warns of is no line."""
    return [re.sub(r"(\S) (?=\S)", r"\1_", line).split() for line in text.splitlines()
            if line and not line.startswith("Warning: ")]


def wanted(text, wide):
    parts = text.split("|")
    return " ".join(parts if wide else parts[0::2]).split()


def check_table(table, columns, rows, wide, prefix=""):
    """Columns, and a line that fits each of rows."""
    head, *got = lines(table)
    assert head == wanted(columns, wide)
    for name, cells in rows.items():
        want = " ".join([prefix + name] + wanted(cells, wide))
        assert any(re.fullmatch(want, " ".join(row)) for row in got), f"{want}\n{table}"


def with_volume(rows, volume):
    return {name.replace("{v}", volume): cells.replace("{v}", volume) for name, cells in rows.items()}


def test_tables(kubectl, example):
    for kind, (columns, rows) in TABLES.items():
        check_table(kubectl("get", kind, "-o", "wide"), columns, with_volume(rows, example), True)


def test_tables_of_several_kinds(kubectl, example):
    """All of them at once, as most people see them: each name has its kind before it."""
    text = "".join(line for line in kubectl("get", ",".join(TABLES)).splitlines(True) if not line.startswith("Warning: "))
    tables = text.strip("\n").split("\n\n")
    assert len(tables) == len(TABLES)
    for table, (columns, rows) in zip(tables, TABLES.values()):
        check_table(table, columns, with_volume(rows, example), False, r"[a-z.0-9]+/")


def test_other_forms(kubectl, example):
    """name, json, yaml, jsonpath, columns of one's own, several kinds, all namespaces, selectors, and nothing."""
    names = kubectl("get", "po,svc,sts,pvc", "-o", "name").split()
    assert {"pod/shown-0", "service/shown-lb", "statefulset.apps/shown", "persistentvolumeclaim/data-shown-0"} <= set(names)
    assert json.loads(kubectl("get", "sts", "shown", "-o", "json"))["spec"]["replicas"] == 1
    assert kubectl("get", "sts", "shown", "-o", "yaml").startswith("apiVersion: apps/v1\nkind: StatefulSet\n")
    assert kubectl("get", "pvc", "data-shown-0", "-o", "jsonpath={.spec.volumeName}") == example
    assert kubectl("get", "sts", "shown", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas").split() == \
        ["N", "R", "shown", "1"]
    several = kubectl("get", "po,sts", "-l", "app=shown")
    assert re.search(r"^pod/shown-0 +1/1 +Running", several, re.M) and re.search(r"^statefulset.apps/shown +1/1", several, re.M)
    everywhere = lines(kubectl("get", "svc", "-A"))
    assert everywhere[0][:2] == ["NAMESPACE", "NAME"]
    assert ["default", "shown"] in [r[:2] for r in everywhere] and ["kube-system", "kube-dns"] in [r[:2] for r in everywhere]
    labelled = kubectl("get", "po", "-l", "app in (shown,shown-d),app!=shown-d", "-L", "app", "--show-labels")
    assert len(lines(labelled)) == 2 and lines(labelled)[1][-2:][0] == "shown"
    fields = "spec.nodeName!=,status.phase=Running,metadata.name=shown-0"
    assert kubectl("get", "po", "--field-selector", fields, "-o", "name") == "pod/shown-0\n"
    assert "field label not supported: spec.none" in kubectl("get", "po", "--field-selector", "spec.none=1", code=1)
    assert kubectl("get", "po", "-l", "app=none") == "No resources found in default namespace.\n"
    assert json.loads(kubectl("get", "po", "-l", "app=none", "-o", "json"))["items"] == []
    by_age = lines(kubectl("get", "po", "--sort-by=.metadata.creationTimestamp"))
    assert by_age[0][0] == "NAME" and len(by_age) == 4


def test_watch(kubectl, machine):
    name = f"watched-{kubectl.name}"
    with kubectl.follow("get", "cm", "-w", "-l", f"of={name}") as watch:
        machine.kubectl("create", "configmap", name)
        machine.kubectl("label", "configmap", name, f"of={name}")
        assert lines(watch.until(f"\n{name}   0"))[0] == ["NAME", "DATA", "AGE"]
        machine.kubectl("patch", "configmap", name, "-p", '{"data":{"a":"1"}}')
        watch.until(f"\n{name}   1 ")


DESCRIBED = {
    "po": ["Name: shown-0", "Node: .*/192.0.2.10", "Status: Running", "IP: 10.244.0.", "Controlled By: StatefulSet/shown",
           "Container ID: crun://", "Image ID: .*sha256:", "State: Running", "Ready: True", "Restart Count: 0",
           "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-.* .ro.", "ContainersReady True", "PodScheduled True",
           "Type: Projected", "QoS Class: BestEffort", "node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
           "Normal Scheduled .* default-scheduler Successfully assigned default/shown-0 to ",
           "Normal Pulled .* kubelet Container image", "Normal Created .* kubelet ", "Normal Started .* kubelet "],
    "sts": ["Selector: app=shown", "Replicas: 1 desired | 1 total", "Update Strategy: RollingUpdate", "Partition: 0",
            "Pods Status: 1 Running / 0 Waiting / 0 Succeeded / 0 Failed", "Name: data", "Capacity: 16Mi",
            "Normal SuccessfulCreate .* statefulset-controller "],
    "deploy": ["Annotations: deployment.kubernetes.io/revision: 1",
               "Replicas: 2 desired | 2 updated | 2 total | 2 available | 0 unavailable", "StrategyType: RollingUpdate",
               "RollingUpdateStrategy: 25% max unavailable, 25% max surge", "Available True MinimumReplicasAvailable",
               "Progressing True NewReplicaSetAvailable", "OldReplicaSets: <none>",
               "NewReplicaSet: shown-d-.* .2/2 replicas created.", "Normal ScalingReplicaSet .* deployment-controller Scaled up"],
    "rs": ["Controlled By: Deployment/shown-d", "Replicas: 2 current / 2 desired",
           "Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
           "Normal SuccessfulCreate .* replicaset-controller Created pod: shown-d-"],
    "svc": ["Type: LoadBalancer", "IP Family Policy: SingleStack", f"LoadBalancer Ingress: {ADDRESS}", "NodePort: http 3.*/TCP",
            "Endpoints: 10.244.0.*:80", "Session Affinity: None"],
    "pvc": ["StorageClass: standard", "Status: Bound", "Capacity: 16Mi", "Access Modes: RWO", "Used By: shown-0"],
    "pv": ["Claim: default/data-shown-0", "Reclaim Policy: Delete", "Node Affinity:", "Status: Bound"],
    "sc": ["IsDefaultClass: Yes", "VolumeBindingMode: WaitForFirstConsumer", "AllowVolumeExpansion: True"],
    "no": ["Taints: <none>", "Unschedulable: false", "HolderIdentity:", "Ready True .* KubeletReady", "PodCIDR: 10.244.0.0/24",
           f"InternalIP: {ADDRESS}", "Non-terminated Pods:", "default shown-0 0 .0%.", "Allocated resources:"],
    "ns": ["Name: default", "Status: Active", "No resource quota.", "No LimitRange resource."],
}


def test_describe(kubectl, example):
    for kind, parts in DESCRIBED.items():
        text = re.sub(r"[ \t]+", " ", kubectl("describe", kind))
        for part in parts:
            assert re.search(part.replace("|", r"\|"), text), f"{kind}: {part}\n{text}"
        # Debian's client cannot name a few things that are newer than it is.
        assert "rror" not in text and (kubectl.name == "debian" or "<unknown>" not in text)


def run_with(machine, app):
    """Images and values of A of the pods of app that are to stay."""
    pods = [p for p in machine.get("pods", "-l", f"app={app}")["items"] if "deletionTimestamp" not in p["metadata"]]
    assert all(p["status"]["phase"] == "Running" for p in pods)
    containers = [p["spec"]["containers"][0] for p in pods]
    return {(c["image"], *[v["value"] for v in c.get("env", [])]) for c in containers}


def test_rollouts(kubectl, machine):
    """A StatefulSet and a Deployment go the same way, beside each other."""
    both = {f"{short}/{short}-{kubectl.name}": f"{short}-{kubectl.name}" for short in ("sts", "deploy")}

    def rolled_out_with(*want):
        for what, app in both.items():
            said = kubectl("rollout", "status", what, "--timeout=50s")
            assert re.search("successfully rolled out|roll ?out complete", said)
            assert run_with(machine, app) == {want}

    apply(machine, workload("StatefulSet", both[list(both)[0]], 2), workload("Deployment", both[list(both)[1]], 2))
    rolled_out_with(IMAGE)
    kubectl("set", "image", *both, f"c={IMAGE2}")
    rolled_out_with(IMAGE2)
    assert kubectl("exec", f"sts-{kubectl.name}-0", "--", "cat", "/etc/image") == "2\n"
    kubectl("set", "env", *both, "A=3")
    rolled_out_with(IMAGE2, "3")
    for what in both:
        history = lines(kubectl("rollout", "history", what))
        assert [r[0] for r in history if r[0].isdigit()] == ["1", "2", "3"]
        assert f"Image: {IMAGE2}" in re.sub(r"[ \t]+", " ", kubectl("rollout", "history", what, "--revision=2"))
    kubectl("rollout", "undo", *both, "--to-revision=1")
    rolled_out_with(IMAGE)
    kubectl("rollout", "undo", *both)        # to the one before
    rolled_out_with(IMAGE2, "3")
    before = {p["metadata"]["uid"] for p in machine.get("pods")["items"]}
    kubectl("rollout", "restart", *both)
    rolled_out_with(IMAGE2, "3")
    kubectl("scale", *both, "--replicas=1")
    for what, app in both.items():
        machine.wait_for("a new pod", lambda a=app: before.isdisjoint(
            p["metadata"]["uid"] for p in machine.get("pods", "-l", f"app={a}")["items"]))
        machine.wait_for("one pod", lambda a=app: len(machine.get("pods", "-l", f"app={a}")["items"]) == 1)
    kubectl("delete", *both, "--cascade=foreground")
    for what, app in both.items():
        assert "NotFound" in kubectl("get", what, code=1)
        assert machine.get("pods", "-l", f"app={app}")["items"] == []


def test_changes(kubectl, machine):
    """label, annotate, three patches, apply, diff and edit of one Deployment; an edit while it is rolled out."""
    name = f"c-{kubectl.name}"
    what, one = f"deploy/{name}", workload("Deployment", name, 1)
    kubectl("apply", "-f", "-", input=json.dumps(one))
    kubectl("label", what, "team=blue")
    assert "already has a value" in kubectl("label", what, "team=red", code=1)
    kubectl("label", what, "team=red", "--overwrite")
    kubectl("annotate", what, "note=a", "other=b")
    kubectl("annotate", what, "other-")
    kubectl("patch", what, "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]}]}}}}')
    kubectl("patch", what, "--type=merge", "-p", '{"spec":{"minReadySeconds":0,"revisionHistoryLimit":3}}')
    kubectl("patch", what, "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":1},'
            '{"op":"add","path":"/metadata/labels/json","value":"yes"}]')
    got = machine.get(what)
    assert got["metadata"]["labels"] == {"app": name, "team": "red", "json": "yes"}
    assert (got["metadata"]["annotations"]["note"], got["metadata"]["annotations"].get("other")) == ("a", None)
    container = got["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == IMAGE and container["env"] == [{"name": "A", "value": "1"}]
    assert got["spec"]["revisionHistoryLimit"] == 3

    one["spec"]["replicas"] = 2
    changed = kubectl("diff", "-f", "-", input=json.dumps(one), code=1)
    assert "\n-  replicas: 1\n" in changed and "\n+  replicas: 2\n" in changed
    assert machine.get(what)["spec"]["replicas"] == 1
    kubectl("apply", "-f", "-", input=json.dumps(one))
    assert machine.get(what)["spec"]["replicas"] == 2
    assert kubectl("diff", "-f", "-", input=json.dumps(one)) == ""

    # While the editor is open the object goes on: the edit is a patch, and concerns only what was edited.
    editor = machine.dir / f"editor-{kubectl.name}"
    editor.write_text("#!/bin/sh\n" + " ".join(machine.kubectl_words(["annotate", what, "meanwhile=x"])) + " || exit 1\n"
                      'exec sed -i "0,/^  replicas: 2/s//  replicas: 1/" "$1"\n')
    editor.chmod(0o755)
    assert "edited" in machine.run("env", f"KUBE_EDITOR={editor}", *kubectl.words("edit", what))
    got = machine.get(what)
    assert got["spec"]["replicas"] == 1 and got["metadata"]["annotations"]["meanwhile"] == "x"
    editor.write_text('#!/bin/sh\nexec sed -i "s/^  minReadySeconds:.*//; s/replicas: 1$/replicas: -1/" "$1"\n')
    refused = machine.run("env", f"KUBE_EDITOR={editor}", *kubectl.words("edit", what), code=1)
    assert "spec.replicas" in refused or "is invalid" in refused
    assert machine.get(what)["spec"]["replicas"] == 1
    if kubectl.name not in ("debian", "1-27"):      # they have no such option, or hide it
        scale = lines(kubectl("get", what, "--subresource=scale"))
        assert scale[0] == ["NAME", "DESIRED", "AVAILABLE", "AGE"] and scale[1][:2] == [name, "1"]
    kubectl("delete", what)


def test_wait_and_delete(kubectl, machine):
    name = f"w-{kubectl.name}"
    apply(machine, workload("Deployment", name, 1))
    assert "condition met" in kubectl("wait", f"deploy/{name}", "--for=condition=Available", "--timeout=30s")
    assert "condition met" in kubectl("wait", "pod", "-l", f"app={name}", "--for=condition=Ready", "--timeout=30s")
    assert "timed out waiting for the condition" in kubectl(
        "wait", f"deploy/{name}", "--for=condition=Progressing=False", "--timeout=1s", code=1)
    assert "not found" in kubectl("wait", f"pod/{name}-none", "--for=condition=Ready", "--timeout=5s", code=1)
    pod = machine.get("pods", "-l", f"app={name}")["items"][0]["metadata"]["name"]
    if kubectl.name != "debian":        # it knows conditions and deletes only
        assert "condition met" in kubectl("wait", f"pod/{pod}", "--for=jsonpath={.status.phase}=Running", "--timeout=30s")
    assert f'pod "{pod}" deleted' in kubectl("delete", "pod", pod)
    assert "NotFound" in kubectl("get", "pod", pod, code=1)     # delete has waited until it was gone
    # What is held goes when it is let go, and who waits hears of it.
    apply(machine, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "finalizers": ["test.local/held"]}})
    kubectl("delete", "cm", name, "--wait=false")
    with kubectl.follow("wait", f"cm/{name}", "--for=delete", "--timeout=30s", "-v=6") as waiting:
        waiting.until("watch=true")
        machine.kubectl("patch", "cm", name, "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
        waiting.until("condition met")
        assert waiting.code() == 0
    # Those that nobody owns any more stay.
    kubectl("delete", f"deploy/{name}", "--cascade=orphan")
    kept = [o["metadata"] for o in machine.get("rs,pods", "-l", f"app={name}")["items"]]
    assert len(kept) == 2 and not any(m.get("ownerReferences") for m in kept if not m["name"].count("-") > name.count("-") + 1)
    kubectl("delete", "rs,pods", "-l", f"app={name}", "--now")
    assert machine.get("rs,pods", "-l", f"app={name}")["items"] == []
    assert "not found" in kubectl("delete", f"deploy/{name}", code=1)
    assert kubectl("delete", f"deploy/{name}", "--ignore-not-found") == ""


def test_what_the_cluster_says_of_itself(kubectl):
    assert f"is running at \x1b[0;33mhttps://{ADDRESS}:6443" in kubectl("cluster-info") or \
        f"is running at https://{ADDRESS}:6443" in kubectl("cluster-info")
    assert re.search(r"Server Version: .*v1\.36\.2", kubectl("version"))
    # Behind it some say that they are old.
    assert json.JSONDecoder().raw_decode(kubectl("version", "-o", "json"))[0]["serverVersion"]["minor"] == "36"
    explained = kubectl("explain", "sts.spec")
    for field in (r"volumeClaimTemplates\t<\[\](PersistentVolumeClaim|Object)>", r"podManagementPolicy\t<string>",
                  r"template\t<(PodTemplateSpec|Object)> -required-", r"replicas\t<integer>"):
        assert re.search(field, explained), explained
    assert "whenDeleted" in kubectl("explain", "sts.spec.persistentVolumeClaimRetentionPolicy")
    assert "containers" in kubectl("explain", "pods", "--recursive")
    assert "field \"nonsense\" does not exist" in kubectl("explain", "sts.spec.nonsense", code=1)
    named = kubectl("api-resources", "--api-group=apps", "-o", "name").split()
    assert named == ["controllerrevisions.apps", "daemonsets.apps", "deployments.apps", "replicasets.apps", "statefulsets.apps"]
    short = [r for r in lines(kubectl("api-resources")) if r[0] in ("statefulsets", "persistentvolumeclaims")]
    assert [r[1] for r in short] == ["pvc", "sts"]
    assert {"v1", "apps/v1", "storage.k8s.io/v1"} <= set(kubectl("api-versions").split())


def test_get_events(kubectl, example):
    got = lines(kubectl("get", "events", "--field-selector", "involvedObject.name=shown-0"))
    assert got[0] == ["LAST_SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert {"Scheduled", "Pulled", "Created", "Started"} <= {r[2] for r in got[1:]}
    assert all(re.fullmatch(AGE, r[0]) and r[1] == "Normal" and r[3] == "pod/shown-0" for r in got[1:])
    if kubectl.name != "debian":        # it has no such command
        assert "Scheduled" in kubectl("events", "--for=pod/shown-0")
