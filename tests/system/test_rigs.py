#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources over the real wire: a simulated rig feeds a daemon, and the intents are those of a replay.

    test_rigs.py SYSTEM [SESSION]      SYSTEM: open-ephys, ...; SESSION: a recording, or a simulated one

Environment: TRAJD, TRAJCTL, MAKE_MODEL and, for a recording, TRAJ_SHARED_DATA.
"""
import ctypes
import itertools
import json
import math
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import daemon
from daemon import DaemonTest, bare, wait_for

TRAJCTL = os.environ.get("TRAJCTL", "")
SYSTEM = sys.argv[1] if len(sys.argv) > 1 else "open-ephys"
SESSION = sys.argv[2] if len(sys.argv) > 2 else None
BINS = {"open-ephys": 400, "event-broadcaster": 400, "blackrock": 250, "brand": 200, "lsl": 400}[SYSTEM]

# What each system's line says besides where and which units; nothing is closed by waiting here,
# because nothing says how long a loaded machine stops.
LINE = {"open-ephys": "trial=0&go=1&wait_ms=20000", "blackrock": "trial=0&go=1&wait_ms=20000",
        "event-broadcaster": "trial=0&go=1&wait_ms=20000&silence_ms=1000&jump_s=2",
        "brand": "wait_ms=20000", "lsl": "wait_ms=20000"}
# UDP holds back nobody, and a machine under load must be able to follow: the kernel holds some 90 datagrams.
PACE = {"open-ephys": ["--asap"], "event-broadcaster": ["--asap"],
        "blackrock": ["--speed", "1" if SESSION else "2", "--block", "20"],
        "brand": ["--asap", "--block", "1"], "lsl": ["--speed", "20"]}[SYSTEM]
# Entries of BRAND and samples of LSL are whole steps that cannot be late; BRAND carries no digital
# lines, and LSL's markers come by a way of their own, so when they come nobody can say.
MARKS = SYSTEM not in ("brand", "lsl")
# The Event Broadcaster counts nothing, so nobody can see what was lost.
COUNTS = SYSTEM != "event-broadcaster"
REDIS = None
NUMBERS = itertools.count()


def trajctl(*arguments):
    subprocess.run([TRAJCTL, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def endpoint():
    """Where the simulated rig listens, or sends to."""
    if SYSTEM == "brand":
        return "unix://" + REDIS.path
    if SYSTEM == "lsl":
        return "rig-%d-%d" % (os.getpid(), next(NUMBERS))
    if SYSTEM in ("open-ephys", "event-broadcaster"):
        return "tcp://127.0.0.1:0"
    # A port that was free may be taken by the time it is bound to, so this process has an address of its own.
    pid = os.getpid()
    host = "127.%d.%d.%d" % (1 + pid // 65024 % 126, pid // 254 % 256, 1 + pid % 254)
    return "udp://%s:%d" % (host, 51002 + next(NUMBERS))


class Redis:
    """A server of its own, at a socket in the file system alone."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="trajd-redis-")
        self.path = os.path.join(self.folder, "socket")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--dir",
             self.folder, "--appendonly", "no"], stdout=subprocess.DEVNULL)
        wait_for(lambda: self.command("PING").strip() == "PONG")

    def command(self, *words):
        return subprocess.run(["redis-cli", "-s", self.path, *words], capture_output=True,
                              text=True, errors="replace").stdout

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class Relay:
    """Stands between trajd and Redis, and holds back for a while what is written to one stream."""

    def __init__(self, path, held, seconds):
        self.held, self.seconds = b"\r\n" + held.encode() + b"\r\n", seconds
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.holding = threading.Event()
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(REDIS.path)
            back = threading.Thread(target=self.pass_on, args=(server, client, None), daemon=True)
            back.start()
            self.pass_on(client, server, self.held)
            back.join()

    def pass_on(self, a, b, held):
        try:
            while data := a.recv(1 << 16):
                if held and self.holding.is_set() and held in data:
                    time.sleep(self.seconds)
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        self.listener.close()


class Stream:
    """An LSL stream of this test's own, by the library itself; its clock may be ahead by some s."""

    def __init__(self, name, kind, channels=1, rate=0.0, ahead=0.0):
        os.environ["LSL_STUB_CLOCK"] = str(ahead)
        self.ahead, self.channels = ahead, channels
        self.lsl = lsl_library()
        info = self.lsl.lsl_create_streaminfo(name.encode(), kind, channels, rate, 2 if rate else 3, name.encode())
        self.outlet = self.lsl.lsl_create_outlet(info, 0, 360)
        self.lsl.lsl_destroy_streaminfo(info)
        del os.environ["LSL_STUB_CLOCK"]

    def heard(self):
        return self.lsl.lsl_have_consumers(self.outlet) > 0

    def say(self, text, t):
        self.lsl.lsl_push_sample_strt(self.outlet, ctypes.byref(ctypes.c_char_p(text.encode())), t + self.ahead)

    def push(self, values, t):
        self.lsl.lsl_push_sample_dt(self.outlet, (ctypes.c_double * self.channels)(*values), t)

    def close(self):
        self.lsl.lsl_destroy_outlet(self.outlet)


