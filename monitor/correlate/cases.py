"""One incident over its life: what is remembered of it, and how it is written."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from monitor.correlate.cells import CellKey
from monitor.correlate.decide import severity
from monitor.correlate.faults import runbook_at
from monitor.correlate.observe import Decision, PageReason
from monitor.correlate.words import change_text, scale_of
from monitor.topology import canonical_kind
from monitor.types import (
    Affected,
    Candidate,
    Cause,
    Incident,
    IncidentClass,
    IncidentState,
    Severity,
    SignalCount,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.correlate.explain import Explanation
    from monitor.correlate.faults import FaultKind
    from monitor.correlate.words import Words
    from monitor.topology import Graph

DECISIONS_KEPT = 20
LISTED = 100


class Case(msgspec.Struct):
    """An incident and what it needs to go on.

    Of the contract's record are the fields up to `merged_into`. cells: what stood when last explained.
    held, strong: of what it ever explained, what stands, and how many of that at page level; and the most
    of each. waned_at: since when it wanes. matters: it was a ticket, or more.
    seen: entities by "metric detector", ever. shown: affected entities at the last line. cause_at: when the
    cause was adopted. ready_at: since when page evidence is there. quiet_at: since when nothing of it
    stands. paged_owners, paged_critical: who was called, and for what. closed_by: the person who resolved it
    while it stood. decision: the last reason and its numbers.
    """

    id: str
    episode: int
    opened_at: int
    detected_at: int
    state: IncidentState = "open"
    severity: Severity = "info"
    class_: IncidentClass = "infrastructure"
    entity: str = ""
    fault: str = ""
    reason: str = ""
    confidence: float = 0.0
    explanation: str = ""
    candidates: tuple[Candidate, ...] = ()
    affected: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    owner: str = ""
    runbook: str = ""
    first_query: str = ""
    pages: int = 0
    paged_at: int | None = None
    updated_at: int = 0
    resolved_at: int | None = None
    merged_into: str | None = None
    cells: tuple[CellKey, ...] = ()
    held: tuple[CellKey, ...] = ()
    peak: int = 0
    strong: int = 0
    strong_peak: int = 0
    waned_at: int | None = None
    matters: bool = False
    seen: dict[str, tuple[str, ...]] = {}
    shown: int = 0
    cause_at: int = 0
    ready_at: int | None = None
    quiet_at: int | None = None
    paged_owners: tuple[str, ...] = ()
    paged_critical: bool = False
    closed_by: str = ""
    decisions: tuple[Decision, ...] = ()

    @property
    def called(self) -> bool:
        """Whether somebody was called for it, or for one that was merged into it."""
        return bool(self.paged_owners)

    @property
    def waning(self) -> bool:
        """Whether so much of it is gone that what is left says nothing about the cause any more.

        Of an incident that paged, what it paged for counts by itself: the echoes of a fault outlast it.
        """
        return (self.called and self.spent) or len(self.held) < WANING * self.peak

    @property
    def spent(self) -> bool:
        """Whether most of what stood at page level is gone."""
        return self.strong < SPENT * self.strong_peak

    def hold(self, cells: tuple[CellKey, ...], standing: Mapping[CellKey, bool], now: int) -> None:
        """Take over cells, and let go of those that stand no more; `standing`: which are at page level."""
        self.held = tuple(sorted(standing.keys() & {*self.held, *cells}))
        self.peak = max(self.peak, len(self.held))
        self.strong = sum(standing[cell] for cell in self.held)
        self.strong_peak = max(self.strong_peak, self.strong)
        self.waned_at = (self.waned_at or now) if self.waning else None

    @property
    def cause(self) -> tuple[str, str]:
        """What it is taken for: entity and reason; the same within a day is the next episode."""
        return self.entity, self.reason


WANING = 0.7
"""Share of its peak below which an incident keeps its cause, and nothing of it begins anew."""

SPENT = 0.5
"""Likewise the share of what stood at page level, of an incident that paged."""


class Closed(msgspec.Struct, frozen=True):
    """A resolved incident, remembered for its next episode."""

    id: str
    episode: int
    entity: str
    reason: str
    resolved_at: int
    decisions: tuple[Decision, ...]


def incident_id(opening_tick: int, cells: tuple[CellKey, ...]) -> str:
    """Return the id of an incident: a hash of the tick that opened it and its least cell.

    >>> from monitor.correlate.cells import CellKey
    >>> incident_id(10_000, (CellKey("gpu:n1/0", "heat", "up", False),))
    'b7a37938f05d79e8'
    """
    least = min(cells)
    return blake2b(f"{opening_tick}|{'|'.join(map(str, least))}".encode(), digest_size=8).hexdigest()


def open_case(explanation: Explanation, now: int, before: Closed | None) -> Case:
    """Begin an incident; one that was there within a day is its next episode."""
    opened = min(explanation.onset, now)
    if before is None:
        return Case(incident_id(now, explanation.cells), 1, opened, now)
    return Case(before.id, before.episode + 1, opened, now, decisions=before.decisions)


def absorb(case: Case, explanation: Explanation) -> None:
    """Take over what a tick's explanation says of signals, cells and affected entities."""
    moved = case.entity not in ("", explanation.entity)
    case.cells = explanation.cells
    case.quiet_at = None
    case.opened_at = min(case.opened_at, explanation.onset) if case.called else explanation.onset
    case.confidence = max(explanation.confidence, case.confidence if case.waning else 0.0)
    affected = set() if moved else set(case.affected)
    if not affected.issuperset(explanation.affected):
        case.affected = tuple(sorted(affected.union(explanation.affected)))
    elif moved:
        case.affected = explanation.affected
    seen: dict[str, set[str]] = {}
    for s in explanation.signals:
        seen.setdefault(f"{s.metric} {s.detector}", set()).add(s.entity)
    for name in sorted(seen):
        known = case.seen.get(name, ())
        if not seen[name].issubset(known):
            case.seen = {**case.seen, name: tuple(sorted(seen[name].union(known)))}


