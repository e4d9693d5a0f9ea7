"""The topology over time: lines in, the graph of any instant out."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from monitor.errors import TopologyError
from monitor.topology.checks import check
from monitor.topology.columns import FIRST, LAST, columns
from monitor.topology.graph import Graph, adjacency
from monitor.topology.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.topology.entity import Entity

GRAPHS_KEPT = 8


class Topology:
    """Every line of a topology, sorted by id and time, and the graphs cut from it."""

    def __init__(self, entities: tuple[Entity, ...]) -> None:
        """Take checked entities, sorted by id and time; `parse` is the way in for a file."""
        self.entities = entities
        self._columns = columns(entities)
        self._boundaries = self._columns.boundaries()
        self._graphs: OrderedDict[int, Graph] = OrderedDict()

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
            self._graphs[epoch] = self._cut(ts)
        self._graphs.move_to_end(epoch)
        if len(self._graphs) > GRAPHS_KEPT:
            self._graphs.popitem(last=False)
        return self._graphs[epoch]

    def _cut(self, ts: int) -> Graph:
        table = self._columns
        alive = table.alive(ts)
        lines = np.flatnonzero(alive)
        place = np.full(len(table.names) + 1, -1, np.int64)  # the last one serves the parent "none" (-1)
        place[table.who[lines]] = np.arange(len(lines))
        row, column = place[table.who[table.edge_line]], place[table.edge_to]
        kept = alive[table.edge_line] & (column >= 0)
        return Graph(
            tuple([self.entities[k] for k in lines.tolist()]),
            place[table.parent[lines]],
            adjacency(row[kept], column[kept], len(lines)),
            np.ones(len(lines), bool),
        )


def _place(row: tuple[int, Entity]) -> tuple[str, int, int]:
    number, entity = row
    return entity.id, FIRST if entity.from_ is None else entity.from_, number
