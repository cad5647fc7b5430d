# SPDX-License-Identifier: Apache-2.0
"""Pods on real containers, as kubectl sees them: starts and ends, probes, volumes, claims, what a killed agent
finds again. Each test has names of its own, so they may run in any order."""
import os
import pathlib
import signal
import subprocess

import pytest
from machine import IMAGE
from objects import apply, events, pod, status, wait


pytestmark = pytest.mark.usefixtures("image")


@pytest.mark.parametrize("name,command,policy,phase,code,reason", [
    ("good", "true", "Never", "Succeeded", 0, "Completed"),
    ("bad", "exit 3", "Never", "Failed", 3, "Error"),
    ("good-onfailure", "true", "OnFailure", "Succeeded", 0, "Completed"),
])
def test_ends(machine, name, command, policy, phase, code, reason):
    apply(machine, pod(name, command, {"restartPolicy": policy}))
    wait(machine, name, "{.status.phase}", phase)
    s = status(machine, name)
    ended = s["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)
    ready = next(c for c in s["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "False"
    assert ready["reason"] == ("PodCompleted" if phase == "Succeeded" else "PodFailed")
    assert "message" not in ready       # of the time when it was not ready


def test_output_is_complete_and_message_exact(machine):
    apply(machine, pod("says", "printf DONE > /dev/termination-log; for i in $(seq 1000); do echo line $i; done",
                       {"restartPolicy": "Never"}))
    wait(machine, "says", "{.status.phase}", "Succeeded")
    assert machine.kubectl("logs", "says").splitlines() == [f"line {i}" for i in range(1, 1001)]
    assert status(machine, "says")["containerStatuses"][0]["state"]["terminated"]["message"] == "DONE"


def test_init_containers_and_shared_volume(machine):
    mount = [{"name": "e", "mountPath": "/e"}]
    apply(machine, pod("inits", "cat /e/a", {"restartPolicy": "Never", "volumes": [{"name": "e", "emptyDir": {}}],
          "initContainers": [{"name": n, "image": IMAGE, "command": ["sh", "-c", f"echo {n} >> /e/a"],
                              "volumeMounts": mount} for n in ("one", "two")]}, volumeMounts=mount))
    wait(machine, "inits", "{.status.phase}", "Succeeded")
    assert machine.kubectl("logs", "inits", "-c", "c") == "one\ntwo\n"
    assert [s["ready"] for s in status(machine, "inits")["initContainerStatuses"]] == [True, True]


def test_variables(machine):
    apply(machine, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vars"}, "data": {"K": "v"}},
          pod("variables", "echo $A $IP $HOSTNAME $KUBERNETES_SERVICE_HOST", {"restartPolicy": "Never"},
              envFrom=[{"prefix": "P_", "configMapRef": {"name": "vars"}}], env=[
                  {"name": "A", "value": "$(P_K)-$$(P_K)-$(NONE)"},
                  {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]))
    wait(machine, "variables", "{.status.phase}", "Succeeded")
    ip = status(machine, "variables")["podIP"]
    assert machine.kubectl("logs", "variables") == f"v-$(P_K)-$(NONE) {ip} variables 10.96.0.1\n"


def test_a_missing_config_map_holds_the_pod_until_it_comes(machine):
    apply(machine, pod("patient", "sleep 1000", envFrom=[{"configMapRef": {"name": "later"}}]))
    wait(machine, "patient", "{.status.containerStatuses[0].state.waiting.reason}", "CreateContainerConfigError")
    waiting = status(machine, "patient")["containerStatuses"][0]["state"]["waiting"]
    assert waiting["message"] == 'configmap "later" not found'
    machine.kubectl("create", "configmap", "later", "--from-literal=A=B")
    wait(machine, "patient", "{.status.phase}", "Running")


def test_a_pod_that_does_not_start_at_once_says_so(machine):
    apply(machine, pod("held", "sleep 1000", {"volumes": [{"name": "v", "configMap": {"name": "nowhere"}}]},
                       volumeMounts=[{"name": "v", "mountPath": "/v"}]))
    wait(machine, "held", "{.status.containerStatuses[0].state.waiting.reason}", "ContainerCreating")
    assert status(machine, "held")["hostIP"] and status(machine, "held")["startTime"]


def test_volumes_follow_their_objects(machine):
    apply(machine, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "follow"}, "data": {"a": "1"}},
          {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"pw": "x"}},
          pod("follows", "sleep 1000", {"volumes": [
              {"name": "cm", "configMap": {"name": "follow"}},
              {"name": "s", "secret": {"secretName": "hidden", "defaultMode": 0o400}}]},
              volumeMounts=[{"name": "cm", "mountPath": "/cm"}, {"name": "s", "mountPath": "/s"},
                            {"name": "cm", "mountPath": "/one", "subPath": "a"}]))
    wait(machine, "follows", "{.status.phase}", "Running")
    assert machine.kubectl("exec", "follows", "--", "cat", "/cm/a", "/s/pw", "/one") == "1x1"
    assert machine.kubectl("exec", "follows", "--", "stat", "-L", "-c", "%a", "/s/pw") == "400\n"
    assert "tmpfs" in machine.kubectl("exec", "follows", "--", "sh", "-c", "grep ' /s ' /proc/mounts")
    machine.kubectl("patch", "configmap", "follow", "-p", '{"data":{"a":null,"b":"2"}}')
    machine.wait_for("new content", lambda: machine.kubectl("exec", "follows", "--", "ls", "/cm") == "b\n")
    assert machine.kubectl("exec", "follows", "--", "cat", "/one") == "1"


def test_service_account(machine):
    apply(machine, pod("account", "sleep 1000"))
    wait(machine, "account", "{.status.phase}", "Running")
    where = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert machine.kubectl("exec", "account", "--", "cat", f"{where}/namespace") == "default"
    assert machine.kubectl("exec", "account", "--", "cat", f"{where}/token").count(".") == 2
    assert "BEGIN CERTIFICATE" in machine.kubectl("exec", "account", "--", "cat", f"{where}/ca.crt")


def test_liveness_restarts_and_readiness_follows(machine):
    probe = {"exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    apply(machine, pod("probed", "touch /tmp/ok; trap 'exit 0' TERM; while :; do sleep 0.1; done",
                       livenessProbe=probe, readinessProbe=probe))
    machine.kubectl("wait", "pod/probed", "--for=condition=Ready", "--timeout=30s")
    machine.kubectl("exec", "probed", "--", "rm", "/tmp/ok")
    wait(machine, "probed", "{.status.containerStatuses[0].restartCount}", "1")
    machine.kubectl("wait", "pod/probed", "--for=condition=Ready", "--timeout=30s")
    assert {"Unhealthy", "Killing"} <= set(events(machine, "probed"))


