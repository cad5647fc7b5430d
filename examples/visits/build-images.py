#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the images of the two applications from Debian's packages: no registry, no Docker.

apt resolves and downloads the packages as if for an empty machine, with its signature checks.
Their files, the applications and a few lines of /etc become three layers (system, language,
application) of an OCI archive, always the same bytes for the same input. Nothing is installed
on this machine and no package's script runs.

An archive that is there and was made from the same input is left alone; newer packages are
looked for with --refresh only.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEM = ["busybox"]
APPS = {
    "python": {
        "packages": ["python3-minimal", "libpython3-stdlib"],
        "file": "server.py",
        "port": 8000,
        "command": ["python3", "/app/server.py"],
    },
    "javascript": {
        "packages": ["nodejs"],
        "file": "server.js",
        "port": 3000,
        "command": ["node", "/app/server.js"],
    },
}

APPLETS = """
    [ ash awk base64 basename cat chgrp chmod chown clear cmp cp cut date dd df diff dirname dmesg
    du echo ed env expr false find fold free grep gunzip gzip head hexdump hostname id ifconfig ip
    kill killall less ln logger ls md5sum mkdir mkfifo mktemp more mount mv nc netstat nl nslookup
    od paste pgrep pidof ping printf ps pwd readlink realpath renice reset rev rm rmdir route sed
    seq sh sha256sum sleep sort stat strings stty sync tac tail tar tee telnet test time timeout
    top touch tr traceroute true truncate tty umount uname uniq unxz uptime usleep vi watch wc wget
    which whoami xargs xxd yes zcat
""".split()

# Not needed to run anything.
SKIP = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/",
        "usr/share/info/", "usr/share/bug/", "usr/share/nodejs/npm/", "usr/include/",
        "usr/share/doc-base/", "usr/share/perl5/", "usr/share/polkit-1/", "etc/cron.daily/")

# Where Debian's directories really are since /usr was merged.
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}

ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
                  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/host.conf": "multi on\n",
}
DIRECTORIES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "dev": 0o755, "proc": 0o555,
               "sys": 0o555, "run": 0o755, "etc": 0o755, "var": 0o755, "usr": 0o755,
               "app": 0o755}


class Failure(Exception):
    """Something went wrong that the user should read about."""


class Progress:
    """One bar on a terminal, a line for each step elsewhere."""

    def __init__(self):
        self.tty = sys.stderr.isatty()
        self.shown = None

    def step(self, what, share=None):
        if self.tty:
            bar = ""
            if share is not None:
                full = int(share * 24)
                bar = f" [{'#' * full}{'.' * (24 - full)}] {int(share * 100):3d}%"
            sys.stderr.write(f"\r\033[K{what}{bar}")
            sys.stderr.flush()
        elif what != self.shown:
            sys.stderr.write(what + "\n")
        self.shown = what

    def done(self, what):
        sys.stderr.write(("\r\033[K" if self.tty else "") + what + "\n")
        self.shown = None


# ---- packages ---------------------------------------------------------------------------------


class Apt:
    """apt as if this machine were empty: Debian's packages only, whatever else it knows."""

    def __init__(self, debs, scratch):
        self.debs = debs
        self.empty = scratch / "none"
        for d in (debs, self.empty):
            (d / "partial").mkdir(parents=True, exist_ok=True)
        (scratch / "status").write_text("")
        (scratch / "prefs.d").mkdir()
        (scratch / "prefs").write_text(
            "Package: *\nPin: release o=Debian\nPin-Priority: 990\n\n"
            "Package: *\nPin: release *\nPin-Priority: -1\n")
        self.options = [
            f"Dir::State::status={scratch}/status",
            f"Dir::State::extended_states={scratch}/extended",
            f"Dir::Etc::Preferences={scratch}/prefs",
            f"Dir::Etc::PreferencesParts={scratch}/prefs.d",
            "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
            f"Dir::Cache::archives={debs}",
            "Debug::NoLocking=1", "APT::Get::Assume-Yes=1", "APT::Install-Recommends=0",
            "APT::Install-Suggests=0",
        ]
        if os.geteuid() == 0:
            self.options.append("APT::Sandbox::User=root")

    def command(self, *args):
        command = ["apt-get", "-qq"]
        for o in self.options:
            command += ["-o", o]
        return command + list(args)

    def closure(self, packages):
        """The .deb names of packages and all that they depend on."""
        # apt leaves out what it has downloaded already, so it must not see that.
        r = subprocess.run(self.command("-o", f"Dir::Cache::archives={self.empty}",
                                        "--print-uris", "install", *packages),
                           capture_output=True, text=True, check=False)
        if r.returncode != 0:
            raise Failure(r.stderr.strip() or "apt-get failed")
        return [line.split()[1] for line in r.stdout.splitlines() if line.startswith("'")]

    def download(self, packages, report):
        read, write = os.pipe()
        with tempfile.TemporaryFile("w+") as errors:
            p = subprocess.Popen(
                self.command("-o", f"APT::Status-Fd={write}", "--download-only", "install",
                             *packages),
                stdout=subprocess.DEVNULL, stderr=errors, pass_fds=[write])
            os.close(write)
            with os.fdopen(read) as status:
                for line in status:     # dlstatus:1:20.5:Retrieving file 1 of 9
                    parts = line.split(":")
                    if parts[0] == "dlstatus":
                        report(float(parts[2]) / 100)
            if p.wait() != 0:
                errors.seek(0)
                raise Failure("apt-get could not download the packages:\n"
                              + errors.read().strip())


