"""The coarser tiers made by the engine: minutes from 10 s, hours from minutes, each window whole.

So are made the windows that `tiers` cannot know whole: those of which the store held rows before a writer
began, and, for the series in question, those that something came to late or after they had closed. A window
that is rolled again gives the same row, or a fuller one, which counts. So it may be rolled again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from monitor.store.tables import TIERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.cells import Windows
    from monitor.types import Bools, Ints

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


_MERGED = """\
arrayFold((a, p) -> (
    a.1 + p.2,
    a.2 + p.2 * p.3,
    (a.3 + p.4)
      + (p.3 - a.2 / greatest(a.1, 1)) * (a.1 * (p.2 / (a.1 + p.2))) * (p.3 - a.2 / greatest(a.1, 1))
  ), parts, (0., 0., 0.))"""
"""Count, sum and m2 of parts (when, count, mean, m2), merged one by one as `tiers.OpenWindow` does."""


def roll(tier: str, *, where: str = "") -> str:
    """Return the statement that makes the windows of a tier in [lo, hi), of all series or of some.

    The parts are merged in order of time, so that rolling again gives the same bits. last is that of the
    latest window, in time before late.
    """
    source = SOURCE[tier]
    start = {"m1": "toStartOfMinute", "h1": "toStartOfHour"}[tier]
    when = "toUInt64(toUnixTimestamp(s.ts)) * 2" + (" + (s.late = 0)" if source == "s10" else "")
    return f"""\
INSERT INTO {tier} (ts, kind, entity, metric, count, mean, m2, min, max, last, anomalous)
SELECT start, kind, entity, metric, n, merged.2 / n, merged.3, low, high, latest, odd
FROM (
  SELECT {start}(s.ts) AS start, s.kind AS kind, s.entity AS entity, s.metric AS metric, sum(s.count) AS n,
    arraySort(groupArray(({when}, toFloat64(s.count), s.mean, s.m2))) AS parts, {_MERGED} AS merged,
    min(s.min) AS low, max(s.max) AS high, argMax(s.last, {when}) AS latest, sum(s.anomalous) AS odd
  FROM {source} AS s FINAL
  WHERE s.ts >= toDateTime({{lo:UInt32}}, 'UTC') AND s.ts < toDateTime({{hi:UInt32}}, 'UTC'){where}
  GROUP BY start, kind, entity, metric
)"""


ONE_METRIC = " AND s.metric = {metric:String}"
SOME_SERIES = " AND s.metric IN {metrics:Array(String)} AND s.entity IN {entities:Array(String)}"


class Frontier:
    """Which windows of one tier wait to be rolled whole."""

    def __init__(self, tier: str, waiting: Iterable[tuple[int, int]] = ()) -> None:
        self.tier, self.width = tier, TIERS[tier]
        self._waiting = dict(waiting)

    def add(self, starts: Ints, rows_each: int = 1) -> None:
        """Take note of rows by their start."""
        windows, counts = np.unique(starts // self.width * self.width, return_counts=True)
        for window, count in zip(windows.tolist(), (counts * rows_each).tolist(), strict=True):
            self._waiting[window] = self._waiting.get(window, 0) + count

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
        return spans

    def to_state(self) -> list[tuple[int, int]]:
        """Return what waits."""
        return sorted(self._waiting.items())


class Some(NamedTuple):
    """Windows [lo, hi) of a tier in which some series are to be rolled: each entity with each metric."""

    lo: int
    hi: int
    entities: list[str]
    metrics: list[str]


class Touched:
    """Which series something came to apart from what is merged in memory, by window of one tier."""

    def __init__(self, tier: str, waiting: Iterable[tuple[int, list[str], list[str]]] = ()) -> None:
        self.width = TIERS[tier]
        self._waiting = {window: (set(entities), set(metrics)) for window, entities, metrics in waiting}

    def add(self, part: Windows, which: Bools) -> None:
        """Take note of rows."""
        names, row = part.names, part.row[which]
        window = part.start[which] // self.width * self.width
        for one in np.unique(window).tolist():
            rows = row[window == one]
            entities, metrics = self._waiting.setdefault(one, (set(), set()))
            entities.update(names.entities[i] for i in np.unique(names.entity[rows]).tolist())
            metrics.update(names.metrics[i][1] for i in np.unique(names.metric[rows]).tolist())

    def due(self, closed: int | None, ended: int) -> list[Some]:
        """Return the windows that end by `closed` (None: all), and forget those that end by `ended`."""
        found: list[Some] = []
        for window, entities, metrics in self.to_state():
            end = window + self.width
            if closed is not None and end > closed:
                continue
            if found and found[-1] == (found[-1].lo, window, entities, metrics):
                found[-1] = found[-1]._replace(hi=end)
            else:
                found.append(Some(window, end, entities, metrics))
            if end <= ended:
                del self._waiting[window]
        return found

    def to_state(self) -> list[tuple[int, list[str], list[str]]]:
        """Return what waits, in order of time."""
        return [(window, sorted(e), sorted(m)) for window, (e, m) in sorted(self._waiting.items())]


def steps(lo: int, hi: int, width: int) -> Iterator[Span]:
    """Cut [lo, hi) into spans of five minutes, or of one window of a tier where that is longer."""
    length = max(STEP_MS, width)
    for begin in range(lo, hi, length):
        yield Span(begin, min(begin + length, hi), 0)


def bound(span: Span | Some) -> dict[str, Any]:
    """Return the parameters of a roll."""
    found: dict[str, Any] = {"lo": span.lo // 1000, "hi": span.hi // 1000}
    return found if isinstance(span, Span) else {**found, "entities": span.entities, "metrics": span.metrics}
