# SPDX-License-Identifier: GPL-3.0-or-later
"""What the three kinds of connection share."""
import zmq

FRAMES = "tcp://127.0.0.1:5601"
INTENTS = "tcp://127.0.0.1:5602"
CONTROL = "tcp://127.0.0.1:5603"


class Connection:
    """One ZeroMQ socket.  An endpoint "@..." binds, ">..." or a bare one connects."""

    def __init__(self, kind: int, endpoint: str, context=None, **options):
        self._own = context is None
        self._context = context or zmq.Context()
        self._socket = self._context.socket(kind)
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

    def close(self, linger_s: float = 1.0) -> None:
        """Sends what is queued, waiting at most linger_s, and closes."""
        if self._socket is not None:
            self._socket.close(linger=int(linger_s * 1000))
            self._socket = None
            if self._own:
                self._context.term()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
