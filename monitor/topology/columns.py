"""The lines of a topology as arrays, so that a graph of any instant is cut out without a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.topology.entity import Entity
    from monitor.types import Bools, Ints

NONE, UNKNOWN = -1, -2
FIRST, LAST = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Columns:
    """L lines, sorted by id and time, that name U entities and hold E dependencies.

    names: the U ids, sorted. index: their numbers. who: which entity a line is about, (L,).
    begin, end: when the line holds, [begin, end) in ms, (L,). parent: number of the parent, NONE, or UNKNOWN
    where no line is about it, (L,). edge_line, edge_to: one dependency each, sorted, (E,); `edge_to` may be
    UNKNOWN.
    """

    names: tuple[str, ...]
    index: dict[str, int]
    who: Ints
    begin: Ints
    end: Ints
    parent: Ints
    edge_line: Ints
    edge_to: Ints

    def alive(self, ts: int) -> Bools:
        """Tell which lines hold at an instant."""
        return (self.begin <= ts) & (ts < self.end)

    def fading(self, ts: int, linger_ms: int) -> Bools:
        """Tell which lines held within `linger_ms` before an instant and do not any more."""
        return (self.end <= ts) & (ts < self.end + linger_ms)

    def boundaries(self, linger_ms: int = 0) -> Ints:
        """Return the instants at which something begins, ends or has faded, ascending, each once."""
        times = np.unique(np.concatenate([self.begin, self.end, self.end + linger_ms]))
        return times[(times > FIRST) & (times < LAST)]


def columns(entities: Sequence[Entity]) -> Columns:
    """Turn entities, sorted by id and time, into columns."""
    names = tuple(dict.fromkeys(entity.id for entity in entities))
    index = {name: number for number, name in enumerate(names)}
    targets = [sorted({index.get(name, UNKNOWN) for name in entity.depends_on}) for entity in entities]
    return Columns(
        names,
        index,
        who=_ints([index[entity.id] for entity in entities]),
        begin=_ints([_bound(entity.from_, FIRST) for entity in entities]),
        end=_ints([_bound(entity.until, LAST) for entity in entities]),
        parent=_ints([NONE if e.parent is None else index.get(e.parent, UNKNOWN) for e in entities]),
        edge_line=np.repeat(np.arange(len(entities)), _ints([len(row) for row in targets])),
        edge_to=_ints([target for row in targets for target in row]),
    )


def _bound(ts: int | None, unbounded: int) -> int:
    return unbounded if ts is None else min(max(ts, FIRST), LAST)


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)
