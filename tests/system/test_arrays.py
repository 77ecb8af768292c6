#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""trajctl convert npz and convert mat, and export csv: arrays as numpy and MATLAB write them become the
session that they mean, what does not fit is refused by one sentence, and tables read back as they were.

    test_arrays.py npz|mat|csv

Environment: TRAJCTL.  MAT-files of version 5 are written by scipy, of 7.3 by h5py in MATLAB's layout:
arrays transposed, MATLAB_class on every dataset, cells as references.
"""
import os
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

TRAJCTL = os.environ["TRAJCTL"]
FORMAT = sys.argv[1] if len(sys.argv) > 1 else "npz"


def run(*arguments):
    return subprocess.run([TRAJCTL, *map(str, arguments)], capture_output=True, text=True)


def read(path):
    found = {}
    with h5py.File(path) as f:
        f.visititems(lambda name, item: found.update({name: item[()]})
                     if isinstance(item, h5py.Dataset) else None)
        found.update({"@" + name: value for name, value in f.attrs.items()})
    return found


def arrays(rng):
    """A session as named arrays, rows of targets counted from 0."""
    counts = rng.poisson(1.0, (60, 4)).astype(np.uint8)
    return {
        "counts": counts, "features": rng.normal(size=(60, 2)).astype(np.float32),
        "t_end": 5 + 0.02 * np.arange(1, 61), "dt": np.full(60, 0.02), "t": 5 + 0.01 * np.arange(90),
        "position": rng.normal(size=(90, 2)), "velocity": rng.normal(size=(90, 2)),
        "start": np.array([5.1, 5.5]), "stop": np.array([5.4, 5.9]), "go": np.array([5.2, np.nan]),
        "rewarded": np.array([1.0, 0.0]), "target": np.array([1, -1], np.int16),
        "target_position": np.array([[10.0, 0], [0, 10], [3, 4]]), "length_unit": "mm",
        "unit_name": ["a1", "a2", "b1", "\u00e4"], "target_id": ["up", "left", "down"], "subject": "M1",
        "description": "a session",
    }


PLACE = {"counts": "frames/counts", "features": "frames/features", "t_end": "frames/t_end",
         "dt": "frames/dt", "unit_name": "frames/unit_name", "t": "kinematics/t",
         "position": "kinematics/position", "velocity": "kinematics/velocity", "start": "trials/start",
         "stop": "trials/stop", "go": "trials/go", "rewarded": "trials/rewarded",
         "target": "trials/target", "target_position": "targets/position", "target_id": "targets/id",
         "length_unit": "@length_unit", "subject": "@subject", "description": "@description"}


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.rng = np.random.default_rng(3)
        self.arrays = arrays(self.rng)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def convert(self, *options):
        done = run("convert", FORMAT, self.path("f." + FORMAT), "--out", self.path("s.h5"), *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return read(self.path("s.h5"))

    def refused(self, *words, options=()):
        done = run("convert", FORMAT, self.path("f." + FORMAT), "--out", self.path("none.h5"), *options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertFalse(os.path.exists(self.path("none.h5")))

    def assert_holds(self, session, wanted):
        for name, value in wanted.items():
            got = session[PLACE[name]]
            if isinstance(value, str):
                self.assertEqual(got, value)
            elif isinstance(value, list):
                self.assertEqual([g.decode() for g in got], value)
            else:
                np.testing.assert_array_equal(got, value, name)

    # What both formats must do; `write` is the format's own.

    def check_everything(self):
        self.write(self.arrays)
        self.assert_holds(self.convert(), self.arrays)

    def check_little(self):
        a = self.arrays
        self.write({"spk": a["counts"].T, "hand": a["position"][:60].T})
        s = self.convert("--array", "counts=spk", "--array", "position=hand", "--transposed", "--dt",
                         "0.05", "--length-unit", "cm")
        self.assert_holds(s, {"counts": a["counts"], "position": a["position"][:60],
                              "length_unit": "cm", "dt": np.full(60, 0.05),
                              "t_end": 0.05 * np.arange(1, 61), "t": 0.05 * np.arange(1, 61)})

    def check_holes(self):
        a = self.arrays
        counts = a["counts"].astype(float)
        counts[3, 1] = np.nan
        a["position"][4, 0] = np.nan
        self.write({**a, "counts": counts})
        s = self.convert()
        self.assertEqual(s["frames/counts"][3, 1], 65535)
        self.assert_holds(s, {"t": np.delete(a["t"], 4)})

    def check_spikes(self, times):
        """times: what the file calls spike_times and perhaps spike_times_index."""
        self.write(times)
        s = self.convert("--bin-ms", "100", "--from", "0", "--to", "0.5")
        np.testing.assert_array_equal(s["frames/counts"], [[2, 0, 0], [0, 1, 0], [1, 0, 0],
                                                           [0, 0, 0], [0, 0, 1]])

    def check_times_in_ms(self, write_spikes):
        """write_spikes: puts the times of each unit and whatever else is given into the file."""
        trains = [np.sort(self.rng.uniform(0, 100, 2000)) for _ in range(3)]
        write_spikes([1e3 * t for t in trains])
        self.refused("f." + FORMAT, "spike_times", "6000 spikes of 3 units", "must be in seconds")
        write_spikes(trains)
        self.assertEqual(self.convert()["frames/counts"].sum(), 6000)
        # Few spikes are few spikes: in a short recording, of a unit that fires rarely, of very many units.
        write_spikes([[0.0], [900.0], [1990.0]])
        self.assertEqual(self.convert()["frames/counts"].shape, (99500, 3))
        write_spikes([np.arange(0.0, 4000.0, 15.0)])
        self.assertEqual(self.convert()["frames/counts"].sum(), 266)
        write_spikes([np.arange(0.1 * unit, 2100.0, 22.0) for unit in range(130)])
        self.assertEqual(self.convert()["frames/counts"].shape[1], 130)
        # Movement in ms and spikes in s make as many empty bins.
        write_spikes(trains, t=np.arange(1e5, step=10.0), position=np.zeros((10000, 1)), length_unit="mm")
        self.refused("6000 spikes of 3 units", "must be in seconds")

    def check_refusals(self):
        for change, words in (
                ({"dt": np.full(60, 20.0)}, ("bin 0 would be 20 s wide: dt is in seconds",)),
                ({"dt": np.array(20)}, ("bin 0 would be 20 s wide: dt is in seconds",)),
                ({"start": np.array([5100.0, 5500]), "stop": np.array([5400.0, 5900])},
                 ("no trial overlaps the frames", "5100 s", "from 5 to 6.2 s", "in seconds")),
                ({"counts": self.arrays["counts"] + 0.5}, ("counts[0, 0]", "not a count")),
                ({"counts": self.arrays["counts"] * -1.0 - 1}, ("counts[0, 0]",)),
                ({"t_end": np.arange(59.0)}, ("t_end has 59 times for 60 bins",)),
                ({"dt": np.ones(3)}, ("dt has 3 widths",)),
                ({"features": np.zeros((61, 2))}, ("counts has 60 rows but features has 61",)),
                ({"position": np.zeros((80, 2))}, ("position has 80 rows for 90 times",)),
                ({"velocity": np.zeros((90, 3))}, ("velocity is 90 x 3",)),
                ({"unit_name": ["a"]}, ("unit_name has 1 names for 4 units",)),
                ({"unit_name": ["x" * 40] * 4}, ("unit_name[0] has 40 bytes",)),
                ({"start": self.arrays["position"]}, ("start is 90 x 2", "a vector")),
                ({"stop": np.array([6.0])}, ("stop has 1 values for 2 trials",)),
                ({"target": np.array([9, 0])}, ("target[0] = %d" % (9 + (FORMAT == "mat")),)),
                ({"target": ["up", "away"]}, ('there is no target "away"',)),
                ({"t": np.zeros(90)}, ("/kinematics/t",)),
                ({"position": ["here"] * 90}, ("position", "texts", "a matrix of numbers")),
                ({"length_unit": ""}, ("--length-unit",))):
            with self.subTest(words=words):
                self.write({**self.arrays, **change})
                self.refused(*words)
        self.write({"other": np.zeros(3)})
        self.refused("none of the arrays counts", "holds other", "--array")
        self.refused("there is no array x", "holds other", options=["--array", "counts=x"])
        self.refused("--array thing=x", options=["--array", "thing=x"])
        self.write({"counts": self.arrays["counts"]})
        self.refused("no array dt", "holds counts")

    def check_misnamed(self):
        """The sentence says which array is missing and which are there."""
        def rename(old, new):
            named = dict(self.arrays)
            named[new] = named.pop(old)
            self.write(named)
        self.write({"spk": self.arrays["counts"], "position": self.arrays["position"], "length_unit": "mm"})
        self.refused("no array t, and no bins", "the rows of position", "holds spk, position, length_unit")
        rename("stop", "end")
        self.refused("starts of trials but no array stop", "end")
        rename("start", "begin")
        self.refused("stops of trials but no array start", "begin")
        rename("dt", "width")
        self.refused("no array dt", "width")

    def check_damage(self, pieces):
        """Whatever is cut off or overwritten, the file is refused by one sentence or still valid."""
        self.write(self.arrays)
        with open(self.path("f." + FORMAT), "rb") as f:
            whole = f.read()
        outcomes = set()
        for i in range(pieces):
            data = bytearray(whole)
            at = int(self.rng.integers(0, len(data)))
            if i % 2:
                del data[at:]
            else:
                data[at:at + 8] = self.rng.bytes(len(data[at:at + 8]))
            with open(self.path("f." + FORMAT), "wb") as f:
                f.write(data)
            done = run("convert", FORMAT, self.path("f." + FORMAT), "--out", self.path("s.h5"))
            self.assertIn(done.returncode, (0, 1), (i, at, done.stderr))
            self.assertEqual(done.stderr.count("\n"), done.returncode, done.stderr)
            outcomes.add(done.returncode)
        self.assertIn(1, outcomes)


class NpzTest(Files):
    def write(self, named):
        np.savez_compressed(self.path("f.npz"), **named)

    def test_everything(self):
        self.check_everything()
        for kind in (">i4", "<u8", "f4", ">f8", "i1"):
            counts = np.asfortranarray(self.arrays["counts"].astype(kind))
            np.savez(self.path("f.npz"), **{**self.arrays, "counts": counts})
            self.assert_holds(self.convert(), self.arrays)

    def test_little(self):
        self.check_little()

    def test_holes(self):
        self.check_holes()

    def test_spikes(self):
        self.check_spikes({"spike_times": [0.0, 0.05, 0.2, 0.1, 0.45], "spike_times_index": [3, 4, 5]})
        self.write({"spike_times": [0.1, 0.2], "spike_times_index": [2, 1]})
        self.refused("spike_times_index[1, 0] = 1")
        self.write({"spike_times": [0.1, 0.2], "index": [2]})
        self.refused("spike_times needs spike_times_index", "holds spike_times, index")

    def test_times_in_ms(self):
        self.check_times_in_ms(lambda trains, **more: self.write(
            {"spike_times": np.concatenate(trains), "spike_times_index": np.cumsum([len(t) for t in trains]),
             **more}))

    def test_misnamed(self):
        self.check_misnamed()
        np.savez(self.path("f.npz"), **{"a\nb": np.zeros(2), "\u00e4": np.zeros(2)})
        self.refused("holds a?b, ??")
        np.savez(self.path("f.npz"), **{"x" * 60 + str(i): np.zeros(2) for i in range(9)})
        self.refused("holds " + "x" * 60 + "0, ", ", ...")

    def test_refusals(self):
        self.check_refusals()
        np.savez(self.path("f.npz"), counts=np.array([{}, {}], object))
        self.refused("objects are not read")
        np.savez(self.path("f.npz"), counts=np.zeros((2, 2, 2)))
        self.refused("more than 2 dimensions")
        with open(self.path("f.npz"), "wb") as f:
            np.save(f, np.zeros(3))
        self.refused("is no npz")

    def test_damage(self):
        self.check_damage(24)

    def test_one_wrong_bit_of_a_stored_array(self):
        """The numbers would still be numbers: the checksum alone tells."""
        np.savez(self.path("f.npz"), **self.arrays)
        with open(self.path("f.npz"), "rb") as f:
            whole = bytearray(f.read())
        for name in ("position", "counts"):
            data = bytearray(whole)
            at = data.index(self.arrays[name].tobytes())
            data[at + 6] ^= 1
            with open(self.path("f.npz"), "wb") as f:
                f.write(data)
            self.refused("f.npz", f"{name}.npy is damaged")


class MatTest(Files):
    def rows_from_one(self, named):
        named = dict(named)
        if "target" in named and not isinstance(named["target"], list):
            named["target"] = named["target"] + 1
        return named

    def write(self, named):
        from scipy.io import savemat
        named = {name: np.array(value, object) if isinstance(value, list) else value
                 for name, value in self.rows_from_one(named).items()}
        savemat(self.path("f.mat"), named, do_compression=True)

    def write73(self, named):
        """MATLAB's 7.3: HDF5 behind a header of 512 bytes."""
        path = self.path("f.mat")
        with h5py.File(path, "w", userblock_size=512) as f:
            def mark(item, kind):
                text = h5py.h5t.C_S1.copy()  # ended by NUL, as h5py's own texts are not
                text.set_size(len(kind))
                text.set_strpad(h5py.h5t.STR_NULLTERM)
                space = h5py.h5s.create(h5py.h5s.SCALAR)
                attribute = h5py.h5a.create(item.id, b"MATLAB_class", text, space)
                attribute.write(np.array(kind.encode()), text)

            def put(group, name, value):
                if isinstance(value, str):
                    kind, value = "char", np.array([ord(c) for c in value], np.uint16)[:, None]
                elif isinstance(value, list):
                    cells = []
                    for one in value:
                        cells.append(put(f.require_group("#refs#"), "r%d" % len(f["#refs#"]), one))
                    item = group.create_dataset(name, (len(cells), 1), h5py.ref_dtype)
                    for i, cell in enumerate(cells):
                        item[i, 0] = cell.ref
                    mark(item, "cell")
                    return item
                else:
                    value = np.atleast_2d(value)
                    kind = {"float64": "double", "float32": "single"}.get(value.dtype.name,
                                                                          value.dtype.name)
                    value = value.T
                item = group.create_dataset(name, data=value)
                mark(item, kind)
                if kind == "char":
                    item.attrs["MATLAB_int_decode"] = np.int32(2)
                return item
            f.create_group("#refs#")
            for name, value in self.rows_from_one(named).items():
                put(f, name, value)
        with open(path, "r+b") as f:
            header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 ."
            f.write(header.ljust(116) + b" " * 8 + b"\x00\x02IM")

    def test_everything(self):
        self.check_everything()

    def test_everything_in_version_7_3(self):
        self.write73(self.arrays)
        self.assert_holds(self.convert(), self.arrays)

    def test_little(self):
        self.check_little()

    def test_fields_of_a_struct(self):
        self.write({"data": {"spk": self.arrays["counts"], "more": {"hand": self.arrays["position"][:60]}}})
        s = self.convert("--array", "counts=data.spk", "--array", "position=data.more.hand", "--dt",
                         "0.02", "--length-unit", "mm")
        self.assert_holds(s, {"counts": self.arrays["counts"], "position": self.arrays["position"][:60]})
        self.refused("no array data.no", options=["--array", "counts=data.no"])
        self.refused("data.spk is not one struct", options=["--array", "counts=data.spk.x"])

    def test_holes(self):
        self.check_holes()

    def test_spikes(self):
        trains = np.empty(3, object)
        trains[:] = [np.array([0.0, 0.05, 0.2]), np.array([0.1]), np.array([0.45])]
        self.check_spikes({"spike_times": trains})

    def test_misnamed(self):
        self.check_misnamed()
        self.write73({"spk": self.arrays["counts"], "names": ["a"]})
        self.refused("none of the arrays counts", "spk", "names")

    def test_claims_that_the_file_cannot_hold(self):
        """Of a cell, too: libmatio would hand out what the memory held before."""
        from scipy.io import savemat
        trains = np.empty(2, object)
        trains[:] = [np.array([[0.01, 0.02]]), np.array([[0.03]])]
        for named, claimed in (({"spike_times": trains}, b"\1\0\0\0\2\0\0\0"),
                               ({"counts": np.ones((5, 3)), "dt": 0.02}, b"\5\0\0\0\3\0\0\0")):
            savemat(self.path("f.mat"), named)
            with open(self.path("f.mat"), "r+b") as file:
                place = file.read().index(claimed)
                file.seek(place + 2)
                file.write(b"\1")
            self.refused(next(iter(named)), "claims 655", "more than a file of")

    def test_refusals(self):
        self.check_refusals()
        self.write({"counts": np.array([[1j]])})
        self.refused("complex numbers")
        self.write({"counts": np.zeros((2, 2, 2))})
        self.refused("3 dimensions")
        with open(self.path("f.mat"), "wb") as f:
            f.write(b"not one")
        self.refused("is no MAT-file")

    def test_damage(self):
        self.check_damage(24)


