# SPDX-License-Identifier: GPL-3.0-or-later
"""Spinning, or being awake when a frame is due, instead of sleeping; and the privileges of real time: asked for, reported, and no more than a
wish where the system refuses them.

Environment: TRAJ_UNPRIVILEGED (the library of unprivileged.c, where there is one)."""
import os
import signal
import subprocess
import sys
import tempfile
import time
from unittest import mock

import daemon
from daemon import bare, event, frame, zmq

FRAMES = 200


def messages():
    return [(b"event", event("session", run="r", marks=False))] + \
        [(b"frame", frame(seq)) for seq in range(FRAMES)]


def trial(t):
    """A trial that begins at t, and what is told of it."""
    return [(b"event", body) for body in (
        event("trial_start", t=t), event("target_prior", t=t + daemon.BIN, prob=[1, 2, 3, 4]),
        event("trial_stop", t=t + 20 * daemon.BIN))]


def threads(d):
    """The daemon's threads by name."""
    folder = f"/proc/{d.process.pid}/task"
    named = {}
    for tid in os.listdir(folder):
        with open(f"{folder}/{tid}/comm") as file:
            named[file.read().strip()] = int(tid)
    return named


def scheduler(tid):
    """A thread's policy, without the flag that its children shall not have it."""
    return os.sched_getscheduler(tid) & ~os.SCHED_RESET_ON_FORK


# As trajd.service has it: without the privilege, within a limit.
WITHOUT = "setpriv --bounding-set -sys_nice --inh-caps -sys_nice"
LIMIT = "prlimit --rtprio=2"

# Processors that no machine of ours has.
ABSENT = {"cpu": 1000, "io_cpu": 1001}


def runs(words):
    """Whether `true` can be run behind these words, and what is said if not."""
    try:
        done = subprocess.run([*words.split(), "true"], capture_output=True, text=True)
    except FileNotFoundError as missing:
        return False, str(missing)
    return done.returncode == 0, done.stderr.strip()


