#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network of one's own in the loop: it and trajd make one posterior.

    trajctl split --session s.h5 --train a.h5 --test b.h5
    trajctl train --session a.h5 --out m.tjm
    trajd --model m.tjm &
    python3 network.py --train a.h5 --test b.h5

A small feed-forward network (plain numpy: the last bins of all units, one hidden layer) is trained on one
session to tell position from counts.  Then the other session is sent to a running trajd, and before every
frame what the network makes of the frames so far, as an `estimate` with the covariance of its training
errors.  trajd finds out by itself how much that is worth.  Prints the error of the network, of trajd with
it, and of trajd alone.
"""
import argparse

import numpy as np
import trajd

HISTORY, HIDDEN, ROUNDS, RATE, DECAY = 12, 64, 1500, 3e-3, 1e-3


def inputs(counts):
    """The last HISTORY bins of square-rooted counts beside each other, zero before the beginning."""
    counts = np.asarray(counts, float)
    roots = np.sqrt(np.where(counts == trajd.MISSING, 0.0, counts))
    padded = np.vstack([np.zeros((HISTORY - 1, roots.shape[1])), roots])
    return np.hstack([padded[i:i + len(roots)] for i in range(HISTORY)])


class Network:
    """tanh hidden layer, linear output; Adam on the squared error over batches."""

    def __init__(self, x, y, seed=1):
        rng = np.random.default_rng(seed)
        self.mean, self.sd = x.mean(0), x.std(0) + 1e-6
        self.centre, self.scale = y.mean(0), y.std()
        x, y = (x - self.mean) / self.sd, (y - self.centre) / self.scale
        self.w = [rng.normal(0, 1 / np.sqrt(x.shape[1]), (x.shape[1], HIDDEN)), np.zeros(HIDDEN),
                  rng.normal(0, 1 / np.sqrt(HIDDEN), (HIDDEN, y.shape[1])), np.zeros(y.shape[1])]
        first, second = [np.zeros_like(w) for w in self.w], [np.zeros_like(w) for w in self.w]
        for step in range(1, ROUNDS + 1):
            batch = rng.integers(0, len(x), 256)
            hidden = np.tanh(x[batch] @ self.w[0] + self.w[1])
            error = (hidden @ self.w[2] + self.w[3] - y[batch]) / len(batch)
            back = (error @ self.w[2].T) * (1 - hidden ** 2)
            gradient = [x[batch].T @ back, back.sum(0), hidden.T @ error, error.sum(0)]
            for k, g in enumerate(gradient):
                first[k] = 0.9 * first[k] + 0.1 * g
                second[k] = 0.999 * second[k] + 0.001 * g ** 2
                change = first[k] / (1 - 0.9 ** step) / (np.sqrt(second[k] / (1 - 0.999 ** step)) + 1e-8)
                self.w[k] -= RATE * (change + DECAY * self.w[k])

    def __call__(self, x):
        hidden = np.tanh((x - self.mean) / self.sd @ self.w[0] + self.w[1])
        return (hidden @ self.w[2] + self.w[3]) * self.scale + self.centre


def play(session, guesses, cov, arguments):
    """Sends the session with what the network thinks (None = trajd alone); returns decoded positions."""
    decoded = np.full((len(session), session.position.shape[1]), np.nan)
    with trajd.Source(arguments.frames) as rig, trajd.Intents(arguments.intents) as intents:
        rig.wait()
        control = trajd.Control(arguments.control)
        while control.status()["subscribers"] == 0:  # until the daemon knows of us
            pass
        control.close()
        rig.session("network", marks=False)
        for b, end in enumerate(session.t_end):
            if guesses is not None and b > 0:
                rig.estimate(session.t_end[b - 1], position=guesses[b - 1], cov=cov)
            rig.frame(session.counts[b], t=float(end), dt=float(session.dt[b]))
            intent = intents.receive(10.0)
            if intent is None:
                raise SystemExit("no intent came in 10 s")
            if intent.position is not None:
                decoded[b] = intent.position
    return decoded


def rmse(a, b):
    return float(np.sqrt(np.nanmean(((a - b) ** 2).sum(1))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, help="session that the network learns from")
    parser.add_argument("--test", required=True, help="session that is decoded")
    parser.add_argument("--bins", type=int, default=None, help="decode so many bins alone")
    parser.add_argument("--frames", default=trajd.source.sockets.FRAMES)
    parser.add_argument("--intents", default=trajd.source.sockets.INTENTS)
    parser.add_argument("--control", default=trajd.source.sockets.CONTROL)
    arguments = parser.parse_args()
    train, test = trajd.Session.read(arguments.train), trajd.Session.read(arguments.test)
    test = test[:arguments.bins] if arguments.bins else test

    def truth(session):
        return np.column_stack([np.interp(session.t_end, session.kinematics_t, x) for x in session.position.T])

    network = Network(inputs(train.counts), truth(train))
    cov = np.cov((network(inputs(train.counts)) - truth(train)).T)
    guesses = network(inputs(test.counts))
    together, alone = play(test, guesses, cov, arguments), play(test, None, None, arguments)
    print(f"rmse: network {rmse(guesses, truth(test)):.2f}, trajd {rmse(alone, truth(test)):.2f}, "
          f"both {rmse(together, truth(test)):.2f}")


if __name__ == "__main__":
    main()
