#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what a script can check of our C: who includes whom, sizes, forbidden calls, first lines; and that
what the map names is there.

Prints one line "file:line: what is wrong and what to do" per finding and exits with 1 if there
are any. With --headers it also compiles each header of src/ alone; generated headers are found
through -I.

    tests/lint/house_rules.py [--headers] [--cc CC] [-I DIR]... [ROOT]
"""
import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

SPDX = "SPDX-License-Identifier: Apache-2.0"
MAPS = ("ARCHITECTURE.md", "README.md", "CONTRIBUTING.md")
FILE_LINES_MAX = 1500
FUNCTION_LINES_MAX = 150

# Folder of src/ -> the folders that it may include besides itself. The server's side is api and
# what stands on it, the machine's side is node and network; they meet in cli only.
MAY_INCLUDE = {
    "base": "",
    "codec": "base",
    "net": "base codec",
    "store": "base codec net",
    "api": "base codec net store",
    "controllers": "base codec store api",
    "scheduler": "base codec store api controllers",
    "network": "base codec net",
    "node": "base codec net network",
    "cli": "base codec net store api controllers scheduler network node",
}

FORBIDDEN = {
    "strcpy": "it knows no size; use cor_arena_cstr, cor_buf_c or memcpy",
    "strcat": "it knows no size; use struct cor_buf",
    "sprintf": "it knows no size; use snprintf, cor_buf_printf or cor_arena_printf",
    "vsprintf": "it knows no size; use vsnprintf",
    "gets": "it knows no size; use fgets or read",
    "strncpy": "it may leave out the NUL; use snprintf or memcpy",
    "strncat": "its size is not that of the array; use struct cor_buf",
    "system": "it runs a shell; start the program itself with an argument vector",
    "popen": "it runs a shell; start the program itself with an argument vector",
    "alloca": "the stack has no limit check; use an arena",
    "strtok": "it keeps hidden state; use cor_str_cut",
    "atoi": "it takes anything for a number; use cor_str_to_i64 or strtol and look at the end",
    "atol": "it takes anything for a number; use cor_str_to_i64 or strtol and look at the end",
    "atoll": "it takes anything for a number; use cor_str_to_i64 or strtoll and look at the end",
    "atof": "it takes anything for a number; use strtod and look at the end",
    "rand": "it can be guessed and keeps hidden state; use the world's random, or random() in tests",
    "srand": "it keeps hidden state; use the world's random, or srandom() in tests",
    "tmpnam": "somebody else may take the name first; use mkstemp",
    "tempnam": "somebody else may take the name first; use mkstemp",
    "mktemp": "somebody else may take the name first; use mkstemp",
    "asctime": "its text is static; use cor_time_format",
    "ctime": "its text is static; use cor_time_format",
    "gmtime": "its result is static; use cor_time_format or gmtime_r",
    "localtime": "its result is static; use cor_time_format or localtime_r",
    "inet_ntoa": "its text is static; use cor_ip_format or inet_ntop",
    "gethostbyname": "it blocks and its result is static; use getaddrinfo off the loop",
}
FORBIDDEN_CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(FORBIDDEN))
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')

# Comments, strings and character constants, in the order in which a reader meets them.
NOT_CODE = re.compile(
    r"//(?:\\\n|[^\n])*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.M)


def blank(match):
    """Spaces in place of the text; its lines stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


def functions(code):
    """(first line, number of lines) of every function body's definition in blanked code."""
    code = DIRECTIVE.sub(blank, code)
    found, depth, start, line, before = [], 0, None, 1, ""
    for c in code:
        if c == "{":
            # A body follows a parameter list; an initialiser or a type's fields do not.
            if depth == 0 and before.rstrip().endswith(")") and "=" not in before:
                start = line - before.lstrip().count("\n")
            depth += 1
        elif c == "}":
            depth -= 1
            if depth == 0:
                if start is not None:
                    found.append((start, line - start + 1))
                before, start = "", None
                continue
        if depth == 0:
            before = "" if c == ";" else before + c
        if c == "\n":
            line += 1
    return found


def check_first_line(lines):
    at = 1 if lines and lines[0].startswith("#!") else 0
    if len(lines) <= at or SPDX not in lines[at]:
        yield at + 1, f"the first line must say {SPDX}"


def check_size(lines):
    if len(lines) > FILE_LINES_MAX:
        yield FILE_LINES_MAX + 1, (f"the file has {len(lines)} lines, at most {FILE_LINES_MAX} "
                                   "are allowed: split it by concept")


def check_includes(path, lines):
    parts = path.split("/")
    folder = parts[1] if parts[0] == "src" and len(parts) > 2 else None
    for number, text in enumerate(lines, 1):
        match = INCLUDE.match(text)
        if not match:
            continue
        target = match.group(1).split("/")
        if ".." in target:
            yield number, f'"{match.group(1)}": write the path from src/, without ".."'
        if folder not in MAY_INCLUDE or len(target) == 1 or target[0] not in MAY_INCLUDE:
            continue
        if target[0] != folder and target[0] not in MAY_INCLUDE[folder].split():
            allowed = MAY_INCLUDE[folder] or "nothing else"
            yield number, (f"{folder}/ must not include {match.group(1)}: includes go downward "
                           f"only, from {folder}/ to {allowed}")


