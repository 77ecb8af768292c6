#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard's page in a real browser (Chromium without a screen): it draws, obeys, and asks nobody else."""
import signal
import sys
import threading

import browser
import daemon
from daemon import DaemonTest, frame
from dashboard import Dashboard

if not browser.find():
    print("no Chromium is installed (Debian: chromium-headless-shell): the page was not opened")
    sys.exit(77)

SENTENCE = "document.getElementById('says').textContent"
LEVEL = "document.getElementById('headline').dataset.level"
# Different colours in a canvas: a blank one has one.
COLOURS = """(() => {{ const c = document.querySelector("{0}"), seen = new Set(); if (!c) return 0;
  const d = new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer);
  d.forEach((p) => seen.add(p)); return seen.size; }})()"""
# What stands out of its box, or beside the window.
OUTSIDE = """[...document.querySelectorAll("section, header, footer, button, canvas")].filter((e) => {
  const r = e.getBoundingClientRect(); return r.width > 0 && (r.right > innerWidth + 1 || r.left < -1); }).length"""


# Plots that are not all within their panel, or too low to read.
SQUEEZED = """[...document.querySelectorAll("canvas")].filter((e) => {
  const r = e.getBoundingClientRect(), s = e.closest("section").getBoundingClientRect();
  return r.width > 0 && (r.top < s.top || r.bottom > s.bottom || r.height < 30); }).map((e) => e.id || e.parentNode.parentNode.id)"""

WRONG = "NaN|undefined|Infinity|null|object Object"


class PageTest(DaemonTest):
    def setUp(self):
        super().setUp()
        self.daemon = self.start(config={"status_ms": 100, "stale_ms": 300})
        self.dashboard = Dashboard("--intents", self.daemon.endpoints["intents"], "--control",
                                   "--control-endpoint", self.daemon.endpoints["control"])
        self.browser = browser.Browser()
        self.ended = threading.Event()
        self.sender = None

    def tearDown(self):
        self.ended.set()
        if self.sender:
            self.sender.join()
        seen = self.browser
        seen.close()
        self.assertEqual(self.dashboard.close(), (0, ""))
        super().tearDown()
        # The page tries again to reach the program that the test has ended; nothing else goes wrong.
        self.assertEqual([line for line in seen.console if "ERR_CONNECTION_REFUSED" not in line], [])
        for url in seen.requests:
            self.assertIn(url.split("://")[1].split("/")[0], (self.dashboard.host, ""), url)

    def send(self, source):
        def work():
            seq = 0
            while not self.ended.wait(0.02):
                source.send_multipart([b"frame", frame(seq)])
                seq += 1
        self.ended.clear()
        self.sender = threading.Thread(target=work)
        self.sender.start()

    def test_page(self):
        page = self.browser
        page.go(self.dashboard.url)
        page.wait(f"{SENTENCE}.includes('no frame has been decoded yet')")
        self.assertNotRegex(page.value("document.body.innerText"), WRONG)
        self.send(self.daemon.source())
        page.wait(f"['good', 'wait'].includes({LEVEL}) && !{SENTENCE}.includes('yet')")
        for name in ("#workspace", "#targets canvas", "#speed canvas", "#latency canvas"):
            page.wait(COLOURS.format(name) + " > 3")
        print("says:", page.value(SENTENCE))

        # Frozen, the picture stays; back in time by the keyboard; live again.
        page.key(" ")
        page.wait("document.body.classList.contains('frozen')")
        at = "document.getElementById('at').textContent"
        page.key("Home")
        page.wait(f"parseFloat({at}.replace('frozen, ', '')) > 0.2")
        page.wait(f"document.getElementById('badge').textContent === 'frozen' && /^[0-9.]+ s ago: /.test({SENTENCE})")
        page.key("p")  # the output is held meanwhile: the frozen page says so too
        page.wait(f"{LEVEL} === 'warn' && {SENTENCE}.includes('Now: Output is held')")
        page.key("p")
        page.wait(f"{LEVEL} === 'wait'")
        page.key("End")
        page.wait(f"{at}.startsWith('live')")

        # Orders: by key, by a click on a target.
        page.key("p")
        page.wait(f"{SENTENCE}.includes('held by command')")
        self.assertTrue(self.daemon.status()["paused"])
        page.key("p")
        page.wait(f"!{SENTENCE}.includes('held by command')")
        page.key("3")
        page.wait("document.getElementById('reply').textContent === 'prior: done'")
        self.assertEqual(self.daemon.status()["events"]["accepted"]["target_prior"], 1)
        x, y = page.value("(() => { const b = document.getElementById('workspace').getBoundingClientRect(); "
                          "return [b.left, b.top]; })()")
        spots = [(x + dx, y + dy) for dy in range(20, 400, 24) for dx in range(20, 460, 24)]
        for spot in spots:
            page.click(*spot)
            if self.daemon.status()["events"]["accepted"]["target_prior"] > 1:
                break
        else:
            self.fail("no click met a target")

        # A laptop, a tablet on its side and upright, both themes.
        for width, height in ((1366, 768), (1024, 768), (768, 1024)):
            page.resize(width, height)
            print(width, height)
            page.wait(f"innerWidth === {width} && {OUTSIDE} === 0 && {SQUEEZED}.length === 0")
        for _ in range(2):
            page.key("d")
        page.key("?")
        page.wait("document.getElementById('help').open")

        self.assertNotRegex(page.value("document.body.innerText"), WRONG)
        # The source falls silent, then the daemon ends.
        self.ended.set()
        page.wait(f"{LEVEL} === 'bad' && {SENTENCE}.includes('silent')")
        # A frozen picture is still told of when the program behind the page is gone.
        page.value("document.getElementById('help').close()")
        page.value("document.getElementById('pause').click()")
        page.wait("document.body.classList.contains('frozen')")
        self.assertEqual(page.console, [])
        self.dashboard.process.send_signal(signal.SIGINT)
        self.dashboard.process.wait()
        page.wait(f"{SENTENCE}.includes('Now: The dashboard program does not answer')")
        self.assertEqual(page.value(SENTENCE).count("does not answer"), 1)
        self.daemon.must(cmd="shutdown")


if __name__ == "__main__":
    daemon.main()
