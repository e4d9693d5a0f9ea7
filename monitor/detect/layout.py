"""Who is compared with whom: pools, peer groups, drivers and regimes of every series.

Made anew when series or the topology change, by numpy over the series and Python over entities and metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from monitor.catalog import PAGING_KINDS, Metric
from monitor.detect.loads import find_loads, workloads
from monitor.kernels.coding import coded, number
from monitor.types import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy import sparse

    from monitor.catalog import Catalog
    from monitor.detect.table import SeriesTable
    from monitor.topology import Graph
    from monitor.types import Bools, Floats, Ints

RARE_COUNTS = frozenset({"fabric", "congestion", "memory_errors", "interconnect", "failures"})
RESOLUTION_FLOOR = 0.29  # the standard deviation of rounding is 1 / sqrt(12) steps


@dataclass(frozen=True)
class Layout:
    """Everything that is fixed about S series until the table or the topology changes.

    metric_of: the catalogue's entry of each table metric; metric: index into it (S,). pools: names of the
    pools, sorted; pool: index (S,). group: peer group (S,), -1 for a lone series; groups: their names.
    activity: row of the activity of the same GPU, -1 for none. driven: rows with a driver, ascending;
    weights: (driven, S) over the driver's series; fit: (driven,), fits: names, sorted.
    """

    metric_of: list[Metric]
    metric: Ints
    pools: list[tuple[str, ...]]
    pool: Ints
    group: Ints
    groups: list[tuple[str, ...]]
    activity: Ints
    driven: Ints
    weights: sparse.csr_array
    fit: Ints
    fits: list[tuple[str, ...]]

    def by_metric(self, test: Callable[[Metric], bool]) -> Bools:
        """Return a truth about the metric of each series."""
        return np.array([test(m) for m in self.metric_of], bool)[self.metric]

    @cached_property
    def lone(self) -> Bools:
        """Series without peers."""
        return self.group < 0

    @cached_property
    def counts(self) -> Ints:
        """Rows of the rare counts, ascending."""
        return np.flatnonzero(self.by_metric(_is_rare_count))

    @cached_property
    def charted(self) -> Ints:
        """Rows that have a level and a spread, ascending.

        Not the rare counts, nor codes and flags, which have no distance, nor traffic: that is load, no fault.
        """
        return np.flatnonzero(self.by_metric(_has_level))

    @cached_property
    def up(self) -> Bools:
        """Series for which more is worse."""
        return self.by_metric(lambda m: m.bad in {"up", "both"})

    @cached_property
    def down(self) -> Bools:
        """Series for which less is worse."""
        return self.by_metric(lambda m: m.bad in {"down", "both"})

    @cached_property
    def may_page(self) -> Bools:
        """Series whose statistics may page."""
        return self.by_metric(lambda m: m.pages and m.kind in PAGING_KINDS)

    def matters(self, expected: Floats, falls: Bools | None = None) -> Floats:
        """Return the least deviation from the expected that matters, in the unit of each series.

        falls: series that are below the expected, (S,).
        """
        least, share, fall = self._least
        if falls is not None:
            least = np.where(falls & np.isfinite(fall), fall, least)
        matters: Floats = np.maximum(least, share * np.abs(expected))
        return matters

    @cached_property
    def _least(self) -> Floats:
        """What matters of each series in its unit, as a share, and of a fall (NaN: as of a rise), (3, S)."""
        of_metric = np.array(
            [
                [m.matters, m.matters_share, np.nan if m.matters_down is None else m.matters_down]
                for m in self.metric_of
            ],
            np.float64,
        )
        least: Floats = of_metric.reshape(-1, 3)[self.metric].T
        return least

    @cached_property
    def low(self) -> Floats:
        """The least that each series can read."""
        low = np.array([-np.inf if m.low is None else m.low for m in self.metric_of], np.float64)
        return low[self.metric]

    @cached_property
    def floor(self) -> Floats:
        """The least spread that readings in steps can have."""
        steps = np.array([m.resolution or 0.0 for m in self.metric_of], np.float64)
        return RESOLUTION_FLOOR * steps[self.metric]


def lay_out(table: SeriesTable, graph: Graph, catalog: Catalog, min_peers: int) -> Layout:
    """Return the layout of a table's series under a graph that holds (some of) its entities."""
    metrics = [_metric(catalog, *pair) for pair in table.metrics]
    words = _words(table, graph)
    driver = find_loads(table, graph)
    pool_key = words.codes(("kind", "sku"))
    pool, pool_at = number(table.metric, pool_key[table.entity])
    group, group_at = _groups(table, metrics, words, driver.has)
    sizes = np.bincount(group[group >= 0], minlength=max(len(group_at), 1))
    group = np.where((group >= 0) & (sizes[np.maximum(group, 0)] >= min_peers), group, -1)
    rows = np.flatnonzero(driver.has)
    own_fit = group[rows] < 0
    fit, fit_at = number(pool[rows], np.where(own_fit, table.entity[rows] + 1, 0))
    return Layout(
        metric_of=metrics,
        metric=table.metric.astype(np.int64),
        pools=[words.name(table, i, ("kind", "sku")) for i in pool_at.tolist()],
        pool=pool,
        group=group,
        groups=[_group_name(words, table, metrics, i, bool(driver.has[i])) for i in group_at],
        activity=driver.activity,
        driven=rows,
        weights=driver.weights[rows],
        fit=fit,
        fits=[
            (
                *words.name(table, int(rows[i]), ("kind", "sku")),
                table.keys[rows[i]].entity if own_fit[i] else "",
            )
            for i in fit_at.tolist()
        ],
    )


