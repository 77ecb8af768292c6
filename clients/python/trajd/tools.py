# SPDX-License-Identifier: GPL-3.0-or-later
"""The trajctl program, called on sessions in files or in memory."""
import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from typing import List, Union

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
