#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`trajctl dashboard` beside a running trajd: what it serves, to whom, and that it tells the truth."""
import json
import os
import re
import socket
import subprocess
import time

import daemon
from daemon import DaemonTest, frame
from dashboard import Dashboard, Refused, WebSocket

ASSET = re.compile(r'(?:src|href)="([^"]+)"|from "([^"]+)"')


class DashboardTest(DaemonTest):
    def setUp(self):
        super().setUp()
        self.dashboards, self.sockets = [], []

    def tearDown(self):
        for socket in self.sockets:
            socket.close()
        for dashboard in self.dashboards:
            self.assertEqual(dashboard.close(), (0, ""))
        super().tearDown()

    def serve(self, trajd, *arguments):
        dashboard = Dashboard("--intents", trajd.endpoints["intents"], *arguments)
        self.dashboards.append(dashboard)
        return dashboard

    def open(self, dashboard, **options):
        socket = dashboard.socket(**options)
        self.sockets.append(socket)
        return socket

    def begin(self, *arguments, config=None):
        """A daemon, a dashboard that it knows of, a browser and a source."""
        trajd = self.start(config={"status_ms": 50, **(config or {})})
        dashboard = self.serve(trajd, *arguments)
        daemon.wait_for(lambda: trajd.status()["subscribers"] > 0)
        return trajd, dashboard, self.open(dashboard), trajd.source()

    # --- what is served -----------------------------------------------------------------------

    def test_page(self):
        trajd = self.start()
        dashboard = self.serve(trajd)
        status, head, page = dashboard.get()
        self.assertEqual(status, 200)
        self.assertEqual(head["content-type"], "text/html; charset=utf-8")
        self.assertIn("default-src 'none'", head["content-security-policy"])
        waiting, seen = ["/"], set()
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            status, _, body = dashboard.get(path)
            self.assertEqual(status, 200, path)
            text = body.decode()
            if path != "/dygraph.js":  # a library, which names its home; that it asks nobody the browser's test sees
                self.assertNotRegex(text, r"https?://|//[a-z]+\.[a-z]", path)
            for name in (a or b for a, b in ASSET.findall(text)):
                if not name.startswith("data:"):
                    self.assertRegex(name, r"^(\./)?[a-z]+\.(js|css)$")
                    waiting.append("/" + name.removeprefix("./"))
        self.assertGreaterEqual(len(seen), 4, seen)
        print("served:", sorted(seen))
        for path in ("/none", "/../page/index.html", "/index.html/", "/%2e%2e/x"):
            self.assertEqual(dashboard.get(path)[0], 404, path)

    def test_strangers(self):
        """Pages of other sites, and names that lead here, get nothing."""
        trajd = self.start()
        dashboard = self.serve(trajd)
        port = dashboard.port
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}",
                     f"127.0.0.1.evil.example:{port}", f"127.0.0.1:{port}.evil.example", "x" * 300):
            self.assertEqual(dashboard.get(host=host)[0], 403, host)
            with self.assertRaises(Refused):
                WebSocket(port, host)
        self.assertEqual(dashboard.get(host=f"localhost:{port}")[0], 200)
        self.assertEqual(dashboard.get(Origin="http://evil.example")[0], 403)
        for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}",
                       f"http://127.0.0.1:{port}.evil.example"):
            with self.assertRaises(Refused):
                dashboard.socket(origin=origin)
        for protocol in (None, "http", "other"):
            with self.assertRaises(Refused):
                dashboard.socket(protocol=protocol)
        self.assertEqual(self.open(dashboard).receive()["kind"], "hello")

    def test_addresses(self):
        for arguments in (["--control", "--bind", "0.0.0.0"], ["--bind", "0.0.0.0"], ["--bind", "localhost"],
                          ["--port", "65536"]):
            done = subprocess.run([os.environ["TRAJCTL"], "dashboard", "--seconds", "0.1", *arguments],
                                  capture_output=True, text=True, timeout=daemon.PATIENCE)
            self.assertEqual(done.returncode, 2, (arguments, done.stderr))
            self.assertTrue(done.stderr)

        first = self.serve(self.start())
        done = subprocess.run([os.environ["TRAJCTL"], "dashboard", "--port", str(first.port)],
                              capture_output=True, text=True, timeout=daemon.PATIENCE)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
        self.assertIn(f"127.0.0.1 port {first.port}", done.stderr)

    # --- what is told -------------------------------------------------------------------------

    def test_intents(self):
        trajd, dashboard, browser, source = self.begin()
        sink = trajd.sink("intent")
        hello = browser.receive()
        self.assertEqual((hello["kind"], hello["orders"], hello["tap"]), ("hello", False, False))
        model = browser.kind("model")["model"]
        shown = trajd.must(cmd="model", action="show")["model"]
        self.assertEqual(model["digest"], shown["digest"])
        self.assertEqual([t["id"] for t in model["targets"]], shown["target_id"])
        self.assertEqual(len(model["courses"]), daemon.TARGETS)
        count, lives = 400, []
        began = time.monotonic()
        for seq in range(count):
            source.send_multipart([b"frame", frame(seq)])
            time.sleep(0.002)
        lives.append(browser.until(lambda m: m["kind"] == "live"))
        while lives[-1]["intents"] < count:
            lives.append(browser.kind("live"))
        took = time.monotonic() - began
        intents = {i["seq"]: i for i in trajd.intents(sink, count)}
        for live in lives:
            self.assertEqual(live["intent"], intents[live["intent"]["seq"]])
            self.assertEqual(live["intents"], live["intent"]["seq"] + 1)
            self.assertEqual(sum(live["latency"]), live["intents"])
        self.assertLess(len(lives), 31 * took + 2)
        print(f"{count} intents in {took:.1f} s became {len(lives)} pictures")
        self.assertEqual((lives[-1]["lost"], lives[-1]["bad"], lives[-1]["silent"]), (0, 0, None))
        status = browser.until(lambda m: m["kind"] == "status" and m["status"]["frames"]["decoded"] == count)
        self.assert_identity(status["status"])
        self.assertIsNone(status["status"]["session"])
        source.send_multipart([b"event", daemon.event("session", run="a run", marks=True)])
        browser.until(lambda m: m["kind"] == "status" and m["status"]["session"] == "a run")
        late = self.open(dashboard)  # one who comes later is told all at once
        kinds = set()
        while kinds != {"hello", "model", "status", "live"}:
            kinds.add(late.receive()["kind"])

    def test_stale_and_gone(self):
        trajd, _, browser, source = self.begin(config={"stale_ms": 100})
        source.send_multipart([b"frame", frame(0)])
        live = browser.until(lambda m: m["kind"] == "live" and m["silent"] is not None and m["intent"])
        self.assertGreaterEqual(live["silent"], 0.1)
        source.send_multipart([b"frame", frame(1, t=9.0)])
        live = browser.until(lambda m: m["kind"] == "live" and m["intents"] == 2)
        self.assertEqual(live["intent"]["frame"], 1)

    def test_tap(self):
        """Spikes and names come from the source itself, and each spike is told once."""
        folder = self.start()  # a second daemon lends its folder
        tap = "ipc://" + folder.path("tap")
        trajd, dashboard, browser, source = self.begin("--frames", "@" + tap)
        self.assertTrue(browser.receive()["tap"])
        source.connect(tap)
        topics = set()
        while not {b"\x01f", b"\x01e"} <= topics:
            topics.add(source.recv())
        source.send_multipart([b"event", daemon.event("session", run="day \"3\"", marks=True)])
        source.send_multipart([b"event", daemon.event("trial_start", t=0.0)])
        source.send_multipart([b"event", daemon.event("target_prior", t=0.0, prob=[0.5, 0.25, 0.25, 0])])
        source.send_multipart([b"event", daemon.event("kinematics", t=0.0, position=[1.5, -2])])
        count, total, frames = 50, [0] * daemon.UNITS, 0
        for seq in range(count):
            counts = daemon.counts_of(seq)
            counts[3] = None
            source.send_multipart([b"frame", frame(seq, counts=counts)])
            time.sleep(0.005)
        source.send_multipart([b"event", daemon.event("go", t=5.0)])
        while frames < count:
            live = browser.kind("live")
            frames += live["frames"]
            for unit, spikes in enumerate(live["spikes"]):
                total[unit] += spikes or 0
            if live["frames"]:
                self.assertIsNone(live["spikes"][3])
        sent = [sum(daemon.counts_of(seq)[unit] for seq in range(count)) if unit != 3 else 0
                for unit in range(daemon.UNITS)]
        self.assertEqual(total, sent)
        self.assertEqual((live["run"], live["prior"], live["truth"]), ('day "3"', [0.5, 0.25, 0.25, 0], [1.5, -2]))
        self.assertIn(live["trial"], ("start", "go"))

    # --- what is obeyed -----------------------------------------------------------------------

    def test_only_shows(self):
        trajd, _, browser, _ = self.begin()
        reply = browser.order(1, cmd="pause", on=True)
        self.assertFalse(reply["reply"]["ok"])
        self.assertIn("--control", reply["reply"]["error"])
        self.assertFalse(trajd.status()["paused"])

    def test_orders(self):
        trajd = self.start(config={"status_ms": 50})
        dashboard = self.serve(trajd, "--control", "--control-endpoint", trajd.endpoints["control"])
        browser, other = self.open(dashboard), self.open(dashboard)
        self.assertTrue(browser.receive()["orders"])
        reply = browser.order(7, cmd="pause", on=True)
        self.assertEqual((reply["id"], reply["reply"]["ok"]), (7, True))
        self.assertTrue(trajd.status()["paused"])
        self.assertEqual(other.kind("reply"), reply)
        self.assertTrue(browser.order(8, cmd="prior", prob=[1, 0, 0, 0])["reply"]["ok"])
        self.assertTrue(browser.order(9, cmd="trial", action="start")["reply"]["ok"])
        self.assertFalse(browser.order(10, cmd="prior", prob=[1])["reply"]["ok"])
        self.assertFalse(browser.order(11, cmd="model", action="rollback")["reply"]["ok"])
        self.assertTrue(browser.order(12, cmd="model", action="load", path=trajd.model)["reply"]["ok"])
        for request in ({"cmd": "shutdown"}, {"cmd": "reset"}, {"cmd": "model", "action": "show"},
                        {"cmd": "record", "action": "start"}, {"cmd": "event", "event": {}}, {}):
            self.assertIn("alone", browser.order(1, **request)["reply"]["error"])
        for text in ("", "{", "[]", "null", '{"id":1}', '{"id":"a","request":{}}', '{"id":1,"id":1,"request":{}}',
                     '{"id":1,"request":[]}', "[" * 5000):
            browser.send(text)
            self.assertIn("order", browser.kind("reply")["reply"]["error"], text)
        self.assertTrue(browser.order(13, cmd="pause", on=False)["reply"]["ok"])
        accepted = trajd.status()["events"]["accepted"]
        self.assertEqual((accepted["target_prior"], accepted["trial_start"]), (1, 1))

    def test_rude_browsers(self):
        """Whatever one browser does, the others are served on."""
        _, dashboard, browser, source = self.begin()
        for data, opcode in (("x" * 100000, 1), (b"\xff\xfe", 1), (b"junk", 2), (b"", 8)):
            rude = self.open(dashboard)
            try:
                rude.send(data, opcode)
                rude.wire.settimeout(0.3)
                rude.receive()
            except (OSError, EOFError):
                pass
        for junk in (b"\0" * 2000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 3000, b"GET /\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", dashboard.port)) as wire:
                try:
                    wire.sendall(junk)
                    wire.settimeout(0.2)
                    self.assertNotIn(b" 200 ", wire.recv(100))
                except OSError:
                    pass
        source.send_multipart([b"frame", frame(0)])
        self.assertEqual(browser.kind("live")["intents"], 1)
        self.assertEqual(dashboard.get()[0], 200)


if __name__ == "__main__":
    daemon.main()