def included(path, lines):
    """(line, file of src/) for every include of one of our own files."""
    folder = os.path.dirname(path)
    for number, text in enumerate(lines, 1):
        match = INCLUDE.match(text)
        if match:
            name = match.group(1)
            # A name without a folder lies beside the file; all others begin at src/.
            yield number, f"src/{name}" if "/" in name else os.path.join(folder, name)


def check_cycles(texts):
    """(path, line, message) for every circle of includes in {path: text}, once each."""
    graph = {path: [(n, t) for n, t in included(path, text.split("\n")) if t in texts]
             for path, text in texts.items()}
    state = dict.fromkeys(graph, "new")

    def visit(path, way):
        state[path] = "open"
        for line, target in graph[path]:
            if state[target] == "open":
                circle = way[way.index(target):] + [target]
                yield path, line, ("includes in a circle: " + " -> ".join(circle) +
                                   "; move what both need into a header of its own")
            elif state[target] == "new":
                yield from visit(target, way + [target])
        state[path] = "done"

    for path in sorted(graph):
        if state[path] == "new":
            yield from visit(path, [path])


def check_c(path, text, lines):
    code = NOT_CODE.sub(blank, text)
    for number, line in enumerate(code.split("\n"), 1):
        for match in FORBIDDEN_CALL.finditer(line):
            yield number, f"{match.group(1)}() is forbidden: {FORBIDDEN[match.group(1)]}"
    for start, length in functions(code):
        if length > FUNCTION_LINES_MAX:
            yield start, (f"the function has {length} lines, at most {FUNCTION_LINES_MAX} are "
                          "allowed: a function should fit a screen")
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
        yield 1, "the header lacks #pragma once"
    yield from check_includes(path, lines)


def check_text(path, text):
    """All findings of one file as (line, message)."""
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    name = os.path.basename(path)
    if not lines:
        return
    if name.endswith((".c", ".h", ".py", ".sh", ".api")) or name == "meson.build":
        yield from check_first_line(lines)
    if name.endswith((".c", ".h", ".py")):
        yield from check_size(lines)
    if name.endswith((".c", ".h")):
        yield from check_c(path, text, lines)


def check_map(text, paths):
    """(line, message) for every file or folder in `...` that no path ends with; * stands for anything."""
    for number, line in enumerate(text.split("\n"), 1):
        for name in re.findall(r"`([\w./*-]+(?:\.(?:c|h|py|md|api)|/))`", line):
            wanted = re.compile("(^|.*/)" + re.escape(name).replace(r"\*", "[^/]*") + ("" if name.endswith("/") else "$"))
            if not any(wanted.match(path) for path in paths):
                yield number, f"there is no {name}"


def files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(d for d in folders if not d.startswith((".", "build"))
                            and d != "__pycache__")
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root)


def compile_alone(root, header, cc, include_dirs):
    name = header.removeprefix("src/")
    command = cc.split() + ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                            "-Wno-unused-parameter", "-Wno-unused-function", "-fsyntax-only",
                            "-I" + os.path.join(root, "src"), *("-I" + d for d in include_dirs),
                            "-x", "c", "-"]
    run = subprocess.run(command, input=f'#include "{name}"\n', capture_output=True, text=True)
    if run.returncode == 0:
        return None
    errors = [e for e in run.stderr.split("\n") if "error:" in e]
    return f"{header}:1: does not compile alone: {errors[0] if errors else run.stderr.strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", nargs="?",
                        default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    parser.add_argument("--headers", action="store_true", help="compile each header alone")
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    parser.add_argument("-I", action="append", default=[], dest="include_dirs", metavar="DIR",
                        help="where generated headers are")
    options = parser.parse_args()
    root = os.path.normpath(options.root)

    findings, headers, texts, count = [], [], {}, 0
    paths = list(files(root))
    for path in MAPS:
        if path in paths:
            with open(os.path.join(root, path), encoding="utf-8") as f:
                findings += (f"{path}:{line}: {what}" for line, what in check_map(f.read(), paths))
    for path in paths:
        if not path.endswith((".c", ".h", ".py", ".sh", ".api", "meson.build")):
            continue
        count += 1
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
            text = f.read()
        findings += (f"{path}:{line}: {what}" for line, what in check_text(path, text))
        if path.startswith("src/") and path.endswith(".h"):
            headers.append(path)
        if path.startswith("src/") and path.endswith((".c", ".h")):
            texts[path] = text
    findings += (f"{path}:{line}: {what}" for path, line, what in check_cycles(texts))
    if options.headers:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = pool.map(lambda h: compile_alone(root, h, options.cc, options.include_dirs),
                               headers)
            findings += filter(None, results)

    if count == 0:
        findings.append(f"{root}:1: there is nothing to check here")
    for finding in findings:
        print(finding)
    print(f"house rules: {count} files, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