def test_crash_loop(machine):
    apply(machine, pod("crash", "echo run; exit 1"))
    wait(machine, "crash", "{.status.containerStatuses[0].state.waiting.reason}", "CrashLoopBackOff")
    s = status(machine, "crash")["containerStatuses"][0]
    assert s["restartCount"] == 1 and s["lastState"]["terminated"]["exitCode"] == 1
    assert status(machine, "crash")["phase"] == "Running"
    assert machine.kubectl("logs", "crash", "--previous") == "run\n"
    assert "BackOff" in events(machine, "crash")


def test_image_that_is_not_there(machine):
    apply(machine, {**pod("noimage", "true"), "spec": {"containers": [
        {"name": "c", "image": IMAGE + "-none", "imagePullPolicy": "Never"},
        {"name": "d", "image": "UPPER:x:y"}]}})
    wait(machine, "noimage", "{.status.containerStatuses[0].state.waiting.reason}", "ErrImageNeverPull")
    wait(machine, "noimage", "{.status.containerStatuses[1].state.waiting.reason}", "InvalidImageName")
    assert status(machine, "noimage")["phase"] == "Pending"


def test_hooks_and_graceful_end(machine):
    mount = [{"name": "e", "mountPath": "/e"}]
    out = machine.dir / "hooks"
    out.mkdir()
    out.chmod(0o777)
    apply(machine, pod("hooked", "trap 'echo term >> /e/log; exit 0' TERM; while :; do sleep 0.1; done",
                       {"terminationGracePeriodSeconds": 20, "volumes": [{"name": "e", "hostPath": {"path": str(out)}}]},
                       volumeMounts=mount, lifecycle={
                           "postStart": {"exec": {"command": ["sh", "-c", "echo start >> /e/log"]}},
                           "preStop": {"exec": {"command": ["sh", "-c", "echo stop >> /e/log"]}}}))
    wait(machine, "hooked", "{.status.phase}", "Running")
    machine.kubectl("delete", "pod", "hooked", "--timeout=15s")
    assert (out / "log").read_text() == "start\nstop\nterm\n"


