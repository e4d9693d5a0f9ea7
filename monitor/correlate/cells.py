"""Signals gathered into cells: one for each entity, signal family and direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.correlate.observe import GROUP_DETECTOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.correlate.faults import FaultBook
    from monitor.types import Bools, Floats, Ints, Signal

_SIGN = {"up": 1, "down": -1, "none": 0}


class CellKey(NamedTuple):
    """What a cell is called; tuples of it sort in canonical order."""

    entity: str
    family: str
    direction: str
    group: bool


@dataclass(frozen=True, slots=True)
class Cells:
    """C cells made of S signals, both sorted.

    entity: index in the graph, (C,). family: index in the book's families, (C,). sign: 1 up, -1 down, 0 none.
    group: it is about the mean of the entity's members. since: the earliest onset, ms. page, hard, matters:
    whether one of its signals is or does. excess: how far the reading is from what was expected, NaN where
    unknown. score: the greatest evidence, nats. of_signal: the cell of each signal, (S,).
    """

    keys: tuple[CellKey, ...]
    signals: tuple[Signal, ...]
    of_signal: Ints
    entity: Ints
    family: Ints
    sign: Ints
    group: Bools
    since: Ints
    page: Bools
    hard: Bools
    matters: Bools
    excess: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def strong(self) -> Bools:
        """Which stand at page level, by evidence or as a fact, (C,)."""
        return self.page | self.hard


def _order(signal: Signal) -> tuple[str, str, str, str, str, int, int]:
    s = signal
    return (s.entity, s.metric, s.detector, s.reason, s.direction, s.since, s.raised_at)


def _excess(signal: Signal) -> float:
    if signal.value is None or signal.expected is None:
        return float("nan")
    return abs(signal.value - signal.expected)


def gather(signals: Iterable[Signal], book: FaultBook, index: dict[str, int]) -> Cells:
    """Sort signals into cells; the order in which they come does not matter. Entities must be in `index`."""
    ordered = tuple(sorted(signals, key=_order))
    families = {name: number for number, name in enumerate(book.families)}
    named: dict[tuple[str, str, str], str] = {}
    numbers: dict[CellKey, int] = {}
    of_signal = []
    for s in ordered:
        what = (s.metric, s.reason, s.family)
        if what not in named:
            named[what] = book.family_of(s)
        key = CellKey(s.entity, named[what], s.direction, s.detector == GROUP_DETECTOR)
        of_signal.append(numbers.setdefault(key, len(numbers)))
    keys = tuple(numbers)
    where = np.array(of_signal, np.int64)
    return Cells(
        keys=keys,
        signals=ordered,
        of_signal=where,
        entity=np.array([index[key.entity] for key in keys], np.int64),
        family=np.array([families[key.family] for key in keys], np.int64),
        sign=np.array([_SIGN[key.direction] for key in keys], np.int64),
        group=np.array([key.group for key in keys], bool),
        since=_least([s.since for s in ordered], where, len(keys)),
        page=_any([s.page for s in ordered], where, len(keys)),
        hard=_any([s.hard for s in ordered], where, len(keys)),
        matters=_any([s.matters for s in ordered], where, len(keys)),
        excess=_most([_excess(s) for s in ordered], where, len(keys)),
        score=_most([s.score for s in ordered], where, len(keys)),
    )


def _any(values: list[bool], where: Ints, size: int) -> Bools:
    found = np.zeros(size, bool)
    found[where[np.array(values, bool)]] = True
    return found


def _least(values: list[int], where: Ints, size: int) -> Ints:
    least = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(least, where, np.array(values, np.int64))
    return least


def _most(values: list[float], where: Ints, size: int) -> Floats:
    most = np.full(size, np.nan)
    np.fmax.at(most, where, np.array(values, np.float64))
    return most
