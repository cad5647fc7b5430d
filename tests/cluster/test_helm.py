# SPDX-License-Identifier: Apache-2.0
"""The example's chart with every helm on PATH: install, upgrade, roll back, uninstall. Debian has no helm: where there
is none, there is nothing to try."""
import json
import subprocess

import pytest
from clients import helms
from machine import ROOT

VISITS = ROOT / "examples/visits"
ARCHIVES = "/var/cache/coracle/visits"
WAITS = ("--wait", "--timeout", "50s")


def pytest_generate_tests(metafunc):
    metafunc.parametrize("binary", list(helms().values()), ids=list(helms()))


@pytest.fixture(scope="module")
def images(machine):
    subprocess.run([str(VISITS / "build-images.py")], check=True, stdout=subprocess.DEVNULL, timeout=600)
    for app in ("python", "javascript"):
        machine.coracle("image", "import", f"{ARCHIVES}/visits-{app}.tar")


@pytest.fixture
def helm(machine, images, binary):
    home = [f"{v}={machine.dir}/helm" for v in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")]
    return lambda *args, **more: machine.run("env", *home, f"KUBECONFIG={machine.data}/kubeconfig", binary, *args, **more)


def values(name):
    return ("-f", VISITS / f"chart/values{name}.yaml")


@pytest.mark.parametrize("name,kind", [("", "StatefulSet"), ("-javascript", "Deployment"),
                                       ("-javascript-stateful", "StatefulSet")])
def test_the_chart_is_well_formed(machine, helm, name, kind):
    assert "0 chart(s) failed" in helm("lint", "--strict", VISITS / "chart", *values(name))
    text = helm("template", "checked", VISITS / "chart", *values(name))
    said = machine.kubectl("create", "--dry-run=server", "--validate=true", "-f", "-", input=text)
    assert f"{kind.lower()}.apps/checked created (server dry run)" in said and "Warning" not in said


def test_a_deployment_becomes_a_stateful_set_and_back(machine, helm):
    def of(kind):
        return [o["metadata"]["name"] for o in machine.get(kind, "-l", "app.kubernetes.io/instance=turns")["items"]]

    helm("install", "turns", VISITS / "chart", *values("-javascript"), *WAITS)
    assert machine.get("deploy", "turns")["status"]["readyReplicas"] == 3
    address = machine.get("svc", "turns")["spec"]["clusterIP"]
    helm("upgrade", "turns", VISITS / "chart", *values("-javascript-stateful"), *WAITS)
    assert (of("deploy"), of("sts")) == ([], ["turns"])
    assert machine.get("sts", "turns")["status"]["readyReplicas"] == 3
    names = [f"turns-{i}" for i in range(3)]
    machine.wait_for("only the set's pods", lambda: of("pods") == names)
    assert machine.get("svc", "turns")["spec"]["clusterIP"] == address
    assert [c["status"]["phase"] for c in machine.get("pvc")["items"]] == ["Bound"] * 3
    helm("rollback", "turns", "1", *WAITS)
    assert (of("deploy"), of("sts")) == (["turns"], [])
    machine.wait_for("only the Deployment's pods", lambda: len(of("pods")) == 3 and not set(of("pods")) & set(names))
    helm("uninstall", "turns", *WAITS)
    machine.wait_for("all gone", lambda: of("pods") == [])
    # A set's claims outlive it.
    assert len(machine.get("pvc")["items"]) == 3
    machine.kubectl("delete", "pvc", "--all")


def test_a_release_from_install_to_uninstall(machine, helm):
    def revisions():
        return [(r["revision"], r["status"]) for r in json.loads(helm("history", "app", "-o", "json"))]

    assert "STATUS: deployed" in helm("install", "app", VISITS / "chart", *WAITS)
    assert machine.get("sts", "app")["status"]["readyReplicas"] == 2
    assert "cannot" in helm("install", "app", VISITS / "chart", code=1)     # the name is in use
    helm("upgrade", "app", VISITS / "chart", "--set", "replicas=1", *WAITS)
    assert machine.get("sts", "app")["spec"]["replicas"] == 1
    helm("rollback", "app", "1", *WAITS)
    assert machine.get("sts", "app")["status"]["readyReplicas"] == 2
    assert revisions() == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert [r["name"] for r in json.loads(helm("list", "-o", "json"))] == ["app"]
    assert "STATUS: deployed" in helm("status", "app")
    helm("test", "app")
    helm("uninstall", "app", *WAITS)
    assert json.loads(helm("list", "-o", "json")) == []
    # helm waits for what it made; the pods are the set's.
    machine.wait_for("all gone", lambda: machine.kubectl(
        "get", "sts,pods,svc", "-l", "app.kubernetes.io/instance=app", "-o", "name") == "")
    machine.kubectl("delete", "pvc", "--all")
