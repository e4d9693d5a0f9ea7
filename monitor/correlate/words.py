"""What is told about a cause, in plain words: what speaks for it and what against."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.catalog import SILENCE
from monitor.correlate.explain import leading
from monitor.correlate.faults import ANY
from monitor.topology import canonical_kind
from monitor.types import Candidate, Change, kind_of

if TYPE_CHECKING:
    from monitor.correlate.changes import ChangeLog
    from monitor.correlate.explain import Explanation
    from monitor.correlate.faults import FaultBook, FaultKind, Term
    from monitor.correlate.footprints import Footprints
    from monitor.correlate.hypotheses import Hypotheses
    from monitor.types import Bools, Ints, Signal

TOLD = 5
"""Candidates that are listed."""

_PLURALS = {"facility": "facilities", "switch": "switches", "gpu": "GPUs", "cdu": "CDUs", "pdu": "PDUs"}
_SIGN_WORD = {1: " up", -1: " down", 0: ""}
_FAMILIES = {
    "application": "errors of a program", "coolant_heat": "coolant temperature", "fabric": "link errors",
    "hardware": "hardware errors", "interconnect": "NVLink or PCIe", "throughput_net": "network traffic",
}  # fmt: skip
"""Families of signals in the words of a page, where the name alone does not say it."""


class Words:
    """Tells about the evidence of one tick."""

    def __init__(
        self,
        footprints: Footprints,
        found: Hypotheses,
        book: FaultBook,
        changes: ChangeLog,
        lookback_ms: int,
    ) -> None:
        self._footprints, self._found, self._book, self._changes = footprints, found, book, changes
        self._evidence = footprints.evidence
        self._lookback_ms = lookback_ms
        self._told: dict[tuple[int, str], tuple[str, ...]] = {}

    def candidates(self, explanation: Explanation) -> tuple[Candidate, ...]:
        """Return the causes considered, the likeliest first, each with its evidence."""
        told = []
        for entity, fault, share in explanation.candidates[:TOLD]:
            kind = explanation.fault if entity == explanation.entity else self._book.faults[fault]
            lines = self.evidence_for(self._evidence.relations.graph.index[entity], kind)
            told.append(Candidate(entity, round(share, 6), lines))
        return tuple(told)

    def explanation(self, explanation: Explanation, changes: tuple[Change, ...]) -> str:
        """Return the cause in a sentence or two."""
        text = explanation.fault.summary.format(
            entity=explanation.entity, reason=explanation.reason.replace("_", " ")
        )
        lines = list(self.evidence_for(explanation.index, explanation.fault)[:4])
        lines += [f"{_change(change)} {_ago(explanation.onset - change.ts)}" for change in changes[:1]]
        return f"{text}: {'; '.join(lines)}." if lines else f"{text}."

    def changes(self, explanation: Explanation) -> tuple[Change, ...]:
        """Return the changes at the cause that may have to do with it, the latest first."""
        return self._changes.before(explanation.entity, explanation.onset, self._lookback_ms)

    def evidence_for(self, entity: int, fault: FaultKind) -> tuple[str, ...]:
        """Return what speaks for and against a fault at an entity, one line for each thing seen."""
        key = (entity, fault.name)
        if key not in self._told:
            self._told[key] = self._tell(entity, fault)
        return self._told[key]

    def _tell(self, entity: int, fault: FaultKind) -> tuple[str, ...]:
        row = int(np.searchsorted(self._evidence.relations.of(fault.cause), entity))
        place = _Place(entity, row, fault.cause)
        lines: list[str] = []
        aside: dict[str, Ints] = {}
        shown: dict[str, Ints] = {}
        explained = self._explained(entity, fault)
        for term in fault.footprint:
            for family, sign in term.signs:
                hot = self._hot(place, term, family)
                if term.role == "side":
                    hot = hot[explained[hot]]
                elif term.at == "self":
                    lines += [self._own(cell) for cell in hot.tolist()] or self._own_quiet(
                        place, term, family
                    )
                else:
                    lines += self._counts(place, term, family, sign, hot)
                seen = aside if term.role == "side" else shown
                found = seen.get(_name(family), np.empty(0, np.int64))
                seen[_name(family)] = np.union1d(found, self._evidence.cells.entity[hot])
        for name, found in aside.items():
            new = np.setdiff1d(found, shown.get(name, []))
            lines += [f"also: {name} of {self._few(new)}"] if new.size else []
        return tuple(dict.fromkeys(lines))

    def _explained(self, entity: int, fault: FaultKind) -> Bools:
        """Return which cells a hypothesis explains, shape (C,)."""
        number = self._book.faults.index(fault)
        causes = (self._found.entity == entity) & (self._found.fault == number)
        units = np.zeros(len(self._evidence.block) + 1, bool)  # the last one serves derived cells (-1)
        units[self._found.units(np.flatnonzero(causes[self._found.costs.group]))] = True
        return units[self._evidence.unit]

    def _few(self, entities: Ints) -> str:
        """Name a single entity, and count several by kind."""
        names = self._evidence.relations.graph.ids
        ids: list[str] = [names[i] for i in entities.tolist()]
        if len(ids) == 1:
            return ids[0]
        counts = Counter(kind_of(name) for name in sorted(ids, key=scale_of))
        return ", ".join(_plural(count, kind) for kind, count in counts.items())

    def _hot(self, place: _Place, term: Term, family: str) -> Ints:
        """Return the cells that a term explains there."""
        cells = self._footprints.hits(place.causes, term).of(place.row)
        return cells if family == ANY else cells[self._footprints.in_family(family)[cells]]

    def _own(self, cell: int) -> str:
        cells = self._evidence.cells
        signals: list[Signal] = [cells.signals[s] for s in np.flatnonzero(cells.of_signal == cell).tolist()]
        return _signal(leading(signals))

    def _own_quiet(self, place: _Place, term: Term, family: str) -> list[str]:
        """Say that what was expected is normal, unless the term is met by another family of its own."""
        met = term.role == "core" or len(self._hot(place, term, ANY))
        if met or not self._footprints.quiet(place.causes, term, family)[place.row]:
            return []
        return [f"against: {_name(family)} of {self._evidence.relations.graph.ids[place.entity]} is normal"]

    def _counts(self, place: _Place, term: Term, family: str, sign: int, hot: Ints) -> list[str]:
        """Say how many show a family, how many do not, and where those are."""
        ids, cells = self._evidence.relations.graph.ids, self._evidence.cells
        quiet = 0 if family == ANY else int(self._footprints.quiet(place.causes, term, family)[place.row])
        means = cells.group[hot]
        told = [
            f"mean of {ids[cells.entity[c]]}: {_name(family)}{_SIGN_WORD[sign]}" for c in hot[means].tolist()
        ]
        count = len(np.unique(cells.entity[hot[~means]]))
        if not count and (told or not quiet or term.role == "core"):
            return told[:2]
        named = f"{_name(family)}{_SIGN_WORD[sign]}" if sign else f"show {_name(family)}"
        shown = "silent" if family == SILENCE else named
        where = f"{_PLACE.get(term.at, 'at')} {ids[place.entity]}"
        line = f"{count} of {_plural(count + quiet, *term.of)} {where} {shown}"
        if quiet and count:
            line += f"; {quiet} quiet{self._concentration(place, term, family)}"
        return [*told[:2], line if count else f"against: {line}"]

    def _concentration(self, place: _Place, term: Term, family: str) -> str:
        """Name the container within the cause that has most of the quiet ones, if it has more than others."""
        graph = self._evidence.relations.graph
        matrix = self._evidence.relations.matrix(term.at, place.causes, term.of)
        inside = matrix.indices[matrix.indptr[place.row] : matrix.indptr[place.row + 1]]
        quiet = inside[self._evidence.quiet(self._book.families.index(family))[inside] > 0]
        boxes, counts = np.unique(graph.parent[quiet], return_counts=True)
        if not boxes.size or boxes[0] < 0 or 2 * counts.max() <= counts.sum():
            return ""
        most = int(boxes[np.argmax(counts)])
        return f", {counts.max()} of them in {graph.ids[most]}" if most != place.entity else ""


class _Place(NamedTuple):
    """A cause: its index in the graph, its row among the entities of the kinds that may be the cause."""

    entity: int
    row: int
    causes: tuple[str, ...]


_PLACE = {"children": "in", "descendants": "in", "beneath": "beneath", "members": "of", "carriers": "above"}


def _signal(signal: Signal) -> str:
    if signal.value is None or signal.expected is None:
        return f"{signal.entity}: {signal.reason.replace('_', ' ')}"
    return f"{signal.entity}: {signal.metric} {signal.value:.4g} where {signal.expected:.4g} was expected"


def _name(family: str) -> str:
    return _FAMILIES.get(family) or family.replace("_", " ")


def _plural(count: int, *kinds: str) -> str:
    names = [kind if count == 1 else _PLURALS.get(kind, f"{kind}s") for kind in kinds]
    return f"{count} {' and '.join(names)}"


def _change(change: Change) -> str:
    version = f" {change.version}" if change.version else ""
    return f"{change.change.replace('_', ' ')}{version} ({change.summary})"


def _ago(ms: int) -> str:
    minutes = max(ms, 0) // 60_000
    return f"{minutes} min before" if minutes < 180 else f"{minutes // 60} h before"


def change_text(change: Change) -> str:
    """Return a change as an incident lists it.

    >>> change_text(Change(0, "model:m", "deployment", "v2", "routine release"))
    'model:m deployment v2: routine release'
    """
    return f"{change.entity} {change.change} {change.version}: {change.summary}"


def scale_of(entity: str) -> tuple[int, str]:
    """Return the place of an entity among others, the biggest scales first."""
    kind = canonical_kind(entity.partition(":")[0])
    return (_SCALES.index(kind) if kind in _SCALES else len(_SCALES), entity)


_SCALES = (
    "facility", "region", "business", "portfolio", "fabric", "chiller", "row", "cdu", "pdu", "rack", "switch",
    "job", "service", "pipeline", "feature", "model", "node", "replica", "port", "gpu", "rank",
)  # fmt: skip
