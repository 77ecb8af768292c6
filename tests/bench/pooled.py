#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several closed-loop comparisons as one: what `trajctl rig --json` printed for several populations.

    pooled.py A.json B.json ... [--rival NAME]

Means over all seeds of all files for the decoder that comes first and for the rival (refit by itself), and the ratio of
the two, with 95 % intervals of a bootstrap over the seeds within each file.
"""
import argparse
import json
import random

FIGURES = ("success", "time_to_target", "bits_per_s")
DRAWS = 4000


def each(path, figure, rival):
    """One number a seed: of the first decoder and of the rival."""
    with open(path) as file:
        decoders = json.load(file)["decoders"]
    other = [d for d in decoders if d["decoder"] == rival]
    if not other:
        raise SystemExit(f"{path}: decoders: {rival} is not among them")
    mine, theirs = decoders[0][figure]["each"], other[0][figure]["each"]
    if len(mine) != len(theirs) or None in mine + theirs:
        raise SystemExit(f"{path}: {figure}: a seed without a number")
    return list(zip(mine, theirs))


def mean(numbers):
    return sum(numbers) / len(numbers)


def summary(groups, draws=DRAWS):
    """Both means, their ratio and its interval; groups of pairs, one group a file."""
    def ratio(drawn):
        return mean([a for group in drawn for a, _ in group]) / mean([b for group in drawn for _, b in group])
    rng = random.Random(1)
    ratios = sorted(ratio([rng.choices(group, k=len(group)) for group in groups]) for _ in range(draws))
    return (mean([a for group in groups for a, _ in group]), mean([b for group in groups for _, b in group]),
            ratio(groups), ratios[draws // 40], ratios[-1 - draws // 40])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--rival", default="refit")
    arguments = parser.parse_args()
    for figure in FIGURES:
        groups = [each(path, figure, arguments.rival) for path in arguments.files]
        mine, theirs, ratio, low, high = summary(groups)
        print(f"{figure}: {mine:.2f}, {arguments.rival} {theirs:.2f}: {ratio:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
