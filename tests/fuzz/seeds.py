#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds that come from tests/vectors: one object of every kind with every field set.

    seeds.py VECTORS_DIR OUT_DIR STAMP_FILE
"""
import json
import sys
from pathlib import Path

# The vectors' names begin with an API group, types with its short form.
GROUPS = {"admission.k8s.io": "admission", "admissionregistration.k8s.io": "admissionregistration",
          "apidiscovery.k8s.io": "apidiscovery", "authentication.k8s.io": "authentication",
          "authorization.k8s.io": "authorization", "certificates.k8s.io": "certificates",
          "coordination.k8s.io": "coordination", "discovery.k8s.io": "discovery",
          "events.k8s.io": "events", "flowcontrol.apiserver.k8s.io": "flowcontrol",
          "networking.k8s.io": "networking", "node.k8s.io": "node",
          "rbac.authorization.k8s.io": "rbac", "resource.k8s.io": "resource",
          "scheduling.k8s.io": "scheduling", "storage.k8s.io": "storage"}
# What the API has tests of its own for; the paths of the others are in seeds/api.
CREATED = {"core.v1.ConfigMap": "/api/v1/namespaces/default/configmaps",
           "core.v1.Pod": "/api/v1/namespaces/default/pods",
           "core.v1.Secret": "/api/v1/namespaces/default/secrets",
           "core.v1.Service": "/api/v1/namespaces/default/services",
           "core.v1.PersistentVolume": "/api/v1/persistentvolumes",
           "core.v1.PersistentVolumeClaim": "/api/v1/namespaces/default/persistentvolumeclaims",
           "core.v1.Node": "/api/v1/nodes",
           "core.v1.Namespace": "/api/v1/namespaces",
           "apps.v1.Deployment": "/apis/apps/v1/namespaces/default/deployments",
           "apps.v1.StatefulSet": "/apis/apps/v1/namespaces/default/statefulsets"}
PATCHED = ("core.v1.Pod", "core.v1.Service", "apps.v1.StatefulSet")


def type_name(vector):
    group, version, kind = vector.rsplit(".", 2)
    return f"{GROUPS.get(group, group)}.{version}.{kind}"


def small(text):
    return json.dumps(json.loads(text), separators=(",", ":")).encode()


def renamed(text, name):
    """The object as a client would send it: a valid name, nothing that the server sets."""
    obj = json.loads(text)
    for key in ("namespace", "uid", "resourceVersion", "deletionTimestamp", "ownerReferences",
                "deletionGracePeriodSeconds", "generateName", "managedFields", "finalizers"):
        obj["metadata"].pop(key, None)
    obj["metadata"]["name"] = name
    return json.dumps(obj, separators=(",", ":")).encode()


def main():
    vectors, out, stamp = map(Path, sys.argv[1:4])
    made = 0
    # Every target has a folder here, most of them an empty one.
    for folder in (Path(__file__).parent / "seeds").iterdir():
        (out / folder.name).mkdir(parents=True, exist_ok=True)

    def put(target, name, data):
        nonlocal made
        (out / target / name).write_bytes(data)
        made += 1

    for path in sorted(vectors.glob("*.json")):
        name, text = type_name(path.stem), path.read_bytes()
        proto = path.with_suffix(".pb").read_bytes()
        put("json", path.stem, name.encode() + b"\n" + small(text))
        put("proto", path.stem, name.encode() + b"\n" + proto)
        if path.stem in CREATED:
            put("tree", path.stem, small(text))
            put("yaml", path.stem, text)
            collection = CREATED[path.stem].encode()
            put("api", path.stem, b"POST " + collection + b"\ncontent-type: application/json\n\n" +
                renamed(text, "a") + b"\n%%\nGET " + collection + b"/a\n\n")
            put("api", path.stem + ".pb", b"POST " + collection +
                b"\ncontent-type: application/vnd.kubernetes.protobuf\n"
                b"accept: application/vnd.kubernetes.protobuf\n\n" + proto)
        if path.stem in PATCHED:
            changed = small(text).replace(b"Value", b"Other")
            for kind in ("merge", "strategic"):
                put("patch", f"{path.stem}.{kind}", b"\n".join(
                    (name.encode(), kind.encode(), changed, small(text))))
    if not made:
        sys.exit(f"seeds.py: no vectors in {vectors}")
    stamp.write_text(f"{made}\n")


if __name__ == "__main__":
    main()
