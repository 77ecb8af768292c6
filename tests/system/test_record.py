# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings: what is in them, that they replay to the byte, and that nothing that happens to the disk
or to the daemon does more harm than it must."""
import glob
import json
import math
import os
import resource
import shutil
import signal
import stat
import struct
import subprocess
import tempfile
import time

import daemon
from daemon import TARGETS, bare, crc32c, event, frame, run_alone, wait_for

TRAJCTL = os.environ["TRAJCTL"]


def trajctl(*arguments, status=0):
    done = subprocess.run([TRAJCTL, *map(str, arguments)], capture_output=True, timeout=300)
    if done.returncode != status:
        raise AssertionError(f"{arguments}: {done.returncode}: {done.stdout.decode()} "
                             f"{done.stderr.decode()}")
    return done.stdout


def without_stamps(line):
    return line[:line.rindex(b',"stamps":')]


def frames(first, count, **more):
    return [(b"frame", frame(seq, **more)) for seq in range(first, first + count)]


def verify(path, status=0, *more):
    found = json.loads(trajctl("record", "verify", path, "--json", *more, status=status))
    assert found["well"] == (status == 0), found
    return found


HEADER, RECORD, LOSS = 256, 40, 56  # bytes of a file's and of a record's header; of a record of a loss
FRAME, EVENT, PAUSE, SETTINGS, MODEL, INTENT, LOST, RETUNE = 1, 2, 6, 7, 8, 9, 12, 14
CARRIED = 0x8000


def reseal(image, at, size):
    """The checksum of a record, or of a file's header, is that of the bytes as they stand now."""
    image[at + 12:at + 16] = bytes(4)
    image[at + 12:at + 16] = struct.pack("<I", crc32c(image[at:at + size]))


def records(image):
    """Where each record begins, its size and its kind."""
    at = HEADER
    while at < len(image):
        magic, length, kind = struct.unpack_from("<4sIH", image, at)
        assert magic == b"TRec", at
        yield at, RECORD + length, kind
        at += RECORD + length


def new_record(kind, number, like, payload, code=0):
    """One that stands where another stood."""
    record = bytearray(like[:RECORD] + payload)
    struct.pack_into("<IHBB", record, 4, len(payload), kind, code, 0)
    struct.pack_into("<Q", record, 16, number)
    reseal(record, 0, len(record))
    return bytes(record)


def without_commands(image):
    """A recording as a full disk leaves it: what was put in force behind the first frame is missing, and told
    again behind each loss."""
    whole, lost, in_force, running = bytearray(image[:HEADER]), [], {}, False
    for at, size, kind in records(image):
        record = image[at:at + size]
        running = running or kind == FRAME
        if kind in (PAUSE, SETTINGS, MODEL, RETUNE):
            in_force.pop(RETUNE if kind == MODEL else None, None)
            in_force[kind] = record
            if running:
                lost.append(record)
                continue
        if lost:
            [first], [number] = struct.unpack_from("<Q", lost[0], 16), struct.unpack_from("<Q", record, 16)
            whole += new_record(LOST | CARRIED, first, lost[0], struct.pack("<QQ", len(lost), len(lost)), code=1)
            for told in (MODEL, RETUNE, SETTINGS, PAUSE):
                if told in in_force:
                    code = in_force[told][10] if told == PAUSE else 0
                    whole += new_record(told | CARRIED, number, lost[0], in_force[told][RECORD:], code=code)
            lost = []
        whole += record
    return bytes(whole)


