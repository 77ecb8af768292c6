# SPDX-License-Identifier: GPL-3.0-or-later
"""The instructions of a decoding step, counted by callgrind: they grow linearly with units and with targets.
Counts are the same on a busy machine as on an idle one, so this can be a test where times cannot.

    linear.py BENCH_COURSE VALGRIND"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from machine import machine

TOLERANCE = 0.15
FRAMES = 72  # four trials of the bin below
BIN_MS = 111.2  # 18 nodes for each target, however many targets there are
UNITS = (96, 256, 1024, 4096)
TARGETS = (8, 32, 64, 108)


def count(valgrind, program, units, targets):
    """Instructions of traj_decoder_step and all it calls, a frame."""
    with tempfile.NamedTemporaryFile() as out:
        ran = subprocess.run([valgrind, "--tool=callgrind", "--toggle-collect=traj_decoder_step",
                              "--callgrind-out-file=" + out.name, program, "count", str(units), str(targets),
                              str(BIN_MS), str(FRAMES)], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode != 0 or not found:
        sys.exit(f"callgrind failed:\n{ran.stderr}")
    instructions = int(found.group(1)) / FRAMES
    print(f"{units:5} units, {targets:3} targets: {instructions:10.0f} instructions a step; {ran.stdout.strip()}")
    return instructions


def check(what, sizes, counts):
    """Between the smallest and the largest the counts lie on a line."""
    slope = (counts[-1] - counts[0]) / (sizes[-1] - sizes[0])
    worst = 0.0
    for size, found in zip(sizes[1:-1], counts[1:-1]):
        line = counts[0] + slope * (size - sizes[0])
        worst = max(worst, abs(found / line - 1))
    growth = counts[-1] / counts[0] / (sizes[-1] / sizes[0])
    print(f"{what}: {100 * worst:.1f} % off a line at most; {sizes[-1] / sizes[0]:.1f} times as many take "
          f"{counts[-1] / counts[0]:.1f} times the instructions")
    return worst <= TOLERANCE and growth <= 1 + TOLERANCE


def main(program, valgrind):
    valgrind = shutil.which(valgrind)
    if not valgrind:
        print("valgrind is not installed: sh clients/install-packages.sh test")
        sys.exit(77)
    print(machine(program))
    by_units = [count(valgrind, program, units, 8) for units in UNITS]
    by_targets = [count(valgrind, program, 96, targets) for targets in TARGETS]
    units = check("units", UNITS, by_units)
    targets = check("targets", TARGETS, by_targets)
    sys.exit(0 if units and targets else 1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
