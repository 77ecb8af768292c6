# SPDX-License-Identifier: GPL-3.0-or-later
"""Between READY and STOPPING the decode thread allocates nothing, maps nothing, locks nothing, waits for
no other thread, opens and writes nothing, and has no major page fault: GSL, jansson and libc included,
libzmq counted apart.  Where memory is locked there is an end of minor faults too: after the first frames
none is due to more of them, at most the heap grows by a step for libzmq's blocks.  Where it is not, those
blocks lie in pages that are touched for the first time now and then.

Environment: TRAJ_WATCH (the library of watch.c), TRAJ_ALLOCATION_FRAMES (default 20000; the full test
is 300000, by TRAJ_ALLOCATION_FRAMES=300000 ctest --preset release -R trajd_allocation)."""
import json
import mmap
import os
import re
import resource
import socket
import subprocess
import sys
import time
import unittest

import daemon
from daemon import BIN, counts_of, event, frame, wait_for, zmq

FRAMES = int(os.environ.get("TRAJ_ALLOCATION_FRAMES", 20000))
COLUMNS = 7     # numbers by which recalibration moves a channel of the filter over courses
UNDER_WAY = 64  # frames that wait at most, so that no queue inside libzmq grows
WARM = 2000     # frames after which no page is new to the decode thread
HEAP_STEP = 33  # pages by which libc makes the heap grow
COLD_FAULTS, WARM_FAULTS = 8 * HEAP_STEP, 2 * HEAP_STEP  # minor ones, at most, until WARM and from then on
PARTS = 2       # of an intent: topic and body
EXPECTED = 100  # frames for which a daemon that expects them is awake before they come


class Watched:
    """A daemon with watch.c before every other library."""

    def __init__(self, test, model=None, add="", config=None, warm=WARM):
        # The folder is the daemon's, so the names are made by the test.
        test.watched += 1
        self.out = os.path.join(test.folder, f"seen{test.watched}")
        notify = os.path.join(test.folder, f"notify{test.watched}")
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind(notify)
        self.notified.settimeout(daemon.PATIENCE)
        # Where the system refuses it there must be no major fault either, but for want of memory.
        config = {"lock_memory": True, **(config or {})}
        self.daemon = test.start(model=model, config=config, environment={
            "LD_PRELOAD": os.environ["TRAJ_WATCH"], "NOTIFY_SOCKET": notify,
            "TRAJ_WATCH_OUT": self.out, "TRAJ_WATCH_ADD": add, "TRAJ_WATCH_WARM": str(PARTS * warm),
            "TRAJ_WATCH_FILE": os.path.join(test.folder, "page")})
        test.assertEqual(self.notified.recv(64), b"READY=1")
        self.test = test

    def stop(self):
        """What was seen."""
        status = self.daemon.status()
        code, said = self.test.forget(self.daemon)
        self.test.assertEqual(code, 0, said)
        self.test.assertEqual(self.notified.recv(64), b"STOPPING=1")
        self.notified.close()
        with open(self.out) as file:
            seen = json.load(file)
        seen["published"] = status["published"]
        seen["locked"] = status["realtime"]["lock_memory"] == "granted"
        print(json.dumps(seen), file=sys.stderr)
        return seen


def trial(k, start):
    """Events of trial number k, which begins at frame `start`."""
    t = start * BIN
    return [event("trial_start", t=t),
            event("target_prior", t=t, prob=[1, 2, 3, 4] if k % 2 else [4, 3, 2, 1]),
            event("gaze", t=t + BIN, position=[10, k % 7], cov=[100, 0, 0, 100]),
            event("targets", t=t + 2 * BIN, set=f"set {k % 2}", id=["a", "b", "c", f"d{k % 2}"],
                  position=[[90, k % 7], [0, 90], [-90, 0], [0, -90 + k % 3]]),
            event("estimate", t=t + 3 * BIN, velocity=[k % 11, 1], cov=[100, 0, 0, 100]),
            event("estimate", t=t + 4 * BIN, loglik=[-1, -2, -3, -4]),
            event("go", t=t + 10 * BIN), event("trial_stop", t=t + 40 * BIN)]


