# SPDX-License-Identifier: Apache-2.0
"""The load: writers of ConfigMaps with watchers, pods that come and go, and a client of a Service. Everything
they see goes to the ledger. All threads end at stop."""
import http.client
import random
import threading
import time

from client import Client, Refused, enter
from ledger import ABSENT
from machine import IMAGE

NS = "torture"
MAPS = f"/api/v1/namespaces/{NS}/configmaps"
PODS = f"/api/v1/namespaces/{NS}/pods"
PAUSE = 0.02                            # between two tries while the server is away
DEADLINE = 60


def until(what, condition, deadline=DEADLINE):
    """What has no event of its own; the first true value."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(PAUSE)
    raise AssertionError(f"not within {deadline} s: {what}")


class Thread(threading.Thread):
    """In the machine's network; what it did not expect is a finding."""

    def __init__(self, load, name, seed):
        super().__init__(name=name, daemon=True)
        self.load, self.random = load, random.Random(f"{seed} {name}")

    def run(self):
        try:
            enter(self.load.machine)
            self.client = Client(self.load.identity)
            while not self.load.stop.is_set():
                self.step()
        except Exception as e:                          # noqa: BLE001
            self.load.ledger.fail(f"{self.name}: {type(e).__name__} {e}")
        finally:
            self.client.close()


class Writer(Thread):
    """Owns a few keys: nobody else writes them."""

    def __init__(self, load, number, seed):
        super().__init__(load, f"writer {number}", seed)
        self.keys = {f"w{number}-{k}": (ABSENT, None) for k in range(6)}
        self.unsure = set()
        self.count = 0

    def read(self, key):
        """After a lost answer."""
        try:
            obj = self.client.get(f"{MAPS}/{key}")
            value, revision = obj["data"]["v"], int(obj["metadata"]["resourceVersion"])
        except Refused as e:
            if e.code != 404:
                raise
            value, revision = ABSENT, None
        self.load.ledger.read(key, value, revision)
        self.keys[key] = (value, revision)
        self.unsure.discard(key)

    def write(self, key, value):
        before, revision = self.keys[key]
        floor = self.load.ledger.floor()
        meta = {"name": key, "namespace": NS}
        if value is ABSENT:
            self.client.delete(f"{MAPS}/{key}")
            self.load.ledger.acked(key, ABSENT, None, floor)
            self.keys[key] = (ABSENT, None)
            return
        if before is ABSENT:
            obj = self.client.post(MAPS, {"metadata": meta, "data": {"v": value}})
        elif self.random.random() < 0.5:
            obj = self.client.put(f"{MAPS}/{key}", {"metadata": {**meta, "resourceVersion": str(revision)},
                                                    "data": {"v": value}})
        else:
            obj = self.client.merge(f"{MAPS}/{key}", {"data": {"v": value}})
        revision = int(obj["metadata"]["resourceVersion"])
        self.load.ledger.acked(key, value, revision, floor)
        self.keys[key] = (value, revision)

    def step(self):
        if not self.load.writing.is_set():
            with self.load.idle:
                self.load.idle_writers += 1
                self.load.idle.notify_all()
            self.load.writing.wait()
            return
        key = self.random.choice(sorted(self.keys))
        self.count += 1
        value = ABSENT if self.keys[key][0] is not ABSENT and self.random.random() < 0.2 else str(self.count)
        try:
            if key in self.unsure:
                self.read(key)
            else:
                self.write(key, value)
                time.sleep(self.random.random() * 0.01)
        except Refused as e:
            if e.code < 500 and e.code != 429:
                self.load.ledger.fail(f"{key} = {value}: refused: {e}")
            self.lost(key, value)
        except (OSError, http.client.HTTPException):
            self.lost(key, value)

    def lost(self, key, value):
        if key not in self.unsure:
            self.load.ledger.unknown(key, value)
            self.unsure.add(key)
        time.sleep(PAUSE)


