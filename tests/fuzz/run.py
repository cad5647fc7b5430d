#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzz targets of a build with libFuzzer, as many at once as there are processors.

    tests/fuzz/run.py [--seconds N] [--seed N] [--build DIR] [TARGET]...

All targets without a name; --seconds 0 goes on until it is interrupted; another --seed (0: any) tries other inputs. What is learned stays in
DIR/fuzz/corpus/TARGET, what is found in DIR/fuzz/found/TARGET: copy that into
tests/fuzz/seeds/TARGET, where every build will try it from then on. Needs root, since some targets
work in namespaces of their own.
"""
import argparse
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = ROOT / "tests/fuzz/seeds"
# A target that needs more than this for one input, or more memory, has a bug.
INPUT_SECONDS, MEMORY_MB, INPUT_BYTES = 25, 2048, 8192


def targets():
    return sorted(p.name for p in SEEDS.iterdir() if p.is_dir())


def fuzz(build, target, seconds, seed):
    """(name, "" or what went wrong)"""
    corpus, found = (build / "fuzz" / kind / target for kind in ("corpus", "found"))
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    log = build / f"fuzz/{target}.log"
    argv = [build / f"tests/fuzz/fuzz_{target}", f"-max_total_time={seconds}", f"-seed={seed}",
            f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={INPUT_BYTES}",
            f"-artifact_prefix={found}/", "-print_final_stats=1", corpus, SEEDS / target,
            build / "tests/fuzz/made" / target]
    limit = seconds + 20 * INPUT_SECONDS if seconds else None
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env={
            **os.environ, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = "no end"
    if code == 0:
        return target, ""
    text = log.read_text(errors="replace")
    return target, (f"{text[-6000:]}\nfuzz_{target} ended with {code}; the input is in {found}.\n"
                    f"Again: {argv[0]} FILE. Fix it and keep the input in tests/fuzz/seeds/{target}/.")


def run_all(build, seconds, seed=0, names=(), done=lambda target, problem: None):
    """Calls done for each target as it ends."""
    lock = threading.Lock()

    def one(target):
        result = fuzz(build, target, seconds, seed)
        with lock:
            done(*result)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, names or targets()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("target", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--build", type=Path, default=ROOT / "build-asan")
    options = parser.parse_args()
    unknown = set(options.target) - set(targets())
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    failed = []

    def done(target, problem):
        print(f"{target}: {problem or 'nothing found'}", flush=True)
        if problem:
            failed.append(target)

    run_all(options.build.resolve(), options.seconds, options.seed, options.target, done)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
