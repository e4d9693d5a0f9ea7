"""Rhythms: how often each source sends, learnt from its frames, and who is overdue.

The rhythm is the median of 15 gaps in event time, frozen, and learnt again when the median of the last 15
has left it by half. A source is overdue when tick end - last > max(3 rhythms, 99 % gap + 2 ticks); the 99 %
gap is a peak that decays by 1 % a gap and does not learn from gaps that were a silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from monitor.types import Bools, Floats, Ints

GAPS = 15
PEAK_DECAY = 0.01
CHANGED = 1.5
NEVER = np.iinfo(np.int64).max

_COLUMNS = ("last", "alive", "count", "rhythm", "peak", "gaps", "silent")


class Rhythms:
    """Struct of arrays over the sources of a partition; grows by `add`."""

    def __init__(self, tick_ms: int) -> None:
        self.tick_ms = tick_ms
        self.last: Ints = np.empty(0, np.int64)
        self.alive: Ints = np.empty(0, np.int64)
        self.count: Ints = np.empty(0, np.int64)
        self.rhythm: Ints = np.empty(0, np.int64)
        self.peak: Floats = np.empty(0, np.float64)
        self.gaps: Ints = np.empty((0, GAPS), np.int64)
        self.silent: Bools = np.empty(0, np.bool_)

    def add(self, count: int) -> None:
        """Make room for `count` sources that were never heard."""
        for name in _COLUMNS:
            column = getattr(self, name)
            room = np.zeros((count, *column.shape[1:]), column.dtype)
            setattr(self, name, np.concatenate([column, room]))

    def hear(self, who: Ints, ts: Ints) -> None:
        """Take frames in time: at most one for each source in `who`, later ones in later calls."""
        gap = ts - self.last[who]
        known = (self.last[who] > 0) & (gap > 0)
        self.last[who] = np.maximum(self.last[who], ts)
        self._learn(who[known], gap[known])

    def sign(self, who: Ints, ts: int) -> None:
        """Take a sign of life at `ts`: frames that are about long ago, as delayed labels are, are one too."""
        self.alive[who] = np.maximum(self.alive[who], ts)

    def _learn(self, who: Ints, gap: Ints) -> None:
        silence = (self.rhythm[who] > 0) & (gap > self.threshold(who))
        self.gaps[who, self.count[who] % GAPS] = gap
        self.count[who] += 1
        calm = who[~silence]
        decayed = self.peak[calm] + (self.rhythm[calm] - self.peak[calm]) * PEAK_DECAY
        self.peak[calm] = np.maximum(gap[~silence], decayed)
        full = who[self.count[who] % GAPS == 0]
        if len(full):
            self._relearn(full)

    def _relearn(self, who: Ints) -> None:
        median = np.median(self.gaps[who], axis=1).astype(np.int64)
        old = self.rhythm[who]
        changed = (median > old * CHANGED) | (median * CHANGED < old)
        self.rhythm[who[changed]] = median[changed]
        self.peak[who[changed]] = self.gaps[who[changed]].max(axis=1)

    def threshold(self, who: Ints | slice = slice(None)) -> Ints:
        """Return how long each source may be quiet, in milliseconds."""
        return np.maximum(3 * self.rhythm[who], self.peak[who].astype(np.int64) + 2 * self.tick_ms)

    def unheard(self, end: int, keep_ms: int) -> Bools:
        """Return who said nothing for `keep_ms` and for three times as long as each may be quiet."""
        return end - np.maximum(self.last, self.alive) > np.maximum(keep_ms, 3 * self.threshold())

    def deadline(self) -> Ints:
        """Return the end of the first tick in which each source is overdue; NEVER where it cannot be."""
        quiet_since = np.maximum(self.last, self.alive)
        end = (quiet_since + self.threshold()) // self.tick_ms * self.tick_ms + self.tick_ms
        return np.where((self.rhythm > 0) & ~self.silent, end, NEVER)

    def rows(self, who: Ints) -> dict[str, Any]:
        """Return what is known of some sources."""
        return {name: getattr(self, name)[who] for name in _COLUMNS}

    def set_rows(self, who: Ints, rows: dict[str, Any]) -> None:
        """Take back what `rows` gave, for sources under their present numbers."""
        for name in _COLUMNS:
            getattr(self, name)[who] = rows[name]
