"""All incidents that are open or were of late: opened, refined, paged, merged and resolved here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from monitor.correlate import cases as life
from monitor.correlate.cases import Case, Closed
from monitor.correlate.decide import PageRules, believed, decide, page_evidence, until
from monitor.correlate.hypotheses import Stood
from monitor.correlate.matching import keeps_cause, match
from monitor.correlate.observe import CorrelateResult, Decision, PageReason
from monitor.topology import container_of
from monitor.types import kind_of
from monitor.units import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.correlate.cells import CellKey
    from monitor.correlate.changes import ChangeLog
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.explain import Explanation, Reading
    from monitor.correlate.words import Words
    from monitor.topology import Graph
    from monitor.types import Command, Incident

_PAGES = frozenset({PageReason.PAGED, PageReason.PAGED_CRITICAL, PageReason.PAGED_OWNER})
_SOON = frozenset({PageReason.WAITING, PageReason.SETTLING})
_WAITS = _SOON | {PageReason.MAINTENANCE, PageReason.MUTED}
_LONGEST_QUIET_MS = HOUR


BESIDE_MS = 30 * MINUTE
"""So long after a call for a node or a part of it nobody is called for another part: somebody is there.

Four times as long while what it called for still stands, since repairs take nodes down.
"""


class CaseBook:
    """Open incidents, oldest first, and those resolved within `gap_ms`.

    An incident is resolved when nothing of it stood for `quiet_ms`, twice as long in each further episode (at
    most an hour), so that what flaps is one incident.
    """

    def __init__(self, rules: PageRules, quiet_ms: int, gap_ms: int) -> None:
        self._rules, self._quiet_ms, self._gap_ms = rules, quiet_ms, gap_ms
        self._open: list[Case] = []
        self._closed: dict[str, Closed] = {}
        self._mutes: dict[str, int] = {}
        self._doubted = False
        self._aside: set[tuple[str, str]] = set()

    @property
    def idle(self) -> bool:
        """Whether no incident is open."""
        return not self._open

    def settled(self, now: int) -> bool:
        """Whether nothing is due: no silence is doubted, no page held back, no incident old enough to end."""
        return not self._doubted and not any(
            (case.quiet_at is not None and now - case.quiet_at >= self._needed(case))
            or (case.decisions and case.decisions[-1].reason in _SOON)
            for case in self._open
        )

    def _needed(self, case: Case) -> int:
        """Return how long nothing of an incident must stand until it is over, ms."""
        longer: int = self._quiet_ms * 2 ** (case.episode - 1)
        return min(longer, max(_LONGEST_QUIET_MS, self._quiet_ms))

    def standing(self) -> dict[tuple[str, str], Stood]:
        """Return the times of the cause of each open incident, by entity and fault name."""
        return {
            (c.entity, c.fault): Stood(c.opened_at, c.detected_at, c.waned_at, c.strong_peak > 0)
            for c in reversed(self._open)
        }

    def update(
        self, reading: Reading, evidence: Evidence, words: Words, changes: ChangeLog
    ) -> CorrelateResult:
        """Match the explanations of a tick with the incidents and return what changed."""
        tick = _Tick(evidence, words, changes)
        self.forget(tick.now)
        self._doubted = False
        explanations = reading.explanations
        matches = match(self._open, explanations, tick.now)
        continued = {k: number for number, k in matches.continued.items()}
        tick.within = {self._open[n].id: explanations[k].within for n, k in matches.continued.items()}
        before, gone = list(self._open), set(matches.merged)
        fed: set[str] = set()
        for case in before:
            case.hold((), tick.standing, tick.now)
        for k, explanation in enumerate(explanations):
            if k in continued:
                self._continue(before[continued[k]], explanation, tick)
            elif waning := _waning(explanation, before):
                fed.update(case.id for case in waning)
            else:
                self._consider(explanation, tick)
        self._aside = tick.aside
        for number in sorted(gone):
            self._merge(before[number], before[matches.merged[number]], tick)
        for number, case in enumerate(before):
            if number not in matches.continued and number not in gone and case.id not in fed:
                self._rest(case, tick)
        self._open = [c for c in self._open if c.merged_into is None and c.id not in tick.finished]
        return CorrelateResult(tuple(tick.lines), tuple(tick.decisions), self._wake(tick.now))

    def _consider(self, explanation: Explanation, tick: _Tick) -> None:
        """Open an incident, or say why what was found is none."""
        unsure = explanation.confidence < self._rules.confidence and not page_evidence(explanation)
        if not believed(explanation, tick.now):
            self._doubted = True
        elif explanation.fault.pages == "none":
            self._set_aside(explanation, PageReason.EXPLAINED, explanation.fault.name, tick)
        elif unsure:
            detail = f"{explanation.fault.name}: confidence {explanation.confidence:.2f}"
            self._set_aside(explanation, PageReason.UNSURE, detail, tick)
        else:
            self._begin(explanation, tick)

    def _set_aside(self, explanation: Explanation, reason: PageReason, detail: str, tick: _Tick) -> None:
        """Write down once why an explanation is no incident."""
        tick.aside.add((explanation.entity, reason.value))
        if (explanation.entity, reason.value) not in self._aside:
            tick.decisions.append(Decision(tick.now, "", explanation.entity, reason, detail))

    def _begin(self, explanation: Explanation, tick: _Tick) -> None:
        case = life.open_case(explanation, tick.now, self._before(explanation))
        life.absorb(case, explanation)
        case.hold(explanation.cells, tick.standing, tick.now)
        life.describe(case, explanation, tick.graph, tick.words, tick.now)
        life.grade(case, explanation, paging=bool(page_evidence(explanation)))
        self._open.append(case)
        tick.lines.append(life.record(case, tick.now, "opened"))
        self._page(case, explanation, tick)

    def _continue(self, case: Case, explanation: Explanation, tick: _Tick) -> None:
        grown = len(set(case.affected).union(explanation.affected)) >= 2 * max(case.shown, 1)
        moved = (case.entity, case.fault) != (explanation.entity, explanation.fault.name)
        if moved and keeps_cause(case, explanation, tick.now):
            case.cells, case.quiet_at = explanation.cells, None
            return
        case.hold(explanation.cells, tick.standing, tick.now)
        severity = case.severity
        life.absorb(case, explanation)
        life.grade(case, explanation, paging=bool(page_evidence(explanation)))
        if case.closed_by:
            return
        if moved or grown or case.severity != severity:
            life.describe(case, explanation, tick.graph, tick.words, tick.now)
            word = "cause changed" if moved else "grown" if grown else "severity changed"
            tick.lines.append(life.record(case, tick.now, word))
        self._page(case, explanation, tick)

    def _page(self, case: Case, explanation: Explanation, tick: _Tick) -> None:
        """Decide whether to call a person, and write down why."""
        if not page_evidence(explanation):
            case.ready_at = None
        elif case.ready_at is None:
            case.ready_at = tick.now
        held = self._held(case, tick) or self._told(case, explanation, tick)
        reason, detail = decide(case, explanation, tick.now, self._rules, held)
        decision = life.note(case, tick.now, reason, detail)
        if decision is not None:
            tick.decisions.append(decision)
        if reason in _PAGES:
            life.describe(case, explanation, tick.graph, tick.words, tick.now)
            life.count_page(case, tick.now)
            tick.lines.append(life.record(case, tick.now, "paged"))

    def _held(self, case: Case, tick: _Tick) -> tuple[PageReason, str] | None:
        """Return why a page about this cause is held: announced maintenance, or a person's silence."""
        graph = tick.graph
        places = _places(graph, graph.index[case.entity])
        change = tick.changes.maintained(places, tick.now)
        if change is not None:
            return PageReason.MAINTENANCE, f"{change.entity} {until(change.until or 0)}"
        muted = next((name for name in places if self._mutes.get(name, 0) > tick.now), None)
        return None if muted is None else (PageReason.MUTED, f"{muted} {until(self._mutes[muted])}")

    def _told(self, case: Case, explanation: Explanation, tick: _Tick) -> tuple[PageReason, str] | None:
        """Return which open incident has called for this: for all that would page, or for its node.

        It called for what it shows, and for what its cause does to what hangs on it.
        """
        paged = [other for other in self._open if other.called and other is not case]
        rest, node = set(explanation.strong), _node_of(explanation.entity)
        for other in paged:
            known = rest.intersection(tick.within.get(other.id, frozenset()).union(other.held))
            rest -= known
            beside = node is not None and node == _node_of(other.entity)
            lately = BESIDE_MS if other.spent else 4 * BESIDE_MS
            if (beside and tick.now - (other.paged_at or tick.now) <= lately) or (known and not rest):
                return PageReason.TOLD, other.id
        return None

    def _merge(self, case: Case, winner: Case, tick: _Tick) -> None:
        case.state, case.merged_into = "merged", winner.id
        life.take_over_calls(winner, case)
        for name in sorted(case.seen):
            known = set(winner.seen.get(name, ()))
            winner.seen = {**winner.seen, name: tuple(sorted(known.union(case.seen[name])))}
        if not case.closed_by:
            tick.lines.append(life.record(case, tick.now, "merged"))

    def _rest(self, case: Case, tick: _Tick) -> None:
        """Let an incident that nothing explains any more grow old.

        Half of what it showed, while it still stands, and silence of its entities stop the time.
        """
        case.ready_at = None
        stands = bool(case.held) and 2 * len(case.held) >= case.peak
        if case.quiet_at is None or stands or tick.silent(case):
            case.quiet_at = tick.now
        if case.closed_by or tick.now - case.quiet_at >= self._needed(case):
            self._close(case, tick)

    def _close(self, case: Case, tick: _Tick) -> None:
        tick.finished.add(case.id)
        if not case.closed_by:
            case.state, case.resolved_at = "resolved", tick.now
            tick.lines.append(life.record(case, tick.now, "resolved"))
        resolved = tick.now if case.resolved_at is None else case.resolved_at
        self._closed[case.id] = Closed(case.id, case.episode, *case.cause, resolved, case.decisions)

    def _before(self, explanation: Explanation) -> Closed | None:
        """Return the resolved incident of which an explanation is the next episode."""
        cause = (explanation.entity, explanation.reason)
        same = [c for c in self._closed.values() if (c.entity, c.reason) == cause]
        return max(same, key=lambda c: (c.resolved_at, c.id), default=None)

    def _wake(self, now: int) -> int | None:
        """Return when something is due though no frame comes."""
        due = [c.quiet_at + self._needed(c) for c in self._open if c.quiet_at is not None]
        if self._doubted or any(c.decisions and c.decisions[-1].reason in _WAITS for c in self._open):
            due.append(now + self._rules.tick_ms)
        return min((max(ts, now + self._rules.tick_ms) for ts in due), default=None)

    def forget(self, now: int) -> None:
        """Drop resolved incidents that can have no further episode, and silences that are over."""
        self._closed = {k: c for k, c in self._closed.items() if now - c.resolved_at <= self._gap_ms}
        self._mutes = {name: until for name, until in self._mutes.items() if until > now}

    def why(self, target: str) -> tuple[Decision, ...]:
        """Return the decisions about an incident (by id) or an entity, in order."""
        found = [
            d for c in self._open if target in (c.id, c.entity) or target in c.affected for d in c.decisions
        ]
        found += [d for c in self._closed.values() if target in (c.id, c.entity) for d in c.decisions]
        return tuple(sorted(set(found)))

    def obey(self, commands: Iterable[Command], now: int) -> CorrelateResult:
        """Do what people said, and return what it changed.

        What names no open incident does nothing, but a mark may name one that was resolved of late.
        """
        lines: list[Incident] = []
        marks: list[Decision] = []
        for command in sorted(commands):
            if command.action == "silence":
                wanted = dict(command.arguments).get("until", "")
                self._mutes[command.target] = int(wanted) if wanted.isdecimal() and len(wanted) < 16 else now
                continue
            if command.action == "mark":
                marks += self._mark(command, now)
                continue
            case = next((c for c in self._open if c.id == command.target and not c.closed_by), None)
            word = _do(case, command, now) if case is not None else ""
            if case is not None and word:
                lines.append(life.record(case, now, word))
        return CorrelateResult(tuple(lines), tuple(marks))

    def _mark(self, command: Command, now: int) -> list[Decision]:
        """Write down what a person called an incident."""
        case = next((c for c in self._open if c.id == command.target), None)
        known = case or self._closed.get(command.target)
        if known is None:
            return []
        said = f"{dict(command.arguments).get('as', '')}, says {command.user}"
        return [Decision(now, command.target, known.entity, PageReason.MARKED, said)]

    def to_state(self) -> dict[str, Any]:
        """Return the incidents as primitives."""
        return {
            "open": msgspec.to_builtins(self._open),
            "closed": msgspec.to_builtins(list(self._closed.values())),
            "mutes": dict(self._mutes),
            "doubted": self._doubted,
            "aside": sorted(self._aside),
        }

    def from_state(self, state: dict[str, Any]) -> None:
        """Go on from `to_state`."""
        self._open = msgspec.convert(state["open"], list[Case])
        self._closed = {c.id: c for c in msgspec.convert(state["closed"], list[Closed])}
        self._mutes = dict(state["mutes"])
        self._doubted = bool(state["doubted"])
        self._aside = {(entity, reason) for entity, reason in state["aside"]}


