#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Analysis of the program by tools that look at it from outside: what compilers and tests miss.

    tests/lint/analysis.py [--check BUILD] [--asan BUILD] [--tsan BUILD] [--deep BUILD] [NAME]...

    tidy       clang-tidy over src/ with the checks of .clang-tidy         needs --asan (clang's build)
    cppcheck   cppcheck over src/ with tests/lint/cppcheck.suppress
    threads    unit tests of what has threads, under ThreadSanitizer       builds --tsan
    valgrind   unit tests under valgrind: memory, leaks, open descriptors  needs --check
    server     a server's life under valgrind                              needs --check, root
    deep       gcc -fanalyzer and clang's static analyser over src/: minutes, not part of make check, and
               no failure: some of the paths that they see are none, so people judge what they say

All but deep without a name. Prints what was found and "NAME: N checked, M findings" for each.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 900
# Tests whose code runs on several threads.
THREADED = ("store", "store_sqlite", "net", "world", "image", "dns_server", "websocket", "client")
# Left out: image (valgrind does not know openat2), store_sqlite (its processes end on purpose, at every
# write), net (its clients give up after 20 seconds), pki (making RSA keys takes a minute of OpenSSL's).
UNDER_VALGRIND = ("base", "cgroup", "client", "codec", "container_log", "controllers", "dns", "dns_server",
                  "field_errors", "http1", "names", "oci_spec", "patch", "pod", "registry", "selector",
                  "service_rules", "spdy", "store", "tree", "websocket", "world", "yaml")
VALGRIND = ("valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
            "--errors-for-leak-kinds=definite,indirect,possible", "--track-fds=yes", "--error-exitcode=9",
            "--child-silent-after-fork=yes")
# A loop that lives as long as the process has descriptors until its end.
FDS_OF_THE_PROCESS = ("<inherited from parent>", "uv_loop_init", "uv_tcp_init_ex")
# Of gcc 12's analyser those that it decides well in C like ours. Left out: null dereferences, leaks and
# uninitialised values, where it does not know that lists own what is linked into them, that assertions
# end the process, and that a failed call leaves its result alone.
FANALYZER = ("double-free", "double-fclose", "file-leak", "free-of-non-heap", "mismatching-deallocation",
             "shift-count-negative", "shift-count-overflow", "stale-setjmp-buffer",
             "unsafe-call-within-signal-handler", "use-after-free", "use-of-pointer-in-stale-stack-frame",
             "write-to-const", "write-to-string-literal", "tainted-array-index", "tainted-divisor",
             "tainted-offset", "tainted-size")


def run(argv, **more):
    """(exit code, all that it said)"""
    try:
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=LIMIT, cwd=more.pop("cwd", ROOT), **more)
    except subprocess.TimeoutExpired as late:
        return 124, f"{argv[0]}: no end within {LIMIT} s\n{late.stdout or ''}"
    return done.returncode, done.stdout


def each(function, items):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))


def commands(build):
    """{file of src/: its compile command} of a build; generated files are not ours to judge."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        if path.startswith(str(ROOT / "src")):
            found[path] = entry["command"]
    return found


def messages(text):
    """Lines "file:line:column: warning: what", each once, with the path from the project's root."""
    lines = (line for line in text.splitlines() if re.match(r"\S+:\d+:\d+: (warning|error): ", line))
    return sorted({re.sub(r"^\S*?(src|tests)/", r"\1/", line) for line in lines})


def clang_tidy(build, *options):
    files = commands(build)
    results = each(lambda f: run(["clang-tidy", "--quiet", "-p", build, *options, f]), sorted(files))
    found = messages("\n".join(text for _, text in results))
    if not found and any(code for code, _ in results):
        found = [text for code, text in results if code][:3]
    return len(files), found


def tidy(options):
    return clang_tidy(options.asan)


def cppcheck(_):
    code, text = run(["cppcheck", "--quiet", f"-j{os.cpu_count()}", "--enable=warning,portability",
                      "--std=c11", "--error-exitcode=1", "-Isrc",
                      f"--suppressions-list={ROOT}/tests/lint/cppcheck.suppress",
                      "--template={file}:{line}:1: {severity}: {message} [{id}]", "src"])
    found = [line for line in text.splitlines() if re.match(r"\S+:\d+:1: ", line)]
    if code and not found:
        found = [text]
    return sum(1 for _ in (ROOT / "src").rglob("*.c")), found


def set_up(build, compiler, *options):
    if (build / "build.ninja").exists():
        return ""
    cache = "ccache " if shutil.which("ccache") else ""
    code, text = run(["meson", "setup", build, *options], env={**os.environ, "CC": cache + compiler})
    return text if code else ""


