# SPDX-License-Identifier: Apache-2.0
"""What test_python_client runs in the server's network: Debian's Python client from end to end."""
import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

config.load_kube_config(sys.argv[1])
api = client.CoreV1Api()
NS = "default"


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"of": "python"}), data=data)


names = [f"py-{i}" for i in range(5)]
for name in names:
    api.create_namespaced_config_map(NS, config_map(name, a="1"))
seen, more, version = [], None, None
while True:
    page = api.list_namespaced_config_map(NS, label_selector="of=python", limit=2, _continue=more)
    assert len(page.items) <= 2
    seen += [c.metadata.name for c in page.items]
    version, more = page.metadata.resource_version, page.metadata._continue
    if not more:
        break
assert seen == names, seen

one = api.read_namespaced_config_map("py-0", NS)
one.data["b"] = "2"
api.replace_namespaced_config_map("py-0", NS, one)
try:
    api.replace_namespaced_config_map("py-0", NS, one)
    sys.exit("an old resourceVersion was taken")
except ApiException as e:
    assert (e.status, e.reason) == (409, "Conflict"), e
api.patch_namespaced_config_map("py-0", NS, {"data": {"a": None}})
assert api.read_namespaced_config_map("py-0", NS).data == {"b": "2"}
api.delete_namespaced_config_map("py-0", NS)

events = []
w = watch.Watch()
for event in w.stream(api.list_namespaced_config_map, NS, label_selector="of=python", resource_version=version,
                      timeout_seconds=30):
    events.append((event["type"], event["object"].metadata.name))
    if event["type"] == "DELETED":
        w.stop()
assert events == [("MODIFIED", "py-0"), ("MODIFIED", "py-0"), ("DELETED", "py-0")], events
api.delete_collection_namespaced_config_map(NS, label_selector="of=python")
assert not api.list_namespaced_config_map(NS, label_selector="of=python").items
print("all of it")
