# SPDX-License-Identifier: GPL-3.0-or-later
"""A source of frames and events."""
import json
import math
import time
from functools import partial
from typing import Optional, Sequence

import zmq

from . import sockets
from .frame import encode_frame


def _plain(value):
    """Arrays and numbers of numpy as JSON knows them."""
    return value.tolist() if hasattr(value, "tolist") else value


def _is_finite(value) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _flat(cov):
    """A covariance row by row."""
    rows = _plain(cov)
    return [x for row in rows for x in row] if rows and isinstance(rows[0], (list, tuple)) else rows


class Source(sockets.Connection):
    """Publishes frames and events to trajd and loses nothing: it blocks when the daemon is behind.

        with Source() as rig:
            rig.wait()
            rig.session("2024-03-01 a", marks=True)
            rig.trial_start(t=0.0)
            rig.frame(counts, t=0.02, dt=0.02)

    Frames are numbered here, from 0, and anew with each session.  One object a thread.
    """

    def __init__(self, endpoint: str = sockets.FRAMES, context=None, queue: int = 1000,
                 key: Optional[str] = None, server_key: Optional[str] = None):
        super().__init__(zmq.XPUB, endpoint, context, key, server_key, XPUB_NODROP=1, SNDHWM=queue)
        self._topics = set()
        self._seq = 0

    def _read_subscriptions(self, timeout_ms: int = 0) -> None:
        while self._socket.poll(timeout_ms):
            body = self._socket.recv()
            if body[:1] == b"\1":
                self._topics.add(body[1:])
            elif body[:1] == b"\0":
                self._topics.discard(body[1:])
            timeout_ms = 0

    def wait(self, timeout_s: float = 10.0) -> None:
        """Waits until a daemon listens; TimeoutError where none does in time."""
        deadline = time.monotonic() + timeout_s
        while not (b"" in self._topics or {b"frame", b"event"} <= self._topics):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no trajd has subscribed to frames and events in {timeout_s:g} s")
            self._read_subscriptions(max(1, int(left * 1000)))

    def _send(self, topic: bytes, body: bytes) -> None:
        self._read_subscriptions()
        self._socket.send_multipart([topic, body])

    def frame(self, counts: Optional[Sequence] = None, *, t: float, dt: float,
              features: Optional[Sequence] = None, seq: Optional[int] = None, device: int = 0) -> int:
        """One bin that ends at t and is dt wide (s); counts [N], None = not observed.  Returns its seq."""
        if not math.isfinite(t):
            raise ValueError(f"t: {t!r} is no time")
        if not (math.isfinite(dt) and dt > 0):
            raise ValueError(f"dt: {dt!r} is not above 0")
        if seq is not None:
            self._seq = seq
        self._send(b"frame", encode_frame(self._seq, t, dt, counts, features, device))
        self._seq += 1
        return self._seq - 1

    def event(self, type: str, **fields) -> None:
        """Any event of proto/event.md; fields that are None are left out, but for a label's target."""
        body = {"type": type}
        body.update((key, _plain(value)) for key, value in fields.items()
                    if value is not None or key == "target")
        for key, value in body.items():
            if not _is_finite(value):
                raise ValueError(f"{type}: {key}: {value!r} is not finite")
        self._send(b"event", json.dumps(body, allow_nan=False).encode())

    def session(self, run: str, marks: bool = True, *, subject: Optional[str] = None,
                length_unit: Optional[str] = None, description: Optional[str] = None) -> None:
        """A new run: the posterior starts anew, seq begins at 0; marks: trial marks will come.

        The rest is for recordings: whose session it is, the unit of all positions, anything else.
        """
        self.event("session", run=run, marks=marks, subject=subject, length_unit=length_unit,
                   description=description)
        self._seq = 0

    def trial_start(self, t: float) -> None:
        self.event("trial_start", t=t)

    def go(self, t: float) -> None:
        self.event("go", t=t)

    def trial_stop(self, t: float) -> None:
        self.event("trial_stop", t=t)

    def target_prior(self, t: float, prob: Sequence[float]) -> None:
        """How probable each of the model's M targets is, until the trial stops."""
        self.event("target_prior", t=t, prob=prob)

    def gaze(self, t: float, position: Sequence[float], cov: Sequence) -> None:
        """Where the eyes are: position [D], covariance [D][D] or its D*D numbers row by row."""
        self.event("gaze", t=t, position=position, cov=_flat(cov))

    def effector(self, t: float, position: Sequence[float]) -> None:
        """Where the cursor or arm that follows the intents is now [D].  In a closed loop to be sent before
        every frame: from it trajd knows a correction from a reach.  After 0.25 s it is not known any more."""
        self.event("effector", t=t, position=position)

    def estimate(self, t: float, *, position: Optional[Sequence[float]] = None,
                 velocity: Optional[Sequence[float]] = None, cov: Optional[Sequence] = None,
                 loglik: Optional[Sequence[float]] = None) -> None:
        """What another decoder thinks: a position or a velocity [D] with its covariance (as of gaze), or
        the log-likelihood of every target.  How good it is the daemon finds out by itself."""
        self.event("estimate", t=t, position=position, velocity=velocity, cov=_flat(cov), loglik=loglik)

    def kinematics(self, t: float, position: Sequence[float],
                   velocity: Optional[Sequence[float]] = None) -> None:
        """What the hand did; for recording and learning alone, the decoder never sees it."""
        self.event("kinematics", t=t, position=position, velocity=velocity)

    def trial_label(self, t: float, target: Optional[int], go: Optional[float] = None,
                    rewarded: Optional[bool] = None, *, start: Optional[float] = None,
                    stop: Optional[float] = None, move: Optional[float] = None) -> None:
        """What the trial was; for recording and learning alone.

        Without start and stop it is the trial between the trial_start and trial_stop before.
        """
        self.event("trial_label", t=t, target=target, go=go, rewarded=rewarded, start=start, stop=stop,
                   move=move)

    def targets(self, t: float, set: str, id: Sequence[str], position: Sequence) -> None:
        """Which targets there are from now on, and where: names [M], positions [M][D]."""
        self.event("targets", t=t, set=set, id=id, position=position)

    def units(self, t: float, names: Sequence[str]) -> None:
        """Names of all units, in the order of the counts; for recording and learning alone."""
        for first in range(0, len(names), 256):
            self.event("units", t=t, first=first, id=list(names[first:first + 256]))

    def play(self, session, run: str = "play", marks: bool = True, speed: float = 0.0) -> int:
        """Sends a whole Session as rig and task would: targets, units, frames, kinematics, marks and labels, by
        their times; `speed` recorded seconds in one second (0 = as fast as the daemon takes them).  Returns the
        number of frames."""
        self.session(run, marks=marks and session.trials is not None, subject=session.subject or None,
                     length_unit=session.length_unit or None)
        start = float(session.t_end[0] - session.dt[0])
        if session.unit_name is not None:
            self.units(start, list(session.unit_name))
        if session.targets is not None:
            names = session.target_id or [str(i) for i in range(len(session.targets))]
            self.targets(start, "targets", names, session.targets)
        begun = time.monotonic()
        for t, _, send in sorted(_moments(self, session, marks), key=lambda moment: moment[:2]):
            if speed > 0.0:
                time.sleep(max(0.0, begun + (t - start) / speed - time.monotonic()))
            send()
        return len(session)


