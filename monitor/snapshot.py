"""State to bytes and back: dicts, lists, numbers, text, frozen records and numpy arrays, exactly."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

_ARRAY = 1
_HEAD = msgspec.msgpack.Encoder()


def encode(state: Any) -> bytes:
    """Return the state as bytes.

    >>> decode(encode({"x": np.array([1.5, np.nan]), "of": {3: [b"a"]}}))
    {'x': array([1.5, nan]), 'of': {3: [b'a']}}
    """
    return msgspec.msgpack.encode(state, enc_hook=_encode)


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        head = _HEAD.encode([value.dtype.str, list(value.shape)])
        return msgspec.msgpack.Ext(_ARRAY, len(head).to_bytes(2, "big") + head + value.tobytes())
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be part of a snapshot")


def decode(data: bytes) -> Any:
    """Return what `encode` was given; records come back as dicts, tuples as lists."""
    return msgspec.msgpack.decode(data, ext_hook=_decode, strict=False)


def _decode(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"a snapshot holds an unknown extension {code}")
    size = int.from_bytes(data[:2], "big")
    dtype, shape = msgspec.msgpack.decode(data[2 : 2 + size])
    return np.frombuffer(data[2 + size :], dtype=dtype).reshape(shape).copy()
