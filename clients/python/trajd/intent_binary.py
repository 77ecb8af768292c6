# SPDX-License-Identifier: GPL-3.0-or-later
"""The binary body of an intent (topic `binary`), as proto/intent.md describes it."""
import math
import struct
from collections import namedtuple
from typing import List, Optional, Sequence

from .frame import _crc32c

_HEADER = struct.Struct("<4sHHHHHBBQQd4d6ddQddII12sHBBII")
_Head = namedtuple("_Head", "magic version size kind dim targets valid state seq frame t free_prob progress eta logev "
                   "rest plan move hold back free silent device recv done behind flags model row target_bytes "
                   "set_bytes payload checksum")
_CHECKSUM = _HEADER.size - 4
_INTENT, _STALE = 1, 2
_NONE = 65535
_FLAGS = ("gap", "reset", "late_event", "recovered", "limited", "paused", "model", "smoothed", "unobserved",
          "retuned", "doubtful", "steered")
_STATES = ("rest", "plan", "move", "hold", "return", "free")


def _number(name: str, value: float) -> Optional[float]:
    if math.isinf(value):
        raise ValueError(f"{name}: infinite")
    return None if math.isnan(value) else value


def _numbers(name: str, values: Sequence[float]) -> Optional[List[float]]:
    known = [_number(name, value) for value in values]
    missing = known.count(None)
    if 0 < missing < len(known):
        raise ValueError(f"{name}: neither all finite nor all NaN")
    return None if missing or not known else known


def _text(name: str, raw: bytes) -> Optional[str]:
    if len(raw) > 63 or b"\0" in raw:
        raise ValueError(f"{name}: longer than 63 bytes, or with a NUL")
    return raw.decode() or None


def _check(body: bytes) -> _Head:
    """The header of a whole message; ValueError says what is wrong with it."""
    if len(body) < _HEADER.size:
        raise ValueError(f"an intent has at least {_HEADER.size} bytes, this has {len(body)}")
    head = _Head(*_HEADER.unpack_from(body))
    if head.magic != b"TRJI" or head.version != 1 or head.size != _HEADER.size:
        raise ValueError("not an intent of version 1")
    payload = 8 * _doubles(head) + head.target_bytes + head.set_bytes
    if payload != len(body) - _HEADER.size or payload != head.payload:
        raise ValueError("the payload is not as long as the header says")
    if head.checksum != _crc32c(body[:_CHECKSUM] + bytes(4) + body[_HEADER.size:]):
        raise ValueError("the checksum is wrong")
    if head.kind not in (_INTENT, _STALE):
        raise ValueError("kind: neither 1 (intent) nor 2 (stale)")
    if head.dim > 16 or head.targets > 256:
        raise ValueError("more dimensions or targets than there are")
    if head.valid > 1 or (head.state >= len(_STATES) and head.state != 255) or head.flags >> len(_FLAGS):
        raise ValueError("valid, state or flags: unknown")
    return head


def _doubles(head: _Head) -> int:
    return 2 * head.dim + 2 * head.dim * head.dim + head.targets


def _payload(body: bytes, head: _Head) -> dict:
    """Vectors and texts behind the header."""
    doubles = struct.unpack_from(f"<{_doubles(head)}d", body, _HEADER.size)
    ends = [head.dim, 2 * head.dim, 2 * head.dim + head.dim ** 2, 2 * head.dim + 2 * head.dim ** 2, len(doubles)]
    names = ("position", "velocity", "position_cov", "velocity_cov", "target_prob")
    said = {name: _numbers(name, doubles[begin:end]) for name, begin, end in zip(names, [0] + ends, ends)}
    text = body[_HEADER.size + 8 * len(doubles):]
    said["target"] = _text("target", text[:head.target_bytes])
    said["target_set"] = _text("target_set", text[head.target_bytes:])
    probability = said["target_prob"] or [0.0]
    best = max(probability)
    if head.row != (probability.index(best) if best > 0.0 else _NONE):
        raise ValueError("target: not the row of the most probable one")
    return said


def _fields(body: bytes, head: _Head) -> dict:
    """What an intent's JSON says, from a whole message."""
    state_prob = _numbers("state_prob", (head.rest, head.plan, head.move, head.hold, head.back, head.free))
    said = {name: _number(name, getattr(head, name))
            for name in ("t", "free_prob", "progress", "eta", "logev")}
    said.update(_payload(body, head))
    said.update(
        seq=head.seq, frame=head.frame, valid=bool(head.valid),
        state=None if head.state == 255 else _STATES[head.state],
        state_prob=None if state_prob is None else dict(zip(_STATES, state_prob)),
        flags=[name for i, name in enumerate(_FLAGS) if head.flags >> i & 1],
        model=_text("model", head.model.rstrip(b"\0")),
        stamps={"device": head.device or None, "recv": _number("recv", head.recv),
                "done": _number("done", head.done), "behind": head.behind})
    return said


def decode_intent(body: bytes) -> dict:
    """Reads a binary body: a dict with the keys of an intent's JSON, or of a stale message's (the one with
    `silent`); ValueError says what is wrong with it."""
    body = bytes(body)
    head = _check(body)
    said = _fields(body, head)
    silent = _number("silent", head.silent)
    if (silent is None) != (head.kind == _INTENT):
        raise ValueError("silent: a number in a stale message, NaN in an intent")
    if head.kind == _STALE:
        if said["valid"] or head.targets:
            raise ValueError("a stale message is not valid and tells of no targets")
        return {"silent": silent, **{key: said[key] for key in ("t", "valid", "velocity", "model")}}
    if said["t"] is None:
        raise ValueError("t: not finite")
    return said
