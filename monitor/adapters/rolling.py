"""Runs the roll-ups: monitor/store/rolls.py tells which windows are due, this has the engine do them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from monitor.store.rolls import (
    MAX_ROWS,
    ONE_METRIC,
    SOME_SERIES,
    SOURCE,
    Frontier,
    Span,
    bound,
    floors,
    roll,
    spans,
    steps,
)  # fmt: skip
from monitor.store.tables import TIERS
from monitor.units import HOUR

if TYPE_CHECKING:
    from monitor.adapters.clickhouse import Store
    from monitor.cells import Windows
    from monitor.types import Ints


class _Touched(NamedTuple):
    """Windows of some series that had been rolled before something came to them."""

    windows: Ints
    entities: list[str]
    metrics: list[str]


class Roller:
    """The two coarser tiers of one store."""

    def __init__(self, store: Store, state: dict[str, Any] | None = None) -> None:
        self._store = store
        self._minutes, self._hours = Frontier("m1"), Frontier("h1")
        self._touched: list[_Touched] = []
        if state is not None:
            self._minutes = Frontier.from_state("m1", state["m1"])
            self._hours = Frontier.from_state("h1", state["h1"])

    def note(self, windows: Windows) -> None:
        """Take note of windows that were inserted into the finest tier."""
        minute = windows.start // TIERS["m1"] * TIERS["m1"]
        old = self._minutes.add(*floors(windows.start, TIERS["m1"]))
        if len(old):
            rows = windows.row[np.isin(minute, old)]
            names = windows.names
            entities = sorted({names.entities[i] for i in np.unique(names.entity[rows])})
            metrics = sorted({names.metrics[i][1] for i in np.unique(names.metric[rows])})
            self._touched.append(_Touched(old, entities, metrics))

    def run(self, closed: int | None) -> None:
        """Roll what has closed (None: all there is), and again what was touched since it was rolled."""
        whole: list[int] = []
        for span in self._minutes.due(closed):
            self._roll("m1", span)
            hours = np.arange(span.lo // HOUR * HOUR, span.hi, HOUR)
            share = np.full(len(hours), max(span.rows // (6 * len(hours)), 1))
            whole += self._hours.add(hours, share).tolist()
        again = self._roll_touched()
        for span in [*self._hours.due(closed), *spans(sorted(set(whole)), HOUR)]:
            self._roll("h1", span)
        for some in again:
            self._roll_some("h1", some)

    def _roll_touched(self) -> list[_Touched]:
        """Roll touched minutes; return the hours that this touches."""
        again = []
        for some in self._touched:
            self._roll_some("m1", some)
            hours, count = floors(some.windows, HOUR)
            if len(old := self._hours.add(hours, count)):
                again.append(some._replace(windows=old))
        self._touched = []
        return again

    def _roll_some(self, tier: str, some: _Touched) -> None:
        sql = roll(tier, where=SOME_SERIES)
        for span in spans(some.windows.tolist(), TIERS[tier]):
            self._store.command(sql, **bound(span, metrics=some.metrics, entities=some.entities))

    def _roll(self, tier: str, span: Span) -> None:
        if span.rows <= MAX_ROWS:
            self._store.command(roll(tier), **bound(span))
            return
        source = SOURCE[tier]
        found = self._store.rows(
            f"SELECT DISTINCT metric FROM {source} WHERE ts >= toDateTime({{lo:UInt32}}, 'UTC') "
            "AND ts < toDateTime({hi:UInt32}, 'UTC') ORDER BY metric",
            **bound(span),
        )
        for (metric,) in found:
            self._store.command(roll(tier, where=ONE_METRIC), **bound(span, metric=metric))

    def again(self) -> None:
        """Roll again from the start of the hour in which a tier ends: a process may have died in it."""
        for tier in ("m1", "h1"):
            source, last = SOURCE[tier], self._store.rows(f"SELECT toUnixTimestamp(max(ts)) FROM {tier}")
            found = self._store.rows(
                f"SELECT DISTINCT toUnixTimestamp(toStartOfHour(ts)) AS hour FROM {source} "
                "WHERE ts >= toStartOfHour(toDateTime({last:UInt32}, 'UTC')) ORDER BY hour",
                last=last[0][0],
            )
            for (hour,) in found:
                for span in steps(hour * 1000, hour * 1000 + HOUR, TIERS[tier]):
                    self._roll(tier, span)

    def to_state(self) -> dict[str, Any]:
        """Return what waits to be rolled."""
        return {"m1": self._minutes.to_state(), "h1": self._hours.to_state()}
