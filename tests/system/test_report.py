#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports of evaluate and train: one file each that says what it should and asks nothing of anybody.

    test_report.py [RECORDING.h5]

Without a recording, of a small simulated session.  Where Chromium is installed the pages are opened in it.
"""
import hashlib
import html.parser
import os
import re
import subprocess
import sys
import tempfile

import browser

TRAJCTL = os.environ["TRAJCTL"]
VOID = {"meta", "link", "br", "line", "circle", "path", "rect"}
PARTS = {"evaluate": ("How well", "How it goes", "Confusion of targets", "Figures", "Pairs", "Units", "For a methods section",
                      "To make it again"),
         "train": ("What was learned, and what cross-validation chose", "Units", "For a methods section",
                   "To make it again")}


class Page(html.parser.HTMLParser):
    """Elements that are closed in order, headings, captions, and every address."""

    def __init__(self):
        super().__init__()
        self.open, self.parts, self.captions, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            assert name not in ("src", "href", "action", "xlink:href") or value == "data:,", (tag, name, value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.parts.append(data)
        elif self.open and self.open[-1] == "figcaption":
            self.captions.append(data)


def check(path, kind, session, command):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    page = Page()
    page.feed(text)
    assert page.open == [], page.open
    missing = [part for part in PARTS[kind] if part not in page.parts]
    assert not missing, (kind, missing)
    assert not re.search(r"https?:|url\(|@import|<script", text), "the page names something outside itself"
    assert not re.search(r"\b-?nan\b|\binf\b|\(null\)", text), "the page holds what is no number"
    with open(session, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() in page.text
    assert command in page.text, (command, page.text[-600:])
    if browser.find():
        seen = browser.Browser(1280, 900)
        seen.go("file://" + path)
        wide = seen.value("document.documentElement.scrollWidth <= innerWidth")
        asked = [url for url in seen.requests if url != "file://" + path and not url.startswith("data:")]
        seen.close()
        assert seen.console == [] and asked == [] and wide, (seen.console, asked, wide)
    return page


def main():
    opened = "opened in a browser" if browser.find() else "no browser is installed, not opened"
    with tempfile.TemporaryDirectory(prefix="trajd-report-") as folder:
        at = lambda name: os.path.join(folder, name)
        session = at("s.h5")
        if len(sys.argv) > 1:
            session = os.path.join(os.environ["TRAJ_SHARED_DATA"], sys.argv[1])
            if not os.path.exists(session):
                print(session, "is not there")
                return 77
        else:
            subprocess.run([TRAJCTL, "simulate", "--out", session, "--cut", "--units", "12", "--targets", "4",
                            "--trials-per-target", "6"], check=True, stdout=subprocess.DEVNULL)
        evaluate = ["evaluate", "--session", session, "--methods", "course,kalman", "--folds", "2", "--report", at("e.html")]
        train = ["train", "--session", session, "--family", "course", "--out", at("m.tjm"), "--report", at("t.html")]
        for command in (evaluate, train):
            subprocess.run([TRAJCTL, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        page = check(at("e.html"), "evaluate", session, "trajctl " + " ".join(evaluate))
        for caption in ("trajectories", "error from the trial", "most probable target", "regions", "preferred direction"):
            assert any(said.startswith(caption) for said in page.captions), (caption, page.captions)
        check(at("t.html"), "train", session, "trajctl " + " ".join(train))
    print(f"two reports hold what they should; {opened}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
