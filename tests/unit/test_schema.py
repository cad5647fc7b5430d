#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""schema/gen.py: what a schema may not say is refused with file and line, and nothing is written
that depends on anything but the schema.

  test_schema.py GEN.py SCHEMA_DIR
"""
import filecmp
import os
import subprocess
import sys
import tempfile

HEAD = "package x.v1 group=x version=v1 proto=x.v1\n"
BAD = [
    ("type T\n  1 a strin\n", "unknown type strin"),
    ("type T\n  1 a string requird\n", "x.api:3: unknown attribute requird"),
    ("type T\n  1 a string lst=atomic\n", "x.api:3: unknown attribute lst"),
    ("type T\n  one a string\n", "x.api:3:"),
    ("type T\n  1 a\n", "x.api:3:"),
    ("  1 a string\n", "x.api:2: a field outside of a type"),
    ("  sub s T get\n", "x.api:2: a subresource without a resource"),
    ("type T\n  1 a string\n  1 b string\n", "number 1 twice"),
    ("type T\n  1 a string\n  2 a string\n", "a name twice"),
    ("type T\n  1 a T\n", "holds itself by value"),
    ("type T\n" + "".join("  %d f%d bool\n" % (i, i) for i in range(1, 70)), "too many fields"),
    ("type T\n  1000 a string\n", "number above 255"),
]
GOOD = "type T\n  1 a string default=\"x y\" \"text \\\"quoted\\\"\"\n  2 t *T\n  3 m {string}T\n"


def run(gen, out, files):
    return subprocess.run([sys.executable, gen, "--out", out] + files, capture_output=True,
                          text=True, timeout=50)


def main():
    gen, schema = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "x.api")
        for text, want in BAD:
            with open(path, "w") as f:
                f.write(HEAD + text)
            r = run(gen, d, [path])
            assert r.returncode != 0, "accepted: " + text
            assert want in r.stderr and "Traceback" not in r.stderr, (text, r.stderr)
        with open(path, "w") as f:
            f.write(HEAD + GOOD)
        r = run(gen, d, [path])
        assert r.returncode == 0, r.stderr
        assert r'text \042quoted\042\000' in open(os.path.join(d, "tables.c")).read()
        outs = [os.path.join(d, n) for n in ("one", "two")]
        files = sorted(os.path.join(schema, n) for n in os.listdir(schema) if n.endswith(".api"))
        for out in outs:
            os.mkdir(out)
            r = run(gen, out, files)
            assert r.returncode == 0, r.stderr
        names = os.listdir(outs[0])
        assert filecmp.cmpfiles(outs[0], outs[1], names, shallow=False)[0] == names


if __name__ == "__main__":
    main()
