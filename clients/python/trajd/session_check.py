# SPDX-License-Identifier: GPL-3.0-or-later
"""What proto/session.md refuses, as the tools do: the first fault, by its dataset and index."""
import numpy as np

UNITS_MAX, DIM_MAX, TARGETS_MAX, NAME_MAX = 8192, 16, 256, 31
TEXT_MAX = {"length_unit": 31, "subject": 63, "description": 511}


def _refuse(name, bad, why):
    found = np.argwhere(bad)
    if len(found):
        raise ValueError(f"{name}[{', '.join(str(i) for i in found[0])}] {why}")


def _at_most(name, count, limit, what):
    if count > limit:
        raise ValueError(f"{name}: {count} {what}, at most {limit} are possible")


def _times(name, t):
    _refuse(name, ~np.isfinite(t), "is not finite")
    for i in np.flatnonzero(~(np.diff(t) > 0))[:1] + 1:
        raise ValueError(f"{name}[{i}] = {t[i]:.9g} is not later than {name}[{i - 1}] = {t[i - 1]:.9g}")


def _is_good(text, size, free):
    """UTF-8 within so many bytes and, unless free, without control characters."""
    try:
        fits = len(text.encode()) <= size
    except UnicodeEncodeError:
        return False
    return fits and "\0" not in text and (free or not any(c < " " or c == "\x7f" for c in text))


def _names(name, values, count):
    if values is None:
        return
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} names for {count}")
    for i, value in enumerate(values):
        if not value:
            raise ValueError(f"{name}[{i}] is empty")
        if not _is_good(value, NAME_MAX, False):
            raise ValueError(f"{name}[{i}] is not UTF-8 of at most {NAME_MAX} bytes without control characters")
    for i, value in enumerate(sorted(values)[1:]):
        if value == sorted(values)[i]:
            raise ValueError(f'{name}: the name "{value}" stands there twice')


def _texts(s):
    for name, size in TEXT_MAX.items():
        if not _is_good(getattr(s, name), size, name == "description"):
            raise ValueError(f"attribute {name} is not UTF-8 of at most {size} bytes")
    if not s.length_unit and (s.position is not None or s.targets is not None):
        raise ValueError("attribute length_unit is missing but positions have lengths")


def _frames(s):
    units = 0 if s.counts is None else s.counts.shape[1]
    _at_most("/frames/counts", units, UNITS_MAX, "units")
    _names("/frames/unit_name", s.unit_name, units)
    if s.counts is None and s.features is None:
        return
    if len(s.t_end) == 0:
        raise ValueError("/frames/t_end is empty")
    _times("/frames/t_end", s.t_end)
    _refuse("/frames/dt", ~(np.isfinite(s.dt) & (s.dt > 0)), "is not a positive width")
    if s.features is not None:
        _at_most("/frames/features", s.features.shape[1], UNITS_MAX, "features")
        _refuse("/frames/features", np.isinf(s.features), "is infinite")


def _kinematics(s):
    if s.position is None:
        return
    if not 1 <= s.position.shape[1] <= DIM_MAX or len(s.position) == 0:
        raise ValueError(f"/kinematics/position is {s.position.shape[0]} x {s.position.shape[1]}, where 1 to "
                         f"{DIM_MAX} columns are possible")
    _times("/kinematics/t", s.kinematics_t)
    _refuse("/kinematics/position", ~np.isfinite(s.position), "is not finite")
    if s.velocity is not None:
        if s.velocity.shape != s.position.shape:
            raise ValueError(f"/kinematics/velocity has {s.velocity.shape[1]} columns but /kinematics/position "
                             f"has {s.position.shape[1]}")
        _refuse("/kinematics/velocity", ~np.isfinite(s.velocity), "is not finite")


def _targets(s):
    count = 0 if s.targets is None else len(s.targets)
    _names("/targets/id", s.target_id, count)
    if count == 0:
        return
    _at_most("/targets/position", count, TARGETS_MAX, "targets")
    if s.position is not None and s.targets.shape[1] != s.position.shape[1]:
        raise ValueError(f"/targets/position has {s.targets.shape[1]} columns but /kinematics/position has "
                         f"{s.position.shape[1]}")
    if not 1 <= s.targets.shape[1] <= DIM_MAX:
        raise ValueError(f"/targets/position: {s.targets.shape[1]} columns, 1 to {DIM_MAX} are possible")
    _refuse("/targets/position", ~np.isfinite(s.targets), "is not finite")


def _trials(s):
    r = s.trials
    if r is None or len(r) == 0:
        return
    _times("/trials/start", r.start)
    _refuse("/trials/stop", ~np.isfinite(r.stop), "is not finite")
    for name in ("go", "move", "rewarded"):
        if getattr(r, name) is not None:
            _refuse("/trials/" + name, np.isinf(getattr(r, name)), "is infinite")
    _refuse("/trials/stop", ~(r.stop > r.start), "is not later than /trials/start")
    count = 0 if s.targets is None else len(s.targets)
    if r.target is not None:
        _refuse("/trials/target", (r.target < -1) | (r.target >= count),
                f"is neither -1 nor a row of /targets/position, which has {count}")
    if s.t_end is not None and len(s.t_end):
        begin, end = s.t_end[0] - s.dt[0], s.t_end[-1]
        if not ((r.start < end) & (r.stop > begin)).any():
            raise ValueError(f"no trial overlaps the frames: /trials/start begins at {r.start[0]:.9g} s, and the "
                             f"frames run from {begin:.9g} to {end:.9g} s; all times must be in seconds of one clock")


def check(session):
    """ValueError with one sentence where the session contradicts itself."""
    if session.counts is None and session.features is None and session.position is None:
        raise ValueError("holds neither /frames nor /kinematics")
    for part in (_texts, _frames, _kinematics, _targets, _trials):
        part(session)
