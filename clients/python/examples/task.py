#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task computer's loop: shows targets, puts a cursor at the decoded position, rewards.

    python3 task.py [--trials N] [--frames ENDPOINT] [--intents ENDPOINT] [--bin S]

It speaks to a running trajd on two sockets: events go in beside the frames of the acquisition computer,
intents come out.  Here it also stands in for the acquisition with frames of random counts, so that it
runs without a rig; where a rig sends frames, drop `rig.frame` and take t from the intents.
"""
import argparse
import math
import random
import time

import trajd


class Cursor:
    """Stands at the decoded position, or where it is whenever the decoder is not to be trusted."""

    def __init__(self):
        self.position = None  # nowhere, until something is decoded

    def follow(self, message):
        if isinstance(message, trajd.Stale) or not message.valid or message.position is None:
            return
        self.position = list(message.position)


def run(arguments):
    control = trajd.Control(arguments.control)
    model = control.model()["model"]
    chance = random.Random(1)
    now, number = 0.0, 0
    with trajd.Source(arguments.frames) as rig, trajd.Intents(arguments.intents, stale=True) as intents:
        rig.wait()
        while control.status()["subscribers"] == 0:  # until the daemon knows of us
            time.sleep(0.01)
        rig.session("task", marks=True)
        cursor = Cursor()
        for trial in range(arguments.trials):
            target = trial % max(1, model["targets"])
            rig.trial_start(now)
            for _ in range(arguments.bins):
                now += arguments.bin
                if cursor.position is not None:
                    rig.effector(now, cursor.position)  # what the subject sees and corrects
                rig.frame([chance.randrange(3) for _ in range(model["units"])], t=now, dt=arguments.bin)
                message = intents.receive(5.0)
                if message is None:
                    raise SystemExit("no intent came in 5 s")
                cursor.follow(message)
                if cursor.position is not None:
                    rig.kinematics(now, cursor.position)
                number += isinstance(message, trajd.Intent)
                if not arguments.asap:
                    time.sleep(arguments.bin)
            rig.trial_stop(now)
            place = cursor.position or [0.0]
            rig.trial_label(now, target=target, rewarded=math.hypot(*place) > 50.0)
            print(f"trial {trial}: cursor at", ", ".join(f"{x:.1f}" for x in place))
    control.close()
    print(f"{number} intents, {intents.lost} lost")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--bins", type=int, default=50, help="bins a trial (default 50)")
    parser.add_argument("--bin", type=float, default=0.02, help="width of a bin, s (default 0.02)")
    parser.add_argument("--asap", action="store_true", help="do not wait for the clock")
    parser.add_argument("--frames", default=trajd.source.sockets.FRAMES)
    parser.add_argument("--intents", default=trajd.source.sockets.INTENTS)
    parser.add_argument("--control", default=trajd.source.sockets.CONTROL)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
