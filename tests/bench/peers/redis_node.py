# SPDX-License-Identifier: GPL-3.0-or-later
"""One node of a pipeline of Redis streams, as BRAND builds them, in Python: see redis_node.c.

    redis_node.py SOCKET IN OUT UNITS [pass]
"""
import sys

import numpy as np
import redis

from zmq_peer import Kalman


def main(path, read_from, write_to, units, passing=None):
    server = redis.Redis(unix_socket_path=path)
    kalman, last = Kalman(int(units)), "$"
    while True:
        try:
            replies = server.xread({read_from: last}, block=0, count=1)
        except redis.exceptions.ConnectionError:
            return  # the server has ended
        for last, entry in replies[0][1]:
            if passing:
                out = {b"i": entry[b"i"], b"samples": entry[b"samples"]}
            else:
                kalman.step(np.frombuffer(entry[b"samples"], np.uint16).astype(float))
                out = {b"i": entry[b"i"], b"state": kalman.state.tobytes()}
            server.xadd(write_to, out, maxlen=1000, approximate=True)


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