def test_users_and_groups(machine):
    apply(machine, pod("user", "id -u; id -g; id -G; stat -c %g /e; touch /root-only 2>&1", {
        "restartPolicy": "Never", "securityContext": {"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000},
        "volumes": [{"name": "e", "emptyDir": {}}]}, volumeMounts=[{"name": "e", "mountPath": "/e"}]))
    machine.wait_for("its end", lambda: status(machine, "user").get("phase") in ("Failed", "Succeeded"))
    lines = machine.kubectl("logs", "user").splitlines()
    assert lines[:2] == ["1000", "2000"] and "3000" in lines[2].split() and lines[3] == "3000"
    assert "Permission denied" in lines[4]


def test_non_root_is_refused_with_a_reason(machine):
    apply(machine, pod("rootless", "true", {"securityContext": {"runAsNonRoot": True}}))
    wait(machine, "rootless", "{.status.containerStatuses[0].state.waiting.reason}", "CreateContainerConfigError")
    assert "image will run as root" in status(machine, "rootless")["containerStatuses"][0]["state"]["waiting"]["message"]


def test_sub_path_cannot_leave_the_volume(machine):
    mounts = [{"name": "e", "mountPath": "/e"}]
    apply(machine, pod("escape", "ls /out", {
        "restartPolicy": "Never", "volumes": [{"name": "e", "emptyDir": {}}],
        "initContainers": [{"name": "i", "image": IMAGE, "command": ["sh", "-c", "ln -s /etc /e/link"],
                            "volumeMounts": mounts}]},
        volumeMounts=[{"name": "e", "mountPath": "/out", "subPath": "link"}]))
    machine.wait_for("an end or a refusal", lambda: status(machine, "escape").get("phase") == "Succeeded" or
                     "waiting" in str(status(machine, "escape").get("containerStatuses")))
    assert "shadow" not in machine.kubectl("logs", "escape", "-c", "c", code=None)


def test_image_volume(machine):
    apply(machine, pod("imagevolume", "ls /v; touch /v/x", {"restartPolicy": "Never", "volumes": [
        {"name": "v", "image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}}]},
        volumeMounts=[{"name": "v", "mountPath": "/v"}]))
    wait(machine, "imagevolume", "{.status.phase}", "Failed")
    log = machine.kubectl("logs", "imagevolume")
    assert log.startswith("bin\netc\n") and "Read-only file system" in log
    # What was mounted goes with the pod, or the machine's end finds it.
    machine.kubectl("delete", "pod", "imagevolume")


def test_sidecar(machine):
    mounts = [{"name": "e", "mountPath": "/e"}]
    apply(machine, pod("sidecar", "cat /e/up", {"restartPolicy": "Never", "volumes": [{"name": "e", "emptyDir": {}}],
          "initContainers": [{
              "name": "s", "restartPolicy": "Always", "image": IMAGE, "volumeMounts": mounts, "command": [
                  "sh", "-c", "trap 'echo ended; exit 0' TERM; echo up > /e/up; while :; do sleep 0.1; done"],
              "startupProbe": {"exec": {"command": ["cat", "/e/up"]}, "periodSeconds": 1}}]}, volumeMounts=mounts))
    wait(machine, "sidecar", "{.status.phase}", "Succeeded")
    assert machine.kubectl("logs", "sidecar", "-c", "c") == "up\n"
    assert machine.kubectl("logs", "sidecar", "-c", "s") == "ended\n"


def test_ports_by_name_ephemeral_containers_and_a_shared_process_namespace(machine):
    two = pod("two", "echo hi > /tmp/index.html; exec httpd -f -p 8080 -h /tmp", {"shareProcessNamespace": True},
              ports=[{"name": "web", "containerPort": 8080}],
              readinessProbe={"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 1},
              livenessProbe={"tcpSocket": {"port": "web"}})
    two["spec"]["containers"].append({"name": "d", "image": IMAGE, "command": ["sleep", "1000"]})
    apply(machine, two)
    machine.kubectl("wait", "pod/two", "--for=condition=Ready", "--timeout=30s")
    assert "httpd" in machine.kubectl("exec", "two", "-c", "d", "--", "ps")
    machine.kubectl("debug", "two", f"--image={IMAGE}", "-c", "look", "--", "sh", "-c", "echo looking")
    wait(machine, "two", "{.status.ephemeralContainerStatuses[0].state.terminated.exitCode}", "0")
    assert machine.kubectl("logs", "two", "-c", "look") == "looking\n"


def test_deadline(machine):
    apply(machine, pod("late", "sleep 1000", {"activeDeadlineSeconds": 1}))
    wait(machine, "late", "{.status.phase}", "Failed")
    assert status(machine, "late")["reason"] == "DeadlineExceeded"


def test_host_port_taken(machine):
    ports = [{"containerPort": 80, "hostPort": 8099}]
    apply(machine, pod("first", "sleep 1000", ports=ports))
    wait(machine, "first", "{.status.phase}", "Running")
    node = machine.get("pod", "first")["spec"]["nodeName"]
    apply(machine, pod("second", "sleep 1000", {"nodeName": node}, ports=ports))
    wait(machine, "second", "{.status.phase}", "Failed")
    assert status(machine, "second")["reason"] == "NodePorts"


def claim(name, size):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}


def test_claim_keeps_data_has_its_size_grows_and_goes(machine):
    user = pod("keeper", "sleep 1000", {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "kept"}}]},
               volumeMounts=[{"name": "d", "mountPath": "/d"}])
    apply(machine, claim("kept", "16Mi"), user)
    wait(machine, "keeper", "{.status.phase}", "Running")
    machine.kubectl("exec", "keeper", "--", "sh", "-c", "echo here > /d/x")
    full = machine.kubectl("exec", "keeper", "--", "sh", "-c", "dd if=/dev/zero of=/d/big bs=1M count=32 2>&1; rm /d/big")
    assert "No space left" in full
    machine.kubectl("patch", "pvc", "kept", "-p", '{"spec":{"resources":{"requests":{"storage":"48Mi"}}}}')
    # Where the kernel does not let a mounted one grow (no CAP_SYS_RESOURCE), the next mount does it.
    machine.kubectl("delete", "pod", "keeper")
    apply(machine, user)
    wait(machine, "keeper", "{.status.phase}", "Running")
    machine.kubectl("wait", "pvc/kept", "--for=jsonpath={.status.capacity.storage}=48Mi", "--timeout=30s")
    assert machine.kubectl("exec", "keeper", "--", "cat", "/d/x") == "here\n"
    volume = machine.get("pvc", "kept")["spec"]["volumeName"]
    data = machine.data / "node/volumes" / volume
    assert data.is_dir()
    machine.kubectl("delete", "pvc", "kept", "--wait=false")
    assert data.is_dir()                # a pod uses it
    machine.kubectl("delete", "pod", "keeper")
    machine.kubectl("wait", f"pv/{volume}", "--for=delete", "--timeout=30s", code=None)
    machine.wait_for("the data gone", lambda: not data.exists())


def test_a_volume_is_made_before_a_pod_needs_it(machine):
    at_once = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "at-once"},
               "provisioner": "local.coracle.dev", "volumeBindingMode": "Immediate"}
    early = claim("early", "16Mi")
    early["spec"]["storageClassName"] = "at-once"
    apply(machine, at_once, early)
    machine.kubectl("wait", "pvc/early", "--for=jsonpath={.status.phase}=Bound", "--timeout=30s")
    volume = machine.get("pvc", "early")["spec"]["volumeName"]
    size = machine.data / "node/volumes" / volume / "size"
    machine.wait_for("the file system", lambda: size.exists() and size.read_text() == str(16 << 20))
    machine.kubectl("delete", "pvc", "early")
    machine.wait_for("the data gone", lambda: not size.parent.exists())


