"""What stands beneath an entity: the leaves that a fault of it would touch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.topology import Graph

PLANT = frozenset({"gpu", "node", "rack", "row", "cdu", "chiller", "pdu", "facility"})
"""Kinds through which heat, power and coolant pass on the way to a GPU."""

STEPS = 8
"""Steps from a facility down to its GPUs, at most."""


def beneath(graph: Graph, kinds: frozenset[str]) -> sparse.csr_array:
    """Return who is beneath whom (containment and dependence, any number of steps) among entities of `kinds`.

    A matrix of 0/1, shape (n, n) over the graph: the column is beneath the row. It is kept with the graph.
    """
    key = ("beneath", kinds)
    if key not in graph.kept:
        graph.kept[key] = _beneath(graph, kinds)
    found: sparse.csr_array = graph.kept[key]
    return found


def _beneath(graph: Graph, kinds: frozenset[str]) -> sparse.csr_array:
    n = len(graph)
    inside = np.array([kind in kinds for kind in graph.kinds], bool)
    child = np.flatnonzero(graph.parent >= 0)
    serves = graph.depends.tocoo()
    over = np.concatenate([graph.parent[child], serves.coords[1].astype(np.int64)])
    under = np.concatenate([child, serves.coords[0].astype(np.int64)])
    kept = inside[over] & inside[under]
    step = sparse.csr_array((np.ones(int(kept.sum())), (over[kept], under[kept])), shape=(n, n))
    reach = frontier = step
    for _ in range(STEPS):
        frontier = sparse.csr_array(frontier @ step)
        frontier.data[:] = 1.0
        wider = sparse.csr_array(reach + frontier)
        if wider.nnz == reach.nnz:
            break
        reach = wider
    reach.data[:] = 1.0
    return reach


def over_table(reach: sparse.csr_array, graph: Graph, entities: Sequence[str]) -> sparse.csr_array:
    """Return the columns of `reach` that are a table's entities: (n, E), entities not in the graph empty."""
    at = graph.places(entities)
    known = np.flatnonzero(at >= 0)
    place = np.full(len(graph), -1, np.int64)
    place[at[known]] = known
    column = place[reach.indices]
    kept = column >= 0
    bounds = np.concatenate([[0], np.cumsum(kept)])[reach.indptr]
    return sparse.csr_array((reach.data[kept], column[kept], bounds), shape=(reach.shape[0], len(at)))
