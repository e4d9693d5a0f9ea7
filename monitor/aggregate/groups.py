"""Which series stand beneath which group: sparse membership, one row for each (group, metric)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import sparse

from monitor.kernels.coding import number
from monitor.kernels.reach import PLANT, beneath, over_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.catalog import Catalog
    from monitor.topology import Graph
    from monitor.types import Bools, Floats, Ints, SeriesKey

    class Table(Protocol):
        """What is asked of a table of series."""

        keys: list[SeriesKey]
        entities: list[str]
        metrics: list[tuple[str, str]]
        entity: NDArray[np.int32]
        metric: NDArray[np.int32]


FEWEST = 3
"""A group of fewer members is its members."""

WAYS: tuple[tuple[frozenset[str], frozenset[str], str], ...] = (
    (frozenset({"node", "rack", "row", "cdu", "pdu", "chiller"}), PLANT, "gpu"),
    (frozenset({"job"}), frozenset({"job", "node", "rank", "gpu"}), "gpu"),
    (frozenset({"switch"}), frozenset({"switch", "port"}), "network"),
)
"""(kinds of groups, kinds on the way down, frame kind of the members' series)."""

MEMBER_KINDS = frozenset(kind for _, _, kind in WAYS)


@dataclass(frozen=True, slots=True)
class Groups:
    """G group series over S series.

    names: (entity, frame kind, metric), sorted. members: 0/1, (G, S). pools: (entity kind, frame kind,
    metric), sorted; pool: index of each group, (G,).
    """

    names: list[tuple[str, str, str]]
    members: sparse.csr_array
    pools: list[tuple[str, ...]]
    pool: Ints

    def moved(self, places: Ints, size: int) -> Groups:
        """Return the same groups over `size` series, of which the old ones stand at `places` (ascending)."""
        old = self.members
        shape = (old.shape[0], size)
        members = sparse.csr_array((old.data, places[old.indices], old.indptr), shape=shape)
        return Groups(self.names, members, self.pools, self.pool)


def find_groups(table: Table, graph: Graph, catalog: Catalog) -> Groups:
    """Return the groups of at least 3 members over metrics for which some direction is bad."""
    pieces = [_way(table, graph, catalog, *way) for way in WAYS]
    group = np.concatenate([piece[0] for piece in pieces])
    series = np.concatenate([piece[1] for piece in pieces])
    code, first = number(group, table.metric[series])
    big = np.flatnonzero(np.bincount(code, minlength=len(first)) >= FEWEST)
    place = np.full(len(first), -1, np.int64)
    place[big] = np.arange(len(big))
    row = place[code]
    kept = row >= 0
    members = sparse.csr_array(
        (np.ones(int(kept.sum())), (row[kept], series[kept])), shape=(len(big), len(table.keys))
    )
    members.sort_indices()
    whose, metric = group[first[big]].tolist(), table.metric[series[first[big]]].tolist()
    names = [(graph.ids[i], *table.metrics[m]) for i, m in zip(whose, metric, strict=True)]
    pool_of = [(graph.kinds[i], m) for i, m in zip(whose, metric, strict=True)]
    known = sorted(set(pool_of))  # metrics are sorted, so this is the order of the names
    place_of = {pool: k for k, pool in enumerate(known)}
    pools: list[tuple[str, ...]] = [(kind, *table.metrics[m]) for kind, m in known]
    return Groups(names, members, pools, np.array([place_of[pool] for pool in pool_of], np.int64))


def eligible(table: Table, catalog: Catalog, kinds: frozenset[str] = MEMBER_KINDS) -> Bools:
    """Return which series may be members of groups, as far as their frames are of these kinds; (S,)."""
    able = [kind in kinds and _charted(catalog, kind, name) for kind, name in table.metrics]
    return np.array(able, bool)[table.metric]


def _way(
    table: Table, graph: Graph, catalog: Catalog, tops: frozenset[str], through: frozenset[str], kind: str
) -> tuple[Ints, Ints]:
    """Return pairs (group as index into the graph, series)."""
    series = np.flatnonzero(eligible(table, catalog, frozenset({kind})))
    below = over_table(beneath(graph, through), graph, table.entities).tocoo()
    top = np.array([k in tops for k in graph.kinds], bool)[below.coords[0]]
    pairs = (below.coords[1][top], below.coords[0][top])
    above = sparse.csr_array((np.ones(int(top.sum())), pairs), shape=(len(table.entities), len(graph)))
    found = above[table.entity[series]].tocoo()
    return found.coords[1].astype(np.int64), series[found.coords[0]]


def _charted(catalog: Catalog, kind: str, name: str) -> bool:
    metric = catalog.get(kind, name)
    return metric is not None and metric.bad != "none" and metric.unit not in {"bitmask", "code", "flag"}


def changed_members(old: Groups, new: Groups, series_moved: Ints, moved: Ints) -> Bools:
    """Return the new groups that lost or gained more than a third of their members: they begin anew.

    Members whose series are gone were long unheard: the level is of those that remain.
    """
    changed = np.zeros(len(new.names), bool)
    kept = np.flatnonzero(moved >= 0)
    carried = old.members.tocoo()
    at_row, at_column = moved[carried.coords[0]], series_moved[carried.coords[1]]
    ok = (at_row >= 0) & (at_column >= 0)
    before = sparse.csr_array((np.ones(int(ok.sum())), (at_row[ok], at_column[ok])), shape=new.members.shape)
    both = np.asarray(before.multiply(new.members).sum(axis=1)).ravel()
    either = np.asarray(before.sum(axis=1)).ravel() + np.asarray(new.members.sum(axis=1)).ravel() - both
    rows = moved[kept]
    changed[rows] = both[rows] < 2 / 3 * either[rows]
    return changed


def share_of_company(members: sparse.csr_array, company: Ints) -> Floats:
    """Return how much of those that its members are compared with each group holds itself, 0 to 1, (G,).

    The mean over members of: members in the same company / size of that company. Members that are compared
    with nobody count 0.
    """
    pairs = members.tocoo()
    group, of = pairs.coords[0].astype(np.int64), company[pairs.coords[1]]
    known = of >= 0
    companies = int(company.max(initial=0)) + 1
    code, first = number(group[known], of[known])
    count = np.bincount(code, minlength=len(first))
    size = np.bincount(company[company >= 0], minlength=companies)
    group, of = group[known][first], of[known][first]
    total = np.bincount(group, count * (count / size[of]), members.shape[0])
    share: Floats = total / np.maximum(np.diff(members.indptr), 1)
    return share
