"""The site: takes a tick when all partitions have closed it, and owns all that compares and decides.

merge -> detect -> aggregate -> presence -> correlate
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from monitor.aggregate.stage import AggregateStage
from monitor.catalog import FAMILIES, SILENCE
from monitor.cells import Cells
from monitor.correlate import CorrelateStage, Observation
from monitor.detect.charted import Charted
from monitor.detect.stage import DetectStage
from monitor.detect.table import SeriesTable
from monitor.doctor import SiteStanding
from monitor.ingest.absence import Absence
from monitor.ingest.standing import Standing
from monitor.kernels.rounds import rounds
from monitor.topology import container_of
from monitor.types import Anomaly, Panel, SeriesKey
from monitor.units import tick_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitor.catalog import Catalog
    from monitor.cells import SeriesNames
    from monitor.config.settings import Settings
    from monitor.correlate import CorrelateResult, FaultBook
    from monitor.correlate.observe import Decision
    from monitor.topology import Graph, Topology
    from monitor.types import Bools, Change, Incident, Ints, Signal, TickPart


@dataclass(frozen=True, slots=True)
class Setup:
    """What a pipeline is built from. The number of partitions changes no result.

    `rollups`: somebody stores samples, so they are handed on with every tick. It changes no incident.
    """

    catalog: Catalog
    settings: Settings
    faults: FaultBook
    topology: Topology
    partitions: int = 1
    rollups: bool = False


@dataclass(frozen=True, slots=True)
class SiteOutput:
    """What a closed tick gave; `cells` only where rollups were asked for."""

    end: int
    samples: int
    anomalies: tuple[Anomaly, ...]
    incidents: tuple[Incident, ...]
    decisions: tuple[Decision, ...]
    changes: tuple[Change, ...] = ()
    cells: Cells | None = None


class Merge:
    """The cells of all partitions over one table, in canonical order."""

    def __init__(self, partitions: int) -> None:
        self._rows: list[Ints] = [np.empty(0, np.int64)] * partitions

    def begin_anew(self) -> None:
        """Have the partitions announce all their series anew."""
        self._rows = [np.empty(0, np.int64)] * len(self._rows)

    def meet(self, table: SeriesTable, parts: Sequence[TickPart]) -> Ints | None:
        """Take new series into the table; return where its rows moved to, or None where none is new."""
        moved = table.merge(key for part in parts for key in part.new_series)
        if moved is not None:
            self._rows = [moved[rows] for rows in self._rows]
        for part in parts:
            if part.new_series:
                new = np.array([table.position(key) for key in part.new_series], np.int64)
                self._rows[part.partition] = np.concatenate([self._rows[part.partition], new])
        return moved

    def cells(self, end: int, parts: Sequence[TickPart], names: SeriesNames) -> Cells:
        """Return the samples of a tick by their rows in the table."""
        row = np.concatenate([self._rows[part.partition][part.series] for part in parts])
        ts = np.concatenate([part.ts for part in parts])
        value = np.concatenate([part.value for part in parts])
        return Cells(end, names, row, ts, value, np.zeros(len(row), np.bool_))


def panels(cells: Cells, size: int) -> Iterator[tuple[Panel, Ints]]:
    """Yield the tick as dense panels, one for each round, at least one, with the samples that are in it."""
    for points in rounds(cells.row):
        x, when = np.full(size, np.nan), np.full(size, -1, np.int64)
        x[cells.row[points]], when[cells.row[points]] = cells.value[points], cells.ts[points]
        yield Panel(cells.end, x, when), points


class Places:
    """Where the series of a table lie in a graph: what correlation asks of what was judged."""

    def __init__(
        self, table: SeriesTable, graph: Graph, catalog: Catalog, before: Places | None = None
    ) -> None:
        self._size = len(graph.ids)
        self._families = (*FAMILIES, SILENCE)
        number = {family: i for i, family in enumerate(self._families)}
        metrics = [catalog.get(kind, metric) for kind, metric in table.metrics]
        family = np.array([number[m.family if m else "other"] for m in metrics], np.int64)
        entity = graph.places(table.entities)
        self._slot = family[table.metric] * self._size + entity[table.entity]
        self.of = (graph, table.entities)
        if before is not None and before.of[0] is graph and before.of[1] is table.entities:
            self.reporting: Bools = before.reporting
            return
        boxes = {box for name in table.entities if (box := container_of(name))}
        sources = np.array([graph.index[box] for box in sorted(boxes)], np.int64)
        self.reporting = np.zeros(self._size, np.bool_)
        self.reporting[entity] = True
        self.reporting[sources] = True

    def judged(self, series: Bools) -> dict[str, Bools]:
        """Return for each family which entities are judged, given which series are."""
        slots = np.zeros(len(self._families) * self._size, np.bool_)
        slots[self._slot[series]] = True
        by_family = dict(zip(self._families, slots.reshape(len(self._families), -1), strict=True))
        return {**by_family, SILENCE: self.reporting}


class Site:
    """The state of one site. `close` takes ticks in order."""

    def __init__(self, setup: Setup) -> None:
        settings = setup.settings
        self._catalog, self._topology, self._tick_ms = setup.catalog, setup.topology, settings.tick_ms
        self._table, self._merge = SeriesTable(), Merge(setup.partitions)
        self._detect = DetectStage(setup.catalog, settings)
        self._aggregate = AggregateStage(setup.catalog, settings)
        self._charted = Charted(settings.chart_sigmas, settings.chart_run) if setup.rollups else None
        self._absence, self._standing = Absence(settings.tick_ms), Standing()
        self._correlate = CorrelateStage(setup.faults, settings)
        self._strangers: set[str] = set()
        self._wake: int | None = None
        self._closed = 0
        self._base = self._lately = self._graph = self._wide = self._topology.at(0)
        self._places = Places(self._table, self._wide, self._catalog)
        self._place(0)
        self._move(None)

    def next_due(self) -> int | None:
        """Return the end of the next tick in which the site has something to do by itself."""
        dues = [due for due in (self._absence.next_due(), self._wake) if due is not None]
        return min(dues, default=None)

    def close(self, end: int, parts: Sequence[TickPart], *, judge: bool) -> SiteOutput:
        """Take one closed tick of all partitions."""
        self._closed = end
        self._reindex(end, self._merge.meet(self._table, parts))
        measured = self._measure(end, parts)
        present = self._presence(end, parts, judge=judge)
        changes = tuple(sorted(change for part in parts for change in part.changes))
        result = self._explain(end, parts, changes, measured)
        self._wake = None if result.wake_at is None else tick_end(result.wake_at, self._tick_ms)
        return SiteOutput(
            end,
            sum(len(part.value) for part in parts),
            tuple(_anomalies(end, measured.raised + present[0], measured.cleared + present[1])),
            result.incidents,
            result.decisions,
            changes,
            None if self._charted is None else measured.cells,
        )

    def forget(self, end: int, keep_ms: int) -> None:
        """Let go of the series that were not heard for long, and of those who were only named.

        The partitions announce their series anew.
        """
        self._merge.begin_anew()
        gone = self._detect.unheard(end, keep_ms)
        if gone.any() or self._strangers:
            moved = self._table.drop(gone)
            self._strangers.clear()
            self._graph, self._wide = self._base, self._lately
            self._place(end)
            self._move(moved)

    def _reindex(self, end: int, moved: Ints | None) -> None:
        """Tell the stages of new series and of a topology that changed."""
        base = self._topology.at(end)
        if moved is None and base is self._base:
            if self._topology.recent(end) is not self._lately:
                self._place(end)
            return
        self._place(end)
        self._move(moved)

    def _move(self, moved: Ints | None) -> None:
        """Tell the stages where the old series stand now (-1: gone; None: where they were)."""
        self._detect.reindex(self._table, self._graph, moved)
        self._aggregate.reindex(self._table, self._graph, moved)
        if self._charted is not None and moved is not None:
            self._charted.resize(moved, len(self._table))

    def _place(self, end: int) -> None:
        """Cut the graphs of a tick: of now for what is measured, of the last hour for what is explained."""
        named = [*self._table.entities, *sorted(self._strangers)]
        base, lately = self._topology.at(end), self._topology.recent(end)
        graph = (self._graph if base is self._base else base).with_entities(named)
        wide = (self._wide if lately is self._lately else lately).with_entities(named)
        self._wide = graph if lately is base else wide
        self._base, self._lately, self._graph = base, lately, graph
        self._places = Places(self._table, self._wide, self._catalog, self._places)

    def _measure(self, end: int, parts: Sequence[TickPart]) -> _Measured:
        """Run the rounds of a tick through detection and aggregation."""
        raised: list[Signal] = []
        cleared: list[Signal] = []
        table = self._table
        cells = self._merge.cells(end, parts, table.names)
        for panel, points in panels(cells, len(table)):
            detected = self._detect.step(panel, table)
            grouped = self._aggregate.step(panel, detected, table)
            if self._charted is not None:
                cells.anomalous[points] = self._charted.step(panel, detected)[cells.row[points]]
            raised += [*detected.raised, *grouped.raised]
            cleared += [*detected.cleared, *grouped.cleared]
        return _Measured(detected.signals + grouped.signals, raised, cleared, detected.judged, cells)

    def _presence(
        self, end: int, parts: Sequence[TickPart], *, judge: bool
    ) -> tuple[list[Signal], list[Signal]]:
        silences, blindness = self._absence.step(end, parts, judge=judge)
        lags = (lag for part in parts for lag in part.lags)
        return self._standing.step(
            end, silences, lags, blindness, lambda name: self._topology.ended(name, end)
        )

    def _explain(
        self, end: int, parts: Sequence[TickPart], changes: tuple[Change, ...], measured: _Measured
    ) -> CorrelateResult:
        signals = measured.signals + self._standing.signals
        commands = sorted(command for part in parts for command in part.commands)
        named = {signal.entity for signal in signals} | {change.entity for change in changes}
        if strangers := {name for name in named if name not in self._wide.index}:
            self._strangers |= strangers
            self._place(end)
        observed = Observation(
            end, signals, self._places.judged(measured.judged), self._reporting(), changes, tuple(commands)
        )
        return self._correlate.step(observed, self._wide)

    def _reporting(self) -> Bools:
        """Return who is heard, or missed: not those whose silence says no more."""
        reporting = self._places.reporting
        over = self._absence.silent - {signal.entity for signal in self._standing.signals}
        if over:
            reporting = reporting.copy()
            reporting[[self._wide.index[name] for name in over if name in self._wide.index]] = False
        return reporting

    def standing(self) -> SiteStanding:
        """Return who is there, by what each series is judged, and whether anybody is heard."""
        ready = self._detect.readiness()
        return SiteStanding(tuple(self._table.keys), ready, self._graph, self._absence.blind_since)

    def to_state(self) -> dict[str, Any]:
        """Return the whole state."""
        return {
            "series": [list(key) for key in self._table.keys],
            "detect": self._detect.to_state(),
            "aggregate": self._aggregate.to_state(),
            "absence": self._absence.to_state(),
            "standing": self._standing.to_state(),
            "correlate": self._correlate.to_state(),
            "charted": None if self._charted is None else self._charted.to_state(),
            "strangers": sorted(self._strangers),
            "wake": self._wake,
            "closed": self._closed,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `to_state` gave; the partitions announce their series anew."""
        self._table = SeriesTable(SeriesKey(*key) for key in state["series"])
        self._strangers, self._wake = set(state["strangers"]), state["wake"]
        self._closed = state["closed"]
        self._place(self._closed)
        self._detect.restore(state["detect"], self._table, self._graph)
        self._aggregate.restore(state["aggregate"], self._table, self._graph)
        self._absence = Absence.from_state(self._tick_ms, state["absence"])
        self._standing = Standing.from_state(state["standing"])
        self._correlate.from_state(state["correlate"])
        if self._charted is not None and state["charted"] is not None:
            self._charted.restore(state["charted"])
        elif self._charted is not None:
            self._charted.restore(np.zeros(len(self._table), np.int8))


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the telemetry of a tick says: the signals that stand, that began, that ended; what was judged."""

    signals: tuple[Signal, ...]
    raised: list[Signal]
    cleared: list[Signal]
    judged: Bools
    cells: Cells


def _anomalies(end: int, raised: Iterable[Signal], cleared: Iterable[Signal]) -> Iterable[Anomaly]:
    """Write signals that began or ended as records, in order."""
    for signal in sorted(raised):
        yield _anomaly(signal, "raised", signal.raised_at)
    for signal in sorted(cleared):
        yield _anomaly(signal, "cleared", end)


def _anomaly(signal: Signal, state: Literal["raised", "cleared"], ts: int) -> Anomaly:
    content = f"{signal.entity}|{signal.metric}|{signal.detector}|{signal.raised_at}"
    return Anomaly(
        id=blake2b(content.encode(), digest_size=8).hexdigest(), state=state, ts=ts,
        entity=signal.entity, metric=signal.metric, detector=signal.detector, reason=signal.reason,
        direction=signal.direction, value=signal.value, expected=signal.expected,
        lower=signal.lower, upper=signal.upper, score=round(signal.score, 3),
    )  # fmt: skip