def test_killed_agent_finds_everything_again(machine):
    apply(machine, pod("survivor", "sleep 1000"), pod("ender", "while ! [ -e /tmp/end ]; do sleep 0.05; done",
                                                      {"restartPolicy": "Never"}))
    for name in ("survivor", "ender"):
        wait(machine, name, "{.status.phase}", "Running")
    before = status(machine, "survivor")["containerStatuses"][0]["containerID"]
    pid = machine.process("node")
    machine.kubectl("exec", "ender", "--", "sh", "-c", "(sleep 0.3; touch /tmp/end) &")
    os.kill(pid, signal.SIGKILL)
    machine.wait_for("another agent", lambda: machine.process("node") not in (None, pid))
    wait(machine, "ender", "{.status.phase}", "Succeeded")
    assert status(machine, "survivor")["containerStatuses"][0]["containerID"] == before
    assert status(machine, "survivor")["containerStatuses"][0]["restartCount"] == 0
    assert machine.kubectl("exec", "survivor", "--", "echo", "yes") == "yes\n"


def test_force_delete_stops_the_containers(machine):
    apply(machine, pod("forced", "sleep 1000"))
    wait(machine, "forced", "{.status.phase}", "Running")
    uid = machine.get("pod", "forced")["metadata"]["uid"]
    machine.kubectl("delete", "pod", "forced", "--force", "--grace-period=0")
    machine.wait_for("its directory gone", lambda: not (machine.data / "node/pods" / uid).exists())


