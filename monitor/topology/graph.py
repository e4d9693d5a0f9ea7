"""The topology at one instant: who contains whom, who depends on whom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from monitor.topology.entity import Entity, canonical_kind, container_of
from monitor.topology.forest import Forest, grow
from monitor.types import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from monitor.types import Bools, Ints


@dataclass(frozen=True, slots=True)
class Bygone:
    """What a graph still holds of the hour before: entities that are no more, (n,); dependencies, (n, n)."""

    fading: Bools
    past: sparse.csr_array


class Graph:
    """An immutable view of n entities, sorted by id and known by their index.

    ids: the ids, sorted. parent: index of the containing entity or -1, shape (n,). depends: boolean CSR
    (n, n); the row depends on the column, directly. registered: False where only frames named it, (n,).
    bygone: what was and is no more (`Topology.recent`), nothing in the graph of an instant. Arrays
    are shared: do not write into them.
    """

    def __init__(
        self,
        entities: tuple[Entity, ...],
        parent: Ints,
        depends: sparse.csr_array,
        registered: Bools,
        bygone: Bygone | None = None,
    ) -> None:
        self.entities = entities
        self.ids: tuple[str, ...] = tuple(entity.id for entity in entities)
        self.parent = parent
        self.depends = depends
        self.registered = registered
        n = len(entities)
        self.bygone = bygone or Bygone(np.zeros(n, bool), adjacency(_NOBODY, _NOBODY, n))
        self.kept: dict[Any, Any] = {}  # what others derived from this graph alone, under their own keys
        self._placed: tuple[Sequence[str], Ints] = ((), np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> dict[str, int]:
        """The index of each id."""
        return {name: number for number, name in enumerate(self.ids)}

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kind in each id, known to the product or not, aligned with `ids`."""
        return tuple([kind_of(name) for name in self.ids])

    def places(self, names: Sequence[str]) -> Ints:
        """Return the index of each name, -1 for one that is not here, shape (names,).

        The last answer is kept: many ask about the entities of one table, whose list must not be changed.
        """
        asked, answer = self._placed
        if asked is not names:
            get = self.index.get
            answer = np.array([get(name, -1) for name in names], np.int64)
            self._placed = names, answer
        return answer

    def children(self, i: int) -> Ints:
        """Return what an entity contains directly, ascending."""
        order, bounds = self._siblings
        return order[bounds[i] : bounds[i + 1]]

    def descendants(self, i: int) -> Ints:
        """Return everything inside an entity at any depth, without itself, ascending."""
        return self._forest.below(i)

    def ancestors(self, i: int) -> Ints:
        """Return what contains an entity, the nearest first."""
        chain = []
        above = int(self.parent[i])
        while above >= 0:
            chain.append(above)
            above = int(self.parent[above])
        return np.array(chain, np.int64)

    def dependencies(self, i: int) -> Ints:
        """Return what an entity depends on directly, ascending."""
        return _row(self.depends, i)

    def dependents(self, i: int) -> Ints:
        """Return what depends on an entity directly, ascending."""
        return _row(self._depended, i)

    def of_kind(self, kind: str) -> Ints:
        """Return the entities of a kind, ascending; `service` has those of unknown kinds too."""
        return self._by_kind.get(kind, np.empty(0, np.int64))

    def tagged(self, key: str, value: str) -> Ints:
        """Return the entities whose tag, their own or the nearest ancestor's, has a value, ascending."""
        return np.flatnonzero(self.tag_values(key) == value)

    def owner(self, i: int) -> str:
        """Return who owns an entity: its own owner, else the nearest ancestor's, else ""."""
        owners = (self.entities[k].owner for k in (i, *map(int, self.ancestors(i))))
        return next(filter(None, owners), "")

    def tags(self, i: int) -> dict[str, str]:
        """Return an entity's own tags."""
        return self.entities[i].tags

    def tag_values(self, key: str) -> NDArray[np.object_]:
        """Return a tag for every entity, its own or the nearest ancestor's, "" for none, shape (n,)."""
        if key not in self._tag_columns:
            self._tag_columns[key] = self._inherit(key)
        return self._tag_columns[key]

    def with_entities(self, ids: Iterable[str]) -> Graph:
        """Return a graph that holds these ids too; self where nothing is missing.

        What is added is placed by its name (`gpu:n0001/3` in `node:n0001`, a port in its switch, a rank in
        its job, a replica in its model), the container being added where it is missing too.
        """
        missing = {name for name in ids if name not in self.index}
        missing |= {box for name in missing if (box := container_of(name)) and box not in self.index}
        return self._extended(sorted(missing)) if missing else self

    def _extended(self, names: list[str]) -> Graph:
        n = len(self)
        entities = (*self.entities, *(Entity(name, parent=container_of(name)) for name in names))
        order = np.array(sorted(range(len(entities)), key=lambda k: entities[k].id), np.int64)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        number = {**self.index, **{name: n + k for k, name in enumerate(names)}}
        boxes = [number.get(entity.parent or "", -1) for entity in entities[n:]]
        parent = np.concatenate([self.parent, np.array(boxes, np.int64)])[order]
        row, column = self.depends.nonzero()
        was, of = self.bygone.past.nonzero()
        fading = np.concatenate([self.bygone.fading, np.zeros(len(names), bool)])[order]
        return Graph(
            tuple([entities[k] for k in order.tolist()]),
            np.where(parent >= 0, place[parent], -1),
            adjacency(place[row], place[column], len(entities)),
            np.concatenate([self.registered, np.zeros(len(names), bool)])[order],
            Bygone(fading, adjacency(place[was], place[of], len(entities))),
        )

    def _inherit(self, key: str) -> NDArray[np.object_]:
        values = np.array([entity.tags.get(key, "") for entity in self.entities], object)
        for level in range(1, int(self._forest.depth.max(initial=0)) + 1):
            heirs = np.flatnonzero((self._forest.depth == level) & (values == ""))
            values[heirs] = values[self.parent[heirs]]
        return values

    @cached_property
    def _tag_columns(self) -> dict[str, NDArray[np.object_]]:
        return {}

    @cached_property
    def _forest(self) -> Forest:
        return grow(self.parent)

    @cached_property
    def _siblings(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.parent, kind="stable")
        return order, np.searchsorted(self.parent[order], np.arange(len(self) + 1))

    @cached_property
    def _depended(self) -> sparse.csr_array:
        return sparse.csr_array(self.depends.T)

    @cached_property
    def _by_kind(self) -> dict[str, Ints]:
        kinds = np.array(self.kinds, object)
        found = {kind: np.flatnonzero(kinds == kind) for kind in sorted(set(self.kinds))}
        foreign = [found[kind] for kind in found if canonical_kind(kind) == "service"]
        return {**found, "service": np.sort(np.concatenate([np.empty(0, np.int64), *foreign]))}


_NOBODY = np.empty(0, np.int64)


def adjacency(row: Ints, column: Ints, n: int) -> sparse.csr_array:
    """Return the boolean (n, n) CSR with these entries, its indices sorted within rows."""
    order = np.lexsort((column, row))
    bounds = np.searchsorted(row[order], np.arange(n + 1))
    return sparse.csr_array((np.ones(len(row), bool), column[order], bounds), shape=(n, n))


def _row(matrix: sparse.csr_array, i: int) -> Ints:
    return matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]].astype(np.int64)
