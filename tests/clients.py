# SPDX-License-Identifier: Apache-2.0
"""The real clients that tests are run with: every one that the machine has."""
import os
import pathlib
import shutil
import subprocess
import tempfile

CACHE = pathlib.Path(os.environ.get("CORACLE_TEST_CACHE", "/var/cache/coracle/tests"))


def debian_kubectl():
    """Debian's own client (1.20), beside whatever else the machine has."""
    binary = CACHE / "kubernetes-client/usr/bin/kubectl"
    if not binary.exists():
        with tempfile.TemporaryDirectory() as tmp:
            subprocess.run(["apt-get", "download", "-q", "kubernetes-client"], cwd=tmp, check=True,
                           stdout=subprocess.DEVNULL)
            deb = next(pathlib.Path(tmp).glob("kubernetes-client_*.deb"))
            (CACHE / "kubernetes-client").mkdir(parents=True, exist_ok=True)
            subprocess.run(["dpkg", "-x", str(deb), str(CACHE / "kubernetes-client")], check=True)
    return str(binary)


def kubectls():
    """Every kubectl there is, by a name for the test's id."""
    found = {"debian": debian_kubectl()}
    path = os.environ.get("KUBECTL") or shutil.which("kubectl")
    if path:
        real = pathlib.Path(path).resolve()
        found["path"] = str(real)
        for binary in sorted(real.parent.glob("kubectl.1.*")):
            found[binary.name[len("kubectl."):]] = str(binary)
    return found


def helms():
    """Every helm on PATH, by a name for the test's id; none is fine, since Debian has none."""
    found = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for binary in sorted(pathlib.Path(folder or ".").glob("helm*")):
            if os.access(binary, os.X_OK) and binary.name in ("helm", "helm3", "helm4"):
                found.setdefault(binary.name, str(binary))
    return found
