# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a real trajd in a folder of its own and talks to it as rigs and clients do.

Environment: TRAJD (the daemon), MAKE_MODEL (make_model), TRAJD_PREFIX (words to put before the
daemon's command, such as a call of valgrind).
"""
import json
import math
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import zmq
except ImportError:
    print("python3-zmq is not installed: the daemon cannot be spoken to")
    sys.exit(77)

# Nothing here is asserted to be fast; this is how long a machine under load, or valgrind, may take.
PATIENCE = 60.0

UNITS = 12
TARGETS = 4
BIN = 0.02


def main():
    """Runs the tests of the calling file."""
    missing = [name for name in ("TRAJD", "MAKE_MODEL") if not os.environ.get(name)]
    if missing:
        print("not set: " + " ".join(missing))
        sys.exit(77)
    unittest.main(verbosity=2)


def make_model(path, units=UNITS, targets=TARGETS, seed=1, dim=2, family="mixture"):
    """family: one of those of make_model.c."""
    words = map(str, (units, targets, seed, dim, family))
    subprocess.run([os.environ["MAKE_MODEL"], path, *words], check=True)
    return path


def crc32c(data):
    """Written out once more, so that the tests do not lean on what they test."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(seq, t=None, counts=None, units=UNITS, dt=BIN):
    """One frame as bytes; its counts follow from seq alone."""
    if counts is None:
        counts = counts_of(seq, units)
    t = (seq + 1) * BIN if t is None else t
    return json.dumps({"type": "frame", "seq": seq, "t": t, "dt": dt, "counts": counts}).encode()


def counts_of(seq, units=UNITS):
    chance = random.Random(seq * 7919 + 3)
    return [int(chance.random() * 1.9 + 0.4 * (1 + math.cos(0.11 * seq + n))) for n in range(units)]


def event(kind, **fields):
    return json.dumps({"type": kind, **fields}).encode()


def bare(intent):
    """An intent without what depends on clock and load."""
    return {key: value for key, value in intent.items() if key != "stamps"}


class Daemon:
    """A running trajd; config is laid over short status and no stale messages."""

    def __init__(self, config=None, model=None, arguments=(), environment=None, wait=True,
                 endpoints=None, stderr=None):
        self.folder = tempfile.mkdtemp(prefix="trajd-")
        self.context = zmq.Context()
        self.sockets = []
        self.model = model or make_model(self.path("model.tjm"))
        self.endpoints = {name: "ipc://" + self.path(name) for name in
                          ("frames", "intents", "control")}
        self.endpoints.update(endpoints or {})
        self.config = {"status_ms": 0, "stale_ms": 0, **(config or {})}
        self.write_config(self.config)
        command = shlex.split(os.environ.get("TRAJD_PREFIX", "")) + [
            os.environ["TRAJD"], "--config", self.path("config.json")]
        if "model" not in self.config:
            command += ["--model", self.model]
        for name, endpoint in self.endpoints.items():
            command += ["--" + name, "@" + endpoint]
        self.log = open(self.path("log"), "w+")
        self.process = subprocess.Popen(command + list(arguments), stdout=self.log,
                                        stderr=self.log if stderr is None else stderr, env={**os.environ, **(environment or {})})
        self.control = None
        if wait:
            self.ask(cmd="ping")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write_config(self, config):
        with open(self.path("config.json"), "w") as file:
            json.dump(config, file)

    def said(self):
        with open(self.path("log")) as file:
            return file.read()

    def socket(self, kind, name, connect=True, **options):
        made = self.context.socket(kind)
        made.linger = 0
        for option, value in options.items():
            made.setsockopt(getattr(zmq, option), value)
        if connect:
            made.connect(self.endpoints[name])
        self.sockets.append(made)
        return made

    # --- requests -----------------------------------------------------------------------------

    def ask(self, **request):
        return self.ask_text(json.dumps(request))

    def ask_text(self, *parts):
        """One request; waits for the daemon to come up, and fails if it ends instead."""
        if self.control is None:
            self.control = self.socket(zmq.REQ, "control")
        self.control.send_multipart([p if isinstance(p, bytes) else p.encode() for p in parts])
        give_up = time.monotonic() + PATIENCE
        while not self.control.poll(50):
            # A reply that was sent before the end may come after it.
            if self.process.poll() is not None and not self.control.poll(50):
                raise AssertionError(f"trajd ended with {self.process.returncode}: {self.said()}")
            if time.monotonic() > give_up:
                raise AssertionError(f"no reply to {parts}: {self.said()}")
        return json.loads(self.control.recv())

    def must(self, **request):
        reply = self.ask(**request)
        if not reply["ok"]:
            raise AssertionError(f"{request}: {reply}")
        return reply

    def status(self):
        return self.must(cmd="status")

    # --- frames and intents ---------------------------------------------------------------------

    def source(self, **options):
        """A source that loses nothing, once the daemon has subscribed to it."""
        source = self.socket(zmq.XPUB, "frames", XPUB_NODROP=1, **options)
        topics = set()
        while not {b"\x01frame", b"\x01event"} <= topics:
            if not source.poll(PATIENCE * 1000):
                raise AssertionError("the daemon does not subscribe")
            topics.add(source.recv())
        return source

    def sink(self, *topics, **options):
        """A subscriber to topics, once the daemon knows of it."""
        before = self.status()["subscribers"]
        sink = self.socket(zmq.SUB, "intents", **{"RCVHWM": 0, **options})
        for topic in topics or ("intent",):
            sink.subscribe(topic)
        if not topics or "intent" in topics:
            wait_for(lambda: self.status()["subscribers"] > before)
        return sink

    def receive(self, sink, count=1, timeout=PATIENCE):
        """So many messages as (topic, object)."""
        messages = []
        for _ in range(count):
            if not sink.poll(timeout * 1000):
                raise AssertionError(f"{len(messages)} of {count} messages came: {self.said()}")
            topic, body = sink.recv_multipart()
            messages.append((topic.decode(), json.loads(body)))
        return messages

    def intents(self, sink, count):
        return [body for _, body in self.receive(sink, count)]

    def settle(self, frames=None, events=None):
        """Waits until so many frames and events have been received, as long as there are more."""
        seen, give_up = None, 0.0
        while True:
            status = self.status()
            now = (status["frames"]["received"], status["events"]["received"])
            if now[0] >= (frames or 0) and now[1] >= (events or 0):
                return status
            if now != seen:
                seen, give_up = now, time.monotonic() + PATIENCE
            if time.monotonic() > give_up:
                raise AssertionError(f"{now} frames and events instead of {(frames, events)}")
            time.sleep(0.01)

    def connection(self, connected):
        """Says of a socket whether its connection has ended since this was last asked, waiting for it for
        up to so many seconds; libzmq makes it anew by itself."""
        monitor = connected.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.sockets.append(monitor)
        return lambda timeout=PATIENCE: bool(monitor.poll(timeout * 1000)) and \
            bool(monitor.recv_multipart())

    # --- a disk that does not answer ----------------------------------------------------------------

    def stand_still(self):
        """SIGHUP while the configuration lies on such a disk, and what go_on is to be given.  The file is as it
        was for whoever reads it from then on."""
        path, ends = self.path("config.json"), []
        os.remove(path)
        os.mkfifo(path)

        def reads():
            try:
                ends.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return False
            return True
        self.signal(signal.SIGHUP)
        wait_for(reads)
        os.remove(path)
        self.write_config(self.config)
        return os.fdopen(ends[0], "w")

    def go_on(self, disk):
        """The disk answers."""
        with disk:
            json.dump(self.config, disk)

    # --- ends -------------------------------------------------------------------------------------

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        self.process.wait(PATIENCE)
        return self.process.returncode

    def close(self):
        """Ends the daemon if it still runs, and says how it ended: 0, or there was a leak or crash."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "killed, because it did not end"
        for socket in self.sockets:
            socket.close(0)
        self.context.term()
        self.log.close()
        said = self.said()
        shutil.rmtree(self.folder)
        return code, said


def wait_for(condition):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


def run_alone(*arguments, environment=None):
    """trajd with arguments that make it end by itself: (exit status, stdout, stderr)."""
    done = subprocess.run([os.environ["TRAJD"], *arguments], capture_output=True, text=True,
                          timeout=PATIENCE, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout, done.stderr


class DaemonTest(unittest.TestCase):
    """Daemons that a test starts end with it, and must end well."""

    def setUp(self):
        self.daemons = []

    def start(self, *arguments, **options):
        daemon = Daemon(*arguments, **options)
        self.daemons.append(daemon)
        return daemon

    def tearDown(self):
        for daemon in self.daemons:
            code, said = daemon.close()
            self.assertEqual(code, 0, said)

    def forget(self, daemon):
        """A daemon whose end the test looks at itself."""
        self.daemons.remove(daemon)
        return daemon.close()

    def assert_identity(self, status):
        frames = status["frames"]
        self.assertEqual(frames["received"], frames["decoded"] + frames["late"] +
                         frames["duplicate"] + frames["invalid"])
        self.assertEqual(frames["invalid"], sum(frames["refused"].values()))

    def run_through(self, messages, frames, config=None, model=None, pace=0.0):
        """Intents of a fresh daemon that is sent messages, (topic, body), of which `frames` decode; one
        every `pace` seconds."""
        daemon = self.start(config=config, model=model)
        sink = daemon.sink("intent")
        source = daemon.source()
        begun = time.monotonic()
        for i, (topic, body) in enumerate(messages):
            time.sleep(max(0.0, begun + i * pace - time.monotonic()))
            source.send_multipart([topic, body])
        intents = [bare(i) for i in daemon.intents(sink, frames)]
        return intents, daemon
