# SPDX-License-Identifier: Apache-2.0
"""examples/demo.sh as a new user runs it: the first time, again, and on with the lines that it says to try next; then
with each kubectl that the machine has, Debian's own before all. The tests of this file build on each other, in order."""
import os
import pathlib
import re
import subprocess

import pytest
from clients import debian_kubectl, kubectls
from machine import CORACLE, ROOT, Machine
from terminal import Terminal

DEMO = ROOT / "examples/demo.sh"
IMAGES = "/var/cache/coracle/visits"
KUBECTLS = kubectls()
SECTIONS = ["1. Images, from Debian's packages", "2. A cluster", "3. Two applications",
            "4. Visits, from outside and inside", "5. A pod goes, and comes back with its name, its volume and its count",
            "Try next"]
# kubectl compares the lists of claim templates as they are, and the stored one has defaults.
AGAIN = {"unchanged", "configured"}


class Demo:
    """A machine on which nothing but the demo makes a cluster."""

    def __init__(self):
        self.machine = Machine()
        # A fresh Debian has this kubectl and no other.
        self.env = {**os.environ, "NAME": self.machine.name, "DATA_DIR": str(self.machine.data), "IMAGES": IMAGES,
                    "CORACLE": CORACLE, "PATH": f"{pathlib.Path(debian_kubectl()).parent}:{os.environ['PATH']}",
                    "HOME": str(self.machine.dir)}

    def run(self, *words, **more):
        return self.machine.run("env", *(f"{k}={self.env[k]}" for k in
                                         ("NAME", "DATA_DIR", "IMAGES", "CORACLE", "PATH", "HOME")), *words, **more)

    def show(self):
        self.shown = self.run(DEMO, timeout=300)
        return self.shown


@pytest.fixture(scope="module")
def demo():
    subprocess.run([str(ROOT / "examples/visits/build-images.py"), "--cache", IMAGES], check=True,
                   stdout=subprocess.DEVNULL, timeout=600)
    d = Demo()
    try:
        yield d
    finally:
        d.machine.close()


def sections(text):
    """Title to the lines below it."""
    found = {}
    for line in text.splitlines():
        if line in SECTIONS:
            found[line] = []
        elif found and line:
            found[list(found)[-1]].append(line)
    assert list(found) == SECTIONS, text
    return list(found.values())


def answers(lines, command):
    """What stood below each line of a command, up to the next one."""
    text = "\n".join(lines) + "\n$ "
    return [m.strip() for m in re.findall(rf"^\$ {re.escape(command)}.*\n((?:(?!\$ ).*\n)*)", text, re.M)]


def columns(table):
    return table.splitlines()[0].split()


