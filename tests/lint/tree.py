#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists the files that belong to the project, and checks what any text of it must keep to.

    tree.py list SOURCE [SUFFIX ...]   the files, one a line
    tree.py layout SOURCE              the top level and tests/ hold only what they should
    tree.py text SOURCE                words, paths, licence lines, white space, sizes

Prints each breach on a line of its own and exits with 1 if there is one.
"""
import os
import re
import subprocess
import sys

TOP = {"daemon", "include", "proto", "clients", "tests", "CMakeLists.txt", "CMakePresets.json",
       "README.md", "LICENSE"}
KINDS = {"unit", "oracle", "property", "replay", "fault", "fuzz", "sim", "bench", "lint", "policy",
         "soak", "system", "package"}
IN_TESTS = KINDS | {"common", "CMakeLists.txt", "run.sh", ".clang-tidy"}
BYTES_MAX = 500_000  # a recording, or something built, is not part of the source

# Assembled from pieces, so that this file does not hold what it looks for.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
ABSOLUTE = re.compile(r"(?<![\w.$}/])/(" + "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me/[a-z]")) + r")\b")
REGISTRY = re.compile(r"\b(" + "|".join((
    r"deb\." + "debian", "py" + r"pi\.org", "files.python" + "hosted", "registry" + r"\.[a-z]+\.",
    "npm" + r"js\.", "proxy" + r"\.golang", "crates" + r"\.io", "ghcr" + r"\.io", "quay" + r"\.io",
    "docker" + r"\.(io|com)", "arti" + "factory", "pkg" + r"\.dev")) + ")", re.IGNORECASE)
SPDX = "SPDX-License-Identifier: GPL-3.0-or-later"
LINE_MAX = 100


def files(source):
    """Paths from the top: what git knows or would add; outside a checkout, what is there."""
    listed = subprocess.run(
        ["git", "-C", source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        names = sorted(name for name in set(listed.stdout.split("\0")) if name)
        return [name for name in names if os.path.isfile(os.path.join(source, name))]
    found = []
    for folder, folders, names in os.walk(source):
        folders[:] = [f for f in folders if f not in (".git", "build", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, name), source) for name in names]
    return sorted(found)


def layout(source):
    for path in files(source):
        first, *rest = path.split("/")
        if first not in TOP and not first.startswith("."):
            yield f"{path}: the top level holds only {' '.join(sorted(TOP))} and dot files"
        elif first == "tests" and rest and rest[0] not in IN_TESTS:
            yield f"{path}: tests/ holds only {' '.join(sorted(IN_TESTS))}"


def breaches_of_line(path, line):
    if UNFINISHED.search(line):
        yield "unfinished work is not committed"
    if ABSOLUTE.search(line):
        yield "an absolute path of one machine"
    if REGISTRY.search(line):
        yield "the host of a package registry"
    if path.endswith((".c", ".h")) and len(line) > LINE_MAX:
        yield f"{len(line)} columns, more than {LINE_MAX}"
    if path.endswith((".c", ".h", ".py", ".sh")) and (line != line.rstrip() or "\t" in line):
        yield "a tab, or white space at the end"


def breaches_of_text(path, lines):
    if path.endswith((".c", ".h", ".h.in")) and (not lines or lines[0] != f"/* {SPDX} */"):
        yield f"{path}:1: does not begin with the licence line"
    if path.endswith((".py", ".sh")) and not any(SPDX in line for line in lines[:3]):
        yield f"{path}:1: has no licence line"
    for number, line in enumerate(lines, 1):
        for reason in breaches_of_line(path, line):
            yield f"{path}:{number}: {reason}"


def text(source):
    for path in files(source):
        with open(os.path.join(source, path), "rb") as file:
            data = file.read()
        if len(data) > BYTES_MAX:
            yield f"{path}: {len(data)} bytes, more than {BYTES_MAX}"
        if b"\0" in data or path == "LICENSE":
            continue
        try:
            lines = data.decode("utf-8").split("\n")
        except UnicodeDecodeError:
            if "corpus" not in path.split("/"):
                yield f"{path}: is not UTF-8"
            continue
        yield from breaches_of_text(path, lines)


def main(arguments):
    if len(arguments) >= 2 and arguments[0] == "list":
        suffixes = tuple(arguments[2:]) or ("",)
        print("\n".join(path for path in files(arguments[1]) if path.endswith(suffixes)))
        return 0
    checks = {"layout": layout, "text": text}
    if len(arguments) != 2 or arguments[0] not in checks:
        sys.exit(__doc__)
    breaches = list(checks[arguments[0]](arguments[1]))
    print(f"{len(files(arguments[1]))} files looked at")
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
