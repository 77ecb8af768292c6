#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Are proto/tables.c and the binary vectors what their scripts print?  test_generated.py SOURCE"""
import os
import subprocess
import sys
import tempfile


def read(*parts):
    with open(os.path.join(*parts), "rb") as file:
        return file.read()


def check_tables(source):
    made = subprocess.run([sys.executable, os.path.join(source, "proto/tables.py")],
                          check=True, capture_output=True).stdout
    # The layout is clang-format's; the words and numbers are the script's.
    if made.split() != read(source, "proto/tables.c").split():
        yield "proto/tables.c is not what tables.py prints"


def check_vectors(source):
    vectors = os.path.join(source, "proto/vectors")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, os.path.join(vectors, "generate.py"), folder], check=True)
        made = {os.path.join(kind, name) for kind in os.listdir(folder)
                for name in os.listdir(os.path.join(folder, kind))}
        there = {os.path.join(kind, name) for kind in os.listdir(vectors)
                 if os.path.isdir(os.path.join(vectors, kind))
                 for name in os.listdir(os.path.join(vectors, kind)) if name.endswith(".bin")}
        print(f"{len(made)} binary vectors")
        for path in sorted(made ^ there):
            yield f"proto/vectors/{path}: {'not there' if path in made else 'not made by generate.py'}"
        for path in sorted(made & there):
            if read(folder, path) != read(vectors, path):
                yield f"proto/vectors/{path} is not what generate.py writes"


def main(source):
    breaches = list(check_tables(source)) + list(check_vectors(source))
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
