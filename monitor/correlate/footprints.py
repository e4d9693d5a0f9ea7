"""Which cells lie in the footprint of which cause, and how many entities there are quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.correlate.faults import ANY
from monitor.correlate.relations import WORKLOADS

if TYPE_CHECKING:
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import Term
    from monitor.types import Bools, Floats, Ints

_MOVES_MEANS = frozenset({"children", "descendants", "beneath", "members", "victims"})
_OVERLAP = 0.5
"""A mean is explained by a cause that reaches this share of its members."""


@dataclass(frozen=True, slots=True)
class Hits:
    """P pairs of a cause (`row` among the entities of its kinds) and what it would explain (`item`), (P,)."""

    row: Ints
    item: Ints

    @classmethod
    def none(cls) -> Hits:
        """Return no pairs."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    def of(self, row: int) -> Ints:
        """Return what one cause would explain, ascending."""
        return np.unique(self.item[self.row == row])

    def placed(self, place: Ints) -> Hits:
        """Return the pairs whose cause has a place (not -1), with that as their row."""
        row = place[self.row]
        kept = row >= 0
        return Hits(row[kept], self.item[kept])

    def where(self, kept: Bools) -> Hits:
        """Return some of the pairs."""
        return Hits(self.row[kept], self.item[kept])


class Footprints:
    """Cells and quiet entities by cause, for one tick. K is the number of entities of the causes' kinds."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._relations = evidence.relations
        self._numbers = {name: number for number, name in enumerate(evidence.families)}
        self._hits: dict[tuple[tuple[str, ...], int], Hits] = {}
        self._alike: dict[tuple[Any, ...], Hits] = {}
        self._shows: dict[tuple[tuple[str, int], ...], Bools] = {}
        self._inside: dict[str, Bools] = {}
        self._reach: dict[tuple[str, ...], Floats] = {}
        self._means: dict[tuple[str, ...], Hits] = {}
        self._quiet: dict[tuple[str, tuple[str, ...], tuple[str, ...], int], Floats] = {}

    def hits(self, causes: tuple[str, ...], term: Term) -> Hits:
        """Return which cells each cause would explain by a term; none for a `workload` term."""
        key = (causes, id(term))  # the terms live as long as the book
        if key not in self._hits:
            alike = (causes, term.at, term.of, term.signs)
            if alike not in self._alike:
                none = term.at == "workload"
                self._alike[alike] = Hits.none() if none else self._find_hits(causes, term)
            self._hits[key] = self._alike[alike]
        return self._hits[key]

    def number(self, family: str) -> int:
        """Return the index of a family."""
        return self._numbers[family]

    def _find_hits(self, causes: tuple[str, ...], term: Term) -> Hits:
        cells = self.evidence.cells
        shown = self._shown(term)
        if not shown.any():
            return Hits.none()
        able = shown & ~cells.group
        if term.of:
            able &= self._relations.mask(term.of)[cells.entity]
        row, item = self._causes_of(term.at, causes, np.flatnonzero(able))
        if term.at in _MOVES_MEANS and (shown & cells.group).any():
            means = self._reached_means(causes)
            means = means.where(shown[means.item])
            row, item = np.concatenate([row, means.row]), np.concatenate([item, means.item])
        return Hits(row, item)

    def _causes_of(self, relation: str, causes: tuple[str, ...], cells: Ints) -> tuple[Ints, Ints]:
        """Return pairs of a cause and one of these cells that is in a relation to it."""
        entity = self.evidence.cells.entity[cells]
        if relation != "workload_members":
            row, place = self._relations.causes_of(relation, causes, entity)
            return row, cells[place]
        work = self._relations.workload_of[entity]
        cells, work = cells[work >= 0], work[work >= 0]
        row, place = self._relations.causes_of("victims", causes, work)
        return row, cells[place]

    def blocks(self, causes: tuple[str, ...], term: Term) -> Hits:
        """Return which blocks (units) each cause would explain by a `workload` term; none for other terms."""
        evidence = self.evidence
        if term.at != "workload" or not (evidence.block >= 0).any():
            return Hits.none()
        example = np.full(len(evidence.block), -1, np.int64)
        example[evidence.unit[evidence.live]] = np.flatnonzero(evidence.live)
        units = np.flatnonzero((evidence.block >= 0) & self._shown(term)[example])
        pairs = [self._relations.causes_of(at, causes, evidence.block[units]) for at in ("self", "victims")]
        return Hits(
            np.concatenate([row for row, _ in pairs]), np.concatenate([units[place] for _, place in pairs])
        )

    def workloads(self, causes: tuple[str, ...]) -> Floats:
        """Return how many workloads each cause reaches, itself among them, shape (K,)."""
        if causes not in self._reach:
            there = self.evidence.observation.reporting.astype(np.float64)
            own = self._relations.matrix("self", causes, WORKLOADS) @ there
            self._reach[causes] = own + self._relations.matrix("victims", causes, WORKLOADS) @ there
        return self._reach[causes]

    def quiet(self, causes: tuple[str, ...], term: Term, family: str) -> Floats:
        """Return how many entities of a term's footprint are quiet in a family, shape (K,)."""
        number = self._numbers[family]
        key = (term.at, causes, term.of, number)
        if key not in self._quiet:
            quiet = self.evidence.quiet(number)
            if term.at == "workload_members":
                inside = self._relations.members @ (quiet * self._relations.mask(term.of))
                self._quiet[key] = self._relations.matrix("victims", causes, WORKLOADS) @ inside
            else:
                self._quiet[key] = self._relations.matrix(term.at, causes, term.of) @ quiet
        return self._quiet[key]

    def in_family(self, family: str) -> Bools:
        """Return which cells are of a family, shape (C,)."""
        if family not in self._inside:
            self._inside[family] = self.evidence.cells.family == self._numbers[family]
        return self._inside[family]

    def _shown(self, term: Term) -> Bools:
        """Return the live cells whose family and sign a term expects, shape (C,)."""
        signs = term.signs
        if signs not in self._shows:
            self._shows[signs] = self._find_shown(signs)
        return self._shows[signs]

    def _find_shown(self, signs: tuple[tuple[str, int], ...]) -> Bools:
        cells = self.evidence.cells
        wanted = np.zeros((len(self._numbers), 3), bool)
        for family, sign in signs:
            numbers = slice(None) if family == ANY else self._numbers[family]
            wanted[numbers, :] |= np.array([sign <= 0, True, sign >= 0])
        shown: Bools = wanted[cells.family, cells.sign + 1] & self.evidence.live
        return shown

    def _reached_means(self, causes: tuple[str, ...]) -> Hits:
        """Return which means each cause moves: its own, its victims', and those it mostly reaches."""
        if causes not in self._means:
            groups, relations = self.evidence.groups, self._relations
            near = [
                relations.causes_of(at, causes, self.evidence.cells.entity[groups.cell])
                for at in ("self", "beneath", "members", "victims")
            ]
            reached = [self._mostly_reached(causes, at) for at in ("self", "beneath", "members")]
            pairs = np.unique(np.concatenate([np.stack(pair) for pair in (*near, *reached)], axis=1), axis=1)
            self._means[causes] = Hits(pairs[0], groups.cell[pairs[1]])
        return self._means[causes]

    def _mostly_reached(self, causes: tuple[str, ...], relation: str) -> tuple[Ints, Ints]:
        members = self.evidence.groups.members
        share = (self._relations.matrix(relation, causes, ()) @ members.T).tocoo()
        enough = share.data >= _OVERLAP * np.diff(members.indptr)[share.col]
        return share.row[enough].astype(np.int64), share.col[enough].astype(np.int64)
