# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what the daemon really sends what proto/schema says, and are the vectors of proto/vectors refused
and counted by it as they are by the parsers?"""
import hashlib
import json
import os
import struct
import sys

import daemon
from daemon import BIN, TARGETS, UNITS, counts_of, crc32c, event, frame, wait_for

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed: the schemas were not checked")
    sys.exit(77)

PROTO = os.path.join(os.environ["TRAJ_SOURCE_DIR"], "proto")
KINDS = ("intent", "stale", "status", "control-request", "control-reply", "frame", "event")


def validators():
    made = {}
    for kind in KINDS:
        with open(os.path.join(PROTO, "schema", kind + ".json"), encoding="utf-8") as file:
            made[kind] = jsonschema.Draft202012Validator(json.load(file))
    return made


VALIDATORS = validators()


def binary(seq, device=0):
    """The frame that daemon.frame makes, as frame.md lays it out."""
    header = struct.pack("<4sHHHHIQddQI", b"TRJF", 1, 56, 1, 1, UNITS, seq, (seq + 1) * BIN, BIN, device, 0)
    payload = struct.pack(f"<{UNITS}H", *counts_of(seq))
    return header + struct.pack("<I", crc32c(header + bytes(4) + payload)) + payload


def events_of_all_kinds(t):
    cov = [1, 0.25, 0.25, 1]
    return [
        event("trial_start", t=t),
        event("target_prior", t=t, prob=[0.25] * TARGETS),
        event("gaze", t=t, position=[1, 2], cov=cov),
        event("targets", t=t, set="s", id=["a", "b"], position=[[1, 0], [0, 1]]),
        event("effector", t=t, position=[1, 2]),
        event("estimate", t=t, position=[1, 2], cov=cov),
        event("estimate", t=t, velocity=[1, 2], cov=cov),
        event("estimate", t=t, loglik=[0] * TARGETS),
        event("kinematics", t=t, position=[1, 2], velocity=[0, 0]),
        event("go", t=t),
        event("trial_stop", t=t),
        event("trial_label", t=t, target=1, go=None, rewarded=True),
        event("trial_label", t=t, target=1, start=0.1, stop=0.4, move=0.2),
        event("units", t=t, first=0, id=["a", "b"]),
    ]


class Schemas(daemon.DaemonTest):
    def check(self, kind, message):
        error = next(VALIDATORS[kind].iter_errors(message), None)
        self.assertIsNone(error, f"{kind} {json.dumps(message)}")
        return message

    def ask(self, d, **request):
        self.check("control-request", request)
        return self.check("control-reply", d.ask(**request))

    def check_sent(self, body):
        message = json.loads(body)
        return self.check("frame" if message["type"] == "frame" else "event", message)

    def test_intents(self):
        d = self.start(config={"speed_limit": 5.0})
        sink, source = d.sink("intent"), d.source()
        events = events_of_all_kinds(30 * BIN)
        for body in [event("session", run="a", marks=True)] + events:
            self.check_sent(body)
            source.send_multipart([b"event", body])
        for seq in [*range(40), *range(43, 60), *range(500, 510)]:
            body = frame(seq) if seq % 2 else binary(seq, device=seq)
            source.send_multipart([b"frame", body])
        intents = d.intents(sink, 67)
        for intent in intents:
            self.check("intent", intent)
        self.assertEqual([i["seq"] for i in intents], list(range(67)))
        self.assertEqual(intents[2]["stamps"]["device"], 2)
        self.assertIsNone(intents[1]["stamps"]["device"])
        flags = {flag for i in intents for flag in i["flags"]}
        self.assertLessEqual({"gap", "reset"}, flags)
        source.send_multipart([b"event", event("go", t=0.0)])
        self.ask(d, cmd="pause", on=True)
        d.settle(events=len(events) + 2)
        source.send_multipart([b"frame", frame(510)])
        last = self.check("intent", d.intents(sink, 1)[0])
        self.assertLessEqual({"late_event", "paused"}, set(last["flags"]))

    def test_both_bodies_say_the_same(self):
        as_json, _ = self.run_through([(b"frame", frame(seq)) for seq in range(20)], 20)
        as_binary, _ = self.run_through([(b"frame", binary(seq)) for seq in range(20)], 20)
        self.assertEqual(as_json, as_binary)

    def test_stale_and_status(self):
        d = self.start(config={"stale_ms": 50, "status_ms": 50})
        sink, source = d.sink("intent", "stale", "status"), d.source()
        source.send_multipart([b"frame", frame(0)])
        seen = set()
        while seen != {"intent", "stale", "status"}:
            topic, message = d.receive(sink)[0]
            self.assertEqual(message["type"], topic)
            self.check(topic, message)
            seen.add(topic)

    def test_replies(self):
        d = self.start()
        self.ask(d, cmd="ping")
        self.ask(d, cmd="status")
        for action in ("start", "go", "stop"):
            self.ask(d, cmd="trial", action=action)
        self.ask(d, cmd="prior", prob=[0.25] * TARGETS)
        for body in events_of_all_kinds(1.0):
            reply = self.ask(d, cmd="event", event=json.loads(body))
            self.assertTrue(reply["ok"], (body, reply))
        self.ask(d, cmd="event", event={"type": "session", "run": "b", "marks": False})
        self.ask(d, cmd="event", event={"type": "go"})
        self.ask(d, cmd="reset")
        self.ask(d, cmd="model", action="show")
        other = daemon.make_model(d.path("other.tjm"), seed=2)
        self.assertTrue(self.ask(d, cmd="model", action="load", path=other)["ok"])
        self.ask(d, cmd="model", action="show")
        self.ask(d, cmd="status")
        self.assertTrue(self.ask(d, cmd="model", action="rollback")["ok"])
        self.ask(d, cmd="pause", on=True)
        self.assertFalse(self.ask(d, cmd="model", action="load", path=d.path("none"))["ok"])
        self.assertTrue(self.ask(d, cmd="shutdown")["ok"])

    def test_request_vectors(self):
        """What the schema of requests refuses the daemon refuses, and it goes on."""
        d = self.start()
        folder = os.path.join(PROTO, "vectors/control-request")
        refused = 0
        for path, outcome in expected("control-request/"):
            with open(os.path.join(folder, os.path.basename(path)), encoding="utf-8") as file:
                text = file.read()
            if outcome != "accepted":
                reply = self.check("control-reply", d.ask_text(text))
                self.assertFalse(reply["ok"], (path, reply))
                refused += 1
        self.assertGreater(refused, 10)

    def test_model_file(self):
        """The model file is what model.md says: layout, order, digest."""
        d = self.start()
        with open(d.model, "rb") as file:
            image = bytearray(file.read())
        length, = struct.unpack("<Q", image[:8])
        header = json.loads(image[8:8 + length])
        metadata = header.pop("__metadata__")
        end = 0
        for name, tensor in header.items():
            self.assertEqual(tensor["data_offsets"][0], end, name)
            end = tensor["data_offsets"][1]
        self.assertEqual(8 + length + end, len(image))
        digest = metadata["digest"]
        at = image.index(b'"digest":"' + digest.encode()) + 10
        image[at:at + 64] = b"0" * 64
        self.assertEqual(hashlib.sha256(image).hexdigest(), digest)
        self.assertEqual(d.status()["model"]["digest"], digest)
        with open(os.path.join(PROTO, "model.md"), encoding="utf-8") as file:
            page = file.read()
        for name in [*header, *metadata]:
            self.assertIn(f"| `{name}` |", page)


def expected(kind):
    """(path, outcome) of the vectors of a kind."""
    with open(os.path.join(PROTO, "vectors/expected.txt"), encoding="utf-8") as file:
        rows = [line.split() for line in file if line.startswith(kind)]
    return [(row[0], row[1]) for row in rows]


class Refused(daemon.DaemonTest):
    """Each refused vector is counted by its cause, and the next good frame decodes as if it had never come.
    Those of cause `size` are left out: the daemon has more room than the vectors were made for."""

    def send_refused(self, topic, counted):
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        causes = {}
        vectors = [(path, outcome) for path, outcome in expected(topic + "/")
                   if outcome not in ("accepted", "size")]
        for seq, (path, outcome) in enumerate(vectors):
            with open(os.path.join(PROTO, "vectors", path), "rb") as file:
                source.send_multipart([topic.encode(), file.read()])
            source.send_multipart([b"frame", frame(seq)])
            causes[outcome] = causes.get(outcome, 0) + 1
        intents = d.intents(sink, len(vectors))
        wait_for(lambda: sum(d.status()[counted]["refused"].values()) >= len(vectors))
        status = d.status()
        self.assertEqual({cause: count for cause, count in status[counted]["refused"].items() if count},
                         causes)
        self.assert_identity(status)
        untouched, _ = self.run_through([(b"frame", frame(s)) for s in range(len(vectors))],
                                        len(vectors))
        self.assertEqual([daemon.bare(i) for i in intents], untouched)
        print(f"{len(vectors)} vectors: {causes}", file=sys.stderr)

    def test_frames(self):
        self.send_refused("frame", "frames")

    def test_events(self):
        self.send_refused("event", "events")


if __name__ == "__main__":
    daemon.main()
