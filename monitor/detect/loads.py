"""Which series is the load of which: a GPU's activity and power, the GPUs beneath a cooling unit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from monitor.detect.drivers import DRIVERS
from monitor.kernels.reach import PLANT, beneath, over_table

if TYPE_CHECKING:
    from monitor.detect.table import SeriesTable
    from monitor.topology import Graph
    from monitor.types import Bools, Ints

ACTIVITY = ("sm_active_ratio", "gpu_utilization_ratio", "gr_engine_active_ratio")
WORK = ("job", "service")
_SOURCE = {"facility": "gpu"}


@dataclass(frozen=True, slots=True)
class Loads:
    """What every series is the work of.

    activity: row of the same GPU's activity, -1 for none. weights: (S, S), the driver's series of each
    series. has: which series have a driver.
    """

    activity: Ints
    weights: sparse.csr_array
    has: Bools


def find_loads(table: SeriesTable, graph: Graph) -> Loads:
    """Find the activity and the drivers of every series."""
    rows = _Rows(table)
    size = len(table)
    activity = np.full(size, -1, np.int64)
    of_gpu = np.array([kind == "gpu" for kind, _ in table.metrics], bool)[table.metric]
    activity[of_gpu] = rows.of("gpu", ACTIVITY)[table.entity[of_gpu]]
    source, target = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, pair in enumerate(table.metrics):
        if pair in DRIVERS:
            driven = np.flatnonzero(table.metric == number)
            driver = rows.of(_SOURCE.get(pair[0], pair[0]), DRIVERS[pair])
            s, t = _links(driven, pair[0], driver, table, graph)
            source.append(s)
            target.append(t)
    s, t = np.concatenate(source), np.concatenate(target)
    weights = sparse.csr_array((np.ones(len(s)), (s, t)), shape=(size, size))
    weights.sort_indices()
    return Loads(activity, weights, np.diff(weights.indptr) > 0)


def _links(driven: Ints, kind: str, driver: Ints, table: SeriesTable, graph: Graph) -> tuple[Ints, Ints]:
    if kind != "facility":
        found = driver[table.entity[driven]]
        return driven[found >= 0], found[found >= 0]
    pairs = _beneath(table, graph)[table.entity[driven]].tocoo()
    entity = pairs.coords[1]
    known = driver[entity] >= 0
    return driven[pairs.coords[0][known]], driver[entity[known]]


class _Rows:
    """Where an entity's series of a metric stands."""

    def __init__(self, table: SeriesTable) -> None:
        self._table = table
        self._number = {pair: number for number, pair in enumerate(table.metrics)}

    def of(self, kind: str, metrics: tuple[str, ...]) -> Ints:
        """Return for each entity the row of the first of these metrics that it has, -1 for none."""
        found = np.full(len(self._table.entities), -1, np.int64)
        for metric in reversed(metrics):
            number = self._number.get((kind, metric), -1)
            rows = np.flatnonzero(self._table.metric == number)
            found[self._table.entity[rows]] = rows
        return found


def _beneath(table: SeriesTable, graph: Graph) -> sparse.csr_array:
    """Who is beneath whom over the table's entities, (E, E)."""
    columns = over_table(beneath(graph, PLANT), graph, table.entities)
    at = graph.places(table.entities)
    known = np.flatnonzero(at >= 0)
    own = columns[at[known]]
    bounds = np.zeros(len(at) + 1, np.int64)
    bounds[known + 1] = np.diff(own.indptr)
    return sparse.csr_array((own.data, own.indices, np.cumsum(bounds)), shape=(len(at), len(at)))


def workloads(graph: Graph, at: Ints) -> tuple[Ints, list[str]]:
    """Return what works on each entity: the jobs and services that depend on it or on what contains it.

    at: indices into the graph, -1 for an entity that is not in it, which works on nothing known. Returns the
    distinct answers (ids joined by commas), sorted, and before them which of those each entity has.
    """
    above = np.where(at >= 0, graph.parent[at], -1) if len(graph) else np.full(len(at), -1)
    entity, work = _workers(graph, np.concatenate([at, above]))
    pairs = np.unique(entity % max(len(at), 1) * len(graph) + work)
    entity, work = np.divmod(pairs, max(len(graph), 1))
    bounds = np.searchsorted(entity, np.arange(len(at) + 1)).tolist()
    works, texts = work.tolist(), {}
    for start, end in pairwise(bounds):
        mine = tuple(works[start:end])
        if mine not in texts:
            texts[mine] = ",".join([graph.ids[i] for i in mine])
    names = sorted(set(texts.values()))
    place = {text: code for code, text in enumerate(names)}
    codes = {mine: place[text] for mine, text in texts.items()}
    return np.array([codes[tuple(works[a:b])] for a, b in pairwise(bounds)], np.int64), names


def _workers(graph: Graph, at: Ints) -> tuple[Ints, Ints]:
    """Return pairs (k, work): the job or service that depends on at[k], by k."""
    pairs = graph.depends.tocoo()
    works = np.array([kind in WORK for kind in graph.kinds], bool)[pairs.coords[0]]
    work, carrier = pairs.coords[0][works].astype(np.int64), pairs.coords[1][works]
    order = np.argsort(carrier, kind="stable")
    bounds = np.searchsorted(carrier[order], np.arange(len(graph) + 1))
    known = np.flatnonzero(at >= 0)
    start = bounds[at[known]]
    count = bounds[at[known] + 1] - start
    before = np.cumsum(count) - count
    place = np.arange(int(count.sum())) + np.repeat(start - before, count)
    return np.repeat(known, count), work[order[place]]