def first_lists(progress):
    """A fresh machine knows no packages yet."""
    if any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        return
    if os.geteuid() != 0:
        raise Failure("apt knows no packages yet: run `sudo apt-get update` first")
    progress.step("apt-get update")
    subprocess.run(["apt-get", "-qq", "update"], check=False)


# ---- layers -----------------------------------------------------------------------------------


def real_path(name):
    name = name.lstrip("./").rstrip("/")
    head, _, rest = name.partition("/")
    if head in MERGED:
        return MERGED[head] + ("/" + rest if rest else "")
    return name


def plain(info):
    """Nothing of this machine and of the time of day."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    info.pax_headers = {}
    return info


class Layer:
    def __init__(self):
        self.entries = {}       # path -> (TarInfo, bytes)

    def add_deb(self, deb):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                              stdout=subprocess.PIPE) as p:
            with tarfile.open(fileobj=p.stdout, mode="r|") as tar:
                for info in tar:
                    self.add_member(tar, info)
        if p.returncode != 0:
            raise Failure(f"{deb} is damaged; delete it and try again")

    def add_member(self, tar, info):
        path = real_path(info.name)
        if not path or any((path + "/").startswith(s) for s in SKIP):
            return
        if info.isdir() and path in self.entries:
            return
        data = tar.extractfile(info).read() if info.isfile() else b""
        info.name = path
        if info.islnk():
            info.linkname = real_path(info.linkname)
        self.entries[path] = (plain(info), data)

    def file(self, path, data, mode=0o644):
        info = tarfile.TarInfo(path)
        info.size, info.mode = len(data), mode
        self.entries[path] = (plain(info), data)

    def directory(self, path, mode=0o755):
        info = tarfile.TarInfo(path)
        info.type, info.mode = tarfile.DIRTYPE, mode
        self.entries[path] = (plain(info), b"")

    def symlink(self, path, target):
        if path not in self.entries:
            info = tarfile.TarInfo(path)
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
            self.entries[path] = (plain(info), b"")

    def tar(self):
        """Sorted, hard links last, so that what they name is there already."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(self.entries, key=lambda p: (self.entries[p][0].islnk(), p)):
                info, data = self.entries[path]
                tar.addfile(info, io.BytesIO(data) if info.isfile() else None)
        return out.getvalue()


def system_layer(debs):
    layer = Layer()
    for path, mode in DIRECTORIES.items():
        layer.directory(path, mode)
    for path, target in MERGED.items():
        layer.directory(target)
        layer.symlink(path, target)
    for deb in debs:
        layer.add_deb(deb)
    for path, text in ETC.items():
        layer.file(path, text.encode())
    for applet in APPLETS:
        layer.symlink(f"usr/bin/{applet}", "busybox")
    return layer


def language_layer(debs):
    layer = Layer()
    for deb in debs:
        layer.add_deb(deb)
    # Where a package has a program of its own (tar), its file hides busybox's link below.
    return layer


def application_layer(app, name):
    layer = Layer()
    layer.directory("app")
    layer.file(f"app/{app['file']}", (HERE / name / app["file"]).read_bytes())
    return layer


