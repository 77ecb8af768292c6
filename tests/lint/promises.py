#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does every promise of the given pages name a test, and is there such a test?

    promises.py SOURCE BUILD PAGE...

A promise is a row of a table whose last column is headed "test".  There, `name` is a test that ctest
knows (or a command to be typed), and words with underscores are functions in the sources of tests.
"""
import glob
import os
import re
import subprocess
import sys


def registered(build):
    listed = subprocess.run(["ctest", "--test-dir", build, "-N"], capture_output=True, text=True,
                            check=True)
    return set(re.findall(r"Test +#\d+: (\S+)", listed.stdout))


def functions(source):
    found = set()
    for path in glob.glob(os.path.join(source, "tests", "**", "*.[cp]*"), recursive=True):
        if path.endswith((".c", ".py")):
            with open(path, encoding="utf-8") as file:
                found |= set(re.findall(r"^(?:static void|\s*def) (\w+)\(", file.read(), re.M))
    return found


def promises(text):
    """(line number, last column) of the rows under a heading "test"."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|--"):
            yield number, line.rstrip("| ").rsplit("|", 1)[1]
        else:
            inside = inside or line.rstrip("| ").endswith("| test")


def breaches(source, build, pages):
    tests, named = registered(build), functions(source)
    for page in pages:
        with open(os.path.join(source, page), encoding="utf-8") as file:
            rows = list(promises(file.read()))
        if not rows:
            yield f"{page}: holds no promise"
        for number, column in rows:
            quoted = re.findall(r"`([^`]*)`", column)
            if not quoted:
                yield f"{page}:{number}: a promise without a test"
            for name in quoted:
                path = name.split()[1] if name.startswith("sh ") else None
                if path and not os.path.exists(os.path.join(source, path)) or \
                        not path and name not in tests:
                    yield f"{page}:{number}: there is no test {name}"
            for name in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", re.sub(r"`[^`]*`", "", column)):
                if name not in named:
                    yield f"{page}:{number}: no test has a part {name}"
        print(f"{page}: {len(rows)} promises")


def main():
    wrong = list(breaches(sys.argv[1], sys.argv[2], sys.argv[3:]))
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
