# SPDX-License-Identifier: Apache-2.0
"""Rounds of torture on one cluster: under load, something is killed at a random moment; then the cluster
comes back and is compared with what is known outside of it. See docs/reliability.md for what is promised."""
import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time

import truth
from client import Client, Identity, Refused, enter, resolve
from ledger import Follower, Ledger
from load import MAPS, NS, PODS, Churn, Visitor, Watcher, Writer, objects, pod_spec, until
from machine import Machine, busybox_image

WRITERS = 4
KINDS = {"server": ("server",), "node": ("node",), "dns": ("dns",), "supervisor": ("supervisor",),
         "server and node": ("server", "node"), "all": ("supervisor", "server", "node", "dns")}
STEADY = 10             # a part that lived so long is started again at once, see src/cli/up.c
MARKER = "marker"


class Failed(Exception):
    """A promise was broken; says how to see it again."""


def summary(pod):
    """Of the first container."""
    status = (pod["status"].get("containerStatuses") or [{}])[0]
    return {"uid": pod["metadata"]["uid"], "phase": pod["status"].get("phase"), "ip": pod["status"].get("podIP"),
            "id": status.get("containerID", "").rpartition("/")[2], "restarts": status.get("restartCount", 0),
            "ready": status.get("ready", False), "ended": status.get("state", {}).get("terminated"),
            "before": status.get("lastState", {}).get("terminated")}