# ---- archive ----------------------------------------------------------------------------------


def architecture():
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(machine, machine)


def to_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def write_archive(path, ref, app, layers):
    blobs = {}

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    kind = "application/vnd.oci.image."
    descriptors = [blob(t, kind + "layer.v1.tar") for t in layers]
    config = blob(to_json({
        "created": "1970-01-01T00:00:00Z", "architecture": architecture(), "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"],
            "Cmd": app["command"], "WorkingDir": "/app",
            "ExposedPorts": {f"{app['port']}/tcp": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [d["digest"] for d in descriptors]},
    }), kind + "config.v1+json")
    manifest = blob(to_json({
        "schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "config": config,
        "layers": descriptors}), kind + "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": f"docker.io/library/{ref}",
                               "org.opencontainers.image.ref.name": ref.split(":")[1]}
    files = {f"blobs/sha256/{d}": b for d, b in blobs.items()}
    files["oci-layout"] = to_json({"imageLayoutVersion": "1.0.0"})
    files["index.json"] = to_json({"schemaVersion": 2, "manifests": [manifest]})
    out = Layer()
    for name, data in files.items():
        out.file(name, data)
    temp = path.with_suffix(".new")
    temp.write_bytes(out.tar())
    os.replace(temp, path)


def input_key(app, name):
    h = hashlib.sha256()
    for data in (Path(__file__).read_bytes(), (HERE / name / app["file"]).read_bytes(),
                 architecture().encode()):
        h.update(hashlib.sha256(data).digest())
    return h.hexdigest()


def build(name, cache, progress):
    app, ref = APPS[name], f"visits-{name}:1"
    path, key_file = cache / f"visits-{name}.tar", cache / f"visits-{name}.key"
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        apt = Apt(cache / "debs", Path(scratch))
        first_lists(progress)
        progress.step(f"{ref}: resolving packages")
        system = apt.closure(SYSTEM)
        everything = apt.closure(SYSTEM + app["packages"])
        what = f"{ref}: downloading {len(everything)} packages"
        progress.step(what, 0)
        apt.download(SYSTEM + app["packages"], lambda share: progress.step(what, share))
        paths = {d: str(apt.debs / d) for d in everything + system}
        progress.step(f"{ref}: building the file system")
        layers = [system_layer([paths[d] for d in system]).tar(),
                  language_layer([paths[d] for d in everything if d not in system]).tar(),
                  application_layer(app, name).tar()]
    progress.step(f"{ref}: writing the archive")
    write_archive(path, ref, app, layers)
    key_file.write_text(input_key(app, name) + "\n")
    size = path.stat().st_size / 1e6
    progress.done(f"{ref}: built in {time.monotonic() - start:.0f} s, {size:.0f} MB, {path}")


def up_to_date(name, cache):
    key_file, path = cache / f"visits-{name}.key", cache / f"visits-{name}.tar"
    return (path.exists() and key_file.exists()
            and key_file.read_text().strip() == input_key(APPS[name], name))


def default_cache():
    if os.geteuid() == 0:
        return Path("/var/cache/coracle/visits")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "coracle" / "visits"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("apps", nargs="*", metavar="APP", help="python, javascript; both by default")
    p.add_argument("--cache", type=Path, default=default_cache(), metavar="DIR",
                   help="where packages and archives are kept (%(default)s)")
    p.add_argument("--refresh", action="store_true", help="build again, with newer packages")
    args = p.parse_args()
    names = args.apps or list(APPS)
    unknown = [n for n in names if n not in APPS]
    if unknown:
        p.error(f"no application {unknown[0]!r}: choose from {', '.join(APPS)}")
    progress = Progress()
    try:
        for tool in ("apt-get", "dpkg-deb"):
            if not shutil.which(tool):
                raise Failure(f"{tool} is not here: this needs Debian. Elsewhere build the "
                              "images with the Dockerfiles beside this script.")
        args.cache.mkdir(parents=True, exist_ok=True)
        for name in names:
            if args.refresh or not up_to_date(name, args.cache):
                build(name, args.cache, progress)
            else:
                progress.done(f"visits-{name}:1: up to date, {args.cache}/visits-{name}.tar")
    except (Failure, OSError) as e:
        progress.done(f"build-images.py: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
