# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the Python client say what the protocol's vectors say, and does a user's Python program work
against a real daemon and the real tools?"""
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

import daemon

TOP = os.environ["TRAJ_SOURCE_DIR"]
CLIENT = os.path.join(TOP, "clients", "python")
sys.path.insert(0, CLIENT)

try:
    import numpy as np
    import h5py  # noqa: F401  the session file needs it
except ImportError:
    print("python3-numpy or python3-h5py is not installed: the Python client was not tested")
    sys.exit(77)

import zmq  # noqa: E402

import trajd  # noqa: E402
from trajd import frame as frames  # noqa: E402


def vector(name):
    with open(os.path.join(TOP, "proto", "vectors", name), "rb") as file:
        return file.read()


class Frames(unittest.TestCase):
    def test_vectors_are_written_to_the_byte(self):
        for name in ("counts", "features", "both", "extremes"):
            said = json.loads(vector(f"frame/{name}.json"))
            body = trajd.encode_frame(said["seq"], said["t"], said["dt"], said.get("counts"),
                                      said.get("features"), said.get("device") or 0)
            self.assertEqual(body, vector(f"frame/{name}.bin"), name)

    def test_every_damaged_vector_is_refused(self):
        folder = os.path.join(TOP, "proto", "vectors", "frame")
        expected = {}
        with open(os.path.join(TOP, "proto", "vectors", "expected.txt"), encoding="utf-8") as lines:
            for line in lines:
                words = line.split()
                if words and words[0].startswith("frame/"):
                    expected[words[0][6:]] = words[1]
        structural = [n for n in os.listdir(folder) if n.endswith(".bin") and expected[n] in
                      ("checksum", "length", "magic", "version", "truncated")]
        self.assertGreater(len(structural), 0)
        for name in structural:
            with self.assertRaises(ValueError, msg=name):
                trajd.decode_frame(vector("frame/" + name))

    def test_round_trip_of_arrays(self):
        counts = np.array([0, 3, trajd.MISSING], "u2")
        back = trajd.decode_frame(trajd.encode_frame(7, 0.5, 0.02, counts))
        self.assertEqual((back.seq, back.t, back.dt, back.counts), (7, 0.5, 0.02, (0, 3, 65535)))

    def test_what_is_no_count_is_refused(self):
        for bad in (-1, 1.5, 65536):
            with self.assertRaises(ValueError):
                trajd.encode_frame(0, 0.02, 0.02, [bad])

    def test_what_is_no_frame_is_refused_where_it_is_made(self):
        with trajd.Source("ipc://" + tempfile.mkdtemp() + "/nobody") as rig:
            for t, dt, counts in ((float("nan"), 0.02, [1]), (1.0, 0.0, [1]), (1.0, -1.0, [1]),
                                  (1.0, float("inf"), [1]), (1.0, 0.02, np.ones((2, 3), "u2"))):
                with self.assertRaises(ValueError, msg=(t, dt)):
                    rig.frame(counts, t=t, dt=dt)
        body = trajd.encode_frame(0, 1.0, 0.02, np.array([1.0, np.nan]))
        self.assertEqual(trajd.decode_frame(body).counts, (1, trajd.MISSING))

    def test_plain_checksum_is_that_of_the_standard(self):
        self.assertEqual(frames._crc32c_plain(b"123456789"), 0xE3069283)


class BinaryIntents(unittest.TestCase):
    """The bodies of bytes, against the same vectors as the C parser."""

    def expected(self):
        with open(os.path.join(TOP, "proto", "vectors", "expected.txt"), encoding="utf-8") as lines:
            rows = [line.split() for line in lines]
        return {row[0]: row[1] for row in rows if row and row[0].startswith("intent/") and row[0].endswith(".bin")}

    def test_every_vector_fares_as_expected(self):
        outcomes = self.expected()
        self.assertGreater(len(outcomes), 30)
        for path, outcome in outcomes.items():
            if outcome == "accepted":
                trajd.decode_intent(vector(path))
            else:
                with self.assertRaises(ValueError, msg=path):
                    trajd.decode_intent(vector(path))

    def test_they_say_what_json_says(self):
        for name in ("full", "nulls"):
            said = json.loads(vector(f"intent/{name}.json"))
            self.assertEqual(trajd.decode_intent(vector(f"intent/{name}.bin")),
                             {key: said[key] for key in said if key not in ("v", "type")})
        self.assertEqual(trajd.decode_intent(vector("intent/flags-all.bin"))["flags"],
                         json.loads(vector("intent/flags.json"))["flags"])
        stale = trajd.decode_intent(vector("intent/stale.bin"))
        self.assertEqual(stale, {"t": 1.5, "silent": 0.25, "valid": False, "velocity": [0.0, 0.0],
                                 "model": "0123456789ab"})


class Sessions(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="trajd-")

    def tearDown(self):
        self.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def simulated(self):
        trajctl = os.environ["TRAJCTL"]
        subprocess.run([trajctl, "simulate", "--out", self.path("s.h5"), "--seed", "3", "--units", "24",
                        "--targets", "4", "--trials-per-target", "6"], check=True, capture_output=True)
        return trajd.Session.read(self.path("s.h5"))

    def test_read_and_written_again_nothing_is_lost(self):
        session = self.simulated()
        session.write(self.path("again.h5"))
        again = trajd.Session.read(self.path("again.h5"))
        for name in ("counts", "t_end", "dt", "position", "kinematics_t", "targets"):
            np.testing.assert_array_equal(getattr(session, name), getattr(again, name), name)
        for name in ("start", "stop", "target", "go", "move"):
            np.testing.assert_array_equal(getattr(session.trials, name), getattr(again.trials, name))
        self.assertEqual(session.target_id, again.target_id)

    def test_a_slice_holds_its_bins_and_whole_trials(self):
        session = self.simulated()
        part = session[100:2000]
        self.assertEqual(len(part), 1900)
        begin, end = part.t_end[0] - part.dt[0], part.t_end[-1]
        whole = (session.trials.start >= begin) & (session.trials.stop <= end)
        np.testing.assert_array_equal(part.trials.start, session.trials.start[whole])
        self.assertTrue((part.kinematics_t <= end + 1e-9).all())

    def test_lengths_that_disagree_are_refused(self):
        with self.assertRaisesRegex(ValueError, "position"):
            trajd.Session(counts=np.zeros((5, 2)), dt=0.02, position=np.zeros(5))
        with self.assertRaisesRegex(ValueError, "kinematics_t"):
            trajd.Session(counts=np.zeros((5, 2)), dt=0.02, position=np.zeros((4, 2)))
        with self.assertRaisesRegex(ValueError, "counts"):
            trajd.Session(counts=np.full((5, 2), 0.5), dt=0.02)
        with self.assertRaisesRegex(ValueError, "position: 3 rows for 5 bins"):
            trajd.Session(counts=np.zeros((5, 2)), dt=0.02, position=np.zeros((3, 2)))
        with self.assertRaisesRegex(ValueError, "dt: 4 widths for 5 bins"):
            trajd.Session(counts=np.zeros((5, 2)), dt=np.full(4, 0.02))
        with self.assertRaisesRegex(ValueError, "position: 3 rows for 0 bins"):
            trajd.Session(position=np.zeros((3, 2)))

    FAULTS = {  # what is put in the place of a dataset or an attribute (@), None = nothing: what is said of it
        "@format": [("other", "format")], "@version": [(2, "version is 2"), (None, "version"), ("x", "version")],
        "@length_unit": [(None, "length_unit"), ("x" * 32, "length_unit"), ("a\nb", "length_unit")],
        "@subject": [("x" * 64, "subject")], "@description": [("x" * 512, "description")],
        "frames/counts": [(None, "/frames/counts"), (lambda a: a + 0.5, "counts"), (lambda a: a[:-1], "counts"),
                          (lambda a: np.where(a == a.max(), np.nan, a), "/frames/counts"),
                          (lambda a: [["x"]], "/frames/counts"), (lambda a: a[:0], "")],
        "frames/features": [(lambda t: np.full((len(t), 1), np.inf), "/frames/features[0, 0]")],
        "frames/t_end": [(None, "/frames/t_end"), (lambda t: t[::-1], "/frames/t_end[1]"),
                         (lambda t: t * np.nan, "/frames/t_end[0]"), (lambda t: t + 1e6, "no trial overlaps")],
        "frames/dt": [(None, "/frames/dt"), (lambda a: a * 0, "/frames/dt[0]"), (lambda a: a * np.nan, "/frames/dt[0]"),
                      (lambda a: a[:1], "/frames/dt")],
        "frames/unit_name": [(lambda n: n[:-1], "/frames/unit_name"), (lambda n: [b"a"] * len(n), "twice"),
                             (lambda n: [b""] + list(n[1:]), "/frames/unit_name[0]"),
                             (lambda n: [b"x" * 32] + list(n[1:]), "/frames/unit_name[0]")],
        "kinematics/t": [(None, "/kinematics/t"), (lambda t: t * 0, "/kinematics/t[1]")],
        "kinematics/position": [(None, "/kinematics/position"), (lambda a: a * np.nan, "/kinematics/position[0, 0]"),
                                (lambda a: np.tile(a, 9), "/kinematics/position")],
        "kinematics/velocity": [(lambda a: np.full_like(a, np.inf), "/kinematics/velocity[0, 0]"),
                                (lambda a: a[:, :1], "/kinematics/velocity")],
        "trials/start": [(None, "/trials/start"), (lambda a: a[::-1], "/trials/start[1]")],
        "trials/stop": [(None, "/trials/stop"), (lambda a: a - 1e3, "/trials/stop[0]"), (lambda a: a[:-1], "stop")],
        "trials/go": [(lambda a: a + np.inf, "/trials/go[0]")],
        "trials/target": [(lambda a: a + 99, "/trials/target[0]"), (lambda a: a - 99, "/trials/target[0]")],
        "targets/position": [(lambda a: a * np.nan, "/targets/position[0, 0]"), (lambda a: a[:, :1], "/targets/position")],
        "targets/id": [(lambda n: n[:-1], "/targets/id"), (lambda n: [b"a"] * len(n), "twice")],
    }

    def test_what_the_tools_refuse_is_refused(self):
        """By the same file's name, and by what is wrong with it; trajctl is asked about each file, too."""
        self.simulated()
        with open(self.path("s.h5"), "rb") as file:
            good = file.read()
        cases = [(place, *case) for place, faults in self.FAULTS.items() for case in faults]
        for place, change, words in cases:
            with self.subTest(place=place, words=words):
                with open(self.path("bad.h5"), "wb") as file:
                    file.write(good)
                with h5py.File(self.path("bad.h5"), "a") as file:
                    self.spoil(file, place, change)
                done = subprocess.run([os.environ["TRAJCTL"], "export", "csv", "--session", self.path("bad.h5"), "--out",
                                       self.path("tables")], capture_output=True, text=True)
                self.assertEqual(done.returncode, 1, done.stderr)
                with self.assertRaises(ValueError) as refused:
                    trajd.Session.read(self.path("bad.h5"))
                self.assertIn(self.path("bad.h5") + ": ", str(refused.exception))
                self.assertIn(words, str(refused.exception))

    def spoil(self, file, place, change):
        if place.startswith("@"):
            if change is None:
                del file.attrs[place[1:]]
            else:
                file.attrs[place[1:]] = change
            return
        old = file[place if place in file else "frames/t_end"][()]
        if place in file:
            del file[place]
        if change is not None:
            value = change(old)
            file[place] = value if isinstance(value, np.ndarray) else np.array(value, dtype="S")

    def test_what_is_no_session_file_is_named(self):
        with open(self.path("text.h5"), "w") as file:
            file.write("no HDF5")
        with self.assertRaisesRegex(ValueError, "text.h5: is not an HDF5 file"):
            trajd.Session.read(self.path("text.h5"))
        with self.assertRaises(FileNotFoundError):
            trajd.Session.read(self.path("nothing.h5"))

    def test_what_read_would_refuse_is_not_written(self):
        session = trajd.Session(counts=np.ones((5, 2)), dt=0.02, position=np.full((5, 1), np.nan))
        with self.assertRaisesRegex(ValueError, r"/kinematics/position\[0, 0\] is not finite"):
            session.write(self.path("never.h5"))
        self.assertFalse(os.path.exists(self.path("never.h5")))

    def test_lines_of_readme_decode_arrays(self):
        with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
            blocks = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
        lines = [block for block in blocks if "trajd.Session(" in block]
        self.assertEqual(len(lines), 1, "README shows once how arrays are decoded")
        self.assertLess(len([x for x in lines[0].splitlines() if x.strip()]), 10)
        session = self.simulated()
        hand = np.stack([np.interp(session.t_end, session.kinematics_t, session.position[:, d])
                         for d in range(2)], 1)
        np.savez(self.path("mine.npz"), counts=session.counts, position=hand)
        script = "import os, sys\nsys.path.insert(0, %r)\nos.chdir(%r)\n" % (CLIENT, self.folder.name)
        done = subprocess.run([sys.executable, "-c", script + lines[0]], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"\d")

    def test_example_decodes_arrays_better_than_their_mean(self):
        session = self.simulated()
        hand = np.stack([np.interp(session.t_end, session.kinematics_t, session.position[:, d])
                         for d in range(2)], 1)
        np.savez(self.path("mine.npz"), counts=session.counts, position=hand)
        done = subprocess.run(
            [sys.executable, os.path.join(CLIENT, "examples", "arrays.py"), "mine.npz", "0.02"],
            capture_output=True, text=True, cwd=self.folder.name,
            env={**os.environ, "PYTHONPATH": CLIENT})
        self.assertEqual(done.returncode, 0, done.stderr)
        error = float(re.search(r"rmse ([\d.]+)", done.stdout).group(1))
        test = hand[len(hand) * 3 // 4:]
        spread = float(np.sqrt(((test - test.mean(0)) ** 2).sum(1).mean()))
        print(f"rmse {error:.1f}, standard deviation {spread:.1f}")
        self.assertLess(error, spread)

    def test_a_tool_that_refuses_says_why(self):
        with self.assertRaisesRegex(RuntimeError, "nowhere.h5"):
            trajd.train(self.path("nowhere.h5"), self.path("m.tjm"))

    def test_a_session_that_tells_nothing_is_refused(self):
        """By training and by adapting: what comes of it would be a model that nothing told anything."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s.h5")
            subprocess.run([os.environ["TRAJCTL"], "simulate", "--out", path, "--units", "5", "--targets", "2",
                            "--trials-per-target", "4"], check=True, capture_output=True)
            model = os.path.join(folder, "m.tjm")
            trajd.train(path, model, "--family", "stm", "--folds", "2")
            session = trajd.Session.read(path)
            for missing, reason in ((False, "no unit fires in any bin"), (True, "all are missing")):
                session.counts[:] = trajd.MISSING if missing else 0
                for options in ((), ("--from", model)):
                    with self.assertRaisesRegex(RuntimeError, f"session.h5: /frames/counts: {reason}, so there"):
                        trajd.train(session, os.path.join(folder, "n.tjm"), *options)
            self.assertEqual(sorted(os.listdir(folder)), ["m.tjm", "s.h5"])


class Live(daemon.DaemonTest):
    def test_frames_events_intents_control(self):
        d = self.start()
        with trajd.Intents(d.endpoints["intents"]) as intents, \
                trajd.Source(d.endpoints["frames"]) as rig, \
                trajd.Control(d.endpoints["control"]) as control:
            daemon.wait_for(lambda: control.status()["subscribers"] > 0)
            rig.wait(daemon.PATIENCE)
            rig.session("one", marks=True)
            rig.trial_start(0.0)
            rig.target_prior(0.0, np.full(daemon.TARGETS, 1 / daemon.TARGETS))
            for seq in range(20):
                rig.frame(daemon.counts_of(seq), t=(seq + 1) * daemon.BIN, dt=daemon.BIN)
            rig.gaze(0.4, [1.0, 2.0], np.eye(2))
            rig.effector(0.4, np.array([1.0, 2.0]))
            for send, words in ((lambda: rig.effector(0.4, np.array([1.0, np.nan])), "effector: position: .* is not finite"),
                                (lambda: rig.gaze(0.4, [1.0, 2.0], np.eye(2) / 0.0), "gaze: cov: .* is not finite"),
                                (lambda: rig.go(math.inf), "go: t: inf is not finite")):
                with np.errstate(all="ignore"), self.assertRaisesRegex(ValueError, words):
                    send()
            rig.trial_stop(0.4)
            rig.trial_label(0.4, target=None, rewarded=True)
            got = [intents.receive(daemon.PATIENCE) for _ in range(20)]
            self.assertEqual([i.frame for i in got], list(range(20)))
            self.assertEqual(intents.lost, 0)
            self.assertEqual(len(got[0].position), 2)
            self.assertAlmostEqual(sum(got[-1].target_prob) + got[-1].free_prob, 1.0, places=9)
            d.settle(events=7)
            status = control.status()
            self.assertEqual(sum(status["events"]["refused"].values()), 0)
            self.assertEqual(status["frames"]["invalid"], 0)
            self.assertEqual(status["frames"]["decoded"], 20)
            with self.assertRaisesRegex(trajd.Refused, "target_prior"):
                control.prior([1.0])
            self.assertEqual(control.pause()["ok"], True)
            self.assertEqual(control.model()["model"]["units"], daemon.UNITS)

    def test_what_is_held_may_be_asked_again(self):
        d = self.start(config={"request_rate": 20})
        with trajd.Control(d.endpoints["control"]) as control:
            with self.assertRaisesRegex(trajd.Held, "request_rate"):
                for _ in range(10000):
                    control.ping()
            daemon.wait_for(lambda: self.may_ask(control))

    def may_ask(self, control):
        try:
            return control.ping()["ok"]
        except trajd.Held:
            return False

    def test_bytes_say_what_json_says(self):
        d = self.start(config={"stale_ms": 100})
        anything = d.socket(zmq.SUB, "intents", RCVHWM=0)
        anything.subscribe("")
        with trajd.Intents(d.endpoints["intents"]) as intents, trajd.Source(d.endpoints["frames"]) as rig, \
                trajd.Control(d.endpoints["control"]) as control:
            rig.wait(daemon.PATIENCE)
            daemon.wait_for(lambda: control.status()["subscribers"] == 2)
            rig.frame(daemon.counts_of(0), t=daemon.BIN, dt=daemon.BIN)
            intents.receive(daemon.PATIENCE)
            with trajd.Intents(d.endpoints["intents"], binary=True) as raw:
                daemon.wait_for(lambda: control.status()["subscribers"] == 3)
                rig.trial_start(daemon.BIN)
                for seq in range(1, 30):
                    rig.frame(daemon.counts_of(seq), t=(seq + 1) * daemon.BIN, dt=daemon.BIN)
                got = []
                while len(got) < 29:
                    got += [m for m in [raw.receive(daemon.PATIENCE)] if isinstance(m, trajd.Intent)]
                self.assertEqual(got, [intents.receive(daemon.PATIENCE) for _ in range(29)])
                silence = raw.receive(daemon.PATIENCE)
                self.assertIsInstance(silence, trajd.Stale)
                self.assertEqual((silence.t, silence.velocity), (got[-1].t, [0.0, 0.0]))
            # Before anybody asked for bytes none were sent, to whoever takes everything either; now they go on.
            daemon.wait_for(lambda: control.status()["subscribers"] == 2)
            rig.frame(daemon.counts_of(30), t=31 * daemon.BIN, dt=daemon.BIN)
            intents.receive(daemon.PATIENCE)
        # All that was published up to the first silence behind the last intent.
        topics, last = [], -1
        while last < 30 or topics[-1][0] != b"stale":
            self.assertTrue(anything.poll(daemon.PATIENCE * 1000))
            topics.append(anything.recv_multipart())
            last = json.loads(topics[-1][1])["seq"] if topics[-1][0] == b"intent" else last
        seqs = [trajd.decode_intent(body).get("seq") for topic, body in topics if topic == b"binary"]
        self.assertEqual([seq for seq in seqs if seq is not None], list(range(1, 31)))

    def test_what_a_rig_says_becomes_a_session(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = temporary.name
        d = self.start(config={"record": {"directory": os.path.join(folder, "r"), "start": False}})
        names = [f"unit {n}" for n in range(daemon.UNITS)]
        with trajd.Source(d.endpoints["frames"]) as rig, trajd.Control(d.endpoints["control"]) as control:
            rig.wait(daemon.PATIENCE)
            self.assertTrue(control.record()["on"])
            rig.session("one", subject="R", length_unit="mm", description="day 3")
            rig.targets(0.0, "pair", ["left", "right"], [[-1.0, 0.0], [1.0, 0.5]])
            rig.units(0.0, names)
            rig.trial_start(0.1)
            for seq in range(20):
                t = (seq + 1) * daemon.BIN
                rig.frame(daemon.counts_of(seq), t=t, dt=daemon.BIN)
                rig.kinematics(t, [t, -t])
            rig.trial_label(0.4, 1, go=0.15, rewarded=True, start=0.1, stop=0.375, move=0.2)
            d.settle(frames=20, events=25)
            recording = control.record(False)["file"]
        trajctl = os.environ["TRAJCTL"]
        subprocess.run([trajctl, "convert", "recording", recording, "--out", folder + "/s.h5"], check=True,
                       stdout=subprocess.DEVNULL)
        session = trajd.Session.read(folder + "/s.h5")
        self.assertEqual((session.subject, session.length_unit), ("R", "mm"))
        self.assertEqual(list(session.unit_name), names)
        self.assertEqual(session.counts.tolist(), [daemon.counts_of(seq) for seq in range(20)])
        self.assertEqual(session.targets.tolist(), [[-1.0, 0.0], [1.0, 0.5]])
        self.assertEqual(session.position.tolist(), [[t, -t] for t in session.t_end])

    def test_the_source_s_clock_is_estimated(self):
        """The rig's clock is 1000 s behind the daemon's, the task computer's 500 s ahead of it."""
        d = self.start()
        with trajd.Source(d.endpoints["frames"]) as rig, trajd.Control(d.endpoints["control"]) as control, \
                trajd.Intents(d.endpoints["intents"]) as intents:
            rig.wait(daemon.PATIENCE)
            daemon.wait_for(lambda: control.status()["subscribers"] == 1)
            with self.assertRaisesRegex(ValueError, "no frame"):
                trajd.Clock(control)
            rig.session("clock", marks=True)
            for _ in range(30):
                rig.frame([0] * daemon.UNITS, t=time.monotonic() - 1000.0, dt=0.001)
            got = [intents.receive(daemon.PATIENCE) for _ in range(30)]
            fastest = min(intent.stamps["recv"] - intent.t for intent in got) - 1000.0
            self.assertAlmostEqual(control.status()["offset"], 1000.0 + fastest, places=9)
            clock = trajd.Clock(control, clock=lambda: time.monotonic() + 500.0)
            # Reading is bracketed by the true clock; late by the fastest frame's way, and half a round trip.
            before = time.monotonic() - 1000.0
            now = clock.now()
            after = time.monotonic() - 1000.0
            self.assertGreaterEqual(now, before - fastest - clock.uncertainty)
            self.assertLessEqual(now, after + clock.uncertainty)
            print(f"{1e3 * (before - now):.3f} ms late, fastest frame {1e3 * fastest:.3f} ms, "
                  f"half a round trip {1e3 * clock.uncertainty:.3f} ms")
            rig.trial_start(clock.now())
            rig.frame([0] * daemon.UNITS, t=time.monotonic() - 1000.0, dt=0.001)
            self.assertNotIn("late_event", intents.receive(daemon.PATIENCE).flags)

    def test_a_calibration_block_becomes_the_model_in_force(self):
        """Over the wire alone: nobody names a recording or a session, and the daemon begins with another rig's model."""
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = temporary.name
        subprocess.run([os.environ["TRAJCTL"], "simulate", "--out", folder + "/s.h5", "--seed", "3", "--units", "24",
                        "--targets", "4", "--trials-per-target", "6"], check=True, capture_output=True)
        session = trajd.Session.read(folder + "/s.h5")
        most = len(session) * 3 // 4
        d = self.start(config={"record": {"directory": os.path.join(folder, "r"), "start": False}})
        with trajd.Source(d.endpoints["frames"]) as rig, trajd.Control(d.endpoints["control"], timeout_s=60) as control:
            rig.wait(daemon.PATIENCE)
            with trajd.calibration(control, folder + "/today.tjm", keep=folder + "/block.h5") as block:
                self.assertEqual(rig.play(session[:most], run="block"), most)
                # Behind the last frame come kinematics and marks, and behind those this.
                rig.gaze(float(session.t_end[most - 1]), [0.0, 0.0], np.eye(2))
                daemon.wait_for(lambda: control.status()["events"]["accepted"]["gaze"] == 1)
                with self.assertRaisesRegex(RuntimeError, "a recording runs already"):
                    with trajd.calibration(control, folder + "/never.tjm"):
                        self.fail("two recordings at once")
            self.assertEqual((block.model["units"], block.model["targets"]), (24, 4))
            self.assertEqual(control.model()["model"]["digest"], block.model["digest"])
            self.assertFalse(control.status()["recording"]["on"])
            # What came over the wire is what was there.
            kept = trajd.Session.read(folder + "/block.h5")
            np.testing.assert_array_equal(kept.counts, session[:most].counts)
            np.testing.assert_array_equal(kept.position, session[:most].position)
            np.testing.assert_array_equal(kept.trials.target, session[:most].trials.target)
            # And it decodes what it has not seen, better than not moving at all.
            rest = session[most:]
            with trajd.Intents(d.endpoints["intents"]) as intents:
                daemon.wait_for(lambda: control.status()["subscribers"] == 1)
                rig.play(rest, run="test")
                got = np.array([intents.receive(daemon.PATIENCE).position for _ in range(len(rest))])
            hand = np.stack([np.interp(rest.t_end, rest.kinematics_t, rest.position[:, k]) for k in range(2)], 1)
            error, spread = np.sqrt(((got - hand) ** 2).mean()), hand.std()
            print(f"rmse {error:.1f} of a spread of {spread:.1f}")
            self.assertLess(error, 0.7 * spread)
            # What cannot be kept in the end is not begun.
            for out, keep in ((folder + "/none/m.tjm", None), (folder, None), (folder + "/never.tjm", folder)):
                with self.assertRaisesRegex(RuntimeError, "cannot be written: (No such file or|Is a) directory"):
                    with trajd.calibration(control, out, keep=keep):
                        self.fail("a block for nothing")
                self.assertFalse(control.status()["recording"]["on"])
            # A block that goes wrong changes nothing, and the recording is over.
            with self.assertRaises(ZeroDivisionError):
                with trajd.calibration(control, folder + "/never.tjm"):
                    1 / 0
            self.assertEqual(control.model()["model"]["digest"], block.model["digest"])
            with self.assertRaises(RuntimeError):
                with trajd.calibration(control, folder + "/never.tjm"):
                    pass
            self.assertFalse(os.path.exists(folder + "/never.tjm"))

    def test_example_of_a_calibration(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = temporary.name
        subprocess.run([os.environ["TRAJCTL"], "simulate", "--out", folder + "/s.h5", "--seed", "4", "--units", "8",
                        "--targets", "2", "--trials-per-target", "3"], check=True, capture_output=True)
        d = self.start(config={"record": {"directory": os.path.join(folder, "r"), "start": False}})
        done = subprocess.run(
            [sys.executable, os.path.join(CLIENT, "examples", "calibrate.py"), folder + "/s.h5", "--out", folder + "/m.tjm",
             "--frames", d.endpoints["frames"], "--control", d.endpoints["control"]],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": CLIENT})
        self.assertEqual(done.returncode, 0, done.stderr)
        model = d.status()["model"]
        self.assertEqual((model["units"], model["targets"]), (8, 2))
        self.assertIn(f"in force: {model['family']}, 8 units, 2 targets", done.stdout)

    def test_holes_are_counted_and_a_new_run_is_none(self):
        intents = trajd.Intents("ipc://" + tempfile.mkdtemp() + "/s")
        intents.close()
        counted = []
        for seq in (0, 1, 4, 0, 1):
            message = trajd.Intent(seq=seq, frame=seq, t=0.0, valid=True)
            intents._socket = Said(message)
            intents.receive(0)
            counted.append(intents.lost)
        self.assertEqual(counted, [0, 0, 2, 2, 2])

    def test_the_newest_is_taken_and_waited_for(self):
        with daemon.zmq.Context() as context, context.socket(daemon.zmq.XPUB) as peer:
            peer.linger = 0
            peer.bind("inproc://newest")  # within a process what is sent is there
            with trajd.Intents("inproc://newest", context) as intents:
                self.assertIsNone(intents.newest(0.05))
                self.assertEqual(peer.recv(), b"\1intent")
                for seq in range(3):
                    peer.send_multipart([b"intent", json.dumps(
                        {"seq": seq, "frame": seq, "t": 0.02 * seq, "valid": True}).encode()])
                self.assertEqual(intents.newest(5).seq, 2)
                self.assertIsNone(intents.newest())

    def test_what_is_left_to_the_collector_does_not_hang(self):
        """Without close(), of a request that nobody answers and of frames that nobody takes."""
        script = ("import trajd\n"
                  "def ask():\n"
                  "    return trajd.Control('ipc:///tmp/no-such-daemon', timeout_s=0.1).status()\n"
                  "def send():\n"
                  "    trajd.Source('ipc:///tmp/no-such-daemon').event('go', t=0.0)\n"
                  "for f in (ask, send):\n"
                  "    try:\n"
                  "        f()\n"
                  "    except TimeoutError as error:\n"
                  "        print(error)\n")
        done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": CLIENT},
                              capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no answer in 0.1 s", done.stdout)

    def test_a_calibration_without_a_place_to_record(self):
        d = self.start()
        with trajd.Control(d.endpoints["control"]) as control:
            with self.assertRaisesRegex(RuntimeError, "names no \"record\" directory"):
                with trajd.calibration(control, d.path("m.tjm")):
                    self.fail("began")

    def test_nobody_there(self):
        with trajd.Source("ipc://" + tempfile.mkdtemp() + "/nobody") as rig:
            with self.assertRaisesRegex(TimeoutError, "subscribed"):
                rig.wait(0.1)
        with trajd.Control("ipc://" + tempfile.mkdtemp() + "/nobody", timeout_s=0.1) as control:
            with self.assertRaises(TimeoutError):
                control.ping()

    def test_example_of_a_network_in_the_loop(self):
        with tempfile.TemporaryDirectory() as folder:
            whole, first, rest, model = (os.path.join(folder, name) for name in
                                         ("s.h5", "a.h5", "b.h5", "m.tjm"))
            for words in (("simulate", "--out", whole, "--seed", "5", "--targets", "4", "--units", "12",
                           "--trials-per-target", "8"),
                          ("split", "--session", whole, "--train", first, "--test", rest),
                          ("train", "--quiet", "--session", first, "--out", model, "--family", "stm")):
                subprocess.run([os.environ["TRAJCTL"], *words], check=True, capture_output=True)
            d = self.start(model=model)
            done = subprocess.run(
                [sys.executable, os.path.join(CLIENT, "examples", "network.py"), "--train", first, "--test",
                 rest, "--bins", "300", *(word for name in ("frames", "intents", "control")
                                          for word in ("--" + name, d.endpoints[name]))],
                capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": CLIENT})
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"^rmse: network \d+\.\d+, trajd \d+\.\d+, both \d+\.\d+$")
            self.assertGreater(d.status()["events"]["accepted"]["estimate"], 250)

    def test_example_of_a_task(self):
        d = self.start()
        words = [word for name in ("frames", "intents", "control")
                 for word in ("--" + name, d.endpoints[name])]
        done = subprocess.run(
            [sys.executable, os.path.join(CLIENT, "examples", "task.py"), "--asap", "--bins", "20", *words],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": CLIENT})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("60 intents, 0 lost", done.stdout)
        self.assertEqual(d.status()["events"]["accepted"]["effector"], 59)


class Said:
    """A socket that has one message."""

    def __init__(self, intent):
        self.body = json.dumps({name: getattr(intent, name) for name in ("seq", "frame", "t", "valid")})

    def poll(self, *_):
        return 1

    def recv_multipart(self):
        return [b"intent", self.body.encode()]

    def close(self, **_):
        pass


if __name__ == "__main__":
    daemon.main()