class Allocation(daemon.DaemonTest):
    def setUp(self):
        super().setUp()
        self.watched = 0
        self.folder = subprocess.check_output(["mktemp", "-d"], text=True).strip()

    def tearDown(self):
        super().tearDown()
        subprocess.run(["rm", "-r", self.folder], check=True)

    def run_frames(self, d, count):
        """Frames with events of all kinds that mean something, gaps, refusals, commands and models; waits
        for the intents of all that decode."""
        sink, source = d.sink("intent"), d.source(SNDHWM=0)
        counts = [counts_of(seq) for seq in range(97)]
        source.send_multipart([b"event", event("session", run="a", marks=True)])
        sent = got = 0
        for seq in range(count):
            if seq % 50 == 0:
                for body in trial(seq // 50, seq):
                    source.send_multipart([b"event", body])
            if seq % 50 < 40:
                source.send_multipart([b"event", event("effector", t=seq * BIN, position=[seq % 50, 1])])
            if seq % 1000 == 500:
                source.send_multipart([b"frame", b"{"])
                source.send_multipart([b"frame", frame(seq, counts=[1, 2, 3])])
                source.send_multipart([b"neither", b"x"])
            if seq % 1000 == 700:
                continue  # a gap
            if seq % (count // 5) == 1:
                d.must(cmd="pause", on=seq % 2 == 0)
                d.must(cmd="trial", action="start")
                d.must(cmd="status")
                d.must(cmd="reset")
                d.must(cmd="model", action="load", path=d.model)
            source.send_multipart([b"frame", frame(seq, counts=counts[seq % 97])])
            sent += 1
            while sent - got > UNDER_WAY:
                d.receive(sink)
                got += 1
        while got < sent:
            d.receive(sink)
            got += 1
        return sent

    def assert_nothing(self, seen):
        for what in ("allocate", "map", "lock", "open", "write"):
            self.assertEqual(seen[what + "_own"], 0, seen)
        self.assertEqual(seen["major_faults"], 0)
        self.assertGreaterEqual(seen["minor_faults_warm"], 0, "too few frames for that to be known")
        if seen["locked"]:
            self.assertLessEqual(seen["minor_faults"] - seen["minor_faults_warm"], COLD_FAULTS)
            self.assertLessEqual(seen["minor_faults_warm"], WARM_FAULTS)
        else:
            self.assertLess(seen["minor_faults"], 256 + 0.01 * seen["published"])

    def check(self, model=None, config=None, topics=(), after=lambda d: 0):
        """topics: of further subscribers, whose messages hold so many more blocks of libzmq's.  after: what more is sent; it
        returns how many frames.  What was seen is returned."""
        watched = Watched(self, model, config=config)
        for topic in topics:
            watched.daemon.socket(daemon.zmq.SUB, "intents", RCVHWM=0).subscribe(topic)
        daemon.wait_for(lambda: watched.daemon.status()["subscribers"] == len(topics))
        sent = self.run_frames(watched.daemon, FRAMES) + after(watched.daemon)
        self.assert_identity(watched.daemon.status())
        seen = watched.stop()
        self.assertEqual(seen["published"], sent)
        self.assertGreater(seen["ranges"], 0)  # libzmq was recognised
        self.assert_nothing(seen)
        # libzmq: the content of each intent, and now and then a block of a queue.
        messages = sent * (1 + len(topics))
        self.assertAlmostEqual(seen["allocate_zmq"], messages, delta=0.02 * messages + 64)
        return seen

    def test_mixture(self):
        self.check()

    def test_intents_as_bytes_too(self):
        self.check(topics=["binary"])

    def course(self):
        return daemon.make_model(os.path.join(self.folder, "course.tjm"), family="course")

    def test_filter_over_courses(self):
        self.check(self.course())

    def test_recalibrating(self):
        """Tables are moved while it decodes: by the daemon itself, and by request."""
        model = self.course()
        watched = Watched(self, model, config={"recalibrate": {"interval_s": 1}})
        d = watched.daemon
        for way in (1, -1):
            d.must(cmd="recalibrate", action="apply", coefficients=[0.1 * way] * (COLUMNS * daemon.UNITS))
        sent = self.run_frames(d, FRAMES)
        d.must(cmd="recalibrate", action="apply", coefficients=None)
        self.assert_identity(d.status())
        seen = watched.stop()
        self.assertEqual(seen["published"], sent)
        self.assert_nothing(seen)

    def test_spinning(self):
        self.check(config={"receive": "spin"})

    def timer_is_set(self, pid):
        """Whether the daemon's timer is to wake it for a frame."""
        for name in os.listdir(f"/proc/{pid}/fdinfo"):
            try:
                with open(f"/proc/{pid}/fdinfo/{name}") as file:
                    said = re.search(r"^it_value: \((\d+), (\d+)\)$", file.read(), re.M)
            except FileNotFoundError:
                continue
            if said and any(map(int, said.groups())):
                return True
        return False

    def keep_time(self, d):
        """Frames by an absolute schedule, a bin apart, until the daemon has often set its timer for the next;
        how many."""
        sink, source = d.sink("intent"), d.source(SNDHWM=0)
        source.send_multipart([b"event", event("session", run="paced", marks=False)])
        began, seq, met = time.monotonic(), 0, 0
        while met < EXPECTED:
            due = began + seq * BIN
            time.sleep(max(0, due - 0.002 - time.monotonic()))
            while time.monotonic() < due:
                pass  # a sleep may end too late for the daemon to believe that there is a schedule
            source.send_multipart([b"frame", frame(seq, counts=counts_of(seq % 97))])
            d.receive(sink)
            met += self.timer_is_set(d.process.pid)
            seq += 1
            self.assertLess(time.monotonic() - began, 4 * daemon.PATIENCE, f"{met} of {seq} frames were expected")
        return seq

    def test_expecting(self):
        """Frames that keep no time, and then such as do: for these alone it gets ready before they come."""
        seen = self.check(config={"receive": "expect"}, after=self.keep_time)
        # A frame that comes before the timer runs out needs none, and a machine that does other work has such.
        self.assertGreater(seen["timers"], EXPECTED // 2)

    def test_recording(self):
        """What comes and goes is copied for the thread that writes it, into memory that is there."""
        directory = os.path.join(self.folder, "recordings")
        self.check(config={"record": {"directory": directory, "rotate_mb": 1, "sync_s": 0.1}})
        first = sorted(os.listdir(directory))[0]
        found = json.loads(subprocess.check_output([os.environ["TRAJCTL"], "record", "verify", "--json",
                                                    os.path.join(directory, first)]))
        self.assertTrue(found["well"], found)
        self.assertGreater(found["parts"], 1)

    def test_with_a_shadow(self):
        """Whoever looks on is told in memory that is there; what it says is sent like an intent."""
        model = daemon.make_model(os.path.join(self.folder, "shadow.tjm"), seed=2)
        watched = Watched(self, config={"shadow": model})
        sent = self.run_frames(watched.daemon, FRAMES)
        wait_for(lambda: watched.daemon.status()["shadow"]["decoded"] == sent)
        self.assert_identity(watched.daemon.status())
        self.assert_nothing(watched.stop())

    def put_back(self, what):
        """What a run of 300 frames shows where each message part that is sent costs one of these."""
        watched = Watched(self, add=what, warm=30)
        sent = self.run_frames(watched.daemon, 300)
        seen = watched.stop()
        with self.assertRaises(AssertionError):
            self.assert_nothing(seen)
        return sent, seen

    def test_what_is_put_back_is_seen(self):
        for what, call in (("malloc", "allocate"), ("map", "map"), ("lock", "lock"), ("rwlock", "lock"),
                           ("condition", "lock"), ("semaphore", "lock"), ("open", "open"),
                           ("openat", "open"), ("fopen", "open"), ("print", "write"), ("write", "write")):
            with self.subTest(what):
                sent, seen = self.put_back(what)
                # Two calls of zmq_send an intent.
                self.assertEqual(seen[call + "_own"], 2 * sent)
                self.assertRegex(seen["first_own"], re.escape(os.path.basename(os.environ["TRAJ_WATCH"])))

    def test_minor_faults_that_go_on_are_seen(self):
        """A page that is new with each message part."""
        _, seen = self.put_back("map")
        if not seen["locked"]:
            self.skipTest("where memory is not locked a page that nobody touches makes no fault")
        self.assertGreater(seen["minor_faults_warm"], WARM_FAULTS)

    def test_one_major_fault_is_seen(self):
        path = os.path.join(self.folder, "page")
        with open(path, "wb") as file:
            file.write(b"x" * mmap.PAGESIZE)
            file.flush()
            os.fsync(file.fileno())
            before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as page:
            self.assertEqual(page[0], ord("x"))
        if resource.getrusage(resource.RUSAGE_SELF).ru_majflt == before:
            self.skipTest("the files of this machine are never asked of a disk")
        _, seen = self.put_back("fault")
        self.assertEqual(seen["major_faults"], 1)


if __name__ == "__main__":
    assert zmq and time and unittest
    if not os.environ.get("TRAJ_WATCH"):
        print("TRAJ_WATCH is not set")
        sys.exit(77)
    daemon.main()
