#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decodes arrays of one's own: counts [bins, units] and hand positions [bins, 2] in an .npz file.

    python3 arrays.py mine.npz WIDTH_OF_A_BIN_IN_SECONDS
"""
import sys

import numpy as np

import trajd

mine = np.load(sys.argv[1])
session = trajd.Session(counts=mine["counts"], position=mine["position"], dt=float(sys.argv[2]))
most = len(session) * 3 // 4
trajd.train(session[:most], "mine.tjm")
intents = trajd.decode("mine.tjm", session[most:])
decoded = np.array([intent.position for intent in intents])
error = np.sqrt(((decoded - mine["position"][most:]) ** 2).sum(1).mean())
print(f"rmse {error:.1f} over {len(decoded)} bins that the model has not seen")
