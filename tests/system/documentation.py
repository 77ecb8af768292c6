#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation tells to type: documentation.py

Blocks fenced as `sh run` are run in order, each page in an empty folder.  Of every other line that begins with trajctl or
trajd, command and options must be ones that the program has.  Links between pages must lead somewhere.
"""
import os
import re
import subprocess
import sys
import tempfile

SOURCE, TRAJCTL, TRAJD = (os.environ[name] for name in ("TRAJ_SOURCE_DIR", "TRAJCTL", "TRAJD"))


def pages():
    yield "README.md"
    for folder in ("daemon/man", "clients/man"):
        for name in sorted(os.listdir(os.path.join(SOURCE, folder))):
            if name.endswith(".md"):
                yield f"{folder}/{name}"


def options_of(command, known={}):
    if command not in known:
        words = [TRAJD, "--help"] if command is None else [TRAJCTL, "completion", command]
        said = subprocess.run(words, capture_output=True, text=True)
        known[command] = None if said.returncode else set(re.findall(r"^ *--([a-z-]+)", said.stdout, re.M)) | {"help"}
    return known[command]


def wrong_words(text):
    """Of `trajctl COMMAND --option` and `trajd --option`, in blocks and between backquotes."""
    for line in re.findall(r"(?m)^    +((?:trajctl|trajd) .*)$", text) + re.findall(r"`((?:trajctl|trajd) [^`]+)`", text):
        line = re.split(r"[;|&#>]", line)[0]
        words = line.split()
        command = words[1] if words[0] == "trajctl" else None
        if command and not re.fullmatch(r"[a-z-]+", command):
            continue
        known = options_of(command)
        if known is None:
            yield f"no command is called {command}: {line}"
        else:
            yield from (f"--{option} is unknown: {line}" for option in re.findall(r"(?<!\S)--([a-z-]+)", line) if option not in known)


def dead_links(path, text):
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        if not os.path.exists(os.path.join(SOURCE, os.path.dirname(path), target)):
            yield f"the link to {target} leads nowhere"


def run_blocks(text):
    blocks = re.findall(r"(?ms)^```sh run\n(.*?)^```$", text)
    if not blocks:
        return
    with tempfile.TemporaryDirectory(prefix="trajd-page-") as folder:
        for name, program in (("trajctl", TRAJCTL), ("trajd", TRAJD)):
            os.makedirs(os.path.join(folder, "bin"), exist_ok=True)
            os.symlink(program, os.path.join(folder, "bin", name))
        os.mkdir(os.path.join(folder, "here"))
        env = {**os.environ, "PATH": os.path.join(folder, "bin") + ":" + os.environ["PATH"]}
        for block in blocks:
            said = subprocess.run(["sh", "-eu", "-c", block], cwd=os.path.join(folder, "here"), env=env, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if said.returncode:
                yield f"this fails:\n{block}{said.stdout}"


def main():
    failed, looked = 0, 0
    for path in pages():
        with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
            text = file.read()
        for reason in [*wrong_words(text), *dead_links(path, text), *run_blocks(text)]:
            print(f"{path}: {reason}")
            failed += 1
        looked += 1
    print(f"{looked} pages looked at")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
