# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon under a service manager: signs of life from the decode loop, and the unit of systemd."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from faults import Rig, daemon

# Signs come three in this time.
WATCHDOG_S = 0.3


class Watchdog(daemon.DaemonTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="trajd-notify-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(self.path)
        self.manager.settimeout(daemon.PATIENCE)

    def watched(self, config=None, **more):
        environment = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)), **more}
        d = self.start(config=config, environment=environment)
        self.assertEqual(self.manager.recv(100), b"READY=1")
        return d

    def silence(self, seconds):
        """Whether nothing comes for so long, once what waits has been read."""
        self.manager.setblocking(False)
        try:
            while True:
                self.manager.recv(100)
        except BlockingIOError:
            pass
        self.manager.settimeout(seconds)
        try:
            return self.manager.recv(100) is None
        except TimeoutError:
            return True
        finally:
            self.manager.settimeout(daemon.PATIENCE)

    def test_the_loop_that_decodes_gives_signs_of_life(self):
        for config in ({}, {"receive": "spin"}, {"stale_ms": 37}):
            d = self.watched(config)
            for _ in range(4):
                self.assertEqual(self.manager.recv(100), b"WATCHDOG=1")
            source, sink, rig = d.source(), d.sink("intent"), Rig(1)
            for _ in range(300):
                source.send_multipart(rig.frame())
            d.intents(sink, 300)
            self.assertEqual(self.manager.recv(100), b"WATCHDOG=1")
            d.signal(signal.SIGTERM)
            self.assertEqual(d.wait(), 0)
            said = b""
            while said != b"STOPPING=1":
                said = self.manager.recv(100)

    def test_no_signs_from_one_that_stands_still(self):
        d = self.watched()
        self.assertEqual(self.manager.recv(100), b"WATCHDOG=1")
        d.signal(signal.SIGSTOP)
        time.sleep(0.05)
        self.assertTrue(self.silence(3 * WATCHDOG_S))
        d.signal(signal.SIGCONT)
        self.assertEqual(self.manager.recv(100), b"WATCHDOG=1")

    def test_no_signs_while_the_thread_that_decodes_is_held(self):
        """It alone: what the other threads do is no sign of life."""
        library = os.environ.get("TRAJ_HOLD_LIBRARY")
        if not library:
            self.skipTest("TRAJ_HOLD_LIBRARY is not set")
        hold = os.path.join(os.path.dirname(self.path), "hold")
        d = self.watched(LD_PRELOAD=library, TRAJ_HOLD=hold)
        self.assertEqual(self.manager.recv(100), b"WATCHDOG=1")
        with open(hold, "w"):
            pass
        try:
            daemon.wait_for(lambda: os.path.exists(hold + ".held"))
            # Housekeeping is well: it answers what it can answer alone.
            self.assertIn("is not known", d.ask_text('{"cmd":"fly"}')["error"])
            self.assertTrue(self.silence(3 * WATCHDOG_S))
            self.assertIn("is not known", d.ask_text('{"cmd":"fly"}')["error"])
            self.assertTrue(os.path.exists(hold + ".held"))
        finally:
            os.remove(hold)
        self.assertEqual(self.manager.recv(100), b"WATCHDOG=1")

    def test_no_signs_where_nobody_asks(self):
        for more in ({"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "nonsense"}, {"WATCHDOG_PID": "1"}):
            self.watched(**more)
            self.assertTrue(self.silence(2 * WATCHDOG_S))


def unit_text():
    with open(os.path.join(os.environ["TRAJ_BUILD_DIR"], "daemon", "trajd.service")) as file:
        return file.read()


class Settings(unittest.TestCase):
    def test_what_was_in_memory_outlives_the_daemon(self):
        """systemd must leave alone what the recorder of a killed daemon left in /dev/shm."""
        settings = dict(re.findall(r"^(\w+)=(.*)$", unit_text(), flags=re.M))
        self.assertEqual(settings["RemoveIPC"], "no")
        self.assertNotIn("DynamicUser", settings)  # which would remove it whatever RemoveIPC says
        self.assertNotIn("PrivateIPC", settings)


class Unit(unittest.TestCase):
    def setUp(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not installed: the unit was not checked")
        text = unit_text()
        self.folder = tempfile.TemporaryDirectory(prefix="trajd-unit-")
        self.addCleanup(self.folder.cleanup)
        self.unit = os.path.join(self.folder.name, "trajd.service")
        with open(self.unit, "w") as file:
            file.write(re.sub(r"^ExecStart=\S+", "ExecStart=" + os.environ["TRAJD"], text, flags=re.M))

    def analyze(self, *words):
        done = subprocess.run(["systemd-analyze", "--man=no", *words, self.unit], capture_output=True,
                              text=True)
        return done.returncode, done.stdout + done.stderr

    def test_verify(self):
        status, said = self.analyze("verify")
        # Other units of the machine, and pages that are not installed, are not ours.
        ours = [line for line in said.splitlines() if "trajd.service" in line]
        self.assertEqual(ours, [])
        self.assertEqual(status, 0, said)

    def test_security(self):
        """The exposure is at most what security.md says it is."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "daemon", "man",
                               "security.md")) as file:
            told = float(re.search(r"`systemd-analyze security` gives it ([0-9.]+) of 10", file.read())[1])
        status, said = self.analyze("security", "--offline=true", f"--threshold={round(10 * told)}")
        if "Unknown" in said or "unrecognized option" in said:
            self.skipTest("this systemd-analyze cannot judge a file")
        print([line for line in said.splitlines() if "exposure" in line.lower()][-1:], end=" ")
        self.assertEqual(status, 0, said)


if __name__ == "__main__":
    daemon.main()
