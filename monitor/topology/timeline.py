"""The topology over time: lines in, the graph of any instant out."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import TopologyError
from monitor.topology.checks import check
from monitor.topology.columns import FIRST, LAST, columns
from monitor.topology.graph import Bygone, Graph, adjacency
from monitor.topology.reading import read
from monitor.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.topology.entity import Entity
    from monitor.types import Bools

GRAPHS_KEPT = 8

LINGER_MS = HOUR
"""For so long a cause is still looked for where things were: a job moves on while its fault still shows."""


class Topology:
    """Every line of a topology, sorted by id and time, and the graphs cut from it."""

    def __init__(self, entities: tuple[Entity, ...]) -> None:
        """Take checked entities, sorted by id and time; `parse` is the way in for a file."""
        self.entities = entities
        self._columns = columns(entities)
        self._names = frozenset(self._columns.names)
        self._boundaries = self._columns.boundaries()
        self._graphs: OrderedDict[int, Graph] = OrderedDict()
        self._recent_boundaries = self._columns.boundaries(LINGER_MS)
        self._recent: tuple[int, Graph] | None = None

    @classmethod
    def empty(cls) -> Topology:
        """Return a topology that names nobody."""
        return cls(())

    @classmethod
    def parse(cls, lines: Iterable[bytes | str], where: str = "topology.ndjson") -> Topology:
        """Read NDJSON lines.

        An id may stand on several lines whose times do not overlap. Refused are lines that cannot be read,
        fields of a wrong type, ids that stand twice at one time, parents and dependencies that are not in the
        file or exist only at other times, and circles of containment or of dependency.

        Raises TopologyError with all problems, each with its line, in the order of the lines.
        """
        reading = read(lines)
        rows = sorted(
            reading.lines,
            key=lambda row: (row[1].id, FIRST if row[1].from_ is None else row[1].from_, row[0]),
        )
        topology = cls(tuple([entity for _, entity in rows]))
        numbers = [number for number, _ in rows]
        problems = reading.problems + check(topology._columns, topology.entities, numbers, reading.excused)
        if problems:
            raise TopologyError(where, [f"line {number}: {text}" for number, text in sorted(problems)])
        return topology

    def ended(self, name: str, ts: int) -> bool:
        """Tell whether an entity that the topology knows of is no more, or not yet, at an instant."""
        return name in self._names and name not in self.at(ts).index

    def epoch(self, ts: int) -> int:
        """Return how many changes of the topology lie at or before an instant."""
        return int(np.searchsorted(self._boundaries, ts, side="right"))

    def at(self, ts: int) -> Graph:
        """Return the graph of an instant: the lines with from <= ts < until.

        A reference to an entity that does not exist at that instant is left out. One object serves a whole
        epoch; the last few are kept.
        """
        ts = min(max(ts, FIRST), LAST - 1)
        epoch = self.epoch(ts)
        if epoch not in self._graphs:
            self._graphs[epoch] = self._cut(ts, np.zeros(len(self.entities), bool))
        self._graphs.move_to_end(epoch)
        if len(self._graphs) > GRAPHS_KEPT:
            self._graphs.popitem(last=False)
        return self._graphs[epoch]

    def recent(self, ts: int) -> Graph:
        """Return the graph of an instant with what held within the hour before.

        An entity that is no more is there as it was last (`fading`); of one that is, what it depended on
        before is in `past`.
        """
        ts = min(max(ts, FIRST), LAST - 1)
        epoch = int(np.searchsorted(self._recent_boundaries, ts, side="right"))
        if self._recent is None or self._recent[0] != epoch:
            fading = self._columns.fading(ts, LINGER_MS)
            self._recent = epoch, self._cut(ts, fading) if fading.any() else self.at(ts)
        return self._recent[1]

    def _cut(self, ts: int, fading: Bools) -> Graph:
        table = self._columns
        alive = table.alive(ts)
        gone = np.ones(len(table.names), bool)
        gone[table.who[alive]] = False
        last = np.append(table.who[1:] != table.who[:-1], True)
        last[:-1] |= ~fading[1:]  # of several lines that fade the last one stays
        ended = fading & gone[table.who] & last
        lines = np.flatnonzero(alive | ended)
        place = np.full(len(table.names) + 1, -1, np.int64)  # the last one serves the parent "none" (-1)
        place[table.who[lines]] = np.arange(len(lines))
        row, column = place[table.who[table.edge_line]], place[table.edge_to]
        known = (row >= 0) & (column >= 0)
        now = known & (alive | ended)[table.edge_line]
        before = known & fading[table.edge_line] & ~now
        return Graph(
            tuple([self.entities[k] for k in lines.tolist()]),
            place[table.parent[lines]],
            adjacency(row[now], column[now], len(lines)),
            np.ones(len(lines), bool),
            Bygone(ended[lines], adjacency(row[before], column[before], len(lines))),
        )


def _place(row: tuple[int, Entity]) -> tuple[str, int, int]:
    number, entity = row
    return entity.id, FIRST if entity.from_ is None else entity.from_, number
