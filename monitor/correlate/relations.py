"""Who is beneath, beside and above whom: the relations of fault footprints as sparse matrices."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from monitor.topology import KINDS, canonical_kind, container_of

if TYPE_CHECKING:
    from monitor.topology import Graph
    from monitor.types import Bools, Ints

WORKLOADS = ("job", "service")
"""What runs on nodes; the first is asked first when a node serves both."""

_AGGREGATES = ("portfolio", "business")
_MAX_DEPTH = 32


class Relations:
    """Relations over one graph of n entities, built when first asked for and kept with it.

    Every matrix is CSR of ones, one row for each entity of the cause's kinds, n columns. Cycles of
    dependency do no harm: closures end when they stop growing.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.n = len(graph)
        self._kept: dict[tuple[str, tuple[str, ...], tuple[str, ...]], sparse.csr_array] = {}
        self._columns: dict[tuple[str, tuple[str, ...]], sparse.csc_array] = {}
        self._rows: dict[tuple[str, ...], Ints] = {}

    def of(self, kinds: tuple[str, ...]) -> Ints:
        """Return the entities of these kinds, ascending."""
        if kinds not in self._rows:
            found = [self.graph.of_kind(kind) for kind in kinds]
            self._rows[kinds] = np.unique(np.concatenate([np.empty(0, np.int64), *found]))
        return self._rows[kinds]

    def mask(self, kinds: tuple[str, ...]) -> Bools:
        """Return which entities are of these kinds, shape (n,)."""
        mask = np.zeros(self.n, bool)
        mask[self.of(kinds)] = True
        return mask

    def matrix(self, relation: str, causes: tuple[str, ...], targets: tuple[str, ...]) -> sparse.csr_array:
        """Return a relation from the entities of kinds `causes` to those of kinds `targets` (all, if ())."""
        key = (relation, causes, targets)
        if key not in self._kept:
            if targets:
                whole = self.matrix(relation, causes, ())
                self._kept[key] = _keep_columns(whole, self.mask(targets))
            else:
                self._kept[key] = self._build(relation, causes)
        return self._kept[key]

    def causes_of(self, relation: str, causes: tuple[str, ...], entities: Ints) -> tuple[Ints, Ints]:
        """Return pairs (row, k): the cause in that row has entities[k] in that relation, both of shape (P,).

        The cost is the number of pairs, whatever the size of the fleet.
        """
        key = (relation, causes)
        if key not in self._columns:
            self._columns[key] = self.matrix(relation, causes, ()).tocsc()
        matrix = self._columns[key]
        counts = np.diff(matrix.indptr)[entities]
        start = matrix.indptr[entities].astype(np.int64)
        before = np.cumsum(counts) - counts
        place = np.arange(int(counts.sum())) + np.repeat(start - before, counts)
        return matrix.indices[place].astype(np.int64), np.repeat(np.arange(len(entities)), counts)

    def reach(self, entity: int) -> Ints:
        """Return what an entity stands for: what it runs on for a workload, else all beneath, ascending."""
        kind = canonical_kind(self.graph.kinds[entity])
        matrix = self.matrix("members" if kind in WORKLOADS else "beneath", (kind,), ())
        row = int(np.searchsorted(self.of((kind,)), entity))
        return np.sort(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]).astype(np.int64)

    def _build(self, relation: str, causes: tuple[str, ...]) -> sparse.csr_array:
        start = self._select(self.of(causes))
        if relation == "self":
            return start
        if relation == "children":
            return _ones(start @ self._children)
        if relation == "descendants":
            return _closure(start, self._children)
        if relation == "beneath":
            return _closure(start, self._down)
        if relation == "carriers":
            return _closure(start, self._up)
        if relation == "members":
            return _ones(start @ self.members)
        if relation == "victims":
            return _closure(start, self._impact, _ones(start @ self._node_of_gpu))
        if relation == "workload_carriers":
            return _ones((start + self.matrix("victims", causes, WORKLOADS)) @ self._bearers)
        if relation == "ports":
            nodes = _ones(start + self.matrix("beneath", causes, ("node",)) + start @ self.members)
            return _ones(nodes @ self._node_ports)
        if relation == "leaves":
            served = sparse.csr_array(self.matrix("beneath", causes, ("node",)) @ self._node_leaves)
            total = self._node_leaves.sum(axis=0)
            return _ones(_filtered(served, 2 * served.data > total[served.indices]))
        raise ValueError(f"`{relation}` is no relation between entities")

    @cached_property
    def kind_codes(self) -> Ints:
        """A number for the kind of each entity, shape (n,)."""
        names = {kind: code for code, kind in enumerate(sorted(KINDS))}
        return np.array([names[canonical_kind(kind)] for kind in self.graph.kinds], np.int64)

    @cached_property
    def source(self) -> Ints:
        """Who speaks for each, as a node does for its GPUs; -1 where it speaks itself, shape (n,)."""
        index = self.graph.index
        return np.array([index.get(container_of(name) or "", -1) for name in self.graph.ids], np.int64)

    @cached_property
    def members(self) -> sparse.csr_array:
        """What each workload runs on: nodes, their GPUs and ports, its ranks; shape (n, n)."""
        rows = self.mask(WORKLOADS)
        nodes = _keep_columns(_keep_rows(self._depends, rows), self.mask(("node",)))
        gpus = _keep_columns(_keep_rows(self._depends, rows), self.mask(("gpu",)))
        ranks = _keep_columns(_keep_rows(self._children, rows), self.mask(("rank",)))
        return _ones(nodes + gpus + ranks + nodes @ self._children + nodes @ self._node_ports)

    @cached_property
    def workload_of(self) -> Ints:
        """The job (else the service) that an entity works for, -1 for none, shape (n,)."""
        owner = np.full(self.n, -1, np.int64)
        fading = self.graph.bygone.fading
        for kind in reversed(WORKLOADS):
            matrix = _keep_rows(self.members, self.mask((kind,))).tocoo()
            # The least id of those that still run is written last, and stays.
            order = np.lexsort((-matrix.row, ~fading[matrix.row], matrix.col))
            owner[matrix.col[order]] = matrix.row[order]
        return owner

    @cached_property
    def size(self) -> Ints:
        """How many entities are beneath each, shape (n,)."""
        size = np.zeros(self.n, np.int64)
        big = self.of(_CONTAINERS)
        size[big] = self.matrix("beneath", _CONTAINERS, ()).sum(axis=1)
        return size

    @cached_property
    def _depends(self) -> sparse.csr_array:
        depends = self.graph.depends
        ones = np.ones(depends.nnz, np.int32)
        return sparse.csr_array((ones, depends.indices, depends.indptr), shape=depends.shape)

    @cached_property
    def _dependents(self) -> sparse.csr_array:
        return sparse.csr_array(self._depends.T)

    @cached_property
    def _children(self) -> sparse.csr_array:
        inside = np.flatnonzero(self.graph.parent >= 0)
        return _entries(self.graph.parent[inside], inside, self.n)

    @cached_property
    def _parents(self) -> sparse.csr_array:
        return sparse.csr_array(self._children.T)

    @cached_property
    def _down(self) -> sparse.csr_array:
        # The ranks of a job are not beneath each node that it runs on.
        return _ones(_keep_rows(self._children, ~self.mask(WORKLOADS)) + self._dependents)

    @cached_property
    def _up(self) -> sparse.csr_array:
        return _ones(self._parents + self._depends)

    @cached_property
    def _bearers(self) -> sparse.csr_array:
        """What carries the members of each workload, (n, n)."""
        works = self.of(WORKLOADS)
        carried = self.matrix("carriers", WORKLOADS, _BEARERS)
        return sparse.csr_array(self._select(works).T @ carried)

    @cached_property
    def _impact(self) -> sparse.csr_array:
        # A model moves its portfolio and business; those do not move their other models.
        inside = _keep_rows(self._children, ~self.mask((*WORKLOADS, *_AGGREGATES)))
        outside = _keep_rows(self._parents, self.mask(("model", "replica", "portfolio")))
        past = sparse.csr_array(self.graph.bygone.past.T.astype(np.int32))
        return _ones(inside + outside + self._dependents + past)

    @cached_property
    def _node_of_gpu(self) -> sparse.csr_array:
        return _keep_rows(_keep_columns(self._parents, self.mask(("node",))), self.mask(("gpu",)))

    @cached_property
    def _node_ports(self) -> sparse.csr_array:
        """Ports of each node: those it depends on, else all of the switch it depends on."""
        depends = _keep_rows(self._depends, self.mask(("node",)))
        own = _keep_columns(depends, self.mask(("port",)))
        nameless = np.diff(own.indptr) == 0
        leaf = _keep_columns(_keep_rows(depends, nameless), self.mask(("switch",)))
        return _ones(own + _keep_columns(leaf @ self._children, self.mask(("port",))))

    @cached_property
    def _node_leaves(self) -> sparse.csr_array:
        """Switches of each node: those it depends on, and those of its ports."""
        leaves = _keep_rows(self._depends, self.mask(("node",))) + self._node_ports @ self._parents
        return _ones(_keep_columns(_ones(leaves), self.mask(("switch",))))

    def _select(self, rows: Ints) -> sparse.csr_array:
        return _entries(np.arange(len(rows)), rows, self.n, len(rows))