class RealTime(daemon.DaemonTest):
    def test_spinning_decodes_the_same(self):
        blocking, _ = self.run_through(messages(), FRAMES)
        spinning, d = self.run_through(messages(), FRAMES, config={"receive": "spin"})
        self.assertEqual(blocking, spinning)
        self.assertEqual(d.status()["realtime"]["receive"], "spin")

    def test_spinning_hears_commands_and_signals_and_knows_silence(self):
        d = self.start(config={"receive": "spin", "stale_ms": 20})
        sink, source = d.sink("intent", "stale"), d.source()
        source.send_multipart([b"frame", frame(0)])
        self.assertEqual([topic for topic, _ in d.receive(sink, 2)], ["intent", "stale"])
        d.must(cmd="pause", on=True)
        d.write_config({"receive": "block", "status_ms": 0})
        d.signal(signal.SIGHUP)
        daemon.wait_for(lambda: d.status()["realtime"]["receive"] == "block")

    def test_expecting_decodes_the_same(self):
        """What is done ahead of a frame, at whatever time, is never seen; with events that undo it."""
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "course.tjm")
            subprocess.run([os.environ["TRAJCTL"], "bench", "--write-model", model, "--channels",
                            str(daemon.UNITS), "--targets", str(daemon.TARGETS), "--bin-ms", "20"], check=True)
            told = [(b"event", event("session", run="r", marks=True))]
            for seq in range(FRAMES):
                if seq % 40 == 10:
                    told += trial(seq * daemon.BIN)
                if seq % 67 != 66:
                    told.append((b"frame", frame(seq)))
            count = sum(topic == b"frame" for topic, _ in told)
            at_once, _ = self.run_through(told, count, model=model)
            paced, d = self.run_through(told, count, config={"receive": "expect"}, model=model,
                                        pace=daemon.BIN)
        self.assertEqual(at_once, paced)
        self.assertEqual(d.status()["realtime"]["receive"], "expect")

    def test_expecting_hears_commands_and_knows_silence(self):
        d = self.start(config={"receive": "expect", "stale_ms": 100})
        sink, source = d.sink("intent", "stale"), d.source()
        for seq in range(20):
            source.send_multipart([b"frame", frame(seq)])
            time.sleep(daemon.BIN)
        self.assertEqual([topic for topic, _ in d.receive(sink, 21)], ["intent"] * 20 + ["stale"])
        d.must(cmd="pause", on=True)

    def test_what_is_not_asked_is_not_done(self):
        d = self.start()
        realtime = d.status()["realtime"]
        self.assertEqual(set(realtime.values()), {"block", "not asked"})
        self.assertEqual(scheduler(d.process.pid), os.SCHED_OTHER)

    def test_granted_or_refused_is_told_and_true(self):
        cpu = min(os.sched_getaffinity(0))
        d = self.start(config={"priority": 2, "cpu": cpu, "io_cpu": cpu, "lock_memory": True})
        told = d.status()["realtime"]
        print(told)
        for name in ("priority", "cpu", "io_cpu", "lock_memory"):
            self.assertIn(told[name], ("granted", "refused"))
            self.assertIn(f"{name} {told[name]}", d.said())
        self.assertEqual(told["cpu"], "granted")
        self.assertEqual(told["receive"], "block")  # for one processor alone
        self.assertEqual(os.sched_getaffinity(d.process.pid), {cpu})
        policy = os.SCHED_FIFO if told["priority"] == "granted" else os.SCHED_OTHER
        self.assertEqual(scheduler(d.process.pid), policy)
        others = threads(d)
        # The thread that talks to people stays an ordinary one, wherever the system wants it.
        self.assertEqual(scheduler(others["housekeeping"]), os.SCHED_OTHER)
        self.assertEqual(os.sched_getaffinity(others["housekeeping"]), os.sched_getaffinity(0))
        io = [tid for name, tid in others.items() if "IO" in name]
        self.assertTrue(io, others)
        self.assertEqual({scheduler(tid) for tid in io}, {policy})
        self.assertEqual(os.sched_getaffinity(io[0]), {cpu})
        with open(f"/proc/{d.process.pid}/status") as file:
            locked = next(int(line.split()[1]) for line in file if line.startswith("VmLck"))
        with open(f"/proc/{d.process.pid}/maps") as file:
            sanitized = "san.so" in file.read()  # which lets no program lock its memory, and says it did
        self.assertEqual(locked > 0, told["lock_memory"] == "granted" and not sanitized)
        sink, source = d.sink("intent"), d.source()
        for topic, body in messages():
            source.send_multipart([topic, body])
        plain, _ = self.run_through(messages(), FRAMES)
        self.assertEqual([bare(i) for i in d.intents(sink, FRAMES)], plain)

    def test_processors_are_kept_awake_while_it_runs(self):
        """What the kernel holds to is what is asked for, if it was granted, and no longer than the daemon runs."""
        def held():
            with open("/dev/cpu_dma_latency", "rb") as device:
                return int.from_bytes(device.read(4), sys.byteorder, signed=True)

        d = self.start(config={"wake_us": 7})
        told = d.status()["realtime"]["wake_us"]
        self.assertIn(f"wake_us {told}", d.said())
        if told == "refused":
            self.skipTest("the system keeps its processors' sleep to itself: " + d.said())
        self.assertEqual(told, "granted")
        during = held()
        self.assertLessEqual(during, 7)
        d.signal(signal.SIGTERM)
        d.wait()
        if during == 7:  # nobody else asks for less
            self.assertGreater(held(), 7)

    def started_behind(self, words, **options):
        """A daemon whose command follows these words, or the test is skipped."""
        able, said = runs(words)
        if not able:
            self.skipTest(f"`{words}` cannot be run here: {said}")
        words += " " + os.environ.get("TRAJD_PREFIX", "")
        with mock.patch.dict(os.environ, TRAJD_PREFIX=words):
            return self.start(**options)

    def priority(self, d):
        """What is told of the priority, which must be true of decoding and of libzmq's threads."""
        told = d.status()["realtime"]["priority"]
        policy = os.SCHED_FIFO if told == "granted" else os.SCHED_OTHER
        self.assertIn(f"priority {told}", d.said())
        found = {name: scheduler(tid) for name, tid in threads(d).items() if "ZMQbg" in name}
        self.assertGreater(len(found), 1)
        found["decode"] = scheduler(d.process.pid)
        self.assertEqual(set(found.values()), {policy}, (told, found))
        self.assertEqual(scheduler(threads(d)["housekeeping"]), os.SCHED_OTHER)
        return told

    def test_a_priority_within_a_limit(self):
        words = f"{LIMIT} {WITHOUT}"
        able, said = runs(f"{words} chrt --fifo 2")
        if not able:
            self.skipTest(f"no limit can be raised here, or it is not heeded: {said}")
        d = self.started_behind(words, config={"priority": 2})
        self.assertEqual(self.priority(d), "granted")

    def test_a_priority_without_a_limit(self):
        d = self.started_behind(f"prlimit --rtprio=0 {WITHOUT}", config={"priority": 2})
        self.assertEqual(self.priority(d), "refused")
        self.assertEqual(d.status()["realtime"]["receive"], "block")

    def test_a_flag_that_nobody_may_clear(self):
        """The same as within a limit, for machines that let nobody raise one."""
        library = os.environ.get("TRAJ_UNPRIVILEGED")
        if not library:
            self.skipTest("TRAJ_UNPRIVILEGED is not set")
        if not runs("chrt --fifo 2")[0]:
            self.skipTest("the system grants no priority here")
        d = self.start(config={"priority": 2}, environment={"LD_PRELOAD": library})
        self.assertEqual(self.priority(d), "granted")

    def test_who_has_a_priority_expects_frames(self):
        d = self.start(config={"priority": 2})
        told = d.status()["realtime"]
        gains = told["priority"] == "granted" and len(os.sched_getaffinity(0)) > 1
        self.assertEqual(told["receive"], "expect" if gains else "block")
        d = self.start(config={"priority": 2, "receive": "block"})
        self.assertEqual(d.status()["realtime"]["receive"], "block")

    def granted(self, d, **others):
        """The daemon's real time, given a priority and besides what is said."""
        told = d.status()["realtime"]
        if told["priority"] != "granted":
            self.skipTest("the system grants no priority here")
        self.assertEqual({name: told[name] for name in others}, others)
        return told

    def test_two_processors_that_were_refused_are_none(self):
        cpu = min(os.sched_getaffinity(0))
        d = self.started_behind(f"taskset -c {cpu}", config={"priority": 2, **ABSENT})
        self.granted(d, cpu="refused", io_cpu="refused", receive="block")

    def test_no_spinning_at_a_priority_without_processors(self):
        """Nothing else would run where such a thread happens to be."""
        gains = "expect" if len(os.sched_getaffinity(0)) > 1 else "block"
        words = f'receive is "{gains}" instead of "spin"'
        d = self.start(config={"priority": 2, "receive": "spin", **ABSENT})
        self.granted(d, cpu="refused", io_cpu="refused", receive=gains)
        self.assertIn(words, d.said())
        # Nor by a configuration that is read later, since processors are given at the start alone.
        d = self.start(config={"priority": 2})
        self.granted(d, receive=gains)
        d.write_config({**d.config, "cpu": 0, "io_cpu": 1, "receive": "spin"})
        d.signal(signal.SIGHUP)
        daemon.wait_for(lambda: "reloaded" in d.said())
        self.granted(d, cpu="not asked", io_cpu="not asked", receive=gains)
        self.assertIn(words, d.said())

    def test_spinning_at_a_priority_with_processors(self):
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            self.skipTest("this machine has one processor")
        d = self.start(config={"priority": 2, "cpu": cpus[0], "io_cpu": cpus[1], "receive": "spin"})
        self.granted(d, cpu="granted", io_cpu="granted", receive="spin")
        self.assertNotIn("instead of", d.said())

    def test_a_refusal_is_not_the_end(self):
        absent = 1023
        if absent in os.sched_getaffinity(0):
            self.skipTest("this machine has 1024 processors")
        d = self.start(config={"cpu": absent, "io_cpu": absent})
        told = d.status()["realtime"]
        self.assertEqual((told["cpu"], told["io_cpu"]), ("refused", "refused"))
        self.assertIn("cpu refused by the system, going on without", d.said())
        sink, source = d.sink("intent"), d.source()
        source.send_multipart([b"frame", frame(0)])
        d.intents(sink, 1)


if __name__ == "__main__":
    assert zmq
    daemon.main()
