# SPDX-License-Identifier: GPL-3.0-or-later
"""What `zmq_peer.py courses` computes is what trajd computes, for a model without slow gains: without that its
time would be no time of the same work."""
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import zmq

import zmq_peer

UNITS, TARGETS, BIN, TRIAL, FRAMES = 24, 4, 0.02, 100, 250
PATIENCE = 60000  # ms


def without_gains(path):
    """Gains of 0 weigh nothing, so the model becomes one without; its digest is made anew."""
    with open(path, "rb") as file:
        image = bytearray(file.read())
    length, = struct.unpack("<Q", image[:8])
    header = json.loads(image[8:8 + length])
    begin, end = header["chain.gain"]["data_offsets"]
    image[8 + length + begin:8 + length + end] = bytes(end - begin)
    at = image.index(b'"digest":"') + 10
    image[at:at + 64] = b"0" * 64
    image[at:at + 64] = hashlib.sha256(image).hexdigest().encode()
    with open(path, "wb") as file:
        file.write(image)


class Twin(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.model = os.path.join(self.folder.name, "model.tjm")
        subprocess.run([os.environ["TRAJCTL"], "bench", "--channels", str(UNITS), "--targets", str(TARGETS),
                        "--bin-ms", str(1e3 * BIN), "--write-model", self.model], check=True)
        without_gains(self.model)

    def start(self):
        """A daemon; its frames and its intents, both sides of which have met."""
        places = {name: "ipc://" + os.path.join(self.folder.name, name) for name in ("frames", "intents", "control")}
        config = os.path.join(self.folder.name, "config.json")
        with open(config, "w") as file:
            json.dump({"stale_ms": 0, "status_ms": 20}, file)
        command = [os.environ["TRAJD"], "--model", self.model, "--config", config]
        for name, place in places.items():
            command += ["--" + name, place]
        process = subprocess.Popen(command)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        context = zmq.Context()
        self.addCleanup(context.destroy, 0)
        frames, intents = context.socket(zmq.XPUB), context.socket(zmq.SUB)
        for topic in ("intent", "status"):
            intents.subscribe(topic)
        frames.connect(places["frames"])
        intents.connect(places["intents"])
        for socket in (frames, intents):  # a subscription has come, and a status was let through
            self.assertTrue(socket.poll(PATIENCE), "trajd says nothing")
        return frames, intents

    def next_intent(self, intents):
        while intents.poll(PATIENCE):
            topic, body = intents.recv_multipart()
            if topic == b"intent":
                return json.loads(body)
        self.fail("no intent comes")

    def test_one_run(self):
        twin = zmq_peer.Courses(self.model)
        frames, intents = self.start()
        frames.send_multipart([b"event", b'{"type":"session","run":"twin","marks":true}'])
        chance, sure = np.random.default_rng(3), 0.0
        for seq in range(FRAMES):
            if seq % TRIAL == 0:
                frames.send_multipart([b"event", json.dumps({"type": "trial_start", "t": BIN * seq}).encode()])
                twin.trial_start()
            # A course to a target, so that the posterior has something to be sure of.
            node = (seq // TRIAL) * len(twin.log_rate) // TARGETS + (seq % TRIAL) * len(twin.log_rate) // TARGETS // TRIAL
            counts = chance.poisson(BIN * np.exp(twin.log_rate[node]))
            frames.send_multipart([b"frame", json.dumps({"type": "frame", "seq": seq, "t": BIN * (seq + 1), "dt": BIN,
                                                         "counts": counts.tolist()}).encode()])
            theirs, ours = self.next_intent(intents), twin.step(counts.astype(float))
            self.assertEqual((theirs["frame"], theirs["flags"]), (seq, [] if seq else ["reset"]))
            for key, close in (("target_prob", 1e-7), ("position", 1e-5), ("velocity", 1e-4), ("position_cov", 1e-3)):
                np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-7, atol=close, err_msg=f"{key} of {seq}")
            sure = max(sure, max(ours["target_prob"]))
        self.assertGreater(sure, 0.9)


if __name__ == "__main__":
    for name in ("TRAJD", "TRAJCTL"):
        if not os.environ.get(name):
            sys.exit(f"{name} is not set")
    unittest.main(verbosity=2)
