#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs trajd to be watched: one daemon, stretches with and without the dashboard (which a reader of its websocket
looks at) and the recorder, in turn and in changing order so that whatever else the machine does meets both alike.

    watched.py [--build BUILD] [--pairs N] [--seconds S] [--units N] [--targets N] [--bin-ms X] [--fifo]
               [--no-count] [--check]

Prints the 99th percentile of the time from a frame's receipt until its intent is done, as trajd stamps them itself, for each
pair, the median of the pairs' ratios, and the ratio over all stretches together.  Then the same two, each in a daemon of its own that is sent the same frames one by
one, are counted by callgrind: instructions a frame of the decode thread, and where they differ.  With --fifo the decode thread (as
"priority" in the configuration has it) and the source run at a SCHED_FIFO priority, which needs the privilege.  Times are never judged; with --check the counts are: frames are read and decoded
by the same number of instructions, and all of it takes no more than 1 % more of them."""
import argparse
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))

SETTLE_S = 1.0
COUNTED = 300  # frames; more of them change nothing
# What a frame passes through on the decode thread.
PARTS = {"traj_frame_parse": "frame read", "traj_pipeline_frame": "decoded", "traj_intent_write": "intent written",
         "traj_journal_frame": "frame recorded", "traj_journal_intent": "intent recorded",
         "traj_link_publish": "intent sent"}


class Watchers:
    """The dashboard with somebody who looks at it, and the recorder."""

    def __init__(self, trajd):
        self.trajd = trajd
        trajd.must(cmd="record", action="start")
        self.dashboard = dashboard.Dashboard("--intents", trajd.endpoints["intents"])
        self.socket = self.dashboard.socket()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        daemon.wait_for(lambda: trajd.status()["subscribers"] > 1)

    def read(self):
        try:
            while True:
                self.socket.receive()
        except (OSError, EOFError):
            pass

    def close(self):
        self.dashboard.close()
        self.reader.join()
        self.socket.close()
        self.trajd.must(cmd="record", action="stop")
        daemon.wait_for(lambda: self.trajd.status()["subscribers"] == 1)


class Source:
    """Sends on an absolute schedule, and keeps the latency that each intent's stamps tell."""

    def __init__(self, trajd, options):
        self.options, self.seq = options, 0
        self.wire, self.sink = trajd.source(), trajd.sink("intent")
        counts = [daemon.counts_of(seq, options.units) for seq in range(64)]
        self.bodies = [json.dumps(c).encode() for c in counts]

    def send(self):
        t = (self.seq + 1) * self.options.bin_ms / 1000
        self.wire.send_multipart([b"frame", b'{"type":"frame","seq":%d,"t":%.6f,"dt":%.6f,"counts":%s}' % (
            self.seq, t, self.options.bin_ms / 1000, self.bodies[self.seq % len(self.bodies)])])
        self.seq += 1

    def take(self):
        stamps = json.loads(self.sink.recv_multipart()[1])["stamps"]
        return stamps["done"] - stamps["recv"]

    def stretch(self, seconds):
        """Latencies, s; the first second is not kept."""
        began, first = time.monotonic(), self.seq
        count = int((seconds + SETTLE_S) / (self.options.bin_ms / 1000))
        found = []
        for i in range(count):
            time.sleep(max(0.0, began + i * self.options.bin_ms / 1000 - time.monotonic()))
            self.send()
            while self.sink.poll(0):
                found.append(self.take())
        while len(found) < self.seq - first:
            found.append(self.take())
        return found[int(SETTLE_S / (self.options.bin_ms / 1000)):]


def p99(samples):
    return sorted(samples)[int(0.99 * (len(samples) - 1))]


def start(model, prefix="", priority=0):
    os.environ["TRAJD_PREFIX"] = prefix
    folder = tempfile.mkdtemp(prefix="trajd-records-")
    trajd = daemon.Daemon(config={"record": {"directory": folder}, "priority": priority, "lock_memory": priority > 0},
                          model=model)
    os.environ["TRAJD_PREFIX"] = ""
    trajd.must(cmd="record", action="stop")  # where a folder is configured it begins by itself
    return trajd, folder


