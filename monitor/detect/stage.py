"""The stage: panels in, standing signals out. The order of the detectors is in `DetectStage.step`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.detect.counts import Counters, Counts
from monitor.detect.drivers import SETTLE_MS, Drivers, driver_mean
from monitor.detect.facts import Facts
from monitor.detect.held import Held
from monitor.detect.layout import Layout, lay_out
from monitor.detect.medians import Medians
from monitor.detect.peers import CALM, Own, Peers, of_group
from monitor.detect.readiness import readiness
from monitor.kernels.baseline import Learning, Points
from monitor.kernels.coding import carried, moved_to, through
from monitor.kernels.evidence import K
from monitor.kernels.latch import JUDGED_MS, JUDGED_RHYTHMS, Bad, Seen
from monitor.kernels.signals import Key, Standing, limits
from monitor.kernels.watch import Rows, Watch, Watched
from monitor.kernels.watched import Chart, Name, Pages, watched_signals
from monitor.reasons import SignalReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.catalog import Catalog
    from monitor.config.settings import Settings
    from monitor.detect.table import SeriesTable
    from monitor.topology import Graph
    from monitor.types import Bools, Floats, Ints, Panel, Signal

RELATIVE_FLOOR = 0.002
"""No series is watched more closely than to 0.2 % of its reading: what is smaller matters to nobody."""


@dataclass(frozen=True, slots=True)
class DetectResult:
    """What one round says about S series.

    signals: all that stand; raised, cleared: those of this round; all sorted. judged: series compared with
    something lately, whose reading still counts (without a signal they are quiet). z: standardised
    residuals, NaN where there is none. effect: the same as multiples of what matters. group: peer group of
    each series, company: the peers in its regime now, -1 for nobody. rhythm: the usual gap between points in
    ms, 0 while unknown. expected, lower, upper: the chart's centre and limits.
    """

    end: int
    signals: tuple[Signal, ...]
    raised: tuple[Signal, ...]
    cleared: tuple[Signal, ...]
    judged: Bools
    z: Floats
    effect: Floats
    company: Ints
    group: Ints
    rhythm: Floats
    expected: Floats
    lower: Floats
    upper: Floats


class DetectStage:
    """All series of a site, from points to standing signals.

    held values -> loads -> medians of peers -> residuals -> watch (level, scales, nulls, latch), with rare
    counts and hard facts beside it. State is struct of arrays; `nbytes` says how much.
    """

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog, self._settings = catalog, settings
        learning = Learning(
            settings.peer_learning_ms, settings.own_learning_ms, settings.freeze_ms,
            points=settings.own_learning_points,
        )  # fmt: skip
        self._held, self._drivers, self._peers = Held(), Drivers(), Peers()
        self._facts, self._counts = Facts(catalog), Counts()
        self._watch, self._medians = Watch(learning), Medians(settings, learning)
        self._standing = Standing()
        self._judged_at: Ints = np.zeros(0, np.int64)
        self._layout: Layout | None = None

    @property
    def nbytes(self) -> int:
        """How many bytes of state grow with the series."""
        parts = (self._held, self._drivers, self._peers, self._facts, self._counts, self._watch)
        return sum(part.nbytes for part in parts) + self._judged_at.nbytes

    def reindex(self, table: SeriesTable, graph: Graph, moved: Ints | None) -> None:
        """Take a graph, and a table whose old series stand at `moved` (-1: gone; None: where they were)."""
        moved = np.arange(len(self._judged_at)) if moved is None else moved
        old, layout = self._layout, lay_out(table, graph, self._catalog, self._settings.min_peers)
        pools = moved_to(old.pools if old else [], layout.pools)
        fits = moved_to(old.fits if old else [], layout.fits)
        charted = _carry(old.charted if old else None, layout.charted, moved)
        counts = _carry(old.counts if old else None, layout.counts, moved)
        self._held.resize(moved, len(table))
        self._drivers.resize(layout.driven, moved, fits, len(layout.fits))
        self._peers.resize(layout, moved)
        self._facts.resize(table, layout.group, moved)
        self._counts.resize(counts, len(layout.counts), pools, len(layout.pools))
        self._watch.resize(charted, len(layout.charted), pools, len(layout.pools))
        self._medians.resize(layout)
        if old is not None:
            self._watch.restart(_changed_company(old, layout, moved)[layout.charted])
        self._judged_at = carried(self._judged_at, moved, len(table))
        self._layout, self._members = layout, _members(layout)

    def step(self, panel: Panel, table: SeriesTable) -> DetectResult:
        """Take one round of a tick. The table must be the one last given to `reindex`."""
        layout = self._layout
        assert layout is not None, "reindex comes first"
        held, gap = self._held.step(panel, self._settings.hold_rhythms)
        load, rough, slope = self._load(panel, held, gap, layout)
        regime, settled = self._peers.regimes(panel.end, held, layout)
        own = self._own(held, load, rough, regime, settled, layout)
        medians, unsure = self._peers.medians(own, regime, layout, self._settings.min_peers)
        common = load + np.where(layout.lone, 0.0, of_group(medians, regime, layout))
        rough = rough + np.where(layout.lone, 0.0, of_group(unsure, regime, layout))
        points = Points(
            panel.end, np.where(settled, panel.x - common, np.nan), panel.ts, self._held.rhythm, regime
        )
        rows = self._watched_rows(held, rough, layout)
        seen = self._watch.step(rows, _some(points, layout.charted))
        counted = self._count(panel, gap, points, layout)
        self._facts.step(panel, held, self._settings.min_peers)
        self._judged_at[layout.charted[seen.judged]] = panel.end
        self._judged_at[layout.counts[counted]] = panel.end
        self._release(points, layout)
        lately = JUDGED_MS + JUDGED_RHYTHMS * points.rhythm
        chart = self._chart(panel, common, seen, layout)
        effect = chart.effect(layout.matters(chart.expected, chart.x < chart.expected), rough + slope)
        signals = self._signals(chart, effect, table, layout)
        signals += self._medians.step(panel, medians[1], self._group_rhythm(layout), self._standing)
        standing, raised, cleared = self._standing.replace(signals)
        lower, upper = limits(chart.expected, chart.sigma, chart.sigmas)
        return DetectResult(
            end=panel.end,
            signals=standing,
            raised=raised,
            cleared=cleared,
            judged=np.isfinite(held) & (panel.end - self._judged_at <= lately),
            z=_whole(seen.z, layout.charted, len(held)),
            effect=effect,
            company=np.where(layout.lone, -1, layout.group * 2 + regime),
            group=layout.group,
            rhythm=points.rhythm,
            expected=chart.expected,
            lower=lower,
            upper=upper,
        )

    def unheard(self, end: int, keep_ms: int) -> Bools:
        """Return the series that said nothing for `keep_ms` and for three of their rhythms, (S,)."""
        quiet = end - self._held.columns["heard"]
        return quiet > np.maximum(keep_ms, 3 * self._held.rhythm)

    def readiness(self) -> Ints:
        """Return by what each series is judged (detect/readiness.py), (S,)."""
        return readiness(self._layout, self._watch, self._counts)

    def _release(self, points: Points, layout: Layout) -> None:
        """Let go of deviations of series about which nothing is known: their silence says the rest.

        A fact stands: a GPU that fell off the bus is not back because it says nothing.
        """
        seen = Seen(self._held.columns["heard"], self._judged_at, points.rhythm)
        self._watch.release(points.end, layout.charted, seen)
        self._counts.latch.release(points.end, layout.counts, seen)

    def _own(
        self, held: Floats, load: Floats, doubt: Floats, regime: Ints, settled: Bools, layout: Layout
    ) -> Own:
        rows = layout.charted
        level, known = np.zeros(len(held)), np.zeros(len(held), bool)
        level[rows], known[rows] = self._watch.levels(regime[rows])
        matters = layout.matters(held)
        calm = (doubt <= CALM * matters) | (matters == 0)
        return Own(held - load, level, known, settled, doubt, calm)

    def _load(self, panel: Panel, held: Floats, gap: Ints, layout: Layout) -> tuple[Floats, Floats, Floats]:
        """Return what of each series its load explains, and how rough that and its slope are (Part).

        Without a driver all are 0; while that is learnt the first is NaN.
        """
        rows = layout.driven
        load, rough, slope = np.zeros((3, len(held)))
        u = driver_mean(layout.weights, held)
        slow = np.diff(layout.weights.indptr) > 1
        part = self._drivers.step(panel.end, panel.x[rows], gap[rows], u, layout.fit, slow)
        load[rows], rough[rows], slope[rows] = part.value, part.rough, part.slope
        if part.settled.any():
            begin_anew = np.zeros(len(held), bool)
            begin_anew[rows[part.settled[layout.fit]]] = True
            self._watch.restart(begin_anew[layout.charted], credit_ms=SETTLE_MS)
        return load, rough, slope

    def _watched_rows(self, held: Floats, doubt: Floats, layout: Layout) -> Rows:
        rows = layout.charted
        lone = layout.lone[rows]
        return Rows(
            pool=layout.pool[rows],
            lone=lone,
            bad=Bad(layout.up[rows], layout.down[rows]),
            floor=np.maximum(layout.floor[rows], RELATIVE_FLOOR * np.abs(np.nan_to_num(held[rows]))),
            raise_level=self._settings.raise_nats + np.where(lone, 0.0, np.log(K)),
            clear_level=self._settings.clear_nats,
            doubt=doubt[rows],
            room=held[rows] - layout.low[rows],
        )

    def _count(self, panel: Panel, gap: Ints, points: Points, layout: Layout) -> Bools:
        rows, settings = layout.counts, self._settings
        counters = Counters(
            layout.pool[rows],
            self._watch.learning,
            settings.raise_nats + float(np.log(K)),
            settings.clear_nats,
        )
        rates = Points(panel.end, panel.x[rows], panel.ts[rows], points.rhythm[rows], points.regime[rows])
        return self._counts.step(counters, rates, gap[rows])

    def _group_rhythm(self, layout: Layout) -> Floats:
        """Return the rhythm of each group: that of its slowest member."""
        rhythm = np.zeros(len(layout.groups))
        rows = np.flatnonzero(~layout.lone)
        np.maximum.at(rhythm, layout.group[rows], self._held.rhythm[rows])
        return rhythm

    def _chart(self, panel: Panel, common: Floats, seen: Watched, layout: Layout) -> Chart:
        expected = np.maximum(common + _whole(seen.offset, layout.charted, len(common)), layout.low)
        sigma = _whole(seen.sigma, layout.charted, len(common))
        return Chart(panel.x, expected, sigma, self._settings.chart_sigmas)

    def _signals(self, chart: Chart, effect: Floats, table: SeriesTable, layout: Layout) -> list[Signal]:
        def name(row: int) -> Name:
            key = table.keys[row]
            metric = layout.metric_of[table.metric[row]]
            detector = "past" if layout.lone[row] else "peers"
            return Name(Key(key.entity, key.metric, detector), metric.family, REASONS[detector].__getitem__)

        def counter(row: int) -> Name:
            key = table.keys[row]
            metric = layout.metric_of[table.metric[row]]
            return Name(Key(key.entity, key.metric, "counts"), metric.family, REASONS["counts"].__getitem__)

        budget, rhythm = self._settings.page_budget_per_30d, self._held.rhythm
        effect = effect.copy()
        effect[layout.counts] = np.inf
        pages = Pages(budget, self._members, rhythm, layout.may_page, effect)
        signals = watched_signals(self._watch.latch, layout.charted, chart, pages, name, self._standing)
        signals += watched_signals(self._counts.latch, layout.counts, chart, pages, counter, self._standing)
        positions = np.flatnonzero(self._facts.on)
        level = pages.level(self._facts.rows[positions])
        floor = self._settings.raise_nats
        return signals + [
            self._facts.signal(p, table, floor, float(a))
            for p, a in zip(positions.tolist(), level, strict=True)
        ]

    def to_state(self) -> dict[str, Any]:
        """Return all state as arrays, numbers and lists."""
        return {part: getattr(self, f"_{part}").to_state() for part in _PARTS} | {
            "judged_at": self._judged_at.copy()
        }

    def restore(self, state: Mapping[str, Any], table: SeriesTable, graph: Graph) -> None:
        """Take back what `to_state` gave, with the table and the graph of that time."""
        self.reindex(table, graph, np.empty(0, np.int64))
        for part in _PARTS:
            getattr(self, f"_{part}").restore(state[part])
        self._judged_at = np.array(state["judged_at"], np.int64)


_PARTS = ("held", "drivers", "peers", "facts", "counts", "watch", "medians", "standing")
REASONS: dict[str, tuple[str, str]] = {  # of each detector, downwards and upwards
    "peers": (SignalReason.BELOW_PEERS, SignalReason.ABOVE_PEERS),
    "past": (SignalReason.BELOW_PAST, SignalReason.ABOVE_PAST),
    "counts": (SignalReason.COUNT_UP, SignalReason.COUNT_UP),
}


def _carry(old: Ints | None, new: Ints, moved: Ints) -> Ints:
    """Return where each of some old rows stands among the new ones of that sort, -1 for gone."""
    if old is None:
        return np.empty(0, np.int64)
    place = np.full(int(max(new.max(initial=-1), moved.max(initial=-1))) + 1, -1, np.int64)
    place[new] = np.arange(len(new))
    return through(place, moved[old])


def _some(points: Points, rows: Ints) -> Points:
    return Points(points.end, points.r[rows], points.ts[rows], points.rhythm[rows], points.regime[rows])


def _whole(values: Floats, rows: Ints, size: int) -> Floats:
    """Return values of some rows as a column over all, NaN elsewhere."""
    whole = np.full(size, np.nan)
    whole[rows] = values
    return whole


def _changed_company(old: Layout, new: Layout, moved: Ints) -> Bools:
    """Return the series that are compared with others now, or got a driver: their level is another thing."""
    places = np.append(moved_to(old.groups, new.groups), -1)
    was_driven, is_driven = np.zeros(len(old.pool), bool), np.zeros(len(new.pool), bool)
    was_driven[old.driven], is_driven[new.driven] = True, True
    changed = np.zeros(len(new.pool), bool)
    kept, here = np.flatnonzero(moved >= 0), moved[moved >= 0]
    changed[here] = (places[old.group[kept]] != new.group[here]) | (was_driven[kept] != is_driven[here])
    return changed


def _members(layout: Layout) -> Ints:
    """How many series the level of each series has: those of the same kind of entity."""
    kinds = np.array([name[2] for name in layout.pools], object)
    _, number = np.unique(kinds, return_inverse=True) if len(kinds) else (kinds, np.empty(0, np.int64))
    members: Ints = np.bincount(number[layout.pool])[number[layout.pool]] if len(layout.pool) else layout.pool
    return members
