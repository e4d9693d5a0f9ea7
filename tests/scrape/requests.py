"""Remote-write requests made by hand, byte by byte."""

from __future__ import annotations

import struct

import cramjam

Told = list[tuple[dict[str, str], list[tuple[float, int]]]]


def varint(number: int) -> bytes:
    """Return a whole number as protobuf writes it."""
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def sample(value: float, ts: int) -> bytes:
    """Return a sample: value is field 1, timestamp field 2."""
    return varint(1 << 3 | 1) + struct.pack("<d", value) + varint(2 << 3) + varint(ts)


def request1(series: Told) -> bytes:
    """Return a WriteRequest: labels are field 1, samples field 2, of series, field 1; metadata is 3."""
    out = b""
    for labels, samples in series:
        body = b"".join(
            field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items())
        )
        out += field(1, body + b"".join(field(2, sample(*s)) for s in samples))
    return out + field(3, field(2, b"DCGM_FI_DEV_GPU_TEMP"))


def request2(series: Told) -> bytes:
    """Return a Request of 2.0: symbols are field 4, series field 5, with packed references, field 1."""
    symbols, out = [""], b""
    for labels, samples in series:
        words = [word for pair in sorted(labels.items()) for word in pair]
        symbols += [word for word in words if word not in symbols]
        refs = field(1, b"".join(varint(symbols.index(word)) for word in words))
        out += field(5, refs + b"".join(field(2, sample(*s)) for s in samples))
    return b"".join(field(4, symbol.encode()) for symbol in symbols) + out


def packed(raw: bytes) -> bytes:
    """Return a body as it travels."""
    return bytes(cramjam.snappy.compress_raw(raw))
