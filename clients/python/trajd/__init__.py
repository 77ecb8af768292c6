# SPDX-License-Identifier: GPL-3.0-or-later
"""Client of trajd, the daemon that decodes intended movement from neural activity.

    Source      publishes frames and events               (needs pyzmq)
    Intents     iterates what the daemon publishes        (needs pyzmq)
    Control     asks the daemon: status, prior, model ... (needs pyzmq)
    Clock       what time it is on the source's clock     (needs pyzmq)
    Session     a recorded session as arrays, and its file (needs numpy, h5py)
    train, decode, score    run the trajctl program on sessions
    calibration             a block of the task over the wire becomes the model in force

A session in another format becomes a file for Session.read by `trajctl convert nwb|npz|mat|csv`; `trajctl export
nwb|csv` writes what was decoded beside it.

Lengths are in the session's own unit, times in seconds, rates in spikes per second.
"""
from .clock import Clock
from .control import Control, Held, Refused
from .frame import MISSING, decode_frame, encode_frame
from .intent_binary import decode_intent
from .intents import Intent, Intents, Stale
from .session import Session, Trials
from .source import Source
from .tools import Calibration, calibration, decode, score, train

__version__ = "0.1.0"
__all__ = ["Calibration", "Clock", "Control", "Held", "Intent", "Intents", "MISSING", "Refused", "Session", "Source",
           "Stale", "Trials", "calibration", "decode", "decode_frame", "decode_intent", "encode_frame", "score", "train"]
