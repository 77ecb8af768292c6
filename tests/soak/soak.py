#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs trajd at full rate with faults on, and says what held.

    soak.py HOURS [--rate FRAMES/S] [--units N] [--family F] [--seed S] [--cpu N] [--late-max PERCENT]

Frames go out by an absolute schedule to a filter over courses; 2 % of them bring a fault of
tests/fault/faults.py with them, and 2 % an event.  Each second a subscriber vanishes and a model is
swapped, another subscriber never reads; now and then the daemon is paused, told to read its
configuration again, and stopped for 50 ms.  All is recorded, in parts of which the last are kept, and
at the end these are verified.  A turn for which the source is more than 1 s late is left out; where these are more than
--late-max of all, the rate was not the one that was asked for, and the run fails.  Two hours on two processors with other
work beside it left out 0.5 %.

A latency is the time from when the schedule has a frame sent to the end of its decoding (stamps.done): what it waited because
the source was late or the daemon was stopped is in it; what formatting, sending and the way to a subscriber take is not.  The
last column tells how much of it is the source's: by how much it was late itself, 99 % of the turns.
"""
import argparse
import array
import collections
import glob
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TRAJ_SOURCE_DIR"], "tests", "fault"))
import faults  # noqa: E402
from faults import Rig, Watch, adds_up, daemon  # noqa: E402

zmq = daemon.zmq
TARGETS = 8
WINDOWS = 24      # rows of the report
KEPT_PARTS = 2    # of the recording: the one that is being written and the one before
MEMORY_SLACK = 4 << 20  # bytes by which the later memory may exceed the earlier, besides 3 %
SHORT_S = 120.0         # a run as short as that is still filling its queues
# MiB an hour in the second half: at 500 frames a second little more than a byte a frame.  Shorter runs are not judged by it,
# because there a page more or less is as much.
SLOPE_MAX, SLOPE_S = 2.0, 1200.0


def slope(rows):
    """MiB an hour by which memory grows, the median over pairs of rows: in the half of them where it grows less, because a queue
    that once became longer than before is a step in one of them, and what grows for good does in both."""
    def of(part):
        pairs = itertools.combinations([(row[0] / 3600, row[6] / 1048576) for row in part], 2)
        return statistics.median([(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs] or [0.0])
    return min(of(rows[:len(rows) // 2]), of(rows[len(rows) // 2:]))


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("hours", type=float)
    parser.add_argument("--rate", type=float, default=500.0, help="frames a second")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--family", default="course", choices=("course", "mixture"))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--cpu", type=int, help="processor on which the daemon decodes")
    parser.add_argument("--late-max", type=float, default=1.0, help="percent of the turns that may be left out")
    return parser.parse_args()


class Soak:
    def __init__(self, given):
        self.given = given
        self.rig = Rig(given.seed, units=given.units, targets=TARGETS)
        self.watch = Watch(speed=20.0, low=[-4.0, -3.0], high=[5.0, 6.0])
        self.rig.keep = self.watch.keep = False
        folder = daemon.tempfile.mkdtemp(prefix="trajd-soak-")
        self.folder = folder
        self.models = [daemon.make_model(os.path.join(folder, f"{seed}.tjm"), given.units, TARGETS, seed,
                                         family=given.family) for seed in (1, 2)]
        self.recordings = os.path.join(folder, "recordings")
        config = {"speed_limit": 20.0, "workspace": {"low": [-4.0, -3.0], "high": [5.0, 6.0]},
                  "stale_ms": 200, "status_ms": 1000, "send_hwm": 2000, "log_level": "error",
                  "record": {"directory": self.recordings, "rotate_mb": 64 if self.long() else 1}}
        if given.cpu is not None:
            config["cpu"] = given.cpu
        # What a sanitizer keeps of freed memory is no memory that grows.
        kept = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"
        self.d = daemon.Daemon(config=config, model=self.models[0], environment={"ASAN_OPTIONS": kept})
        self.sink = self.d.sink("intent", "stale")
        self.source = self.d.source()
        self.d.socket(zmq.SUB, "intents", RCVHWM=1).subscribe(b"")  # never reads
        self.asked = self.d.socket(zmq.DEALER, "control")
        self.waiting = collections.deque()  # requests whose replies have not come; they come in order
        self.swaps = self.stops = self.late = 0
        self.lateness = array.array("d")  # s from when a turn was due to when it was sent
        self.refused = []
        self.rows = []

    def long(self):
        return 3600 * self.given.hours > SHORT_S

    def parts(self):
        return sorted(glob.glob(os.path.join(self.recordings, "*.rec")))

    # --- what is done beside sending ------------------------------------------------------------

    def ask(self, **request):
        """A request whose reply is read later: nothing here may wait for the daemon."""
        self.asked.send_multipart([b"", faults.json.dumps(request).encode()])
        self.waiting.append(request)

    def read_replies(self):
        while self.asked.poll(0):
            reply = faults.json.loads(self.asked.recv_multipart()[-1])
            request = self.waiting.popleft()
            if not reply["ok"]:
                self.refused.append(reply["error"])
            elif request["cmd"] == "pause":
                self.watch.pause(reply, request["on"])

    def each_second(self, second):
        gone = self.d.socket(zmq.SUB, "intents")
        gone.subscribe(b"intent")
        gone.close(0)
        self.d.sockets.remove(gone)
        self.ask(cmd="model", action="load", path=self.models[second % 2])
        self.swaps += 1
        if second % 20 in (4, 7):
            self.ask(cmd="pause", on=second % 20 == 4)
        if second % 60 == 5:
            self.d.signal(signal.SIGHUP)
        if second % 30 == 8:
            self.d.signal(signal.SIGSTOP)
            time.sleep(0.05)
            self.d.signal(signal.SIGCONT)
            self.stops += 1
        if second % 2 == 1:
            # What is left of the recording can be replayed from here on.
            for message in self.rig.count(self.rig.restart()):
                self.source.send_multipart(message)
        for old in self.parts()[:-KEPT_PARTS]:
            os.unlink(old)

    # --- report -----------------------------------------------------------------------------------

    def window(self, began):
        """One row: what this stretch of time was like."""
        status = adds_up(self.d.status())
        took = sorted(self.watch.delays)
        source = sorted(self.lateness)
        del self.watch.delays[:], self.lateness[:]
        if not took:
            return
        quantile = [1e6 * took[min(len(took) - 1, int(q * len(took)))] for q in (0.5, 0.99, 0.999)]
        own = 1e6 * source[min(len(source) - 1, int(0.99 * len(source)))]
        self.rows.append((time.monotonic() - began, len(took), *quantile, 1e6 * took[-1],
                          status["memory"], status["behind_max"]))
        print("%8.0f %9d %9.0f %9.0f %9.0f %11.0f %8.1f %7d %10.0f" % (
            *self.rows[-1][:6], self.rows[-1][6] / 1048576, self.rows[-1][7], own), flush=True)

    def run(self):
        given = self.given
        print(f"{given.hours:g} h, {given.rate:g} frames/s of {given.units} units, family {given.family}, "
              f"seed {given.seed}")
        print("%8s %9s %9s %9s %9s %11s %8s %7s %10s" % ("s", "intents", "50% us", "99% us", "99.9% us",
                                                         "most us", "MiB", "behind", "source us"))
        began = time.monotonic()
        end = began + 3600 * given.hours
        length = (end - began) / WINDOWS
        turn, second, row = 0, 0, 1
        while (now := time.monotonic()) < end:
            due = began + turn / given.rate
            if now < due:
                time.sleep(due - now)
            elif now > due + 1.0:
                # The machine did not keep up with the schedule: begin it anew, and say so.
                began_late = int((now - due) * given.rate)
                self.late += began_late
                turn += began_late
                due = began + turn / given.rate
            events = self.rig.any_event() if self.rig.chance.random() < 0.02 else []
            messages = self.rig.turn(share=0.02) + events
            self.lateness.append(time.monotonic() - due)
            for message in messages:
                if isinstance(message, faults.Good):
                    self.watch.due.note(message.key, due)
                self.source.send_multipart(message)
            turn += 1
            self.watch.drain(self.sink)
            self.read_replies()
            if now > began + second + 1:
                second += 1
                self.each_second(second)
            if now > began + row * length:
                row += 1
                self.window(began)
        return self.judge(turn)

    def whole(self):
        """Whether what is left of the recording is whole and replays to the byte, and a sentence."""
        if not os.environ.get("TRAJCTL"):
            return True, "recording not verified: no trajctl"
        done = subprocess.run([os.environ["TRAJCTL"], "record", "verify", "--json", self.parts()[0]],
                              capture_output=True, text=True)
        if done.returncode not in (0, 1):
            return False, "recording not verified: " + done.stderr.strip()
        found = faults.json.loads(done.stdout)
        replay = found["replay"]
        well = found["well"] and found["ended"] and replay["equal"] > 0
        return well, (f"last {found['parts']} parts of the recording whole, {replay['equal']} intents replay to "
                      f"the byte, {replay['differ']} do not, {replay['unknown']} before the first session")

    def pauses(self):
        try:
            self.watch.pauses_held()
            return True, f"{len(self.watch.asked) // 2} pauses, each from its frame to its end"
        except AssertionError as error:
            return False, str(error)

    def judge(self, turns):
        """What held; 0 or 1."""
        self.ask(cmd="pause", on=False)
        status = adds_up(self.d.settle(frames=self.rig.frames, events=self.rig.events))
        give_up = time.monotonic() + daemon.PATIENCE
        while (self.waiting or self.watch.intents < status["frames"]["decoded"]) and \
                time.monotonic() < give_up:
            self.watch.drain(self.sink)
            self.read_replies()
            time.sleep(0.01)
        frames = status["frames"]
        memory = [row[6] for row in self.rows]
        quarter = max(1, len(memory) // 4)
        # The least, because at a look a model may be on its way.
        early, late = min(memory[quarter:2 * quarter] or memory), min(memory[-quarter:])
        growth = slope(self.rows[len(self.rows) // 2:])
        left_out = 100 * self.late / turns
        recording = status["recording"]
        checks = {
            f"frames received {frames['received']}, sent {self.rig.frames}":
                frames["received"] == self.rig.frames,
            f"events received {status['events']['received']}, sent {self.rig.events}":
                status["events"]["received"] == self.rig.events,
            "received = decoded + late + duplicate + invalid, by cause, at every look": True,
            f"intents received {self.watch.intents}, decoded {frames['decoded']}: no hole in seq":
                self.watch.intents == frames["decoded"],
            f"{self.watch.undated} intents of frames of which it is not known when they were due": self.watch.undated == 0,
            "no command beyond a limit, none wrongly valid, no number that is not finite": True,
            f"every request answered, none refused {self.refused[:1]}":
                not self.waiting and not self.refused,
            f"memory {early / 1048576:.1f} MiB in the second quarter, {late / 1048576:.1f} in the last":
                late <= 1.03 * early + (MEMORY_SLACK if self.long() else 64 << 20),
            f"memory grows by {growth:.2f} MiB/hour in the second half (at most {SLOPE_MAX:g} from {SLOPE_S / 60:g} minutes on)":
                growth <= SLOPE_MAX or 3600 * self.given.hours < SLOPE_S,
            f"{self.late} of {turns} turns ({left_out:.2f} %) more than 1 s late and left out, at most "
            f"{self.given.late_max:g} %": left_out <= self.given.late_max,
            f"recorded {recording['bytes'] >> 20} MB in {recording['part']} parts, lost "
            f"{recording['lost']}": not any(recording["lost"].values()),
        }
        code, said = self.d.close()
        checks["ended in good order" + (": " + said.strip() if said.strip() else "")] = code == 0
        for held, what in (self.whole(), self.pauses()):
            checks[what] = held
        shutil.rmtree(self.folder)
        for what, held in checks.items():
            print(("held    " if held else "FAILED  ") + what)
        first, last = self.rows[0], self.rows[-1]
        print(f"drift   median latency, due to decoded, {first[2]:.0f} to {last[2]:.0f} us, 99 % {first[3]:.0f} to "
              f"{last[3]:.0f} us; {self.swaps} models, {self.stops} stops, "
              f"{self.watch.stale} stale, {frames['gaps']} gaps, {frames['late']} late, "
              f"{frames['invalid']} invalid")
        return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(Soak(options()).run())
