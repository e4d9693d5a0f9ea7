"""Durations and sizes as Prometheus writes them."""

from __future__ import annotations

import re

from monitor.units import DAY, HOUR, MINUTE, SECOND

_TIME = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS = (7 * DAY, DAY, HOUR, MINUTE, SECOND, 1)


def interval_ms(text: str) -> int:
    """Read a duration as Prometheus writes it, above 0.

    >>> interval_ms("15s"), interval_ms("1m30s"), interval_ms("500ms")
    (15000, 90000, 500)
    """
    match = _TIME.fullmatch(text)
    total = sum(int(n or 0) * unit for n, unit in zip(match.groups(), _UNITS, strict=True)) if match else 0
    if not total:
        raise ValueError(f"`{text}` is no duration above 0; write 15s, 1m or 1m30s")
    return total


_SIZE = re.compile(r"(\d+)([KMGT]?)i?B")


def size_bytes(text: str | int) -> int:
    """Read a size as Prometheus writes it, in powers of 1024; 0 is no limit.

    >>> size_bytes("10MB"), size_bytes(0)
    (10485760, 0)
    """
    match = _SIZE.fullmatch(str(text) + ("B" if str(text).isdecimal() else ""))
    if match is None:
        raise ValueError(f"`{text}` is no size; write 10MB")
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")
