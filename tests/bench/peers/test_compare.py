# SPDX-License-Identifier: GPL-3.0-or-later
"""A few frames through every peer: all answer all of them, and the arithmetic of compare.py is right.  No time
is judged."""
import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import compare


class Arithmetic(unittest.TestCase):
    def test_quantiles(self):
        values = list(range(100, 0, -1))
        self.assertEqual([compare.quantile(values, q) for q in (0.5, 0.99, 0.999, 1, 0)],
                         [50, 99, 100, 100, 1])
        self.assertEqual(compare.quantile([7], 0.5), 7)

    def test_paired(self):
        # The machine slows down from round to round: what is paired does not see it.
        blocks = {"echo": [[1, 1, 1], [10, 10, 10], [100, 100, 100]],
                  "trajd": [[2, 2, 2], [20, None, 20], [200, 200, 200]],
                  "x": [[6, 6, 6], [60, 60, 60], [600, 600, 600]]}
        blocks["echo expect"] = blocks["echo"]
        options = argparse.Namespace(fifo=True, seed=1)
        table = compare.summarise(blocks, options)
        self.assertEqual((table["x"]["ratio_p50"], table["trajd"]["ratio_p50"]), (3, 1))
        self.assertEqual((table["trajd"]["excess_p50_us"], table["trajd"]["lost"]), (10, 1))
        self.assertEqual(table["x"]["ratio_p50_interval"], [3, 3])
        low, high = table["x"]["excess_p50_us_interval"]
        self.assertEqual((low, high), (5, 500))
        # All rounds together are of the slowest one at 99 %, unless that one is not drawn.
        self.assertEqual((table["x"]["ratio_p99"], table["x"]["excess_p99_us"]), (None, 500))
        low, high = table["x"]["excess_p99_us_interval"]
        self.assertEqual((low, high), (5, 500))
        # A lost frame is later than any other.
        self.assertEqual((table["trajd"]["p50_us"], table["trajd"]["p99_us"]), (20, None))

    def test_each_waits_beside_its_like(self):
        for fifo, of_trajd, other in ((True, "echo expect", "trajd block"), (False, "echo", "trajd expect")):
            options = argparse.Namespace(fifo=fifo, seed=1)
            self.assertEqual(compare.other_trajd(options), other)
            self.assertEqual(compare.alike("trajd", options), of_trajd)
            self.assertNotEqual(compare.alike(other, options), of_trajd)
            self.assertEqual(compare.alike("kalman", options), "echo")

    def test_a_peer_that_answers_nothing_is_said(self):
        blocks = {name: [[10, 20]] * 3 for name in ("echo", "echo expect", "trajd", "kalman")}
        blocks["redis C 1"] = [[None, None]] * 3
        options = argparse.Namespace(fifo=False, seed=1, channels=1, targets=1, bin_ms=5, tcp=False, rounds=3, frames=2)
        stages = {"decode": {"p50": 1, "p99": 2}}
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            compare.show(compare.summarise(blocks, options), stages, stages, 1, 20, options)
        [row] = [line for line in said.getvalue().splitlines() if "NOTHING CAME" in line]
        self.assertTrue(row.startswith("redis C 1 "), row)

    def test_what_cannot_be_run_is_refused_by_a_sentence(self):
        done = subprocess.run([sys.executable, compare.__file__, "--only", "kalmann", "--channels", "4", "--targets",
                               "2"], capture_output=True, text=True, timeout=250)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "there is no kalmann; there are echo, ")
        self.assertNotIn("Traceback", done.stderr)

    def test_promises(self):
        def kept(trajd, echo=10, like=10, kalman=100, redis=100, step=20):
            blocks = {name: [[us] * 10] * 3 for name, us in (("echo", echo), ("echo expect", like), ("trajd", trajd),
                                                           ("kalman", kalman), ("redis C 1", redis))}
            table = compare.summarise(blocks, argparse.Namespace(fifo=True, seed=1))
            return [holds for *_, holds in compare.promises(table, step)]

        self.assertEqual(kept(60), [True] * 6)
        self.assertEqual(kept(61), [False] * 2 + [True] * 4)
        self.assertEqual(kept(60, like=9), [True, False] + [True] * 4)
        self.assertEqual(kept(60, kalman=60, redis=60), [True] * 4 + [False] * 2)
        self.assertEqual(kept(60, kalman=59), [True] * 2 + [False] * 2 + [True] * 2)
        self.assertEqual(kept(None), [False] * 6)
        # Who answered nothing was not measured, and is no proof of anything.
        self.assertEqual(kept(60, kalman=None, redis=None), [True] * 2 + [False] * 4)

    def test_what_was_not_measured_is_said(self):
        blocks = {name: [[10, 10]] * 3 for name in ("echo", "echo expect", "trajd", "kalman")}
        blocks["redis C 1"] = [[None, None]] * 3
        options = argparse.Namespace(fifo=True, seed=1, channels=1, targets=1, bin_ms=5, tcp=False, rounds=3, frames=2)
        stages = {"decode": {"p50": 1, "p99": 2}}
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            compare.show(compare.summarise(blocks, options), stages, stages, 60, 20, options)
        self.assertEqual(re.findall("NOT MEASURED  (redis C 1 to trajd, p..)", said.getvalue()),
                         ["redis C 1 to trajd, p50", "redis C 1 to trajd, p99"])
        # The twin's step beside the whole one, not beside the stage that lacks what was done ahead.
        self.assertIn("60.0 us, 3.00 times trajd's", said.getvalue())

    def test_a_check_without_a_priority_is_none(self):
        # Root has the privilege whatever the limit says, unless no capability is left to it.
        without = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
        done = subprocess.run(["prlimit", "--rtprio=0", *without, sys.executable, compare.__file__, "--check"],
                              capture_output=True, text=True, timeout=250)
        self.assertEqual((done.returncode, done.stdout), (77, ""))
        self.assertRegex(done.stderr, "--check needs the privilege of a real-time priority")


class Smoke(unittest.TestCase):
    def test_every_peer_answers_every_frame(self):
        with tempfile.TemporaryDirectory() as folder:
            result = os.path.join(folder, "result.json")
            here = os.path.dirname(os.path.abspath(__file__))
            done = subprocess.run([sys.executable, os.path.join(here, "compare.py"), "--channels", "20",
                                   "--targets", "3", "--frames", "30", "--rounds", "1", "--bin-ms", "10",
                                   "--json", result], capture_output=True, text=True, timeout=250)
            print(done.stdout, done.stderr)
            self.assertEqual(done.returncode, 0)
            with open(result) as file:
                result = json.load(file)
        peers = result["peers"]
        self.assertEqual(set(peers), {"echo", "echo expect", "trajd", "trajd expect", "kalman", "courses", "redis C 1",
                                      "redis C 4", "redis py 1", "redis py 4"})
        for name, row in peers.items():
            self.assertEqual((row["frames"], row["lost"]), (30, 0), name)
            self.assertGreater(row["p50_us"], 0, name)
        self.assertEqual(peers["trajd"]["ratio_p50"], 1)
        self.assertEqual(peers["echo"]["excess_p50_us"], 0)


if __name__ == "__main__":
    why_not = compare.missing()
    if why_not:
        print(why_not + ": the peers were not run")
        sys.exit(77)
    unittest.main(verbosity=2)
