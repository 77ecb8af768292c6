# SPDX-License-Identifier: GPL-3.0-or-later
"""The instructions of a decoding step, counted by callgrind: they grow linearly with units and with targets, not at
all with the length of the run, and stay within what is budgeted for the two sizes for which a time is promised.
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
LONG = 10  # times as many frames, whose steps take as many instructions each
LONG_TOLERANCE = 0.02
# (units, targets): instructions a step, what was measured and a tenth more, for x86-64 with AVX2: of gcc 12 at -O3 and
# clang 14 at -O2, whichever takes more (clang: 186202 and 1077658).  What makes a step cheaper renews them: run this,
# and write down the greater of what it prints for the two compilers, times 1.1.  What makes it dearer gives a reason.
BUDGET = {(96, 8): 205000, (1024, 32): 1185000}


def count(valgrind, program, units, targets, frames=FRAMES):
    """Instructions of traj_decoder_step and all it calls, a frame."""
    with tempfile.NamedTemporaryFile() as out:
        ran = subprocess.run([valgrind, "--tool=callgrind", "--toggle-collect=traj_decoder_step",
                              "--callgrind-out-file=" + out.name, program, "count", str(units), str(targets),
                              str(BIN_MS), str(frames)], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode != 0 or not found:
        sys.exit(f"callgrind failed:\n{ran.stderr}")
    instructions = int(found.group(1)) / frames
    print(f"{units:5} units, {targets:3} targets, {frames:3} frames: {instructions:10.0f} instructions a step; {ran.stdout.strip()}")
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


def wide_registers():
    """Whether the decoder takes the kernels for which the budget was measured."""
    with open("/proc/cpuinfo") as file:
        return re.search(r"^flags\s*:.*\bavx2\b", file.read(), re.MULTILINE) is not None


def within_budget(counts):
    """counts: by size."""
    if not wide_registers():
        print("no AVX2: the budgets are those of processors that have it, and are not judged")
        return True
    for size, most in BUDGET.items():
        print(f"{size[0]} units, {size[1]} targets: {counts[size]:.0f} instructions a step of {most} that are budgeted")
    return all(counts[size] <= most for size, most in BUDGET.items())


def constant(few, many):
    """The length of a run does not show."""
    print(f"{LONG} times as many frames: {100 * (many / few - 1):+.2f} % instructions a step")
    return abs(many / few - 1) <= LONG_TOLERANCE


def main(program, valgrind):
    valgrind = shutil.which(valgrind)
    if not valgrind:
        print("valgrind is not installed: sh clients/install-packages.sh test")
        sys.exit(77)
    print(machine(program))
    by_units = [count(valgrind, program, units, 8) for units in UNITS]
    by_targets = [count(valgrind, program, 96, targets) for targets in TARGETS]
    long = count(valgrind, program, 256, 8, LONG * FRAMES)
    large = count(valgrind, program, 1024, 32)
    held = [check("units", UNITS, by_units), check("targets", TARGETS, by_targets),
            constant(by_units[UNITS.index(256)], long),
            within_budget({(96, 8): by_units[0], (1024, 32): large})]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