class Inlet:
    """Receives an LSL stream by the library itself."""

    def __init__(self, name, channels):
        self.lsl, self.channels = lsl_library(), channels
        info, error = ctypes.c_void_p(), ctypes.c_int32()

        def found():
            assert self.lsl.lsl_resolve_bypred(ctypes.byref(info), 1, f"name='{name}'".encode(), 1,
                                               daemon.PATIENCE) == 1
            self.inlet = None
            # A stream that was just made anew may still be found as it was, or be gone once it is opened.
            if self.lsl.lsl_get_channel_count(info) == channels:
                self.inlet = self.lsl.lsl_create_inlet(info, 60, 0, 1)
            self.lsl.lsl_destroy_streaminfo(info)
            return self.inlet is not None

        wait_for(found)
        self.lsl.lsl_open_stream(self.inlet, daemon.PATIENCE, ctypes.byref(error))
        assert error.value == 0

    def pull(self):
        """The next sample, within the patience of all tests: (stamp, values)."""
        values, error = (ctypes.c_double * self.channels)(), ctypes.c_int32()
        stamp = self.lsl.lsl_pull_sample_d(self.inlet, values, self.channels, daemon.PATIENCE, ctypes.byref(error))
        assert stamp != 0.0 and error.value == 0
        return stamp, list(values)

    def pull_intent(self):
        """The next one that is an intent: where the machine stood still, samples of a silence lie between."""
        while True:
            stamp, values = self.pull()
            if not math.isnan(values[3]):
                return stamp, values

    def close(self):
        self.lsl.lsl_destroy_inlet(self.inlet)


def lsl_library():
    lsl = ctypes.CDLL(os.path.join(os.environ["TRAJ_LSL_STUB"], "liblsl.so"))
    pointer, text, whole, real = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_double
    for name, result, arguments in (
            ("create_streaminfo", pointer, (text, text, whole, real, whole, text)),
            ("destroy_streaminfo", None, (pointer,)), ("create_outlet", pointer, (pointer, whole, whole)),
            ("destroy_outlet", None, (pointer,)), ("have_consumers", whole, (pointer,)),
            ("local_clock", real, ()), ("get_channel_count", whole, (pointer,)),
            ("resolve_bypred", whole, (ctypes.POINTER(pointer), ctypes.c_uint32, text, whole, real)),
            ("create_inlet", pointer, (pointer, whole, whole, whole)), ("destroy_inlet", None, (pointer,)),
            ("open_stream", None, (pointer, real, ctypes.POINTER(whole))),
            ("pull_sample_d", real, (pointer, ctypes.POINTER(real), whole, real, ctypes.POINTER(whole))),
            ("push_sample_dt", whole, (pointer, ctypes.POINTER(real), real)),
            ("push_sample_strt", whole, (pointer, ctypes.POINTER(text), real))):
        call = getattr(lsl, "lsl_" + name)
        call.restype, call.argtypes = result, arguments
    return lsl