def _metric(catalog: Catalog, kind: str, name: str) -> Metric:
    """Return the catalogue's entry, or that of a gauge nobody described."""
    known = catalog.get(kind, name)
    return known or Metric(kind, name, "gauge", "number", "both", "other", peers=("self",))  # type: ignore[arg-type]


def _is_rare_count(metric: Metric) -> bool:
    return metric.type == "counter" and metric.unit == "count" and metric.family in RARE_COUNTS


def _has_level(metric: Metric) -> bool:
    coded = metric.unit in {"bitmask", "code", "flag"}
    return not (coded or metric.family == "throughput_net" or _is_rare_count(metric))


def _peer_words(metric: Metric, driven: bool) -> tuple[str, ...]:
    """Return what peers share. For heat with a driver the job does not matter: the load is in the driver."""
    any_job = driven and metric.family == "heat"
    words = tuple(word for word in metric.peers if not (any_job and word == "job"))
    return ("kind", *words)


def _group_name(
    words: _Words, table: SeriesTable, metrics: list[Metric], row: int, driven: bool
) -> tuple[str, ...]:
    """Return (frame kind, metric, "driven" or "", entity kind, what else its members share)."""
    kind, metric, *shared = words.name(table, row, _peer_words(metrics[table.metric[row]], driven))
    return (kind, metric, "driven" if driven else "", *shared)


def _groups(
    table: SeriesTable, metrics: list[Metric], words: _Words, driven: Bools
) -> tuple[Ints, list[int]]:
    """Peer group of every series (-1: its metric allows none), and a member of each."""
    key = np.full(len(table), -1, np.int64)
    order = np.argsort(table.metric.astype(np.uint16), kind="stable")
    bounds = np.searchsorted(table.metric[order], np.arange(len(metrics) + 1))
    for k, metric in enumerate(metrics):
        if "self" in metric.peers:
            continue
        of_metric = order[bounds[k] : bounds[k + 1]]
        for has_driver in (False, True):
            rows = of_metric[driven[of_metric] == has_driver]
            if not len(rows):
                continue
            codes = words.codes(_peer_words(metric, has_driver))
            key[rows] = codes[table.entity[rows]] * 2 + has_driver
            if "parent" in metric.peers:
                key[rows[words.orphans[table.entity[rows]]]] = -1
    allowed = np.flatnonzero(key >= 0)
    group = np.full(len(table), -1, np.int64)
    group[allowed], members = number(table.metric[allowed], key[allowed])
    return group, allowed[members].tolist()


def _words(table: SeriesTable, graph: Graph) -> _Words:
    """Return what entities share; the last answer is kept with the graph."""
    kept: tuple[list[str], _Words] | None = graph.kept.get(_Words)
    if kept is None or kept[0] is not table.entities:
        kept = graph.kept[_Words] = (table.entities, _Words(table, graph))
    return kept[1]


class _Words:
    """What entities share, as numbers: for each word of `peers` a code for each of the table's entities."""

    def __init__(self, table: SeriesTable, graph: Graph) -> None:
        self._entities = table.entities
        self._at = graph.places(table.entities)
        self._graph = graph
        self._words: dict[str, tuple[Ints, list[str]]] = {}
        self._codes: dict[tuple[str, ...], Ints] = {}

    @cached_property
    def orphans(self) -> Bools:
        """Which entities are in nothing."""
        codes, texts = self._word("parent")
        return np.array([not text for text in texts], bool)[codes]

    def _word(self, word: str) -> tuple[Ints, list[str]]:
        """Return the code of each entity under a word, and the texts that the codes stand for, sorted."""
        if word not in self._words:
            self._words[word] = self._find(word)
        return self._words[word]

    def codes(self, words: tuple[str, ...]) -> Ints:
        """Return a number for each entity, equal where all the words' values are equal."""
        if words not in self._codes:
            self._codes[words] = self._find_codes(words)
        return self._codes[words]

    def _find_codes(self, words: tuple[str, ...]) -> Ints:
        if not self._entities or not words:
            return np.zeros(len(self._entities), np.int64)
        if len(words) > 1:
            return number(*[self.codes((word,)) for word in words])[0]
        return self._word(words[0])[0]

    def name(self, table: SeriesTable, row: int, words: tuple[str, ...]) -> tuple[str, ...]:
        """Return the name of what the series in a row shares with others."""
        entity = int(table.entity[row])
        kind, metric = table.metrics[table.metric[row]]
        found = [self._word(word) for word in words]
        return (kind, metric, *[texts[codes[entity]] for codes, texts in found])

    def _find(self, word: str) -> tuple[Ints, list[str]]:
        if word == "kind":
            return coded([kind_of(e) for e in self._entities])
        if word == "parent":
            ids, at = self._graph.ids, self._at
            parents = np.where(at >= 0, self._graph.parent[at], -1) if len(ids) else np.full(len(at), -1)
            found, codes = np.unique(parents, return_inverse=True)  # ids are sorted, and "" comes before all
            return codes.astype(np.int64), [ids[i] if i >= 0 else "" for i in found.tolist()]
        if word == "job":
            return workloads(self._graph, self._at)
        column = self._graph.tag_values(word.removeprefix("tag:"))
        return coded([str(column[i]) if i >= 0 else "" for i in self._at.tolist()])
