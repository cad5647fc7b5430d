# SPDX-License-Identifier: Apache-2.0
"""`coracle image import` of archives that are broken: each is refused with the name of what is wrong in it, and leaves
nothing in the store."""
import gzip
import hashlib
import io
import json
import random
import re
import tarfile

import pytest
from machine import IMAGE, Machine, add, docker_archive, layer_of

CHANCE = random.Random(1)       # nothing that gzip makes smaller
FILES = (("etc", b"", {"kind": tarfile.DIRTYPE}), ("etc/one", CHANCE.randbytes(20000), {}), ("etc/two", CHANCE.randbytes(20000), {}))
LAYER = layer_of(*FILES)


@pytest.fixture(scope="module")
def node():
    """A store and no cluster: images can be there before it."""
    m = Machine()
    try:
        m.data.mkdir()
        yield m
    finally:
        m.close()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def docker(layer=LAYER, **instead):
    """The bytes of a Docker archive, with some of its entries replaced, or left out where they are None."""
    whole = io.BytesIO()
    docker_archive(whole, {IMAGE: ["layer.tar"]}, {"layer.tar": layer})
    return with_entries(whole.getvalue(), {k.replace("_", "."): v for k, v in instead.items()})


def oci(content=LAYER, **instead):
    """The bytes of an OCI archive; config, manifest and layer stand for the blobs' names."""
    packed = gzip.compress(content, mtime=0)
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + digest(content)]}}).encode()
    base = "application/vnd.oci.image."
    manifest = json.dumps({"schemaVersion": 2, "config": {
        "mediaType": base + "config.v1+json", "digest": "sha256:" + digest(config), "size": len(config)}, "layers": [{
            "mediaType": base + "layer.v1.tar+gzip", "digest": "sha256:" + digest(packed), "size": len(packed)}]}).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": base + "manifest.v1+json", "digest": "sha256:" + digest(manifest), "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": IMAGE}}]}).encode()
    blobs = {"config": config, "manifest": manifest, "layer": packed}
    names = {kind: f"blobs/sha256/{digest(data)}" for kind, data in blobs.items()}
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(tar, "index.json", index)
        for kind, data in blobs.items():
            add(tar, names[kind], data)
    return with_entries(whole.getvalue(), {names.get(k, k.replace("_", ".")): v for k, v in instead.items()})


def oci_of(manifest):
    """One whose manifest is what is given; its digest is right."""
    text = json.dumps(manifest).encode()
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + digest(text),
            "size": len(text)}]}).encode())
        add(tar, f"blobs/sha256/{digest(text)}", text)
    return whole.getvalue()


def with_entries(archive, instead):
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for entry in old.getmembers():
            data = old.extractfile(entry).read()
            data = instead.get(entry.name, data)
            if data is not None:
                add(new, entry.name, data(old.extractfile(entry).read()) if callable(data) else data)
    return out.getvalue()


def flipped(data):
    """One byte in the middle is another one."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1:]


def half(data):
    return data[:len(data) // 2]


BLOB = r"blobs/sha256/[0-9a-f]{64}"
ESCAPES = layer_of(*FILES, ("../../etc/cron.d/x", b"x", {}))
DEVICE = layer_of(("sda", b"", {"kind": tarfile.BLKTYPE}))
BROKEN = {
    "empty": (b"", "not an image|not an archive|is empty|nrecognized"),
    "text": (b"this is no archive\n" * 100, "not an image|not an archive|nrecognized"),
    "docker-cut": (half(docker()), r"layer\.tar|truncated|layer 1"),
    "docker-gzip-cut": (half(gzip.compress(docker(), mtime=0)), "runcated|layer|nexpected end"),
    "docker-manifest": (docker(manifest_json=half), r"manifest\.json"),
    "docker-no-manifest": (docker(manifest_json=None), r"manifest\.json"),
    "docker-no-config": (docker(config0_json=None), r"config0\.json"),
    "docker-config": (docker(config0_json=b"[]"), r"config0\.json"),
    "docker-no-layer": (docker(layer_tar=None), r"layer\.tar is missing"),
    "docker-layer-changed": (docker(layer_tar=flipped), "layer 1.*sha256:"),
    "docker-layer-cut": (docker(layer_tar=half), "layer 1"),
    "docker-layer-empty": (docker(layer_tar=b""), "layer 1"),
    "docker-escape": (docker(ESCAPES), r"layer 1, entry \.\./\.\./etc/cron\.d/x: path escapes the image"),
    "docker-device": (docker(DEVICE), "layer 1, entry sda: device nodes are not allowed"),
    "oci-cut": (half(oci()), "runcated|" + BLOB + "|index"),
    "oci-index": (oci(index_json=b'{"manifests":7}'), r"index\.json"),
    "oci-index-cut": (oci(index_json=half), r"index\.json"),
    "oci-no-manifest": (oci(manifest=None), BLOB),
    "oci-manifest-changed": (oci(manifest=flipped), BLOB),
    "oci-manifest": (oci_of({"schemaVersion": 2, "layers": 7}), BLOB),
    "oci-manifest-list": (oci_of([]), BLOB),
    "oci-no-config": (oci(config=None), BLOB),
    "oci-config-changed": (oci(config=flipped), BLOB),
    "oci-no-layer": (oci(layer=None), "layer 1: " + BLOB),
    "oci-layer-changed": (oci(layer=flipped), "layer 1"),
    "oci-layer-cut": (oci(layer=half), "layer 1"),
    "oci-escape": (oci(ESCAPES), r"layer 1, entry \.\./\.\./etc/cron\.d/x: path escapes the image"),
}


def layers(node):
    return sorted(p.name for p in (node.data / "node/images").rglob("*") if p.is_file() or p.parent.name == "layers")


@pytest.mark.parametrize("what", list(BROKEN))
def test_broken_archives_are_refused_by_name(node, what):
    data, says = BROKEN[what]
    path = node.dir / f"{what}.tar"
    path.write_bytes(data)
    node.coracle("image", "list")       # the store is there
    before = layers(node)
    out = node.coracle("image", "import", path, code=1)
    assert out.startswith("coracle image: ") and out.count("\n") == 1
    assert str(path) in out and re.search(says, out.replace(str(path), "")), out
    assert node.coracle("image", "list") == "" and layers(node) == before


def test_whole_archives_are_taken(node):
    for kind, data in (("docker", docker()), ("docker-gzip", gzip.compress(docker(), mtime=0)), ("oci", oci())):
        path = node.dir / f"{kind}.tar"
        path.write_bytes(data)
        assert IMAGE in node.coracle("image", "import", path)
        assert IMAGE in node.coracle("image", "list")
        node.coracle("image", "remove", IMAGE)
        assert node.coracle("image", "list") == ""


def test_what_is_no_file(node):
    assert "no-such-file" in node.coracle("image", "import", "no-such-file", code=1)
    assert str(node.dir) in node.coracle("image", "import", node.dir, code=1)
