# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's policies on its way from frames to intents, each seen from outside."""
import json
import signal
import socket
import struct
import time

import daemon
from daemon import BIN, TARGETS, UNITS, bare, crc32c, event, frame, wait_for, zmq


def peer_says(peer, *messages):
    """To a socket of libzmq's, as bytes of ZMTP 3.0; the handshake comes before the first."""
    if not peer.gettimeout():
        peer.settimeout(daemon.PATIENCE)
        peer.sendall(b"\xff" + bytes(8) + b"\x7f\3\0" + b"NULL".ljust(20, b"\0") + bytes(32))
        ready = b"\5READY\x0bSocket-Type" + struct.pack(">I", 3) + b"SUB"
        peer.sendall(bytes((4, len(ready))) + ready)
        heard = b""
        while not heard.endswith(b"XPUB"):  # the daemon's part of it; before that it takes no message
            more = peer.recv(1)
            assert more, heard
            heard += more
    for message in messages:
        peer.sendall(bytes((0, len(message))) + message)


def frames(count, start=0):
    return [(b"frame", frame(seq)) for seq in range(start, start + count)]


class Decoding(daemon.DaemonTest):
    def test_every_frame_gives_an_intent_in_order(self):
        intents, d = self.run_through(frames(300), 300)
        self.assertEqual([i["frame"] for i in intents], list(range(300)))
        self.assertEqual([i["seq"] for i in intents], list(range(300)))
        for i in intents:
            self.assertTrue(i["valid"])
            self.assertAlmostEqual(sum(i["target_prob"]) + i["free_prob"], 1.0, places=9)
        status = d.settle(frames=300)
        self.assertEqual(status["frames"]["decoded"], 300)
        self.assert_identity(status)
        self.assertEqual(status["latency_ms"]["count"], 300)

    def test_the_same_frames_give_the_same_intents(self):
        first, _ = self.run_through(frames(120), 120)
        second, _ = self.run_through(frames(120), 120)
        self.assertEqual(first, second)

    def test_stamps(self):
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        before = time.monotonic()
        source.send_multipart([b"frame", frame(0)])
        (intent,) = d.intents(sink, 1)
        stamps = intent["stamps"]
        self.assertLessEqual(before, stamps["recv"])
        self.assertLessEqual(stamps["recv"], stamps["done"])
        self.assertLessEqual(stamps["done"], time.monotonic())
        self.assertEqual(stamps["behind"], 0)
        self.assertIsNone(stamps["device"])

    def test_frames_that_wait_are_all_decoded_and_say_how_many_wait(self):
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        expected, _ = self.run_through(frames(400), 400)
        for _ in range(20):
            d.signal(signal.SIGSTOP)
            source.send_multipart([b"event", event("session", run="r", marks=False)])
            for message in frames(400):
                source.send_multipart(message)
            time.sleep(0.1)  # so that they wait in the sockets, not in this process
            d.signal(signal.SIGCONT)
            intents = d.intents(sink, 400)
            got = [bare(i) for i in intents]
            got[0]["flags"] = expected[0]["flags"]  # the session event starts the posterior anew
            self.assertEqual(got, expected)
            self.assertEqual(intents[-1]["stamps"]["behind"], 0)
            behind = [i["stamps"]["behind"] for i in intents]
            if max(behind) > 0:
                break
        self.assertGreater(max(behind), 0)
        # While nothing arrives, each frame that is done is one less that waits.
        self.assertEqual(behind[-2:], [1, 0])
        self.assertGreaterEqual(d.status()["behind_max"], max(behind))

    def test_newest_publishes_the_last_of_those_that_waited(self):
        d = self.start(config={"publish": "newest"})
        expected, _ = self.run_through(frames(400), 400)
        sink, source = d.sink("intent"), d.source()
        for _ in range(20):
            d.signal(signal.SIGSTOP)
            source.send_multipart([b"event", event("session", run="r", marks=False)])
            for message in frames(400):
                source.send_multipart(message)
            time.sleep(0.1)
            d.signal(signal.SIGCONT)
            got = []
            while not got or got[-1]["frame"] != 399:
                got += d.intents(sink, 1)
            if len(got) < 400:
                break
        self.assertLess(len(got), 400)
        for intent in got:
            # All are decoded, only fewer are told: what is told is what it would have been.
            same = bare(intent)
            if intent["frame"] == 0:
                same["flags"] = expected[0]["flags"]
            self.assertEqual(same, expected[intent["frame"]])
        status = d.settle(frames=400)
        self.assertEqual(status["frames"]["decoded"] % 400, 0)
        self.assertLess(status["published"], status["frames"]["decoded"])

    def test_nothing_is_lost_with_short_queues(self):
        # 20000 frames through a queue of 10: the source is held back and nothing is dropped.
        d = self.start(config={"receive_hwm": 10, "publish": "newest"})
        source = d.source(SNDHWM=10)
        for seq in range(20000):
            source.send_multipart([b"frame", frame(seq, counts=[1] * UNITS)])
        status = d.settle(frames=20000)
        self.assertEqual(status["frames"]["decoded"], 20000)
        self.assertEqual(status["frames"]["missing"], 0)

    def test_nothing_is_lost_when_the_source_goes_at_once(self):
        for endpoint in (None, "tcp://127.0.0.1:*"):
            d = self.start(config={"publish": "newest"},
                           endpoints={"frames": endpoint} if endpoint else None)
            d.endpoints.update({"frames": d.status()["endpoints"]["frames"]})
            source = d.source()
            begin = time.monotonic()
            for seq in range(2000):
                source.send_multipart([b"frame", frame(seq, counts=[1] * UNITS)])
            d.settle(frames=2000)
            # Fewer where a sanitizer or valgrind slows the daemon down.
            count = 100000 if time.monotonic() - begin < 1.0 else 20000
            for seq in range(2000, count):
                source.send_multipart([b"frame", b'{"type":"frame","seq":%d,"t":%.2f,"dt":0.02,'
                                       b'"counts":[1,1,1,1,1,1,1,1,1,1,1,1]}' %
                                       (seq, (seq + 1) * BIN)])
            source.close(int(daemon.PATIENCE * 1000))
            status = d.settle(frames=count)
            self.assertEqual(status["frames"]["decoded"], count)
            self.assertEqual(status["frames"]["missing"], 0)

    def test_a_slow_subscriber_delays_nothing(self):
        d = self.start(config={"send_hwm": 100})
        slow = d.sink("intent", RCVHWM=1, RCVBUF=4096)
        source = d.source()
        # Far more than any socket buffer holds, to somebody who does not read.
        count = 20000
        for seq in range(count):
            source.send_multipart([b"frame", frame(seq, counts=[1] * UNITS)])
        status = d.settle(frames=count)
        self.assertEqual(status["frames"]["decoded"], count)
        got = []
        while slow.poll(500):
            got.append(json.loads(slow.recv_multipart()[1])["seq"])
        self.assertLess(len(got), count, "the slow subscriber lost nothing: this shows nothing")
        self.assertEqual(got, sorted(set(got)))
        # Its losses show in seq, and it is served again.
        source.send_multipart([b"frame", frame(count)])
        (intent,) = d.intents(slow, 1)
        self.assertEqual(intent["seq"], count)

    def test_a_slow_subscriber_takes_nothing_from_a_fast_one(self):
        d = self.start(config={"send_hwm": 500})
        slow = d.sink("intent", RCVHWM=1, RCVBUF=4096)
        fast = d.sink("intent")
        source = d.source()
        for block in range(40):
            for seq in range(200 * block, 200 * (block + 1)):
                source.send_multipart([b"frame", frame(seq, counts=[1] * UNITS)])
            got = [i["seq"] for i in d.intents(fast, 200)]
            self.assertEqual(got, list(range(200 * block, 200 * (block + 1))))
        self.assertFalse(slow.closed)

    def test_a_dead_subscriber_delays_nothing(self):
        d = self.start()
        dead = d.sink("intent")
        source = d.source()
        for seq in range(50):
            source.send_multipart([b"frame", frame(seq)])
        d.intents(dead, 10)
        dead.close(0)
        for seq in range(50, 2000):
            source.send_multipart([b"frame", frame(seq)])
        self.assertEqual(d.settle(frames=2000)["frames"]["decoded"], 2000)
        daemon.wait_for(lambda: d.status()["subscribers"] == 0)

    def test_nobody_takes_the_bytes_from_another(self):
        """One who takes back a subscription that it never had; one who subscribes twice and goes."""
        d = self.start()
        source = d.source()
        twice = d.sink("binary", "binary")
        daemon.wait_for(lambda: d.status()["subscribers"] > 0)
        sink = d.sink("binary", "intent")
        twice.close(0)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(d.path("intents"))
            for _ in range(5):
                peer_says(peer, b"\0binary", b"\0b", b"\0intent", b"\0")
            # Heard: what it asks for behind all that is answered.
            peer_says(peer, b"\1status")
            d.write_config({**d.config, "status_ms": 10})
            d.signal(signal.SIGHUP)
            heard = b""
            while b'"type":"status"' not in heard:
                more = peer.recv(65536)
                self.assertTrue(more, "the daemon has closed the connection")
                heard += more
            for seq in range(20):
                source.send_multipart([b"frame", frame(seq)])
            topics = []
            for _ in range(40):
                self.assertTrue(sink.poll(daemon.PATIENCE * 1000), topics)
                topics.append(sink.recv_multipart()[0])
        self.assertEqual(topics, [b"intent", b"binary"] * 20)

    def test_binary_frames_are_the_same_frames(self):
        text, _ = self.run_through(frames(60), 60)
        binary, _ = self.run_through([(b"frame", binary_frame(seq)) for seq in range(60)], 60)
        self.assertEqual(text, binary)

    def test_a_source_that_starts_anew(self):
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        runs = []
        for _ in range(2):
            source.send_multipart([b"event", event("session", run="r", marks=False)])
            for message in frames(50):
                source.send_multipart(message)
            runs.append([bare(i) for i in d.intents(sink, 50)])
        self.assertEqual(runs[0], runs[1])


