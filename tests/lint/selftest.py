#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that the lint checks can fail: a scratch tree that keeps every rule passes, and each
breach put into it, one at a time, is refused with the file's name.

    selftest.py COMPILER
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LICENCE = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n"
CLEAN = {
    "include/traj/model.h": "#include <stddef.h>\n",
    "proto/frame.c": '#include <string.h>\n#include "proto/frame.h"\n'
                     "size_t frame_length(const char *text);\n"
                     "size_t frame_length(const char *text) { return strlen(text); }\n",
    "proto/frame.h": "#include <stddef.h>\n",
    "daemon/model/root.c": '#include <math.h>\n#include "traj/model.h"\n'
                           "double root(double x);\n"
                           "double root(double x) { return sqrt(x); }\n",
    "daemon/core/policy.c": '#include "proto/frame.h"\n#include "traj/model.h"\n'
                            "double root(double x);\ndouble policy(double x);\n"
                            "double policy(double x) { return root(x); }\n",
    "daemon/io/link.c": '#include <time.h>\n#include <zmq.h>\n#include "proto/frame.h"\n',
    "daemon/io/config.c": "#include <jansson.h>\n",
}
# What is added, to which file, and which check must then name that file.
BREACHES = [
    ("includes", "proto/frame.c", "#include <stdlib.h>\n"),
    ("includes", "proto/frame.c", '#include "daemon/core/pipeline.h"\n'),
    ("includes", "daemon/model/root.c", "#include <stdio.h>\n"),
    ("includes", "daemon/model/root.c", "  #  include <time.h>\n"),
    ("includes", "daemon/model/root.c", '#include "proto/frame.h"\n'),
    ("includes", "daemon/core/policy.c", '#include "daemon/io/link.h"\n'),
    ("includes", "daemon/core/policy.c", "#include <zmq.h>\n"),
    ("includes", "daemon/io/link.c", "#include <jansson.h>\n"),
    ("includes", "daemon/io/config.c", "#include <hdf5.h>\n"),
    ("includes", "include/traj/model.h", '#include "proto/frame.h"\n'),
    ("includes", "clients/elsewhere/new.c", "int stray(void);\n"),
    ("includes", "daemon/model/root.c", "#define HEADER <stdio.h>\n#include HEADER\n"),
    ("symbols", "daemon/model/root.c", "double exp(double);\ndouble f(double x);\n"
                                       "double f(double x) { return exp(x); }\n"),
    ("symbols", "daemon/model/root.c", "void *malloc(size_t);\nvoid *f(size_t n);\n"
                                       "void *f(size_t n) { return malloc(n); }\n"),
    ("symbols", "proto/frame.c", "int puts(const char *);\nint f(void);\n"
                                 'int f(void) { return puts("x"); }\n'),
    ("symbols", "daemon/core/policy.c", "long time(long *);\nlong f(void);\n"
                                        "long f(void) { return time(0); }\n"),
    ("text", "daemon/io/link.c", "/* TO" + "DO: later */\n"),
    ("text", "daemon/io/link.c", 'static const char *p = "/wo' + 'rk/data";\n'),
    ("text", "daemon/io/link.c", "/* https://py" + "pi.org/x */\n"),
    ("text", "daemon/io/link.c", "\tint tab;\n"),
    ("text", "daemon/io/link.c", "/* " + "long " * 20 + "*/\n"),
    ("text", "daemon/io/unlicensed.c", None),
    ("text", "daemon/io/big.bin", "x" * 500_001),
    ("layout", "notes.txt", "a stray file\n"),
    ("layout", "scripts/helper.sh", "a stray folder\n"),
    ("layout", "tests/misc/test.c", "a stray kind of test\n"),
]


def write(top, path, text, mode="w"):
    whole = os.path.join(top, path)
    os.makedirs(os.path.dirname(whole), exist_ok=True)
    with open(whole, mode, encoding="utf-8") as file:
        file.write(text)


def build(top, compiler):
    """The three libraries whose symbols are looked at, where the real build puts them."""
    for folder, library in (("proto", "libtraj_proto.a"), ("daemon/model", "libtraj_model.a"),
                            ("daemon/core", "libtraj_core.a"), ("daemon/io", "libtraj_io.a")):
        whole = os.path.join(top, folder)
        objects = []
        for name in sorted(n for n in os.listdir(whole) if n.endswith(".c")):
            objects.append(os.path.join(whole, name[:-2] + ".o"))
            subprocess.run([*compiler, "-std=c11", "-O0", "-w", "-fno-builtin", f"-I{top}",
                            f"-I{top}/include", "-c", os.path.join(whole, name), "-o", objects[-1]],
                           check=True)
        archive = os.path.join(top, "build", folder, library)
        os.makedirs(os.path.dirname(archive), exist_ok=True)
        subprocess.run(["ar", "rc", archive, *objects], check=True)


def run(check, top):
    command = {
        "includes": ["walls.py", "includes", top],
        "symbols": ["walls.py", "symbols", top, os.path.join(top, "build")],
        "text": ["tree.py", "text", top],
        "layout": ["tree.py", "layout", top],
    }[check]
    done = subprocess.run([sys.executable, os.path.join(HERE, command[0]), *command[1:]],
                          capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def try_breach(number, check, path, added, compiler):
    with tempfile.TemporaryDirectory() as top:
        for clean, text in CLEAN.items():
            write(top, clean, LICENCE + text)
        if path is not None:
            licensed = added is None or path in CLEAN
            write(top, path, "int bare;\n" if added is None else added if licensed
                  else LICENCE + added, "a")
        if check == "symbols":
            build(top, compiler)
        code, said = run(check, top)
    if path is None:
        good = code == 0
    else:
        named = os.path.basename(path)[:-2] if check == "symbols" else path
        good = code == 1 and named in said
    print(f"{'ok  ' if good else 'FAIL'} {number:2} {check:8} {path or 'the clean tree passes'}")
    if not good:
        print(said)
    return good


def main(compiler):
    cases = [(check, None, None) for check in ("includes", "symbols", "text", "layout")] + BREACHES
    good = [try_breach(n, *case, compiler) for n, case in enumerate(cases, 1)]
    print(f"{sum(good)} of {len(good)} as they should be")
    return 0 if all(good) else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