class Watcher(Thread):
    """Lists and follows; shows what it sees to a Follower. A 410 is an answer, a gap is not."""

    def __init__(self, load, name, seed, path, follower, value):
        super().__init__(load, name, seed)
        self.path, self.follower, self.value = path, follower, value
        self.place = None

    def list(self):
        floor = self.load.ledger.floor()
        doc = self.client.get(self.path)
        revision = int(doc["metadata"]["resourceVersion"])
        self.load.ledger.seen_revision(revision, floor, f"a list by {self.name}")
        self.follower.listed({o["metadata"]["name"]: (self.value(o), int(o["metadata"]["resourceVersion"]))
                              for o in doc.get("items", [])}, revision)
        self.place = revision

    def step(self):
        try:
            listed = self.place is None
            if listed:
                self.list()
            for event in self.client.watch(self.path, self.place):
                self.follower.resumed += not listed
                listed = True
                meta = event["object"]["metadata"]
                self.place = int(meta["resourceVersion"])
                if event["type"] == "BOOKMARK":
                    self.follower.bookmark(self.place)
                else:
                    self.follower.event(event["type"], meta["name"], self.value(event["object"]), self.place)
                with self.load.seen:
                    self.load.seen.notify_all()
                if self.load.stop.is_set():
                    return
        except Refused as e:
            if e.code == 410:
                self.follower.gone += 1
                self.place = None
            elif e.code < 500 and e.code != 429:
                self.follower.fail(f"refused: {e}")
            time.sleep(PAUSE)
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(PAUSE)


class Visitor(Thread):
    """Asks a Service all the time: no death of ours may be seen by those who use what runs."""

    def __init__(self, load, seed, address):
        super().__init__(load, "visitor", seed)
        self.address = address
        self.count = 0

    def step(self):
        self.load.visiting.wait()
        conn = http.client.HTTPConnection(self.address, 80, timeout=10)
        try:
            conn.request("GET", "/")
            code = conn.getresponse().status
            if code != 200:
                self.load.ledger.fail(f"the service answered {code}")
            self.count += 1
        except (OSError, http.client.HTTPException) as e:
            self.load.ledger.fail(f"the service did not answer: {type(e).__name__} {e}")
        finally:
            conn.close()
        self.load.stop.wait(0.05)


class Churn(Thread):
    """Scales and deletes; whether a request succeeds does not matter."""

    def __init__(self, load, seed):
        super().__init__(load, "churn", seed)

    def step(self):
        self.load.stop.wait(self.random.random() * 0.5)
        if not self.load.churning.is_set():
            return
        try:
            if self.random.random() < 0.4:
                self.client.merge(f"/apis/apps/v1/namespaces/{NS}/deployments/churn/scale",
                                  {"spec": {"replicas": self.random.randrange(4)}})
                return
            app, graces = self.random.choice((("churn", (None, 0)), ("turn", (None, 0))))
            pods = self.client.get(f"{PODS}?labelSelector=app%3D{app}")["items"]
            if pods:
                name = self.random.choice(pods)["metadata"]["name"]
                self.client.delete(f"{PODS}/{name}", self.random.choice(graces))
        except (Refused, OSError, http.client.HTTPException):
            pass


# ---- objects ----

def pod_spec(command, starts, **more):
    """Notes each start of its program in a file of the machine, by pod uid: a count that is not ours."""
    return {"terminationGracePeriodSeconds": 1, "volumes": [{"name": "starts", "hostPath": {"path": str(starts)}}],
            "containers": [{"name": "c", "image": IMAGE, "command": ["sh", "-c", f"echo >> /starts/$UID; {command}"],
                            "env": [{"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
                            "volumeMounts": [{"name": "starts", "mountPath": "/starts"}]}], **more}


def workload(kind, name, replicas, spec, **more):
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NS}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": spec}, **more}}


def service(name, app, headless=False):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NS}, "spec": {
        "selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}],
        **({"clusterIP": "None"} if headless else {})}}


def objects(starts):
    """stay: must never be touched; once: has restarted one time before; churn and turn: come and go."""
    stay = pod_spec("echo hello > /d/index.html; exec httpd -f -p 8080 -h /d", starts)
    stay["containers"][0]["volumeMounts"].append({"name": "d", "mountPath": "/d"})
    once = pod_spec("[ $(wc -l < /starts/$UID) -gt 1 ] || exit 3; exec sleep 100000", starts)
    rest = pod_spec("exec sleep 100000", starts)
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}}, service("web", "stay"),
            service("stay", "stay", True), workload("StatefulSet", "stay", 2, stay, serviceName="stay",
            podManagementPolicy="Parallel", volumeClaimTemplates=[{"metadata": {"name": "d"}, "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}}]),
            workload("Deployment", "once", 1, once), workload("Deployment", "churn", 2, rest),
            workload("StatefulSet", "turn", 2, rest, serviceName="turn", podManagementPolicy="Parallel")]
