"""Sources whose frames keep coming late: a wrong clock, or a slow way here.

Event time is cut into half hours. A source is off in one when at least four frames came late that were new
(their ts above all it sent before) and none came in time; it is well again after one with four in time and
none late. Half an hour makes the judgement the same however lines are moved within the lateness; a backlog
flushed at once, or a replayed duplicate, is no such sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from monitor.types import Lag
from monitor.units import MINUTE, tick_end

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD = 30 * MINUTE
ENOUGH = 4
SPREAD = 10 * MINUTE


class _Count(msgspec.Struct):
    newest: int = 0
    since: int = 0  # frames in time count from this tick on
    off: bool = False
    judged: int = 0  # the last half hour of which there was something to judge
    late: dict[int, list[int]] = {}  # period -> [frames, first arrival, last arrival, sum of delays]
    in_time: dict[int, int] = {}


class LateSources:
    """Counts late and timely frames of each (kind, source) by half hours; only those ever late are kept."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Count] = {}
        self._over: list[Lag] = []

    def late(self, kind: str, source: str, ts: int, arrival: int, *, stamped: bool = False) -> None:
        """Take a late frame that arrived at `arrival`, which is its stamp or the reader's clock."""
        count = self._counts.setdefault((kind, source), _Count(since=arrival if stamped else 0))
        if ts <= count.newest:
            return
        count.newest = ts
        tally = count.late.setdefault(_period(arrival), [0, arrival, arrival, 0])
        tally[0] += 1
        tally[1], tally[2] = min(tally[1], arrival), max(tally[2], arrival)
        tally[3] += arrival - ts

    def in_time(self, kind: str, source: str, ts: int, end: int) -> None:
        """Take a frame in time, of the tick `end`, of a source that was late before; others cost nothing."""
        count = self._counts.get((kind, source))
        if count is not None and end >= count.since:
            period = _period(ts)
            count.in_time[period] = count.in_time.get(period, 0) + 1

    def judge(self, end: int) -> list[Lag]:
        """Judge the half hours that end at or before `end`, each once; return what changed, in order."""
        found, self._over = self._over, []
        for (kind, source), count in sorted(self._counts.items()):
            for period in sorted({*count.late, *count.in_time}):
                if period <= end:
                    found += self._judge(kind, source, count, period)
        return found

    def _judge(self, kind: str, source: str, count: _Count, period: int) -> list[Lag]:
        late, first, last, delays = count.late.pop(period, [0, 0, 0, 0])
        in_time = count.in_time.pop(period, 0)
        count.judged = period
        off = late >= ENOUGH and last - first >= SPREAD and not in_time
        if off and not count.off:
            count.off = True
            return [Lag(source, kind, period, round(delays / late / MINUTE) * MINUTE, "late")]
        if count.off and in_time >= ENOUGH and not late:
            count.off = False
            return [Lag(source, kind, period, 0, "in_time")]
        return []

    def next_due(self, tick_ms: int) -> int | None:
        """Return the end of the tick that holds the end of the first half hour that waits to be judged."""
        periods = (p for c in self._counts.values() for p in (*c.late, *c.in_time))
        return min((tick_end(p, tick_ms) for p in periods), default=None)

    def off(self) -> set[tuple[str, str]]:
        """Return the sources that are off, and those that are about to be called so."""
        return {
            key
            for key, count in self._counts.items()
            if count.off
            or (sum(t[0] for t in count.late.values()) >= ENOUGH and not any(count.in_time.values()))
        }

    def forget(self, end: int, keep_ms: int) -> None:
        """Let go of sources of which nothing came for `keep_ms`; they are off until the tick `end`."""
        for (kind, source), count in sorted(self._counts.items()):
            if end - count.judged <= keep_ms:
                continue
            if count.off:
                self._over.append(Lag(source, kind, end, 0, "in_time"))
                count.off = False
            if not (count.late or count.in_time):
                del self._counts[kind, source]

    def to_state(self) -> list[list[Any]]:
        """Return the counts by source, in order."""
        return [[kind, source, count] for (kind, source), count in sorted(self._counts.items())]

    def restore(self, state: list[list[Any]], mine: Callable[[str], bool]) -> None:
        """Take back the sources that are `mine` of what `to_state` gave."""
        for kind, source, count in state:
            if mine(source):
                self._counts[kind, source] = msgspec.convert(count, _Count)


def _period(ts: int) -> int:
    return -(-ts // PERIOD) * PERIOD