class Recording(daemon.DaemonTest):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory(prefix="trajd-rec-")
        self.addCleanup(self.folder.cleanup)
        # The models of daemons go with them; those of recordings must stay.
        self.model = daemon.make_model(self.path("model.tjm"))
        self.other = daemon.make_model(self.path("other.tjm"), seed=2)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def recorder(self, name="recordings", more=None, environment=None, **record):
        """A daemon that records into a folder."""
        return self.start(config={"record": {"directory": self.path(name), **record}, **(more or {})},
                          model=self.model, environment=environment)

    def files(self, name="recordings"):
        return sorted(glob.glob(os.path.join(self.path(name), "*.rec")))

    def stop(self, d):
        d.signal(signal.SIGTERM)
        self.assertEqual(d.wait(), 0)

    def receive(self, sink, count):
        lines = []
        for _ in range(count):
            self.assertTrue(sink.poll(daemon.PATIENCE * 1000), f"{len(lines)} of {count} came")
            lines.append(sink.recv_multipart()[1])
        return lines

    def feed(self, d, messages, decoded, sink=None, source=None):
        sink = sink or d.sink("intent")
        source = source or d.source()
        for message in messages:
            source.send_multipart(message)
        return self.receive(sink, decoded)

    def recorded(self, path):
        return trajctl("record", "show", path, "--kind", "intent", "--bodies").splitlines()

    def replay_live(self, path, count, *more, config=None, model=None):
        """What a fresh daemon with the same model publishes when the recording is replayed."""
        d = self.start(model=model or self.model, config=config)
        sink = d.sink("intent", "stale")
        trajctl("replay", path, "--asap", "--quiet", "--frames", d.endpoints["frames"], "--control",
                d.endpoints["control"], *more)
        lines = [without_stamps(line) for line in self.receive(sink, count)]
        self.assertFalse(sink.poll(100))
        self.stop(d)
        return lines

    def replay_of_session(self, d, units, *more, control=True):
        """100 frames of so many units."""
        with open(self.path("frames.csv"), "w") as f:
            f.write("t_end,dt," + ",".join(f"u{n}" for n in range(units)) + "\n")
            f.writelines(f"{0.02 * (i + 1):.2f},0.02" + ",1" * units + "\n" for i in range(100))
        trajctl("convert", "csv", "--frames", self.path("frames.csv"), "--out", self.path("s.h5"))
        words = ["--control", d.endpoints["control"]] if control else []
        return subprocess.run([TRAJCTL, "replay", "--session", self.path("s.h5"), "--asap", "--frames",
                               d.endpoints["frames"], *words, *more], capture_output=True, text=True)

    def test_a_replay_of_which_nothing_is_taken_fails(self):
        d = self.start()
        done = self.replay_of_session(d, daemon.UNITS)
        self.assertEqual((done.returncode, "refused" in done.stderr), (0, False), done.stderr)
        done = self.replay_of_session(d, daemon.UNITS + 1, "--quiet")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("the daemon refused all 100 frames (100 units)", done.stderr)
        self.assertIn("trajctl status --control " + d.endpoints["control"], done.stderr)
        # Where frames go is told, who is to be asked is not.
        done = self.replay_of_session(d, daemon.UNITS + 1, control=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("is not known: --control was not given", done.stderr)
        self.assertEqual(d.ask(cmd="status")["frames"]["invalid"], 200)
        self.stop(d)

    def test_a_replay_tells_how_many_frames_were_refused(self):
        d = self.start(config={"count_max": 5})
        with open(self.path("frames.csv"), "w") as f:
            f.write("t_end,dt," + ",".join(f"u{n}" for n in range(daemon.UNITS)) + "\n")
            f.writelines(f"{0.02 * (i + 1):.2f},0.02" + f",{9 if i % 4 == 0 else 1}" * daemon.UNITS + "\n"
                         for i in range(40))
        trajctl("convert", "csv", "--frames", self.path("frames.csv"), "--out", self.path("s.h5"))
        done = subprocess.run([TRAJCTL, "replay", "--session", self.path("s.h5"), "--asap", "--frames",
                               d.endpoints["frames"], "--control", d.endpoints["control"]],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the daemon refused 10 of 40 frames (10 counts)", done.stderr)
        self.stop(d)

    def course_model(self, name):
        """A filter over courses, whose tables can be moved."""
        trajctl("bench", "--write-model", self.path(name), "--channels", daemon.UNITS, "--targets", TARGETS,
                "--bin-ms", 1e3 * daemon.BIN)
        return self.path(name)

    # Where `trajctl bench` has put its targets.
    places = [[100 * math.cos(2 * math.pi * m / TARGETS), 100 * math.sin(2 * math.pi * m / TARGETS)]
              for m in range(TARGETS)]

    def changed(self, first, count):
        """Frames in which half of the units are silent and the others fire a lot."""
        return [(b"frame", frame(seq, counts=[0 if n % 2 else 2 + (seq + n) % 3 for n in range(daemon.UNITS)]))
                for seq in range(first, first + count)]

    def recalibrated(self, d):
        """A run in which tables move by themselves and by request; the intents as they were published."""
        sink, source = d.sink("intent"), d.source()
        lines = []

        def send(messages, decoded):
            lines.extend(self.feed(d, messages, decoded, sink, source))

        def state():
            return d.must(cmd="recalibrate", action="status")["recalibration"]

        send([(b"event", event("session", run="a", marks=True)), (b"event", event("trial_start", t=0.01))], 0)
        seq = 0
        while state()["updates"] == 0:
            self.assertLess(seq, 3000, state())
            send(self.changed(seq, 50), 50)
            seq += 50
            # An interval ends with the last of these frames, and housekeeping may still be about it:
            # what it decides must not fall among what is asked for below.
            intervals = round(seq * daemon.BIN)
            wait_for(lambda: state()["intervals"] >= intervals)
        wait_for(lambda: state()["moved"])
        for more in ({"action": "freeze"}, {"action": "rollback"}, {"action": "doubt", "on": True},
                     {"action": "apply", "coefficients": [0.01 * (i % 7) - 0.02 for i in range(7 * daemon.UNITS)]},
                     {"action": "doubt", "on": True}, {"action": "apply", "coefficients": None},
                     {"action": "rollback"}):
            d.must(cmd="recalibrate", **more)
            send(self.changed(seq, 5), 5)
            seq += 5
        d.must(cmd="prior", prob=[0.97] + [0.01] * (TARGETS - 1))
        send(self.changed(seq, 5), 5)
        d.must(cmd="model", action="load", path=self.other)
        send(self.changed(seq + 5, 5), 5)
        d.must(cmd="model", action="rollback")
        d.must(cmd="recalibrate", action="apply", coefficients=[0.1] * (7 * daemon.UNITS))
        send(self.changed(seq + 10, 5), 5)
        t = (seq + 15) * daemon.BIN
        elsewhere = [[0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y] for x, y in self.places]
        send([(b"event", event("trial_stop", t=t)),
              (b"event", event("targets", t=t, set="turned", id=[f"t{m}" for m in range(TARGETS)],
                               position=elsewhere))], 0)
        send(self.changed(seq + 15, 5), 5)
        send([(b"event", event("trial_start", t=t + 0.1)),
              (b"event", event("gaze", t=t + 0.1, position=elsewhere[1], cov=[400, 0, 0, 400])),
              (b"event", event("estimate", t=t + 0.1, loglik=[0.5 * m for m in range(TARGETS)])),
              (b"event", event("estimate", t=t + 0.1, position=[10, 5], cov=[25, 0, 0, 25]))], 0)
        send(self.changed(seq + 20, 10), 10)
        send([(b"event", event("estimate", t=t + 0.3, velocity=[50, -20], cov=[900, 0, 0, 900])),
              (b"event", event("effector", t=t + 0.3, position=[10, 5]))], 0)
        send(self.changed(seq + 30, 5), 5)
        d.must(cmd="event", event={"type": "session", "run": "b", "marks": True})
        send(self.changed(5000, 20), 20)
        return lines

    def test_recalibration_replays_to_the_byte(self):
        self.model, self.other = self.course_model("course.tjm"), self.course_model("same.tjm")
        d = self.recorder(rotate_mb=1, more={"recalibrate": {"interval_s": 1}})
        lines = self.recalibrated(d)
        flags = [json.loads(line)["flags"] for line in lines]
        self.assertGreater(sum("retuned" in each for each in flags), 5)
        self.assertGreater(sum("doubtful" in each for each in flags), 5)
        models = {json.loads(line)["model"] for line in lines}
        self.assertGreater(len(models), 3)
        self.assertIn("turned", {json.loads(line)["target_set"] for line in lines})
        accepted = d.status()["events"]["accepted"]
        self.assertEqual([accepted[kind] for kind in ("targets", "estimate", "gaze", "effector")],
                         [1, 3, 1, 1])
        self.stop(d)
        first = self.files()[0]
        self.assertEqual([without_stamps(line) for line in self.recorded(first)],
                         [without_stamps(line) for line in lines])
        found = verify(first)
        self.assertEqual(found["replay"]["equal"], len(lines), found)
        kinds = [json.loads(line)["how"] for line in
                 trajctl("record", "show", first, "--kind", "retune").splitlines()]
        self.assertLessEqual({"updated", "back", "doubt", "given"}, set(kinds))
        self.assertEqual(self.replay_live(first, len(lines)), [without_stamps(line) for line in lines])

    def assert_retuned_first(self, live, lines):
        """Equal, but that the first says of its tables that they are new."""
        first, recorded = json.loads(live[0] + b"}"), json.loads(without_stamps(lines[0]) + b"}")
        self.assertEqual(sorted(first["flags"]), sorted([*recorded["flags"], "retuned"]))
        self.assertEqual({**first, "flags": None}, {**recorded, "flags": None})
        self.assertEqual(live[1:], [without_stamps(line) for line in lines[1:]])

    def test_tables_that_had_been_moved_before_the_first_message(self):
        self.model = self.course_model("course.tjm")
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        lines = []

        def run(name, seq):
            messages = [(b"event", event("session", run=name, marks=False))] if name else []
            lines.extend(self.feed(d, messages + self.changed(seq, 20), 20, sink, source))

        run("a", 0)
        d.must(cmd="recalibrate", action="apply",
               coefficients=[0.01 * (i % 7) - 0.02 for i in range(7 * daemon.UNITS)])
        d.must(cmd="recalibrate", action="doubt", on=True)
        run("b", 100)
        run("c", 500)
        whole = d.must(cmd="record", action="stop")["recording"]["file"]
        midst = d.must(cmd="record", action="start")["recording"]["file"]
        run(None, 520)
        run("d", 900)
        self.stop(d)
        flags = [json.loads(line)["flags"] for line in lines]
        self.assertEqual([n for n, each in enumerate(flags) if "retuned" in each], [20])
        self.assertEqual([n for n, each in enumerate(flags) if "doubtful" not in each], list(range(20)))
        self.assertEqual(self.replay_live(whole, 40, "--from-frame", 25),
                         [without_stamps(line) for line in lines[20:60]])
        self.assert_retuned_first(self.replay_live(whole, 20, "--from-frame", 45), lines[40:60])
        self.assert_retuned_first(self.replay_live(midst, 20), lines[80:])
        piece = self.path("piece.rec")
        trajctl("record", "cut", whole, "--out", piece, "--from-frame", 45)
        self.assert_retuned_first(self.replay_live(piece, 20), lines[40:60])
        # What cannot be equal is told.
        d = self.start(model=self.model)
        done = subprocess.run([TRAJCTL, "replay", piece, "--asap", "--frames", d.endpoints["frames"],
                               "--control", d.endpoints["control"]], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"the first intent carries the flag retuned", done.stderr)

    def eventful(self, d):
        """Whatever may happen in a run; the intents as they were published."""
        sink, source = d.sink("intent"), d.source()
        lines = []

        def send(messages, decoded):
            lines.extend(self.feed(d, messages, decoded, sink, source))

        sure = [0.97] + [0.01] * (TARGETS - 1)
        send(frames(0, 5), 5)
        send([(b"event", event("session", run="a", marks=True))], 0)
        send(frames(0, 10), 10)
        send([(b"event", event("trial_start", t=0.31)), (b"event", event("target_prior", t=0.41, prob=sure)),
              (b"event", event("kinematics", t=0.3, position=[1, 2], velocity=[0, 0]))], 0)
        send(frames(10, 20), 20)
        send([(b"event", event("go", t=0.35))], 0)  # late
        send(frames(30, 5) + [(b"frame", frame(33)), (b"frame", b"{nonsense"), (b"frame", frame(20))], 5)
        send([(b"event", b"nonsense"), (b"event", event("target_prior", t=1, prob=[1.0])),
              (b"other", b"topic"), (b"frame",), (b"event", b"a", b"b")], 0)
        send(frames(40, 5), 5)  # a gap
        d.must(cmd="trial", action="stop")
        d.must(cmd="trial", action="start")
        d.must(cmd="prior", prob=sure)
        send(frames(45, 10), 10)
        d.must(cmd="pause", on=True)
        send(frames(55, 3), 3)
        d.must(cmd="model", action="load", path=self.other)
        send(frames(58, 10), 10)
        d.must(cmd="pause", on=False)
        d.must(cmd="model", action="rollback")
        send(frames(68, 10), 10)
        d.must(cmd="reset")
        send(frames(78, 10), 10)
        d.must(cmd="event", event={"type": "session", "run": "b", "marks": False})
        send(frames(500, 20), 20)
        return lines

    def test_everything_that_happens_is_there_and_replays_to_the_byte(self):
        d = self.recorder()
        lines = self.eventful(d)
        status = d.status()
        self.stop(d)
        [path] = self.files()
        self.assertEqual(self.recorded(path), lines)
        found = verify(path, 0, "--ended")
        self.assertTrue(found["ended"])
        self.assertEqual(found["replay"], {"equal": len(lines), "differ": 0, "unknown": 0, "absent": 0,
                                           "otherwise": 0})
        records = found["records"]
        self.assertEqual(records["frame"] + records["bad"] - 1, status["frames"]["received"])
        self.assertEqual(records["event"] + records["control"] + 1, status["events"]["received"])
        self.assertEqual((records["control"], records["reset"], records["model"], records["pause"]),
                         (4, 1, 3, 3))
        # Two sources of the same truth: decode, and a fresh daemon.
        decoded = trajctl("decode", "--quiet", "--recording", path, "--model", self.model, "--model",
                          self.other, "--out", "-").splitlines()
        self.assertEqual([without_stamps(line) for line in decoded],
                         [without_stamps(line) for line in lines])
        self.assertEqual(self.replay_live(path, len(lines)), [without_stamps(line) for line in lines])

    def test_events_tell_when_they_took_effect(self):
        d = self.recorder()
        self.eventful(d)
        self.stop(d)
        [path] = self.files()
        shown = [json.loads(line) for line in trajctl("record", "show", path).splitlines()]
        events = {r["event"]: r for r in shown if r["kind"] in ("event", "control")}
        effects = {n: r["frame"] for r in shown if r["kind"] == "intent" for n in r["effects"]}
        by_type = {r["body"]["type"]: n for n, r in events.items() if "body" in r and n < 6}
        # Frame k of the second run, from 0, ends at (k + 1) * 0.02 s and is the decoded frame 5 + k.
        self.assertEqual(effects[by_type["trial_start"]], 5 + 15)
        self.assertEqual(effects[by_type["target_prior"]], 5 + 20)
        late = events[by_type["go"]]
        self.assertEqual((late["effect"], late["frame"]), ("at_once", 35))
        self.assertEqual(events[by_type["kinematics"]]["effect"], "waits")
        self.assertNotIn(by_type["kinematics"], effects)
        refused = [r for r in events.values() if r["effect"] == "refused"]
        self.assertEqual([r["cause"] for r in refused], ["syntax", "units"])
        # What a person does takes effect before the next frame.
        control = [r for r in shown if r["kind"] == "control"]
        self.assertEqual([effects.get(r["event"], r["frame"]) for r in control],
                         [r["frame"] for r in control])

    def test_from_a_middle_point(self):
        d = self.recorder()
        lines = self.eventful(d)
        self.stop(d)
        [path] = self.files()
        for first in (1, 20, 61, 88, 100):
            decoded = trajctl("decode", "--quiet", "--recording", path, "--model", self.model, "--model",
                              self.other, "--from-frame", first, "--out", "-").splitlines()
            self.assertEqual([without_stamps(line) for line in decoded],
                             [without_stamps(line) for line in lines[first:]])
        # A live daemon publishes what leads up to the frame, too: from the last session event on.
        for first, begins in ((20, 5), (88, 88), (100, 88)):
            live = self.replay_live(path, len(lines) - begins, "--from-frame", first)
            self.assertEqual(live[first - begins:], [without_stamps(line) for line in lines[first:]])

    def test_runs_of_one_name_are_told_apart_by_their_number(self):
        d = self.recorder()
        self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 10), 10)
        self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 5), 5)
        self.feed(d, [(b"event", event("session", run="b", marks=False))] + frames(0, 3), 3)
        self.stop(d)
        [path] = self.files()

        def convert(*choice, status=0):
            done = subprocess.run([TRAJCTL, "convert", "recording", path, "--out", self.path("run.h5"), *choice],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, status, done.stderr)
            return done.stdout + done.stderr

        self.assertIn('"a", of which one must be chosen by its number: 1 "a" (10 frames), 2 "a" (5 frames)\n',
                      convert("--run", "a", status=1))
        self.assertIn('by name or number: 1 "a" (10 frames), 2 "a" (5 frames), 3 "b" (3 frames)\n',
                      convert(status=1))
        self.assertIn("no run 4", convert("--run-number", "4", status=1))
        self.assertIn("either --run or --run-number", convert("--run-number", "2", "--run", "a", status=2))
        self.assertFalse(os.path.exists(self.path("run.h5")))
        for choice, bins in (("1", 10), ("2", 5), ("3", 3)):
            self.assertIn(f": {bins} bins", convert("--run-number", choice))
        self.assertIn(": 3 bins", convert("--run", "b"))

    def test_a_range_that_holds_nothing_is_refused(self):
        d = self.recorder()
        self.feed(d, frames(0, 10), 10)
        self.stop(d)
        [path] = self.files()
        out = self.path("out")
        for command, words in ((("record", "show", path, "--from-frame", 11), "has nothing in this range"),
                               (("record", "cut", path, "--from-frame", 11, "--out", out),
                                "has nothing in this range"),
                               (("record", "cut", path, "--from", 1e6, "--out", out),
                                "has nothing in this range"),
                               (("decode", "--recording", path, "--model", self.model, "--from-frame", 10,
                                 "--out", out), "no frame was decoded from frame 10 on"),
                               (("replay", path, "--from-frame", 10), "has no frame 10")):
            done = subprocess.run([TRAJCTL, *map(str, command)], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (1, ""), (command, done.stderr))
            self.assertIn(words, done.stderr)
            self.assertFalse(os.path.exists(out))
        self.assertEqual(len(trajctl("record", "show", path, "--from-frame", 9, "--kind", "frame").splitlines()),
                         1)
        self.assertEqual(trajctl("record", "show", path, "--from-frame", 9, "--kind", "retune"), b"")

    def test_a_daemon_that_begins_paused_is_let_go_and_the_other_way_round(self):
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        lines = self.feed(d, frames(0, 10), 10, sink, source)
        d.must(cmd="pause", on=True)
        lines += self.feed(d, [(b"event", event("session", run="x", marks=False))] + frames(0, 10), 10, sink,
                           source)
        self.stop(d)
        [path] = self.files()
        self.assertEqual(["paused" in json.loads(line)["flags"] for line in lines], 10 * [False] + 10 * [True])
        for paused in (False, True):
            self.assertEqual(self.replay_live(path, 20, config={"paused": paused}), list(map(without_stamps, lines)))
            self.assertEqual(self.replay_live(path, 10, "--from-frame", 12, config={"paused": paused}),
                             list(map(without_stamps, lines[10:])))

    def replays(self, path, lines):
        """Verify, decode and a fresh daemon, whatever model it begins with, give what was recorded."""
        expected = [without_stamps(line) for line in lines]
        found = verify(path)
        self.assertEqual((found["replay"]["equal"], found["replay"]["unknown"]), (len(lines), 0), found)
        for model in (self.model, self.other):
            self.assertEqual(self.replay_live(path, len(lines), model=model), expected)
        decoded = trajctl("decode", "--quiet", "--recording", path, "--out", "-").splitlines()
        self.assertEqual([without_stamps(line) for line in decoded], expected)

    def test_a_model_that_is_loaded_before_the_first_session(self):
        d = self.recorder()
        d.must(cmd="model", action="load", path=self.other)
        lines = self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 20), 20)
        self.stop(d)
        [path] = self.files()
        self.assertIn("model", json.loads(lines[0])["flags"])
        self.replays(path, lines)
        # From the middle on the session is what it begins with, and the model is new there, too.
        self.assertEqual(self.replay_live(path, 20, "--from-frame", 5), list(map(without_stamps, lines)))

    def test_a_recording_that_begins_between_a_model_and_its_first_intent(self):
        d = self.recorder(start=False)
        sink, source = d.sink("intent"), d.source()
        before = self.feed(d, frames(0, 5), 5, sink, source)
        d.must(cmd="model", action="load", path=self.other)
        first = d.must(cmd="record", action="start")["recording"]["file"]
        lines = self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 10), 10, sink, source)
        d.must(cmd="record", action="stop")
        # And one that begins a frame later, so that nothing is new in it any more.
        d.must(cmd="model", action="rollback")
        before += self.feed(d, frames(10, 5), 5, sink, source)
        second = d.must(cmd="record", action="start")["recording"]["file"]
        later = self.feed(d, [(b"event", event("session", run="b", marks=False))] + frames(0, 10), 10, sink, source)
        self.stop(d)
        self.assertEqual([n for n, line in enumerate(before + lines + later) if "model" in json.loads(line)["flags"]],
                         [5, 10])
        self.replays(first, lines)
        found = verify(second)
        self.assertEqual((found["replay"]["equal"], found["replay"]["unknown"]), (10, 0))
        self.assertEqual(self.replay_live(second, 10), list(map(without_stamps, later)))

    def test_a_recording_that_begins_between_tables_and_their_first_intent(self):
        self.model = self.other = self.course_model("course.tjm")
        d = self.recorder(start=False)
        sink, source = d.sink("intent"), d.source()
        moved = [0.01 * (i % 7) - 0.02 for i in range(7 * daemon.UNITS)]
        d.must(cmd="recalibrate", action="apply", coefficients=moved)
        d.must(cmd="recalibrate", action="doubt", on=True)
        paths = [d.must(cmd="record", action="start")["recording"]["file"]]
        fresh = self.feed(d, self.changed(0, 10), 10, sink, source)
        d.must(cmd="record", action="stop")
        d.must(cmd="recalibrate", action="apply", coefficients=None)
        paths.append(d.must(cmd="record", action="start")["recording"]["file"])
        midst = self.feed(d, [(b"event", event("session", run="a", marks=False))] + self.changed(0, 10), 10, sink,
                          source)
        self.stop(d)
        for lines, doubtful, path in zip((fresh, midst), (True, False), paths):
            flags = json.loads(lines[0])["flags"]
            self.assertEqual(("retuned" in flags, "doubtful" in flags), (True, doubtful))
            self.replays(path, lines)

    def test_a_piece_that_begins_between_a_model_and_its_first_intent(self):
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        lines = self.feed(d, frames(0, 10), 10, sink, source)
        d.must(cmd="model", action="load", path=self.other)
        lines += self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 10), 10, sink, source)
        lines += self.feed(d, [(b"event", event("session", run="b", marks=False))] + frames(0, 10), 10, sink, source)
        self.stop(d)
        [path] = self.files()
        for first in (10, 20):
            piece = self.path(f"{first}.rec")
            trajctl("record", "cut", path, "--out", piece, "--from-frame", first, "--to-frame", first + 9)
            self.assertEqual("model" in json.loads(lines[first])["flags"], first == 10)
            found = verify(piece)
            self.assertEqual(found["replay"]["equal"], 10, found)
            self.assertEqual(self.replay_live(piece, 10, model=self.other),
                             [without_stamps(line) for line in lines[first:first + 10]])

    def lossy(self, path, name):
        """The recording without what was put in force while it ran."""
        with open(path, "rb") as file:
            image = without_commands(file.read())
        with open(self.path(name), "wb") as file:
            file.write(image)
        return self.path(name)

    def test_what_is_told_after_a_loss_is_replayed_to_a_daemon(self):
        self.model = self.course_model("course.tjm")
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        moved = {"action": "apply", "coefficients": [0.01 * (i % 7) - 0.02 for i in range(7 * daemon.UNITS)]}
        lines = self.feed(d, self.changed(0, 10), 10, sink, source)
        for number, commands in enumerate((
                [{"cmd": "pause", "on": True}],
                [{"cmd": "model", "action": "load", "path": self.other}],
                [{"cmd": "pause", "on": False}, {"cmd": "model", "action": "rollback"}],
                [{"cmd": "recalibrate", **moved}, {"cmd": "recalibrate", "action": "doubt", "on": True}],
                [{"cmd": "recalibrate", "action": "doubt", "on": False}],
                [{"cmd": "model", "action": "load", "path": self.model}],
                [{"cmd": "recalibrate", **moved}],
                [{"cmd": "recalibrate", "action": "apply", "coefficients": None}]), start=1):
            for command in commands:
                d.must(**command)
            lines += self.feed(d, self.changed(10 * number, 10), 10, sink, source)
        self.stop(d)
        [path] = self.files()
        path = self.lossy(path, "lossy.rec")
        found = verify(path)
        self.assertEqual((found["lost"]["disk"], found["lost"]["inputs"]), (10, 10))
        self.assertEqual((found["replay"]["equal"], found["replay"]["unknown"]), (10, 80))
        # All that is missing is told, so that nothing differs.
        self.assertEqual(self.replay_live(path, 90), [without_stamps(line) for line in lines])

    def test_the_first_intent_after_a_loss_is_not_judged(self):
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        lines = self.feed(d, frames(0, 10), 10, sink, source)
        d.must(cmd="model", action="load", path=self.other)
        lines += self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 10), 10, sink, source)
        d.must(cmd="model", action="rollback")
        lines += self.feed(d, frames(10, 10), 10, sink, source)
        lines += self.feed(d, [(b"event", event("session", run="b", marks=False))] + frames(0, 10), 10, sink, source)
        self.stop(d)
        [path] = self.files()
        path = self.lossy(path, "lossy.rec")
        # Not known is whether the first says that the model is new; and all up to the second session, of which
        # the first is known, for an intent had told by then.
        found = verify(path)
        self.assertEqual((found["replay"]["equal"], found["replay"]["unknown"], found["replay"]["differ"]),
                         (10 + 9 + 10, 1 + 10, 0))
        done = subprocess.run([TRAJCTL, "decode", "--recording", path, "--out", "-"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 30)
        self.assertIn(b"decode: 10 frames are left out", done.stderr)

    def test_the_first_intent_of_a_later_part_alone_is_not_judged(self):
        """Where the part begins between a model and its session, that the model is new stands in the one before."""
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        self.feed(d, frames(0, 10), 10, sink, source)
        d.must(cmd="model", action="load", path=self.other)
        self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 10), 10, sink, source)
        self.stop(d)
        [path] = self.files()
        with open(path, "rb") as file:
            image = file.read()
        [loaded] = [image[at:at + size] for at, size, kind in records(image) if kind == MODEL and image[at + 10] != 0]
        session, _, _ = [each for each in records(image) if each[2] == EVENT][0]
        [number] = struct.unpack_from("<Q", image, session + 16)
        part = bytearray(image[:HEADER])
        struct.pack_into("<QQ", part, 16, 2, number)
        reseal(part, 0, HEADER)
        part += new_record(MODEL | CARRIED, number, loaded, loaded[RECORD:]) + image[session:]
        with open(self.path("alone.0002.rec"), "wb") as file:
            file.write(part)
        found = verify(self.path("alone.0002.rec"))
        self.assertEqual((found["replay"]["equal"], found["replay"]["unknown"]), (9, 1), found)

    def test_what_cannot_be_replayed_is_counted(self):
        d = self.recorder(start=False)
        sink, source = d.sink("intent"), d.source()
        self.feed(d, frames(0, 5), 5, sink, source)
        d.must(cmd="record", action="start")
        self.feed(d, frames(5, 50), 50, sink, source)
        self.feed(d, [(b"event", event("session", run="a", marks=False))] + frames(0, 10), 10, sink, source)
        self.stop(d)
        [path] = self.files()
        for more, left_out in (([], 50), (["--from-frame", "35"], 20), (["--from-frame", "57"], 0)):
            d = self.start(model=self.model)
            done = subprocess.run([TRAJCTL, "replay", path, "--asap", "--frames", d.endpoints["frames"], "--control",
                                   d.endpoints["control"], *more], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(f"{left_out} frames before the first session event were not sent" in done.stderr,
                             left_out > 0, done.stderr)

    def test_a_daemon_that_answers_few_requests_is_replayed_to(self):
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        lines = []
        for number in range(30):
            d.must(cmd="pause", on=number % 2 == 0)
            lines += self.feed(d, frames(number, 1), 1, sink, source)
        self.stop(d)
        [path] = self.files()
        self.assertEqual(self.replay_live(path, 30, config={"request_rate": 20}), list(map(without_stamps, lines)))

    def test_the_tables_of_many_channels_are_moved_and_replayed(self):
        units = 2000
        self.model = self.path("wide.tjm")
        trajctl("bench", "--write-model", self.model, "--channels", units, "--targets", TARGETS, "--bin-ms",
                1e3 * daemon.BIN)
        d = self.recorder()
        d.must(cmd="recalibrate", action="apply", coefficients=[0.01 / (3 + i % 97) for i in range(7 * units)])
        lines = self.feed(d, [(b"frame", frame(seq, counts=[(seq + n) % 3 for n in range(units)]))
                              for seq in range(5)], 5)
        self.stop(d)
        [path] = self.files()
        self.assertIn("retuned", json.loads(lines[0])["flags"])
        self.assertEqual(self.replay_live(path, 5), list(map(without_stamps, lines)))

    def test_pieces_replay_too(self):
        d = self.recorder()
        lines = self.eventful(d)
        self.stop(d)
        [path] = self.files()
        for number, (first, last) in enumerate(((0, 3), (10, 40), (61, 70), (90, 107))):
            piece = self.path(f"{number}.rec")
            trajctl("record", "cut", path, "--out", piece, "--from-frame", first, "--to-frame", last)
            self.assertEqual(stat.S_IMODE(os.stat(piece).st_mode), 0o600)
            found = verify(piece)
            self.assertEqual(found["replay"]["equal"], last - first + 1, found)
            self.assertEqual(self.recorded(piece), lines[first:last + 1])
        with open(piece, "rb") as file:
            before = file.read()
        trajctl("record", "cut", path, "--out", piece, status=1)
        with open(piece, "rb") as file:
            self.assertEqual(file.read(), before)
        stamps = [json.loads(line)["stamp"] for line in
                  trajctl("record", "show", path, "--kind", "frame").splitlines()]
        began = json.loads(trajctl("record", "show", path, "--kind", "start"))["stamp"]
        trajctl("record", "cut", path, "--out", self.path("time.rec"), "--from", stamps[30] - began,
                "--to", stamps[60] - began)
        found = verify(self.path("time.rec"))
        # Frames that came together have one stamp.
        self.assertLessEqual(24, found["replay"]["equal"])
        self.assertLessEqual(found["replay"]["equal"], 70)
        trajctl("record", "cut", path, "--out", self.path("none.rec"), "--from-frame", 5000, status=1)
        self.assertFalse(os.path.exists(self.path("none.rec")))

    def test_another_model_is_told_of(self):
        d = self.recorder()
        lines = self.feed(d, frames(0, 30), 30)
        self.stop(d)
        [path] = self.files()
        others, _ = self.run_through(frames(0, 30), 30, model=self.other)

        def decode(*more, status=0):
            done = subprocess.run([TRAJCTL, "decode", "--recording", path, "--out", "-", *more],
                                  capture_output=True, timeout=60)
            self.assertEqual(done.returncode, status, done.stderr)
            return list(map(without_stamps, done.stdout.splitlines())), done.stderr

        # Whether the model that ran lies in its place or not, the one that is asked for is what decodes.
        for there in (True, False):
            if not there:
                os.rename(self.model, self.path("moved.tjm"))
            decoded, said = decode("--model", self.other)
            self.assertEqual([json.loads(line + b"}") for line in decoded], others)
            self.assertIn(b"is not the one given", said)
        self.assertNotEqual(decoded, list(map(without_stamps, lines)))
        # Without one the recording's own are read, or the file is not made.
        decoded, said = decode(status=1)
        self.assertEqual(decoded, [])
        self.assertIn(b"is not at hand: give it with --model (it lay at " + self.model.encode() + b")", said)
        os.link(self.path("moved.tjm"), self.model)
        decoded, said = decode()
        self.assertEqual(decoded, list(map(without_stamps, lines)))
        self.assertNotIn(b"model", said)
        os.unlink(self.model)
        found = verify(path)
        self.assertEqual((found["replay"]["equal"], found["replay"]["unknown"]), (0, 30))
        self.assertIsNotNone(found["model_missing"])
        self.assertEqual(verify(path, 0, "--model", self.path("moved.tjm"))["replay"]["equal"], 30)

    def test_an_intent_that_was_tampered_with_is_found_out(self):
        d = self.recorder()
        self.feed(d, frames(0, 30), 30)
        self.stop(d)
        [path] = self.files()
        with open(path, "rb") as file:
            image = bytearray(file.read())
        at, size = [(at, size) for at, size, kind in records(image) if kind == INTENT][17]
        seq = image.index(b'"seq":17,', at, at + size)
        image[seq + 7] = ord("9")
        damaged = self.path("damaged.rec")
        with open(damaged, "wb") as file:
            file.write(image)
        # The checksum tells of what has become different by itself.
        found = verify(damaged, 1)
        self.assertEqual((found["damage"]["broken_places"], found["damage"]["missing"]), (1, 1))
        self.assertEqual(found["replay"], {"equal": 17, "differ": 0, "unknown": 12, "absent": 1, "otherwise": 0})
        # Whoever changes it on purpose makes the checksum fit, and the replay tells.
        reseal(image, at, size)
        with open(damaged, "wb") as file:
            file.write(image)
        found = verify(damaged, 1)
        self.assertEqual(found["damage"]["broken_places"] + found["damage"]["missing"], 0)
        self.assertEqual((found["replay"]["equal"], found["replay"]["differ"]), (29, 1))
        self.assertIn(b"1 differ", trajctl("record", "verify", damaged, status=1))
        self.assertIn(b"the first at frame 17\n", trajctl("record", "verify", damaged, status=1))

    def test_start_and_stop_by_request(self):
        d = self.recorder(start=False)
        sink, source = d.sink("intent"), d.source()
        self.assertEqual(self.files(), [])
        self.assertFalse(d.status()["recording"]["on"])
        self.assertIn("nothing is being", d.ask(cmd="record", action="stop")["error"])
        self.feed(d, frames(0, 10), 10, sink, source)
        reply = d.must(cmd="record", action="start")
        self.assertEqual(reply["frame"], 10)
        self.assertIn("under way", d.ask(cmd="record", action="start")["error"])
        # What the decoder knows by now is not in the recording, up to the next session event.
        self.feed(d, frames(10, 10), 10, sink, source)
        lines = self.feed(d, [(b"event", event("session", run="x", marks=False))] + frames(0, 10), 10, sink,
                          source)
        out = trajctl("record", "stop", "--control", d.endpoints["control"])
        self.assertIn(b"0 lost", out)
        self.feed(d, frames(10, 5), 5, sink, source)
        self.assertFalse(d.status()["recording"]["on"])
        [path] = self.files()
        found = verify(path)
        self.assertTrue(found["ended"])
        self.assertEqual((found["replay"]["equal"], found["replay"]["unknown"]), (10, 10))
        self.assertEqual(self.recorded(path)[10:], lines)
        # A second one has a name of its own, and the first stays as it is.
        with open(path, "rb") as file:
            before = file.read()
        out = trajctl("record", "start", "--control", d.endpoints["control"]).decode().strip()
        self.assertEqual([name for name in self.files() if name != path], [out])
        self.feed(d, frames(15, 5), 5, sink, source)
        trajctl("record", "stop", "--control", d.endpoints["control"])
        self.assertEqual(len(self.files()), 2)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)
        for name in self.files():
            self.assertEqual(stat.S_IMODE(os.stat(name).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("recordings")).st_mode), 0o700)

    def test_without_a_directory_there_is_none(self):
        d = self.start()
        self.assertIsNone(d.status()["recording"])
        self.assertIn("no directory is configured", d.ask(cmd="record", action="start")["error"])
        self.assertIn("start", d.ask(cmd="record", action="begin")["error"])

    def test_directories_that_are_refused(self):
        os.mkdir(self.path("open"))
        os.chmod(self.path("open"), 0o777)
        with open(self.path("file"), "w"):
            pass
        for name, words in (("open", "everybody"), ("file", "no directory"), ("not/there", "cannot be made")):
            with open(self.path("c.json"), "w") as file:
                json.dump({"record": {"directory": self.path(name)},
                           **{n: "ipc://" + self.path(n) for n in ("frames", "intents", "control")}}, file)
            code, _, said = run_alone("--config", self.path("c.json"), "--model", self.model)
            self.assertEqual(code, 1)
            self.assertIn(words, said)

    def test_a_new_part_begins_where_one_is_full(self):
        d = self.recorder(rotate_mb=1, more={"record": {"directory": self.path("recordings"),
                                                        "rotate_mb": 1, "sync_s": 0.05}})
        sink, source = d.sink("intent"), d.source()
        lines = []
        for first in range(0, 4000, 500):
            lines += self.feed(d, frames(first, 500), 500, sink, source)
        self.stop(d)
        files = self.files()
        self.assertGreaterEqual(len(files), 3)
        for path in files[:-1]:
            self.assertLess(os.path.getsize(path), 1.3e6)
        found = verify(files[0])
        self.assertEqual((found["parts"], found["replay"]["equal"]), (len(files), 4000))
        self.assertEqual(self.recorded(files[0]), lines)
        # A later part alone: whole, but what the decoder knew is in the former one.
        found = verify(files[1])
        self.assertEqual(found["replay"]["equal"], 0)
        self.assertGreater(found["replay"]["unknown"], 0)
        # A part that is missing in the midst ends it, and is told of; one that is missing at the end cannot be.
        os.rename(files[1], self.path("aside"))
        found = verify(files[0], 1)
        self.assertEqual((found["parts"], found["later_part"]), (1, len(files)))
        said = trajctl("record", "verify", files[0], status=1).decode()
        self.assertIn(f"part 2 is missing, and there is a part {len(files)}", said)
        # Whoever else reads it is told of it, and gets what is before.
        for command in (("record", "show", files[0]),
                        ("record", "cut", files[0], "--to-frame", "100000", "--out", self.path("cut.rec")),
                        ("convert", "recording", files[0], "--partial", "--out", self.path("part.h5")),
                        ("decode", "--recording", files[0], "--model", self.model, "--out",
                         self.path("part.jsonl"))):
            done = subprocess.run([TRAJCTL, *command], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"{command[0]}: {files[0]}: part 2 is missing, though later ones are there",
                          done.stderr)
        # What becomes a file of its own must be asked for.
        for command in (("convert", "recording", files[0], "--out", self.path("none")),
                        ("train", "--intention", files[0], "--out", self.path("none"))):
            done = subprocess.run([TRAJCTL, *command], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"{files[0]}: part 2 is missing, though later ones are there; with --partial",
                          done.stderr)
            self.assertFalse(os.path.exists(self.path("none")))
        done = subprocess.run([TRAJCTL, "train", "--partial", "--intention", files[0], "--out",
                               self.path("none")], capture_output=True, text=True)
        self.assertIn(f"train: {files[0]}: part 2 is missing", done.stderr)
        os.rename(self.path("aside"), files[1])
        os.unlink(files[-1])
        found = verify(files[0])
        self.assertEqual((found["parts"], found["later_part"]), (len(files) - 1, 0))

    def test_more_parts_than_four_digits_count(self):
        d = self.recorder()
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (200000, resource.RLIM_INFINITY))
        lines = self.feed(d, frames(0, 400), 400)
        self.stop(d)
        files = self.files()
        self.assertEqual(len(files), 2)
        for number, name in zip((9999, 10000), files):
            with open(name, "rb") as file:
                image = bytearray(file.read())
            image[16:24] = struct.pack("<Q", number)
            reseal(image, 0, HEADER)
            with open(self.path(f"many.{number}.rec"), "wb") as file:
                file.write(image)
        found = verify(self.path("many.9999.rec"))
        self.assertEqual((found["parts"], found["replay"]["equal"]), (2, 400))
        self.assertEqual(self.recorded(self.path("many.9999.rec")), lines)

    def test_a_tail_torn_at_every_byte(self):
        d = self.recorder()
        self.feed(d, frames(0, 20), 20)
        d.process.kill()
        self.forget(d)
        [path] = self.files()
        trajctl("record", "recover", path)
        with open(path, "rb") as file:
            image = file.read()
        last = image.rindex(b"TRec")
        self.assertIn(b'"seq":19', image[last:])
        torn = self.path("torn.rec")
        for size in [*range(last, len(image), 7), len(image) - 1, len(image)]:
            with open(torn, "wb") as file:
                file.write(image[:size])
            found = verify(torn)
            whole = size == len(image)
            self.assertEqual(found["replay"]["equal"], 20 if whole else 19)
            # The daemon was killed, so that it is not ended even where it is whole.
            self.assertFalse(verify(torn, 1, "--ended")["ended"])
            self.assertEqual(found["torn_bytes"] if "torn_bytes" in found else found["damage"].get(
                "torn_bytes", 0), 0 if whole else size - last)

    def test_killed_it_loses_nothing_that_anybody_has_received(self):
        for moment in (0, 0.002, 0.013):
            name = f"killed{moment}"
            d = self.recorder(name, sync_s=0)
            sink, source = d.sink("intent"), d.source()
            for message in frames(0, 1500):
                source.send_multipart(message)
            received = self.receive(sink, 200)
            time.sleep(moment)
            d.process.kill()
            d.process.wait()
            while sink.poll(200):
                received.append(sink.recv_multipart()[1])
            self.forget(d)
            [path] = self.files(name)
            # Even before what is left in memory is added, all that is there replays.
            before = verify(path)
            self.assertFalse(before["ended"])
            self.assertEqual(before["replay"]["differ"], 0)
            said = trajctl("record", "recover", path).decode()
            after = verify(path)
            self.assertGreaterEqual(after["replay"]["equal"], before["replay"]["equal"])
            self.assertEqual(after["replay"]["differ"] + after["replay"]["unknown"], 0)
            recorded = self.recorded(path)
            self.assertEqual(recorded[:len(received)], received, said)
            self.assertIn(b"nothing was left", trajctl("record", "recover", path))
            if moment == 0:
                # The last frame may have been recorded and its intent not.
                decoded = after["replay"]["equal"] + (after["records"]["frame"] > len(recorded))
                live = self.replay_live(path, decoded)
                self.assertEqual(live[:len(recorded)], [without_stamps(line) for line in recorded])

    def test_the_next_daemon_mends_what_was_left(self):
        d = self.recorder()
        sink, source = d.sink("intent"), d.source()
        for message in frames(0, 1000):
            source.send_multipart(message)
        received = self.receive(sink, 100)
        d.process.kill()
        self.forget(d)
        [path] = self.files()
        again = self.recorder()
        self.assertEqual(self.recorded(path)[:100], received)
        self.assertIn(b"nothing was left", trajctl("record", "recover", path))
        self.assertEqual(len(self.files()), 2)
        # A tape that is in use is left alone.
        self.assertIn(b"nothing was left", trajctl("record", "recover", self.files()[1]))
        self.feed(again, frames(0, 5), 5)

    def left_behind(self, limit, count):
        """A daemon is killed whose disk has refused what came last: the tape that holds it, and the intents
        that were published.  Parts are at most `limit` bytes."""
        d = self.recorder()
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        sink, source = d.sink("intent"), d.source()
        lines = []
        for first in range(0, count, 250):
            lines += self.feed(d, frames(first, 250), 250, sink, source)
        wait_for(lambda: d.status()["recording"]["waiting"] == 0)
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        lines += self.feed(d, frames(count, 20), 20, sink, source)
        wait_for(lambda: d.status()["recording"]["failing"])
        [tape] = glob.glob(f"/dev/shm/trajd-{d.process.pid}-*.tape")
        self.addCleanup(lambda: os.path.exists(tape) and os.unlink(tape))
        d.process.kill()
        self.forget(d)
        return tape, lines

    def recover(self, path):
        """Status and what was said."""
        done = subprocess.run([TRAJCTL, "record", "recover", path], capture_output=True, timeout=60)
        return done.returncode, (done.stdout + done.stderr).decode()

    def test_a_tape_of_another_is_not_believed(self):
        tape, lines = self.left_behind(resource.RLIM_INFINITY, 250)
        [path] = self.files()
        size = os.path.getsize(path)
        ways = [lambda: os.chmod(tape, 0o644), lambda: os.chmod(tape, 0o620)]
        if os.geteuid() == 0:
            ways.append(lambda: (os.chmod(tape, 0o600), os.chown(tape, 65534, 65534)))
        for way in ways:
            way()
            status, said = self.recover(path)
            self.assertEqual(status, 1, said)
            self.assertIn(f"{tape} is not this user's alone", said)
        again = self.recorder()
        self.assertIn(f"{tape} is not this user's alone", again.said())
        self.assertEqual(os.path.getsize(path), size)
        self.assertTrue(os.path.exists(tape))
        # It is the owner and the mode that it was refused for.
        os.chmod(tape, 0o600)
        if os.geteuid() == 0:
            os.chown(tape, os.geteuid(), os.getegid())
        self.assertEqual(self.recover(path)[0], 0)
        self.assertFalse(os.path.exists(tape))
        self.assertEqual(self.recorded(path), lines)

    def test_what_is_a_tape_by_name_alone_keeps_nobody_waiting(self):
        [pipe, short] = [f"/dev/shm/trajd-{os.getpid()}-{n}.tape" for n in range(2)]
        self.addCleanup(lambda: [os.unlink(name) for name in (pipe, short)])
        os.mkfifo(pipe, 0o600)
        with open(short, "wb") as file:
            file.write(b"TJDTAPE1")
        d = self.recorder()
        self.feed(d, frames(0, 5), 5)
        self.stop(d)
        self.assertTrue(os.path.exists(pipe) and os.path.exists(short))

    def test_a_tape_whose_recording_is_gone_is_kept(self):
        tape, lines = self.left_behind(resource.RLIM_INFINITY, 250)
        [path] = self.files()
        os.rename(path, self.path("aside"))
        again = self.recorder()
        self.assertIn("no part of " + path[:-len(".0001.rec")], again.said())
        self.assertIn(tape, again.said())
        self.stop(again)
        os.rename(self.path("aside"), path)
        self.assertEqual(self.recover(path)[0], 0)
        self.assertEqual(self.recorded(path), lines)
        self.assertFalse(os.path.exists(tape))

    def test_the_last_part_is_added_to_where_one_before_it_is_missing(self):
        tape, lines = self.left_behind(200000, 750)
        files = self.files()
        self.assertGreaterEqual(len(files), 3)
        os.unlink(files[1])
        sizes = [os.path.getsize(name) for name in (files[0], files[-1])]
        status, said = self.recover(files[0])
        self.assertEqual(status, 0, said)
        self.assertIn(files[-1], said)
        self.assertEqual(os.path.getsize(files[0]), sizes[0])
        self.assertGreater(os.path.getsize(files[-1]), sizes[1])
        self.assertEqual(self.recorded(files[-1])[-20:], lines[-20:])
        self.assertEqual(verify(files[-1])["replay"]["differ"], 0)
        self.assertFalse(os.path.exists(tape))

    def test_a_last_part_without_its_header_holds_nothing(self):
        """As if the daemon had been killed between the two."""
        tape, lines = self.left_behind(200000, 750)
        files = self.files()
        head = self.path("head")
        with open(files[-1], "rb") as file, open(head, "wb") as copy:
            copy.write(file.read(30))
        for there in ("/dev/null", head):
            next_part = f"{files[0][:-len('.0001.rec')]}.{len(files) + 1:04}.rec"
            shutil.copyfile(there, next_part)
            self.assertEqual(verify(files[0])["replay"]["equal"], 750)
            self.assertEqual(self.recorded(files[0]), lines[:750])
        self.assertEqual(self.recover(files[0])[0], 0)
        self.assertFalse(os.path.exists(next_part) or os.path.exists(tape))
        self.assertEqual(self.recorded(files[0]), lines)

    def test_what_stands_behind_a_damaged_length_is_kept(self):
        """Half a record is cut off where the last whole one ends, not where the first damaged one begins."""
        tape, lines = self.left_behind(resource.RLIM_INFINITY, 250)
        [path] = self.files()
        with open(path, "rb") as file:
            image = bytearray(file.read())
        at, size = [(at, size) for at, size, kind in records(image) if kind == INTENT][99]
        image[at + 6] = 0x7f  # the length reaches beyond the file
        with open(path, "wb") as file:
            file.write(image + image[at:at + size // 2])
        status, said = self.recover(path)
        self.assertEqual(status, 0, said)
        self.assertIn(f"{size // 2} bytes of half a record cut off", said)
        self.assertFalse(os.path.exists(tape))
        self.assertEqual(self.recorded(path), lines[:99] + lines[100:])
        found = verify(path, 1)
        self.assertEqual((found["damage"]["broken_bytes"], found["torn_bytes"]), (size, 0))

    def test_a_disk_that_refuses_disturbs_nothing(self):
        expected, _ = self.run_through(frames(0, 3000), 3000)
        d = self.recorder(buffer_mb=1)
        sink, source = d.sink("intent"), d.source()
        lines = []
        for first in range(0, 500, 50):
            lines += self.feed(d, frames(first, 50), 50, sink, source)
            wait_for(lambda: d.status()["recording"]["waiting"] == 0)
        # No file may grow any more, and no new one either.
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        for first in range(500, 2500, 500):
            lines += self.feed(d, frames(first, 500), 500, sink, source)
        wait_for(lambda: d.status()["recording"]["failing"])
        recording = d.status()["recording"]
        self.assertIn("too large", recording["error"])
        wait_for(lambda: d.status()["recording"]["lost"]["disk"] > 0)
        self.assertTrue(trajctl("status", "--control", d.endpoints["control"]).find(b"REFUSES") > 0)
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, unlimited)
        wait_for(lambda: not d.status()["recording"]["failing"])
        lines += self.feed(d, frames(2500, 500), 500, sink, source)
        recording = d.status()["recording"]
        self.stop(d)
        self.assertEqual([bare(json.loads(line)) for line in lines], expected)
        found = verify(self.files()[0])
        self.assertEqual(found["lost"]["disk"] + found["lost"]["buffer"],
                         recording["lost"]["disk"] + recording["lost"]["buffer"])
        self.assertGreater(found["lost"]["inputs"], 0)
        self.assertGreaterEqual(found["replay"]["equal"], 500)
        self.assertEqual(found["replay"]["differ"], 0)
        self.assertTrue(found["ended"])

    def test_a_disk_that_does_not_keep_what_it_took_begins_a_new_part(self):
        """What a failed flush was to keep may be gone, and no later flush says so again."""
        library = os.environ.get("TRAJ_SYNC_FAILS_LIBRARY")
        if not library:
            self.skipTest("TRAJ_SYNC_FAILS_LIBRARY is not set")
        d = self.recorder(environment={"LD_PRELOAD": library, "TRAJ_SYNC_FAILS": "2"}, sync_s=0.05)
        sink, source = d.sink("intent"), d.source()
        lines = []
        for first in range(0, 400, 20):
            lines += self.feed(d, frames(first, 20), 20, sink, source)
            time.sleep(0.02)
        wait_for(lambda: "Input/output error" in (d.status()["recording"]["error"] or ""))
        wait_for(lambda: not d.status()["recording"]["failing"])
        lines += self.feed(d, frames(400, 50), 50, sink, source)
        wait_for(lambda: d.status()["recording"]["waiting"] == 0)
        self.assertEqual(d.status()["recording"]["part"], 2)
        self.stop(d)
        self.assertEqual(self.recorded(self.files()[0]), lines)
        self.assertEqual(verify(self.files()[0])["replay"]["equal"], 450)

    def test_a_limit_on_the_size_of_files_begins_a_new_part(self):
        d = self.recorder()
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (200000, resource.RLIM_INFINITY))
        sink, source = d.sink("intent"), d.source()
        for first in range(0, 1500, 250):
            self.feed(d, frames(first, 250), 250, sink, source)
        self.stop(d)
        self.assertGreater(len(self.files()), 3)
        found = verify(self.files()[0])
        self.assertEqual((found["replay"]["equal"], found["lost"]["disk"]), (1500, 0))

    def head_of_a_part(self):
        """Bytes that every part but the first begins with."""
        d = self.recorder("head")
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
        self.feed(d, frames(0, 50), 50)
        self.stop(d)
        with open(self.files("head")[1], "rb") as file:
            image = file.read()
        return next(at for at, _, kind in records(image) if kind in (FRAME, INTENT))

    def limited(self, limit, count):
        """A recording of which no file may be longer."""
        d = self.recorder(start=False)
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        d.must(cmd="record", action="start")
        self.feed(d, frames(0, count), count)
        wait_for(lambda: d.status()["recording"]["waiting"] == 0)
        state = d.status()["recording"]
        d.must(cmd="record", action="stop")
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.stop(d)
        self.assertIn("too large", state["error"])
        return state

    def test_a_limit_below_the_size_of_any_message_makes_no_end_of_parts(self):
        # What tells of a loss and the end of the recording fit, and no frame does.
        state = self.limited(self.head_of_a_part() + LOSS + RECORD, 30)
        self.assertEqual((state["lost"]["disk"], state["part"]), (60, 2))
        self.assertEqual(len(self.files()), 2)
        found = verify(self.files()[0])
        self.assertEqual((found["lost"]["disk"], found["lost"]["inputs"]), (60, 30))
        self.assertTrue(found["ended"])

    def test_a_limit_below_the_size_of_an_intent_loses_intents_alone(self):
        room = self.head_of_a_part() + LOSS + RECORD + max(len(body) for _, body in frames(0, 30))
        state = self.limited(room, 30)
        self.assertEqual(state["lost"]["disk"], 30)
        self.assertLessEqual(len(self.files()), 32)
        found = verify(self.files()[0])
        self.assertEqual((found["lost"]["disk"], found["lost"]["inputs"]), (30, 0))
        self.assertEqual((found["records"]["frame"], found["replay"]["absent"]), (30, 30))

    def test_a_small_disk_that_is_full(self):
        small = self.path("small")
        os.mkdir(small)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", small],
                                 capture_output=True).returncode == 0
        if not mounted:
            self.skipTest("no small disk can be mounted here")
        try:
            expected, _ = self.run_through(frames(0, 3000), 3000)
            d = self.recorder("small", buffer_mb=1)
            sink, source = d.sink("intent"), d.source()
            lines = []
            for first in range(0, 3000, 500):
                lines += self.feed(d, frames(first, 500), 500, sink, source)
            self.assertEqual([bare(json.loads(line)) for line in lines], expected)
            wait_for(lambda: d.status()["recording"]["failing"])
            self.assertIn("No space left", d.status()["recording"]["error"])
            self.stop(d)
            found = verify(self.files("small")[0])
            self.assertGreater(found["replay"]["equal"], 100)
            self.assertEqual((found["replay"]["differ"], found["damage"]["broken_bytes"]), (0, 0))
        finally:
            subprocess.run(["umount", small], check=True)


if __name__ == "__main__":
    daemon.main()
