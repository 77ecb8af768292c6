# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the daemon."""
import json
from typing import Optional, Sequence

import zmq

from . import sockets


class Refused(Exception):
    """The daemon said no; the text is its sentence."""


class Held(Refused):
    """Too many requests came in this second; the daemon has not looked at this one, which may be asked again."""


class Control(sockets.Connection):
    """One JSON request, one JSON reply, as proto/control.md describes them.

        with Control() as control:
            print(control.status()["frames"]["decoded"])
    """

    LINGER_S = 0.0  # a request that nobody answered is not waited for

    def __init__(self, endpoint: str = sockets.CONTROL, context=None, timeout_s: float = 5.0,
                 key: Optional[str] = None, server_key: Optional[str] = None):
        super().__init__(zmq.REQ, endpoint, context, key, server_key, REQ_RELAXED=1, REQ_CORRELATE=1)
        self._timeout_s = timeout_s
        self._endpoint = endpoint

    def request(self, cmd: str, **fields) -> dict:
        """The reply; Refused, or Held, with the daemon's sentence, TimeoutError where none answers."""
        body = {"cmd": cmd}
        body.update((key, value.tolist() if hasattr(value, "tolist") else value)
                    for key, value in fields.items())
        self._socket.send(json.dumps(body, allow_nan=False).encode())
        if not self._socket.poll(int(self._timeout_s * 1000)):
            raise TimeoutError(f"{self._endpoint}: no answer in {self._timeout_s:g} s")
        reply = json.loads(self._socket.recv())
        if not reply.get("ok"):
            raise (Held if reply.get("held") else Refused)(reply.get("error", "no reason given"))
        return reply

    def ping(self) -> dict:
        return self.request("ping")

    def status(self) -> dict:
        return self.request("status")

    def trial(self, action: str) -> dict:
        """action: "start", "go" or "stop", now."""
        return self.request("trial", action=action)

    def prior(self, prob: Sequence[float]) -> dict:
        """How probable each target is, now."""
        return self.request("prior", prob=prob if hasattr(prob, "tolist") else list(prob))

    def event(self, type: str, t: Optional[float] = None, **fields) -> dict:
        """Any event; without t it means now."""
        event = {"type": type, **fields}
        if t is not None:
            event["t"] = t
        return self.request("event", event=event)

    def reset(self) -> dict:
        return self.request("reset")

    def pause(self, on: bool = True) -> dict:
        return self.request("pause", on=on)

    def record(self, on: bool = True) -> dict:
        """Begins or ends a recording in the daemon's configured directory; tells its file."""
        return self.request("record", action="start" if on else "stop")["recording"]

    def model(self) -> dict:
        return self.request("model", action="show")

    def load(self, path: str) -> dict:
        """Loads a model file of the daemon's machine and puts it in force between two frames."""
        return self.request("model", action="load", path=str(path))

    def rollback(self) -> dict:
        return self.request("model", action="rollback")

    def shutdown(self) -> dict:
        return self.request("shutdown")
