"""The coarser tiers in memory: the open minute and the open hour, merged from finer windows as these close.

What this gives is equal, bit for bit, to what `rolls.roll` has the engine make from the rows of the finer
tier: the same formula over the same parts in order of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.cells import SeriesNames, Windows
from monitor.store.tables import TIERS

if TYPE_CHECKING:
    from monitor.types import Bools, Ints

EMPTY = {
    "count": 0, "sum": 0.0, "m2": 0.0, "min": np.inf, "max": -np.inf, "last": 0.0, "anomalous": 0,
}  # fmt: skip
"""What each column holds of a series that has no sample in a window."""


class Numbering:
    """Numbers for series, which stay as they are when new ones appear."""

    def __init__(self, names: SeriesNames | None = None) -> None:
        self.names = names or SeriesNames([], [], np.empty(0, np.int32), np.empty(0, np.int32))
        self._last: tuple[SeriesNames, Ints] | None = None

    def of(self, names: SeriesNames) -> Ints:
        """Return the number of each series, giving numbers to those that have none."""
        if self._last is None or not _same(self._last[0], names):
            self._last = names, self._take(names)
        return self._last[1]

    def _take(self, names: SeriesNames) -> Ints:
        known = self.names
        entities, entity = _met(known.entities, names.entities)
        metrics, metric = _met(known.metrics, names.metrics)
        both_entity = np.concatenate([known.entity, entity[names.entity]])
        both_metric = np.concatenate([known.metric, metric[names.metric]])
        code = both_metric.astype(np.int64) << 32 | both_entity
        _, first, found = np.unique(code, return_index=True, return_inverse=True)
        new = np.sort(first[first >= len(known.entity)])
        number = np.empty(len(first), np.int64)
        number[found[: len(known.entity)]] = np.arange(len(known.entity))
        number[found[new]] = np.arange(len(new)) + len(known.entity)
        if len(new):
            kept = np.concatenate([np.arange(len(known.entity)), new])
            self.names = SeriesNames(entities, metrics, both_entity[kept], both_metric[kept])
        return number[found[len(known.entity) :]]


def _same(one: SeriesNames, other: SeriesNames) -> bool:
    """Whether names are the very same: none of their parts is ever changed in place."""
    return (
        one.entity is other.entity
        and one.metric is other.metric
        and one.entities is other.entities
        and one.metrics is other.metrics
    )


def _met(known: list[Any], others: list[Any]) -> tuple[list[Any], Any]:
    """Return the known names with others behind them, and where each of the others stands."""
    place = {name: i for i, name in enumerate(known)}
    at = [place.setdefault(name, len(place)) for name in others]
    return list(place) if len(place) > len(known) else known, np.array(at, np.int32)


class OpenWindow:
    """The window of a tier that is open: a row for each numbered series."""

    def __init__(self, width_ms: int) -> None:
        self.width_ms = width_ms
        self.start: int | None = None
        self._columns = {name: np.full(0, empty) for name, empty in EMPTY.items()}

    def over(self, closed: int) -> bool:
        """Whether there is one, and it ends by `closed`."""
        return self.start is not None and self.start + self.width_ms <= closed

    def add(self, start: int, at: Ints, part: Windows, which: Bools | slice) -> None:
        """Merge the next windows, at most one of each series, into those at the numbers `at`.

        n = n_a + n_b; sum = sum_a + n_b mean_b; mean = sum / n; d = mean_b - mean_a;
        m2 = (m2_a + m2_b) + d (n_a (n_b / n)) d. last is that of the later one.
        """
        self.start = start
        self._grow(int(at.max(initial=-1)) + 1)
        old = {name: column[at] for name, column in self._columns.items()}
        count, mean = part.count[which], part.mean[which]
        n = old["count"] + count
        away = mean - old["sum"] / np.maximum(old["count"], 1)
        merged = {
            "count": n,
            "sum": old["sum"] + count * mean,
            "m2": (old["m2"] + part.m2[which]) + away * (old["count"] * (count / n)) * away,
            "min": np.minimum(old["min"], part.min[which]),
            "max": np.maximum(old["max"], part.max[which]),
            "last": part.last[which],
            "anomalous": old["anomalous"] + part.anomalous[which],
        }
        for name, values in merged.items():
            self._columns[name][at] = values

    def _grow(self, size: int) -> None:
        short = size - len(self._columns["count"])
        if short > 0:
            for name, empty in EMPTY.items():
                self._columns[name] = np.concatenate([self._columns[name], np.full(short, empty)])

    def read(self, names: SeriesNames) -> Windows:
        """Return the window's rows."""
        row = np.flatnonzero(self._columns["count"])
        start = np.full(len(row), self.start or 0)
        held: dict[str, Any] = {name: column[row] for name, column in self._columns.items()}
        return Windows(names, row, start, mean=held.pop("sum") / held["count"], **held)

    def clear(self) -> None:
        """Forget the window."""
        self.start = None
        for name, empty in EMPTY.items():
            self._columns[name][:] = empty

    def to_state(self) -> dict[str, Any]:
        """Return the window."""
        row = np.flatnonzero(self._columns["count"])
        return {"start": self.start, "row": row, **{n: column[row] for n, column in self._columns.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self.start = state["start"]
        self._grow(int(state["row"].max(initial=-1)) + 1)
        for name in EMPTY:
            self._columns[name][state["row"]] = state[name]


class OpenTiers:
    """The open minute and the open hour. Windows come in order of time; what a later one ends is given.

    hour_from: minutes before it are not merged into hours.
    """

    def __init__(self, hour_from: int = 0) -> None:
        self._hour_from = hour_from
        self._begin(Numbering())
        self._done: dict[str, list[Windows]] = {"m1": [], "h1": []}

    def add(self, part: Windows, which: Bools) -> None:
        """Merge windows of the finest tier, none of which begins before one that was merged already."""
        if not which.any():
            return
        for start in np.unique(part.start[which]).tolist():
            minute = start // self._minute.width_ms * self._minute.width_ms
            self._end_minute(minute)
            now = which & (part.start == start)
            at = self._numbering.of(part.names)[part.row[now]]
            self._minute.add(minute, at, part, slice(None) if now.all() else now)

    def _end_minute(self, closed: int) -> None:
        if not self._minute.over(closed):
            return
        part = self._minute.read(self._numbering.names)
        self._done["m1"].append(part)
        assert self._minute.start is not None, "it is over"
        hour = self._minute.start // self._hour.width_ms * self._hour.width_ms
        self._minute.clear()
        self._end_hour(hour)
        row = part.row
        if self._hour.start is None:
            self._begin(Numbering(part.names.some(part.row)))
            row = np.arange(len(part.row))
        if hour >= self._hour_from:
            self._hour.add(hour, row, part, slice(None))

    def _end_hour(self, closed: int) -> None:
        if self._hour.over(closed):
            self._done["h1"].append(self._hour.read(self._numbering.names))
            self._hour.clear()

    def _begin(self, numbering: Numbering) -> None:
        """Begin with empty windows of other series, before an hour's first minute: what is gone goes."""
        self._numbering = numbering
        self._minute, self._hour = OpenWindow(TIERS["m1"]), OpenWindow(TIERS["h1"])

    def take(self, closed: int) -> dict[str, list[Windows]]:
        """Return the windows of each tier that have ended by `closed`, once."""
        self._end_minute(closed)
        self._end_hour(closed)
        done, self._done = self._done, {"m1": [], "h1": []}
        return done

    def to_state(self) -> dict[str, Any]:
        """Return what is open."""
        names = self._numbering.names
        return {
            "hour_from": self._hour_from,
            "entities": names.entities,
            "metrics": names.metrics,
            "entity": names.entity,
            "metric": names.metric,
            "minute": self._minute.to_state(),
            "hour": self._hour.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> OpenTiers:
        """Build from what `to_state` gave."""
        tiers = cls(state["hour_from"])
        metrics = [(kind, metric) for kind, metric in state["metrics"]]
        names = SeriesNames(state["entities"], metrics, state["entity"], state["metric"])
        tiers._numbering = Numbering(names)
        tiers._minute.restore(state["minute"])
        tiers._hour.restore(state["hour"])
        return tiers