def _moments(source: Source, session, marks: bool) -> list:
    """What a session tells, as (time, rank among those of one time, call)."""
    moments = []
    for i, t in enumerate(session.t_end):
        moments.append((float(t), 2, partial(
            source.frame, None if session.counts is None else session.counts[i], t=float(t), dt=float(session.dt[i]),
            features=None if session.features is None else session.features[i])))
    for k in range(0 if session.position is None else len(session.position)):
        t = float(session.kinematics_t[k])
        velocity = None if session.velocity is None else session.velocity[k]
        moments.append((t, 3, partial(source.kinematics, t, session.position[k], velocity)))
    trials = session.trials if marks else None
    for r in range(0 if trials is None else len(trials)):
        begin, end = float(trials.start[r]), float(trials.stop[r])
        known = {name: float(getattr(trials, name)[r]) for name in ("go", "move", "rewarded")
                 if getattr(trials, name) is not None and getattr(trials, name)[r] == getattr(trials, name)[r]}
        moments.append((begin, 1, partial(source.trial_start, begin)))
        if "go" in known:
            moments.append((known["go"], 1, partial(source.go, known["go"])))
        target = None if trials.target is None or trials.target[r] < 0 else int(trials.target[r])
        rewarded = bool(known.pop("rewarded")) if "rewarded" in known else None
        moments.append((end, 4, partial(source.trial_stop, end)))
        moments.append((end, 5, partial(source.trial_label, end, target, rewarded=rewarded, start=begin, stop=end,
                                        **known)))
    return moments
