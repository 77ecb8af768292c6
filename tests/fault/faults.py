# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig that misbehaves, and one who watches what the daemon publishes meanwhile."""
import array
import json
import math
import os
import random
import sys

sys.path.insert(0, os.path.join(os.environ["TRAJ_SOURCE_DIR"], "tests", "system"))
sys.path.insert(0, os.path.join(os.environ["TRAJ_SOURCE_DIR"], "clients", "python"))
import daemon  # noqa: E402
from daemon import event  # noqa: E402
from trajd.frame import encode_frame  # noqa: E402


class Good(list):
    """The message of a good frame; key is its (run, seq)."""

    def __init__(self, key, body):
        super().__init__([b"frame", body])
        self.key = key


class Due:
    """When each good frame was due to be sent, until its intent comes.  Many never give one: of these the oldest are
    forgotten, so that hours take no more memory than minutes."""
    MOST = 1 << 16

    def __init__(self):
        self.at = {}  # (run, seq): s on the monotonic clock, in the order of sending

    def note(self, key, when):
        self.at[key] = when
        if len(self.at) > self.MOST:
            del self.at[next(iter(self.at))]

    def take(self, key):
        return self.at.pop(key, None)


class Rig:
    """Makes messages, (topic, body, ...); good ones in order, and around them what goes wrong.

    `events` and `frames` count what was made of each, as the daemon should count it.
    """

    def __init__(self, seed, units=daemon.UNITS, dt=daemon.BIN, targets=daemon.TARGETS):
        self.chance = random.Random(seed)
        self.units, self.dt, self.targets = units, dt, targets
        self.seq, self.t, self.shift = 0, 0.0, 0.0
        self.frames = self.events = 0
        self.run = self.kind = 0
        self.held = []   # (frames still to wait, body)
        self.keep = True
        self.sent = {}   # (run, seq): body of the good frame
        self.bodies = []

    # --- good messages ------------------------------------------------------------------------

    def counts(self):
        return [min(int(self.chance.expovariate(1.2)), 30) for _ in range(self.units)]

    def body(self, counts=None, seq=None, t=None, dt=None):
        counts = self.counts() if counts is None else counts
        seq = self.seq if seq is None else seq
        t = self.t + self.shift if t is None else t
        dt = self.dt if dt is None else dt
        if self.chance.random() < 0.5:
            return encode_frame(seq, t, dt, counts)
        return json.dumps({"type": "frame", "seq": seq, "t": t, "dt": dt, "counts": counts}).encode()

    def frame(self, counts=None):
        """The next frame of a rig that works."""
        self.t += self.dt
        body = self.body(counts)
        key = self.run, self.seq
        if self.keep:
            self.sent[key] = body
        self.bodies.append(body)
        self.bodies = self.bodies[-50:]
        self.seq += 1
        return Good(key, body)

    def blind(self):
        """A frame that tells of no unit."""
        self.t += self.dt
        body = json.dumps({"type": "frame", "seq": self.seq, "t": self.t + self.shift, "dt": self.dt,
                           "counts": [None] * self.units}).encode()
        self.seq += 1
        return [b"frame", body]

    def count(self, messages):
        for message in messages:
            if message[0] == b"event":
                self.events += 1
            else:
                self.frames += 1
        return messages

    def place(self, most):
        return [self.chance.uniform(-most, most) for _ in range(2)]

    def target_set(self):
        """Other targets, more or fewer of them and at times too close to each other, or a ring."""
        many = self.chance.choice((self.targets, self.targets, self.targets, 1, 6))
        turn = self.chance.choice((0.0, 0.5, self.chance.uniform(0, 6)))
        at = [[100 * math.cos(turn + 2 * math.pi * m / many), 100 * math.sin(turn + 2 * math.pi * m / many)]
              if turn else self.place(100) for m in range(many)]
        first = self.chance.randrange(3)
        return {"set": f"moved {turn}", "id": [f"t{first + m}" for m in range(many)], "position": at}

    def estimate(self):
        """What another decoder says: of place or velocity, or how likely each target is."""
        what = self.chance.choice(("position", "velocity", "loglik"))
        if what == "loglik":
            return {what: [self.chance.uniform(-20, 0) for _ in range(self.targets)]}
        return {what: self.place(200), "cov": [self.chance.uniform(0.01, 100), 0, 0, 50]}

    EVENTS = ("trial_start", "go", "trial_stop", "target_prior", "gaze", "effector", "targets", "estimate")

    def any_event(self):
        """Each kind in turn, as far as chance does not leave some out."""
        t = self.t + self.shift + self.chance.uniform(-0.1, 0.1)
        kind = self.EVENTS[self.kind % len(self.EVENTS)]
        self.kind += self.chance.choice((1, 1, 1, 3))
        fields = {"target_prior": lambda: {"prob": [self.chance.random() for _ in range(self.targets)]},
                  "gaze": lambda: {"position": self.place(50), "cov": [0.01, 0, 0, 0.01]},
                  "effector": lambda: {"position": self.place(100)},
                  "targets": self.target_set, "estimate": self.estimate}.get(kind, dict)
        return self.count([[b"event", event(kind, t=t, **fields())]])

    # --- what goes wrong: each gives the messages to send instead of nothing --------------------

    def drop(self):
        """Frames are lost on the way, at times for longer than a gap may last."""
        for _ in range(self.chance.choice((1, 2, 5, 80))):
            self.t += self.dt
            self.seq += 1
        return []

    def duplicate(self):
        return [[b"frame", body] for body in self.chance.choices(self.bodies, k=2)] if self.bodies else []

    def reorder(self):
        """Two frames change places: the one that is overtaken is late."""
        first, second = self.frame(), self.frame()
        return [second, first]

    def delay(self):
        self.held.append([self.chance.randrange(1, 30), self.frame()])
        return []

    def truncate(self):
        body = self.body(seq=self.seq + 1000)
        return [[b"frame", body[:self.chance.randrange(len(body))]]]

    def corrupt(self):
        """A bit of a binary frame turns over: the checksum tells."""
        body = bytearray(encode_frame(self.seq + 1000, self.t + 1, self.dt, self.counts()))
        body[self.chance.randrange(len(body))] ^= 1 << self.chance.randrange(8)
        return [[b"frame", bytes(body)]]

    def burst(self):
        return [self.frame() for _ in range(40)]

    def units_change(self):
        other = self.units + self.chance.choice((-1, 1, 50))
        return [[b"frame", self.body([1] * other, seq=self.seq + 1)] for _ in range(3)]

    def absurd(self):
        bad = self.chance.choice(({"counts": [60000] * self.units}, {"dt": 1e9}, {"dt": -1.0},
                                  {"dt": 0.0}, {"t": 1e300}))
        return [[b"frame", self.body(seq=self.seq + 1, **bad)]]

    def nonsense(self):
        return [self.chance.choice(([b"frame", b""], [b"frame"], [b"frame", b"{}", b"x"], [b"event"],
                                    [b"frames", b"{}"], [b"event", b'{"type":"explode","t":1}'],
                                    [b"event", b"[" * 100], [b"frame", b'{"type":"frame","seq":NaN}'],
                                    [b"frame", self.chance.randbytes(200)]))]

    def clock_back(self):
        """The rig's clock jumps back and stays there: its frames are late until it is where it was, or, from
        far back, until somebody sees it and a session begins."""
        if self.chance.random() < 0.5:
            self.shift -= self.chance.uniform(self.dt, 20 * self.dt)
            return []
        self.shift -= self.chance.uniform(5, 50)
        return [self.frame() for _ in range(self.chance.randrange(3, 60))] + self.restart()

    def restart_unsaid(self):
        """The rig starts anew and does not say so, until somebody sees that nothing is decoded: its frames
        came before by their seq, or are late."""
        count = min(self.chance.randrange(3, 60), self.seq)
        back = self.t + self.shift - 100
        return [[b"frame", self.body(seq=i, t=back + i * self.dt)] for i in range(count)] + self.restart()

    def clock_ahead(self):
        self.shift += self.chance.choice((0.031, 0.5, 5.0, 1e6))
        return []

    def restart(self):
        """The rig starts anew, as it should: it says so, and counts from 0."""
        if self.seq == 0:
            return []
        self.run += 1
        self.seq, self.t, self.shift = 0, self.chance.uniform(-5, 5), 0.0
        self.held, self.bodies = [], []
        return [[b"event", event("session", run=f"run{self.run}", marks=self.chance.random() < 0.5)]]

    def release(self):
        """Frames that were held up and come now."""
        ready = [frame for left, frame in self.held if left <= 0]
        self.held = [[left - 1, frame] for left, frame in self.held if left > 0]
        return ready

    KINDS = ("drop", "duplicate", "reorder", "delay", "truncate", "corrupt", "burst", "units_change",
             "absurd", "nonsense", "clock_back", "clock_ahead", "restart", "restart_unsaid")

    def turn(self, kinds=KINDS, share=0.15):
        """One good frame, and perhaps something that goes wrong."""
        made = self.release()
        if self.chance.random() < share:
            made += getattr(self, self.chance.choice(kinds))()
        made.append(self.frame())
        return self.count(made)


