#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the dashboard in a browser, of a simulated session that is replayed in real time:

    screenshots.py OUT [--build BUILD] [--work FOLDER] [--scene NAME ...] [--size NAME ...] [--theme NAME ...]

writes OUT/SCENE-SIZE-THEME.png: before anything came, at rest, while a reach is planned, in the middle of one, with a prior
that is wrong, without frames, and with 1000 units; on a laptop and on a tablet on its side and upright; dark and light.  A
moment is frozen, so that all of its pictures show the same.  FOLDER keeps sessions and models for the next time.  It needs
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
TO_GO = f"parseFloat(({SENTENCE}.match(/([0-9.]+) s to go/) ?? [0, 9])[1])"
SURE = f"parseFloat(({SENTENCE}.match(/\\((\\d+) %/) ?? [0, 0])[1])"
# What has to hold for a picture to be of a scene.
MOMENTS = {"plan": f"{BADGE} === 'planning' && {SURE} >= 60",
           "reach": f"{BADGE} === 'reaching' && {TO_GO} > 0.1 && {TO_GO} < 0.4",
           "idle": f"{BADGE} === 'rest'",
           "wrong-prior": f"['planning', 'reaching'].includes({BADGE}) && {SENTENCE}.includes('although')"}
SCENES = ("waiting", *MOMENTS, "stale", "units-1000")
SIZES = {"laptop": (1366, 768), "tablet": (1024, 768), "upright": (768, 1024)}


class Stage:
    """A daemon, a dashboard with a tap, and a browser."""

    def __init__(self, options, units):
        self.options, self.folder = options, tempfile.TemporaryDirectory(prefix="trajd-")
        self.session, self.model = self.prepare(units)
        os.chdir(self.folder.name)
        at = lambda name: "ipc://" + name  # short, because pictures show it
        self.source = at("source")
        self.daemon = subprocess.Popen(
            [os.environ["TRAJD"], "--model", self.model, "--frames", ">" + self.source, "--intents", "@" + at("i"),
             "--control", "@" + at("c")], stderr=subprocess.DEVNULL)
        self.dashboard = Dashboard("--intents", at("i"), "--frames", self.source, "--control", "--control-endpoint",
                                   at("c"))
        self.page = browser.Browser(*SIZES["laptop"], dark=True)
        self.page.go(self.dashboard.url)
        self.replay = None

    def prepare(self, units):
        """A session and its model, unless they are there."""
        at = lambda name: os.path.join(self.options.work or self.folder.name, f"{units}{name}")
        commands = {".h5": ["simulate", "--out", at(".h5"), "--units", str(units), "--trials-per-target", "6"],
                    ".tjm": ["train", "--quiet", "--session", at(".h5"), "--out", at(".tjm"), "--family", "course"]}
        for ending, words in commands.items():
            if not os.path.exists(at(ending)):
                subprocess.run([os.environ["TRAJCTL"], *words], check=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        return at(".h5"), at(".tjm")

    def play(self):
        self.replay = subprocess.Popen([os.environ["TRAJCTL"], "replay", "--quiet", "--session", self.session,
                                        "--frames", "@" + self.source], stderr=subprocess.DEVNULL)
        time.sleep(9)

    def freeze(self, condition):
        """Frozen by the page itself as soon as the condition holds; whether it still holds of what is then shown."""
        self.page.value(f"new Promise((done) => {{ const t0 = performance.now(); const look = () => ({condition}) ? "
                        f"done({PAUSE}) : performance.now() - t0 > 5000 ? done() : setTimeout(look, 10); look(); }})")
        time.sleep(0.5)
        return self.page.value("document.body.classList.contains('frozen')") and self.page.value(condition)

    def go_on(self):
        self.page.key("End")
        self.page.wait("!document.body.classList.contains('frozen')")

    def take(self, scene):
        for size in self.options.size or SIZES:
            self.page.resize(*SIZES[size])
            for theme in self.options.theme or ("dark", "light"):
                if self.page.value("document.documentElement.dataset.theme") != theme:
                    self.page.key("d")
                time.sleep(0.5)
                self.page.picture(os.path.join(self.options.out, f"{scene}-{size}-{theme}.png"))
        self.page.resize(*SIZES["laptop"])
        print(f"{scene}: {self.page.value(BADGE)}: {self.page.value(SENTENCE)}", flush=True)

    def moment(self, scene, condition, before=lambda: None):
        for _ in range(12):
            before()
            good = self.freeze(condition)
            if good:
                self.take(scene)
            self.go_on()
            if good:
                return
        print(f"{scene} did not last")

    def announce_another(self):
        """As a reach begins to be planned, a target that is not its own; the activity overcomes it."""
        self.page.wait(f"{BADGE} !== 'planning'")
        self.page.wait(f"{BADGE} === 'planning'")
        named = self.page.value(SENTENCE).split("target ")[-1].split(" ")[0]
        self.page.key(str(((int(named) if named.isdigit() else 0) + 4) % 8 + 1))

    def close(self):
        """Ends all; what the browser's console said."""
        said = self.page.console
        self.page.close()
        self.dashboard.close()
        for process in (self.replay, self.daemon):
            if process:
                process.terminate()
                process.wait()
        os.chdir("/")
        self.folder.cleanup()
        return said


def many_units(options):
    stage = Stage(options, 1000)
    try:
        stage.play()
        stage.moment("units-1000", MOMENTS["reach"])
    finally:
        said = stage.close()
    return said


def few_units(options, wanted):
    stage = Stage(options, 96)
    try:
        if "waiting" in wanted:
            stage.page.wait(f"{SENTENCE}.includes('no frame has been decoded yet')")
            time.sleep(1)
            stage.take("waiting")
        stage.play()
        for scene in MOMENTS:
            if scene in wanted:
                stage.moment(scene, MOMENTS[scene],
                             stage.announce_another if scene == "wrong-prior" else lambda: None)
        if "stale" in wanted:
            stage.replay.terminate()
            stage.page.wait(f"{BADGE} === 'no frames'")
            time.sleep(3)
            stage.moment("stale", f"{BADGE} === 'no frames'")
    finally:
        said = stage.close()
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--work")
    parser.add_argument("--scene", action="append", choices=SCENES)
    parser.add_argument("--size", action="append", choices=SIZES)
    parser.add_argument("--theme", action="append", choices=("dark", "light"))
    options = parser.parse_args()
    for name in ("out", "work", "build"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    os.environ.setdefault("TRAJD", os.path.join(options.build, "daemon/trajd"))
    os.environ.setdefault("TRAJCTL", os.path.join(options.build, "clients/trajctl/trajctl"))
    if not browser.find():
        sys.exit("no Chromium is installed (Debian: chromium-headless-shell)")
    for folder in (options.out, options.work):
        if folder:
            os.makedirs(folder, exist_ok=True)
    wanted = options.scene or SCENES
    said = few_units(options, wanted) if set(wanted) != {"units-1000"} else []
    if "units-1000" in wanted:
        said = said + many_units(options)
    for line in said:
        print("the console says:", line)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
