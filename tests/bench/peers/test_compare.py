# SPDX-License-Identifier: GPL-3.0-or-later
"""A few frames through every peer: all answer all of them, and the arithmetic of compare.py is right.  No time
is judged."""
import json
import os
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
        table = compare.summarise(blocks)
        self.assertEqual((table["x"]["ratio_p50"], table["trajd"]["ratio_p50"]), (3, 1))
        self.assertEqual((table["trajd"]["excess_p50_us"], table["trajd"]["lost"]), (10, 1))


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
        self.assertEqual(set(peers), {"echo", "trajd", "trajd expect", "kalman", "courses", "redis C 1",
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
