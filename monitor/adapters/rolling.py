"""Keeps the coarser tiers of a store: from memory where they are whole there, else rolled by the engine."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.adapters.arrow import ArrowWindows
from monitor.store.rolls import (
    MAX_ROWS,
    ONE_METRIC,
    SOME_SERIES,
    SOURCE,
    Frontier,
    Span,
    Touched,
    bound,
    roll,
    steps,
)
from monitor.store.tables import ROLLUPS, TIERS
from monitor.store.tiers import OpenTiers
from monitor.units import HOUR

if TYPE_CHECKING:
    from monitor.adapters.clickhouse import Store
    from monitor.cells import Windows

TABLES = {table.name: table for table in ROLLUPS}

ENDS = 1 << 62
"""Later than any window's end."""


class Roller:
    """The two coarser tiers of one store. `state` is what `to_state` gave to the run that this one continues.

    Without it the engine rolls all windows of which the store holds rows: this run may know but a part.
    """

    def __init__(self, store: Store, state: dict[str, Any] | None) -> None:
        self._store = store
        self._arrow = ArrowWindows()
        if state is None:
            self._closed = self._merged = 0
            self._held = _held(store)
            self._open = OpenTiers(self._held["h1"])
            self._whole = {tier: Frontier(tier) for tier in SOURCE}
            self._touched = {tier: Touched(tier) for tier in SOURCE}
            self._again()
        else:
            self._closed, self._merged, self._held = state["closed"], state["merged"], state["held"]
            self._open = OpenTiers.from_state(state["open"])
            self._whole = {tier: Frontier(tier, state["whole"][tier]) for tier in SOURCE}
            self._touched = {tier: Touched(tier, state["touched"][tier]) for tier in SOURCE}

    def note(self, part: Windows) -> None:
        """Take note of windows that were inserted into the finest tier.

        What begins before what has closed or was merged (late and slow samples) touches windows apart.
        """
        news = part.start >= max(self._merged, self._closed)
        held = news & (part.start < self._held["m1"])
        self._whole["m1"].add(part.start[held])
        self._open.add(part, news & ~held)
        if news.any():
            self._merged = int(part.start[news].max()) + 1
        if not news.all():
            for touched in self._touched.values():
                touched.add(part, ~news)

    def run(self, closed: int | None) -> None:
        """Write what has closed (None: all there is), and again what was touched since it was."""
        if closed is None:
            done = copy.deepcopy(self._open).take(ENDS)
        else:
            self._closed = max(self._closed, closed)
            done = self._open.take(closed)
        for tier in SOURCE:
            self._write(tier, done[tier])
            self._roll(tier, closed)

    def _write(self, tier: str, parts: list[Windows]) -> None:
        if not parts:
            return
        self._store.insert_arrow(TABLES[tier], self._arrow.table(parts))
        if tier == "m1":
            for part in parts:
                self._whole["h1"].add(part.start[part.start < self._held["h1"]])

    def _roll(self, tier: str, closed: int | None) -> None:
        for span in self._whole[tier].due(closed):
            self._roll_whole(tier, span)
            if tier == "m1":
                minutes = np.arange(span.lo, span.hi, TIERS["m1"])
                self._whole["h1"].add(minutes, span.rows // len(minutes) + 1)
        sql = roll(tier, where=SOME_SERIES)
        for some in self._touched[tier].due(closed, self._closed):
            self._store.command(sql, **bound(some))

    def _roll_whole(self, tier: str, span: Span) -> None:
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
            self._store.command(roll(tier, where=ONE_METRIC), **bound(span), metric=metric)

    def _again(self) -> None:
        """Roll again from the start of the hour in which a tier ends: a process may have died in it."""
        for tier, source in SOURCE.items():
            last = self._store.rows(f"SELECT toUnixTimestamp(max(ts)) FROM {tier}")
            found = self._store.rows(
                f"SELECT DISTINCT toUnixTimestamp(toStartOfHour(ts)) AS hour FROM {source} "
                "WHERE ts >= toStartOfHour(toDateTime({last:UInt32}, 'UTC')) ORDER BY hour",
                last=last[0][0],
            )
            for (hour,) in found:
                for span in steps(hour * 1000, hour * 1000 + HOUR, TIERS[tier]):
                    self._roll_whole(tier, span)

    def to_state(self) -> dict[str, Any]:
        """Return what is open and what waits to be rolled."""
        return {
            "closed": self._closed,
            "merged": self._merged,
            "held": self._held,
            "open": self._open.to_state(),
            "whole": {tier: frontier.to_state() for tier, frontier in self._whole.items()},
            "touched": {tier: touched.to_state() for tier, touched in self._touched.items()},
        }


def _held(store: Store) -> dict[str, int]:
    """Return where the first window of each tier begins that a store holds no row of, in any tier."""
    last = max(store.rows(f"SELECT toUnixTimestamp(max(ts)), count() FROM {tier}")[0] for tier in TIERS)
    return {tier: (last[0] * 1000 // width + 1) * width if last[1] else 0 for tier, width in TIERS.items()}