class Torture:
    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(f"{seed} rounds")
        self.machine, self.ledger = Machine(), Ledger()
        self.stop, self.writing, self.churning = threading.Event(), threading.Event(), threading.Event()
        self.visiting = threading.Event()
        self.idle, self.seen = threading.Condition(), threading.Condition()
        self.idle_writers, self.number, self.deaths = 0, 0, {}
        self.threads, self.sampler, self.killed = [], None, "nothing"
        self.counts = dict.fromkeys(KINDS, 0)
        self.slowest = 0.0

    # ---- the cluster and its load ----

    def start(self):
        m = self.machine
        self.starts = m.dir / "starts"
        self.starts.mkdir()
        self.starts.chmod(0o777)
        m.coracle("up")
        busybox_image(m.dir / "busybox.tar")
        m.coracle("image", "import", m.dir / "busybox.tar")
        self.identity = Identity(m)
        m.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List",
                                                        "items": objects(self.starts)}))
        self.inside = Client(self.identity)
        threads = [Writer(self, n, self.seed) for n in range(WRITERS)]
        self.followers = [Follower(self.ledger, f"of config maps {n}") for n in range(3)]
        threads += [Watcher(self, f.name, self.seed, MAPS, f, lambda o: o.get("data", {}).get("v"))
                    for f in self.followers]
        self.pods = Follower(self.ledger, "of pods")
        threads.append(Watcher(self, self.pods.name, self.seed, PODS, self.pods, summary))
        self.writing.set()
        self.churning.set()
        self.visiting.set()
        self.sampler = truth.Sampler(m, self.ledger.fail)
        self.begin(threads)
        self.kept = until("the pods that stay run", self.steady)
        self.processes = self.kept_processes()
        address = m.get("svc", "web", "-n", NS)["spec"]["clusterIP"]
        until("the service answers", lambda: "hello" in m.run("curl", "-sm2", f"http://{address}/", code=None))
        self.begin([Churn(self, self.seed), Visitor(self, self.seed, address)])

    def begin(self, threads):
        self.threads += threads
        for t in threads:
            t.start()

    def steady(self):
        with self.pods.lock:
            pods = {n: v for n, (v, _) in self.pods.state.items() if n.startswith(("stay-", "once-")) and "-r-" not in n}
        ready = [n for n, p in pods.items() if p["ready"] and p["restarts"] == n.startswith("once-")]
        return pods if len(pods) == 3 and len(ready) == 3 else None

    def kept_processes(self):
        found = truth.containers(self.machine)
        # The first process of each container: httpd forks for a request.
        return {name: {i: min(procs, key=lambda p: (p[1], p[0])) for i, procs in found.get(p["uid"], {}).items()}
                for name, p in self.kept.items()}

    # ---- requests of the checker itself, through whatever is there ----

    def ask(self, fn):
        """fn(client) until it is answered; a refusal is an answer."""
        def once():
            try:
                return [fn(self.inside)]
            except Refused as e:
                if e.code >= 500 or e.code == 429:
                    return None
                raise
            except (OSError, http.client.HTTPException):
                return None
        return until("the API answers", once)[0]

    # ---- a round ----

    def one(self):
        """Kills one kind; raises Failed."""
        began = time.monotonic()
        self.number += 1
        kind = self.random.choice(sorted(KINDS))
        self.counts[kind] += 1
        name, code = f"once-r-{self.number}", self.random.randrange(1, 120)
        try:
            self.run_to_end(name, code, kind)
            self.compare()
        except AssertionError as e:
            self.ledger.fail(str(e))
        except Refused as e:
            self.ledger.fail(f"the checker was refused: {e}")
        self.slowest = max(self.slowest, time.monotonic() - began)
        if self.ledger.wrong:
            raise Failed(self.report())

    def kill(self, kind):
        parts = truth.parts(self.machine)
        now = time.monotonic()
        missing = [p for p in KINDS[kind] if p not in parts]
        soon = [p for p in KINDS[kind] if now - self.deaths.get(p, now - STEADY - 1) < STEADY + 1]
        for part in KINDS[kind]:
            self.deaths[part] = now
            if part in parts:
                os.kill(parts[part], signal.SIGKILL)
        self.killed = f"{kind} {parts} {f'(not there: {missing})' if missing else ''}"
        # The supervisor makes one wait that dies again and again: `up` says that it is wanted now.
        if "supervisor" in KINDS[kind] or missing or soon:
            self.machine.coracle("up")

    def run_to_end(self, name, code, kind):
        """A pod whose program ends with a code of its own, in the midst of whose life something is killed."""
        spec = pod_spec(f"exit {code}", self.starts, restartPolicy="Never")
        uid = self.ask(lambda c: c.post(PODS, {"metadata": {"name": name}, "spec": spec}))["metadata"]["uid"]
        delay = self.random.random() * 0.15
        time.sleep(delay)
        self.kill(kind)
        self.killed += f", {delay * 1000:.0f} ms after {name} was made"
        ended = until(f"{name} has ended", lambda: self.ended(name))
        runs = len((self.starts / uid).read_text().splitlines()) if (self.starts / uid).exists() else 0
        if (ended["exitCode"], runs) != (code, 1):
            self.ledger.fail(f"{name}: its program ran {runs} times and ended with {code}, the API says {ended}")
        self.ask(lambda c: self.quiet_delete(c, f"{PODS}/{name}"))
        if kind in ("dns", "all", "node", "supervisor"):
            for pod in ("stay-0", "stay-1"):
                until(f"DNS knows {pod}", lambda p=pod: resolve(f"{p}.stay.{NS}.svc.cluster.local") ==
                      [self.kept[p]["ip"]])

    @staticmethod
    def quiet_delete(client, path):
        try:
            client.delete(path)
        except Refused as e:
            if e.code != 404:
                raise

    def ended(self, name):
        with self.pods.lock:
            pod = self.pods.state.get(name, (None,))[0]
        return pod["ended"] if pod and pod["phase"] in ("Succeeded", "Failed") else None

    def compare(self):
        """Nobody writes: a list, all watches and what was acknowledged must be one."""
        self.pause()
        floor = self.ledger.floor()
        mark = {"metadata": {"name": MARKER}, "data": {"v": f"round {self.number}"}}
        obj = self.ask(lambda c: self.put(c, mark))
        self.ledger.acked(MARKER, mark["data"]["v"], int(obj["metadata"]["resourceVersion"]), floor)
        doc = self.ask(lambda c: c.get(MAPS))
        revision = int(doc["metadata"]["resourceVersion"])
        self.ledger.seen_revision(revision, self.ledger.floor(), "a list")
        listed = {o["metadata"]["name"]: (o.get("data", {}).get("v"), int(o["metadata"]["resourceVersion"]))
                  for o in doc["items"] if o["metadata"]["name"] != "kube-root-ca.crt"}
        self.ledger.compare(listed)
        mine = int(obj["metadata"]["resourceVersion"])
        for f in self.followers:
            until(f"watch {f.name} is shown revision {mine}", lambda f=f: f.last >= mine)
            with f.lock:
                f.state.pop("kube-root-ca.crt", None)
            f.check(listed)
        self.ledger.forget_until(mine)
        self.writing.set()
        self.compare_pods()

    @staticmethod
    def put(client, obj):
        path = f"{MAPS}/{obj['metadata']['name']}"
        try:
            return client.put(path, obj)
        except Refused as e:
            if e.code != 404:
                raise
        return client.post(MAPS, obj)

    def pause(self):
        with self.idle:
            self.idle_writers = 0
            self.writing.clear()
            if not self.idle.wait_for(lambda: self.idle_writers >= WRITERS, 60):
                raise AssertionError("the writers do not come to rest")

    def compare_pods(self):
        found = self.kept_processes()
        for name, before in self.processes.items():
            if found[name] != before:
                self.ledger.fail(f"the processes of {name} were {before} and are {found[name]}")
        doc = self.ask(lambda c: c.get(PODS))
        now = {p["metadata"]["name"]: summary(p) for p in doc["items"]}
        for name, before in self.kept.items():
            p = now.get(name)
            if p != before:
                self.ledger.fail(f"{name} was {before} and is {p}")
        for name, p in now.items():
            path = self.starts / p["uid"]
            runs = len(path.read_text().splitlines()) if path.exists() else 0
            if runs > p["restarts"] + 1 and not self.counted(name, p["uid"], runs):
                self.ledger.fail(f"{name}: its program began {runs} times, the API counts {p['restarts']} restarts")

    def counted(self, name, uid, runs):
        """The count may be on its way."""
        def known():
            try:
                p = summary(self.ask(lambda c: c.get(f"{PODS}/{name}")))
            except Refused:
                return True
            return p["uid"] != uid or p["restarts"] + 1 >= runs
        try:
            return until("the count", known, 10)
        except AssertionError:
            return False

    def report(self):
        logs = pathlib.Path(f"/tmp/coracle-torture-{self.machine.name}.log")
        log = self.machine.data / "log"
        logs.write_bytes(log.read_bytes() if log.is_file() else b"")
        return (f"seed {self.seed}, round {self.number} killed {self.killed}:\n  " +
                "\n  ".join(self.ledger.wrong[:20]) + f"\nthe cluster's log: {logs}")

    # ---- the end ----

    def rest(self):
        """The churn ends and all pods that are left run: nothing is on the machine but theirs."""
        self.churning.clear()
        for path, replicas in (("deployments/churn", 0), ("statefulsets/turn", 1)):
            self.ask(lambda c, p=path, r=replicas: c.merge(f"/apis/apps/v1/namespaces/{NS}/{p}/scale",
                                                           {"spec": {"replicas": r}}))
        def still():
            pods = [summary(p) for p in self.ask(lambda c: c.get(PODS))["items"]]
            if len(pods) != 4 or not all(p["ready"] for p in pods):
                return None
            ids = {p["id"] for p in pods} | {p["before"]["containerID"].rpartition("/")[2] for p in pods if p["before"]}
            return [] if not (left := truth.remains(self.machine, {p["uid"] for p in pods}, ids)) else left
        end = time.monotonic() + 60
        while (left := still()) != [] and time.monotonic() < end:
            time.sleep(0.1)
        self.churning.set()
        if left != []:
            self.ledger.fail(f"left on the machine: {left}")
            raise Failed(self.report())

    def figures(self):
        gone, resumed = sum(f.gone for f in self.followers), sum(f.resumed for f in self.followers)
        kinds = ", ".join(f"{n} of {k}" for k, n in self.counts.items() if n)
        visits = next((t.count for t in self.threads if isinstance(t, Visitor)), 0)
        return (f"{self.number} rounds ({kinds}); {self.ledger.acknowledged} writes acknowledged, {self.ledger.open} "
                f"answers lost; {sum(f.events for f in self.followers)} events watched, {gone} times 410, {resumed} times "
                f"resumed; {visits} requests to a service; {self.sampler.looks if self.sampler else 0} looks at the "
                f"containers; slowest round {self.slowest:.1f} s")

    def close(self):
        """Ends everything; AssertionError when something is left over."""
        self.stop.set()
        self.writing.set()
        self.visiting.set()
        for t in self.threads:
            with contextlib.suppress(AttributeError, OSError):      # it may close it at this moment
                t.client.conn.sock.shutdown(2)
            t.join(30)
        if self.sampler:
            self.sampler.close()
        self.machine.close()


def in_machine(torture, fn):
    """fn on a thread that is in the machine's network; its exception is raised here."""
    result = []

    def run():
        try:
            enter(torture.machine)
            result.append((fn(), None))
        except BaseException as e:                      # noqa: BLE001
            result.append((None, e))
    t = threading.Thread(target=run)
    t.start()
    t.join()
    if result[0][1]:
        raise result[0][1]
    return result[0][0]


def fixture(kind, seed):
    """For pytest: one such torture for all tests of a module, which says what it has seen, and leaves nothing."""
    import pytest       # tests/torture/run does without

    @pytest.fixture(scope="module")
    def make():
        t = kind(seed)
        try:
            in_machine(t, t.start)
            yield t
            print(t.figures())
        finally:
            t.close()
    return make
