"""Time on the wire and in the pipeline: integer milliseconds since the Unix epoch, UTC.

Windows are half open, [start, end). A frame's `ts` is the end of what it covers, so it belongs to the
window that holds ts - 1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EARLIEST_TS = 946_684_800_000  # 2000-01-01
LATEST_TS = 4_102_444_800_000  # 2100-01-01


def tick_end(ts: int, tick_ms: int) -> int:
    """Return the end of the tick that holds ts - 1.

    >>> tick_end(20_000, 10_000), tick_end(20_001, 10_000)
    (20000, 30000)
    """
    return -(-ts // tick_ms) * tick_ms


@lru_cache(1024)
def duration_ms(text: str) -> int:
    """Read a duration such as `80ms`, `30s`, `5m`, `1h`, `3d`.

    >>> duration_ms("5m"), duration_ms("80ms")
    (300000, 80)
    """
    for suffix, unit in (("ms", 1), ("s", SECOND), ("m", MINUTE), ("h", HOUR), ("d", DAY)):
        number = text.removesuffix(suffix)
        if number != text and number.replace(".", "", 1).isdecimal():
            return round(float(number) * unit)
    raise ValueError(f"`{text}` is no duration: write 80ms, 30s, 5m, 1h or 3d")


def iso(ms: int) -> str:
    """Return a time as ISO 8601 writes it, in UTC.

    >>> iso(1_795_500_000_000)
    '2026-11-24T06:00:00.000Z'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
