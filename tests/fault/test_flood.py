# SPDX-License-Identifier: GPL-3.0-or-later
"""Random and mutated messages at each socket.  TRAJ_FLOOD=1000000 is the long one: that many to each."""
import os
import subprocess

from faults import adds_up
import daemon
from daemon import bare, event
from test_faults import SEED, OfFamily

# Seconds: the flooder fails by itself once nothing has come for a minute, and this is what ends it otherwise.  Under
# sanitizers on a machine with much else to do a message to each socket took 1.5 ms.
PATIENCE_A_MESSAGE = 0.01


# Bytes.  Nothing is dropped on the way, so that messages wait in a queue of libzmq's while the daemon predicts over a gap, and
# the pages of the longest queue are kept.  20,000 to 300,000 messages to each socket took 2 to 4 MiB (mixtures) and 46 to
# 109 MiB (courses), a million 7 and 92; 20,000 to 60,000 with sanitizers 49 to 68 MiB.  This is not twice the most of these;
# of the million, 70 bytes a message would be seen, and LeakSanitizer sees each at the end.
GROWN_AT_MOST = 200 << 20


class Flood(OfFamily):
    def frames_after(self, d):
        """What a source that starts anew gets for its frames."""
        sink, source = d.sink("intent"), d.source()
        source.send_multipart([b"event", event("session", run="after", marks=True)])
        got, expected = [], 60
        for seq in range(expected):
            source.send_multipart([b"frame", daemon.frame(seq)])
        while len(got) < expected:
            got += [bare(i) for i in d.intents(sink, 1)]
        return got

    def test_random_and_mutated_messages(self):
        count = os.environ.get("TRAJ_FLOOD", "20000")
        expected = self.frames_after(self.start())
        # What is freed a sanitizer keeps for a while, of its own will 256 MiB: nothing else would be seen beside it.
        kept = f"{os.environ.get('ASAN_OPTIONS', '')}:quarantine_size_mb=16".lstrip(":")
        d = self.start(config={"request_rate": 0, "log_level": "error"}, environment={"ASAN_OPTIONS": kept})
        before = d.status()
        top = os.environ["TRAJ_SOURCE_DIR"]
        good, rig = d.path("good"), self.rig()
        os.mkdir(good)
        for i in range(200):
            with open(os.path.join(good, str(i)), "wb") as file:
                file.write(rig.frame()[1])
        done = subprocess.run(
            [os.environ["TRAJ_FLOODER"], d.endpoints["frames"], d.endpoints["intents"],
             d.endpoints["control"], count, str(SEED), good, os.path.join(top, "tests/fuzz/corpus/frame"),
             os.path.join(top, "tests/fuzz/corpus/event"),
             os.path.join(top, "proto/vectors/control-request")],
            capture_output=True, text=True, timeout=daemon.PATIENCE + int(count) * PATIENCE_A_MESSAGE)
        self.assertEqual(done.returncode, 0, done.stderr)
        print(done.stdout, end="")
        sent = dict(word.split("=") for word in done.stdout.split() if "=" in word)
        status = adds_up(d.settle(frames=int(sent["frames"]), events=int(sent["events"])))
        self.assertEqual(status["frames"]["received"], int(sent["frames"]))
        self.assertGreaterEqual(status["events"]["received"], int(sent["events"]))
        self.assertGreater(status["frames"]["decoded"], 0)
        self.assertEqual(int(sent["replies"]), int(count))
        self.assertLess(status["memory"], before["memory"] + GROWN_AT_MOST)
        print(f"memory {before['memory'] >> 20} to {status['memory'] >> 20} MiB", end=" ")
        d.must(cmd="model", action="load", path=d.model)
        d.must(cmd="pause", on=False)
        self.assertEqual([{**i, "flags": [f for f in i["flags"] if f != "model"]}
                          for i in self.frames_after(d)], expected)


class FloodOfCourses(Flood):
    family = "course"


if __name__ == "__main__":
    daemon.main()
