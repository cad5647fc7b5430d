#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which lines and branches of src/ the tests that Meson knows have run, by folder.

    tests/lint/coverage.py [--build DIR] [--files] [SUITE]...

Builds with gcov's counters, runs the suites (unit and fuzz without a name; node needs a kernel of its own
to play with: root), and prints a table. --files: a line for every file.
"""
import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def counters(gcda):
    """gcov's report of one object file."""
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["gcov", "--json-format", "--branch-probabilities", gcda], cwd=out, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for report in Path(out).glob("*.json.gz"):
            yield from json.loads(gzip.open(report).read())["files"]


def gather(build):
    """{file of src/: ({line: times run}, {(line, branch): times taken})}"""
    files = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = pool.map(lambda g: list(counters(g)), sorted(build.glob("src/**/*.gcda")))
        for entry in (e for report in reports for e in report):
            path = os.path.normpath(build / entry["file"])
            if not path.startswith(f"{ROOT}/src/") or "/gen/" in path:
                continue
            lines, branches = files.setdefault(path[len(f"{ROOT}/src/"):], ({}, {}))
            for line in entry["lines"]:
                number = line["line_number"]
                lines[number] = lines.get(number, 0) + line["count"]
                for i, branch in enumerate(line["branches"]):
                    branches[number, i] = branches.get((number, i), 0) + branch["count"]
    return files


def table(files, by_file):
    rows = {}
    for path, (lines, branches) in files.items():
        for name in (path if by_file else path.rsplit("/", 1)[0], "all"):
            row = rows.setdefault(name, [0, 0, 0, 0])
            row[0] += sum(1 for n in lines.values() if n)
            row[1] += len(lines)
            row[2] += sum(1 for n in branches.values() if n)
            row[3] += len(branches)
    width = max(map(len, rows))
    yield f"{'':{width}}   lines        %   branches        %"
    for name in sorted(rows, key=lambda n: (n == "all", n)):
        run, lines, taken, branches = rows[name]
        yield (f"{name:{width}} {lines:7} {100 * run / max(lines, 1):8.1f} {branches:10} "
               f"{100 * taken / max(branches, 1):8.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("suite", nargs="*", default=["unit", "fuzz"])
    parser.add_argument("--build", type=lambda p: Path(p).resolve(), default=ROOT / "build-coverage")
    parser.add_argument("--files", action="store_true")
    options = parser.parse_args()
    build = options.build
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", build, "-Db_coverage=true"], check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", build, "--quiet"], check=True)
    for old in build.glob("src/**/*.gcda"):
        old.unlink()
    tests = subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--timeout-multiplier=3",
                            *(f"--suite={s}" for s in options.suite)], stdout=subprocess.DEVNULL)
    for line in table(gather(build), options.files):
        print(line)
    if tests.returncode:
        print("some tests have failed: the table shows less than there is", file=sys.stderr)
    return tests.returncode


if __name__ == "__main__":
    sys.exit(main())