def binary_frame(seq):
    counts = daemon.counts_of(seq)
    payload = struct.pack(f"<{UNITS}H", *counts)
    def header(crc):
        return struct.pack("<4sHHHHIQddQII", b"TRJF", 1, 56, 1, 1, UNITS, seq, (seq + 1) * BIN,
                           BIN, 0, 0, crc)
    return header(crc32c(header(0) + payload)) + payload


class Refusals(daemon.DaemonTest):
    def test_malformed_messages_are_counted_and_change_nothing(self):
        good = frames(100)
        binary = binary_frame(1)
        bad = {  # by the cause under which each is counted
            "syntax": [b"", b"{", b"hello", b"\x00" * 64, b"[1,2]", frame(1) + b"x", frame(1)[:-1],
                       binary[:40], binary + b"\0", b"TRJF", b"TRJX" + binary[4:], b"{" * 2000],
            "version": [binary[:4] + b"\x07\x00" + binary[6:]],
            "checksum": [binary[:-1] + bytes([binary[-1] ^ 1])],
            "field": [frame(1, t="x"), frame(1, dt=0), frame(1, dt=-1.0), frame(-1),
                      frame(1)[:-1] + b',"extra":1}', frame(1)[:-1] + b',"seq":1}',
                      b'{"type":"frame","seq":1,"t":NaN,"dt":0.02,"counts":[]}'],
            "units": [frame(1, units=UNITS - 1), frame(1, units=UNITS + 1)],
            "counts": [frame(1, counts=[1001] + [0] * (UNITS - 1))],
        }
        messages = []
        for i, message in enumerate(good):
            messages.append(message)
            if i == 40:
                messages += [(b"frame", body) for bodies in bad.values() for body in bodies]
        expected, _ = self.run_through(good, 100)
        got, d = self.run_through(messages, 100)
        self.assertEqual(got, expected)
        sent = sum(len(bodies) for bodies in bad.values())
        status = d.settle(frames=100 + sent)
        self.assertEqual(status["frames"]["invalid"], sent)
        self.assert_identity(status)
        for cause, bodies in bad.items():
            self.assertGreaterEqual(status["frames"]["refused"][cause], 1, cause)
        # Logged, but at a limited rate.
        said = d.said().count("frame refused")
        self.assertGreaterEqual(said, 1)
        self.assertLessEqual(said, 5)

    def test_a_refusal_names_the_field_and_the_reason(self):
        d = self.start()
        source = d.source()
        where = [[0.0] * 2, [0.0] * 3]
        said = {
            frame(1, units=UNITS - 1):
                f"frame refused (units): counts: {UNITS - 1}, and the model's units are {UNITS}",
            frame(1, counts=[0, 1001] + [0] * (UNITS - 2)):
                "frame refused (counts): counts[1]: 1001, and count_max is 1000",
            frame(1, dt=1e-9): "frame refused (field): dt: 1e-09, and the narrowest that is believed of this model",
            frame(1, dt=50.0): "frame refused (field): dt: 50, and the widest that is believed of this model",
            frame(1, t=1e13): "frame refused (field): t: 1e+13, and the furthest is 1e+12",
            event("target_prior", t=0.1, prob=[0.5] * (TARGETS + 1)):
                f"event refused (units): prob: {TARGETS + 1}, and the targets there are or will be {TARGETS}",
            event("gaze", t=0.1, position=where[1], cov=[1.0, 0, 0, 0, 1, 0, 0, 0, 1]):
                "event refused (units): position: 3, and the model's dimensions are 2",
            event("gaze", t=0.1, position=where[0], cov=[1.0, 2, 2, 1]):
                "event refused (field): cov: not symmetric and positive definite",
            event("targets", t=0.1, set="far", id=["a"], position=[[0.0, -2e6]]):
                "event refused (field): position: a target farther than 1e6 from the origin",
        }
        for body in said:
            source.send_multipart([b"event" if b'"t": 0.1,' in body else b"frame", body])
        d.settle(frames=4, events=4)
        wait_for(lambda: d.said().count("refused") >= len(said))
        for line in said.values():
            self.assertIn(line, d.said())

    def test_what_waits_to_be_published_goes_out_before_a_pause_is_answered(self):
        """With `newest` an intent waits for a newer one, but not until after the pause."""
        d = self.start(config={"publish": "newest"})
        sink, source = d.sink("intent"), d.source(SNDHWM=0)
        source.send_multipart(frames(1)[0])
        d.intents(sink, 1)
        names = [f"a name of some length {i}" for i in range(256)]
        slow = event("units", t=1.0, first=0, id=names)
        for seq in range(1, 6):
            d.signal(signal.SIGSTOP)
            source.send_multipart(frames(1, seq)[0])
            for _ in range(900):
                source.send_multipart([b"event", slow])
            time.sleep(0.2)
            d.signal(signal.SIGCONT)
            while d.status()["frames"]["decoded"] <= seq:
                pass  # without delay: the events are what is to be between
            d.must(cmd="pause", on=True)
            self.assertEqual(d.status()["published"], seq + 1)
            d.must(cmd="pause", on=False)
            d.settle(events=900 * seq)

    def test_what_others_send_moves_no_terminal(self):
        d = self.start()
        d.ask_text(json.dumps({"cmd": "x\u009b31m\u001b[31m\u00e4"}, ensure_ascii=False))
        wait_for(lambda: "31m" in d.said())
        self.assertIn('"x??31m?[31m\u00e4"', d.said())

    def test_messages_of_a_wrong_number_of_parts(self):
        messages = frames(10)
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        for message in messages[:5]:
            source.send_multipart(message)
        source.send_multipart([b"frame"])
        source.send_multipart([b"frame", frame(5), b"more"])
        source.send_multipart([b"frame", frame(5), b"more", b"and more"])
        source.send_multipart([b"event"])
        source.send_multipart([b"event", event("go", t=0.1), b""])
        source.send_multipart([b"framed", frame(5)])
        source.send_multipart([b"eventually", frame(5)])
        for message in messages[5:]:
            source.send_multipart(message)
        got = [bare(i) for i in d.intents(sink, 10)]
        expected, _ = self.run_through(messages, 10)
        self.assertEqual(got, expected)
        status = d.settle(frames=15, events=2)
        self.assertEqual(status["frames"]["refused"]["syntax"], 3)
        self.assertEqual(status["frames"]["refused"]["type"], 2)
        self.assertEqual(status["events"]["refused"]["syntax"], 2)
        self.assert_identity(status)

    def test_bad_events_are_counted_and_change_nothing(self):
        bad = [b"", b"{}", b"nonsense", event("unheard"), event("go"), event("go", t="now"),
               event("go", t=0.1, more=1), event("target_prior", t=0.1, prob=[1.0]),
               event("target_prior", t=0.1, prob=[0.0] * TARGETS),
               event("gaze", t=0.1, position=[0, 0], cov=[1, 0, 0])]
        messages = frames(50)
        expected, _ = self.run_through(messages, 50)
        got, d = self.run_through(messages[:20] + [(b"event", b) for b in bad] + messages[20:], 50)
        self.assertEqual(got, expected)
        status = d.settle(events=len(bad))
        self.assertEqual(sum(status["events"]["refused"].values()), len(bad))

    def test_a_message_that_is_far_too_long(self):
        d = self.start(config={"message_max": 4096})
        sink, source = d.sink("intent"), d.source()
        ended = d.connection(source)
        # One that is just as long as may be is a message like any other.
        source.send_multipart([b"frame", frame(0).ljust(4096)])
        source.send_multipart([b"frame", b"{".ljust(4096)])
        d.intents(sink, 1)
        counted = d.settle(frames=2)["frames"]
        self.assertEqual((counted["decoded"], counted["refused"]["syntax"]), (1, 1))
        self.assertFalse(ended(0))
        # One byte more ends the connection that sent it, and is no frame.
        source.send_multipart([b"frame", frame(1).ljust(4097)])
        self.assertTrue(ended())
        self.assertEqual(d.status()["frames"]["received"], 2)
        # The source comes back by itself and is served.
        seq = 2
        while not sink.poll(50):
            source.send_multipart([b"frame", frame(seq)])
            seq += 1
            self.assertLess(seq, 1000, "the source is not served again")
        counted = d.status()["frames"]
        self.assertEqual((counted["duplicate"], counted["invalid"]), (0, 1))

    def test_a_message_of_very_many_parts(self):
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        source.send_multipart([b"frame", frame(0)])
        d.intents(sink, 1)
        for _ in range(3):
            source.send_multipart([b"frame"] + [b""] * 100000)
        source.send_multipart([b"event"] + [b""] * 100000)
        source.send_multipart([b"frame", frame(1)])
        [intent] = d.intents(sink, 1)
        self.assertEqual(intent["frame"], 1)
        status = d.status()
        self.assertEqual((status["frames"]["decoded"], status["frames"]["invalid"]), (2, 3))
        self.assert_identity(status)

    def test_a_subscriber_whose_message_is_too_long(self):
        d = self.start()
        sink, source = d.socket(zmq.XSUB, "intents"), d.source()
        ended = d.connection(sink)
        # What is no subscription is passed over, but counts; libzmq adds some bytes to each.
        sink.send(b"\x02" * 4000)
        sink.send(b"\x01intent")
        wait_for(lambda: d.status()["subscribers"] == 1)
        source.send_multipart([b"frame", frame(0)])
        d.intents(sink, 1)
        self.assertFalse(ended(0))
        sink.send(b"\x02" * 4200)
        self.assertTrue(ended())
        # It comes back by itself with its subscription, and is served.
        seq = 1
        while not sink.poll(50):
            source.send_multipart([b"frame", frame(seq)])
            seq += 1
            self.assertLess(seq, 1000, "the subscriber is not served again")

    def test_late_and_duplicate(self):
        d = self.start()
        sink, source = d.sink("intent"), d.source()
        for seq in (0, 1, 2, 2, 5, 4, 6):
            source.send_multipart([b"frame", frame(seq)])
        got = d.intents(sink, 5)
        self.assertEqual([i["frame"] for i in got], [0, 1, 2, 5, 6])
        self.assertIn("gap", got[3]["flags"])
        counted = d.settle(frames=7)["frames"]
        self.assertEqual((counted["late"], counted["duplicate"], counted["gaps"]), (1, 1, 1))


