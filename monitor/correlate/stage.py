"""The step of correlation, in order, and its state."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from monitor.correlate.book import CaseBook
from monitor.correlate.cells import CellKey, gather
from monitor.correlate.changes import ChangeLog
from monitor.correlate.decide import PageRules
from monitor.correlate.evidence import weigh
from monitor.correlate.explain import Reading, explain
from monitor.correlate.footprints import Footprints
from monitor.correlate.hypotheses import Prior, propose
from monitor.correlate.nulls import NullShares
from monitor.correlate.observe import CorrelateResult, Decision, Observation, PageReason
from monitor.correlate.onsets import Onsets
from monitor.correlate.relations import Relations
from monitor.correlate.words import Words
from monitor.units import MINUTE

if TYPE_CHECKING:
    from monitor.config.settings import Settings
    from monitor.correlate.cells import Cells
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultBook
    from monitor.topology import Graph
    from monitor.types import Bools, Ints

LOOSE_KEPT = 1_000

REREAD_MS = MINUTE
"""While nothing at page level changes, cells are read anew this often: weak ones come and go all the time."""


class Loose(msgspec.Struct, frozen=True):
    """A signal that stands and that no cause explains."""

    cell: CellKey
    since: int
    score: float


class Read(msgspec.Struct, frozen=True):
    """When cells were last read, which ones stood at page level, and which of all no cause explained."""

    end: int = 0
    signature: str = ""
    loose: tuple[CellKey, ...] = ()

    def covers(self, now: Read) -> bool:
        """Tell whether what was read then holds now."""
        return self.signature == now.signature and now.end - self.end < REREAD_MS

    def loose_of(self, cells: Cells) -> Ints:
        """Return which of the cells had no cause."""
        loose = set(self.loose)
        return np.array([number for number, key in enumerate(cells.keys) if key in loose], np.int64)


class CorrelateStage:
    """Signals in, transitions of incidents out; one for each site.

    Ticks must come in order. Memory is bounded by the fleet, by 14 days of changes and by the incidents of
    a day.
    """

    def __init__(self, faults: FaultBook, settings: Settings) -> None:
        self._faults = faults
        self._lookback_ms = settings.change_lookback_ms
        rules = PageRules(settings.tick_ms, settings.page_wait_ticks, settings.page_confidence)
        self._cases = CaseBook(rules, settings.resolve_after_ms, settings.episode_gap_ms)
        self._changes = ChangeLog()
        self._nulls, self._onsets = NullShares(faults.families), Onsets()
        self._loose: tuple[Loose, ...] = ()
        self._read = Read()
        self._relations: Relations | None = None
        self._whole: tuple[Graph, set[str], Graph] | None = None

    def step(self, observation: Observation, graph: Graph) -> CorrelateResult:
        """Take what stands at the end of a tick and return what changed about the incidents."""
        observation, graph = self._complete(observation, graph)
        self._changes.add(observation.changes)
        self._changes.forget(observation.end)
        told = self._cases.obey(observation.commands, observation.end)
        cells = self._onsets.date(gather(observation.signals, self._faults, graph.index), observation.end)
        if not len(cells) and self._cases.idle:
            self._nulls.count(observation, cells, np.empty(0, np.int64))
            self._loose = ()
            self._cases.forget(observation.end)
            return told
        read = Read(observation.end, _signature(cells), self._read.loose)
        quiet = not (observation.changes or told.incidents)
        if quiet and self._read.covers(read) and self._cases.settled(read.end):
            self._nulls.count(observation, cells, read.loose_of(cells))
            return told
        rates = self._nulls.rates()
        evidence = weigh(cells, self._over(graph), self._faults, observation, rates)
        footprints = Footprints(evidence)
        prior = Prior(rates, self._changes, self._cases.standing())
        found = propose(evidence, footprints, self._faults, prior)
        reading = explain(evidence, self._faults, found)
        self._nulls.count(observation, cells, reading.loose)
        self._loose = _loose(evidence, reading)
        self._read = msgspec.structs.replace(
            read, loose=tuple([cells.keys[c] for c in reading.loose.tolist()])
        )
        words = Words(footprints, found, self._faults, self._changes, self._lookback_ms)
        result = self._cases.update(reading, evidence, words, self._changes)
        return CorrelateResult(
            (*told.incidents, *result.incidents), (*told.decisions, *result.decisions), result.wake_at
        )

    def why(self, target: str) -> tuple[Decision, ...]:
        """Return why an incident or those of an entity paged or did not; and signals without a cause."""
        loose = [
            Decision(
                item.since, "", target, PageReason.NO_CAUSE,
                f"{item.cell.family} {item.cell.direction}, {item.score:.1f} nats",
            )
            for item in self._loose
            if item.cell.entity == target
        ]  # fmt: skip
        return (*self._cases.why(target), *loose)

    def to_state(self) -> dict[str, Any]:
        """Return everything that the next step needs, as primitives."""
        return {
            "cases": self._cases.to_state(),
            "changes": self._changes.to_state(),
            "nulls": self._nulls.to_state(),
            "onsets": self._onsets.to_state(),
            "loose": msgspec.to_builtins(self._loose),
            "read": msgspec.to_builtins(self._read),
        }

    def from_state(self, state: dict[str, Any]) -> None:
        """Go on from `to_state` of a stage with the same faults and settings."""
        self._cases.from_state(state["cases"])
        self._changes = ChangeLog.from_state(state["changes"])
        self._nulls.from_state(state["nulls"])
        self._onsets.from_state(state["onsets"])
        self._loose = msgspec.convert(state["loose"], tuple[Loose, ...])
        self._read = msgspec.convert(state["read"], Read)

    def _complete(self, observation: Observation, graph: Graph) -> tuple[Observation, Graph]:
        """Add the entities that signals name and the graph does not have."""
        missing = {s.entity for s in observation.signals if s.entity not in graph.index}
        if not missing:
            return observation, graph
        if self._whole is None or self._whole[:2] != (graph, missing):
            self._whole = graph, missing, graph.with_entities(missing)
        return _widened(observation, graph, self._whole[2]), self._whole[2]

    def _over(self, graph: Graph) -> Relations:
        """Return the relations of a graph, those of the last one if it is the same."""
        if self._relations is None or self._relations.graph is not graph:
            self._relations = Relations(graph)
        return self._relations


def _signature(cells: Cells) -> str:
    """Return what identifies the cells at page level, and since when they stand."""
    strong = np.flatnonzero(cells.strong)
    times = cells.hard[strong].tobytes() + cells.since[strong].tobytes()
    keys = [cells.keys[c] for c in strong.tolist()]
    return blake2b(repr(keys).encode() + times, digest_size=16).hexdigest()


def _loose(evidence: Evidence, reading: Reading) -> tuple[Loose, ...]:
    cells = evidence.cells
    strongest = reading.loose[np.argsort(-cells.score[reading.loose], kind="stable")][:LOOSE_KEPT]
    return tuple(
        [Loose(cells.keys[c], int(cells.since[c]), float(cells.score[c])) for c in strongest.tolist()]
    )


def _widened(observation: Observation, graph: Graph, whole: Graph) -> Observation:
    """Return an observation over a graph that holds more entities, which are unknown everywhere."""
    place = np.array([whole.index[name] for name in graph.ids], np.int64)

    def moved(states: Bools) -> Bools:
        wide = np.zeros(len(whole), bool)
        wide[place] = states
        return wide

    return Observation(
        observation.end,
        observation.signals,
        {family: moved(states) for family, states in observation.judged.items()},
        moved(observation.reporting),
        observation.changes,
        observation.commands,
    )
