#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A calibration block over the wire: what comes in becomes the model in force.

    python3 calibrate.py S.h5 --out /data/today.tjm [--frames ENDPOINT] [--control ENDPOINT] [--speed X]

It speaks to a running trajd whose configuration has "record": {"directory": ...}; trajctl is on PATH or
in TRAJCTL.  A recorded session stands in for rig and task: frames, kinematics, targets, trial marks and
labels go out as they would.  On a rig, put the task's own loop in place of `rig.play`.
"""
import argparse

import trajd


def run(arguments):
    session = trajd.Session.read(arguments.session)
    with trajd.Control(arguments.control) as control, trajd.Source(arguments.frames) as rig:
        rig.wait()
        with trajd.calibration(control, arguments.out) as block:
            frames = rig.play(session, speed=arguments.speed)
    model = block.model
    print(f"{frames} frames; in force: {model['family']}, {model['units']} units, {model['targets']} targets")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session")
    parser.add_argument("--out", required=True)
    parser.add_argument("--frames", default="tcp://127.0.0.1:5601")
    parser.add_argument("--control", default="tcp://127.0.0.1:5603")
    parser.add_argument("--speed", type=float, default=0.0, help="recorded seconds in one; 0 = as fast as can be")
    run(parser.parse_args())
