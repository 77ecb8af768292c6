# SPDX-License-Identifier: GPL-3.0-or-later
"""trajctl bench: what it measures is what happened, and it says so where a daemon cannot keep up.  The
oracles are answerers made here, whose delays are known."""
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import daemon
from daemon import zmq

PATIENCE = 120


def bench(*arguments):
    done = subprocess.run([os.environ["TRAJCTL"], "bench", "--json", "--quiet", *arguments],
                          capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    result = json.loads(done.stdout)
    print(json.dumps(result["cells"]))
    return result


def until_it_decodes(parent, context):
    """The process of the trajd that a bench has started, and its control socket, once 150 frames are decoded."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        time.sleep(0.02)
        with open(f"/proc/{parent}/task/{parent}/children") as file:
            children = file.read().split()
        if not children:
            continue
        with open(f"/proc/{children[0]}/cmdline", "rb") as file:
            words = file.read().decode().split("\0")
        if "--control" in words:
            break
    control = context.socket(zmq.REQ)
    control.connect(words[words.index("--control") + 1])
    while time.monotonic() < give_up:
        control.send(b'{"cmd":"status"}')
        if json.loads(control.recv())["frames"]["decoded"] >= 150:
            return int(children[0]), control
        time.sleep(0.02)
    raise AssertionError("it decodes nothing")


class Answerer(threading.Thread):
    """Speaks trajd's data sockets: answers each frame after delay(number) seconds; None = never."""

    def __init__(self, delay, counts=False):
        """With `counts` it answers requests for its status too: a minor fault for each frame that has come."""
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.delay, self.over, self.seen = delay, False, []
        self.endpoints = ["ipc://" + os.path.join(self.folder.name, n) for n in ("frames", "intents")]
        self.context = zmq.Context()
        self.frames, self.intents = self.context.socket(zmq.SUB), self.context.socket(zmq.PUB)
        for topic in ("frame", "event"):
            self.frames.subscribe(topic)
        self.frames.bind(self.endpoints[0])
        self.intents.bind(self.endpoints[1])
        self.control = self.context.socket(zmq.REP) if counts else None
        if counts:
            self.endpoints.append("ipc://" + os.path.join(self.folder.name, "control"))
            self.control.bind(self.endpoints[2])
        self.start()

    def tell(self):
        self.control.recv()
        model = {"units": 8, "targets": 2, "bin_width": 0.005, "family": "course"}
        decode = {"minor_faults": len(self.seen), "major_faults": 0, "cpu_s": 0.0}
        self.control.send_json({"ok": True, "model": model, "memory": 1 << 20, "threads": {"decode": decode}})

    def run(self):
        while not self.over:
            if self.control and self.control.poll(0):
                self.tell()
            if not self.frames.poll(1 if self.control else 20):
                continue
            topic, body = self.frames.recv_multipart()
            if topic != b"frame":
                continue
            seq = int.from_bytes(body[16:24], "little")
            self.seen.append((time.monotonic(), body))
            wait = self.delay(seq)
            if wait is not None:
                time.sleep(wait)
                self.intents.send_multipart([b"intent", b'{"v":1,"type":"intent","frame":%d}' % seq])

    def close(self):
        self.over = True
        self.join()
        self.context.destroy(0)
        self.folder.cleanup()


class Bench(daemon.DaemonTest):
    def measure(self, delay, *arguments):
        """Cell and latencies, us (None = lost), against an answerer."""
        answerer = Answerer(delay)
        try:
            samples = os.path.join(answerer.folder.name, "samples")
            result = bench("--source", answerer.endpoints[0], "--intents", answerer.endpoints[1],
                           "--channels", "8", "--targets", "2", "--samples", samples, *arguments)
            with open(samples) as file:
                latencies = [None if line == "lost\n" else float(line) for line in file]
        finally:
            answerer.close()
        return result["cells"][0], latencies, answerer

    def test_a_daemon_of_its_own(self):
        result = bench("--channels", "12,40", "--targets", "3", "--bin-ms", "5", "--frames", "60",
                       "--transport", "both")
        self.assertGreaterEqual(result["machine"]["processors"], 1)
        self.assertEqual([(c["channels"], c["transport"]) for c in result["cells"]],
                         [(12, "ipc"), (12, "tcp"), (40, "ipc"), (40, "tcp")])
        for cell in result["cells"]:
            self.assertEqual((cell["frames"], cell["lost"], cell["family"]), (60, 0, "course"))
            self.assertLessEqual(cell["p50_us"], cell["p99_us"])
            self.assertLessEqual(cell["p99_us"], cell["max_us"])
            self.assertGreater(cell["p50_us"], 1e3 * cell["stages_ms"]["decode"]["p50"] * 0.5)
            self.assertGreater(cell["cpu"], 0)
            self.assertGreater(cell["memory_bytes"], 1 << 20)

    def test_what_a_cell_costs_is_what_its_frames_cost(self):
        # Neither connecting and the warm-up of 100 frames count, nor the 3 s that the last answers are waited for.
        answerer = Answerer(lambda seq: 0 if seq < 290 else None, counts=True)
        try:
            cell = bench("--source", answerer.endpoints[0], "--intents", answerer.endpoints[1], "--control",
                         answerer.endpoints[2], "--frames", "200")["cells"][0]
        finally:
            answerer.close()
        self.assertEqual(cell["frames"], 200)
        self.assertGreaterEqual(cell["lost"], 10)
        self.assertAlmostEqual(cell["decode_minor_faults"], 200, delta=30)
        self.assertAlmostEqual(cell["seconds"], 1, delta=0.5)

    def test_a_running_daemon(self):
        d = self.start()
        cell = bench("--source", d.endpoints["frames"], "--intents", d.endpoints["intents"],
                     "--control", d.endpoints["control"], "--frames", "20")["cells"][0]
        self.assertEqual((cell["channels"], cell["targets"], cell["lost"]),
                         (daemon.UNITS, daemon.TARGETS, 0))
        self.assertEqual(cell["bin_ms"], 1e3 * daemon.BIN)
        status = d.status()
        self.assert_identity(status)
        self.assertEqual(status["frames"]["invalid"] + status["frames"]["gaps"], 0)

    def test_status_tells_the_stages(self):
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        for seq in range(30):
            source.send_multipart([b"frame", daemon.frame(seq)])
        d.intents(sink, 30)
        said = subprocess.check_output([os.environ["TRAJCTL"], "status", "--latency", "--control",
                                        d.endpoints["control"]], text=True)
        print(said)
        rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()[:8]}
        status = d.status()
        for name, stage in {**status["stages_ms"], "total": status["latency_ms"]}.items():
            self.assertEqual(rows[name][0], "30")
            told = [float(number) for number in rows[name][1:]]
            self.assertEqual(told, [round(1e3 * stage[q], 1) for q in ("p50", "p90", "p99", "p999", "max")])
        self.assertIn("receive block; memory locked: not asked", said)

    def test_a_stall_counts_against_every_frame_that_it_delays(self):
        stall, bin_s = 0.4, 0.005
        began = []

        def delay(seq):
            # Once, well inside the measured frames.
            if not began and seq > 300:
                began.append(seq)
                return stall
            return 0

        cell, latencies, _ = self.measure(delay, "--bin-ms", "5", "--frames", "600")
        hit = sum(1 for us in latencies if us > 1e6 * stall / 4)
        # Of the frames planned during the stall, those of its first three quarters wait a quarter
        # of it or longer; whoever measures from the actual sending would see one.
        self.assertGreaterEqual(hit, int(0.75 * stall / bin_s) - 3)
        self.assertGreaterEqual(max(latencies), 1e6 * stall)
        self.assertEqual(cell["lost"], 0)
        self.assertTrue(cell["keeps_up"])

    def test_a_known_delay_is_found(self):
        cell, latencies, answerer = self.measure(lambda seq: 0.003, "--bin-ms", "20", "--frames", "40")
        self.assertEqual(len(latencies), 40)
        self.assertGreaterEqual(min(latencies), 3000)
        self.assertEqual(sorted(latencies)[19], round(cell["p50_us"], 2))
        times = [int.from_bytes(body[16:24], "little") for _, body in answerer.seen]
        self.assertEqual(times, list(range(len(times))))

    def test_what_cannot_keep_up_is_said(self):
        cell, _, _ = self.measure(lambda seq: 0.02, "--bin-ms", "5", "--frames", "1000")
        self.assertFalse(cell["keeps_up"])
        self.assertLess(cell["frames"], 1000)  # it was given up
        self.assertEqual(cell["lost"], 0)
        self.assertGreater(cell["unanswered"], 0)

    def test_losses_are_counted(self):
        cell, latencies, _ = self.measure(lambda seq: None if seq % 10 == 3 else 0,
                                          "--bin-ms", "5", "--frames", "200")
        self.assertEqual((cell["lost"], cell["unanswered"], latencies.count(None)), (20, 20, 20))
        # The median is that of all frames, of which the lost ones are the latest; 1 % falls on those.
        came = sorted(us for us in latencies if us is not None)
        self.assertEqual(came[99], round(cell["p50_us"], 2))
        self.assertEqual((cell["p99_us"], cell["p999_us"], cell["max_us"]), (None, None, None))

    def test_a_table_says_inf(self):
        answerer = Answerer(lambda seq: None if seq % 10 == 3 else 0)
        try:
            said = subprocess.check_output(
                [os.environ["TRAJCTL"], "bench", "--quiet", "--source", answerer.endpoints[0], "--intents",
                 answerer.endpoints[1], "--channels", "8", "--targets", "2", "--bin-ms", "5", "--frames", "100"],
                text=True, timeout=PATIENCE)
        finally:
            answerer.close()
        head, row = (line.split() for line in said.replace("bin ms", "bin").replace(" us", "").replace(
            "99.9 %", "99.9").splitlines()[:2])
        told = dict(zip(head, row))
        self.assertEqual((told["unanswered"], told["lost"], told["p99"], told["max"]), ("10", "10", "inf", "inf"))
        self.assertTrue(float(told["p50"]) > 0)

    def test_a_daemon_that_ends_is_no_slow_one(self):
        def kill(process, control):
            os.kill(process, signal.SIGKILL)

        def ask_to_end(process, control):
            control.send(b'{"cmd":"shutdown"}')

        for end, how in ((kill, "signal 9"), (ask_to_end, "status 0")):
            running = subprocess.Popen([os.environ["TRAJCTL"], "bench", "--json", "--quiet", "--channels", "12",
                                        "--targets", "3", "--bin-ms", "5", "--seconds", "20"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            context = zmq.Context()
            try:
                end(*until_it_decodes(running.pid, context))
                out, said = running.communicate(timeout=PATIENCE)
            finally:
                context.destroy(0)
                running.kill()
            self.assertEqual((running.returncode, json.loads(out)["cells"]), (1, []))
            self.assertIn(f"trajd ended during the cell ({how})", said)

    def test_models_of_all_sizes_are_models(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "m.tjm")
            for units, targets, bin_ms in ((1, 1, 100), (3, 256, 0.5), (8, 108, 1), (9, 32, 5), (4, 8, 20)):
                sizes = ["--channels", str(units), "--targets", str(targets), "--bin-ms", str(bin_ms)]
                subprocess.run([os.environ["TRAJCTL"], "bench", *sizes, "--write-model", path], check=True)
                # Reading a model checks it.
                said = subprocess.check_output([os.environ["TRAJCTL"], "model", "show", path], text=True)
                self.assertRegex(said, rf"units +{units}\b")
                self.assertRegex(said, rf"targets +{targets} of")

    def test_refused(self):
        for arguments, word in ((["--channels", "0"], "channels"), (["--bin-ms", "5,,1"], "bin-ms"),
                                (["--targets", "2.5"], "targets"), (["--transport", "udp"], "udp"),
                                (["--source", "ipc://x"], "belong together")):
            done = subprocess.run([os.environ["TRAJCTL"], "bench", *arguments], capture_output=True,
                                  text=True)
            self.assertEqual(done.returncode, 2)
            self.assertTrue(re.search(word, done.stderr), done.stderr)


if __name__ == "__main__":
    assert unittest
    daemon.main()
