#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs trajd at full rate with faults on, and says what held.

    soak.py HOURS [--rate FRAMES/S] [--units N] [--seed S] [--cpu N]

Frames go out by an absolute schedule; 2 % of them bring a fault of tests/fault/faults.py with them.
Each second a subscriber vanishes and a model is swapped, another subscriber never reads; now and then the
daemon is paused, told to read its configuration again, and stopped for 50 ms.  All is recorded, in
parts of which the last are kept.
"""
import argparse
import glob
import os
import shutil
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.environ["TRAJ_SOURCE_DIR"], "tests", "fault"))
import faults  # noqa: E402
from faults import Rig, Watch, adds_up, daemon  # noqa: E402

zmq = daemon.zmq
WINDOWS = 24      # rows of the report
KEPT_PARTS = 3    # of the recording
MEMORY_SLACK = 4 << 20  # bytes by which the later memory may exceed the earlier, besides 3 %
SHORT_S = 120.0         # a run as short as that is still filling its queues


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("hours", type=float)
    parser.add_argument("--rate", type=float, default=500.0, help="frames a second")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--cpu", type=int, help="processor on which the daemon decodes")
    return parser.parse_args()


class Soak:
    def __init__(self, given):
        self.given = given
        self.rig = Rig(given.seed, units=given.units)
        self.watch = Watch(speed=20.0, low=[-4.0, -3.0], high=[5.0, 6.0])
        self.watch.keep = False
        folder = daemon.tempfile.mkdtemp(prefix="trajd-soak-")
        self.folder = folder
        self.models = [daemon.make_model(os.path.join(folder, f"{seed}.tjm"), given.units, 8, seed)
                       for seed in (1, 2)]
        self.recordings = os.path.join(folder, "recordings")
        config = {"speed_limit": 20.0, "workspace": {"low": [-4.0, -3.0], "high": [5.0, 6.0]},
                  "stale_ms": 200, "status_ms": 1000, "send_hwm": 2000, "log_level": "error",
                  "record": {"directory": self.recordings, "rotate_mb": 64}}
        if given.cpu is not None:
            config["cpu"] = given.cpu
        self.d = daemon.Daemon(config=config, model=self.models[0])
        self.sink = self.d.sink("intent", "stale")
        self.source = self.d.source()
        self.d.socket(zmq.SUB, "intents", RCVHWM=1).subscribe(b"")  # never reads
        self.asked = self.d.socket(zmq.DEALER, "control")
        self.waiting = 0
        self.swaps = self.stops = self.late = 0
        self.refused = []
        self.rows = []

    # --- what is done beside sending ------------------------------------------------------------

    def ask(self, **request):
        """A request whose reply is read later: nothing here may wait for the daemon."""
        self.asked.send_multipart([b"", faults.json.dumps(request).encode()])
        self.waiting += 1

    def read_replies(self):
        while self.asked.poll(0):
            reply = faults.json.loads(self.asked.recv_multipart()[-1])
            self.waiting -= 1
            if not reply["ok"]:
                self.refused.append(reply["error"])

    def each_second(self, second):
        gone = self.d.socket(zmq.SUB, "intents")
        gone.subscribe(b"intent")
        gone.close(0)
        self.d.sockets.remove(gone)
        self.ask(cmd="model", action="load", path=self.models[second % 2])
        self.swaps += 1
        if second % 20 in (10, 12):
            self.ask(cmd="pause", on=second % 20 == 10)
        if second % 60 == 30:
            self.d.signal(signal.SIGHUP)
        if second % 30 == 15:
            self.d.signal(signal.SIGSTOP)
            time.sleep(0.05)
            self.d.signal(signal.SIGCONT)
            self.stops += 1
        for old in sorted(glob.glob(os.path.join(self.recordings, "*.rec")))[:-KEPT_PARTS]:
            os.unlink(old)

    # --- report -----------------------------------------------------------------------------------

    def window(self, began):
        """One row: what this stretch of time was like."""
        status = adds_up(self.d.status())
        took = sorted(delay for _, delay in self.watch.done)
        self.watch.done.clear()
        if not took:
            return
        quantile = [1e6 * took[min(len(took) - 1, int(q * len(took)))] for q in (0.5, 0.99, 0.999)]
        self.rows.append((time.monotonic() - began, len(took), *quantile, 1e6 * took[-1],
                          status["memory"], status["behind_max"]))
        print("%8.0f %9d %9.0f %9.0f %9.0f %11.0f %8.1f %7d" % (
            *self.rows[-1][:6], self.rows[-1][6] / 1048576, self.rows[-1][7]), flush=True)

    def run(self):
        given = self.given
        print(f"{given.hours:g} h, {given.rate:g} frames/s of {given.units} units, seed {given.seed}")
        print("%8s %9s %9s %9s %9s %11s %8s %7s" % ("s", "intents", "50% us", "99% us", "99.9% us",
                                                    "most us", "MiB", "behind"))
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
            for message in self.rig.turn(share=0.02):
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
        return self.judge()

    def judge(self):
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
        early, late = statistics.median(memory[quarter:2 * quarter] or memory), \
            statistics.median(memory[-quarter:])
        recording = status["recording"]
        checks = {
            f"frames received {frames['received']}, sent {self.rig.frames}":
                frames["received"] == self.rig.frames,
            f"events received {status['events']['received']}, sent {self.rig.events}":
                status["events"]["received"] == self.rig.events,
            "received = decoded + late + duplicate + invalid, by cause, at every look": True,
            f"intents received {self.watch.intents}, decoded {frames['decoded']}: no hole in seq":
                self.watch.intents == frames["decoded"],
            "no command beyond a limit, none wrongly valid, no number that is not finite": True,
            f"every request answered, none refused {self.refused[:1]}":
                self.waiting == 0 and not self.refused,
            f"memory {early / 1048576:.1f} MiB in the second quarter, {late / 1048576:.1f} in the last":
                late <= 1.03 * early + (MEMORY_SLACK if 3600 * self.given.hours > SHORT_S else 64 << 20),
            f"recorded {recording['bytes'] >> 20} MB in {recording['part']} parts, lost "
            f"{recording['lost']}": recording["lost"]["inputs"] == 0,
        }
        code, said = self.d.close()
        checks["ended in good order" + (": " + said.strip() if said.strip() else "")] = code == 0
        shutil.rmtree(self.folder)
        for what, held in checks.items():
            print(("held    " if held else "FAILED  ") + what)
        first, last = self.rows[0], self.rows[-1]
        print(f"drift   median latency {first[2]:.0f} to {last[2]:.0f} us, 99 % {first[3]:.0f} to "
              f"{last[3]:.0f} us; {self.swaps} models, {self.stops} stops, "
              f"{self.watch.stale} stale, {frames['gaps']} gaps, {frames['late']} late, "
              f"{frames['invalid']} invalid, {self.late} turns behind schedule left out")
        return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(Soak(options()).run())