class Rig:
    """trajctl rig-source: holds until told, then sends."""

    def __init__(self, folder, session, *options):
        self.map, self.bins = os.path.join(folder, "map.json"), os.path.join(folder, "sent.h5")
        self.process = subprocess.Popen(
            [TRAJCTL, "rig-source", SYSTEM, "--session", session, "--endpoint", endpoint(),
             "--map", self.map, "--bins", self.bins, "--limit", str(BINS), "--hold", *PACE,
             "--wait", str(daemon.PATIENCE), *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip().split("://")[-1]

    def line(self, **options):
        if SYSTEM == "brand":
            self.address = "local?socket=" + REDIS.path
        mark = "&" if "?" in self.address else "?"
        text = (f"{SYSTEM}://{self.address}{mark}units={self.map}&bin_ms={RigTest.bin_ms}&"
                + LINE[SYSTEM])
        return text + "".join(f"&{key}={value}" for key, value in options.items())

    def begin(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def send(self):
        """Sends all; what it says of itself at the end."""
        said, _ = self.process.communicate("go\n", timeout=10 * daemon.PATIENCE)
        assert self.process.returncode == 0, said
        return json.loads(said.strip().split("\n")[-1])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class RigTest(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="trajd-rig-")
        cls.session = SESSION
        if cls.session is None:
            cls.session = os.path.join(cls.folder, "s.h5")
            trajctl("simulate", "--out", cls.session, "--units", daemon.UNITS, "--targets",
                    daemon.TARGETS, "--trials-per-target", 3, "--seed", 5)
        cls.model = os.path.join(cls.folder, "m.tjm")
        cls.make_model()

    @classmethod
    def make_model(cls):
        import h5py
        with h5py.File(cls.session) as file:
            units = file["frames/counts"].shape[1]
            targets = file["targets/position"].shape[0]
            widths = sorted(file["frames/dt"])
            cls.bin_ms = round(1e3 * float(widths[len(widths) // 2]), 6)
        daemon.make_model(cls.model, units=units, targets=targets)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def setUp(self):
        super().setUp()
        self.rigs = []

    def tearDown(self):
        super().tearDown()
        for rig in self.rigs:
            rig.kill()

    def rig(self, *options):
        rig = Rig(tempfile.mkdtemp(dir=self.folder), self.session, *options)
        self.rigs.append(rig)
        return rig

    def source(self, daemon_):
        return daemon_.status()["source"]

    def run_rig(self, *options, **line):
        """A fresh daemon and rig; intents until the rig has sent all, what the rig says, status."""
        rig = self.rig(*options)
        d = self.start(config={"source": rig.line(**line)}, model=self.model)
        sink = d.sink("intent")
        said = rig.send()
        wait_for(lambda: self.all_came(d, said))
        intents = d.intents(sink, d.settle()["frames"]["decoded"])
        return rig, d, said, intents

    def all_came(self, d, said):
        source = self.source(d)
        lost = source["lost"] if COUNTS else said["dropped"]
        return (source["messages"] + lost >= said["messages"] and
                source["bins"]["given"] == d.status()["frames"]["received"])

    def replayed(self, path):
        """Intents of a plain replay of a session."""
        d = self.start(model=self.model)
        sink = d.sink("intent")
        trajctl("replay", "--session", path, "--asap", "--quiet", "--frames",
                d.endpoints["frames"], *([] if MARKS else ["--no-trials"]))
        status = d.settle(frames=BINS)
        return d.intents(sink, status["frames"]["decoded"])

    def assert_same(self, live, plain):
        # The rig goes on for a moment after the last bin of the session.
        self.assertGreaterEqual(len(live), len(plain))
        for a, b in zip(live, plain):
            self.assertEqual(json.dumps(bare(a)), json.dumps(bare(b)))

    def test_intents_are_those_of_a_replay(self):
        rig, d, said, live = self.run_rig(*(["--jitter", 4] if MARKS else []))
        plain = self.replayed(rig.bins)
        self.assertEqual(len(plain), BINS)
        self.assert_same(live, plain)
        source = self.source(d)
        self.assertEqual(source["spikes"], {"binned": said["spikes"], "late": 0, "early": 0,
                                            "doubtful": 0})
        self.assertEqual((source["lost"], source["refused"], source["bins"]["waited"]), (0, 0, 0))
        self.assert_identity(d.status())
        if SYSTEM == "open-ephys":
            self.assertGreater(said["heartbeats"], 0)
        print(f"{len(plain)} intents of {said['spikes']} spikes are equal")

    def test_a_recording_replays_without_the_rig(self):
        rig = self.rig("--loss", 0.05, "--seed", 3)
        folder = os.path.join(self.folder, "recordings")
        d = self.start(config={"source": rig.line(), "record": {"directory": folder}},
                       model=self.model)
        sink = d.sink("intent")
        said = rig.send()
        wait_for(lambda: self.all_came(d, said))
        live = d.intents(sink, d.settle()["frames"]["decoded"])
        recording = d.status()["recording"]["file"]
        self.assertEqual(self.forget(d)[0], 0)
        out = os.path.join(self.folder, "again.jsonl")
        trajctl("decode", "--quiet", "--recording", recording, "--model", self.model, "--out", out)
        with open(out) as file:
            again = [json.loads(line) for line in file]
        self.assertEqual(len(again), len(live))
        self.assert_same(live, again)

    def test_losses_are_counted(self):
        _, d, said, live = self.run_rig("--loss", 0.05, "--seed", 7)
        source = self.source(d)
        self.assertGreater(said["dropped"], 15)
        self.assertEqual(source["lost"], said["dropped"] if COUNTS else 0)
        self.assertEqual(source["messages"], said["messages"] - said["dropped"])
        self.assertEqual(source["spikes"]["binned"], said["spikes"] - said["spikes_dropped"])
        self.assertGreaterEqual(len(live), BINS)
        print(f"{said['dropped']} of {said['messages']} messages dropped, {'all' if COUNTS else 'none'} of them counted")

    @unittest.skipUnless(MARKS, "whole steps are never late")
    def test_late_spikes_are_counted(self):
        _, d, said, _ = self.run_rig("--jitter", 60, **({} if SYSTEM == "event-broadcaster" else {"lag_ms": 0}))
        spikes = self.source(d)["spikes"]
        self.assertGreater(spikes["late"], 0)
        self.assertEqual(spikes["late"] + spikes["binned"], said["spikes"])

    def test_a_restart_begins_a_new_run(self):
        _, d, _, live = self.run_rig("--restart", 2.5 if SYSTEM == "blackrock" else 3.0)
        source, status = self.source(d), d.status()
        self.assertEqual((source["run"], source["restarts"], source["lost"]), (2, 1, 0))
        self.assertEqual(status["events"]["accepted"]["session"], 2)
        anew = [i for i in range(1, len(live)) if live[i]["seq"] == 0]
        self.assertEqual(len(anew), 1)
        self.assertEqual(live[anew[0]]["frame"], 0)

    def test_what_is_wrong_is_refused(self):
        rig = self.rig()
        for line, reason in (
                ("falcon://h:1", "not known"), (SYSTEM + "://", "host"),
                (rig.line(nothing=1), "no option"), (rig.line(units="u"), "stands twice"),
                (f"{SYSTEM}://127.0.0.1:1", "units-map"), (f"{SYSTEM}://127.0.0.1:1?units=none.json", "none.json"),
                (rig.line(lag_ms=-1), "lag_ms"), (f"{SYSTEM}://h:1?units={rig.map}&bin_ms=0.001", "bin_ms")):
            config = os.path.join(self.folder, "wrong.json")
            with open(config, "w") as file:
                json.dump({"source": line, "model": self.model}, file)
            ends = [f"--{name}=@ipc://{self.folder}/{name}" for name in
                    ("frames", "intents", "control")]
            code, _, said = daemon.run_alone("--config", config, *ends)
            self.assertEqual((code, reason in said), (1, True), (line, said))
            code, _, said = daemon.run_alone("--check-config", "--config", config)
            self.assertEqual((code, reason in said), (1, True), (line, said))

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_markers_of_another_clock(self):
        """The task's machine is 5 s ahead: its markers land where they were on the clock of the counts."""
        name = "task-%d" % os.getpid()
        task = Stream(name, b"Markers", ahead=5.0)
        self.addCleanup(task.close)
        rig = self.rig()
        folder = os.path.join(self.folder, "marked")
        d = self.start(model=self.model, config={
            "source": rig.line(markers=name, lag_ms=1000, start="begin", stop="over"),
            "record": {"directory": folder}})
        wait_for(task.heard)
        rig.begin()
        wait_for(lambda: self.source(d)["run"] == 1)
        for text, t in (("begin", 1.0), ("go", 1.5), ("ignored", 1.7), ("over", 2.0)):
            task.say(text, t)
        wait_for(lambda: d.status()["events"]["accepted"]["trial_stop"] == 1)
        self.assertEqual(self.source(d)["foreign"], 1)
        recording = d.status()["recording"]["file"]
        self.assertEqual(self.forget(d)[0], 0)
        shown = subprocess.run([TRAJCTL, "record", "show", recording, "--kind", "event"], check=True,
                               capture_output=True, text=True).stdout
        events = [json.loads(line)["body"] for line in shown.splitlines()]
        times = {event["type"]: event.get("t") for event in events}
        for kind, t in (("trial_start", 1.0), ("go", 1.5), ("trial_stop", 2.0)):
            self.assertAlmostEqual(times[kind], t, places=5)

    def counts_stream(self, name):
        """A stream of counts in steps of a bin, and the line of a source that reads it with default times."""
        stream = Stream(name, b"Counts", daemon.UNITS, 1 / daemon.BIN)
        map_ = os.path.join(self.folder, name + ".json")
        with open(map_, "w") as file:
            json.dump({"type": "units", "v": 1, "source": "lsl", "stream": name, "rate": 1000000, "units": [
                {"name": str(n), "channel": str(n), "unit": 0} for n in range(daemon.UNITS)]}, file)
        return stream, f"lsl://{name}?units={map_}"

    def push_live(self, stream, steps, at_once=1):
        """Steps in real time, so many at once, each stamped with when it would have been complete."""
        begun = stream.lsl.lsl_local_clock()
        for k in range(0, steps, at_once):
            time.sleep(max(0.0, begun + (k + at_once) * daemon.BIN - stream.lsl.lsl_local_clock()))
            for step in range(k, k + at_once):
                stream.push([3] * daemon.UNITS, begun + (step + 1) * daemon.BIN)

    def share_late(self, d, pushed):
        """Of the spikes of so many steps, those that came after their bin; once all have come."""
        wait_for(lambda: self.source(d)["messages"] >= pushed)
        spikes, bins = self.source(d)["spikes"], self.source(d)["bins"]
        print(f"{bins['waited']} of {bins['given']} bins closed by waiting, {spikes['late']} spikes late, "
              f"{spikes['binned']} binned")
        return spikes["late"] / (spikes["late"] + spikes["binned"])

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_counts_do_not_wait_for_markers(self):
        """Whether the task runs or not, the counts are binned; a share is left to a machine that stands still."""
        stream, line = self.counts_stream("alone-%d" % os.getpid())
        self.addCleanup(stream.close)
        d = self.start(config={"source": line + "&markers=nobody"})
        wait_for(stream.heard)
        self.push_live(stream, 200)
        self.assertLess(self.share_late(d, 200), 0.2)
        self.assertIn("nobody", self.source(d)["said"])

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_counts_outlive_the_markers(self):
        name = "leaving-%d" % os.getpid()
        stream, line = self.counts_stream("staying-%d" % os.getpid())
        self.addCleanup(stream.close)
        task = Stream(name, b"Markers")
        d = self.start(config={"source": line + "&markers=" + name})
        wait_for(lambda: stream.heard() and task.heard())
        self.push_live(stream, 25)
        task.say("trial_start", stream.lsl.lsl_local_clock())
        wait_for(lambda: self.source(d)["marks"] == 1)
        task.close()
        self.push_live(stream, 200)
        self.assertLess(self.share_late(d, 225), 0.2)
        self.assertIn("markers is lost", self.source(d)["said"])
        # The task is started again.
        task = Stream(name, b"Markers")
        self.addCleanup(task.close)
        wait_for(task.heard)
        self.push_live(stream, 25)
        task.say("trial_stop", stream.lsl.lsl_local_clock())
        wait_for(lambda: self.source(d)["marks"] == 2)

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_markers_wait_for_their_clock(self):
        """What cannot be placed is held back and said, not placed as if the clocks were one."""
        name = "unsure-%d" % os.getpid()
        unsure = os.path.join(os.environ["LSL_STUB"], name + ".unsure")
        open(unsure, "w").close()
        stream, line = self.counts_stream("sure-%d" % os.getpid())
        self.addCleanup(stream.close)
        task = Stream(name, b"Markers", ahead=5.0)
        self.addCleanup(task.close)
        d = self.start(config={"source": line + "&markers=" + name, "record": {
            "directory": os.path.join(self.folder, "unsure")}})
        wait_for(lambda: stream.heard() and task.heard())
        self.push_live(stream, 25)
        t = stream.lsl.lsl_local_clock()
        task.say("trial_start", t)
        wait_for(lambda: "clock" in (self.source(d)["said"] or ""))
        self.assertEqual(self.source(d)["marks"], 0)
        os.remove(unsure)
        wait_for(lambda: d.status()["events"]["accepted"]["trial_start"] == 1)
        recording = d.status()["recording"]["file"]
        self.assertEqual(self.forget(d)[0], 0)
        shown = subprocess.run([TRAJCTL, "record", "show", recording, "--kind", "event"], check=True,
                               capture_output=True, text=True).stdout
        bodies = [json.loads(line)["body"] for line in shown.splitlines()]
        (placed,) = [body["t"] for body in bodies if body["type"] == "trial_start"]
        self.assertAlmostEqual(placed, t, delta=daemon.BIN)

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_what_comes_late_is_said(self):
        """A rig that hands over a second at once: what lies in the queue is binned, the rest is said to be late."""
        stream, line = self.counts_stream("bursts-%d" % os.getpid())
        self.addCleanup(stream.close)
        d = self.start(config={"source": line})
        wait_for(stream.heard)
        self.push_live(stream, 350, at_once=50)
        self.assertLess(self.share_late(d, 350), 0.6)
        wait_for(lambda: "wait_ms" in d.said())

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_intents_are_a_stream_of_lsl(self):
        """Whatever the source: frames by the frames socket, intents by LSL beside the others."""
        name = "intents-%d" % os.getpid()
        d = self.start(config={"lsl_outlet": name, "stale_ms": 300})
        inlet = Inlet(name, 3 + 2 * 2 + daemon.TARGETS)
        self.addCleanup(inlet.close)
        wait_for(lambda: d.status()["lsl_outlet"]["listened"])
        self.assertIn("without a key", d.said())
        sink, source = d.sink("intent"), d.source()
        source.send_multipart([b"event", daemon.event("trial_start", t=0.0)])
        for seq in range(60):
            source.send_multipart([b"frame", daemon.frame(seq)])
        intents = d.intents(sink, 60)
        clock = inlet.lsl.lsl_local_clock() - time.monotonic()
        for intent in intents:
            stamp, sample = inlet.pull_intent()
            # A sample is stamped when its intent was done, on LSL's clock, which is the daemon's but for its start.
            self.assertAlmostEqual(stamp - clock, intent["stamps"]["done"], delta=5.0)
            prob = intent["target_prob"]
            row = prob.index(max(prob)) if intent["target"] is not None else -1
            self.assertEqual(sample, [intent["t"], float(intent["valid"]), row, *intent["position"],
                                      *intent["velocity"], *prob])
        _, silent = inlet.pull()
        self.assertEqual(silent[:3] + silent[5:7], [intents[-1]["t"], 0.0, -1.0, 0.0, 0.0])
        self.assertTrue(math.isnan(silent[3]) and math.isnan(silent[-1]))
        told = d.status()["lsl_outlet"]
        self.assertEqual((told["name"], told["lost"]), (name, 0))
        self.assertGreaterEqual(told["pushed"], 61)
        # Another model, another number of channels: the stream is made anew.
        other = daemon.make_model(os.path.join(self.folder, "three.tjm"), targets=3)
        d.must(cmd="model", action="load", path=other)
        source.send_multipart([b"frame", daemon.frame(60)])
        d.intents(sink, 1)
        again = Inlet(name, 3 + 2 * 2 + 3)
        self.addCleanup(again.close)
        wait_for(lambda: d.status()["lsl_outlet"]["listened"])
        source.send_multipart([b"frame", daemon.frame(61)])
        sample = [0.0]
        while sample[0] < 61 * daemon.BIN + 0.01:
            _, sample = again.pull_intent()
        self.assertEqual(sample[3:5], d.intents(sink, 1)[0]["position"])

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_liblsl_makes_no_outlet(self):
        """A stream that cannot be made anew is lost and tried again, and the daemon decodes on."""
        d = self.start(config={"lsl_outlet": "none-%d" % os.getpid()})
        sink, source = d.sink("intent"), d.source()
        source.send_multipart([b"frame", daemon.frame(0)])
        wait_for(lambda: d.status()["lsl_outlet"]["pushed"] == 1)
        none = os.path.join(os.environ["LSL_STUB"], "no-outlets")
        self.addCleanup(lambda: os.path.exists(none) and os.remove(none))
        begun = time.monotonic()
        open(none, "w").close()
        d.must(cmd="model", action="load", path=daemon.make_model(os.path.join(self.folder, "t3.tjm"), targets=3))
        for seq in range(1, 51):
            source.send_multipart([b"frame", daemon.frame(seq)])
        d.intents(sink, 51)
        wait_for(lambda: d.status()["lsl_outlet"]["lost"] == 50)
        # Not at every intent.
        self.assertLessEqual(os.path.getsize(none), 2 + time.monotonic() - begun)
        os.remove(none)
        # Once it can be made again, it is, within a second or so.
        for seq in itertools.count(51):
            source.send_multipart([b"frame", daemon.frame(seq)])
            if d.status()["lsl_outlet"]["pushed"] > 1:
                break
            self.assertLess(time.monotonic(), begun + daemon.PATIENCE)
            time.sleep(0.1)

    def test_without_liblsl_it_is_said(self):
        if SYSTEM != "lsl":
            self.skipTest("of LSL alone")
        for config in ({"lsl_outlet": "x"}, {"source": self.rig().line()}):
            path = os.path.join(self.folder, "alone.json")
            with open(path, "w") as file:
                json.dump({"model": self.model, **config}, file)
            ends = [f"--{name}=@ipc://{self.folder}/{name}" for name in ("frames", "intents", "control")]
            code, _, said = daemon.run_alone("--config", path, *ends, environment={"LD_LIBRARY_PATH": ""})
            self.assertEqual((code, "liblsl is not installed" in said), (1, True), said)

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_stamps_that_jitter_and_drift(self):
        """Samples are numbered, not placed by their stamps, and what is missing is found all the same."""
        units, name, chance = daemon.UNITS, "odd-%d" % os.getpid(), random.Random(11)
        # 10 ms nominal, 10.002 ms in truth, stamps off by up to 2.5 ms.
        stream = Stream(name, b"Counts", units, 100.0)
        self.addCleanup(stream.close)
        map_ = os.path.join(self.folder, "odd.json")
        with open(map_, "w") as file:
            json.dump({"type": "units", "v": 1, "source": "lsl", "stream": name, "rate": 1000000, "units": [
                {"name": str(n), "channel": str(n), "unit": 0} for n in range(units)]}, file)
        d = self.start(config={
            "source": f"lsl://*?name={name}&type=Counts&units={map_}&bin_ms=20&wait_ms=20000",
            "record": {"directory": os.path.join(self.folder, "odd")}})
        wait_for(stream.heard)
        dropped = set(chance.sample(range(10, 1490), 60))
        sent = [[chance.randrange(3) for _ in range(units)] for _ in range(1500)]
        for k, counts in enumerate(sent):
            if k not in dropped:
                stream.push(counts, 100.0 + 0.010002 * (k + 1) + chance.uniform(-0.0025, 0.0025))
        stream.push([0.5] * units, 0.0)  # no count
        wait_for(lambda: self.source(d)["messages"] == 1441)
        source = self.source(d)
        self.assertEqual((source["lost"], source["refused"], source["restarts"]), (60, 1, 0))
        wait_for(lambda: self.source(d)["bins"]["given"] == d.status()["frames"]["received"])
        recording, made = d.status()["recording"]["file"], os.path.join(self.folder, "odd.h5")
        self.assertEqual(self.forget(d)[0], 0)
        trajctl("convert", "recording", recording, "--out", made)
        import h5py
        with h5py.File(made) as file:
            got = file["frames/counts"][:].tolist()
        pairs = [[sum(a) for a in zip(*(sent[k] for k in (j, j + 1) if k not in dropped))] or [0] * units
                 for j in range(0, 1500, 2)]
        self.assertEqual(got, pairs)

    @unittest.skipUnless(SYSTEM == "brand", "of BRAND alone")
    def test_intents_are_a_stream_too(self):
        rig = self.rig()
        d = self.start(config={"source": rig.line(intents="decoded")}, model=self.model)
        rig.send()
        wait_for(lambda: int(REDIS.command("XLEN", "decoded")) >= BINS)
        entry = REDIS.command("XRANGE", "decoded", "-", "+", "COUNT", "1")
        # The first bin holds the steps that begin with its samples.
        bin_samples = round(30 * RigTest.bin_ms)
        self.assertIn('"nsp_idx_1":%d' % (bin_samples - 30), entry)
        for field in ("ts", "i", "position", "velocity", "valid", "target"):
            self.assertIn(f"\n{field}\n", entry)
        self.assertIn("NODE_READY", REDIS.command("XRANGE", "trajd_state", "-", "+"))
        REDIS.command("DEL", "decoded")

    def entries(self, stream):
        """Of a stream that this test knows to be short: position, velocity, valid, i and target of each."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(REDIS.path)
        client.sendall(f"XRANGE {stream} - +\r\n".encode())
        reply = client.makefile("rb")

        def read():
            line = reply.readline()
            count = int(line[1:]) if line[:1] in b"*$" else 0
            if line[:1] == b"*":
                return [read() for _ in range(count)]
            return reply.read(count + 2)[:-2] if line[:1] == b"$" else line[1:-2]
        found = []
        for _, fields in read():
            field = dict(zip(fields[::2], fields[1::2]))
            found.append((*(list(struct.unpack("<%dd" % (len(field[key]) // 8), field[key]))
                            for key in (b"position", b"velocity")), *field[b"valid"],
                          int.from_bytes(field[b"i"], "little"), field[b"target"].decode()))
        reply.close()
        client.close()
        return found

    @unittest.skipUnless(SYSTEM == "brand", "of BRAND alone")
    def test_a_silence_is_an_entry(self):
        """The newest entry never says that an intent is valid whose time is over."""
        rig = self.rig()
        d = self.start(config={"source": rig.line(intents="silenced"), "stale_ms": 200}, model=self.model)
        self.addCleanup(REDIS.command, "DEL", "silenced")
        sink = d.sink("intent")
        rig.send()
        wait_for(lambda: int(REDIS.command("XLEN", "silenced")) > BINS and d.status()["stale"] >= 2)
        wait_for(lambda: self.entries("silenced")[-1][2] == 0)
        intents = d.intents(sink, d.status()["frames"]["decoded"])
        position, velocity, valid, i, target = self.entries("silenced")[-1]
        self.assertTrue(all(map(math.isnan, position)) and len(position) == 2)
        self.assertEqual((velocity, valid, i, target), ([0.0, 0.0], 0, intents[-1]["seq"], ""))
        told = [entry for entry in self.entries("silenced") if not math.isnan(entry[0][0])]
        self.assertEqual([entry[:4] for entry in told],
                         [(a["position"], a["velocity"], a["valid"], a["seq"]) for a in intents])

    @unittest.skipUnless(SYSTEM == "brand", "of BRAND alone")
    def test_an_end_is_an_entry(self):
        """While frames run trajd is told to end: the newest entry does not claim to be valid ever after."""
        self.addCleanup(REDIS.command, "DEL", "ended", "live")
        d = self.start(config={"source": self.live_line(REDIS.path, "ended"), "stale_ms": 0})
        self.run_live(20)
        wait_for(lambda: int(REDIS.command("XLEN", "ended")) >= 10)
        self.assertEqual(self.entries("ended")[-1][2], 1)
        d.process.terminate()
        d.process.wait(daemon.PATIENCE)
        *_, last, end = self.entries("ended")
        self.assertEqual(last[2], 1)
        self.assertTrue(all(map(math.isnan, end[0])) and len(end[0]) == 2)
        self.assertEqual((end[1], end[2], end[4]), ([0.0, 0.0], 0, ""))
        self.assertGreaterEqual(end[3], last[3])

    @unittest.skipUnless(SYSTEM == "brand", "of BRAND alone")
    def test_what_is_not_known_is_an_entry_too(self):
        """The writer by itself, given an intent, one without posterior, and a silence."""
        self.addCleanup(REDIS.command, "DEL", "unknown")
        subprocess.run([os.environ["TRAJ_WRITE_INTENTS"], REDIS.path, "unknown"], check=True,
                       timeout=daemon.PATIENCE)
        known, unknown, silent = self.entries("unknown")
        self.assertEqual(known, ([1.0, 2.0], [3.0, 4.0], 1, 7, "left"))
        self.assertTrue(all(map(math.isnan, unknown[0] + unknown[1])), unknown)
        self.assertEqual((len(unknown[0]), len(unknown[1]), *unknown[2:]), (2, 2, 0, 8, ""))
        self.assertEqual(silent[1:], ([0.0, 0.0], 0, 8, ""))

    def live_line(self, path, intents):
        """A source of whole bins that run_live writes, and the stream to which intents are written."""
        map_ = os.path.join(self.folder, "live.json")
        with open(map_, "w") as file:
            json.dump({"type": "units", "v": 1, "source": "brand", "stream": "live", "rate": 30000, "units": [
                {"name": str(n), "channel": str(n), "unit": 0} for n in range(daemon.UNITS)]}, file)
        return (f"brand://local?socket={path}&units={map_}&field=samples&type=int8"
                f"&step=i:uint64/1&step_ms={1e3 * daemon.BIN:g}&intents={intents}")

    def run_live(self, steps):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect(REDIS.path)
        begun = time.monotonic()
        for k in range(steps):
            time.sleep(max(0.0, begun + (k + 1) * daemon.BIN - time.monotonic()))
            words = [b"XADD", b"live", b"*", b"samples", bytes([3] * daemon.UNITS), b"i", struct.pack("<Q", k)]
            client.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))

    @unittest.skipUnless(SYSTEM == "brand", "of BRAND alone")
    def test_counts_do_not_wait_for_intents(self):
        """Redis takes intents slowly: the counts that it sends meanwhile are binned all the same, and the newest
        entry does not fall behind."""
        path = os.path.join(self.folder, "relay")
        relay = Relay(path, "slow", 0.8)
        self.addCleanup(relay.close)
        self.addCleanup(REDIS.command, "DEL", "slow", "live")
        d = self.start(config={"source": self.live_line(path, "slow"), "stale_ms": 0})
        relay.holding.set()
        steps = 200
        self.run_live(steps)
        self.assertLess(self.share_late(d, steps), 0.2)
        # One after the other they would take minutes.
        wait_for(lambda: self.entries("slow")[-1][3] + 1 == d.status()["frames"]["decoded"])
        wait_for(lambda: self.source(d)["unwritten"] + len(self.entries("slow")) == d.status()["frames"]["decoded"])
        self.assertEqual(self.source(d)["connections"], 0)

    @unittest.skipUnless(SYSTEM == "brand", "of BRAND alone")
    def test_counts_of_whole_bins(self):
        bin_ms = RigTest.bin_ms
        rig, d, said, live = self.run_rig("--block", bin_ms, stream="binned_spikes",
                                          field="samples", type="int8", step="i:uint64",
                                          step_ms=bin_ms)
        self.assertEqual(self.source(d)["spikes"]["binned"], said["spikes"])
        self.assert_same(live, self.replayed(rig.bins))

    @unittest.skipUnless(SYSTEM == "brand", "of BRAND alone")
    def test_a_connection_is_made_anew(self):
        rig = self.rig()
        d = self.start(config={"source": rig.line()}, model=self.model)
        REDIS.command("CLIENT", "KILL", "TYPE", "normal")
        wait_for(lambda: self.source(d)["connections"] == 1)
        # The rig's own connection is gone too: another plays.
        self.assertEqual(self.source(d)["messages"], 0)
        rig.kill()
        rig = self.rig()
        said = rig.send()
        wait_for(lambda: self.all_came(d, said))

    def listen_for_units(self, made, seconds):
        """units-map beside a rig that sends all it has: the rig, and whether a map was made."""
        rig = self.rig()
        listener = subprocess.Popen(
            [TRAJCTL, "units-map", SYSTEM, "--connect", rig.address, "--out", made, "--seconds",
             str(seconds)], stdout=subprocess.DEVNULL)
        if SYSTEM == "blackrock":
            host, port = rig.address.rsplit(":", 1)
            port = "%08X:%04X " % (int.from_bytes(socket.inet_aton(host), "little"), int(port))
            wait_for(lambda: listener.poll() is not None or port in open("/proc/net/udp").read())
        rig.begin()
        listener.wait()
        rig.kill()
        return rig, listener.returncode == 0

    @unittest.skipUnless(SYSTEM != "brand", "a vector has no units to be found")
    def test_a_map_is_made_from_traffic(self):
        made = os.path.join(self.folder, "made.json")
        # How long a loaded machine takes to connect nobody knows: who hears little listens longer.
        for seconds in (4, 20, daemon.PATIENCE):
            rig, heard = self.listen_for_units(made, seconds)
            if not heard:
                continue
            with open(made) as file, open(rig.map) as other:
                map_made, map_ = json.load(file), json.load(other)
            channels = [(unit["channel"], unit["unit"]) for unit in map_made["units"]]
            known = [(unit["channel"], unit["unit"]) for unit in map_["units"]]
            if len(channels) > len(known) // 2:
                break
        self.assertTrue(heard)
        # A unit that never fired in what was heard is known to nobody, unless the rig tells of it.
        self.assertEqual(channels, [c for c in known if c in channels])
        self.assertGreater(len(channels), len(known) // 2)
        if SYSTEM == "lsl":
            self.assertEqual(channels, known)
        self.assertEqual((map_made["source"], map_made["rate"]), (SYSTEM, map_["rate"]))

    @unittest.skipUnless(SYSTEM == "lsl", "of LSL alone")
    def test_no_map_is_made_of_what_is_no_stream_of_counts(self):
        made = os.path.join(self.folder, "none.json")
        task = Stream("words-%d" % os.getpid(), b"Markers")
        self.addCleanup(task.close)
        for name, reason in (("nobody-%d" % os.getpid(), "no stream of the name"),
                             ("words-%d" % os.getpid(), "no numbers"), ("it's", "quote")):
            done = subprocess.run([TRAJCTL, "units-map", "lsl", "--connect", name, "--out", made,
                                   "--seconds", "1"], capture_output=True, text=True)
            self.assertEqual((done.returncode, reason in done.stderr), (1, True), done.stderr)
            self.assertFalse(os.path.exists(made))

    def test_frames_from_elsewhere_are_refused(self):
        rig = self.rig()
        d = self.start(config={"source": rig.line()}, model=self.model)
        d.source().send_multipart([b"frame", daemon.frame(0)])
        wait_for(lambda: d.status()["frames"]["received"] == 1)
        self.assertEqual(d.status()["frames"]["refused"]["type"], 1)


if __name__ == "__main__":
    if not TRAJCTL:
        print("not set: TRAJCTL")
        sys.exit(77)
    if SESSION is not None:
        SESSION = os.path.join(os.environ.get("TRAJ_SHARED_DATA", ""), SESSION)
        if not os.path.exists(SESSION):
            print(f"no recording at {SESSION}")
            sys.exit(77)
    try:
        import h5py
    except ImportError:
        print("python3-h5py is not installed: the session cannot be looked at")
        sys.exit(77)
    del sys.argv[1:]
    if SYSTEM == "brand":
        if not shutil.which("redis-server") or not shutil.which("redis-cli"):
            print("redis-server is not installed: BRAND's streams cannot be had")
            sys.exit(77)
        REDIS = Redis()
    if SYSTEM == "lsl":
        # Another library than the stub may be named, such as a real one.
        library = os.environ["TRAJ_LSL_STUB"]
        os.environ.update(LD_LIBRARY_PATH=library, LSL_STUB=tempfile.mkdtemp(prefix="trajd-lsl-"))
    try:
        daemon.main()
    finally:
        if SYSTEM == "lsl":
            shutil.rmtree(os.environ["LSL_STUB"])
        if REDIS:
            REDIS.close()