def latency(options, model):
    trajd, folder = start(model, priority=50 if options.fifo else 0)
    if options.fifo:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(40))
        except PermissionError:
            sys.exit("watched.py: --fifo needs the privilege of a real-time priority (root, CAP_SYS_NICE or ulimit -r)")
    source, ratios, pooled = Source(trajd, options), [], {True: [], False: []}
    source.stretch(0)
    for pair in range(options.pairs):
        found = {}
        for watched in (pair % 2 == 0, pair % 2 == 1):
            watchers = Watchers(trajd) if watched else None
            samples = source.stretch(options.seconds)
            pooled[watched] += samples
            found[watched] = p99(samples)
            if watchers:
                watchers.close()
        ratios.append(found[True] / found[False])
        print(f"pair {pair + 1}: 99 % within {1e6 * found[False]:.0f} us alone, {1e6 * found[True]:.0f} us watched, "
              f"ratio {ratios[-1]:.3f}", flush=True)
    trajd.close()
    shutil.rmtree(folder)
    quarter = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    print(f"latency, 99th percentile, watched / alone: median {statistics.median(ratios):.3f} of {len(ratios)} pairs, "
          f"half of them within {quarter[0]:.3f} to {quarter[2]:.3f}; of all frames together "
          f"{p99(pooled[True]) / p99(pooled[False]):.3f}, of their medians "
          f"{statistics.median(pooled[True]) / statistics.median(pooled[False]):.3f}")


def inclusive(path):
    """Instructions of each function and what it calls, from callgrind's file of one thread."""
    said = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--show-percs=no", path],
                          check=True, capture_output=True, text=True).stdout
    found = {}
    for line in said.splitlines():
        seen = re.match(r"\s*([\d,]+)\s+\S+?:(\w+)", line)
        if seen:
            found.setdefault(seen.group(2), int(seen.group(1).replace(",", "")))
    return found


def count(options, model, watched):
    """Instructions a frame by part, on the thread that decodes."""
    out = tempfile.mkdtemp(prefix="trajd-count-")
    trajd, folder = start(model, "valgrind --quiet --tool=callgrind --separate-threads=yes --instr-atstart=no "
                          f"--callgrind-out-file={out}/calls")
    source = Source(trajd, options)
    watchers = Watchers(trajd) if watched else None
    control = lambda *words: subprocess.run(["callgrind_control", *words, str(trajd.process.pid)], check=True,
                                            capture_output=True)
    for _ in range(20):
        source.send()
        source.take()
    control("--instr=on")
    for _ in range(COUNTED):
        source.send()
        source.take()
    control("--instr=off")
    if watchers:
        watchers.close()
    trajd.close()
    threads = [inclusive(path) for path in glob.glob(f"{out}/calls-*")]
    shutil.rmtree(folder)
    shutil.rmtree(out)
    decode = max(threads, key=lambda thread: thread.get("traj_pipeline_frame", 0))
    return {name: decode.get(name, 0) / COUNTED for name in PARTS}


def instructions(options, model):
    alone, watched = (count(options, model, watched) for watched in (False, True))
    print(f"instructions a frame, decode thread, {COUNTED} frames:      alone    watched")
    for name, words in PARTS.items():
        print(f"  {words:20} ({name:20}) {alone[name]:10.0f} {watched[name]:10.0f}")
    ratio = sum(watched.values()) / sum(alone.values())
    same = all(watched[name] == alone[name] > 0 for name in ("traj_frame_parse", "traj_pipeline_frame"))
    print(f"  all of these: watched / alone {ratio:.4f}; read and decoded by {'the same number' if same else 'ANOTHER NUMBER'}")
    return same and ratio < 1.01


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--units", type=int, default=96)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--bin-ms", type=float, default=5)
    parser.add_argument("--fifo", action="store_true")
    parser.add_argument("--no-count", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not options.no_count and not shutil.which("valgrind"):
        print("valgrind is not installed: sh clients/install-packages.sh test")
        sys.exit(77)
    os.environ.setdefault("TRAJD", os.path.abspath(os.path.join(options.build, "daemon/trajd")))
    print(machine())
    os.environ.setdefault("TRAJCTL", os.path.abspath(os.path.join(options.build, "clients/trajctl/trajctl")))
    with tempfile.TemporaryDirectory(prefix="trajd-watched-") as folder:
        model = os.path.join(folder, "model.tjm")
        subprocess.run([os.environ["TRAJCTL"], "bench", "--quiet", "--channels", str(options.units), "--targets",
                        str(options.targets), "--bin-ms", str(options.bin_ms), "--write-model", model], check=True,
                       stdout=subprocess.DEVNULL)
        if options.pairs > 0:
            latency(options, model)
        good = options.no_count or instructions(options, model)
    sys.exit(1 if options.check and not good else 0)


import daemon  # noqa: E402 (found by the path above)
import dashboard  # noqa: E402
from machine import machine  # noqa: E402

if __name__ == "__main__":
    main()
