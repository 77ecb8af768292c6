#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the binary vectors into the folder that is named, from the layouts as frame.md, intent.md,
model.md and recording.md tell them and from nothing in the C code.

    python3 proto/vectors/generate.py proto/vectors
"""
import json
import math
import os
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(seq=17, t=0.34, dt=0.02, counts=(), features=(), device=0, **odd):
    """A frame; odd values replace what would be right, the checksum still fits unless it is odd too."""
    payload = (1 if counts else 0) | (2 if features else 0)
    data = b"".join(struct.pack("<H", count) for count in counts)
    data += b"".join(f if isinstance(f, bytes) else struct.pack("<f", f) for f in features)
    header = bytearray(
        struct.pack(
            "<4sHHHHIQddQI",
            odd.get("magic", b"TRJF"),
            odd.get("version", 1),
            odd.get("header", 56),
            odd.get("kind", 1),
            odd.get("payload", payload),
            odd.get("units", len(counts)),
            seq,
            t,
            dt,
            device,
            odd.get("f", len(features)),
        )
    )
    header += struct.pack("<I", odd.get("crc", crc32c(bytes(header) + bytes(4) + data)))
    return bytes(header) + data


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def frames():
    counts = (0, 2, 65535, 65534)
    good = frame(counts=counts)
    nan = b"\x00\x00\xc0\x7f"
    features = (0.5, nan, -3.25, 1e10, 0.1)
    float_max, float_min = b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00"
    yield "counts", good
    yield "features", frame(seq=18, t=0.36, features=features)
    yield "both", frame(19, -0.001, 0.05, (1,), (-0.0,), 1234567890123456789)
    yield "extremes", frame(2**64 - 1, sys.float_info.max, 5e-324, (0,), (float_max, float_min),
                            2**64 - 1)
    # Any NaN means the same: a signalling one, one with a sign and bits of its own.
    odd_nan = b"\x01\x00\xa0\xff"
    yield "nan-payload", frame(seq=18, t=0.36, features=(0.5, odd_nan, -3.25, 1e10, 0.1))
    yield "empty", b""
    yield "short", b"TRJ"
    yield "magic", frame(counts=counts, magic=b"TRJG")
    yield "version", frame(counts=counts, version=2)
    yield "header-length", frame(counts=counts, header=64)
    yield "header-cut", good[:40]
    yield "truncated", good[:-1]
    yield "trailing", good + b"\0"
    yield "units-huge", frame(counts=counts, units=2**31)
    yield "checksum", frame(counts=counts, crc=0xDEADBEEF)
    yield "count-flipped", flip(good, 58)
    yield "kind", frame(counts=counts, kind=2)
    yield "payload-unknown", frame(counts=counts, payload=5)
    yield "payload-none", frame()
    yield "payload-other", frame(counts=counts, payload=2)
    yield "units-too-many", frame(counts=range(9))
    yield "features-too-many", frame(features=range(9))
    yield "t-nan", frame(counts=counts, t=math.nan)
    yield "t-infinite", frame(counts=counts, t=math.inf)
    yield "dt-zero", frame(counts=counts, dt=0.0)
    yield "dt-nan", frame(counts=counts, dt=math.nan)
    yield "feature-infinite", frame(features=(0.5, -math.inf))


def intent(dim=2, position=None, velocity=None, position_cov=None, velocity_cov=None, target_prob=(), target=b"",
           target_set=b"", row=None, state_prob=None, numbers=(0.125, 0.42, 0.31, -123.456), **odd):
    """An intent; what is None is NaN.  odd values replace what would be right, as in frame."""
    nan = math.nan
    lengths = (dim, dim, dim * dim, dim * dim)
    parts = [value or (nan,) * n for value, n in
             zip((position, velocity, position_cov, velocity_cov), lengths)]
    doubles = [x for part in parts for x in part] + list(target_prob)
    payload = struct.pack(f"<{len(doubles)}d", *doubles) + target + target_set
    if row is None:
        row = target_prob.index(max(target_prob)) if target_prob else 65535
    whole = bytearray(struct.pack(
        "<4sHHHHHBBQQd4d6ddQddII12sHBBII", odd.get("magic", b"TRJI"), odd.get("version", 1), odd.get("header", 184),
        odd.get("kind", 1), odd.get("d", dim), odd.get("m", len(target_prob)), odd.get("valid", 1),
        odd.get("state", 255), odd.get("seq", 5), odd.get("frame", 17), odd.get("t", 0.34), *numbers,
        *(state_prob or (nan,) * 6), odd.get("silent", nan), odd.get("device", 0), odd.get("recv", nan), odd.get("done", nan), odd.get("behind", 0),
        odd.get("flags", 0), odd.get("model", b"0123456789ab"), row, odd.get("target_bytes", len(target)),
        len(target_set), odd.get("payload", len(payload)), 0) + payload)
    whole[180:184] = struct.pack("<I", odd.get("crc", crc32c(bytes(whole))))
    return bytes(whole)


def intents():
    moments = dict(position=(12.5, -3.25), position_cov=(4, 0.5, 0.5, 9), velocity=(100.125, -0.1),
                   velocity_cov=(16, 0, 0, 16))
    full = dict(**moments, target_prob=(0.125, 0.75), target=b"3", target_set=b"centre-out",
                state_prob=(0.0625, 0.1875, 0.5, 0.125, 0.0625, 0.0625), state=2, flags=1 | 4 | 64, device=123,
                recv=1234.5, done=1234.50025, behind=2)
    none = (math.nan,) * 4
    stale = dict(kind=2, velocity=(0, 0), numbers=none, valid=0, seq=0, frame=0, silent=0.25, t=1.5)
    good = intent(**full)
    yield "full", good
    yield "nulls", intent(dim=0, numbers=none, valid=0, seq=0, frame=0, t=-1.0, model=bytes(12))
    yield "dim-kept", intent(dim=16, numbers=none, valid=0)
    yield "no-probability", intent(target_prob=(0.0, 0.0), row=65535)
    yield "stale", intent(**stale)
    yield "stale-first", intent(**{**stale, "t": math.nan})
    yield "empty", b""
    yield "magic", intent(magic=b"TRJF")
    yield "version", intent(version=2)
    yield "header-length", intent(header=176)
    yield "header-cut", good[:183]
    yield "truncated", good[:-1]
    yield "trailing", good + b"\0"
    yield "dimensions-huge", intent(d=65535)
    yield "payload", intent(payload=7)
    yield "text-beyond", intent(target=b"3", target_bytes=255)
    yield "checksum", intent(**{**full, "crc": 1})
    yield "flipped", flip(good, 190)
    yield "kind", intent(kind=3)
    yield "dimensions", intent(dim=17)
    yield "targets", intent(target_prob=(0.5,) * 257)
    yield "valid", intent(valid=2)
    yield "state", intent(state=6)
    yield "flags", intent(flags=1 << 31)
    yield "flags-all", intent(flags=(1 << 12) - 1)
    yield "t-nan", intent(t=math.nan)
    yield "eta-infinite", intent(numbers=(0.5, 0.5, math.inf, 0.5))
    yield "silent", intent(silent=0.5)
    yield "silent-nan", intent(**{**stale, "silent": math.nan})
    yield "stale-valid", intent(**{**stale, "valid": 1})
    yield "position-half", intent(position=(1.0, math.nan))
    yield "state-prob-half", intent(state_prob=(0.5, math.nan, 0, 0, 0, 0))
    yield "target-row", intent(target_prob=(0.25, 0.5), row=0)
    yield "target-nul", intent(target=b"a\0b")
    yield "target-long", intent(target=b"a" * 64)
    yield "model", intent(model=b"0123\x0056789ab")


def image(header, data=b"", pad=True):
    text = header if isinstance(header, bytes) else json.dumps(
        header, separators=(",", ":"), ensure_ascii=False).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end, **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def tensors():
    doubles = struct.pack("<6d", 1.5, -2, 0, 1e-300, 3, 4)
    whole = struct.pack("<2i", -1, 7)
    rest = struct.pack("<2f", 0.5, -0.5) + bytes([1, 0, 255]) + struct.pack("<H", 65535)
    yield "model", image(
        {
            "__metadata__": {"format": "test", "note": 'a "quoted"\nline: é'},
            "a.weight": tensor("F64", [2, 3], 0, 48),
            "a.lag": tensor("I32", [2], 48, 56),
            "a.gain": tensor("F32", [2, 1, 1, 1], 56, 64),
            "a.flag": tensor("U8", [3], 64, 67),
            "a.count": tensor("U16", [1], 67, 69),
            "a.none": tensor("F64", [0, 4], 69, 69),
        },
        doubles + whole + rest,
    )
    one = struct.pack("<d", 1.25)
    scalar = {"x": tensor("F64", [], 0, 8)}
    yield "empty", image({})
    yield "scalar", image(scalar, one)
    yield "unpadded", image(scalar, one, pad=False)
    yield "spaced", image(b'{ "x":{"data_offsets":[0,8],\n"shape":[ ],"dtype":"F64"} }\t', one, pad=False)
    good = image(scalar, one)
    yield "cut", good[:7]
    yield "length", struct.pack("<Q", 2**63) + good[8:]
    yield "header-cut", struct.pack("<Q", 20) + good[8:]
    yield "json", image(b'{"x":}', one)
    yield "array", image(b"[]")
    yield "no-shape", image({"x": {"dtype": "F64", "data_offsets": [0, 8]}}, one)
    yield "unknown-key", image({"x": tensor("F64", [1], 0, 8, unit="mm")}, one)
    yield "dtype", image({"x": tensor("F16", [4], 0, 8)}, one)
    yield "rank", image({"x": tensor("F64", [1, 1, 1, 1, 1], 0, 8)}, one)
    yield "shape-negative", image({"x": tensor("F64", [-1], 0, 8)}, one)
    yield "shape-overflow", image({"x": tensor("F64", [2**32, 2**29, 2**3], 0, 0)})
    yield "shape-mismatch", image({"x": tensor("F64", [2], 0, 8)}, one)
    yield "offsets-three", image(b'{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8,8]}}', one)
    yield "offsets-one", image(b'{"x":{"dtype":"F64","shape":[1],"data_offsets":[0]}}', one)
    yield "offsets-backwards", image({"x": tensor("F64", [1], 0, 8), "y": tensor("U8", [], 8, 0)}, one)
    yield "outside", image({"x": tensor("F64", [2], 0, 16)}, one)
    yield "hole", image({"x": tensor("U8", [1], 0, 1), "y": tensor("U8", [1], 2, 3)}, b"abc")
    yield "overlap", image({"x": tensor("U8", [2], 0, 2), "y": tensor("U8", [2], 1, 3)}, b"abc")
    yield "more-data", image(scalar, one + b"\0")
    yield "twice", image(b'{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                         b'"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"ab")
    yield "metadata-number", image({"__metadata__": {"a": 1}})
    yield "metadata-twice", image(b'{"__metadata__":{"a":"1"},"__metadata__":{"b":"1"}}')
    yield "metadata-doubled-key", image(b'{"__metadata__":{"a":"1","a":"2"}}')
    yield "name-long", image({"x" * 64: tensor("F64", [1], 0, 8)}, one)


DIGEST = "0123456789abcdef" * 4


def recording_header(part=1, first=0, stamp=12.5, time=1.75e9, model=DIGEST, name=b"20260301T101500Z-815",
                     version=b"0.1.0", **odd):
    header = bytearray(struct.pack(
        "<8sHHIQQdd64s64s32s48x", odd.get("magic", b"TRAJDREC"), odd.get("format", 1), odd.get("length", 256), 0,
        part, first, stamp, time, model.encode(), name, version))
    header[12:16] = struct.pack("<I", odd.get("crc", crc32c(bytes(header))))
    return bytes(header)


def record(kind, payload=b"", number=0, frame=0, stamp=13.0, code=0, cause=0, carried=False, **odd):
    whole = bytearray(struct.pack(
        "<4sIHBBIQQd", odd.get("magic", b"TRec"), odd.get("length", len(payload)), kind | (0x8000 if carried else 0),
        code, cause, 0, number, frame, stamp) + payload)
    whole[12:16] = struct.pack("<I", odd.get("crc", crc32c(bytes(whole))))
    return bytes(whole)


def recordings():
    header = recording_header()
    start = record(11, struct.pack("<QQ", 0, 0), 0)
    model = record(8, DIGEST.encode() + b"/data/m.tjm", 1)
    settings = record(7, struct.pack("<ddHHdddd", 1.0, 0.0, 1000, 2, -1, 1, -2, 2), 2)
    paused = record(6, b"", 3, code=1)
    session = b'{"type":"session","run":"a","marks":true}'
    event = record(2, struct.pack("<Q", 1) + session, 4, code=1)
    body = frame(counts=(0, 2))
    came = record(1, body, 5, stamp=13.02)
    went = record(9, struct.pack("<QQ", 1, 1) + b'{"v":1}', 6, stamp=13.03)
    refused = record(4, struct.pack("<Q", 2) + b"{}", 7, 1, code=2, cause=5)
    lost = record(12, struct.pack("<QQ", 3, 1), 8, 1, carried=True)
    bad = record(3, b"x", 11, 1, code=2)
    reset = record(5, b"", 12, 1)
    stale = record(10, b'{"v":1,"type":"stale"}', 13, 1)
    end = record(13, b"", 14, 1)
    begin = header + start + model + settings + paused
    whole = begin + event + came + went + refused + lost + bad + reset + stale + end
    yield "all-kinds", whole
    yield "header-alone", header
    yield "start", begin
    yield "second-part", recording_header(part=2, first=9) + record(
        8, DIGEST.encode(), 1, carried=True) + record(5, b"", 9, 4)
    yield "no-path", header + record(8, DIGEST.encode())
    yield "name-longest", recording_header(name=b"n" * 63)
    yield "empty", b""
    yield "magic", recording_header(magic=b"TRAJDREX")
    yield "version", recording_header(format=2)
    yield "header-length", recording_header(length=128)
    yield "header-cut", header[:255]
    yield "header-checksum", recording_header(crc=1)
    yield "part-zero", recording_header(part=0)
    yield "stamp-nan", recording_header(stamp=math.nan)
    yield "model-no-digest", recording_header(model="g" * 64)
    yield "name-empty", recording_header(name=b"")
    yield "name-endless", recording_header(name=b"n" * 64)
    yield "torn", whole[:-1]
    yield "torn-header", begin + came[:39]
    yield "torn-magic", begin + b"TR"
    yield "flipped", begin + flip(came, 60) + went
    yield "noise", begin + b"noise TRec noise" + went
    yield "kind-unknown", begin + record(15)
    yield "length-beyond", begin + record(1, body, length=2**26 + 1) + went


def main(folder):
    for kind, made in (("frame", frames()), ("intent", intents()), ("tensors", tensors()), ("recording", recordings())):
        os.makedirs(os.path.join(folder, kind), exist_ok=True)
        for name, data in made:
            with open(os.path.join(folder, kind, name + ".bin"), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
