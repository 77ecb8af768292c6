# SPDX-License-Identifier: GPL-3.0-or-later
"""The trajctl program, called on sessions in files or in memory."""
import errno
import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import Iterator, List, Optional, Union

from .control import Control
from .intents import Intent
from .session import Session

SessionLike = Union[str, os.PathLike, Session]


def _trajctl(*words: str) -> str:
    """Runs trajctl (TRAJCTL in the environment, else from PATH); RuntimeError with its sentence."""
    program = os.environ.get("TRAJCTL", "trajctl")
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise RuntimeError(f"{program}: {error.strerror}; it is part of trajd's tools") from None
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"{program} {words[0]} ended with {done.returncode}")
    return done.stdout


@contextmanager
def _as_file(session: SessionLike):
    if not isinstance(session, Session):
        yield os.fspath(session)
        return
    with tempfile.TemporaryDirectory(prefix="trajd-") as folder:
        path = os.path.join(folder, "session.h5")
        session.write(path)
        yield path


def _check_place(path: Union[str, os.PathLike]) -> None:
    """RuntimeError where no file can be written there; what is there stays as it is."""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(os.path.abspath(os.fspath(path)))):
            pass
    except OSError as error:
        raise RuntimeError(f"{os.fspath(path)}: cannot be written: {error.strerror}") from None


def train(session: SessionLike, out: Union[str, os.PathLike], *options: str) -> None:
    """Learns a model from a session and writes it to out; options as `trajctl train --help` lists."""
    with _as_file(session) as path:
        _trajctl("train", "--quiet", "--session", path, "--out", os.fspath(out), *options)


def decode(model: Union[str, os.PathLike], session: SessionLike, *options: str) -> List[Intent]:
    """What the daemon would publish for this session: one Intent a bin."""
    with _as_file(session) as path, tempfile.TemporaryDirectory(prefix="trajd-") as folder:
        out = os.path.join(folder, "intents.jsonl")
        _trajctl("decode", "--quiet", "--model", os.fspath(model), "--session", path, "--out", out, *options)
        with open(out, encoding="utf-8") as lines:
            return [Intent.of(json.loads(line)) for line in lines if line.strip()]


def score(session: SessionLike, intents: Union[str, os.PathLike], *options: str) -> str:
    """The table that `trajctl score` prints for a file of intents."""
    with _as_file(session) as path:
        return _trajctl("score", "--session", path, "--intents", os.fspath(intents), *options)


class Calibration:
    """What a calibration block has come to; filled in at its end.

    recording   file of the daemon's that holds the block
    model       the model in force, as proto/control.md tells of it; None before the end
    """

    def __init__(self) -> None:
        self.recording: Optional[str] = None
        self.model: Optional[dict] = None


def _let_come(control: Control, quiet_s: float = 0.3, most_s: float = 2.0) -> None:
    """Waits until nothing has come in for quiet_s, or for most_s where a rig runs on."""
    seen, begun = None, time.monotonic()
    changed = begun
    while time.monotonic() < min(changed + quiet_s, begun + most_s):
        status = control.status()
        now = (status["frames"]["received"], status["events"]["received"])
        if now != seen:
            seen, changed = now, time.monotonic()
        time.sleep(0.02)


@contextmanager
def calibration(control: Control, out: Union[str, os.PathLike], *options: str, run: Optional[str] = None,
                keep: Union[None, str, os.PathLike] = None) -> Iterator[Calibration]:
    """A calibration block over the wire: what comes in while it runs becomes a model and is in force at its end.

        with trajd.Control() as control, trajd.calibration(control, "/data/today.tjm") as block:
            run_the_task()                 # session, frames, kinematics, trial marks and labels come in
        print(block.model["family"])       # decodes by now, of the same trajd

    The daemon records the block in its configured directory ("record"), whatever model it runs and whether or
    not that fits the frames; the recording becomes a session, `trajctl train` learns from it, and the daemon
    loads the model between two frames.  Daemon and caller see the same files.  What was sent last is still under
    way at the block's end, so that the recording goes on until nothing has come for 0.3 s, or for 2 s where the
    rig runs on.  Nothing is loaded where the block ends with an exception, or where the session teaches nothing
    (RuntimeError with the sentence), and nothing is begun where the model could not be written.

    out      the model file; options: as `trajctl train --help` lists, such as "--from", "yesterday.tjm"
    run      the session event's name, where the block has several runs
    keep     the session file that was learned from is kept here; without it, it is not
    """
    done = Calibration()
    recording = control.status()["recording"]
    if recording is None:
        raise RuntimeError("the daemon cannot record: its configuration names no \"record\" directory")
    if recording["on"]:
        raise RuntimeError("a recording runs already: stop it first (control.record(False))")
    for path in (out, keep):
        if path is not None:
            _check_place(path)
    control.record(True)
    try:
        yield done
        _let_come(control)
    finally:
        done.recording = control.record(False)["file"]
    with tempfile.TemporaryDirectory(prefix="trajd-") as folder:
        path = os.fspath(keep) if keep is not None else os.path.join(folder, "session.h5")
        _trajctl("convert", "recording", done.recording, "--out", path, *(("--run", run) if run else ()))
        train(path, out, *options)
    done.model = control.load(os.path.abspath(os.fspath(out)))["model"]
