#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the dashboard in a browser, of a replayed session:

    screenshots.py OUT --model M.tjm --session S.h5 [--build BUILD] [--scene NAME ...] [--light] [--size 1366x768]

writes OUT/NAME.png for idle, plan, reach, wrong-prior and stale (and `waiting`, before anything came).  It needs
Chromium (Debian: chromium-headless-shell), python3-zmq, and programs that are built in BUILD.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import browser
from dashboard import Dashboard

SENTENCE = "document.getElementById('says').textContent"
BADGE = "document.getElementById('badge').textContent"
PAUSE = "document.getElementById('pause').click()"
SCENES = ("waiting", "idle", "plan", "reach", "wrong-prior", "stale")


class Stage:
    """A daemon, a dashboard with a tap, and a browser; the session is replayed in real time."""

    def __init__(self, options):
        self.options, self.folder = options, tempfile.TemporaryDirectory(prefix="trajd-")
        at = lambda name: "ipc://" + os.path.join(self.folder.name, name)
        self.source = at("source")
        self.daemon = subprocess.Popen(
            [os.environ["TRAJD"], "--model", options.model, "--frames", ">" + self.source, "--intents", "@" + at("i"),
             "--control", "@" + at("c")], stderr=subprocess.DEVNULL)
        self.dashboard = Dashboard("--intents", at("i"), "--frames", self.source, "--control", "--control-endpoint",
                                   at("c"))
        width, height = map(int, options.size.split("x"))
        self.page = browser.Browser(width, height, dark=not options.light)
        self.page.go(self.dashboard.url)
        self.replay = None

    def play(self):
        self.replay = subprocess.Popen([os.environ["TRAJCTL"], "replay", "--quiet", "--session", self.options.session,
                                        "--frames", "@" + self.source], stderr=subprocess.DEVNULL)

    def until(self, condition):
        """Freezes as soon as it holds, so that the picture is of that moment."""
        self.page.wait(f"new Promise((done) => {{ const t0 = performance.now(); const look = () => {condition} ? done(true) : "
                       "performance.now() - t0 > 40000 ? done(false) : setTimeout(look, 10); look(); })")

    def take(self, scene):
        path = os.path.join(self.options.out, scene + ".png")
        self.page.picture(path)
        print(f"{path}: {self.page.value(BADGE)}: {self.page.value(SENTENCE)}", flush=True)

    def close(self):
        self.page.close()
        self.dashboard.close()
        for process in (self.replay, self.daemon):
            if process:
                process.terminate()
                process.wait()
        self.folder.cleanup()


def waiting(stage):
    stage.page.wait(f"{SENTENCE}.includes('no frame has been decoded yet')")
    time.sleep(1)
    stage.take("waiting")


def moment(stage, scene, badge, pause):
    """Frozen by the page itself as soon as it has shown a badge for so many ms."""
    for _ in range(8):
        stage.until(f"{BADGE} !== '{badge}'")
        stage.until(f"{BADGE} === '{badge}'")
        stage.page.value(f"new Promise((done) => setTimeout(() => {{ {PAUSE}; done(); }}, {pause}))")
        time.sleep(0.3)
        good = stage.page.value(BADGE) == badge
        if good:
            stage.take(scene)
        stage.page.value(PAUSE)
        if good:
            return
    print(f"{scene} did not last")


def wrong_prior(stage):
    """While a reach is planned, a target that is not its own is announced; the activity overcomes it."""
    for _ in range(6):
        stage.until(f"{BADGE} !== 'planning'")
        stage.until(f"{BADGE} === 'planning'")
        named = stage.page.value(SENTENCE).split("target ")[-1].split(" ")[0]
        digit = int(named) if named.isdigit() else 0
        stage.page.key(str((digit + 4) % 8 + 1))
        give_up = time.monotonic() + 4
        while time.monotonic() < give_up:
            if "although" in stage.page.value(SENTENCE):
                stage.take("wrong-prior")
                return
    print("the prior was never overcome")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--model", required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--scene", action="append", choices=SCENES)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--size", default="1366x768")
    options = parser.parse_args()
    os.environ.setdefault("TRAJD", os.path.join(options.build, "daemon/trajd"))
    os.environ.setdefault("TRAJCTL", os.path.join(options.build, "clients/trajctl/trajctl"))
    if not browser.find():
        sys.exit("no Chromium is installed (Debian: chromium-headless-shell)")
    os.makedirs(options.out, exist_ok=True)
    wanted = options.scene or SCENES
    stage = Stage(options)
    try:
        if "waiting" in wanted:
            waiting(stage)
        stage.play()
        time.sleep(9)
        for scene, badge, pause in (("plan", "planning", 350), ("reach", "reaching", 200), ("idle", "rest", 300)):
            if scene in wanted:
                moment(stage, scene, badge, pause)
        if "wrong-prior" in wanted:
            wrong_prior(stage)
        if "stale" in wanted:
            stage.replay.terminate()
            time.sleep(3)
            stage.take("stale")
        for said in stage.page.console:
            print("the console says:", said)
    finally:
        stage.close()
    return 1 if stage.page.console else 0


if __name__ == "__main__":
    sys.exit(main())
