#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the rooms to the walls of rooms.ini.

    walls.py includes SOURCE          every #include of every room's files
    walls.py symbols SOURCE BUILD     the undefined symbols of the rooms' libraries in BUILD

Prints each breach on a line of its own and exits with 1 if there is one.
"""
import configparser
import fnmatch
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>|(\S+))')

# What compilers add on their own: sanitizers, coverage, fuzzing, stack protection, checked copies,
# bcmp for a memcmp that is only asked for equality.
FROM_COMPILER = (
    "__asan_* __ubsan_* __tsan_* __msan_* __lsan_* __sanitizer_* __sancov_* __gcov_* llvm_gcov_* "
    "__llvm_* __cyg_* __stack_chk_fail __mem*_chk _GLOBAL_OFFSET_TABLE_ __tls_get_addr "
    "bcmp __start___sancov_* __stop___sancov_* __cpu_model __cpu_indicator_init"
).split()


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class Rooms:
    def __init__(self):
        self.sections = configparser.ConfigParser(comment_prefixes=("#",), interpolation=None)
        with open(os.path.join(HERE, "rooms.ini"), encoding="utf-8") as file:
            self.sections.read_file(file)

    def list(self, room, key):
        return self.sections.get(room, key, fallback="").split()

    def of(self, path):
        """The sections that speak of a file: its room, and those that add to it."""
        return [room for room in self.sections.sections() if matches(path, self.list(room, "files"))]

    def names(self):
        return self.sections.sections()


def walled_files(source):
    for top in ("include", "proto", "daemon", "clients"):
        for folder, _, names in os.walk(os.path.join(source, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), source)


def permitted(header, entries):
    return any(header == e or (e.endswith("/") and header.startswith(e)) for e in entries)


def breaches_of_file(source, path, rooms):
    sections = rooms.of(path)
    if not sections:
        yield f"{path}: stands in no room of rooms.ini"
        return
    project = [entry for s in sections for entry in rooms.list(s, "project")]
    system = [entry for s in sections for entry in rooms.list(s, "system")]
    with open(os.path.join(source, path), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            ours, theirs, other = found.groups()
            where = f"{path}:{number}"
            if other:
                yield f"{where}: {other} is neither \"...\" nor <...>"
            elif theirs and not matches(theirs, system):
                yield f"{where}: room {sections[0]} may not include <{theirs}>"
            elif ours and not permitted(ours, project):
                yield f"{where}: room {sections[0]} may not include \"{ours}\""


def check_includes(source, rooms):
    count, breaches = 0, []
    for path in walled_files(source):
        count += 1
        breaches += breaches_of_file(source, path, rooms)
    print(f"{count} files of {len(rooms.names())} rooms looked at")
    if count == 0:
        breaches.append(f"{source}: holds no file of any room")
    return breaches


def symbols(archive):
    """Undefined symbols (with an object that wants each) and defined ones of a library."""
    listing = subprocess.run(["nm", "-A", "-P", archive], check=True, capture_output=True, text=True)
    wanted, defined = {}, set()
    for line in listing.stdout.splitlines():
        place, name, kind = line.split(": ", 1)[0], *line.split(": ", 1)[1].split()[:2]
        if kind in "Uwv":
            wanted.setdefault(name, place[place.rfind("[") + 1:].rstrip("]"))
        elif kind.isupper():
            defined.add(name)
    return wanted, defined


def check_symbols(source, build, rooms):
    present, breaches = {}, []
    with_code = {rooms.of(path)[0] for path in walled_files(source) if path.endswith(".c")
                 and rooms.of(path)}
    for room in rooms.names():
        for archive in rooms.list(room, "archive"):
            path = os.path.join(build, archive)
            if os.path.exists(path):
                present[room] = symbols(path)
            elif room in with_code:
                breaches.append(f"{path}: not built, so room {room} cannot be looked at")
    for room, (wanted, defined) in present.items():
        known = defined.union(*(present[r][1] for r in rooms.list(room, "above") if r in present))
        allowed, forbidden = rooms.list(room, "symbols"), rooms.list(room, "forbidden")
        for name, place in sorted(wanted.items()):
            if name in known or matches(name, FROM_COMPILER):
                continue
            if matches(name, forbidden) or (allowed and not matches(name, allowed)):
                breaches.append(f"{place}: room {room} may not use the symbol {name}")
    print(f"the libraries of {len(present)} rooms looked at: {' '.join(present)}")
    if not present:
        breaches.append(f"{build}: holds no library of any room")
    return breaches


def main(arguments):
    rooms = Rooms()
    if len(arguments) == 2 and arguments[0] == "includes":
        breaches = check_includes(arguments[1], rooms)
    elif len(arguments) == 3 and arguments[0] == "symbols":
        breaches = check_symbols(arguments[1], arguments[2], rooms)
    else:
        sys.exit(__doc__)
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
