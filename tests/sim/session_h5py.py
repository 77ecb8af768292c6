#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What trajctl writes is a session file to h5py, and what h5py writes is one to trajctl.

The page of the session file is checked here a second time, independently of the C code: names,
types, shapes and order of everything in a simulated session of each task.  Then a session is
written as a user of h5py would, with whatever types come naturally, cut in two by trajctl, and
put together again.
"""
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
except ImportError as reason:
    print(f"skipped: {reason}")
    sys.exit(77)

TRAJCTL = os.environ["TRAJCTL"]
TEXT = h5py.string_dtype()


def trajctl(*words, refused=False):
    run = subprocess.run([TRAJCTL, *words], capture_output=True, text=True)
    assert (run.returncode != 0) == refused, (words, run.stdout, run.stderr)
    return run.stderr


def simulate(path, task, **options):
    words = [w for k, v in options.items() for w in ("--" + k.replace("_", "-"), str(v))]
    trajctl("simulate", "--out", path, "--task", task, *words)


def check_page(f):
    """Everything that the page of the session file says of types, shapes and order."""
    assert f.attrs["format"] == "trajd-session" and f.attrs["version"] == 1
    assert all(isinstance(f.attrs[k], str) for k in ("subject", "description", "length_unit"))
    counts, t, dt = f["frames/counts"], f["frames/t_end"][:], f["frames/dt"][:]
    bins, units = counts.shape
    assert counts.dtype == np.uint16 and t.dtype == dt.dtype == np.float64
    assert t.shape == dt.shape == (bins,) and (np.diff(t) > 0).all() and (dt > 0).all()
    names = f["frames/unit_name"].asstr()[:]
    assert len(names) == len(set(names)) == units
    kt, position, velocity = (f["kinematics/" + k][:] for k in ("t", "position", "velocity"))
    assert position.shape == velocity.shape == (len(kt), 2) and (np.diff(kt) > 0).all()
    assert np.isfinite(position).all() and np.isfinite(velocity).all()
    trials = {k: f["trials/" + k][:] for k in f["trials"]}
    assert set(trials) == {"start", "stop", "go", "move", "rewarded", "target"}
    assert trials["target"].dtype == np.int32
    assert (np.diff(trials["start"]) > 0).all() and (trials["stop"] > trials["start"]).all()
    targets = f["targets/position"][:]
    assert trials["target"].min() >= 0 and trials["target"].max() < len(targets)
    assert list(f["targets/id"].asstr()[:]) == [str(i) for i in range(len(targets))]
    return trials


def check_simulations(folder):
    for task in ("delay", "random", "curved", "jump"):
        path = os.path.join(folder, task + ".h5")
        simulate(path, task, seed=5, targets=4, units=20, trials_per_target=6)
        with h5py.File(path) as f:
            trials = check_page(f)
            assert len(trials["start"]) == 24
            # Velocity is the slope of position.
            kt, p, v = (f["kinematics/" + k][:] for k in ("t", "position", "velocity"))
            slope = np.gradient(p, kt, axis=0)
            assert np.abs(slope - v).max() < 0.03 * np.abs(v).max()
            print(f"{task}: {f['frames/counts'].shape} counts, "
                  f"{f['frames/counts'][:].mean() / f['frames/dt'][0]:.1f} spikes/s")
    first = open(os.path.join(folder, "delay.h5"), "rb").read()
    again = os.path.join(folder, "again.h5")
    simulate(again, "delay", seed=5, targets=4, units=20, trials_per_target=6)
    assert open(again, "rb").read() == first, "one seed gave two files"
    simulate(again, "delay", seed=6, targets=4, units=20, trials_per_target=6)
    assert open(again, "rb").read() != first, "two seeds gave one file"


def write_natural(path, bins=400):
    """A session with the types that numpy and h5py choose by themselves."""
    rng = np.random.default_rng(3)
    data = {
        "frames/counts": rng.poisson(1.0, (bins, 3)),  # int64
        "frames/features": rng.normal(size=(bins, 2)).astype(np.float32),
        "frames/t_end": (1 + np.arange(bins)) / 50,
        "frames/dt": np.full(bins, 0.02),
        "kinematics/t": np.arange(2 * bins) / 100,
        "kinematics/position": rng.normal(size=(2 * bins, 3)),
        "trials/start": np.arange(4) * 2.0,
        "trials/stop": np.arange(4) * 2.0 + 1.5,
        "trials/target": np.array([0, 1, -1, 1]),  # int64
        "trials/rewarded": np.array([True, False, True, True]),  # an enumeration
        "targets/position": np.eye(3)[:2],
    }
    data["frames/features"][7, 1] = np.nan
    with h5py.File(path, "w") as f:
        f.attrs.update(format="trajd-session", version=1, length_unit="cm", subject="né")
        for name, value in data.items():
            f.create_dataset(name, data=value, compression="gzip" if value.ndim > 1 else None)
        f.create_dataset("frames/unit_name", data=["a", "b", "c"])  # variable length
        f.create_dataset("targets/id", data=np.array([b"left", b"right"]))  # fixed length
    return data


def check_foreign(folder):
    path, parts = os.path.join(folder, "own.h5"), [os.path.join(folder, x) for x in ("a.h5", "b.h5")]
    data = write_natural(path)
    trajctl("split", "--session", path, "--train", parts[0], "--test", parts[1], "--fraction", "0.5")
    with h5py.File(parts[0]) as a, h5py.File(parts[1]) as b:
        assert a.attrs["subject"] == "né" and b.attrs["length_unit"] == "cm"
        assert list(a["frames/unit_name"].asstr()[:]) == ["a", "b", "c"]
        assert list(b["targets/id"].asstr()[:]) == ["left", "right"]
        for name, value in data.items():
            whole = a[name][:] if name.startswith("targets") else np.concatenate([a[name], b[name]])
            if name.startswith("kinematics"):  # the sample on the cut belongs to both parts
                keep = np.append(True, np.diff(np.concatenate([a["kinematics/t"], b["kinematics/t"]]))
                                 > 1e-9)
                whole = whole[keep]
            np.testing.assert_array_equal(whole, value.astype(whole.dtype), err_msg=name)
    with h5py.File(path, "a") as f:
        f["trials/target"][2] = 2
    sentence = trajctl("split", "--session", path, "--train", parts[0], "--test", parts[1],
                       refused=True)
    assert "/trials/target[2] = 2 is neither -1 nor a row of /targets/position" in sentence, sentence
    with h5py.File(path, "a") as f:
        del f["trials/target"], f["frames/dt"]
        f.create_dataset("frames/dt", data=data["frames/dt"], compression="lzf")
    sentence = trajctl("split", "--session", path, "--train", parts[0], "--test", parts[1],
                       refused=True)
    assert "/frames/dt is packed by the filter 32000 (lzf)" in sentence, sentence
    print("what h5py wrote came back equal, and was refused when damaged")


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_simulations(folder)
        check_foreign(folder)


if __name__ == "__main__":
    main()