def check(text, applied):
    images, cluster, apps, visits, again, _ = sections(text)
    assert [line.split(":1: ")[0] for line in images] == ["visits-python", "visits-javascript"]
    assert re.match(r"\S+ +Ready +<none> ", answers(cluster, "kubectl get nodes")[0].splitlines()[1])
    assert {line.split()[-1] for line in answers(apps, "kubectl apply")[0].splitlines()} <= applied
    pods, sets, deployments, services = answers(apps, "kubectl get pods")[0].split("NAME ")[1:]
    assert columns(pods) == ["READY", "STATUS", "RESTARTS", "AGE"] and len(re.findall(r" 1/1 +Running +0 ", pods)) == 5
    assert re.search(r"^statefulset.apps/app-python +2/2 ", sets, re.M) and columns(sets) == ["READY", "AGE"]
    assert re.search(r"^deployment.apps/app-javascript +3/3 +3 +3 ", deployments, re.M)
    assert columns(services) == ["TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    external = re.search(r"^service/app-python-lb +LoadBalancer +\S+ +(\S+) +8000:3\d{4}/TCP ", services, re.M)
    claims = answers(apps, "kubectl get persistentvolumeclaims")[0]
    assert re.findall(r"^(data-app-python-\d) +Bound +pvc-[-0-9a-f]{36} +1Gi +RWO +standard ", claims, re.M) == [
        "data-app-python-0", "data-app-python-1"]
    greeting = r"Hello from app-python-\d: visit \d+"
    outside = answers(visits, f"curl http://{external[1]}:8000/")
    assert len(outside) == 3 and all(re.fullmatch(greeting, a) for a in outside)
    inside = answers(visits, "kubectl exec pod/app-python-0 -- wget")
    assert re.fullmatch(r"Hello from app-javascript-[a-z0-9]+-[a-z0-9]{5}: visit \d+", inside[0])
    before, after = answers(again, "kubectl exec pod/app-python-0 -- cat")
    assert inside[1] == f"Hello from app-python-0: visit {before}" and after == before
    assert answers(again, "kubectl delete") == ['pod "app-python-0" deleted']
    return int(before)


def test_the_demo_shows_what_it_says_and_may_be_run_again(demo):
    first = check(demo.show(), {"created"})
    before = demo.machine.get("sts", "app-python")["metadata"]
    text = demo.show()
    assert check(text, AGAIN) > first
    assert text.count(": up to date, ") == 2
    after = demo.machine.get("sts", "app-python")["metadata"]
    assert (after["uid"], after["generation"]) == (before["uid"], before["generation"])


def test_it_says_where_it_stopped(demo):
    out = demo.run("env", "CORACLE=/nowhere/coracle", DEMO, code=1)
    assert out.startswith("demo: there is no /nowhere/coracle; run make first")
    out = demo.run("env", "NAME=no/name", DEMO, code=1)
    assert "demo: it stopped here" in out.splitlines()[-1]


@pytest.mark.parametrize("which", list(KUBECTLS))
def test_every_kubectl_goes_through_the_demo(demo, which):
    def kubectl(*args):
        return demo.machine.kubectl(*args, which=KUBECTLS[which])

    visits = ROOT / "examples/visits"
    applied = kubectl("apply", "-f", visits / "python/k8s", "-f", visits / "javascript/k8s")
    assert {line.split()[-1] for line in applied.splitlines()} <= AGAIN
    assert "Running" in kubectl("get", "pods", "-o", "wide")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/app-javascript")
    count = kubectl("exec", "pod/app-python-0", "--", "cat", "/app/data/visits.txt")
    uid = demo.machine.get("pod", "app-python-0")["metadata"]["uid"]
    kubectl("delete", "pod/app-python-0")
    assert "roll out complete" in kubectl("rollout", "status", "statefulset/app-python", "--timeout=50s")
    assert demo.machine.get("pod", "app-python-0")["metadata"]["uid"] != uid
    assert kubectl("exec", "pod/app-python-0", "--", "cat", "/app/data/visits.txt") == count


def test_what_to_try_next_works(demo):
    lines = [line.strip() for line in sections(demo.shown)[-1]]
    export, down = lines[0], lines[-1]
    assert export == f"export KUBECONFIG={demo.machine.data}/kubeconfig" and down.startswith("sudo ")
    for line in lines[1:-1]:
        if " -it " not in line:
            out = demo.run("sh", "-ec", f"{export}\n{line}", cwd=ROOT)
            assert out
            continue
        shell = Terminal(["nsenter", f"--net=/run/netns/{demo.machine.name}", "env", f"PATH={demo.env['PATH']}",
                          "sh", "-ec", f"{export}\n{line}"], 24, 80)
        try:
            shell.until("# ")
            shell.type("cat visits.txt data/visits.txt; exit 3\n")
            shell.until("No such file")
            assert shell.code() == 3
        finally:
            shell.close()
    demo.machine.kubectl("rollout", "status", "sts/app-python", "--timeout=50s")
    assert demo.machine.get("sts", "app-python")["status"]["readyReplicas"] == 5
    assert "its data removed" in demo.run("sh", "-ec", down.removeprefix("sudo "), cwd=ROOT)
    assert not demo.machine.data.exists() and demo.machine.leftovers() == []
