#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares `trajctl score --json` with the reference's JSON: score.py OWN REFERENCE."""
import json
import sys

own = json.load(open(sys.argv[1]))
reference = json.load(open(sys.argv[2]))
mine = dict(own["trajd"], unknown=own["unknown"])
bad = []


def same(name, a, b):
    if isinstance(b, dict):
        for key in b:
            same(f"{name}.{key}", a[key], b[key])
    elif isinstance(b, list):
        for i, value in enumerate(b):
            same(f"{name}[{i}]", a[i], value)
    elif b is None or a is None:
        if a is not b:
            bad.append(f"{name}: {a} where the reference has {b}")
    # The reference rounds the shares of trials to four decimals.
    elif abs(a - b) > (6e-5 if name.startswith("target.") else 1e-9 * max(1.0, abs(b))):
        bad.append(f"{name}: {a} where the reference has {b}")


for key, value in reference.items():
    same(key, mine[key], value)
print("\n".join(bad) if bad else f"{len(reference)} measures agree; rmse {reference['rmse']:.4f}")
sys.exit(1 if bad else 0)
