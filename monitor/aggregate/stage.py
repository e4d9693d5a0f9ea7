"""The stage: residuals of members in, standing signals of groups out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from monitor.aggregate.groups import (
    Groups,
    changed_members,
    eligible,
    find_groups,
    share_of_company,
)
from monitor.kernels.baseline import Learning, Points
from monitor.kernels.coding import moved_to
from monitor.kernels.columns import Column, Columns
from monitor.kernels.evidence import K
from monitor.kernels.latch import Bad, Seen
from monitor.kernels.signals import Key, Standing
from monitor.kernels.watch import Rows, Watch
from monitor.kernels.watched import Chart, Name, Pages, watched_signals
from monitor.reasons import SignalReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.aggregate.groups import Table
    from monitor.catalog import Catalog, Metric
    from monitor.config.settings import Settings
    from monitor.topology import Graph
    from monitor.types import Bools, Floats, Ints, Panel, Signal

    class Residuals(Protocol):
        """What is asked of the stage before, of S series."""

        @property
        def z(self) -> Floats:
            """Standardised residuals, NaN for none."""

        @property
        def effect(self) -> Floats:
            """The same as multiples of what matters."""

        @property
        def company(self) -> Ints:
            """Who was compared with whom now, -1 for nobody."""

        @property
        def group(self) -> Ints:
            """Who may be compared with whom, until the next reindex; -1 for nobody."""

        @property
        def rhythm(self) -> Floats:
            """The usual gap between points, ms."""


MEMBER_CLIP = 3.0
"""A member says at most this much: one very hot GPU is no hot node."""

MATTERS = 0.5
"""A group pages where its members deviate by half of what matters in one alone: many of them are worse.

No member counts for more than what matters in it, so a single sick one pages for itself and not as a group.
"""

PRESENT = 0.5
MAJORITY = 0.4
"""A group with more than this share of those it is compared with is not judged: it would set the measure."""
FLOOR = 0.1
"""The least spread of a group's mean, in sigmas of a member: what is far smaller is of no use to anybody."""


@dataclass(frozen=True, slots=True)
class AggregateResult:
    """What one round says about G groups; names are (entity, frame kind, metric), arrays are (G,)."""

    end: int
    signals: tuple[Signal, ...]
    raised: tuple[Signal, ...]
    cleared: tuple[Signal, ...]
    judged: Bools
    names: list[tuple[str, str, str]]
    mean: Floats


