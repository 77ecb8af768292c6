# SPDX-License-Identifier: GPL-3.0-or-later
"""What the three kinds of connection share."""
import os
from typing import Optional

import zmq

FRAMES = "tcp://127.0.0.1:5601"
INTENTS = "tcp://127.0.0.1:5602"
CONTROL = "tcp://127.0.0.1:5603"


def read_key(path: str, name: str) -> bytes:
    """A key of a file of `trajctl keygen`; name is "public-key" or "secret-key"."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            word, _, value = line.partition("=")
            if word.strip() == name:
                if name == "secret-key" and os.fstat(file.fileno()).st_mode & 0o077:
                    raise PermissionError(f"{path}: a secret key that others may read or write is none; "
                                          f"chmod 600 {path}")
                return value.strip().strip('"').encode()
    raise ValueError(f"{path}: holds no line {name} = \"...\"")


class Connection:
    """One ZeroMQ socket.  An endpoint "@..." binds, ">..." or a bare one connects.

    Where the daemon asks for keys: key is the file of this client's secret key, server_key that of
    the daemon's public one.  A client with keys connects; it cannot bind.
    """

    LINGER_S = 1.0

    def __init__(self, kind: int, endpoint: str, context=None, key: Optional[str] = None,
                 server_key: Optional[str] = None, **options):
        if (key is None) != (server_key is None) or (key and endpoint.startswith("@")):
            raise ValueError("key and server_key go together, for an endpoint that connects")
        if key:
            options.update(CURVE_SERVERKEY=read_key(server_key, "public-key"),
                           CURVE_PUBLICKEY=read_key(key, "public-key"),
                           CURVE_SECRETKEY=read_key(key, "secret-key"))
        self._own = context is None
        self._context = context or zmq.Context()
        self._socket = self._context.socket(kind)
        # What is dropped without close() must not wait for ever for a daemon that is not there.
        self._socket.linger = int(1000 * self.LINGER_S)
        for name, value in options.items():
            self._socket.setsockopt(getattr(zmq, name), value)
        try:
            if endpoint.startswith("@"):
                self._socket.bind(endpoint[1:])
            else:
                self._socket.connect(endpoint[1:] if endpoint.startswith(">") else endpoint)
        except zmq.ZMQError as error:
            self.close(0)
            raise ConnectionError(f"{endpoint}: {error}") from None

    def close(self, linger_s: Optional[float] = None) -> None:
        """Sends what is queued, waiting at most linger_s (default: LINGER_S), and closes."""
        if self._socket is not None:
            self._socket.close(linger=int(1000 * (self.LINGER_S if linger_s is None else linger_s)))
            self._socket = None
            if self._own:
                self._context.term()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
