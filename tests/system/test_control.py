# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the daemon: what each does, when it takes effect, and what is refused."""
import json
import os
import subprocess

import daemon
from daemon import TARGETS, bare, event, frame, zmq

LONGEST = 16 << 20  # bytes of a request


def frames(first, count):
    return [(b"frame", frame(seq)) for seq in range(first, first + count)]


class ControlTest(daemon.DaemonTest):
    def setUp(self):
        super().setUp()
        self.d = self.start()
        self.sink = self.d.sink("intent")
        self.source = self.d.source()

    def send(self, first, count):
        for message in frames(first, count):
            self.source.send_multipart(message)
        return [bare(i) for i in self.d.intents(self.sink, count)]

    def refused(self, **request):
        reply = self.d.ask(**request)
        self.assertEqual(set(reply), {"ok", "error"}, reply)
        self.assertIs(reply["ok"], False)
        return reply["error"]


class Requests(ControlTest):
    def test_ping(self):
        reply = self.d.must(cmd="ping")
        self.assertEqual(reply["frame"], 0)
        self.send(0, 7)
        self.assertEqual(self.d.must(cmd="ping")["frame"], 7)

    def test_trial_marks_by_hand_are_those_of_the_socket(self):
        by_hand = []
        for first, count, action in ((0, 10, "start"), (10, 20, "go"), (30, 5, "stop"), (35, 5, None)):
            by_hand += self.send(first, count)
            if action:
                reply = self.d.must(cmd="trial", action=action)
                self.assertEqual(reply["frame"], first + count)
        counted = self.d.status()["events"]
        self.assertEqual((counted["received"], counted["late"]), (3, 0))
        messages = frames(0, 10) + [(b"event", event("trial_start", t=0.2))] + frames(10, 20) + \
            [(b"event", event("go", t=0.6))] + frames(30, 5) + \
            [(b"event", event("trial_stop", t=0.7))] + frames(35, 5)
        over_socket, _ = self.run_through(messages, 40)
        self.assertEqual(by_hand, over_socket)
        without, _ = self.run_through(frames(0, 40), 40)
        self.assertNotEqual(by_hand, without)

    def test_marks_before_the_first_frame_and_twice_between_two(self):
        self.d.must(cmd="trial", action="start")
        first = self.send(0, 20)
        over_socket, _ = self.run_through([(b"event", event("trial_start", t=0.0))] + frames(0, 20), 20)
        self.assertEqual(first, over_socket)
        # Just before the frame, whatever the source's clock says: the course has not begun long ago.
        later = self.start()
        sink, source = later.sink("intent"), later.source()
        later.must(cmd="trial", action="start")
        for message in frames(100, 20):
            source.send_multipart(message)
        at_once = [bare(i) for i in later.intents(sink, 20)]
        over_socket, _ = self.run_through([(b"event", event("trial_start", t=2.0))] +
                                          frames(100, 20), 20)
        self.assertEqual(at_once, over_socket)
        for action in ("stop", "start", "stop", "start"):
            self.d.must(cmd="trial", action=action)
        counted = self.d.status()["events"]
        self.assertEqual((counted["received"], counted["duplicate"]), (5, 0))

    def test_a_source_that_starts_anew_does_not_hold_up_commands(self):
        self.send(0, 30)
        self.source.send_multipart([b"event", event("session", run="b", marks=True)])
        self.d.settle(events=1)
        self.d.must(cmd="trial", action="start")
        again = self.send(0, 10)
        messages = [(b"event", event("session", run="b", marks=True)),
                    (b"event", event("trial_start", t=0.0))] + frames(0, 10)
        expected, _ = self.run_through(messages, 10)
        self.assertEqual(again, expected)

    def test_prior(self):
        self.d.must(cmd="trial", action="start")
        self.send(0, 5)
        before = self.send(5, 1)[0]
        sure = [0.01] * TARGETS
        sure[2] = 0.97
        self.d.must(cmd="prior", prob=sure)
        after = self.send(6, 1)[0]
        self.assertGreater(after["target_prob"][2], before["target_prob"][2])
        self.assertEqual(after["target"], "t2")
        self.assertEqual(after["flags"], [])
        self.assertIn("target_prior", self.refused(cmd="prior", prob=[1, 0]))
        self.assertIn("prob", self.refused(cmd="prior", prob=["a"]))
        self.assertIn("prob", self.refused(cmd="prior", prob=[0] * TARGETS))
        self.refused(cmd="prior")
        self.refused(cmd="prior", prob=3)

    def test_events(self):
        self.send(0, 10)
        reply = self.d.must(cmd="event", event={"type": "trial_start"})
        self.assertEqual(reply["frame"], 10)
        # One with a time of its own is judged by it.
        self.d.must(cmd="event", event={"type": "go", "t": 0.05})
        self.assertEqual(self.send(10, 1)[0]["flags"], ["late_event"])
        self.assertEqual(self.d.status()["events"]["late"], 1)
        self.d.must(cmd="event", event={"type": "session", "run": "x", "marks": False})
        self.assertEqual(self.send(0, 1)[0]["seq"], 0)
        self.assertIn("type", self.refused(cmd="event", event={"type": "unheard"}))
        self.assertIn("position", self.refused(cmd="event", event={"type": "gaze"}))
        self.refused(cmd="event", event={})
        self.refused(cmd="event", event="go")
        self.refused(cmd="event")

    def test_reset(self):
        self.d.source()
        self.send(0, 50)
        self.assertEqual(self.d.must(cmd="reset")["frame"], 50)
        intent = self.send(50, 1)[0]
        self.assertEqual(intent["flags"], ["reset"])
        self.assertEqual(self.d.status()["frames"]["resets"], 1)

    def test_pause(self):
        expected, _ = self.run_through(frames(0, 30), 30)
        got = self.send(0, 10)
        self.assertEqual(self.d.must(cmd="pause", on=True)["frame"], 10)
        self.assertIs(self.d.status()["paused"], True)
        held = self.send(10, 10)
        for intent in held:
            self.assertIs(intent["valid"], False)
            self.assertEqual(intent["velocity"], [0, 0])
            self.assertEqual(intent["flags"], ["paused"])
        self.d.must(cmd="pause", on=False)
        self.assertIs(self.d.status()["paused"], False)
        # The estimator went on meanwhile.
        self.assertEqual(got + self.send(20, 10), expected[:10] + expected[20:])
        for request in ({}, {"on": 1}, {"on": "yes"}, {"on": True, "for": 3}):
            self.refused(cmd="pause", **request)

    def test_status(self):
        self.send(0, 10)
        status = self.d.settle(frames=10)
        self.assert_identity(status)
        self.assertEqual(status["model"]["units"], daemon.UNITS)
        self.assertEqual(status["model"]["targets"], TARGETS)
        self.assertEqual(status["model"]["family"], "mixture")
        self.assertEqual(status["endpoints"], self.d.endpoints)
        self.assertEqual(status["t"], frame_t(9))
        self.assertEqual(status["published"], 10)
        self.assertGreater(status["latency_ms"]["max"], 0)
        self.assertLessEqual(status["latency_ms"]["p50"], status["latency_ms"]["max"])
        total = status["latency_ms"]
        for name, stage in status["stages_ms"].items():
            self.assertEqual((stage["count"], stage["overflow"]), (total["count"], 0), name)
            self.assertLessEqual(stage["max"], total["max"], name)
        self.assertGreater(status["memory"], 1 << 20)
        self.assertGreater(status["threads"]["decode"]["minor_faults"], 0)
        self.assertGreaterEqual(status["threads"]["decode"]["cpu_s"], 0)
        self.assertGreaterEqual(status["threads"]["housekeeping"]["cpu_s"], 0)

    def test_shutdown(self):
        self.send(0, 10)
        self.assertEqual(self.d.must(cmd="shutdown")["frame"], 10)
        self.assertEqual(self.d.wait(), 0)