def describe(case: Case, explanation: Explanation, graph: Graph, words: Words, now: int) -> None:
    """Write down the cause as an explanation has it, in fields and in words."""
    fault = explanation.fault
    if (case.entity, case.fault) != (explanation.entity, fault.name):
        case.cause_at = now
    changes = words.changes(explanation)
    case.entity, case.fault, case.reason = explanation.entity, fault.name, explanation.reason
    case.class_ = fault.incident_class
    case.owner = graph.owner(graph.index[explanation.entity])
    case.runbook = runbook_at(fault.runbook)
    case.first_query = _first_query(fault, case, now)
    case.changes = tuple([change_text(change) for change in changes])
    case.explanation = words.explanation(explanation, changes)
    case.candidates = words.candidates(explanation)


def _first_query(fault: FaultKind, case: Case, now: int) -> str:
    """Return the SQL to begin with; `name` is the entity without its kind, which its members begin with."""
    entity = case.entity.replace("\\", "\\\\").replace("'", "\\'")
    name = entity.partition(":")[2]
    filled = fault.first_query.format(
        entity=entity, name=name, start=case.opened_at, end=now, reason=case.reason
    )
    return filled.strip()


def grade(case: Case, explanation: Explanation, *, paging: bool) -> None:
    """Set the severity: it falls and rises with the cause, but what was a ticket or a page stays one."""
    case.matters = case.matters or explanation.matters
    case.severity = severity(explanation, paging=paging or case.called, matters=case.matters)


def note(case: Case, now: int, reason: PageReason, detail: str) -> Decision | None:
    """Write down a decision if it is another than the last; return it if so."""
    if case.decisions and case.decisions[-1].reason == reason:
        return None
    decision = Decision(now, case.id, case.entity, reason, detail)
    case.decisions = (*case.decisions, decision)[-DECISIONS_KEPT:]
    return decision


def count_page(case: Case, now: int) -> None:
    """Count a call for a person's attention."""
    case.pages += 1
    case.paged_at = now if case.paged_at is None else case.paged_at
    case.paged_owners = tuple(sorted({*case.paged_owners, case.owner}))
    case.paged_critical = case.paged_critical or case.severity == "critical"


def take_over_calls(case: Case, other: Case) -> None:
    """Remember for whom and for what another incident called that is part of this one now."""
    case.paged_owners = tuple(sorted({*case.paged_owners, *other.paged_owners}))
    case.paged_critical = case.paged_critical or other.paged_critical


def record(case: Case, now: int, transition: str) -> Incident:
    """Return how an incident stands after a transition."""
    case.updated_at = now
    case.shown = len(case.affected)
    listed = sorted(case.affected, key=scale_of)
    counts = dict(Counter(kind_of(entity) for entity in listed))
    signals = [_signal_count(name, entities) for name, entities in sorted(case.seen.items())]
    return Incident(
        id=case.id,
        episode=case.episode,
        state=case.state,
        severity=case.severity,
        class_=case.class_,
        scope=canonical_kind(kind_of(case.entity)),
        opened_at=case.opened_at,
        detected_at=case.detected_at,
        paged_at=case.paged_at,
        updated_at=now,
        resolved_at=case.resolved_at,
        cause=Cause(case.entity, case.reason, round(case.confidence, 6), case.explanation),
        candidates=case.candidates,
        affected=Affected(len(case.affected), counts, tuple(listed[:LISTED])),
        anomalies=sum(signal.count for signal in signals),
        signals=tuple(signals),
        changes=case.changes,
        owner=case.owner,
        runbook=case.runbook,
        first_query=case.first_query,
        pages=case.pages,
        merged_into=case.merged_into,
        cost_impact_usd=None,
        transition=transition,
    )


def _signal_count(name: str, entities: tuple[str, ...]) -> SignalCount:
    metric, _, detector = name.partition(" ")
    return SignalCount(metric, detector, len(entities))
