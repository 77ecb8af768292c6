#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`trajctl demo` ends in a live dashboard, spikes and targets included; Ctrl-C ends all that it began."""
import os
import re
import signal
import subprocess
import sys
import tempfile

from dashboard import WebSocket


def still_running(folder):
    """The commands of processes that name the folder."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if folder in command and int(pid) != os.getpid():
            yield command


def main():
    with tempfile.TemporaryDirectory(prefix="trajd-demo-") as folder:
        demo = subprocess.Popen([os.environ["TRAJCTL"], "demo", "--private", "--port", "0", "--quiet", "--folder", folder],
                                stdout=subprocess.PIPE, text=True)
        try:
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", demo.stdout.readline()).group(1))
            browser = WebSocket(port, f"127.0.0.1:{port}")
            model = browser.kind("model")["model"]
            live = browser.until(lambda m: m["kind"] == "live" and m["intent"] and m["frames"] and m["evidence"])
            browser.close()
        finally:
            demo.send_signal(signal.SIGINT)
            status = demo.wait(60)
            demo.stdout.close()
        left = list(still_running(folder))
    assert len(model["targets"]) == len(live["intent"]["target_prob"]) == 8, (model["targets"], live)
    assert len(live["spikes"]) == len(live["evidence"]) == 64, live
    assert status == 0 and left == [], (status, left)
    print(f"live after frame {live['intent']['frame']}; nothing is left running")
    return 0


if __name__ == "__main__":
    sys.exit(main())