def frame_t(seq):
    return (seq + 1) * daemon.BIN


class NoRoom(ControlTest):
    """Events for which there is no room are refused with the reason that holds."""

    def targets(self, count, t=100.0):
        return {"type": "targets", "t": t, "set": "s", "id": [f"x{i}" for i in range(count)],
                "position": [[10.0 * (i + 1), 5.0] for i in range(count)]}

    def test_a_set_of_too_many_targets(self):
        model = self.d.path("course.tjm")
        subprocess.run([os.environ["TRAJCTL"], "bench", "--write-model", model, "--channels", str(daemon.UNITS),
                        "--targets", str(TARGETS), "--bin-ms", str(1e3 * daemon.BIN)], check=True,
                       capture_output=True)
        self.d.must(cmd="model", action="load", path=model)
        self.assertEqual(self.refused(cmd="event", event=self.targets(17)),
                         "targets is refused: id: 17, and the targets for which there is room are 16")
        self.d.must(cmd="event", event=self.targets(16))

    def test_too_many_that_wait(self):
        for i in range(4):
            self.d.must(cmd="event", event=self.targets(3, t=100.0 + i))
        self.assertEqual(self.refused(cmd="event", event=self.targets(3, t=200.0)),
                         "targets is refused: set: 5, and the sets that may wait for a frame are 4")
        for i in range(252):
            self.source.send_multipart([b"event", event("trial_start", t=100.0 + i)])
        self.d.settle(events=257)
        self.assertEqual(self.refused(cmd="event", event={"type": "go", "t": 500.0}),
                         "go is refused: t: too many events wait for a frame that has not come")
        self.assertEqual(self.d.status()["events"]["refused"]["size"], 2)


