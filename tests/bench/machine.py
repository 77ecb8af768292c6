# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine and the build, without which a time or a count says little.

    machine.py [PROGRAM]     PROGRAM is one of the build; otherwise that of the environment's TRAJD"""
import json
import os
import platform
import shlex
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


def said(*command):
    """The first line, or "" where the command cannot say."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""


def folder_of(program):
    """Of the build that a program belongs to, or None."""
    folder = os.path.dirname(os.path.abspath(program))
    while folder != "/" and not os.path.exists(os.path.join(folder, "CMakeCache.txt")):
        folder = os.path.dirname(folder)
    return None if folder == "/" else folder


def flags(folder):
    """Compiler and what it was told that changes the code, as the daemon's main file was compiled."""
    try:
        with open(os.path.join(folder, "compile_commands.json")) as file:
            [command] = [entry["command"] for entry in json.load(file) if entry["file"].endswith("daemon/main.c")]
    except (OSError, ValueError):
        return "compiler unknown"
    words = shlex.split(command)
    while os.path.basename(words[0]) == "ccache":
        words = words[1:]
    told = [word for word in words if word.startswith(("-O", "-m", "-f", "-g", "-DNDEBUG"))]
    return f"{said(words[0], '--version') or words[0]}, {' '.join(told)}"


def build(program):
    """Version, commit, compiler and flags."""
    folder = folder_of(program) if program else None
    words = [said(program, "--version") if os.path.basename(program or "") == "trajd" else ""]
    commit = said("git", "-C", ROOT, "describe", "--always", "--dirty")
    words += [f"commit {commit}" if commit else "", flags(folder) if folder else "build unknown"]
    return ", ".join(word for word in words if word)


def machine(program=None):
    model = governor = "unknown"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    if os.path.exists(GOVERNOR):
        with open(GOVERNOR) as file:
            governor = file.read().strip()
    return f"{model}, {os.cpu_count()} processors, governor {governor}, {platform.system()} {platform.release()}, " \
           f"load {os.getloadavg()[0]:.1f}\n{build(program or os.environ.get('TRAJD'))}"


if __name__ == "__main__":
    print(machine(*sys.argv[1:2]))
