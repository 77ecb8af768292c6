# SPDX-License-Identifier: GPL-3.0-or-later
"""A recorded session as arrays, and its file (proto/session.md).  Needs numpy; the file needs h5py."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional

if TYPE_CHECKING:
    import numpy


def _numpy():
    try:
        import numpy
    except ImportError:
        raise ImportError("sessions need numpy: pip install trajd[session]") from None
    return numpy


def _array(name, value, dtype, dimensions, length=None):
    np = _numpy()
    array = np.asarray(value)
    if array.ndim != dimensions:
        raise ValueError(f"{name}: {array.ndim} dimensions where {dimensions} are needed")
    if length is not None and len(array) != length:
        raise ValueError(f"{name}: {len(array)} rows where {length} are needed")
    if dtype == "u2":
        filled = np.where(np.isnan(array), 65535, array) if array.dtype.kind == "f" else array
        if filled.size and (filled.min() < 0 or filled.max() > 65535 or (filled != np.floor(filled)).any()):
            raise ValueError(f"{name}: not whole numbers from 0 to 65534 (NaN = not observed)")
        array = filled
    return np.ascontiguousarray(array, dtype)


@dataclass
class Trials:
    """R trials: start and stop [R] in s; target [R] rows of the targets, -1 = not known; the others
    [R] in s or 0/1, NaN = not known."""

    start: "numpy.ndarray"
    stop: "numpy.ndarray"
    target: Optional["numpy.ndarray"] = None
    go: Optional["numpy.ndarray"] = None
    move: Optional["numpy.ndarray"] = None
    rewarded: Optional["numpy.ndarray"] = None

    def __post_init__(self):
        self.start = _array("start", self.start, "f8", 1)
        for name in ("stop", "target", "go", "move", "rewarded"):
            value = getattr(self, name)
            if value is not None:
                dtype = "i4" if name == "target" else "f8"
                setattr(self, name, _array(name, value, dtype, 1, len(self.start)))

    def __len__(self):
        return len(self.start)

    def __getitem__(self, which) -> "Trials":
        rows = {name: getattr(self, name) for name in ("start", "stop", "target", "go", "move", "rewarded")}
        return Trials(**{name: None if row is None else row[which] for name, row in rows.items()})


@dataclass
class Session:
    """One recorded session.

    counts    [T, N] spikes of N units in T bins; NaN or 65535 = not observed
    features  [T, F] continuous features; NaN = not observed
    dt        width of the bins, s: one number or [T]
    t_end     [T] ends of the bins, s; default: bins that follow one another from 0
    position  [K, D] of hand or cursor at kinematics_t [K] (default: the ends of the bins, K = T)
    velocity  [K, D]; derived from position where None
    trials    Trials, or None
    targets   [M, D] positions of the targets; target_id their names
    """

    counts: Optional["numpy.ndarray"] = None
    dt: object = None
    t_end: Optional["numpy.ndarray"] = None
    position: Optional["numpy.ndarray"] = None
    velocity: Optional["numpy.ndarray"] = None
    kinematics_t: Optional["numpy.ndarray"] = None
    trials: Optional[Trials] = None
    targets: Optional["numpy.ndarray"] = None
    features: Optional["numpy.ndarray"] = None
    unit_name: Optional[List[str]] = None
    target_id: Optional[List[str]] = None
    length_unit: str = "mm"
    subject: str = ""
    description: str = ""

    def __post_init__(self):
        np = _numpy()
        if self.counts is not None:
            self.counts = _array("counts", self.counts, "u2", 2)
        bins = len(self.counts) if self.counts is not None else None
        if self.features is not None:
            self.features = _array("features", self.features, "f4", 2, bins)
            bins = len(self.features)
        if bins is not None:
            if self.dt is None:
                raise ValueError("dt: the width of the bins is needed")
            if np.shape(self.dt) not in ((), (1,), (bins,)):
                raise ValueError(f"dt: {np.size(self.dt)} widths for {bins} bins")
            self.dt = np.broadcast_to(np.asarray(self.dt, "f8"), (bins,)).copy()
            if self.t_end is None:
                self.t_end = np.cumsum(self.dt)
            self.t_end = _array("t_end", self.t_end, "f8", 1, bins)
        if self.position is not None:
            self.position = _array("position", self.position, "f8", 2)
            if self.kinematics_t is None:
                if bins != len(self.position):
                    raise ValueError(f"position: {len(self.position)} rows for {bins or 0} bins, and no kinematics_t "
                                     "says when they were")
                self.kinematics_t = self.t_end
            self.kinematics_t = _array("kinematics_t", self.kinematics_t, "f8", 1, len(self.position))
            if self.velocity is not None:
                self.velocity = _array("velocity", self.velocity, "f8", 2, len(self.position))
        if self.targets is not None:
            self.targets = _array("targets", self.targets, "f8", 2)

    def __len__(self):
        return 0 if self.t_end is None else len(self.t_end)

    def __getitem__(self, bins: slice) -> "Session":
        """A stretch of bins with its kinematics and the trials that lie wholly in it."""
        if not isinstance(bins, slice) or bins.step not in (None, 1):
            raise TypeError("a session is cut by a slice of bins: session[1000:2000]")
        first, last, _ = bins.indices(len(self))
        if last <= first:
            raise ValueError("no bins are left")
        begin, end = self.t_end[first] - self.dt[first], self.t_end[last - 1]
        part = {"counts": None if self.counts is None else self.counts[first:last],
                "features": None if self.features is None else self.features[first:last],
                "dt": self.dt[first:last], "t_end": self.t_end[first:last]}
        if self.position is not None:
            inside = (self.kinematics_t >= begin - 1e-9) & (self.kinematics_t <= end + 1e-9)
            part["position"], part["kinematics_t"] = self.position[inside], self.kinematics_t[inside]
            part["velocity"] = None if self.velocity is None else self.velocity[inside]
        if self.trials is not None:
            inside = (self.trials.start >= begin - 1e-9) & (self.trials.stop <= end + 1e-9)
            part["trials"] = self.trials[inside] if inside.any() else None
        for name in ("targets", "unit_name", "target_id", "length_unit", "subject", "description"):
            part[name] = getattr(self, name)
        return Session(**part)

    def write(self, path) -> None:
        """Writes the session file; ValueError where read would refuse it."""
        h5py = _h5py()
        self.check()
        with h5py.File(path, "w") as file:
            file.attrs.update({"format": "trajd-session", "version": 1, "length_unit": self.length_unit,
                               "subject": self.subject, "description": self.description})
            rows = {"frames/counts": self.counts, "frames/features": self.features,
                    "frames/t_end": self.t_end, "frames/dt": self.dt if len(self) else None,
                    "kinematics/t": self.kinematics_t if self.position is not None else None,
                    "kinematics/position": self.position, "kinematics/velocity": self.velocity,
                    "targets/position": self.targets}
            for name in ("start", "stop", "target", "go", "move", "rewarded"):
                rows["trials/" + name] = getattr(self.trials, name) if self.trials is not None else None
            for name, value in rows.items():
                if value is not None:
                    file[name] = value
            for name, value in (("frames/unit_name", self.unit_name), ("targets/id", self.target_id)):
                if value is not None:
                    file.create_dataset(name, data=list(value), dtype=h5py.string_dtype())

    def check(self) -> None:
        """ValueError with one sentence where the session holds what proto/session.md refuses."""
        from . import session_check
        session_check.check(self)

    @classmethod
    def read(cls, path) -> "Session":
        """Reads a session file; ValueError that names the file and the fault where it is none."""
        h5py = _h5py()
        try:
            with h5py.File(path, "r") as file:
                session = cls(**_parts(file, h5py))
            session.check()
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        except OSError as error:
            if error.errno is not None:  # not there, or not to be read: the system's own words
                raise
            raise ValueError(f"{path}: is not an HDF5 file, or is damaged: {error}") from None
        return session


def _dataset(file, h5py, name, needed=False, texts=False):
    """Numbers as an array, or texts as a list; None where there is no such dataset."""
    if name not in file:
        if needed:
            raise ValueError(f"/{name} is missing")
        return None
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"/{name} is not a dataset")
    if texts:
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.ndim != 1:
            raise ValueError(f"/{name} does not hold texts")
        return [_text(value) for value in dataset[()]]
    if dataset.dtype.kind not in "iuf":
        raise ValueError(f"/{name} does not hold numbers")
    return dataset[()]


def _parts(file, h5py) -> dict:
    """What a session file holds, by the names of the Session's fields."""
    np = _numpy()
    if _text(file.attrs.get("format")) != "trajd-session":
        raise ValueError("attribute format is not trajd-session")
    if not np.array_equal(file.attrs.get("version"), 1):
        raise ValueError(f"attribute version is {file.attrs.get('version')}, this program reads 1")
    parts = {name: _text(file.attrs.get(name, "")) for name in ("length_unit", "subject", "description")}
    frames, kinematics, targets = "frames" in file, "kinematics" in file, "targets" in file
    for field, name, needed in (("dt", "frames/dt", frames), ("t_end", "frames/t_end", frames),
                                ("counts", "frames/counts", False), ("features", "frames/features", False),
                                ("kinematics_t", "kinematics/t", kinematics),
                                ("position", "kinematics/position", kinematics),
                                ("velocity", "kinematics/velocity", False),
                                ("targets", "targets/position", targets)):
        parts[field] = _dataset(file, h5py, name, needed)
    if frames:
        if parts["counts"] is None and parts["features"] is None:
            raise ValueError("/frames/counts is missing, and so is /frames/features")
        for name in ("dt", "counts", "features"):
            rows = parts["t_end"].shape[:1] if parts[name] is None else parts[name].shape[:1]
            if rows != parts["t_end"].shape:
                raise ValueError(f"/frames/{name} and /frames/t_end differ in their rows")
        if parts["counts"] is not None and not np.isfinite(parts["counts"]).all():
            raise ValueError("/frames/counts: not whole numbers from 0 to 65535")
    for field, name in (("unit_name", "frames/unit_name"), ("target_id", "targets/id")):
        parts[field] = _dataset(file, h5py, name, texts=True)
    if "trials" in file:
        rows = {name: _dataset(file, h5py, "trials/" + name, name in ("start", "stop"))
                for name in ("start", "stop", "target", "go", "move", "rewarded")}
        parts["trials"] = Trials(**rows) if len(rows["start"]) else None
    return parts


def _text(value):
    return value.decode() if isinstance(value, bytes) else value if value is None else str(value)


def _h5py():
    try:
        import h5py
    except ImportError:
        raise ImportError("session files need h5py: pip install trajd[session]") from None
    return h5py