class Deaf(daemon.DaemonTest):
    """Frames come and none of them is decoded: the log says why, and a session event ends it."""

    def until_told(self, d, source, made):
        """Sends frames, as (seq, t), until the log speaks, and some more; how many they were."""
        sent, give_up = 0, time.monotonic() + daemon.PATIENCE
        while "nothing has been decoded" not in d.said():
            self.assertLess(time.monotonic(), give_up)
            source.send_multipart([b"frame", frame(*made(sent))])
            sent += 1
            time.sleep(0.002)
        for _ in range(50):
            source.send_multipart([b"frame", frame(*made(sent))])
            sent += 1
        return sent

    def test_one_stamp_far_ahead(self):
        for stale_ms in (60, 0):
            d = self.start(config={"stale_ms": stale_ms})
            sink, source = d.sink("intent"), d.source()
            for seq in range(10):
                source.send_multipart([b"frame", frame(seq)])
            source.send_multipart([b"frame", frame(10, t=1e6)])
            d.intents(sink, 11)
            sent = self.until_told(d, source, lambda i: (11 + i, 0.02 * (12 + i)))
            counted = d.settle(frames=11 + sent)["frames"]
            self.assertEqual((counted["decoded"], counted["late"]), (11, sent))
            [said] = [line for line in d.said().splitlines() if "nothing has been decoded" in line]
            self.assertRegex(said, "frames since are all late or duplicates, because the last decoded "
                                   "one was seq 10, t 1000000, and now seq [0-9]+, t [0-9.]+ comes; "
                                   "a session event begins anew")
            source.send_multipart([b"event", event("session", run="again", marks=False)])
            source.send_multipart([b"frame", frame(1000)])
            self.assertEqual(d.intents(sink, 1)[0]["frame"], 1000)

    def test_a_source_that_begins_anew_and_does_not_say_so(self):
        d = self.start(config={"stale_ms": 60})
        sink, source = d.sink("intent"), d.source()
        for seq in range(10000, 10040):
            source.send_multipart([b"frame", frame(seq)])
        d.intents(sink, 40)
        # Some that came before, then such as never came.
        self.until_told(d, source, lambda i: (10000 + i if i < 20 else i, 0.02 * (i + 1)))
        self.assertIn("one was seq 10039, t 200.8, and now seq ", d.said())
        self.assertGreater(d.status()["frames"]["duplicate"], 0)

    def test_what_is_overtaken_now_and_then_is_not_told(self):
        d = self.start(config={"stale_ms": 10})
        sink, source = d.sink("intent"), d.source()
        for seq in range(0, 60, 2):
            source.send_multipart([b"frame", frame(seq + 1)])
            time.sleep(0.02)
            for one in (seq, seq + 1):
                source.send_multipart([b"frame", frame(one)])
        d.intents(sink, 30)
        counted = d.settle(frames=90)["frames"]
        self.assertEqual((counted["late"], counted["duplicate"]), (30, 30))
        self.assertNotIn("nothing has been decoded", d.said())