def test_what_a_killed_agent_did_not_see_is_swept(machine):
    apply(machine, pod("orphan", "sleep 1000", {"volumes": [{"name": "m", "emptyDir": {"medium": "Memory"}}]},
                       volumeMounts=[{"name": "m", "mountPath": "/m"}]))
    wait(machine, "orphan", "{.status.phase}", "Running")
    uid = machine.get("pod", "orphan")["metadata"]["uid"]
    container = status(machine, "orphan")["containerStatuses"][0]["containerID"].split("//")[1]
    pid = machine.process("node")
    os.kill(pid, signal.SIGSTOP)        # it does not see what follows
    machine.kubectl("delete", "pod", "orphan", "--force", "--grace-period=0")
    os.kill(pid, signal.SIGKILL)
    left = [machine.data / "node" / d for d in (f"pods/{uid}", f"rootfs/{container}", f"containers/{container}",
                                                f"logs/default_orphan_{uid}")]
    assert left[0].exists() and left[1].exists()
    machine.wait_for("everything gone", lambda: not any(p.exists() for p in left))
    assert uid not in pathlib.Path("/proc/self/mountinfo").read_text()


def test_no_volume_is_deleted_under_a_container(machine):
    """Pod and claim were taken away by force while no agent ran: the container goes first, then its data."""
    apply(machine, claim("torn", "16Mi"), pod(
        "tearing", "while :; do echo x >> /d/x; sleep 0.01; done",
        {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "torn"}}]},
        volumeMounts=[{"name": "d", "mountPath": "/d"}]))
    wait(machine, "tearing", "{.status.phase}", "Running")
    container = status(machine, "tearing")["containerStatuses"][0]["containerID"].split("//")[1]
    pid = int((machine.data / "node/containers" / container / "pid").read_text())
    image = machine.data / "node/volumes" / machine.get("pvc", "torn")["spec"]["volumeName"] / "image"
    asleep = machine.process("node")
    os.kill(asleep, signal.SIGSTOP)
    machine.kubectl("delete", "pod", "tearing", "--force", "--grace-period=0")
    machine.kubectl("delete", "pvc", "torn")
    assert image.exists() and pathlib.Path(f"/proc/{pid}").exists()
    os.kill(asleep, signal.SIGKILL)

    def gone():
        data = image.exists()
        # Looked at after the data: it may end in between, but not come back.
        assert data or not pathlib.Path(f"/proc/{pid}").exists(), "deleted while a container held it"
        return not data
    machine.wait_for("the data gone", gone, pause=0.001)


def test_a_volume_that_another_process_still_has(machine):
    """Whatever begins with mounts of its own copies the volume's. Until it ends the file system lives: it is mounted
    again, not a second one made of the image, and neither checked nor grown from outside."""
    user = pod("sharer", "sleep 1000", {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "shared"}}]},
               volumeMounts=[{"name": "d", "mountPath": "/d"}])
    apply(machine, claim("shared", "16Mi"), user)
    wait(machine, "sharer", "{.status.phase}", "Running")
    machine.kubectl("exec", "sharer", "--", "sh", "-c", "echo 1 > /d/x; chmod 750 /d")
    mount = machine.data / "node/volumes" / machine.get("pvc", "shared")["spec"]["volumeName"] / "mount"
    holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sleep", "1000"])
    try:
        machine.wait_for("mounts of its own", lambda: os.readlink(f"/proc/{holder.pid}/ns/mnt") != os.readlink(
            "/proc/self/ns/mnt") and pathlib.Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n")
        machine.kubectl("delete", "pod", "sharer")
        machine.wait_for("unmounted", lambda: not mount.is_mount())
        assert str(mount) in pathlib.Path(f"/proc/{holder.pid}/mountinfo").read_text()
        machine.kubectl("patch", "pvc", "shared", "-p", '{"spec":{"resources":{"requests":{"storage":"48Mi"}}}}')
        apply(machine, user)
        wait(machine, "sharer", "{.status.phase}", "Running")
        machine.kubectl("exec", "sharer", "--", "sh", "-c", "echo 2 >> /d/x; sync")
    finally:
        holder.kill()
        holder.wait()
    machine.kubectl("delete", "pod", "sharer")
    machine.kubectl("wait", "pvc/shared", "--for=jsonpath={.status.capacity.storage}=48Mi", "--timeout=60s")
    apply(machine, user)
    wait(machine, "sharer", "{.status.phase}", "Running")
    assert machine.kubectl("exec", "sharer", "--", "sh", "-c", "cat /d/x; stat -c %a /d") == "1\n2\n750\n"