class _Tick:
    """What one update reads and writes."""

    def __init__(self, evidence: Evidence, words: Words, changes: ChangeLog) -> None:
        self._evidence = evidence
        self.now = evidence.observation.end
        self.graph: Graph = evidence.relations.graph
        strong = evidence.cells.strong.tolist()
        self.standing = dict(zip(evidence.cells.keys, strong, strict=True))
        self.words, self.changes = words, changes
        self.lines: list[Incident] = []
        self.decisions: list[Decision] = []
        self.finished: set[str] = set()
        self.aside: set[tuple[str, str]] = set()
        self.within: dict[str, frozenset[CellKey]] = {}

    def silent(self, case: Case) -> bool:
        """Whether one of the entities that showed an incident is silent now."""
        index, hidden = self.graph.index, self._evidence.hidden
        return any(cell.entity in index and hidden[index[cell.entity]] for cell in case.cells)


def _waning(explanation: Explanation, cases: Iterable[Case]) -> list[Case]:
    """Return the waning incidents of which an explanation explains nothing but the rest."""
    return [case for case in cases if case.waning and set(explanation.cells).issubset(case.held)]


def _node_of(entity: str) -> str | None:
    """Return the node that an entity is or is part of by its name."""
    kind = kind_of(entity)
    if kind == "node":
        return entity
    return container_of(entity) if kind == "gpu" else None


def _places(graph: Graph, cause: int) -> list[str]:
    """Return where maintenance or silence excuses a cause: itself, what contains it, the node of a port."""
    places = [cause, *graph.ancestors(cause).tolist()]
    if graph.kinds[cause] == "port":
        places += [i for i in graph.dependents(cause).tolist() if graph.kinds[i] == "node"]
    return [graph.ids[i] for i in places]


def _do(case: Case, command: Command, now: int) -> str:
    """Do what a person said about an incident; return the transition, "" for none."""
    if command.action == "ack" and case.state != "acknowledged":
        case.state = "acknowledged"
        return "acknowledged"
    if command.action == "resolve":
        case.state, case.resolved_at, case.closed_by = "resolved", now, command.user
        return "resolved"
    return ""