class Models(ControlTest):
    def test_load_and_roll_back(self):
        expected, _ = self.run_through(frames(0, 10), 10)
        first = self.d.must(cmd="model", action="show")
        self.assertIsNone(first["former"])
        other = daemon.make_model(self.d.path("other.tjm"), seed=2)
        before = self.send(0, 10)
        self.assertEqual(before, expected)
        reply = self.d.must(cmd="model", action="load", path=other)
        self.assertEqual(reply["frame"], 10)
        self.assertNotEqual(reply["model"]["digest"], first["model"]["digest"])
        after = self.send(10, 5)
        self.assertEqual(after[0]["flags"], ["model"])
        self.assertEqual(after[0]["model"], reply["model"]["digest"][:12])
        self.assertEqual([i["flags"] for i in after[1:]], [[]] * 4)
        shown = self.d.must(cmd="model", action="show")
        self.assertEqual(shown["former"]["digest"], first["model"]["digest"])
        self.assertEqual(shown["model"]["target_id"], [f"t{m}" for m in range(TARGETS)])
        back = self.d.must(cmd="model", action="rollback")
        self.assertEqual(back["model"]["digest"], first["model"]["digest"])
        again = self.send(15, 1)[0]
        self.assertEqual(again["model"], first["model"]["digest"][:12])
        self.assertEqual(again["flags"], ["model"])
        # The former starts at its prior, as if it had been loaded anew.
        anew = self.start()
        sink, source = anew.sink("intent"), anew.source()
        for message in frames(0, 10):
            source.send_multipart(message)
        anew.must(cmd="model", action="load", path=other)
        for message in frames(10, 5):
            source.send_multipart(message)
        anew.settle(frames=15)
        anew.must(cmd="model", action="load", path=self.d.model)
        source.send_multipart(frames(15, 1)[0])
        self.assertEqual(bare(anew.intents(sink, 16)[-1]), again)
        # A rollback can itself be rolled back.
        self.assertEqual(self.d.must(cmd="model", action="rollback")["model"]["digest"],
                         reply["model"]["digest"])
        self.assertIsNotNone(self.d.status()["former"])

    def test_rolled_back_it_stands_on_the_targets_in_force(self):
        """Not on those that it stood on when it ran last."""
        first, other = (daemon.make_model(self.d.path(f"{seed}.tjm"), family="course", seed=seed)
                        for seed in (1, 2))
        d = self.start(model=first)
        sink, source = d.sink("intent"), d.source()

        def said(seq):
            source.send_multipart(frames(seq, 1)[0])
            (intent,) = d.intents(sink, 1)
            return intent["target_set"], len(intent["target_prob"])
        own = said(0)
        d.must(cmd="event", event={"type": "targets", "set": "moved", "id": ["p", "q", "r"],
                                   "position": [[50, 0], [0, 50], [-50, 10]]})
        self.assertEqual(said(1), ("moved", 3))
        d.must(cmd="model", action="load", path=other)
        self.assertEqual(said(2), ("moved", 3))
        d.must(cmd="model", action="rollback")
        self.assertEqual(said(3), ("moved", 3))
        d.must(cmd="model", action="rollback")
        source.send_multipart([b"event", event("session", run="two", marks=False)])
        d.settle(events=2)
        said(0)
        d.must(cmd="model", action="rollback")
        self.assertEqual(said(1), own)

    def test_tables_that_cannot_move(self):
        sentence = self.refused(cmd="recalibrate", action="apply", coefficients=None)
        self.assertEqual(sentence, f"{self.d.model}: the tables of a model that is no filter over courses cannot "
                         "be moved")
        self.assertNotIn("retuned", self.send(0, 1)[0]["flags"])

    def by_topic(self, d, sink, count):
        """So many messages, bare, by topic."""
        said = {"intent": [], "shadow": []}
        for topic, body in d.receive(sink, count):
            said[topic].append(bare(body))
        return said["intent"], said["shadow"]

    def test_a_shadow_says_what_it_would_say_alone(self):
        other = daemon.make_model(self.d.path("other.tjm"), seed=2)
        alone = self.start(model=daemon.make_model(self.d.path("same.tjm"), seed=2))
        both = self.start(config={"shadow": other}, model=self.d.model)
        messages = [(b"event", event("session", run="a", marks=True))] + frames(0, 40)
        messages[21:21] = [(b"event", event("trial_start", t=frame_t(18))), (b"frame", b"{nonsense"),
                           (b"event", event("target_prior", t=frame_t(18), prob=[0.7, 0.1, 0.1, 0.1]))]
        told = {}
        for name, d, count in (("first", self.d, 40), ("alone", alone, 40), ("both", both, 80)):
            sink, source = d.sink("intent", "shadow"), d.source()
            for message in messages:
                source.send_multipart(message)
            told[name] = self.by_topic(d, sink, count)
        self.assertEqual(told["both"], (told["first"][0], told["alone"][0]))
        self.assertEqual(told["first"][1], [])
        status = both.status()["shadow"]
        self.assertEqual((status["decoded"], status["lost"], status["records_lost"]), (40, 0, 0))
        self.assertEqual(status["compared"], 40)
        for key, name in (("logev", "alone"), ("logev_running", "first")):
            mean = sum(intent["logev"] for intent in told[name][0]) / 40
            self.assertAlmostEqual(status[key], mean, places=9)
        roles = [model["role"] for model in both.must(cmd="model", action="list")["models"]]
        self.assertEqual(roles, ["running", "shadow"])

    def test_a_shadow_comes_and_goes(self):
        self.assertIsNone(self.d.status()["shadow"])
        sink = self.d.sink("intent", "shadow")
        self.send(0, 5)
        other = daemon.make_model(self.d.path("other.tjm"), seed=2)
        shadow = self.d.must(cmd="model", action="shadow", path=other)["shadow"]
        self.assertEqual((shadow["path"], shadow["decoded"], shadow["logev"]), (other, 0, None))
        self.send(5, 10)
        intents, shadows = self.by_topic(self.d, sink, 25)
        self.assertEqual([i["frame"] for i in intents], list(range(15)))
        self.assertEqual([i["frame"] for i in shadows], list(range(5, 15)))
        # A bad one is refused, and the good one goes on.
        self.refused(cmd="model", action="shadow", path=self.d.path("none.tjm"))
        self.send(15, 1)
        self.assertEqual(len(self.by_topic(self.d, sink, 2)[1]), 1)
        # One of another shape refuses the frames as a daemon with it would.
        wide = daemon.make_model(self.d.path("wide.tjm"), units=20, targets=6)
        self.d.must(cmd="model", action="shadow", path=wide)
        self.send(16, 1)
        self.assertEqual(self.d.must(cmd="model", action="shadow", path=None)["shadow"], None)
        self.send(17, 1)
        self.assertEqual(self.by_topic(self.d, sink, 2)[1], [])
        self.d.must(cmd="model", action="shadow", path=self.d.model)
        (intent,) = self.send(18, 1)
        _, (shadow,) = self.by_topic(self.d, sink, 2)
        self.assertEqual((shadow["frame"], shadow["model"]), (18, intent["model"]))

    def test_a_model_of_another_shape(self):
        self.send(0, 3)
        wide = daemon.make_model(self.d.path("wide.tjm"), units=20, targets=6)
        self.d.must(cmd="model", action="load", path=wide)
        self.source.send_multipart([b"frame", frame(3, units=20)])
        (intent,) = self.d.intents(self.sink, 1)
        self.assertEqual(len(intent["target_prob"]), 6)
        self.source.send_multipart([b"frame", frame(4)])
        self.assertEqual(self.d.settle(frames=5)["frames"]["refused"]["units"], 1)

    def test_a_bad_model_is_refused_and_the_running_one_goes_on(self):
        expected, _ = self.run_through(frames(0, 30), 30)
        got = self.send(0, 10)
        with open(self.d.model, "rb") as file:
            good = file.read()
        bad = {"empty": b"", "text": b"not a model", "short": good[:-8], "long": good + b"\0",
               "flipped": good[:-5] + bytes([good[-5] ^ 64]) + good[-4:], "huge": b"\xff" * 100}
        for name, content in bad.items():
            path = self.d.path(name)
            with open(path, "wb") as file:
                file.write(content)
            self.assertIn(path, self.refused(cmd="model", action="load", path=path))
        missing = self.d.path("nowhere.tjm")
        self.assertIn(missing, self.refused(cmd="model", action="load", path=missing))
        self.refused(cmd="model", action="load", path=self.d.folder)
        self.refused(cmd="model", action="load", path="")
        self.refused(cmd="model", action="load", path="x" * 5000)
        self.assertIn("former", self.refused(cmd="model", action="rollback"))
        self.assertEqual(got + self.send(10, 20), expected)
        self.assertIsNone(self.d.status()["former"])

    def test_a_model_that_does_not_fit_the_configuration(self):
        d = self.start(config={"workspace": {"low": [-50, -50], "high": [50, 50]}})
        solid = daemon.make_model(d.path("solid.tjm"), dim=3)
        reply = d.ask(cmd="model", action="load", path=solid)
        self.assertIs(reply["ok"], False)
        self.assertIn("workspace", reply["error"])
        self.assertEqual(d.status()["model"]["dim"], 2)
        self.d.must(cmd="model", action="load", path=solid)
        self.assertEqual(len(self.send(0, 1)[0]["position"]), 3)

    def test_what_is_saved_takes_the_place_of_a_model_alone(self):
        def save(path):
            return dict(cmd="recalibrate", action="save", path=self.d.path(path))
        for _ in range(2):  # where nothing is, and where a model is
            self.d.must(**save("today.tjm"))
        with open(self.d.path("today.tjm"), "rb") as file:
            good = file.read()
        others = {"empty": b"", "notes": b"of nobody's concern\n", "short.tjm": good[:-8]}
        for name, content in others.items():
            with open(self.d.path(name), "wb") as file:
                file.write(content)
        os.symlink(self.d.path("notes"), self.d.path("link"))
        os.symlink(self.d.path("nowhere"), self.d.path("lost"))
        os.mkfifo(self.d.path("pipe"))
        there = sorted(os.listdir(self.d.folder))
        for name in (*others, "link", "lost", "pipe", "."):
            self.assertIn("save writes over models alone: " + self.d.path(name), self.refused(**save(name)))
        self.assertEqual(sorted(os.listdir(self.d.folder)), there)
        self.assertTrue(os.path.islink(self.d.path("link")) and os.path.islink(self.d.path("lost")))
        for name, content in others.items():
            with open(self.d.path(name), "rb") as file:
                self.assertEqual(file.read(), content)

    def test_model_requests_are_strict(self):
        for request in ({}, {"action": "eat"}, {"action": "load"}, {"action": "show", "path": "x"},
                        {"action": "load", "path": 3}, {"action": 1}, {"action": "shadow"},
                        {"action": "shadow", "path": 3}, {"action": "shadow", "path": ""},
                        {"action": "list", "path": 3}, {"action": "show", "path": None}):
            self.refused(cmd="model", **request)


