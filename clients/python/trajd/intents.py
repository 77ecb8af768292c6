# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon publishes."""
import json
from dataclasses import dataclass, field, fields
from typing import Dict, Iterator, List, Optional, Union

import zmq

from . import sockets
from .intent_binary import decode_intent


@dataclass(frozen=True)
class Intent:
    """One decoded frame; proto/intent.md describes each field.  Covariances are row by row."""

    seq: int
    frame: int
    t: float
    valid: bool
    position: Optional[List[float]] = None
    position_cov: Optional[List[float]] = None
    velocity: Optional[List[float]] = None
    velocity_cov: Optional[List[float]] = None
    target: Optional[str] = None
    target_prob: Optional[List[float]] = None
    target_set: Optional[str] = None
    free_prob: Optional[float] = None
    state: Optional[str] = None
    state_prob: Optional[Dict[str, float]] = None
    progress: Optional[float] = None
    eta: Optional[float] = None
    logev: Optional[float] = None
    flags: List[str] = field(default_factory=list)
    model: Optional[str] = None
    stamps: Dict = field(default_factory=dict)

    @classmethod
    def of(cls, body: dict) -> "Intent":
        """From a parsed intent; keys of a later version are passed over."""
        return cls(**{key: body[key] for key in _NAMES if key in body})


_NAMES = tuple(f.name for f in fields(Intent))


@dataclass(frozen=True)
class Stale:
    """Said once a period while no frames come: whoever moves a cursor stops it."""

    t: Optional[float]
    silent: float
    velocity: List[float]
    model: Optional[str] = None


Message = Union[Intent, Stale]


def _message(topic: bytes, body: bytes) -> Message:
    parsed = decode_intent(body) if topic == b"binary" else json.loads(body)
    if "silent" in parsed:
        return Stale(parsed["t"], parsed["silent"], parsed["velocity"], parsed.get("model"))
    return Intent.of(parsed)


class Intents(sockets.Connection):
    """Iterates intents as they come; with stale=True also a Stale while frames fail to come.

        with Intents() as intents:
            for intent in intents:
                if intent.valid:
                    cursor.move_to(intent.position)

    `lost` counts the intents that this subscriber missed (holes in seq).  One object a thread.

    binary=True asks for bytes instead of JSON; what comes out is the same, Stale always among it.
    """

    def __init__(self, endpoint: str = sockets.INTENTS, context=None, stale: bool = False,
                 queue: int = 10000, key: Optional[str] = None, server_key: Optional[str] = None,
                 binary: bool = False):
        super().__init__(zmq.SUB, endpoint, context, key, server_key, RCVHWM=queue)
        topics = ("binary",) if binary else ("intent", "stale") if stale else ("intent",)
        for topic in topics:
            self._socket.subscribe(topic)
        self.lost = 0
        self._next: Optional[int] = None

    def receive(self, timeout_s: Optional[float] = None) -> Optional[Message]:
        """The next message; None where none comes in time (no time limit where None)."""
        if not self._socket.poll(None if timeout_s is None else int(timeout_s * 1000)):
            return None
        message = _message(*self._socket.recv_multipart())
        if isinstance(message, Intent):
            # A smaller seq is a new run, not a loss.
            if self._next is not None and message.seq > self._next:
                self.lost += message.seq - self._next
            self._next = message.seq + 1
        return message

    def newest(self, timeout_s: float = 0.0) -> Optional[Message]:
        """The last message that waits, the others dropped unseen, or where none waits the next one;
        None where none comes in time."""
        last = self.receive(timeout_s)
        while last is not None:
            message = self.receive(0)
            if message is None:
                break
            last = message
        return last

    def __iter__(self) -> Iterator[Message]:
        while True:
            message = self.receive()
            if message is not None:
                yield message
