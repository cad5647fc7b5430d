# SPDX-License-Identifier: Apache-2.0
"""What test_python_streams runs in the machine's network: Debian's Python client beside a running pod."""
import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

config.load_kube_config(sys.argv[1])
core, apps = client.CoreV1Api(), client.AppsV1Api()
POD, NS = sys.argv[2], "default"


def run(*command, **more):
    return stream(core.connect_get_namespaced_pod_exec, POD, NS, command=list(command), stdout=True, **more)


# exec over a WebSocket: output, errors, input, exit codes.
assert run("echo", "hello", stderr=True, stdin=False, tty=False) == "hello\n"
shell = run("sh", stderr=True, stdin=True, tty=False, _preload_content=False)
for line in ("one", "two"):
    shell.write_stdin(f"echo {line}\n")
    assert shell.readline_stdout(timeout=30) == line
shell.write_stdin("echo bad >&2; exit 3\n")
shell.run_forever(timeout=30)
assert shell.read_stderr() == "bad\n" and shell.returncode == 3, (shell.read_stderr(), shell.returncode)
# It looks at the socket before it looks at what TLS has read: nothing may be left there behind a message.
both = run("sh", "-c", "echo out; echo err >&2", stderr=True, stdin=False, tty=False, _preload_content=False)
while both.is_open():
    both.update(timeout=30)
    assert both.sock.sock is None or both.sock.sock.pending() == 0
assert (both.returncode, both.read_stdout(), both.read_stderr()) == (0, "out\n", "err\n")
try:
    stream(core.connect_get_namespaced_pod_exec, "no-such-pod", NS, command=["true"], stdout=True)
    sys.exit("a pod that is not there was entered")
except ApiException as e:
    assert e.status == 404 or "404" in str(e.reason), e

# A log that is followed while it grows, and what is there already.
assert core.read_namespaced_pod_log(POD, NS, tail_lines=1) == "started\n"
lines = watch.Watch().stream(core.read_namespaced_pod_log, POD, NS)
assert next(lines) == "started"
for i in range(3):
    run("sh", "-c", f"echo tick {i} > /proc/1/fd/1", stderr=True, stdin=False, tty=False)
    assert next(lines) == f"tick {i}"

# A watch goes on behind what was listed: nothing is told twice, nothing is left out.
name = POD.rsplit("-", 1)[0]
listed = apps.list_namespaced_stateful_set(NS)
assert [s.metadata.name for s in listed.items] == [name]
apps.patch_namespaced_stateful_set(name, NS, {"metadata": {"labels": {"round": "1"}}})
apps.patch_namespaced_stateful_set_scale(name, NS, {"spec": {"replicas": 2}})
w, seen = watch.Watch(), []
for event in w.stream(apps.list_namespaced_stateful_set, NS, resource_version=listed.metadata.resource_version,
                      timeout_seconds=30):
    o = event["object"]
    seen.append((event["type"], (o.metadata.labels or {}).get("round"), o.spec.replicas, o.status.ready_replicas))
    if o.status.ready_replicas == 2:
        w.stop()
assert seen[0][:3] == ("MODIFIED", "1", 1) and seen[-1] == ("MODIFIED", "1", 2, 2), seen
assert [s[2] for s in seen] == sorted(s[2] for s in seen), seen
# Three kinds of patch: a list, two kinds of object (the client tells them by their form and by a header).
apps.patch_namespaced_stateful_set(name, NS, [{"op": "replace", "path": "/metadata/labels/round", "value": "2"}])
apps.patch_namespaced_stateful_set(name, NS, {"spec": {"template": {"spec": {"containers": [
    {"name": "c", "env": [{"name": "A", "value": "1"}]}]}}}})
got = apps.read_namespaced_stateful_set(name, NS)
assert got.metadata.labels["round"] == "2"
assert got.spec.template.spec.containers[0].image and got.spec.template.spec.containers[0].env[0].value == "1"
print("all of it")
