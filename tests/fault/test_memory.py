# SPDX-License-Identifier: GPL-3.0-or-later
"""Each allocation between the start and READY fails once: the daemon ends with one clear sentence."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from faults import daemon

SOCKETS = ("frames", "intents", "control")


def good_end(said):
    """Nothing, or the one sentence that tells of what was short."""
    return said == "" or (said.count("\n") == 1 and said.endswith("\n") and said.startswith("trajd: ") and len(said) > 20)


class Memory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="trajd-memory-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(self.path("notify"))
        for name in ("trajd", "rig"):
            subprocess.run([os.environ["TRAJCTL"], "keygen", self.path(name)], check=True,
                           stderr=subprocess.DEVNULL)
        with open(self.path("rig.key")) as file:
            key = file.read().split('"')[1]
        with open(self.path("list"), "w") as file:
            file.write(f"frames {key} rig\n")

    def few(self):
        """A mixture, and sockets that ask for no key."""
        self.model = daemon.make_model(self.path("m.tjm"))
        self.endpoints = {name: "ipc://" + self.path(name) for name in SOCKETS}
        self.configure({})

    def all(self):
        """All that is made at the start where it is asked for: a shadow, recalibration, keys."""
        self.model = daemon.make_model(self.path("m.tjm"), family="course")
        shadow = daemon.make_model(self.path("shadow.tjm"), family="course", seed=2)
        self.endpoints = {name: "tcp://127.0.0.1:*" for name in SOCKETS}
        self.configure({"shadow": shadow, "recalibrate": {}})

    def configure(self, more):
        with open(self.path("c.json"), "w") as file:
            json.dump({"curve": {"secret_key": self.path("trajd.key_secret"),
                                 "clients": self.path("list"),
                                 "servers": {"frames": self.path("rig.key")}},
                       "record": {"directory": self.path("recordings")}, "log_level": "error",
                       "workspace": {"low": [-1, -1], "high": [1, 1]}, "status_ms": 0, **more}, file)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_with(self, at, zmq):
        """(whether it came up, exit status, what it said, allocations of its own and of libzmq)."""
        command = [os.environ["TRAJD"], "--model", self.model, "--config", self.path("c.json")]
        for name, endpoint in self.endpoints.items():
            command += ["--" + name, endpoint]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={
            **os.environ, "LD_PRELOAD": os.environ["TRAJ_FAIL"], "TRAJ_FAIL_AT": str(at),
            "TRAJ_FAIL_ZMQ": str(int(zmq)), "TRAJ_FAIL_OUT": self.path("seen"),
            "NOTIFY_SOCKET": self.path("notify")})
        self.manager.setblocking(False)
        up = False
        give_up = time.monotonic() + daemon.PATIENCE
        while process.poll() is None:
            try:
                up = up or self.manager.recv(100) == b"READY=1"
            except BlockingIOError:
                time.sleep(0.0005)
            if up:
                process.send_signal(signal.SIGTERM)
            if time.monotonic() > give_up:
                process.kill()
                self.fail(f"hangs when allocation {at} fails")
        said = process.stderr.read()
        process.stderr.close()
        try:
            while True:
                up = self.manager.recv(100) == b"READY=1" or up
        except BlockingIOError:
            pass
        counted = None
        if os.path.exists(self.path("seen")):
            with open(self.path("seen")) as file:
                counted = tuple(map(int, file.read().split()))
            os.unlink(self.path("seen"))
        return up, process.returncode, said, counted

    def each_of_our_own(self):
        up, code, said, counted = self.run_with(0, False)
        self.assertEqual((up, code, said), (True, 0, ""))
        self.assertGreater(counted[0], 50)
        ended, wrong = 0, []
        for at in range(1, counted[0] + 1):
            up, code, said, _ = self.run_with(at, False)
            if up:
                # It came up without what failed, or the start was over: it runs, and ends as any other does.
                if code != 0 or not good_end(said):
                    wrong.append((at, code, said))
                continue
            ended += 1
            if code != 1 or said.count("\n") != 1 or not said.startswith("trajd: error: ") or \
                    len(said) < 25:
                wrong.append((at, code, said))
        print(f"{ended} of {counted[0]} allocations ended the start", end=" ")
        self.assertEqual(wrong, [])
        self.assertGreater(ended, 50)

    def each_of_libzmq(self):
        """libzmq ends the process itself; it must end, and say that memory was short.  Where it does without, the daemon
        runs and ends as any other."""
        _, _, _, counted = self.run_with(0, True)
        ended, wrong = 0, []
        for at in range(1, counted[1] + 1):
            up, code, said, _ = self.run_with(at, True)
            if code != 0 and not up:
                ended += 1
                if "trajd: error: " not in said:
                    wrong.append((at, up, code, said))
            elif code == 0 and not (up and good_end(said)) or code not in (0, -signal.SIGABRT) or code and not said:
                # Once READY was said the sentence is libzmq's own, behind which it aborts.
                wrong.append((at, up, code, said))
        print(f"{ended} of {counted[1]} allocations ended the start", end=" ")
        self.assertEqual(wrong, [])
        self.assertGreater(ended, 10)

    def test_each_allocation_of_our_own(self):
        self.few()
        self.each_of_our_own()

    def test_each_allocation_of_libzmq(self):
        self.few()
        self.each_of_libzmq()

    def test_each_of_our_own_with_shadow_recalibration_and_keys(self):
        self.all()
        self.each_of_our_own()

    def test_each_of_libzmq_with_shadow_recalibration_and_keys(self):
        self.all()
        self.each_of_libzmq()


if __name__ == "__main__":
    daemon.main()
