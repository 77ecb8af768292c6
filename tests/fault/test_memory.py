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

# Functions on whose behalf an allocation may fail and the daemon comes up all the same; any other ends the start.  What
# must then be said stands behind each, or None where nothing is amiss.
SURVIVED = {
    "_IO_file_doallocate": None,  # stdio: a file is read or written without a buffer
    "find_name": None,            # gmtime_r: where the local time zone is not known, UTC is
    "carry": None,                # the recorder: whoever begins to read at a later part must begin earlier
    # What a killed daemon left stays where it is, for the next start.
    "traj_recording_mend_all": "record: /dev/shm cannot be looked through",
    # The C++ runtime, before main: its reserve for exceptions that are thrown when memory is short.
    "libstdc++.so.6": None,
}


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
                       "record": {"directory": self.path("recordings")}, "log_level": "warning",
                       "workspace": {"low": [-1, -1], "high": [1, 1]}, "status_ms": 0, **more}, file)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_with(self, at, zmq):
        """(whether it came up, exit status, what it said, allocations of its own and of libzmq and who asked for the one
        that failed)."""
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
                words = file.read().split()
            counted = (int(words[0]), int(words[1]), words[2:])
            os.unlink(self.path("seen"))
        return up, process.returncode, said, counted

    def functions(self, asked):
        """The names of those who asked: of the daemon's own functions, inlined ones too, and of libraries'."""
        addresses = [who[1:] for who in asked if who[0] == "+"]
        said = subprocess.run(["addr2line", "-f", "-i", "-e", os.environ["TRAJD"], *addresses], check=True,
                              capture_output=True, text=True).stdout if addresses else ""
        return {who for who in asked if who[0] != "+"} | set(said.splitlines()[::2])

    def survived(self, code, said, asked):
        """Whether it may do without what failed, says so where it must, and ends as any other does."""
        listed = SURVIVED.keys() & self.functions(asked)
        words = [SURVIVED[name] for name in listed if SURVIVED[name] is not None]
        return code == 0 and listed and good_end(said) and bool(words) == bool(said) and all(w in said for w in words)

    def each_of_our_own(self):
        up, code, said, counted = self.run_with(0, False)
        self.assertEqual((up, code, said), (True, 0, ""))
        self.assertGreater(counted[0], 50)
        ended, wrong = 0, []
        for at in range(1, counted[0] + 1):
            up, code, said, seen = self.run_with(at, False)
            if up:
                asked = seen[2] if seen else []
                # There may be one fewer this time, and then none failed.
                if not self.survived(code, said, asked) and (asked or code != 0 or said):
                    wrong.append((at, code, said, self.functions(asked)))
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
