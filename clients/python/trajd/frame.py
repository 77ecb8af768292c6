# SPDX-License-Identifier: GPL-3.0-or-later
"""The binary body of a frame, as proto/frame.md describes it."""
import math
import struct
from typing import NamedTuple, Optional, Sequence

MISSING = 65535
"""The count that says: this unit was not observed in this bin."""

_HEADER = struct.Struct("<4sHHHHIQddQI")
_MAGIC, _VERSION, _KIND_FRAME = b"TRJF", 1, 1
_COUNTS, _FEATURES = 1, 2
_SIZE = _HEADER.size + 4


def _table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC = _table()


def _crc32c_plain(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


try:  # A compiled checksum where one is installed; a thousand units a millisecond need it.
    from crc32c import crc32c as _crc32c  # type: ignore
except ImportError:
    try:
        from google_crc32c import value as _crc32c  # type: ignore
    except ImportError:
        _crc32c = _crc32c_plain


class Frame(NamedTuple):
    """One bin of neural activity."""

    seq: int
    t: float
    dt: float
    counts: Optional[tuple]
    features: Optional[tuple]
    device: int


def _count(value) -> int:
    if value is None or value == MISSING or value != value:
        return MISSING
    number = int(value)
    if number != value or not 0 <= number < MISSING:
        raise ValueError(f"counts: {value!r} is not a whole number from 0 to {MISSING - 1}")
    return number


def encode_frame(seq: int, t: float, dt: float, counts: Optional[Sequence] = None,
                 features: Optional[Sequence] = None, device: int = 0) -> bytes:
    """The binary body of one bin.

    counts    [N] spikes, None, NaN or MISSING = this unit was not observed
    features  [F] continuous features, None or NaN = not observed
    t, dt     end and width of the bin, s; device: a stamp that comes back in the intent
    """
    if counts is None and features is None:
        raise ValueError("a frame needs counts or features")
    for name, value in ("counts", counts), ("features", features):
        if getattr(value, "ndim", 1) != 1:
            raise ValueError(f"{name}: an array of {value.ndim} dimensions where one is needed")
    kind, payload = 0, b""
    n = f = 0
    if counts is not None:
        kind |= _COUNTS
        n = len(counts)
        dtype = getattr(counts, "dtype", None)
        if dtype is not None and dtype.kind == "u" and dtype.itemsize <= 2:
            payload += counts.astype("<u2").tobytes()
        else:
            payload += struct.pack(f"<{n}H", *map(_count, counts))
    if features is not None:
        kind |= _FEATURES
        f = len(features)
        payload += struct.pack(f"<{f}f", *(math.nan if x is None else x for x in features))
    header = _HEADER.pack(_MAGIC, _VERSION, _SIZE, _KIND_FRAME, kind, n, seq, t, dt, device, f)
    return header + struct.pack("<I", _crc32c(header + bytes(4) + payload)) + payload


def decode_frame(body: bytes) -> Frame:
    """Reads a binary body; ValueError says what is wrong with it."""
    if len(body) < _SIZE:
        raise ValueError(f"a frame has at least {_SIZE} bytes, this has {len(body)}")
    magic, version, size, what, kind, n, seq, t, dt, device, f = _HEADER.unpack_from(body)
    if magic != _MAGIC or version != _VERSION or size != _SIZE or what != _KIND_FRAME:
        raise ValueError("not a frame of version 1")
    if len(body) != _SIZE + 2 * n + 4 * f:
        raise ValueError(f"a frame of {n} counts and {f} features has {_SIZE + 2 * n + 4 * f} bytes, "
                         f"this has {len(body)}")
    (crc,) = struct.unpack_from("<I", body, _HEADER.size)
    if crc != _crc32c(body[:_HEADER.size] + bytes(4) + body[_SIZE:]):
        raise ValueError("the checksum is wrong")
    counts = struct.unpack_from(f"<{n}H", body, _SIZE) if kind & _COUNTS else None
    features = struct.unpack_from(f"<{f}f", body, _SIZE + 2 * n) if kind & _FEATURES else None
    return Frame(seq, t, dt, counts, features, device)