class Garbage(daemon.DaemonTest):
    def test_whatever_comes_is_answered_with_a_sentence(self):
        d = self.start()
        requests = ["", " ", "{", "hello", "[]", "3", "null", '{"cmd":3}', "{}", '{"cmd":"fly"}',
                    '{"cmd":"ping","more":1}', '{"cmd":"ping","cmd":"ping"}', '{"cmd":"ping"} x',
                    '{"cmd":"trial"}', '{"cmd":"trial","action":"pause"}', '{"cmd":"reset","t":1}',
                    '{"Cmd":"ping"}', "[" * 5000, '{"cmd":"' + "x" * 5000 + '"}',
                    '{"cmd":"' + "\u00e4" * 63 + '"}', b"\xff\xfe", b"\0", b'{"cmd":"ping"\0}']
        for request in requests:
            reply = d.ask_text(request)
            self.assertEqual(set(reply), {"ok", "error"}, (request, reply))
            self.assertGreater(len(reply["error"]), 10)
        self.assertTrue(d.ask(cmd="ping")["ok"])

    def test_envelopes(self):
        d = self.start()
        for parts in ([b'{"cmd":"ping"}', b""], [b'{"cmd":"ping"}', b'{"cmd":"ping"}'], [b"x"] * 20):
            self.assertIs(d.ask_text(*parts)["ok"], False)
        dealer = d.socket(zmq.DEALER, "control")
        for parts, ok in (([b'{"cmd":"ping"}'], True), ([b"", b'{"cmd":"ping"}'], True),
                          ([b"id", b"", b'{"cmd":"ping"}'], True), ([b""], False), ([b"", b""], False),
                          ([b"a", b"b", b'{"cmd":"ping"}'], False), ([b"x"] * 9, False)):
            dealer.send_multipart(parts)
            self.assertTrue(dealer.poll(daemon.PATIENCE * 1000), parts)
            reply = dealer.recv_multipart()
            self.assertIs(json.loads(reply[-1])["ok"], ok, parts)
        # Many requests at once are all answered, in order.
        for _ in range(200):
            dealer.send_multipart([b'{"cmd":"ping"}'])
        for _ in range(200):
            self.assertTrue(dealer.poll(daemon.PATIENCE * 1000))
            dealer.recv_multipart()

    def test_a_client_that_goes_away_with_its_request(self):
        d = self.start()
        for _ in range(20):
            gone = d.socket(zmq.DEALER, "control")
            gone.send_multipart([b"", b'{"cmd":"status"}'])
            gone.close(0)
        self.assertTrue(d.ask(cmd="ping")["ok"])

    def test_a_request_that_is_far_too_long(self):
        d = self.start()
        dealer = d.socket(zmq.DEALER, "control")
        ended = d.connection(dealer)
        ping = b'{"cmd":"ping"}'
        # One that is just as long as may be is answered.
        dealer.send_multipart([b"", ping.ljust(LONGEST)])
        self.assertTrue(dealer.poll(daemon.PATIENCE * 1000))
        self.assertIn(b'"ok"', dealer.recv_multipart()[-1])
        self.assertFalse(ended(0))
        # One byte more ends the connection that sent it, and is not.
        dealer.send_multipart([b"", ping.ljust(LONGEST + 1)])
        self.assertTrue(ended())
        self.assertTrue(d.ask(cmd="ping")["ok"])
        self.assertFalse(dealer.poll(0))
        # The client comes back by itself and is answered, and that once.
        dealer.send_multipart([b"", b'{"cmd":"fly"}'])
        self.assertTrue(dealer.poll(daemon.PATIENCE * 1000))
        self.assertIs(json.loads(dealer.recv_multipart()[-1])["ok"], False)
        self.assertFalse(dealer.poll(0))


if __name__ == "__main__":
    daemon.main()