_BEARERS = ("rack", "row", "facility", "cdu", "chiller", "pdu", "switch", "fabric")
_CONTAINERS = ("node", "rack", "row", "facility", "cdu", "chiller", "pdu", "switch", "fabric", "service")


def _entries(row: Ints, column: Ints, n: int, rows: int | None = None) -> sparse.csr_array:
    ones = np.ones(len(row), np.int32)
    return sparse.csr_array((ones, (row, column)), shape=(n if rows is None else rows, n))


def _ones(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix = sparse.csr_array(matrix)
    matrix.data = np.ones(len(matrix.data), np.int32)
    return matrix


def _keep_rows(matrix: sparse.csr_array, rows: Bools) -> sparse.csr_array:
    return _filtered(matrix, np.repeat(rows, np.diff(matrix.indptr)))


def _keep_columns(matrix: sparse.csr_array, columns: Bools) -> sparse.csr_array:
    return _filtered(matrix, columns[matrix.indices])


def _filtered(matrix: sparse.csr_array, kept: Bools) -> sparse.csr_array:
    counts = np.concatenate([[0], np.cumsum(kept)])
    bounds = counts[matrix.indptr]
    return sparse.csr_array((matrix.data[kept], matrix.indices[kept], bounds), shape=matrix.shape)


def _closure(
    start: sparse.csr_array, step: sparse.csr_array, also: sparse.csr_array | None = None
) -> sparse.csr_array:
    """Return everything reached by one or more steps from `start` (and `also`), without `start`."""
    frontier = start if also is None else _ones(start + also)
    total = _filtered(start, np.zeros(start.nnz, bool))
    for _ in range(_MAX_DEPTH):
        frontier = _ones(frontier @ step)
        grown = _ones(total + frontier)
        if grown.nnz == total.nnz:
            break
        total = grown
    rest = sparse.csr_array(total - total.multiply(start))
    rest.eliminate_zeros()
    rest.sort_indices()
    return _ones(rest)
