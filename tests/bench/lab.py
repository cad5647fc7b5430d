# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: a network without a way out, clusters in it, an API client, and readings of
/proc. Everything is measured from outside of the processes that are measured."""
import base64
import ctypes
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import tempfile
import threading
import time
import uuid
from pathlib import Path

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
IMAGE = "bench.local/busybox:1"
SLEEP = ["/bin/busybox", "sleep", "3600"]
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Failed(Exception):
    """A measure that could not be taken; its text says why."""


def call(*argv, timeout=60, **more):
    """The output of a command that must succeed."""
    out = subprocess.run([str(a) for a in argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         timeout=timeout, check=False, **more)
    if out.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv))[:200]}: exit code {out.returncode}: {out.stdout[-500:].strip()}")
    return out.stdout


def timed(*argv, timeout=60, **more):
    """Seconds that a command took, which must succeed."""
    began = time.perf_counter()
    call(*argv, timeout=timeout, **more)
    return time.perf_counter() - began


def unshare(flags):
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def own_network():
    """This process and its children from now on: a network of their own that ends with them."""
    unshare(CLONE_NEWNET)
    for args in (["link", "set", "lo", "up"], ["link", "add", "up0", "type", "bridge"],
                 ["addr", "add", "192.0.2.30/24", "dev", "up0"], ["link", "set", "up0", "up"]):
        call("ip", *args)


def apart(fn):
    """fn() in a child process where an empty cgroup v2 tree beside version 1 is hidden, since crun refuses to
    run when it sees one. Its result, through JSON."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            unshare(CLONE_NEWNS)
            call("mount", "--make-rslave", "/")
            if os.path.ismount("/sys/fs/cgroup/unified"):
                call("umount", "-l", "/sys/fs/cgroup/unified")
            try:
                answer = {"result": fn()}
            except (Failed, OSError, subprocess.SubprocessError) as e:
                answer = {"error": str(e)}
            os.write(write, json.dumps(answer).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as f:
        text = f.read()
    os.waitpid(pid, 0)
    answer = json.loads(text or '{"error": "no answer"}')
    if "error" in answer:
        raise Failed(answer["error"])
    return answer["result"]


# ---- /proc ----

def pss(pid):
    """Proportional set size in bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"/proc/{pid}/smaps_rollup has no Pss")


def stat(pid):
    """The fields behind the command's name."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def cpu_seconds(pid):
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bytes_written(pid):
    return int(re.search(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.M).group(1))


def children_of(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if int(stat(entry)[1]) == pid:
                    found.append(int(entry))
            except OSError:
                pass
    return found


# ---- the image ----

def rootfs(directory):
    """A root file system that is one static busybox."""
    busybox = shutil.which("busybox")
    if not busybox:
        raise Failed("busybox is missing (package busybox-static)")
    (directory / "bin").mkdir(parents=True)
    shutil.copy(busybox, directory / "bin/busybox")
    return directory


def image_archive(root, path):
    """A Docker archive of it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, ".")
    raw = layer.getvalue()
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
              "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest()]}}
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        for name, data in (("config.json", json.dumps(config).encode()), ("layer.tar", raw),
                           ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


# ---- the API ----

class Api:
    """One connection with the admin's certificate."""

    def __init__(self, kubeconfig, directory):
        text = Path(kubeconfig).read_text()
        self.url = re.search(r"server: *(\S+)", text).group(1).strip('"')
        self.files = {}
        for name, field in (("ca", "certificate-authority-data"), ("cert", "client-certificate-data"),
                            ("key", "client-key-data")):
            self.files[name] = directory / f"{name}.pem"
            self.files[name].write_bytes(base64.b64decode(re.search(field + r': *"?([^"\s]+)', text).group(1)))
        self.tls = ssl.create_default_context(cafile=self.files["ca"])
        self.tls.load_cert_chain(self.files["cert"], self.files["key"])
        self.connection = self.connect()

    def connect(self, timeout=60):
        host, port = self.url.split("//")[1].split(":")
        return http.client.HTTPSConnection(host, int(port), context=self.tls, timeout=timeout)

    def do(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status}: {data.decode(errors='replace')[:300]}")
        return json.loads(data)


class PodWatch(threading.Thread):
    """When each pod of a namespace was first seen Running, and Ready, on a watch; and which are there."""

    def __init__(self, api, ns):
        super().__init__(daemon=True)
        self.path = f"/api/v1/namespaces/{ns}/pods"
        listed = api.do("GET", self.path)
        self.there = {p["metadata"]["name"] for p in listed["items"]}
        self.running, self.ready = {}, {}
        self.changed = threading.Condition()
        self.connection = api.connect(timeout=600)
        self.connection.request("GET", f"{self.path}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}")
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.start()

    def run(self):
        try:
            for line in self.answer:
                self.note(time.perf_counter(), json.loads(line))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass    # closed; whoever waits has a deadline

    def note(self, now, event):
        name, status = event["object"]["metadata"]["name"], event["object"].get("status", {})
        with self.changed:
            self.there.add(name)
            if event["type"] == "DELETED":
                self.there.discard(name)
            if status.get("phase") == "Running":
                self.running.setdefault(name, now)
            if any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", [])):
                self.ready.setdefault(name, now)
            self.changed.notify_all()

    def wait(self, condition, seconds, what):
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                raise Failed(f"not within {seconds} s: {what}")

    def close(self):
        # Closing alone would wait for the reader, which waits for the server.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self.connection.close()


# ---- clusters ----

class Cluster:
    """`coracle up` under a name of its own, with its data in a directory of its own."""

    def __init__(self, lab, env=None):
        self.lab, self.name, self.env = lab, "b" + uuid.uuid4().hex[:8], env
        self.dir = Path(tempfile.mkdtemp(prefix="coracle-bench-", dir="/var/tmp"))
        self.dir.chmod(0o755)
        self.data = self.dir / "data"

    def coracle(self, command, *args, timeout=60):
        return call(self.lab.tool("src/cli/coracle"), command, "--name", self.name, "--data-dir", self.data, *args,
                    timeout=timeout, env={**os.environ, **(self.env or {})})

    def __enter__(self):
        began = time.perf_counter()
        try:
            self.start()
            self.boot = time.perf_counter() - began
            self.api = Api(self.data / "kubeconfig", self.dir)
            ready = [c["status"] for n in self.api.do("GET", "/api/v1/nodes")["items"]
                     for c in n["status"]["conditions"] if c["type"] == "Ready"]
            if ready != ["True"]:
                raise Failed(f"up returned, but the node says Ready: {ready}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        try:
            self.coracle("up")
        except Failed as e:
            log = self.data / "log"
            raise Failed(f"{e}\n{log.read_text(errors='replace')[-800:] if log.is_file() else ''}") from None

    def __exit__(self, *_):
        try:
            self.coracle("down", "--purge", timeout=120)
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def processes(self):
        """Our processes by what they are: {"up": pid, "server": pid, ...}."""
        pid = json.loads(self.coracle("status", "-o", "json"))["pid"]
        todo, found = [pid], {}
        while todo:
            pid = todo.pop()
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"coracle"):
                found[argv[1].decode()] = pid
                todo += children_of(pid)
        if not {"up", "server", "node", "dns"} <= set(found):
            raise Failed(f"processes: {found}")
        return found

    def why(self, pod):
        """What a pod's status and its last event say. On a new connection: the old one may have been idle too long."""
        self.api.connection = self.api.connect()
        status = self.api.do("GET", f"/api/v1/namespaces/default/pods/{pod}")["status"]
        events = self.api.do("GET", f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={pod}")["items"]
        last = f"{events[-1]['reason']}: {events[-1]['message']}" if events else "no event"
        return f"{status.get('phase')}, {json.dumps(status.get('containerStatuses', [{}])[0].get('state'))}, {last}"

    def settle(self, quiet=1.0, limit=30):
        """Until our processes use no CPU for a while."""
        end = time.monotonic() + limit
        pids = self.processes().values()
        while time.monotonic() < end:
            before = sum(map(cpu_seconds, pids))
            time.sleep(quiet)
            if sum(map(cpu_seconds, pids)) - before <= 0.02 * quiet:
                return


class Lab:
    """One run: where the programs are, and a directory for what does not belong to a cluster."""

    def __init__(self, build, quick, ahead=False):
        self.build, self.quick = Path(build).resolve(), quick
        # What is measured, its clients and its peers then run before other work of the machine.
        self.ahead = ["chrt", "--rr", "1"] if ahead else []
        self.dir = Path(tempfile.mkdtemp(prefix="coracle-bench-", dir="/var/tmp"))
        self.dir.chmod(0o755)
        self.rootfs = rootfs(self.dir / "rootfs")
        self.archive = image_archive(self.rootfs, self.dir / "image.tar")

    def tool(self, path):
        return self.build / path

    def put_ahead(self, pid):
        """All threads of a process that runs already."""
        if self.ahead:
            call("chrt", "--all-tasks", "--rr", "--pid", "1", pid)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def load(self, api, path, requests, clients=1, method="GET", body=None, first=0, kind="application/json",
             pid=0):
        """What bench_load says. The first requests of each client are not counted."""
        argv = [*self.ahead, self.tool("tests/bench/bench_load"), "--url", api.url if api else "", "--method", method, "--path", path,
                "--requests", requests, "--clients", clients, "--first", first, "--type", kind, "--pid", pid]
        if isinstance(api, Api):
            for name, file in api.files.items():
                argv += [f"--{name}", file]
        if body is not None:
            (self.dir / "body").write_text(body if isinstance(body, str) else json.dumps(body))
            argv += ["--body", self.dir / "body"]
        return json.loads(call(*argv, timeout=120))


class Daemon:
    """A program of somebody else's in the background, ended with the block."""

    def __init__(self, log, *argv):
        with open(log, "w") as f:
            self.process = subprocess.Popen([str(a) for a in argv], stdout=f, stderr=f, start_new_session=True)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