def refuse_constant(word):
    raise AssertionError(f"{word} was published")


class Watch:
    """Looks at every message that is published: what must never be said, and what must add up."""

    def __init__(self, speed=None, low=None, high=None):
        self.speed, self.low, self.high = speed, low, high
        self.next = None
        self.intents = self.stale = self.valid = self.limited = self.paused = 0
        self.run = 0
        self.decoded = []  # (run, frame) in order
        self.bodies = []   # bytes up to the stamps
        self.flags = {}
        self.keep = True
        self.due = Due()
        self.delays = array.array("d")  # s from when a frame was due to when it was decoded; where nothing is kept
        self.undated = 0                # intents of frames of which nobody knows when they were due
        self.held = bytearray()  # of each intent, whether it said that it was paused
        self.asked = []          # (frame of the reply, on) of each pause
        self.sets = set()        # of targets, by name

    def take(self, topic, body):
        said = json.loads(body, parse_constant=refuse_constant)
        if topic == b"intent":
            self.intent(said, body)
        elif topic == b"stale":
            self.stale += 1
            require(said["valid"] is False and not any(said["velocity"]), said)
        return said

    def intent(self, said, body):
        flags = set(said["flags"])
        if self.next is not None and said["seq"] != self.next:
            require(said["seq"] == 0, f"seq {said['seq']} instead of {self.next}")
            self.run += 1
        self.next = said["seq"] + 1
        self.intents += 1
        self.valid += said["valid"]
        self.limited += "limited" in flags
        self.paused += "paused" in flags
        self.held.append("paused" in flags)
        self.sets.add(said["target_set"])
        for flag in flags:
            self.flags[flag] = self.flags.get(flag, 0) + 1
        if said["valid"]:
            require(not flags & {"paused", "recovered", "unobserved"}, said)
            require(said["position"] is not None and said["velocity"] is not None, said)
        if "paused" in flags:
            require(not any(said["velocity"]), said)
        for key in ("position", "velocity", "position_cov", "velocity_cov", "target_prob"):
            require(all(map(math.isfinite, said[key] or ())), said)
        if said["target_prob"]:
            require(abs(sum(said["target_prob"]) + said["free_prob"] - 1) < 1e-9, said)
        if self.speed and said["velocity"]:
            require(math.sqrt(sum(v * v for v in said["velocity"])) <= self.speed, said)
            require(math.hypot(*said["velocity"]) <= self.speed, said)
        if self.low and said["position"]:
            require(all(a <= x <= b for a, x, b in zip(self.low, said["position"], self.high)), said)
        if self.keep:
            self.decoded.append((self.run, said["frame"]))
            self.bodies.append(body[:body.rindex(b',"stamps"')])
        else:
            self.delay(self.due.take((self.run, said["frame"])), said["stamps"]["done"])

    def delay(self, due, done):
        """Counted from when the source should have sent the frame, on whose clock the daemon's stamps are too: from when it was
        received nobody would see for how long it was not."""
        if due is None:
            self.undated += 1
        else:
            self.delays.append(done - due)

    def pause(self, reply, on):
        """A pause has begun or ended: from the frame on that the reply names."""
        self.asked.append((reply["frame"], on))

    def pauses_held(self):
        """Every intent from a pause on to its end said so, whatever came between, and no other did; to be
        asked when all intents have come."""
        ends = [frame for frame, _ in self.asked[1:]] + [len(self.held)]
        begin = self.asked[0][0] if self.asked else len(self.held)
        require(1 not in self.held[:begin], "an intent is paused before the first pause")
        for (frame, on), end in zip(self.asked, ends):
            wrong = self.held.find(not on, frame, end)
            require(wrong < 0, f"pause {on} at frame {frame} does not hold at {wrong}, before {end}")

    def drain(self, sink):
        while sink.poll(0):
            self.take(*sink.recv_multipart())


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def adds_up(status):
    """The sums that a status must hold at any instant."""
    frames, events = status["frames"], status["events"]
    require(frames["received"] == frames["decoded"] + frames["late"] + frames["duplicate"] +
            frames["invalid"], frames)
    require(frames["invalid"] == sum(frames["refused"].values()), frames)
    require(events["received"] == sum(events["accepted"].values()) +
            sum(events["refused"].values()), events)
    require(status["published"] == frames["decoded"], status)
    return status
