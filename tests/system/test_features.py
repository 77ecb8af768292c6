#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units and continuous features together: a model is trained and decodes, with features missing, and one sample
that an amplifier got wrong does no lasting harm."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

TRAJCTL = os.environ["TRAJCTL"]
TRAINER = os.environ.get("TRAJ_TRAINER", TRAJCTL)  # an optimised build, where there is one
FEATURES, BROKEN, AFTER = 6, 1500, 25  # the broken frame, and how many later all is as if nothing had been


def trajctl(*arguments, program=TRAJCTL):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Features(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.session = cls.path("session.h5")
        trajctl("simulate", "--units", "16", "--targets", "4", "--trials-per-target", "6", "--seed", "3",
                "--out", cls.session)
        random = np.random.default_rng(1)
        with h5py.File(cls.session, "r+") as file:
            counts = file["frames/counts"][:]
            # Averages over the last five bins, as of a rectified signal; every tenth sample is not there.
            features = np.stack([np.convolve(counts[:, n], np.ones(5) / 5)[:len(counts)] for n in range(FEATURES)], 1)
            features += 0.1 * random.normal(size=features.shape)
            features[random.random(features.shape) < 0.1] = np.nan
            del file["frames/counts"]
            file["frames/counts"] = counts[:, FEATURES:]
            names = file["frames/unit_name"][FEATURES:]
            del file["frames/unit_name"]
            file["frames/unit_name"] = names
            file["frames/features"] = features.astype("f4")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def decode(self, model, session):
        return [json.loads(line) for line in
                trajctl("decode", "--quiet", "--model", model, "--session", session, "--out", "-").splitlines()]

    def rmse(self, intents):
        with h5py.File(self.session) as file:
            t, position = file["kinematics/t"][:], file["kinematics/position"][:]
            when = file["frames/t_end"][:]
        at = np.stack([np.interp(when, t, position[:, d]) for d in range(2)], 1)
        decoded = np.array([intent["position"] for intent in intents])
        def off(x):
            return np.sqrt(np.mean(np.sum((x - at) ** 2, 1)))
        return off(decoded), off(at.mean(0))

    def check(self, family):
        model, broken = self.path(family + ".tjm"), self.path("broken.h5")
        trajctl("train", "--quiet", "--family", family, "--session", self.session, "--out", model, program=TRAINER)
        usual = self.decode(model, self.session)
        error, deviation = self.rmse(usual)
        print(f"{family}: {error:.1f} mm, the mean position {deviation:.1f} mm")
        self.assertLess(error, 0.5 * deviation)
        shutil.copy(self.session, broken)
        with h5py.File(broken, "r+") as file:
            file["frames/features"][BROKEN, 0] = 1e6
        harmed = self.decode(model, broken)
        apart = [np.linalg.norm(np.subtract(a["position"], b["position"])) for a, b in zip(usual, harmed)]
        self.assertEqual(max(apart[:BROKEN]), 0)
        print(f"{family}: a broken sample: {apart[BROKEN]:.1f} mm then, {max(apart[BROKEN + AFTER:]):.2f} mm at most "
              f"from {AFTER} frames later on")
        self.assertLess(np.mean(apart[BROKEN + AFTER:]), 1)

    def test_of_courses(self):
        self.check("course")

    def test_of_places(self):
        self.check("places")


if __name__ == "__main__":
    unittest.main(verbosity=2)
