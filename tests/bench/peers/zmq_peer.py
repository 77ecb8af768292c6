# SPDX-License-Identifier: GPL-3.0-or-later
"""What people write today with pyzmq and numpy, over the same sockets as trajd.

    zmq_peer.py kalman FRAMES INTENTS UNITS      a steady-state Kalman filter, two numbers and their speed out
    zmq_peer.py courses FRAMES INTENTS MODEL     the filter over courses of a model file, vectorised: one matrix
                                                 product a frame for all likelihoods; without the slow gains
    zmq_peer.py time MODEL FRAMES                no sockets: prints the median step of `courses`, us
"""
import json
import struct
import sys
import time

import numpy as np

SLOT = 16  # where a frame's number stands
COUNTS = 56  # and where its counts begin


class Kalman:
    def __init__(self, units):
        self.state = np.zeros(4)
        self.gain = np.sin(7.0 * np.arange(4 * units) + 1).reshape(4, units) / units
        self.step_matrix = 0.95 * np.array([[1, 0, 0.005, 0], [0, 1, 0, 0.005], [0, 0, 1, 0], [0, 0, 0, 1]])

    def step(self, counts):
        self.state = self.step_matrix @ self.state + self.gain @ counts
        return {"position": self.state[:2].tolist(), "velocity": self.state[2:].tolist()}


def read_model(path):
    with open(path, "rb") as file:
        image = file.read()
    length, = struct.unpack("<Q", image[:8])
    header = json.loads(image[8:8 + length])
    kinds = {"F64": np.float64, "I32": np.int32, "U8": np.uint8, "F32": np.float32, "U16": np.uint16}
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            arrays[name] = np.frombuffer(image[8 + length + begin:8 + length + end],
                                         kinds[entry["dtype"]]).reshape(entry["shape"])
    return arrays


class Courses:
    """trajd's default family, frame by frame, in numpy: prediction along the links, the likelihood of all
    nodes by one matrix product, interpolation to states, moments and target probabilities."""

    def __init__(self, path):
        model = read_model(path)
        chain = {name[6:]: array for name, array in model.items() if name.startswith("chain.")}
        self.bin = float(model["bin_width"][0])
        self.log_rate = np.ascontiguousarray(chain["emission_mean"])
        self.offset = self.bin * np.exp(self.log_rate).sum(axis=1)
        self.to, self.temper = chain["link_to"], float(chain["temper"][0])
        self.source = np.repeat(np.arange(len(chain["node"])), np.diff(chain["link_first"]))
        self.link = chain["link_prob"][1]
        self.node, self.share = chain["node"], chain["share"]
        self.next_node = np.minimum(self.node + 1, len(self.log_rate) - 1)
        self.values = np.hstack([chain["position"], chain["velocity"]])
        self.position = chain["position"]
        self.spread = chain["position_spread"].reshape(len(self.node), -1)
        self.target = np.maximum(chain["target"], 0)
        self.targets = int(self.target.max()) + 1
        self.start, self.prob, self.entering = chain["start"], chain["start"].copy(), True

    def trial_start(self):
        self.prob, self.entering = self.start.copy(), True

    def step(self, counts):
        likely = self.log_rate @ counts - self.offset
        # The start is the distribution of the trial's first frame: no time has passed before it.
        predicted = self.prob if self.entering else np.bincount(self.to, self.prob[self.source] * self.link,
                                                                len(self.prob))
        self.entering = False
        log_like = likely[self.node] * (1 - self.share) + likely[self.next_node] * self.share
        log_like *= self.temper
        weight = predicted * np.exp(log_like - log_like[predicted > 0].max())
        self.prob = weight / weight.sum()
        mean = self.prob @ self.values
        apart = self.position - mean[:2]
        cov = (self.prob @ self.spread).reshape(2, 2) + (self.prob[:, None] * apart).T @ apart
        target = np.bincount(self.target, self.prob, self.targets)
        return {"position": mean[:2].tolist(), "velocity": mean[2:].tolist(),
                "position_cov": cov.ravel().tolist(), "target_prob": target.tolist(),
                "target": int(target.argmax())}


def serve(decoder, frames_at, intents_at):
    import zmq
    context = zmq.Context()
    frames, intents = context.socket(zmq.SUB), context.socket(zmq.PUB)
    frames.subscribe(b"frame")
    frames.subscribe(b"event")
    frames.bind(frames_at)
    intents.bind(intents_at)
    while True:
        topic, body = frames.recv_multipart()
        if topic != b"frame":
            if b"trial_start" in body and hasattr(decoder, "trial_start"):
                decoder.trial_start()
            continue
        seq, = struct.unpack_from("<Q", body, SLOT)
        counts = np.frombuffer(body, np.uint16, offset=COUNTS).astype(float)
        intent = {"type": "intent", "frame": seq}
        intent.update(decoder.step(counts))
        # As trajd writes it, without blanks.
        intents.send_multipart([b"intent", json.dumps(intent, separators=(",", ":")).encode()])


def measure(decoder, frames):
    chance = np.random.default_rng(7)
    counts = chance.poisson(0.06, (64, decoder.log_rate.shape[1])).astype(float)
    took = []
    for i in range(frames):
        begun = time.perf_counter()
        decoder.step(counts[i % 64])
        took.append(time.perf_counter() - begun)
    print(f"{1e6 * float(np.median(took)):.1f}")


def main(arguments):
    if len(arguments) == 4 and arguments[0] == "kalman":
        serve(Kalman(int(arguments[3])), arguments[1], arguments[2])
    elif len(arguments) == 4 and arguments[0] == "courses":
        serve(Courses(arguments[3]), arguments[1], arguments[2])
    elif len(arguments) == 3 and arguments[0] == "time":
        measure(Courses(arguments[1]), int(arguments[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
