"""Counters to rates, resets tolerated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.units import SECOND

if TYPE_CHECKING:
    from monitor.types import Floats, Ints


class Rates:
    """The last reading of each counter: rate = (value - last) / (ts - last ts), per second.

    The first reading has no rate. Nor has one below the last: the counter was set back, and what it counted
    before is lost, so the interval says nothing. State: 16 bytes a series.

    >>> rates = Rates()
    >>> series, ts = np.array([0, 0, 0]), np.array([10_000, 20_000, 30_000])
    >>> rates.step(series, ts, np.array([5.0, 25.0, 3.0]), 1)
    (array([nan,  2., nan]), 1)
    """

    def __init__(self) -> None:
        self._last: Floats = np.empty(0, np.float64)
        self._ts: Ints = np.empty(0, np.int64)

    def step(self, series: Ints, ts: Ints, value: Floats, count: int) -> tuple[Floats, int]:
        """Return the rates (NaN = none) of readings sorted by (series, ts), and how many were set back.

        `count` is the number of series there are now.
        """
        self._grow(count)
        again = np.concatenate([[False], series[1:] == series[:-1]])
        last = np.where(again, np.roll(value, 1), self._last[series])
        elapsed = ts - np.where(again, np.roll(ts, 1), self._ts[series])
        newest = np.concatenate([~again[1:], [True]])
        forward = newest & (ts > self._ts[series])
        self._last[series[forward]] = value[forward]
        self._ts[series[forward]] = ts[forward]
        reset = value < last
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where((elapsed > 0) & ~reset, (value - last) / elapsed * SECOND, np.nan)
        return rate, int(reset.sum())

    def _grow(self, count: int) -> None:
        room = count - len(self._last)
        if room > 0:
            self._last = np.concatenate([self._last, np.full(room, np.nan)])
            self._ts = np.concatenate([self._ts, np.zeros(room, np.int64)])

    def to_state(self, series: Ints) -> dict[str, Any]:
        """Return the readings of some series."""
        self._grow(int(series.max(initial=-1)) + 1)
        return {"last": self._last[series], "ts": self._ts[series]}

    def restore(self, series: Ints, state: dict[str, Any]) -> None:
        """Take back what `to_state` gave, for series under their present numbers."""
        self._grow(int(series.max(initial=-1)) + 1)
        self._last[series] = state["last"]
        self._ts[series] = state["ts"]
