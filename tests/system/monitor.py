#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""`trajctl monitor` on a terminal of 80 x 24 while a session is replayed: monitor.py FOLDER

FOLDER holds session.h5 and the sockets f and i of a trajd that runs on the golden model.  The monitor
shows what comes, keeps to the screen and to 15 pictures a second, ends on q, and puts everything back.
"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

work, trajctl = sys.argv[1], os.environ["TRAJCTL"]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(slave)
began = time.monotonic()
monitor = subprocess.Popen([trajctl, "monitor", "--intents", f"ipc://{work}/i"], stdin=slave,
                           stdout=slave, env=dict(os.environ, TERM="vt100"))
replay = subprocess.Popen([trajctl, "replay", "--quiet", "--speed", "2", "--session",
                           f"{work}/session.h5", "--frames", f"ipc://{work}/f"])


def read(seconds):
    """What the terminal receives within so many seconds."""
    text, until = b"", time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            text += os.read(master, 65536)
    return text.decode()


WORDS = ("position", "velocity", "rate", "lost 0", "free", "q quits", "#")
shown, patience = "", began + 60
while time.monotonic() < patience:  # as long as a machine under load takes
    shown += read(0.5)
    seen = shown.split("\033[H")[1:]
    if len(seen) > 4 and all(words in seen[-2] for words in WORDS):
        break
keys = termios.tcgetattr(slave)
os.write(master, b"q")
status = monitor.wait(60)
seconds = time.monotonic() - began
shown += read(0.2)
replay.wait(120)

pictures = shown.split("\033[H")[1:]
problems = []
if status != 0:
    problems.append(f"exit status {status}")
if keys[3] & termios.ICANON or keys[3] & termios.ECHO:
    problems.append("keys need Enter, or are echoed")
if termios.tcgetattr(slave) != before:
    problems.append("the terminal's settings were not put back")
if not shown.startswith("\033[?1049h\033[?25l") or not shown.endswith("\033[?25h\033[?1049l"):
    problems.append("the screen and cursor were not put back")
if not 2 <= len(pictures) <= 15 * seconds + 1:
    problems.append(f"{len(pictures)} pictures in {seconds:.1f} s")
for picture in pictures:
    lines = re.sub("\033\\[[?0-9;]*[A-Za-z]", "", picture).split("\r\n")
    if len(lines) > 24 or max(map(len, lines)) > 80:
        problems.append(f"a picture of {len(lines)} lines")
for words in WORDS:
    if words not in pictures[-1]:
        problems.append(f"\"{words}\" is not shown")
print("\n".join(problems + pictures[-1:]) if problems else f"{len(pictures)} pictures")
sys.exit(1 if problems else 0)