def threads(options):
    build = options.tsan
    problem = set_up(build, "gcc", "-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1",
                     "-Dc_args=-Wno-maybe-uninitialized")
    if problem:
        return 0, [problem]
    code, text = run(["ninja", "-C", build, "--quiet", *(f"tests/unit/test_{t}" for t in THREADED)])
    if code:
        return 0, [text[-3000:]]
    code, text = run(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs",
                      "--timeout-multiplier=4", *THREADED],
                     env={**os.environ, "TSAN_OPTIONS": "exitcode=66:halt_on_error=0"})
    return len(THREADED), [text[-8000:]] if code else []


def descriptors(log):
    """What valgrind lists as open at the end and nobody may have left open."""
    blocks = re.split(r"(?===\d+== Open )", log)[1:]
    blocks = [re.split(r"\n==\d+== \n", block)[0] for block in blocks]
    return [b for b in blocks if not any(known in b for known in FDS_OF_THE_PROCESS)]


def check_log(name, code, text, log):
    found = []
    left = descriptors(log)
    if code == 9 or re.search(r"ERROR SUMMARY: [1-9]", log):
        found.append(f"{name}: valgrind\n{log[-6000:]}")
    elif code:
        found.append(f"{name}: exit code {code}\n{text[-3000:]}")
    if left:
        found.append(f"{name}: descriptors left open\n" + "\n".join(left))
    return found


def valgrind(options):
    vectors = {**os.environ, "COR_VECTORS": str(ROOT / "tests/vectors")}

    def one(test):
        with tempfile.NamedTemporaryFile("r", errors="replace") as log:
            code, text = run([*VALGRIND, f"--log-file={log.name}", options.check / f"tests/unit/test_{test}"],
                             env=vectors)
            return check_log(test, code, text, log.read())

    return len(UNDER_VALGRIND), sum(each(one, UNDER_VALGRIND), [])


def server(options):
    with tempfile.NamedTemporaryFile("r", errors="replace") as log:
        code, text = run(["unshare", "--net", "/usr/bin/python3", ROOT / "tests/lint/server_scenario.py",
                          options.check / "src/cli/coracle", *VALGRIND, f"--log-file={log.name}"])
        return 1, check_log("server", code, text, log.read())


def deep(options):
    build = options.deep
    problem = set_up(build, "gcc")
    if not problem:
        code, text = run(["ninja", "-C", build, "--quiet", "src/codec/gen/types.h"])
        problem = text if code else ""
    if problem:
        return 0, [problem]
    flags = ["-fanalyzer", "-Wno-error"]

    def one(item):
        command = re.sub(r" -o \S+", " -o /dev/null", item[1]).replace("ccache ", "")
        return run(["sh", "-c", " ".join([command, *flags])], cwd=build)[1]

    files = commands(build)
    wanted = tuple(f"[-Wanalyzer-{w}]" for w in FANALYZER)
    found = [m for m in messages("\n".join(each(one, files.items()))) if m.endswith(wanted)]
    number, more = clang_tidy(options.asan, "--checks=-*,clang-analyzer-core.*,clang-analyzer-unix.*,"
                              "-clang-analyzer-core.NonNullParamChecker",
                              "--warnings-as-errors=-*")
    return len(files) + number, found + more


STAGES = {f.__name__: f for f in (tidy, cppcheck, threads, valgrind, server, deep)}
EVERY_TIME = ("tidy", "cppcheck", "threads", "valgrind", "server")


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="*")
    for build in ("check", "asan", "tsan", "deep"):
        parser.add_argument("--" + build, type=lambda p: Path(p).resolve(), default=ROOT / f"build-{build}")
    options = parser.parse_args(argv)
    unknown = set(options.name) - set(STAGES)
    if unknown:
        parser.error(f"no such analysis: {', '.join(sorted(unknown))}; there are {', '.join(STAGES)}")
    return options


def run_stage(name, options):
    """(number of things checked, findings); a stage that checks nothing has a finding."""
    checked, found = STAGES[name](options)
    if not checked and not found:
        found = [f"{name}: there was nothing to check"]
    return checked, found


def main():
    options = parse(sys.argv[1:])
    failed = False
    for name in options.name or EVERY_TIME:
        checked, found = run_stage(name, options)
        for text in found:
            print(text)
        print(f"{name}: {checked} checked, {len(found)} findings", flush=True)
        failed |= bool(found) and name != "deep"
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
