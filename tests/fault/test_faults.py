# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of the daemon under faults: what they leave behind, and what is published meanwhile."""
import glob
import json
import os
import signal
import subprocess
import tempfile
import time

from faults import Rig, Watch, adds_up
import daemon
from daemon import bare, event, zmq

SEED = int(os.environ.get("TRAJ_SEED", "0")) or int(time.time())
# Frames a test; more make it longer and find more.
TURNS = int(os.environ.get("TRAJ_TURNS", "700"))
LIMITS = {"speed_limit": 20.0, "workspace": {"low": [-4.0, -3.0], "high": [5.0, 6.0]}}


class OfFamily(daemon.DaemonTest):
    """Daemons and rigs of one of the families of make_model.c."""

    family, units, targets = "mixture", daemon.UNITS, daemon.TARGETS

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="trajd-faults-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        print(f"seed {SEED}", end=" ", flush=True)

    def model(self, seed=1, family=None):
        family = family or self.family
        path = os.path.join(self.folder, f"{family}{seed}.tjm")
        if not os.path.exists(path):
            daemon.make_model(path, self.units, self.targets, seed, family=family)
        return path

    def start(self, config=None, **options):
        return super().start(config=config, model=self.model(), **options)

    def rig(self, number=0):
        return Rig(SEED + number, units=self.units, targets=self.targets)

    def record(self, *words):
        done = subprocess.run([os.environ["TRAJCTL"], "record", *words], capture_output=True, text=True,
                              timeout=daemon.PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout


class Faults(OfFamily):

    def send(self, source, messages):
        for message in messages:
            source.send_multipart(message)

    def settled(self, d, rig):
        """The status once all that the rig made has come, and not a message more."""
        status = adds_up(d.settle(frames=rig.frames, events=rig.events))
        self.assertEqual(status["frames"]["received"], rig.frames)
        self.assertEqual(status["events"]["received"], rig.events)
        return status

    def collect(self, d, sink, watch, count):
        while watch.intents < count:
            if not sink.poll(daemon.PATIENCE * 1000):
                raise AssertionError(f"{watch.intents} of {count} intents: {d.said()}")
            watch.take(*sink.recv_multipart())

    def subscribers_that_misbehave(self, d, rig):
        """One that never reads; and, now and then, one that vanishes."""
        for _ in range(2):
            d.socket(zmq.SUB, "intents", RCVHWM=1).subscribe(b"")
        while True:
            if rig.chance.random() < 0.1:
                gone = d.socket(zmq.SUB, "intents")
                gone.subscribe(b"intent")
                gone.close(0)
            yield

    def test_faults_leave_no_trace(self):
        """A daemon that gets only the frames that were decoded says the same, to the byte."""
        rig, watch = self.rig(), Watch()
        d = self.start(config={"send_hwm": 200000})
        sink, source = d.sink("intent"), d.source()
        vanish = self.subscribers_that_misbehave(d, rig)
        sessions = []
        for turn in range(TURNS):
            messages = rig.turn()
            sessions += [m for m in messages if len(m) == 2 and b'"session"' in m[1]]
            self.send(source, messages)
            next(vanish)
            if turn % 100 == 50:
                d.signal(signal.SIGSTOP)
                self.send(source, rig.count([rig.frame() for _ in range(5)]))
                time.sleep(0.05)
                d.signal(signal.SIGCONT)
            watch.drain(sink)
        status = self.settled(d, rig)
        self.collect(d, sink, watch, status["frames"]["decoded"])
        self.assertGreater(status["frames"]["late"], 0)
        self.assertGreater(status["frames"]["duplicate"], 0)
        self.assertGreater(status["frames"]["gaps"], 0)
        self.assertGreater(status["frames"]["invalid"], 0)
        twin = self.start()
        twin_sink, twin_source, twin_watch = twin.sink("intent"), twin.source(), Watch()
        run = 0
        for at, seq in watch.decoded:
            while run < at:
                twin_source.send_multipart(sessions[run])
                run += 1
            twin_source.send_multipart([b"frame", rig.sent[at, seq]])
        self.collect(twin, twin_sink, twin_watch, len(watch.decoded))
        self.assertEqual(twin_watch.bodies, watch.bodies)

    def test_no_command_exceeds_a_limit_or_is_wrongly_valid(self):
        rig, watch = self.rig(1), Watch(LIMITS["speed_limit"], LIMITS["workspace"]["low"],
                                        LIMITS["workspace"]["high"])
        d = self.start(config={**LIMITS, "stale_ms": 20, "gap_reset_s": 0.2})
        other = "mixture" if self.family == "course" else "course"
        models = [d.model, self.model(5), self.model(family=other)]
        sink, source = d.sink("intent", "stale"), d.source()
        vanish = self.subscribers_that_misbehave(d, rig)
        paused = False
        for turn in range(TURNS):
            self.send(source, rig.turn())
            next(vanish)
            what = rig.chance.random()
            if what < 0.1:
                self.send(source, rig.any_event())
            elif what < 0.13:
                paused = not paused
                watch.pause(d.must(cmd="pause", on=paused), paused)
                self.assertLessEqual(watch.asked[-1][0], rig.frames)
            elif what < 0.16:
                d.must(cmd="model", action="load", path=rig.chance.choice(models))
            elif what < 0.17:
                d.must(cmd="reset")
            elif what < 0.19:
                # Nothing is told of any unit, for longer than a gap may last.
                self.send(source, rig.count([rig.blind() for _ in range(15)]))
            elif what < 0.2:
                d.signal(signal.SIGHUP)
            elif what < 0.21:
                d.signal(signal.SIGSTOP)
                time.sleep(0.05)
                d.signal(signal.SIGCONT)
            elif what < 0.22:
                time.sleep(0.05)
            watch.drain(sink)
        watch.pause(d.must(cmd="pause", on=False), False)
        status = self.settled(d, rig)
        self.collect(d, sink, watch, status["frames"]["decoded"])
        watch.pauses_held()
        for kind in ("effector", "targets", "estimate"):
            self.assertGreater(status["events"]["accepted"][kind], 0, kind)
        if self.family == "course":
            self.assertTrue(any(name.startswith("moved") for name in watch.sets), watch.sets)
        self.assertEqual(watch.limited, status["frames"]["limited"])
        self.assertEqual(watch.paused, status["frames"]["paused"])
        for flag in ("gap", "reset", "limited", "paused", "model", "unobserved"):
            self.assertGreater(watch.flags.get(flag, 0), 0, flag)
        self.assertGreater(watch.stale, 0)
        self.assertGreater(watch.valid, 0)

    def test_a_model_swapped_again_and_again_under_load(self):
        rig, watch = self.rig(2), Watch()
        d = self.start()
        models = [d.model, self.model(5)]
        sink, source = d.sink("intent"), d.source()
        swaps = []
        for turn in range(40):
            self.send(source, rig.count([rig.frame() for _ in range(25)]))
            reply = d.must(cmd="model", action="load", path=models[turn % 2]) if turn % 5 else \
                d.must(cmd="model", action="rollback") if turn else None
            if reply:
                swaps.append((reply["frame"], reply["model"]["digest"][:12]))
        status = self.settled(d, rig)
        self.assertEqual(status["frames"]["decoded"], 1000)
        self.assertEqual(status["frames"]["gaps"], 0)
        self.collect(d, sink, watch, 1000)
        first = d.must(cmd="model", action="show")["former"]
        self.assertIsNotNone(first)
        # Every intent is of the model that was in force, and the first under each says so.
        said = [(b'"flags":["model"]' in body, body.rsplit(b'"model":"', 1)[1][:12].decode())
                for body in watch.bodies]
        changes = [at for at, _ in swaps if at < 1000]
        self.assertEqual([i for i, (flag, _) in enumerate(said) if flag], sorted(set(changes)))
        for i, (_, model) in enumerate(said):
            before = [digest for at, digest in swaps if at <= i]
            if before:
                self.assertEqual(model, before[-1], i)

    def test_frames_that_are_refused_are_silence(self):
        """A rig whose number of units has changed: nothing is decoded, and whoever moves must stop."""
        d = self.start(config={"stale_ms": 60})
        sink, source, rig = d.sink("intent", "stale"), d.source(), self.rig()
        self.send(source, rig.count([rig.frame()]))
        self.assertTrue(d.intents(sink, 1)[0]["valid"])
        give_up = time.monotonic() + daemon.PATIENCE
        while not sink.poll(5):
            self.send(source, rig.count(rig.units_change()))
            self.assertLess(time.monotonic(), give_up)
        self.assertEqual(d.receive(sink)[0][0], "stale")
        self.assertGreater(self.settled(d, rig)["frames"]["refused"]["units"], 0)

    def test_a_pause_outlasts_all_but_its_end(self):
        """Sessions, resets, models, a gap, and a configuration that is read again and says nothing of it."""
        d = self.start(config={"gap_reset_s": 0.2})
        sink, source, rig, watch = d.sink("intent"), d.source(), self.rig(4), Watch()

        def frames(what, count=5):
            self.send(source, rig.count([rig.frame() for _ in range(count)]))
            self.collect(d, sink, watch, rig.frames)
            self.assertEqual(watch.held[-count:], bytes([what]) * count)

        def read_again():
            before = d.said().count("reloaded: ")
            d.signal(signal.SIGHUP)
            daemon.wait_for(lambda: d.said().count("reloaded: ") > before)

        def skip():
            rig.t += 1.0

        frames(0)
        watch.pause(d.must(cmd="pause", on=True), True)
        for between in (lambda: self.send(source, rig.count(rig.restart())), lambda: d.must(cmd="reset"),
                        lambda: d.must(cmd="model", action="load", path=self.model(5)), read_again,
                        lambda: d.must(cmd="model", action="rollback"), skip,
                        lambda: d.must(cmd="trial", action="start")):
            frames(1)
            between()
            frames(1)
        watch.pause(d.must(cmd="pause", on=False), False)
        frames(0)
        watch.pauses_held()

    def test_a_paused_start_holds_the_output_until_asked(self):
        d = self.start(config={"paused": True})
        sink, source, rig = d.sink("intent"), d.source(), self.rig()
        self.send(source, [rig.frame() for _ in range(10)])
        held = d.intents(sink, 10)
        self.assertTrue(all(not i["valid"] and i["flags"] == ["paused"] and not any(i["velocity"])
                            for i in held))
        self.assertIs(d.status()["paused"], True)
        d.must(cmd="pause", on=False)
        self.send(source, [rig.frame()])
        self.assertTrue(d.intents(sink, 1)[0]["valid"])


class FaultsOfCourses(Faults):
    family = "course"


class FaultsOfSteered(Faults):
    family, units, targets = "steered", 3, 2


class Killed(OfFamily):
    """kill -9 while recording, with faults on."""

    def test_what_was_published_is_recorded_and_replays_to_the_byte(self):
        with tempfile.TemporaryDirectory(prefix="trajd-killed-") as folder:
            model, other = self.model(), self.model(2)
            d = self.start(config={"record": {"directory": folder, "sync_s": 0}, **LIMITS})
            rig, watch = self.rig(3), Watch()
            sink, source = d.sink("intent"), d.source()
            for turn in range(TURNS):
                for message in rig.turn() + (rig.any_event() if turn % 10 == 0 else []):
                    source.send_multipart(message)
                if turn % 100 == 30:
                    d.must(cmd="model", action="load", path=(other, model)[turn // 100 % 2])
                    d.must(cmd="pause", on=turn // 100 % 2 == 0)
                watch.drain(sink)
            # In the midst of it, wherever a slow machine is by now.
            while watch.intents < TURNS // 4:
                self.assertTrue(sink.poll(daemon.PATIENCE * 1000))
                watch.take(*sink.recv_multipart())
            d.process.kill()
            d.process.wait()
            time.sleep(0.1)
            watch.drain(sink)
            self.forget(d)
            [path] = glob.glob(os.path.join(folder, "*.rec"))
            self.record("recover", path)
            found = json.loads(self.record("verify", path, "--json"))
            self.assertEqual(found["replay"]["differ"] + found["replay"]["unknown"], 0, found)
            self.assertGreaterEqual(found["replay"]["equal"], watch.intents)
            self.assertLessEqual(found["records"]["frame"], rig.frames)
            recorded = [line.rsplit(',"stamps"', 1)[0].encode()
                        for line in self.record("show", path, "--kind", "intent", "--bodies").splitlines()]
            self.assertEqual(recorded[:watch.intents], watch.bodies)


class KilledOfCourses(Killed):
    family = "course"


class KilledOfSteered(Killed):
    family, units, targets = "steered", 3, 2


class Pauses(OfFamily):
    def test_events_of_a_long_pause_keep_no_mark_out_and_replay_to_the_byte(self):
        """Frames pause while the task goes on telling where its cursor is, and then marks a trial."""
        with tempfile.TemporaryDirectory(prefix="trajd-pause-") as folder:
            d = self.start(config={"record": {"directory": folder, "sync_s": 0}})
            sink, source = d.sink("intent"), d.source()
            source.send_multipart([b"event", event("session", run="pause", marks=True)])
            for seq in range(20):
                source.send_multipart([b"frame", daemon.frame(seq)])
            d.intents(sink, 20)
            for i in range(300):
                source.send_multipart([b"event", event("effector", t=0.4 + i * 0.002, position=[i * 0.01, 1])])
            for kind, t in (("trial_start", 0.9), ("go", 0.99)):
                source.send_multipart([b"event", event(kind, t=t)])
            events = d.settle(frames=20, events=303)["events"]
            self.assertEqual(sum(events["refused"].values()), 0, events)
            self.assertEqual(events["superseded"], 302 - 256)
            for seq in range(50, 80):
                source.send_multipart([b"frame", daemon.frame(seq)])
            self.assertEqual([i["frame"] for i in d.intents(sink, 30)], list(range(50, 80)))
            code, said = self.forget(d)
            self.assertEqual(code, 0, said)
            [path] = glob.glob(os.path.join(folder, "*.rec"))
            found = json.loads(self.record("verify", path, "--json"))
            self.assertEqual(found["replay"]["equal"], 50, found)
            self.assertEqual(found["replay"]["differ"] + found["replay"]["unknown"], 0, found)


if __name__ == "__main__":
    daemon.main()
