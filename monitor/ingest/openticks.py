"""Ticks that are not closed yet: frames are put in, idempotently and in any order.

Of two frames of one (kind, source, ts) one counts, whole: the one with the higher `seq`, without `seq` the
one whose bytes sort last, of two bills the later one. Which came first does not matter, bills apart.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from monitor.reasons import Quality
from monitor.types import Change, Command

FrameKey = tuple[str, str, int]


class HeldFrame(msgspec.Struct, gc=False):
    """A frame in an open tick: its numbers, and what else it says."""

    seq: int
    line: bytes
    shape: tuple[str, tuple[str, ...] | None, tuple[str, ...]]
    value: Any
    changes: tuple[Change, ...] = ()
    commands: tuple[Command, ...] = ()
    lead_ms: int | None = None  # how far its ts is ahead of its stamp; None without one


def _same(one: HeldFrame, other: HeldFrame) -> bool:
    said = (one.shape, one.changes, one.commands) == (other.shape, other.changes, other.commands)
    return said and bool(np.array_equal(one.value, other.value, equal_nan=True))


class OpenTicks:
    """The frames of each open tick, by the tick's end."""

    def __init__(self) -> None:
        self._ticks: dict[int, dict[FrameKey, HeldFrame]] = {}

    def put(self, end: int, key: FrameKey, frame: HeldFrame) -> Quality | None:
        """Put a frame into a tick; say whether another one of its key was there.

        Two that differ contradict each other, unless their `seq` says which of them is the later word.
        """
        tick = self._ticks.setdefault(end, {})
        there = tick.get(key)
        if there is None:
            tick[key] = frame
            return None
        bill = key[0] == "cost"
        tick[key] = frame if bill else max(there, frame, key=lambda f: (f.seq, f.line))
        if _same(there, frame):
            return Quality.DUPLICATE
        return Quality.CONFLICT if bill or there.seq == frame.seq else Quality.SUPERSEDED

    def take(self, end: int) -> list[tuple[FrameKey, HeldFrame]]:
        """Remove a tick and return its frames in canonical order (kind, source, ts)."""
        return sorted(self._ticks.pop(end, {}).items(), key=lambda item: item[0])

    def first(self) -> int | None:
        """Return the end of the earliest tick that holds a frame."""
        return min(self._ticks, default=None)

    def frames(self) -> list[tuple[int, FrameKey, HeldFrame]]:
        """Return everything that is held, in order."""
        return [(end, key, tick[key]) for end, tick in sorted(self._ticks.items()) for key in sorted(tick)]