class CsvTest(Files):
    def test_tables_read_back(self):
        import test_nwb
        maker = test_nwb.NwbTest()
        maker.folder, maker.rng = self.folder, self.rng
        for dim in (1, 3, 5):
            maker.make_session(dim=dim)
            done = run("export", "csv", "--session", self.path("a.h5"), "--out", self.path("tables"))
            self.assertEqual(done.returncode, 0, done.stderr)
            tables = [part for name in ("frames", "features", "kinematics", "trials", "targets")
                      for part in ("--" + name, self.path("tables/%s.csv" % name))]
            s = read(self.path("a.h5"))
            done = run("convert", "csv", *tables, "--out", self.path("s.h5"), "--length-unit",
                       s["@length_unit"], "--subject", s["@subject"], "--description",
                       s["@description"])
            self.assertEqual(done.returncode, 0, done.stderr)
            maker.assert_same(s, read(self.path("s.h5")))

    def test_intents_stand_beside_the_movement(self):
        lines = []
        for i in range(3):
            lines.append('{"v":1,"type":"intent","seq":%d,"frame":%d,"t":%.2f,"valid":%s,'
                         '"position":[1.5,%d],"position_cov":[4,0,0,9],"velocity":null,'
                         '"velocity_cov":null,"target":"b","target_prob":[0.25,0.5],'
                         '"target_set":null,"free_prob":0.25,"state":null,"state_prob":null,'
                         '"progress":null,"eta":null,"logev":null,"flags":[],'
                         '"model":"0123456789ab",'
                         '"stamps":{"device":null,"recv":null,"done":null,"behind":0}}'
                         % (i, i, 10.5 + i, "false" if i == 1 else "true", i))
        with open(self.path("i.jsonl"), "w") as f:
            f.write("\n".join(lines) + "\n")
        with h5py.File(self.path("a.h5"), "w") as f:
            f.attrs.update({"format": "trajd-session", "version": 1, "length_unit": "mm"})
            f["kinematics/t"] = 10 + 0.1 * np.arange(21)
            f["kinematics/position"] = np.stack([np.arange(21.0), np.zeros(21)], 1)
            f["kinematics/velocity"] = np.ones((21, 2))
        done = run("export", "csv", "--session", self.path("a.h5"), "--intents",
                   self.path("i.jsonl"), "--out", self.path("tables"))
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("tables/intents.csv")) as f:
            rows = [line.rstrip("\n").split(",") for line in f]
        self.assertEqual(rows[0], ["t", "valid", "x", "y", "sd_x", "sd_y", "target_0", "target_b",
                                   "free", "recorded_x", "recorded_y", "recorded_vx", "recorded_vy"])
        self.assertEqual(rows[1][:11], ["10.5", "1", "1.5", "0", "2", "3", "0.25", "0.5", "0.25", "5", "0"])
        self.assertEqual(rows[2][:4], ["11.5", "0", "1.5", "1"])
        self.assertEqual(rows[3][9:], ["", "", "", ""])  # no movement was recorded then
        with open(self.path("i.jsonl"), "a") as f:
            f.write(lines[0] + "\n")
        done = run("export", "csv", "--intents", self.path("i.jsonl"), "--out", self.path("tables"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 4: t: is not later", done.stderr)


if __name__ == "__main__":
    case = {"npz": NpzTest, "mat": MatTest, "csv": CsvTest}[FORMAT]
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    sys.exit(not unittest.TextTestRunner().run(suite).wasSuccessful())
