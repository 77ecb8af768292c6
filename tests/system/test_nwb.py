#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""trajctl convert nwb and export nwb: what other programs write is read as the standard means it, what
does not fit is refused by one sentence, and a session comes back from NWB as it was.

Environment: TRAJCTL.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

import nwb_fixture as nwb

TRAJCTL = os.environ["TRAJCTL"]


def run(*arguments, **environment):
    return subprocess.run([TRAJCTL, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, **environment})


def contents(path):
    with open(path, "rb") as f:
        return f.read()


def read(path):
    """All datasets of a session file by path, its attributes by @name."""
    found = {}
    with h5py.File(path) as f:
        f.visititems(lambda name, item: found.update({name: item[()]})
                     if isinstance(item, h5py.Dataset) else None)
        found.update({"@" + name: value for name, value in f.attrs.items()})
    return found


class NwbTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.rng = np.random.default_rng(5)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def convert(self, *options, source="f.nwb"):
        """The session that the file becomes."""
        done = run("convert", "nwb", self.path(source), "--out", self.path("s.h5"), *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.said = done.stdout
        return read(self.path("s.h5"))

    def refused(self, *words, options=(), source="f.nwb"):
        """The file is refused by one sentence with these words, and nothing is written."""
        done = run("convert", "nwb", self.path(source), "--out", self.path("none.h5"), *options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertFalse(os.path.exists(self.path("none.h5")))

    def reach(self, n=400, rate=100.0):
        t = 1.0 + np.arange(n) / rate
        return t, np.stack([np.sin(t), np.cos(t)], 1)

    def basic(self, spikes=True, where=True):
        """A file with spikes of three units and the position of a hand; it stays open."""
        f = nwb.create(self.path("f.nwb"), subject="M1")
        if spikes:
            self.trains = [np.sort(self.rng.uniform(1.0, 5.0, n)) for n in (300, 80, 0)]
            nwb.units(f, self.trains)
        if where:
            self.t, self.position = self.reach()
            place = nwb.typed(nwb.module(f, "behavior").create_group("Position"), "Position")
            nwb.series(place, "hand", self.position, self.t, kind="SpatialSeries", unit="meters")
        return f

    # ---- spikes --------------------------------------------------------------------------------

    def counts(self, edges, trains=None):
        trains = self.trains if trains is None else trains
        return np.stack([np.histogram(t, edges)[0] for t in trains], 1)

    def test_spikes_are_counted_in_bins_of_the_clock(self):
        self.basic().close()
        s = self.convert()
        edges = np.arange(50, 251) * 0.02
        np.testing.assert_allclose(s["frames/t_end"], edges[1:251 - 50], atol=1e-9)
        np.testing.assert_array_equal(s["frames/counts"], self.counts(edges))
        self.assertEqual([n.decode() for n in s["frames/unit_name"]], ["0", "1", "2"])
        self.assertEqual((s["@subject"], s["@description"], s["@length_unit"]), ("M1", "a fixture", "m"))
        np.testing.assert_array_equal(s["kinematics/position"], self.position)
        self.assertIn("/processing/behavior/Position/hand", self.said)
        self.assertIn("/units/spike_times", self.said)

    def test_links_are_followed_and_those_that_lead_nowhere_passed_over(self):
        f = self.basic()
        f.create_group("general/optophysiology/plane").create_group("device")
        film = nwb.typed(f.create_group("acquisition/film"), "TwoPhotonSeries")
        film["imaging_plane"] = h5py.SoftLink("/general/optophysiology/plane")
        film["gone"] = h5py.SoftLink("/general/nowhere")
        film["raw"] = h5py.ExternalLink("raw.nwb", "/acquisition/raw")
        del f["processing/behavior/Position/hand/timestamps"]
        f["acquisition/clock"] = self.t
        f["acquisition/clock"].attrs["interval"] = np.int32(1)
        f["processing/behavior/Position/hand/timestamps"] = h5py.SoftLink("/acquisition/clock")
        f.close()
        s = self.convert()
        np.testing.assert_array_equal(s["kinematics/position"], self.position)
        np.testing.assert_array_equal(s["kinematics/t"], self.t)

    def test_a_spike_on_an_edge_belongs_to_the_bin_that_begins_there(self):
        f = nwb.create(self.path("f.nwb"))
        ticks = np.arange(0, 30000 * 3, 600)  # every one is an edge, however it was rounded
        nwb.units(f, [ticks / 30000.0, ticks * (1.0 / 30000.0)])
        f.close()
        s = self.convert("--from", 0, "--to", 3)
        np.testing.assert_array_equal(s["frames/counts"], np.ones((150, 2)))

    def test_bins_lie_where_they_are_wanted(self):
        f = self.basic()
        nwb.trials(f, [1.013, 2.5], [2.0, 3.111])
        f.close()
        every = self.t[::1]
        s = self.convert("--align", "samples", "--bin-ms", 10)
        np.testing.assert_allclose(s["frames/t_end"], every)
        np.testing.assert_array_equal(s["frames/counts"][1:], self.counts(every))
        s = self.convert("--align", "samples-start", "--bin-ms", 10)
        np.testing.assert_array_equal(s["frames/counts"][:-1], self.counts(every))
        s = self.convert("--align", "samples", "--bin-ms", 20)
        np.testing.assert_allclose(s["frames/dt"][:3], [0.02, 0.01, 0.01])
        s = self.convert("--align", "trials", "--bin-ms", 50)
        edges = [1.013 + 0.05 * np.arange(20), 2.5 + 0.05 * np.arange(13)]
        np.testing.assert_allclose(s["frames/t_end"], np.concatenate([e[1:] for e in edges]))
        np.testing.assert_array_equal(s["frames/counts"],
                                      np.concatenate([self.counts(e) for e in edges]))
        f = self.basic()
        nwb.trials(f, [1000.0, 50000.0], [40000.0, 90000.0])
        f.close()
        self.refused("/units/spike_times", "380 spikes of 3 units", "must be in seconds",
                     options=["--align", "trials"])

    def test_a_unit_that_was_not_observed_counts_nothing(self):
        f = nwb.create(self.path("f.nwb"))
        nwb.units(f, [np.arange(0.05, 3, 0.1), np.arange(0.05, 3, 0.1)],
                  obs_intervals=[np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[0.5, 1.0]])])
        f.close()
        s = self.convert("--bin-ms", 100, "--from", 0, "--to", 3)
        self.assertEqual(len(s["frames/t_end"]), 20)  # 10 bins in which no unit was observed
        np.testing.assert_array_equal(s["frames/counts"][:, 0], 1)
        np.testing.assert_array_equal(s["frames/counts"][:, 1],
                                      [65535] * 5 + [1] * 5 + [65535] * 10)
        self.assertIn("10 bins outside", self.said)

    def test_units_are_chosen_and_named_by_columns(self):
        f = nwb.create(self.path("f.nwb"))
        trains = [np.arange(0, 2, 0.1 * (n + 1)) for n in range(4)]
        nwb.units(f, trains, quality=["good", "mua", "good", "noise"], unit_name=list("abcd"),
                  depth=np.array([1.5, 2, 3, 3]))
        f.close()
        s = self.convert("--unit-where", "quality=good,mua", "--unit-where", "depth=2,3",
                         "--from", 0, "--to", 2)
        self.assertEqual([n.decode() for n in s["frames/unit_name"]], ["b", "c"])
        edges = np.arange(0, 101) * 0.02 - 1e-9
        np.testing.assert_array_equal(s["frames/counts"], self.counts(edges, trains[1:3]))
        self.refused("/units/colour", options=["--unit-where", "colour=red"])
        self.refused("none is kept", options=["--unit-where", "quality=best"])
        self.refused("not COLUMN=VALUE", options=["--unit-where", "quality"])

    # ---- kinematics ----------------------------------------------------------------------------

    def test_conversion_offset_rate_and_units_of_length(self):
        f = self.basic(where=False)
        raw = self.rng.integers(-1000, 1000, (300, 2)).astype(np.int16)
        nwb.series(f["acquisition"], "cursor_pos", raw, start=2.0, rate=50.0, unit="cm",
                   conversion=0.5, offset=2.0)
        nwb.series(f["acquisition"], "cursor_vel", raw, start=2.0, rate=50.0, unit="m/s")
        f.close()
        s = self.convert()
        np.testing.assert_allclose(s["kinematics/position"], raw * 0.5 + 2.0)
        np.testing.assert_allclose(s["kinematics/velocity"], raw * 100.0)
        np.testing.assert_allclose(s["kinematics/t"], 2.0 + np.arange(300) / 50.0)
        self.assertEqual(s["@length_unit"], "cm")
        s = self.convert("--length-unit", "mm", "--axes", "1")
        np.testing.assert_allclose(s["kinematics/position"], (raw[:, 1:] * 0.5 + 2.0) * 10)
        np.testing.assert_allclose(s["kinematics/velocity"], raw[:, 1:] * 1000.0)

    def test_one_series_an_axis_and_velocity_alone(self):
        f = self.basic(where=False)
        t = 1.0 + 0.02 * np.arange(200)
        t[100:] += 5.0
        v = np.stack([np.cos(t), np.ones_like(t)], 1)
        both = nwb.typed(f["acquisition"].create_group("finger_vel"), "BehavioralTimeSeries")
        nwb.series(both, "index", v[:, 0], t, unit="a.u.")
        nwb.series(both, "mrs", v[:, 1], t, unit="a.u.")
        nwb.series(f["acquisition"], "eval_mask", np.ones(200, np.uint8), t, unit="bool")
        f.close()
        s = self.convert("--align", "samples-start")
        np.testing.assert_array_equal(s["kinematics/velocity"], v)
        first = np.concatenate([[0], np.cumsum(0.5 * (v[1:100, 0] + v[:99, 0]) * np.diff(t[:100]))])
        np.testing.assert_allclose(s["kinematics/position"][:100, 0], first, atol=1e-12)
        np.testing.assert_array_equal(s["kinematics/position"][100], [0, 0])  # behind the gap
        self.assertIn("the integral of /acquisition/finger_vel", self.said)

    def test_lost_samples_are_passed_over(self):
        f = self.basic()
        f["processing/behavior/Position/hand/data"][7:10, 1] = np.nan
        f.close()
        s = self.convert()
        np.testing.assert_array_equal(s["kinematics/t"], np.delete(self.t, [7, 8, 9]))
        self.assertIn("3 samples without", self.said)

    def test_what_is_not_obvious_is_asked_for(self):
        f = self.basic(where=False)
        behavior = nwb.module(f, "behavior")
        t, position = self.reach()
        for name in ("cursor_pos", "hand_pos", "eye_pos"):
            nwb.series(behavior, name, position, t)
        for name in ("cursor_vel", "hand_vel"):
            nwb.series(behavior, name, position, t, unit="m/s")
        f.close()
        self.refused("/processing/behavior/cursor_pos, /processing/behavior/hand_pos", "--position")
        s = self.convert("--position", "hand_pos")
        self.assertIn("velocity: /processing/behavior/hand_vel", self.said)
        self.assertIn("kinematics/velocity", s)
        s = self.convert("--position", "/processing/behavior/cursor_pos", "--velocity", "none")
        self.assertNotIn("kinematics/velocity", s)
        s = self.convert("--position", "none", "--velocity", "none")
        self.assertNotIn("kinematics/t", s)
        self.refused("no time series foot_pos", "cursor_vel", options=["--position", "foot_pos"])

    # ---- binned series -------------------------------------------------------------------------

    def test_counts_that_are_binned_already(self):
        f = nwb.create(self.path("f.nwb"))
        t = 0.02 * np.arange(1, 101)
        counts = self.rng.poisson(1.0, (100, 5)).astype(np.uint8)
        nwb.series(f["acquisition"], "binned_spikes", counts, t, unit="spikes")
        nwb.series(f["acquisition"], "power", counts * 0.5, t, unit="a.u.")
        f.close()
        s = self.convert("--features", "power")
        np.testing.assert_array_equal(s["frames/counts"], counts)
        np.testing.assert_array_equal(s["frames/features"], counts * 0.5)
        np.testing.assert_array_equal(s["frames/t_end"], t)
        np.testing.assert_allclose(s["frames/dt"], 0.02)
        s = self.convert("--stamps-start")
        np.testing.assert_allclose(s["frames/t_end"], t + 0.02)

    # ---- trials and targets --------------------------------------------------------------------

    def targets(self, s):
        """Where each trial's target is."""
        place = s["targets/position"][s["trials/target"]]
        place[s["trials/target"] < 0] = np.nan
        return place

    def test_trials_with_targets_by_place_and_by_name(self):
        f = self.basic()
        start = 1.0 + 0.5 * np.arange(6)
        place = np.array([[1.0, 0], [0, 1], [1, 0], [np.nan, np.nan], [0, 1], [-1, 0]])
        stop = start + 0.4
        stop[2] = np.nan
        nwb.trials(f, start, stop, tgt_loc=place, go_cue_time=start + 0.1,
                   success=np.array([1, 0, 1, 1, 1, 0], bool))
        f.close()
        s = self.convert()
        kept = [0, 1, 3, 4, 5]
        np.testing.assert_array_equal(s["trials/start"], start[kept])
        np.testing.assert_array_equal(s["trials/go"], start[kept] + 0.1)
        np.testing.assert_array_equal(s["trials/rewarded"], [1, 0, 1, 1, 0])
        np.testing.assert_array_equal(self.targets(s), place[kept])
        self.assertEqual(len(s["targets/position"]), 3)
        self.assertIn("left out: 1 rows", self.said)
        s = self.convert("--target", "none", "--go", "none")
        self.assertNotIn("targets/position", s)
        self.assertNotIn("trials/go", s)

    def test_targets_that_have_names(self):
        f = self.basic()
        start = 1.0 + np.arange(3)
        nwb.trials(f, start, start + 0.5, where=np.array([[1.0, 2], [3, 4], [1, 2]]),
                   which=["up", "down", "up"], result=["R", "F", "I"], moved=start + 0.2)
        f.close()
        s = self.convert("--target", "which", "--target-position", "where", "--move", "moved")
        self.assertEqual([n.decode() for n in s["targets/id"]], ["up", "down"])
        np.testing.assert_array_equal(s["trials/target"], [0, 1, 0])
        np.testing.assert_array_equal(s["trials/rewarded"], [1, 0, 0])
        np.testing.assert_array_equal(s["trials/move"], start + 0.2)
        self.refused("no column says where", options=["--target", "which"])
        self.refused("/intervals/trials/when", options=["--go", "when"])

    def test_several_targets_a_trial(self):
        f = self.basic()
        start = 1.0 + np.arange(3)
        nwb.trials(f, start, start + 0.5, active_target=np.array([1, 0, 0]),
                   target_pos=[np.array([[0.0, 1], [2, 3]]), np.array([[4.0, 5], [6, 7], [8, 9]]),
                               np.array([[2.0, 3]])])
        f.close()
        s = self.convert()
        np.testing.assert_array_equal(self.targets(s), [[2, 3], [4, 5], [2, 3]])
        with h5py.File(self.path("f.nwb"), "a") as f:
            f["intervals/trials/active_target"][1] = 3
        self.refused("active_target[1] = 3", "0 to 2")

    # ---- refusals ------------------------------------------------------------------------------

    def damage(self, change, *words):
        with self.subTest(words=words):
            f = self.basic()
            nwb.trials(f, [1.0, 2.0], [1.5, 2.5], target_pos=np.zeros((2, 2)))
            change(f)
            f.close()
            self.refused(*words)

    def replace(self, path, data):
        def change(f):
            attributes = dict(f[path].attrs)
            del f[path]
            f.create_dataset(path, data=data).attrs.update(attributes)
        return change

    def test_damage_is_named(self):
        hand = "processing/behavior/Position/hand/"
        self.damage(lambda f: f.attrs.__delitem__("nwb_version"), "nwb_version", "begins with 2")
        self.damage(lambda f: f.attrs.__setitem__("nwb_version", "1.0.5"), '"1.0.5"')
        self.damage(self.replace("units/spike_times_index", [10, 5, 380]),
                    "/units/spike_times_index[1] = 5", "from 10 to 380")
        self.damage(self.replace("units/spike_times_index", [10, 20, 381]),
                    "/units/spike_times_index[2] = 381")
        self.damage(self.replace("units/spike_times", np.full(380, np.nan)), "/units/spike_times[0]")
        self.damage(self.replace("units/spike_times", np.array(["x"] * 380, dtype="S1")),
                    "/units/spike_times", "strings")
        self.damage(lambda f: f["units"].__delitem__("spike_times_index"),
                    "/units/spike_times_index is missing")
        self.damage(self.replace(hand + "timestamps", self.reach(399)[0]), "399 times for 400 rows")
        self.damage(self.replace(hand + "timestamps", np.zeros(400)), "timestamps[1]", "not later")
        self.damage(lambda f: f[hand].__delitem__("timestamps"), "neither timestamps nor")
        self.damage(lambda f: f[hand + "data"].attrs.__setitem__("conversion", np.inf), "conversion")
        self.damage(lambda f: f[hand + "data"].attrs.__setitem__("unit", ""), "--length-unit")
        self.damage(self.replace("intervals/trials/stop_time", [1.0]), "stop_time", "2 trials")
        self.damage(self.replace("intervals/trials/start_time", [1.2, 1.0]), "start_time[1]")
        self.damage(self.replace("intervals/trials/target_pos", np.zeros((2, 3))), "3 coordinates")
        self.damage(lambda f: f["intervals/trials"].__delitem__("start_time"), "start_time is missing")

    def test_files_that_are_none(self):
        with open(self.path("f.nwb"), "wb") as f:
            f.write(b"no HDF5")
        self.refused("is not an HDF5 file")
        nwb.create(self.path("f.nwb")).close()
        self.refused("/units/spike_times", "--counts", "--position")
        self.refused("no.nwb", source="no.nwb")
        f = self.basic()
        f["units/spike_times"][0] = 1e12
        f.close()
        self.refused("times must be in seconds", options=["--from", 0, "--to", 1e11])

    # ---- there and back ------------------------------------------------------------------------

    def make_session(self, dim=2, names=True, features=3):
        """A session with everything that a session may have, holes included."""
        rng, t = self.rng, 10 + 0.02 * np.arange(1, 301)
        t[150:] += 0.7  # a gap
        counts = rng.poisson(0.8, (300, 7)).astype(np.uint16)
        counts[5:40, 3] = 65535
        with h5py.File(self.path("a.h5"), "w") as f:
            f.attrs.update({"format": "trajd-session", "version": 1, "subject": "J\u00e4ger",
                            "description": "with a, comma", "length_unit": "px"})
            f["frames/counts"], f["frames/t_end"] = counts, t
            f["frames/dt"] = np.where(np.arange(300) % 7, 0.02, 0.0199)
            if names:
                f.create_dataset("frames/unit_name", data=["unit %d" % n for n in range(7)],
                                 dtype=nwb.TEXT)
            if features:
                power = rng.normal(size=(300, features)).astype(np.float32)
                power[::9, 0] = np.nan
                f["frames/features"] = power
            f["kinematics/t"] = 10 + np.sort(rng.uniform(0, 7, 500))
            position = rng.normal(size=(500, dim)) * 1e3
            position[0] = -0.0
            f["kinematics/position"] = position
            f["kinematics/velocity"] = rng.normal(size=(500, dim))
            f["trials/start"], f["trials/stop"] = 10.0 + np.arange(6), 10.9 + np.arange(6)
            f["trials/go"] = np.where(np.arange(6) % 2, np.nan, 10.3 + np.arange(6))
            f["trials/rewarded"] = np.array([1, 0, np.nan, 1, 1, 0])
            f["trials/target"] = np.array([0, 2, -1, 1, 2, 0], np.int32)
            f["targets/position"] = rng.normal(size=(3, dim))
            f.create_dataset("targets/id", data=["left", "right", "\u4e0a"], dtype=nwb.TEXT)

    def assert_same(self, a, b):
        self.assertEqual(set(a), set(b))
        for name, value in a.items():
            if isinstance(value, np.ndarray) and value.dtype != object:
                self.assertEqual((value.dtype, value.shape), (b[name].dtype, b[name].shape), name)
                self.assertTrue(value.tobytes() == b[name].tobytes(), name)
            else:
                self.assertTrue(np.all(value == b[name]), name)

    def export(self, *options):
        done = run("export", "nwb", *options, SOURCE_DATE_EPOCH="1000000000")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_session_comes_back_as_it_was(self):
        for dim, names, features in ((2, True, 3), (5, True, 0), (1, False, 2)):
            with self.subTest(dim=dim, names=names, features=features):
                self.make_session(dim, names, features)
                self.export("--session", self.path("a.h5"), "--out", self.path("f.nwb"))
                self.assert_same(read(self.path("a.h5")), self.convert())
                first = contents(self.path("f.nwb"))
                self.export("--session", self.path("a.h5"), "--out", self.path("g.nwb"))
                self.assertTrue(first == contents(self.path("g.nwb")))

    def test_parts_of_a_session_come_back(self):
        for parts in (["frames"], ["kinematics"], ["kinematics", "targets"], ["frames", "trials"]):
            with self.subTest(parts=parts):
                self.make_session()
                with h5py.File(self.path("a.h5"), "a") as f:
                    for name in set(f) - set(parts):
                        del f[name]
                    if parts[-1] == "trials":
                        del f["trials/target"]
                    if not {"kinematics", "targets"} & set(parts):
                        f.attrs["length_unit"] = ""  # nothing is measured in it
                self.export("--session", self.path("a.h5"), "--out", self.path("f.nwb"))
                self.assert_same(read(self.path("a.h5")), self.convert())

    # ---- the layout of what is exported --------------------------------------------------------

    def check_series(self, group):
        data, stamps = group["data"], group["timestamps"]
        self.assertIn("unit", data.attrs)
        self.assertEqual(stamps.attrs["unit"], "seconds")
        self.assertEqual(stamps.attrs["interval"], 1)
        self.assertEqual((len(stamps.shape), stamps.dtype, len(data)), (1, "f8", len(stamps)))

    def check_table(self, group):
        self.assertIn("description", group.attrs)
        index = {name for name in group if name.endswith("_index")}
        self.assertEqual(sorted(group.attrs["colnames"]), sorted(set(group) - {"id"} - index))
        for name in set(group) - index:
            if name + "_index" in index:
                continue
            self.assertEqual(len(group[name]), len(group["id"]), name)
            kind = "ElementIdentifiers" if name == "id" else "VectorData"
            self.assertEqual(group[name].attrs["neurodata_type"], kind)
            self.assertEqual("description" in group[name].attrs, name != "id")

    def check_layout(self, path):
        """What nwb-schema 2.7.0 and hdmf-common-schema require of what stands in the file."""
        ids = []
        series, tables = ("TimeSeries", "SpatialSeries"), ("Units", "TimeIntervals", "DynamicTable")

        def look(name, item):
            kind = item.attrs.get("neurodata_type")
            if kind is None:
                return
            self.assertIn(item.attrs["namespace"], ("core", "hdmf-common"), name)
            ids.append(item.attrs["object_id"])
            if kind in series:
                self.check_series(item)
            if kind in tables:
                self.check_table(item)
            if kind == "ProcessingModule":
                self.assertIn("description", item.attrs)
            if kind == "Position":
                self.assertEqual({c.attrs["neurodata_type"] for c in item.values()},
                                 {"SpatialSeries"})

        with h5py.File(path) as f:
            self.assertEqual(f.attrs["neurodata_type"], "NWBFile")
            self.assertEqual(f["file_create_date"].shape, (1,))
            for name in ("identifier", "session_description", "session_start_time",
                         "timestamps_reference_time"):
                self.assertEqual(f[name].shape, (), name)
            for name in ("acquisition", "analysis", "general", "processing", "stimulus/presentation",
                         "stimulus/templates"):
                self.assertIn(name, f)
            f.visititems(look)
            ids.append(f.attrs["object_id"])
        self.assertEqual(len(set(ids)), len(ids))
        for one in ids:
            self.assertRegex(one, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

    def test_a_file_that_was_spikes_trains_and_decodes_as_the_counts_did(self):
        """Simulated counts, spread as spikes over their bins into a file of the standard's layout,
        become the same counts, the same model and the same intents."""
        a, f = self.path("a.h5"), self.path("f.nwb")
        self.assertEqual(run("simulate", "--out", a, "--targets", 4, "--units", 12,
                             "--trials-per-target", 4, "--seed", 7).returncode, 0)
        s = read(a)
        with nwb.create(f, subject=s["@subject"]) as out:
            bins, units = s["frames/counts"].shape
            width, trains = s["frames/dt"][0], []
            for n in range(units):
                count = s["frames/counts"][:, n].astype(int)
                end = np.repeat(s["frames/t_end"], count)
                trains.append(np.sort(end - width * self.rng.uniform(0.01, 0.99, len(end))))
            nwb.units(out, trains, unit_name=[n.decode() for n in s["frames/unit_name"]])
            place = nwb.typed(nwb.module(out, "behavior").create_group("Position"), "Position")
            nwb.series(place, "hand", s["kinematics/position"], s["kinematics/t"], unit="mm",
                       kind="SpatialSeries")
            nwb.series(out["processing/behavior"], "hand_vel", s["kinematics/velocity"],
                       s["kinematics/t"], unit="mm/s")
            names = np.array([n.decode() for n in s["targets/id"]])
            nwb.trials(out, s["trials/start"], s["trials/stop"], go=s["trials/go"],
                       move=s["trials/move"], rewarded=s["trials/rewarded"],
                       target=list(names[s["trials/target"]]),
                       target_position=s["targets/position"][s["trials/target"]])
        first = s["frames/t_end"][0] - width
        b = self.convert("--from", first, "--to", s["frames/t_end"][-1], "--description",
                         s["@description"])
        np.testing.assert_array_equal(b["frames/counts"], s["frames/counts"])
        np.testing.assert_allclose(b["frames/t_end"], s["frames/t_end"], atol=1e-9)
        m, i = self.path("m.tjm"), self.path("i.jsonl")
        for command in (("train", "--session", self.path("s.h5"), "--out", m, "--family", "mixture",
                         "--no-plan", "--folds", 2, "--quiet"),
                        ("decode", "--model", m, "--session", self.path("s.h5"), "--out", i,
                         "--quiet")):
            done = run(*command)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.check_export(b, f, i)

    def check_export(self, session, source, intents):
        lines = [json.loads(line) for line in contents(intents).splitlines()]
        self.assertEqual(len(lines), len(session["frames/t_end"]))
        out = self.path("e.nwb")
        self.export("--session", self.path("s.h5"), "--intents", intents, "--out", out)
        self.check_decoded(out, lines)
        self.check_layout(out)
        self.assert_same(session, self.convert(source="e.nwb"))
        self.export("--source", source, "--intents", intents, "--out", out, "--length-unit", "mm",
                    "--module", "decoding")
        self.check_decoded(out, lines, "decoding")
        self.check_layout(out)
        done = run("export", "nwb", "--source", out, "--intents", intents, "--module", "decoding",
                   "--out", self.path("x.nwb"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("/processing/decoding is there already", done.stderr)
        self.assertEqual(sorted(n for n in os.listdir(self.folder.name) if "x.nwb" in n), [])

    def check_decoded(self, path, lines, module="trajd"):
        """The module holds what the intents said, row by row."""
        with h5py.File(path) as f:
            group = f["processing/" + module]
            self.assertIn(lines[-1]["model"], group.attrs["description"])
            for name, key in (("position", "position"), ("velocity", "velocity"),
                              ("position_covariance", "position_cov"),
                              ("target_probability", "target_prob"),
                              ("free_probability", "free_prob"), ("valid", "valid")):
                series = group["decoded_" + name]
                want = np.array([line[key] for line in lines], float)
                np.testing.assert_array_equal(series["data"][()].reshape(want.shape), want, name)
                np.testing.assert_array_equal(series["timestamps"], [line["t"] for line in lines])
            self.assertEqual(group["decoded_position/data"].attrs["unit"], "mm")
            label = group["decoded_targets/label"].asstr()[()]
            for line in lines:
                best = np.flatnonzero(np.array(line["target_prob"]) == max(line["target_prob"]))
                if len(best) == 1:
                    self.assertEqual(label[best[0]], line["target"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
