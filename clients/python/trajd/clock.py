# SPDX-License-Identifier: GPL-3.0-or-later
"""What time it is on the source's clock, for the events of a task computer."""
import time
from typing import Callable

from .control import Control


class Clock:
    """The source's clock, which stamps frames and events, as estimated on any computer.

        clock = trajd.Clock(control)
        task.go(clock.now())                 # an event of now, on the clock of the frames
        clock.measure()                      # now and then, where the loop has a moment: clocks drift

    Two offsets make it.  This computer's clock to the daemon's: of several requests the one that came back
    fastest tells it to half its round trip (`uncertainty`, s).  The daemon's to the source's: the smallest
    delay of late, which the daemon measures itself (status `source.offset`, or `offset` where frames come by
    the frames socket) and which is too late by the fastest message's way and no more.

    offset   s: the source's clock is this computer's plus offset
    """

    def __init__(self, control: Control, clock: Callable[[], float] = time.monotonic, requests: int = 8):
        self._control, self._clock, self._requests = control, clock, requests
        self.offset = 0.0
        self.uncertainty = float("inf")
        self.measure()

    def measure(self) -> None:
        """Estimates both offsets anew; ValueError while no frame of this session has been decoded."""
        best = float("inf")
        daemons = 0.0
        for _ in range(self._requests):
            asked = self._clock()
            there = self._control.ping()["clock"]
            answered = self._clock()
            if answered - asked < best:
                best = answered - asked
                daemons = there - (asked + answered) / 2
        status = self._control.status()
        source = status["source"]["offset"] if status["source"] else status["offset"]
        if source is None:
            raise ValueError("no frame has been decoded yet: nothing is known of the source's clock")
        self.offset, self.uncertainty = daemons - source, best / 2

    def now(self) -> float:
        """The time on the source's clock, s; asks nobody."""
        return self._clock() + self.offset
