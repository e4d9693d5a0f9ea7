"""The coarser tiers: minutes from 10 s, hours from minutes, each window whole, once it has closed.

A window that is rolled again gives the same row, or a fuller one, which counts. So a window may be rolled
as often as one likes: after late samples, after a kill, at the end of a recording while it is still open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from monitor.store.tables import TIERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.types import Ints

SOURCE = {"m1": "s10", "h1": "m1"}
"""Which tier each is made from."""

MAX_ROWS = 5_000_000
"""Source rows in one statement: an hour of 10,000 GPUs at once takes gigabytes."""

STEP_MS = 300_000
"""Span of one statement where it is not known how many rows there are."""


class Span(NamedTuple):
    """Windows [lo, hi) of a tier, in milliseconds, and about how many rows they are made from."""

    lo: int
    hi: int
    rows: int


def roll(tier: str, *, where: str = "") -> str:
    """Return the statement that makes the windows of a tier in [lo, hi), of all series or of some.

    n = sum(n_i); mean = sum(n_i mean_i) / n; m2 = sum(m2_i + n_i (mean_i - mean)^2), which does not cancel as
    a sum of squares would; the parts are summed in order of time, so that rolling again gives the same bits.
    last is that of the latest window, in time before late.
    """
    source = SOURCE[tier]
    start = {"m1": "toStartOfMinute", "h1": "toStartOfHour"}[tier]
    when = "toUInt64(toUnixTimestamp(s.ts)) * 2" + (" + (s.late = 0)" if source == "s10" else "")
    return f"""\
INSERT INTO {tier} (ts, kind, entity, metric, count, mean, m2, min, max, last, anomalous)
SELECT start, kind, entity, metric, n, centre,
  arraySum(p -> p.4 + p.2 * (p.3 - centre) * (p.3 - centre), parts), low, high, latest, odd
FROM (
  SELECT {start}(s.ts) AS start, s.kind AS kind, s.entity AS entity, s.metric AS metric,
    sum(s.count) AS n, arraySort(groupArray(({when}, s.count, s.mean, s.m2))) AS parts,
    arraySum(p -> p.2 * p.3, parts) / n AS centre,
    min(s.min) AS low, max(s.max) AS high, argMax(s.last, {when}) AS latest, sum(s.anomalous) AS odd
  FROM {source} AS s FINAL
  WHERE s.ts >= toDateTime({{lo:UInt32}}, 'UTC') AND s.ts < toDateTime({{hi:UInt32}}, 'UTC'){where}
  GROUP BY start, kind, entity, metric
)"""


ONE_METRIC = " AND s.metric = {metric:String}"
SOME_SERIES = " AND s.metric IN {metrics:Array(String)} AND s.entity IN {entities:Array(String)}"


class Frontier:
    """Which windows of one tier wait to be rolled."""

    def __init__(self, tier: str, upto: int = 0, waiting: dict[int, int] | None = None) -> None:
        self.tier, self.width = tier, TIERS[tier]
        self._upto = upto
        self._waiting = dict(waiting or {})

    def add(self, windows: Ints, rows: Ints) -> Ints:
        """Take note of rows in windows (by their start); return the windows that have been rolled before."""
        old = windows < self._upto
        for window, count in zip(windows[~old].tolist(), rows[~old].tolist(), strict=True):
            self._waiting[window] = self._waiting.get(window, 0) + count
        return windows[old]

    def due(self, closed: int | None = None) -> list[Span]:
        """Take the windows that end by `closed` (None: all), as spans of MAX_ROWS or of one window."""
        ready = sorted(w for w in self._waiting if closed is None or w + self.width <= closed)
        spans: list[Span] = []
        for window in ready:
            rows = self._waiting.pop(window)
            last = spans[-1] if spans else None
            if last is not None and last.hi == window and last.rows + rows <= MAX_ROWS:
                spans[-1] = Span(last.lo, window + self.width, last.rows + rows)
            else:
                spans.append(Span(window, window + self.width, rows))
        if spans:
            self._upto = max(self._upto, spans[-1].hi)
        return spans

    def to_state(self) -> dict[str, Any]:
        """Return what waits."""
        return {"upto": self._upto, "waiting": sorted(self._waiting.items())}

    @classmethod
    def from_state(cls, tier: str, state: dict[str, Any]) -> Frontier:
        """Build from what `to_state` gave."""
        return cls(tier, state["upto"], dict(state["waiting"]))


def spans(windows: Iterable[int], width: int) -> list[Span]:
    """Return windows (by their start, ascending) as spans without gaps.

    >>> spans([0, 60_000, 240_000], 60_000)
    [Span(lo=0, hi=120000, rows=0), Span(lo=240000, hi=300000, rows=0)]
    """
    found: list[Span] = []
    for window in windows:
        if found and found[-1].hi == window:
            found[-1] = found[-1]._replace(hi=window + width)
        else:
            found.append(Span(window, window + width, 0))
    return found


def floors(starts: Iterable[int] | Ints, width: int) -> tuple[Ints, Ints]:
    """Return the windows of a width that hold some starts, and how many starts each holds.

    >>> floors([0, 10_000, 70_000], 60_000)
    (array([    0, 60000]), array([2, 1]))
    """
    every = np.asarray(starts, np.int64) // width * width
    windows, counts = np.unique(every, return_counts=True)
    return windows, counts


def steps(lo: int, hi: int, width: int) -> Iterator[Span]:
    """Cut [lo, hi) into spans of five minutes, or of one window of a tier where that is longer."""
    length = max(STEP_MS, width)
    for begin in range(lo, hi, length):
        yield Span(begin, min(begin + length, hi), 0)


def bound(span: Span, **more: Any) -> dict[str, Any]:
    """Return the parameters of a roll."""
    return {"lo": span.lo // 1000, "hi": span.hi // 1000, **more}