class Silence(daemon.DaemonTest):
    def test_stale_speaks_once_a_period_and_changes_nothing(self):
        messages = frames(40)
        expected, _ = self.run_through(messages, 40)
        d = self.start(config={"stale_ms": 100})
        both = d.sink("intent", "stale")
        source = d.source()
        time.sleep(0.3)
        self.assertFalse(both.poll(0), "stale before any frame has come")
        for message in messages[:20]:
            source.send_multipart(message)
        first = [m for m in d.receive(both, 20) if m[0] == "intent"]
        self.assertEqual(len(first), 20)
        stale = d.receive(both, 4)
        self.assertEqual({topic for topic, _ in stale}, {"stale"})
        for k, (_, body) in enumerate(stale):
            self.assertEqual(body["type"], "stale")
            self.assertIs(body["valid"], False)
            self.assertEqual(body["velocity"], [0, 0])
            self.assertEqual(body["t"], first[-1][1]["t"])
            self.assertEqual(body["model"], first[-1][1]["model"])
            self.assertNotIn("seq", body)
            # Once a period: the k-th is not said before k periods have gone by.
            self.assertGreaterEqual(body["silent"], 0.1 * (k + 1) - 1e-6)
        for message in messages[20:]:
            source.send_multipart(message)
        second = []
        while len(second) < 20:
            second += [m for m in d.receive(both, 1) if m[0] == "intent"]
        self.assertEqual([bare(body) for _, body in first + second], expected)
        self.assertGreaterEqual(d.status()["stale"], 4)

    def test_stale_can_be_turned_off(self):
        d = self.start(config={"stale_ms": 0})
        sink, source = d.sink("intent", "stale"), d.source()
        source.send_multipart([b"frame", frame(0)])
        d.intents(sink, 1)
        self.assertFalse(sink.poll(700))

    def test_status_is_published(self):
        d = self.start(config={"status_ms": 50})
        sink = d.socket(zmq.SUB, "intents")
        sink.subscribe("status")
        for topic, body in d.receive(sink, 3):
            self.assertEqual((topic, body["type"], body["v"]), ("status", "status", 1))
            self.assert_identity(body)
        self.assertEqual(set(body), set(d.status()) - {"ok"})