class AggregateStage:
    """Groups of the hierarchy (node, rack, row, CDU, PDU, chiller, job, switch) as series of their own.

    The statistic is the mean of the members' standardised residuals, each clipped at +-3 and less the mean
    of all it was compared with, over the members whose last point still counts; half of them at least. It
    has its own level, and its own null at each scale, pooled over the groups of a kind: what members have in
    common, and how much, is measured there, never computed from their evidence, which must not be added. A
    group has a point once in its members' rhythm, so that slow members are all in it.
    """

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog, self._settings = catalog, settings
        learning = Learning(
            settings.peer_learning_ms, settings.own_learning_ms, settings.freeze_ms,
            points=settings.own_learning_points,
        )  # fmt: skip
        self._watch = Watch(learning)
        self._standing = Standing()
        self._series = Columns(
            {
                "z": Column("f4", np.nan),
                "effect": Column("f4", 0),
                "end": Column("i8", -1),
                "company": Column("i4", -1),
            }
        )
        self._group = Columns({"end": Column("i8", -1), "judged": Column("i1", 0)})
        self._groups: Groups | None = None
        self._known: tuple[Graph | None, int] = (None, 0)
        self._rows: Rows | None = None
        self._share: Floats = np.empty(0)

    @property
    def nbytes(self) -> int:
        """How many bytes of state grow with series and groups."""
        return self._series.nbytes + self._group.nbytes + self._watch.nbytes

    def reindex(self, table: Table, graph: Graph, moved: Ints | None) -> None:
        """Take a graph, and a table whose old series stand at `moved` (-1: gone; None: where they were)."""
        moved = np.arange(len(self._series)) if moved is None else moved
        able = int(eligible(table, self._catalog).sum())
        known, self._known = self._known, (graph, able)
        if self._groups is not None and known[0] is graph and known[1] == able and moved.min(initial=0) >= 0:
            self._groups = self._groups.moved(moved, len(table.keys))  # none of the new ones is a member
            self._series.resize(moved, len(table.keys))
            self._share = np.empty(0)
            return
        old, groups = self._groups, find_groups(table, graph, self._catalog)
        rows = moved_to(old.names if old else [], groups.names)
        pools = moved_to(old.pools if old else [], groups.pools)
        self._series.resize(moved, len(table.keys))
        self._group.resize(rows, len(groups.names))
        self._watch.resize(rows, len(groups.names), pools, len(groups.pools))
        if old is not None:
            self._watch.restart(changed_members(old, groups, moved, rows))
        metrics = [self._catalog.get(kind, name) for _, kind, name in groups.pools]
        self._groups, self._rows, self._share = groups, self._watched_rows(groups, metrics), np.empty(0)
        self._may_page = np.array([m is not None and m.pages for m in metrics], bool)[groups.pool]
        kinds = np.unique(np.array([name[0] for name in groups.pools], object), return_inverse=True)[1]
        of_group = kinds[groups.pool] if len(groups.names) else groups.pool
        self._hypotheses: Ints = np.bincount(of_group)[of_group] if len(of_group) else of_group

    def step(self, panel: Panel, residuals: Residuals, table: Table) -> AggregateResult:
        """Take the residuals of a round."""
        groups, rows = self._groups, self._rows
        assert groups is not None, "reindex comes first"
        assert rows is not None
        del table
        if len(self._share) != len(groups.names):
            self._share = share_of_company(groups.members, residuals.group)
        mean, effect, rhythm = self._means(panel.end, residuals, groups)
        due = np.isfinite(mean) & (panel.end - self._group["end"] >= 0.99 * rhythm)
        self._group["end"][due] = panel.end
        r = np.where(due, mean, np.nan)
        ts = np.where(due, panel.end, -1)
        seen = self._watch.step(rows, Points(panel.end, r, ts, rhythm, np.ones(len(r), np.int64)))
        heard = self._group["end"]
        self._watch.release(panel.end, np.arange(len(r)), Seen(heard, heard, rhythm))
        before = (self._group["judged"] > 0) & np.isfinite(mean)
        self._group["judged"] = np.where(due, seen.judged, before).astype(np.int8)
        chart = Chart(r, seen.offset, seen.sigma, self._settings.chart_sigmas)
        budget = self._settings.page_budget_per_30d
        pages = Pages(budget, self._hypotheses, rhythm, self._may_page, effect / MATTERS)
        signals = watched_signals(
            self._watch.latch, np.arange(len(r)), chart, pages, self._name, self._standing
        )
        standing, raised, cleared = self._standing.replace(signals)
        return AggregateResult(
            panel.end, standing, raised, cleared, self._group["judged"] > 0, groups.names, mean
        )

    def _means(self, end: int, residuals: Residuals, groups: Groups) -> tuple[Floats, Floats, Floats]:
        """Return (means of the members that count, mean effects, rhythms), all (G,)."""
        new = np.flatnonzero(np.isfinite(residuals.z))
        self._series["z"][new] = np.clip(residuals.z[new], -MEMBER_CLIP, MEMBER_CLIP)
        self._series["effect"][new] = np.clip(np.nan_to_num(residuals.effect[new]), -1.0, 1.0)
        self._series["end"][new] = end
        self._series["company"][new] = residuals.company[new]
        age = end - self._series["end"]
        counts = (self._series["end"] >= 0) & (age <= self._settings.hold_rhythms * residuals.rhythm)
        common = _common(self._series["z"], self._series["company"], counts)
        z = np.where(counts, self._series["z"] - common, 0.0)
        effects = np.where(counts, self._series["effect"], 0.0)
        summed = np.stack([counts.astype(np.float64), z, effects, counts * residuals.rhythm], axis=1)
        present, total, effect, rhythms = (groups.members @ summed).T
        size = np.diff(groups.members.indptr)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, effect, rhythm = total / present, effect / present, rhythms / present
        enough = (present >= np.maximum(PRESENT * size, 1)) & (self._share <= MAJORITY)
        return np.where(enough, mean, np.nan), effect, np.nan_to_num(rhythm)

    def _watched_rows(self, groups: Groups, metrics: list[Metric | None]) -> Rows:
        n = len(groups.names)
        return Rows(
            groups.pool,
            np.zeros(n, bool),
            Bad(
                np.array([m is not None and m.bad in {"up", "both"} for m in metrics], bool)[groups.pool],
                np.array([m is not None and m.bad in {"down", "both"} for m in metrics], bool)[groups.pool],
            ),
            np.full(n, FLOOR),
            np.full(n, self._settings.raise_nats + np.log(K)),
            self._settings.clear_nats,
        )

    def _name(self, row: int) -> Name:
        assert self._groups is not None
        entity, kind, name = self._groups.names[row]
        metric = self._catalog.get(kind, name)
        return Name(
            Key(entity, name, "group_mean"),
            metric.family if metric else "other",
            lambda up: SignalReason.GROUP_UP if up else SignalReason.GROUP_DOWN,
        )

    def to_state(self) -> dict[str, Any]:
        """Return all state as arrays, numbers and lists."""
        return {part: getattr(self, f"_{part}").to_state() for part in _PARTS}

    def restore(self, state: Mapping[str, Any], table: Table, graph: Graph) -> None:
        """Take back what `to_state` gave, with the table and the graph of that time."""
        self.reindex(table, graph, np.empty(0, np.int64))
        for part in _PARTS:
            getattr(self, f"_{part}").restore(state[part])


_PARTS = ("watch", "standing", "series", "group")


def _common(z: Floats, company: Ints, counts: Bools) -> Floats:
    """Return, for each series, the mean residual of all it was compared with."""
    rows = np.flatnonzero(counts & (company >= 0))
    size = np.maximum(np.bincount(company[rows]), 1)
    common = np.zeros(len(z))
    common[rows] = (np.bincount(company[rows], z[rows]) / size)[company[rows]]
    return common
