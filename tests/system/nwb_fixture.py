# SPDX-License-Identifier: GPL-3.0-or-later
"""NWB files for tests, written by h5py in the layout of the standard.

The layout was checked against the schemas nwb-schema 2.7.0 (core/nwb.base, nwb.behavior, nwb.misc,
nwb.epoch and nwb.file) and hdmf-common-schema 1.8.0 (common/table): the groups and datasets that
NWBFile requires; namespace, neurodata_type and object_id of every object; data with unit,
conversion and offset; timestamps (interval, unit) or starting_time (rate, unit); VectorData with a
description, VectorIndex with a reference to its target, id and colnames of a table.

Files of other software, which are not kept here, were read too: one that PyNWB 2.8 wrote (units with
obs_intervals, Position, trials, targets; converted, trained on and decoded), A8604-211122.nwb and
sub-4_ses-4_ecephys+image.nwb of pynapple's documentation and tests (units; all spikes counted), the
test files of nwb-explorer and of PyNWB's back_compat (nothing to decode in them, and that is what
is said), those of MatNWB's tutorials (NWB 2.0b: units whose index holds references are refused)."""

import uuid

import h5py
import numpy as np

TEXT = h5py.string_dtype("utf-8")


def typed(item, kind, space="core", **attributes):
    item.attrs["namespace"] = space
    item.attrs["neurodata_type"] = kind
    item.attrs["object_id"] = str(uuid.uuid4())
    for name, value in attributes.items():
        item.attrs[name] = value
    return item


def create(path, subject=None):
    """An empty NWB file, open for writing."""
    f = h5py.File(path, "w")
    typed(f, "NWBFile", nwb_version="2.7.0")
    for group in ("acquisition", "analysis", "general", "processing", "stimulus/presentation",
                  "stimulus/templates"):
        f.create_group(group)
    day = "2024-05-31T14:00:00+02:00"
    for name, value in (("identifier", "fixture"), ("session_description", "a fixture"),
                        ("session_start_time", day), ("timestamps_reference_time", day)):
        f.create_dataset(name, data=value, dtype=TEXT)
    f.create_dataset("file_create_date", data=[day], dtype=TEXT)
    if subject:
        typed(f.create_group("general/subject"), "Subject")
        f.create_dataset("general/subject/subject_id", data=subject, dtype=TEXT)
    return f


def module(f, name):
    path = "processing/" + name
    return f[path] if path in f else typed(f.create_group(path), "ProcessingModule",
                                           description=name)


def series(parent, name, data, t=None, start=None, rate=None, unit="m", kind="TimeSeries",
           conversion=None, offset=None):
    """A TimeSeries with timestamps t, or starting_time and rate."""
    group = typed(parent.create_group(name), kind, description=name, comments="no comments")
    values = group.create_dataset("data", data=data)
    values.attrs["unit"] = unit
    if conversion is not None:
        values.attrs["conversion"] = np.float32(conversion)
    if offset is not None:
        values.attrs["offset"] = np.float32(offset)
    if t is not None:
        stamps = group.create_dataset("timestamps", data=np.asarray(t, float))
        stamps.attrs["interval"] = np.int32(1)
        stamps.attrs["unit"] = "seconds"
    if start is not None:
        begin = group.create_dataset("starting_time", data=float(start))
        begin.attrs["rate"] = np.float32(rate)
        begin.attrs["unit"] = "seconds"
    return group


def table(f, path, kind, columns, space="core"):
    """A DynamicTable; a column is an array with one row each, or a list of arrays (ragged)."""
    group = typed(f.create_group(path), kind, space, description=kind)
    rows = len(next(iter(columns.values())))
    typed(group.create_dataset("id", data=np.arange(rows)), "ElementIdentifiers", "hdmf-common")
    for name, values in columns.items():
        ragged = isinstance(values, list) and len(values) and isinstance(values[0], np.ndarray)
        text = not ragged and len(values) and isinstance(values[0], str)
        data = np.concatenate(values) if ragged else values
        column = group.create_dataset(name, data=data, dtype=TEXT if text else None)
        typed(column, "VectorData", "hdmf-common", description=name)
        if ragged:
            ends = np.cumsum([len(v) for v in values]).astype(np.uint32)
            index = typed(group.create_dataset(name + "_index", data=ends), "VectorIndex",
                          "hdmf-common", description="index of " + name)
            index.attrs["target"] = column.ref
    group.attrs.create("colnames", list(columns), dtype=TEXT)
    return group


def units(f, trains, **columns):
    """/units with the spike times of each unit and further columns."""
    return table(f, "units", "Units", {"spike_times": [np.asarray(t, float) for t in trains],
                                       **columns})


def trials(f, start, stop, **columns):
    return table(f, "intervals/trials", "TimeIntervals",
                 {"start_time": np.asarray(start, float), "stop_time": np.asarray(stop, float),
                  **columns})
