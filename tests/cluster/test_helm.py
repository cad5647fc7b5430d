# SPDX-License-Identifier: Apache-2.0
"""The example's chart with every helm on PATH: install, upgrade, roll back, uninstall. Debian has no helm: where there
is none, there is nothing to try."""
import json
import subprocess

from clients import helms
from machine import ROOT

VISITS = ROOT / "examples/visits"
ARCHIVE = "/var/cache/coracle/visits/visits-python.tar"


def pytest_generate_tests(metafunc):
    metafunc.parametrize("binary", list(helms().values()), ids=list(helms()))


def test_a_release_from_install_to_uninstall(machine, binary):
    subprocess.run([str(VISITS / "build-images.py")], check=True, stdout=subprocess.DEVNULL, timeout=600)
    machine.coracle("image", "import", ARCHIVE)
    home = [f"{v}={machine.dir}/helm" for v in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")]

    def helm(*args, **more):
        return machine.run("env", *home, f"KUBECONFIG={machine.data}/kubeconfig", binary, *args, **more)

    def revisions():
        return [(r["revision"], r["status"]) for r in json.loads(helm("history", "app", "-o", "json"))]

    waits = ("--wait", "--timeout", "50s")
    assert "STATUS: deployed" in helm("install", "app", VISITS / "chart", *waits)
    assert machine.get("sts", "app")["status"]["readyReplicas"] == 2
    assert "cannot" in helm("install", "app", VISITS / "chart", code=1)     # the name is in use
    helm("upgrade", "app", VISITS / "chart", "--set", "replicas=1", *waits)
    assert machine.get("sts", "app")["spec"]["replicas"] == 1
    helm("rollback", "app", "1", *waits)
    assert machine.get("sts", "app")["status"]["readyReplicas"] == 2
    assert revisions() == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert [r["name"] for r in json.loads(helm("list", "-o", "json"))] == ["app"]
    assert "STATUS: deployed" in helm("status", "app")
    helm("test", "app")
    helm("uninstall", "app", *waits)
    assert json.loads(helm("list", "-o", "json")) == []
    # helm waits for what it made; the pods are the set's.
    machine.wait_for("all gone", lambda: machine.kubectl(
        "get", "sts,pods,svc", "-l", "app.kubernetes.io/instance=app", "-o", "name") == "")
    machine.kubectl("delete", "pvc", "--all")
