# SPDX-License-Identifier: Apache-2.0
"""A machine with one cluster, in a network namespace without an uplink, and the image that tests run."""
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORACLE = os.environ.get("CORACLE", str(ROOT / "build/src/cli/coracle"))
KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl")
DEADLINE = int(os.environ.get("COR_TEST_DEADLINE", "60"))
ADDRESS = "192.0.2.10"
IMAGE = "test.local/busybox:1"
# Newer kubectls say so when the first message of a stream, an empty one, is there before they have made the stream.
EARLY = re.compile(r"^E\d{4} .*Unknown stream id \d+, discarding message\n", re.M)
IMAGE2 = "test.local/busybox:2"     # the same with another /etc/image


def control_groups(name):
    """Those of that name and all within them, in every hierarchy. Others come and go meanwhile: walk minds nothing of
    that, Path.glob does."""
    for folder, _, _ in os.walk("/sys/fs/cgroup"):
        if name in pathlib.Path(folder).parts:
            yield pathlib.Path(folder)


class Machine:
    """One machine with one cluster. The first call of anything that fails shows what the cluster logged."""

    def __init__(self):
        self.name = "t" + uuid.uuid4().hex[:8]
        # Not a test's own directory: the server's own user could not reach into it.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="coracle-"))
        self.dir.chmod(0o755)
        self.data = self.dir / "data"
        self.ip("netns", "add", self.name)
        # A bridge nobody is connected to carries the machine's address: there is no way out.
        for args in (["link", "set", "lo", "up"], ["link", "add", "up0", "type", "bridge"],
                     ["addr", "add", f"{ADDRESS}/24", "dev", "up0"], ["link", "set", "up0", "up"]):
            self.ip("-n", self.name, *args)
        # Its own resolver, where only a test that wants one has something listening.
        (self.dir / "resolv.conf").write_text(f"nameserver {ADDRESS}\nsearch corp.example\n")

    @staticmethod
    def ip(*args):
        subprocess.run(["ip", *args], check=True)

    def run(self, *cmd, code=0, timeout=DEADLINE, **more):
        """In the machine's network; the text that it printed."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
        out = subprocess.run(["nsenter", f"--net=/run/netns/{self.name}", *map(str, cmd)], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                             check=False, env=env, **more)
        assert code is None or out.returncode == code, \
            f"{' '.join(map(str, cmd))}: {out.returncode}\n{out.stdout}\n{self.log()}"
        return EARLY.sub("", out.stdout)

    def coracle(self, command, *args, **more):
        if command == "up":
            args = ("--resolv-conf", self.dir / "resolv.conf", *args)
        return self.run(CORACLE, command, "--name", self.name, "--data-dir", self.data, *args, **more)

    def kubectl_words(self, args, which=KUBECTL):
        """The command line of kubectl, for those who run it by themselves; which is a path of one."""
        return [which, "--kubeconfig", str(self.data / "kubeconfig"),
                f"--cache-dir={self.dir}/cache-{pathlib.Path(which).name}", *map(str, args)]

    def kubectl(self, *args, which=KUBECTL, **more):
        return self.run(*self.kubectl_words(args, which), **more)

    def process(self, role):
        """The pid of the cluster's server, node agent or DNS; None when there is none. A fork that is about to become
        another program still has their command line, and is not the one."""
        parents = {}
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (proc / "cmdline").read_bytes().split(b"\0")
                if words[:2] == [b"coracle", role.encode()] and f"{self.data}/".encode() in b" ".join(words):
                    parents[int(proc.name)] = int((proc / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        return next((pid for pid, parent in parents.items() if parent not in parents), None)

    def start(self, *cmd, **more):
        """Something that goes on in the machine's network; it is the caller's to end."""
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{self.name}", *map(str, cmd)], **more)

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def wait_for(self, what, condition, pause=0.05):
        """What has no event of its own to wait for, up to a deadline."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(pause)
        raise AssertionError(f"not within {DEADLINE} s: {what}\n{self.kubectl('get', 'po,ev', '-A', code=None)}\n"
                             f"{self.log()}")

    def log(self):
        log = self.data / "log"
        return log.read_text(errors="replace")[-3000:] if log.is_file() else ""

    def leftovers(self):
        """Everything that carries this cluster's name after it is down."""
        found = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                 if self.name in line and "/run/netns/" not in line]
        found += map(str, control_groups(f"coracle-{self.name}"))
        found += [line for line in self.run("ip", "-o", "link").splitlines()
                  if line.split()[1].rstrip(":").split("@")[0] not in ("lo", "up0")]
        found += [line for line in self.run("nft", "list", "tables").splitlines() if self.name in line]
        for proc in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if self.name.encode() in proc.read_bytes():
                    found.append(proc.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                pass
        return found

    def close(self):
        self.coracle("down", "--purge", timeout=120)
        left = self.leftovers()
        self.ip("netns", "del", self.name)
        shutil.rmtree(self.dir)
        assert not left, "left behind:\n" + "\n".join(left)


def add(tar, name, data=b"", mode=0o755, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.size = mode, kind, link, len(data)
    tar.addfile(info, io.BytesIO(data))


def layer_of(*files):
    """The bytes of a layer: what add() takes, for each file."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, data, more in files:
            add(tar, name, data, **more)
    return layer.getvalue()


def busybox_files():
    """Debian's static busybox, its names, and what a program looks for in /etc."""
    busybox = shutil.which("busybox")
    assert busybox, "these tests need busybox-static"
    for name in ("bin", "etc", "tmp", "var"):
        yield name, b"", {"mode": 0o1777 if name == "tmp" else 0o755, "kind": tarfile.DIRTYPE}
    yield "bin/busybox", pathlib.Path(busybox).read_bytes(), {}
    for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            yield f"bin/{applet}", b"", {"kind": tarfile.SYMTYPE, "link": "busybox"}
    yield "etc/passwd", b"root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n", {"mode": 0o644}
    yield "etc/group", b"root:x:0:\nweb:x:1000:\n", {"mode": 0o644}
    yield "etc/image", b"1\n", {"mode": 0o644}


def docker_archive(path, images, layers):
    """The form of docker save: names of images to the names of their layers, and those layers' bytes. To a path, or
    into a file."""
    manifest = []
    with tarfile.open(path, "w") if isinstance(path, (str, pathlib.Path)) else tarfile.open(fileobj=path, mode="w") as tar:
        for number, (ref, names) in enumerate(images.items()):
            config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
                      "rootfs": {"type": "layers", "diff_ids": [
                          "sha256:" + hashlib.sha256(layers[n]).hexdigest() for n in names]}}
            add(tar, f"config{number}.json", json.dumps(config).encode())
            manifest.append({"Config": f"config{number}.json", "RepoTags": [ref], "Layers": names})
        for name, data in layers.items():
            add(tar, name, data)
        add(tar, "manifest.json", json.dumps(manifest).encode())


def busybox_image(path):
    """A Docker archive with the two images that tests run."""
    docker_archive(path, {IMAGE: ["base.tar"], IMAGE2: ["base.tar", "second.tar"]}, {
        "base.tar": layer_of(*busybox_files()), "second.tar": layer_of(("etc/image", b"2\n", {"mode": 0o644}))})
