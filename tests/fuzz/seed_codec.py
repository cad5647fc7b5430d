#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of fuzz_codec from tests/vectors.   seed_codec.py VECTORS_DIR OUT_DIR"""
import json
import os
import sys

# in the order of the table in fuzz_codec.c
TYPES = ["core.v1.Pod", "apps.v1.StatefulSet", "core.v1.Service", "core.v1.Secret",
         "core.v1.PersistentVolume", "core.v1.Node", "policy.v1.PodDisruptionBudget",
         "resource.k8s.io.v1.ResourceSlice", None, "authorization.k8s.io.v1.SubjectAccessReview",
         None, "coordination.k8s.io.v1.Lease"]
SCHEMA = (b'{"items":[{"type":"string"}],"additionalProperties":false,"dependencies":{"b":["x"]},'
          b'"properties":{"a":{"enum":[1,{"x":2}]}},"maximum":1.5e3}')


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def raw_of(envelope):
    """The object inside k8s\\0 and runtime.Unknown: its field 2."""
    data, at = envelope[4:], 0
    while at < len(data):
        tag, at = varint(data, at)
        size, at = varint(data, at)
        if tag >> 3 == 2:
            return data[at:at + size]
        at += size
    return b""


def main():
    vectors, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    seeds = {"schema": bytes([8 * 2 + 1]) + SCHEMA,
             "watch": bytes([10 * 2 + 1]) + b'{"type":"ADDED","object":{"kind":"Pod"}}'}
    for i, name in enumerate(TYPES):
        if name:
            text = open(os.path.join(vectors, name + ".json"), "rb").read()
            proto = open(os.path.join(vectors, name + ".pb"), "rb").read()
            small = json.dumps(json.loads(text), separators=(",", ":")).encode()
            seeds[name + ".json"] = bytes([i * 2 + 1]) + small
            seeds[name + ".pretty"] = bytes([i * 2 + 1]) + text
            seeds[name + ".pb"] = bytes([i * 2]) + raw_of(proto)
    for name, data in seeds.items():
        with open(os.path.join(out, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