class Events(daemon.DaemonTest):
    def test_an_event_waits_for_the_frame_after_it(self):
        # A prior that is sent early takes effect at its time, as if it had come just in time.
        sure = [0.97] + [0.01] * (TARGETS - 1)
        message = (b"event", event("target_prior", t=0.615, prob=sure))
        start = [(b"event", event("trial_start", t=0.19))]
        messages = frames(60)
        early, _ = self.run_through(start + messages[:5] + [message] + messages[5:], 60)
        just, _ = self.run_through(start + messages[:30] + [message] + messages[30:], 60)
        never, _ = self.run_through(start + messages, 60)
        self.assertEqual(early, just)
        self.assertEqual(early[:30], never[:30])
        self.assertNotEqual(early[30]["target_prob"], never[30]["target_prob"])
        late, d = self.run_through(start + messages[:40] + [message] + messages[40:], 60)
        self.assertEqual(late[:40], never[:40])
        self.assertEqual(late[40]["flags"], ["late_event"])
        self.assertEqual(d.status()["events"]["late"], 1)

    def test_every_kind_is_counted(self):
        sent = [event("session", run="r", marks=True), event("trial_start", t=0.1),
                event("go", t=0.2), event("trial_stop", t=0.3),
                event("target_prior", t=0.3, prob=[1] * TARGETS),
                event("gaze", t=0.3, position=[0, 0], cov=[1, 0, 0, 1]),
                event("targets", t=0.3, set="s", id=["a"], position=[[0, 0]]),
                event("effector", t=0.3, position=[0, 0]),
                event("estimate", t=0.3, position=[0, 0], cov=[1, 0, 0, 1]),
                event("kinematics", t=0.3, position=[0, 0]),
                event("trial_label", t=0.3, target=1, go=0.2, rewarded=True),
                event("units", t=0.3, first=0, id=["a", "b"])]
        d = self.start()
        source = d.source()
        for body in sent:
            source.send_multipart([b"event", body])
        status = d.settle(events=len(sent))
        self.assertEqual(set(status["events"]["accepted"].values()), {1},
                         status["events"])


if __name__ == "__main__":
    daemon.main()
