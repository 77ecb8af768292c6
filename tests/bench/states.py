#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""False starts against onset delay, over the whole trade-off, from decoded intents.

    trajctl decode --model m.tjm --session b.h5 --out i.jsonl --no-trials
    states.py --session b.h5 --intents i.jsonl [--json]

A movement is detected where the probability of moving (state_prob: move, return and free) passes a threshold
from below.  Delay: from the true onset (/trials/move, else where speed passes 15 % of the trial's peak) to the
first time at or above it from 0.3 s before the onset on; negative = before it.  False start: the threshold is passed where the
hand rests (slower than 5 % of the session's 95th percentile for at least 0.3 s before and after); passes closer than 0.5 s
are one.  Plan: the same for plan, move and return, from the trial's start, where the session has go cues.  Idle: mean
decoded speed at rest, in percent of that percentile.
"""
import argparse
import json

import h5py
import numpy as np

AROUND, BEFORE, AFTER, MERGED = 0.3, 0.3, 1.0, 0.5
THRESHOLDS = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]


def read_intents(path):
    """Times, probabilities of the states, decoded speed."""
    t, moving, planning, speed = [], [], [], []
    with open(path) as lines:
        for line in lines:
            intent = json.loads(line)
            prob = intent.get("state_prob")
            if intent.get("type") != "intent" or prob is None:
                continue
            t.append(intent["t"])
            moving.append(prob["move"] + prob["return"] + prob["free"])
            planning.append(prob["plan"] + prob["move"] + prob["return"])
            speed.append(np.linalg.norm(intent["velocity"]))
    if not t:
        raise SystemExit(f"{path}: no intent tells of states: the model has none")
    return np.array(t), np.array(moving), np.array(planning), np.array(speed)


class Truth:
    def __init__(self, path, t):
        with h5py.File(path) as f:
            when, position = f["kinematics/t"][:], f["kinematics/position"][:]
            self.start = f["trials/start"][:]
            self.go = f["trials/go"][:] if "trials/go" in f else np.full(len(self.start), np.nan)
            move = f["trials/move"][:] if "trials/move" in f else np.full(len(self.start), np.nan)
            stop = f["trials/stop"][:]
        # Speed over 100 ms, at the ends of the bins.
        after = np.column_stack([np.interp(t + 0.05, when, x) for x in position.T])
        before = np.column_stack([np.interp(t - 0.05, when, x) for x in position.T])
        speed = np.linalg.norm(after - before, axis=1) / 0.1
        self.fast = np.percentile(speed, 95)
        slow = speed < 0.05 * self.fast
        width = max(1, int(round(AROUND / np.median(np.diff(t)))))
        quiet = np.convolve(~slow, np.ones(2 * width + 1), mode="same") == 0
        self.rest = quiet
        for r in range(len(move)):
            if np.isnan(move[r]):
                inside = np.flatnonzero((t >= self.start[r]) & (t <= stop[r]))
                if len(inside):
                    first = inside[speed[inside] >= 0.15 * speed[inside].max()][0]
                    move[r] = t[first]
        self.move = move


def passes(signal, threshold):
    above = signal >= threshold
    return np.flatnonzero(above[1:] & ~above[:-1]) + 1


def false_starts(t, signal, threshold, rest):
    """A minute of rest."""
    count, last = 0, -np.inf
    for i in passes(signal, threshold):
        if rest[i] and t[i] - last > MERGED:
            count += 1
            last = t[i]
    return count / max(rest.sum() * np.median(np.diff(t)) / 60, 1e-9)


def delays(t, signal, threshold, onset):
    """Median from the onset on in s, and the share of onsets that were missed."""
    found = []
    for at in onset[~np.isnan(onset)]:
        inside = np.flatnonzero((t >= at - BEFORE) & (t <= at + AFTER) & (signal >= threshold))
        found.append(t[inside[0]] - at if len(inside) else np.inf)
    found = np.array(found) if found else np.array([np.nan])
    return float(np.median(found)), float(np.isinf(found).mean())


def trade_off(t, signal, rest, onset):
    rows = []
    for threshold in THRESHOLDS:
        delay, missed = delays(t, signal, threshold, onset)
        rows.append({"threshold": threshold, "false_per_minute": false_starts(t, signal, threshold, rest),
                     "delay_ms": 1000 * delay, "missed": missed})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--session", required=True)
    parser.add_argument("--intents", required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    t, moving, planning, speed = read_intents(arguments.intents)
    truth = Truth(arguments.session, t)
    result = {"rest_s": float(truth.rest.sum() * np.median(np.diff(t))),
              "idle_percent": float(100 * speed[truth.rest].mean() / truth.fast) if truth.rest.any() else None,
              "move": trade_off(t, moving, truth.rest, truth.move)}
    if np.any(truth.go > truth.start + 0.1):
        # Planning is no false start of planning: rest is what lies before the trial's start.
        planned = np.zeros(len(t), bool)
        for a, b in zip(truth.start, truth.move):
            planned |= (t > a) & (t <= (b if b == b else a))
        result["plan"] = trade_off(t, planning, truth.rest & ~planned, truth.start)
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{result['rest_s']:.0f} s of rest; decoded speed there {result['idle_percent']:.1f} % of the 95th percentile")
    for kind in ("move", "plan"):
        if kind in result:
            print(f"{kind:10s}" + "  ".join(f"{'threshold':>9s} {'false/min':>9s} {'delay ms':>8s} {'missed':>6s}".split("\n")))
            for row in result[kind]:
                print(f"{'':10s}{row['threshold']:9.2f} {row['false_per_minute']:9.2f} {row['delay_ms']:8.0f} "
                      f"{100 * row['missed']:5.1f}%")


if __name__ == "__main__":
    main()
