#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many pictures a second the dashboard's page draws in a browser without a screen or graphics hardware, and what one costs:

    pictures.py [--build BUILD] [--units N] [--targets N] [--bin-ms X] [--seconds S] [--fifo]

Frames of 1000 units, unless told otherwise, come with spikes and evidence.  It needs Chromium (Debian:
chromium-headless-shell).  With --fifo it and all that it starts run at a SCHED_FIFO priority, which needs the privilege, so that
what else the machine does is kept out.  Nothing is judged."""
import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../system"))

# Each picture clears the workspace first; its share of the page's time is what the animation frame takes.
COUNT = """(() => { window.pictures = 0; window.spent = 0;
  const g = document.getElementById("workspace").getContext("2d"), clear = g.clearRect;
  g.clearRect = (...box) => { window.pictures++; clear.apply(g, box); };
  const ask = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (f) => ask((t) => { const from = performance.now(); f(t); window.spent += performance.now() - from; });
})()"""


def main():
    import browser
    import daemon
    from dashboard import Dashboard
    from machine import machine
    from watched import Source

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--bin-ms", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--fifo", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("TRAJD", os.path.abspath(os.path.join(options.build, "daemon/trajd")))
    os.environ.setdefault("TRAJCTL", os.path.abspath(os.path.join(options.build, "clients/trajctl/trajctl")))
    print(machine())
    if options.fifo:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        except PermissionError:
            sys.exit("pictures.py: --fifo needs the privilege of a real-time priority (root, CAP_SYS_NICE or ulimit -r)")
    if not browser.find():
        sys.exit("no Chromium is installed (Debian: chromium-headless-shell)")
    with tempfile.TemporaryDirectory(prefix="trajd-pictures-") as folder:
        model, tap = os.path.join(folder, "model.tjm"), "ipc://" + os.path.join(folder, "tap")
        subprocess.run([os.environ["TRAJCTL"], "bench", "--quiet", "--channels", str(options.units), "--targets",
                        str(options.targets), "--bin-ms", str(options.bin_ms), "--write-model", model], check=True,
                       stdout=subprocess.DEVNULL)
        trajd = daemon.Daemon(model=model)
        dashboard = Dashboard("--intents", trajd.endpoints["intents"], "--frames", "@" + tap)
        source = Source(trajd, options)
        source.wire.connect(tap)
        page = browser.Browser()
        page.go(dashboard.url)
        sender = threading.Thread(target=source.stretch, args=(options.seconds + 14,))
        sender.start()
        time.sleep(12)  # the plots are full
        page.value(COUNT)
        time.sleep(1)
        before, began = page.value("[window.pictures, window.spent]"), time.monotonic()
        time.sleep(options.seconds)
        after, took = page.value("[window.pictures, window.spent]"), time.monotonic() - began
        sender.join()
        pictures, spent = after[0] - before[0], after[1] - before[1]
        print(f"{options.units} units, {1000 / options.bin_ms:.0f} frames a second: {pictures / took:.1f} pictures a second, "
              f"{spent / pictures:.1f} ms of the page's time each; its console: {page.console or 'nothing'}")
        page.close()
        dashboard.close()
        trajd.close()


if __name__ == "__main__":
    main()
