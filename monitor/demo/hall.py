"""The hall in place and time: the hottest GPU of each rack, and how far that is from what is usual there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.store.queries import BY_GROUP, STANDS
from monitor.topology import container_of
from monitor.types import kind_of
from monitor.units import HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.adapters.clickhouse import Store
    from monitor.types import Bools, Floats

FAR = 10.0
"""Degrees Celsius above its usual from which on a rack counts as hot."""

METRIC = "gpu_temp_celsius"


@dataclass(frozen=True)
class Hall:
    """The racks of a hall, and the hottest GPU of each over time.

    racks: in the order of their names; row: the row that each stands in. rack_of: the rack of each node.
    hottest: degrees Celsius of shape (racks, columns), NaN where nothing of a rack was heard; a column is
    `step_ms` long and the first begins at `start`.
    """

    racks: tuple[str, ...]
    row: tuple[str, ...]
    rack_of: dict[str, str]
    start: int
    step_ms: int
    hottest: Floats

    @cached_property
    def usual(self) -> Floats:
        """The median of each rack over the first hour, of shape (racks,), NaN where none of it was heard."""
        first = self.hottest[:, : max(1, HOUR // self.step_ms)]
        usual, heard = np.full(len(first), np.nan), ~np.isnan(first).all(axis=1)
        usual[heard] = np.nanmedian(first[heard], axis=1)
        return usual

    @cached_property
    def excess(self) -> Floats:
        """How far the hottest GPU of a rack is above what is usual there, shape (racks, columns)."""
        above: Floats = self.hottest - self.usual[:, None]
        return above

    @cached_property
    def dark(self) -> Bools:
        """Where a rack that was heard before sends nothing, shape (racks, columns)."""
        heard = ~np.isnan(self.hottest)
        dark: Bools = ~heard & np.maximum.accumulate(heard, axis=1) & heard.any(axis=0)
        return dark

    @cached_property
    def far(self) -> Bools:
        """Where a rack is dark, or hot as it was in the column before: one wrong reading is no heat."""
        hot = self.excess >= FAR
        hot[:, 1:] &= hot[:, :-1].copy()
        far: Bools = hot | self.dark
        return far

    def worst(self) -> int:
        """Return the column in which most racks are far from their usual; of equal ones, the hottest."""
        heat = np.nansum(np.clip(self.excess, 0.0, None), axis=0)
        return int(np.lexsort((heat, self.far.sum(axis=0)))[-1])

    def ends(self, column: int) -> int:
        """Return the time at which a column ends, ms."""
        return self.start + (column + 1) * self.step_ms

    def racks_of(self, entities: Iterable[str]) -> set[str]:
        """Return the racks in which entities stand: racks, nodes, and what is in nodes; of others none."""
        found = set()
        for entity in entities:
            box = container_of(entity) or entity
            rack = entity if kind_of(entity) == "rack" else self.rack_of.get(box, "")
            found |= {rack} - {""}
        return found


def read_hall(store: Store, start: int, end: int, interval_ms: int) -> Hall:
    """Read the hall of a run [start, end) from the store that it went into. Interval: between two frames."""
    step_ms = max(MINUTE, interval_ms)
    places = store.rows(STANDS.sql)
    rack_of = {name: rack for name, kind, rack, _ in places if kind == "node"}
    rows = {name: row for name, kind, _, row in places if kind == "rack"}
    racks = tuple(sorted(rows, key=natural))
    at = {rack: place for place, rack in enumerate(racks)}
    columns = -(-(end - start) // step_ms)
    hottest = np.full((len(racks), columns), np.nan)
    asked: dict[str, Any] = {"from": start // SECOND, "to": -(-end // SECOND)}
    asked |= {"step": step_ms // SECOND, "group": "rack", "metric": METRIC}
    for time, place, _, _, high, _ in store.rows(BY_GROUP.on("m1"), **asked):
        utc = time if time.tzinfo else time.replace(tzinfo=UTC)  # the client leaves UTC out
        column = (int(utc.timestamp()) * SECOND - start) // step_ms
        if place in at and 0 <= column < columns:
            hottest[at[place], column] = high
    return Hall(racks, tuple(rows[rack] for rack in racks), rack_of, start, step_ms, hottest)


def natural(name: str) -> list[str | int]:
    """Return a key that sorts numbers in names as numbers.

    >>> sorted(["row:row10", "row:row2"], key=natural)
    ['row:row2', 'row:row10']
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
