# SPDX-License-Identifier: Apache-2.0
"""A wall clock that is set, by an hour and by a day, forward and backward, and one that runs for two years. All
processes of the cluster see another time than the rest of the machine (clock.c)."""
import http.client
import os
import pathlib
import signal
import ssl
import struct
import subprocess

import pytest
import truth
from client import Client, Identity, Refused, resolve
from load import NS, PODS, until
from machine import ADDRESS, IMAGE
from rounds import Torture, fixture, in_machine

SEED = 20261130
HOUR, DAY = 3600, 86400
NO_CHECK_TIME = 0x200000                # of OpenSSL: we live in another time than the cluster


class Clocked(Torture):
    def start(self):
        shim, self.clock = self.machine.dir / "clock.so", self.machine.dir / "clock"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim,
                        pathlib.Path(__file__).with_name("clock.c"), "-ldl"], check=True)
        self.off = 0
        self.clock.write_bytes(struct.pack("q", 0))
        self.clock.chmod(0o644)
        os.environ.update(LD_PRELOAD=str(shim), COR_TEST_CLOCK=str(self.clock))
        try:
            self.machine.coracle("up")
        finally:
            del os.environ["LD_PRELOAD"], os.environ["COR_TEST_CLOCK"]
        super().start()
        self.identity.context.verify_flags |= NO_CHECK_TIME

    def log(self):
        return (self.machine.data / "log").read_text()

    def set(self, off):
        """The node notices with its next heartbeat."""
        seen = self.log().count("the clock was set by")
        with open(self.clock, "r+b") as f:
            f.write(struct.pack("q", off))
        self.off = off
        until("the node sees that the clock was set", lambda: self.log().count("the clock was set by") > seen, 15)

    def done(self):
        self.number += 1
        self.compare()
        assert not self.ledger.wrong, self.report()
        events = self.ask(lambda c: c.get("/api/v1/namespaces/default/events"))["items"]
        assert not [e for e in events if e["reason"] == "NodeNotReady"], "the node was called not ready"


clocked = fixture(Clocked, SEED)


def restarts(t):
    status = t.ask(lambda c: c.get(f"{PODS}/loops"))["status"]
    return status.get("containerStatuses", [{}])[0].get("restartCount", 0)


def knows(t, token):
    """What the API says to who has this token: 200, or 403 for what it may not."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    conn = http.client.HTTPSConnection(ADDRESS, t.identity.port, timeout=10, context=context)
    try:
        conn.request("GET", PODS, headers={"Authorization": f"Bearer {token}"})
        return conn.getresponse().status in (200, 403)
    finally:
        conn.close()


def logs(t):
    """The code of a request that the server passes on to the kubelet."""
    c = Client(t.identity)
    try:
        answer = c.send("GET", f"{PODS}/stay-0/log")
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        c.close()


def test_a_clock_that_is_set(clocked):
    """The node stays Ready, pods stay, back-offs go on, tokens are good by the new time."""
    def check():
        t = clocked
        t.ask(lambda c: c.post(PODS, {"metadata": {"name": "loops"}, "spec": {"containers": [
            {"name": "c", "image": IMAGE, "command": ["false"]}]}}))
        for off in (HOUR, HOUR - DAY, HOUR, 0):
            until("it backs off", lambda: restarts(t) >= 1)
            before = restarts(t)
            t.set(off)
            token = lambda: t.machine.kubectl("exec", "-n", NS, "stay-0", "--", "cat",       # noqa: E731
                                              "/var/run/secrets/kubernetes.io/serviceaccount/token").strip()
            until("the pod's token is good", lambda: knows(t, token()), 30)
            if off < 0:
                until("it was started again", lambda: restarts(t) > before, 45)
            t.done()
        t.ask(lambda c: c.delete(f"{PODS}/loops", 0))
    in_machine(clocked, check)


def test_two_years(clocked):
    """Certificates are renewed before they end, by processes that go on; who begins anew uses the new ones."""
    def check():
        t = clocked
        parts, pki = truth.parts(t.machine), t.machine.data / "server/pki"
        old = Identity(t.machine)
        old.context.verify_flags |= NO_CHECK_TIME
        files = [t.machine.data / "kubeconfig", *(pki / n for n in ("apiserver.crt", "kubelet.crt", "node.kubeconfig"))]
        for days in (300, 600, 700):
            before = [f.read_bytes() for f in files]
            t.set(days * DAY)
            if days < 700:
                until("all certificates are new", lambda b=before: all(f.read_bytes() != x for f, x in zip(files, b)), 20)
                until("DNS began anew", lambda: truth.parts(t.machine).get("dns", parts["dns"]) != parts["dns"], 20)
        now = truth.parts(t.machine)
        assert {p: now[p] for p in ("supervisor", "server", "node")} == {p: parts[p] for p in
                                                                        ("supervisor", "server", "node")}
        # What was there at first has ended.
        with pytest.raises(Refused, match="401 Unauthorized"):
            Client(old).get(PODS)
        fresh = Identity(t.machine)
        fresh.context.verify_flags |= NO_CHECK_TIME
        for thread in t.threads:
            if hasattr(thread, "client"):
                thread.client.identity = fresh
        t.identity = t.inside.identity = fresh
        # Everybody connects again, with what they have now.
        os.kill(now["server"], signal.SIGKILL)
        until("the server is back", lambda: truth.parts(t.machine).get("server", now["server"]) != now["server"])
        until("server and kubelet know each other", lambda: logs(t) == 200)
        for name in ("stay-0", "stay-1"):
            until(f"DNS knows {name}", lambda n=name: resolve(f"{n}.stay.{NS}.svc.cluster.local") == [t.kept[n]["ip"]])
        t.done()
    in_machine(clocked, check)
