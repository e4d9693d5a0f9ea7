"""Hypotheses: which entity may have which fault, what it would explain, and what speaks against it.

score = ln(prior) + change + sum over the families of its terms of
        ln mean over q of exp(H ln(q / f) + Q ln((1 - q) / (1 - f))),

with H hot and Q quiet entities of the footprint, f the share of hot ones in healthy time, and each of the
logarithms clipped to [-3, 7]. It is kept in two parts, so that sets of causes can be searched: what a
hypothesis explains is the weight of its units, counted once for a whole set; the rest is its `cost`. Side
effects count only as far as they speak for it.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from monitor.correlate.evidence import weight
from monitor.correlate.faults import ANY
from monitor.correlate.footprints import Hits
from monitor.correlate.scoring import ONSET_SPREAD_MS, Codes, families_of, in_time, mean_evidence, window
from monitor.units import MINUTE

if TYPE_CHECKING:
    from monitor.correlate.changes import ChangeLog
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultBook, FaultKind, Term
    from monitor.correlate.footprints import Footprints
    from monitor.types import Bools, Floats, Ints

_Span = tuple["Term", "Ints", "Ints"]
"""A term and when its effects may begin for each row, [since, until] in ms."""

_TOGETHER = frozenset({"members", "workload_members"})
_STANDING_NATS = 4.0
_SIZE_NATS = 1e-3  # of equal causes, the one with less beneath it is named


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """H hypotheses over U units.

    entity: index of the cause, (H,). fault: index in the book, (H,). cost: nats, (H,). cover: CSR (H, U) of
    ones, what it explains. onset: when it began, ms, (H,). favour: the part of the cost that a standing
    incident has in advance, nats, (H,).
    """

    entity: Ints
    fault: Ints
    cost: Floats
    cover: sparse.csr_array
    onset: Ints
    favour: Floats

    def __len__(self) -> int:
        return len(self.entity)

    def value(self, weights: Floats) -> Floats:
        """Return the score of each alone, in nats, shape (H,)."""
        value: Floats = self.cover @ weights + self.cost
        return value


ECHO_MS = 30 * MINUTE
"""What begins this long after a fault is over is none of its doing."""

_AGES = np.iinfo(np.int64).max


class Stood(NamedTuple):
    """When the cause of an open incident began, was found, and was mostly over (None: it is not), in ms."""

    began: int
    found: int
    waned: int | None = None

    @property
    def echoes_until(self) -> int:
        """Until when effects of it may begin."""
        return _AGES if self.waned is None else self.waned + ECHO_MS


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known before the evidence of a tick: rates of hot cells by family, changes, open incidents.

    standing: the times of the cause of each open incident, by (entity id, fault name). It has a small
    advantage, against flapping; and when its core is hot no more it still explains its effects.
    """

    rates: Floats
    changes: ChangeLog
    standing: dict[tuple[str, str], Stood]


def propose(evidence: Evidence, footprints: Footprints, book: FaultBook, prior: Prior) -> Hypotheses:
    """Return every hypothesis with something hot in its core, in the order of the book and of entities."""
    parts: list[_Part] = []
    nats = weight(prior.rates)
    weights = _Weights(nats, nats[evidence.cells.family])
    shown = {evidence.families[family] for family in np.unique(evidence.cells.family).tolist()}
    standing = {name for _, name in prior.standing}
    for number, fault in enumerate(book.faults):
        if (
            fault.name not in standing
            and shown.isdisjoint(fault.core_families)
            and ANY not in fault.core_families
        ):
            continue
        draft = _Draft(evidence, footprints, fault, prior, weights)
        if draft.rows.size:
            parts.append(draft.finish(number))
    none = np.empty(0, np.int64)
    covered = np.concatenate([none, *[part.covered for part in parts]])
    bounds = np.concatenate([[0], np.cumsum(covered)])
    unit = np.concatenate([none, *[part.unit for part in parts]])
    return Hypotheses(
        np.concatenate([none, *[part.entity for part in parts]]),
        np.repeat([part.fault for part in parts], [len(part.entity) for part in parts]).astype(np.int64),
        np.concatenate([np.empty(0), *[part.cost for part in parts]]),
        sparse.csr_array(
            (np.ones(len(unit), np.int64), unit, bounds), shape=(len(covered), len(evidence.block))
        ),
        np.concatenate([none, *[part.onset for part in parts]]),
        np.concatenate([np.empty(0), *[part.favour for part in parts]]),
    )


@dataclass(frozen=True, slots=True)
class _Weights:
    """The weight of a hot cell in nats, by family and for each cell."""

    family: Floats
    cell: Floats


@dataclass(frozen=True, slots=True)
class _Part:
    """The hypotheses of one fault kind. covered: how many units each explains; unit: those, row by row."""

    fault: int
    entity: Ints
    cost: Floats
    covered: Ints
    unit: Ints
    onset: Ints
    favour: Floats


class _Draft:
    """The hypotheses of one fault kind while they are being scored. R rows have a hot core."""

    def __init__(
        self, evidence: Evidence, footprints: Footprints, fault: FaultKind, prior: Prior, weights: _Weights
    ) -> None:
        self._evidence, self._footprints, self._fault, self._prior = evidence, footprints, fault, prior
        self._weights = weights
        self._entity = evidence.relations.of(fault.cause)
        core = [footprints.hits(fault.cause, term) for term in fault.footprint if term.role == "core"]
        self._core = Hits(
            np.concatenate([hits.row for hits in core]), np.concatenate([hits.item for hits in core])
        )
        index = evidence.relations.graph.index
        standing = [
            (index[entity], times)
            for (entity, name), times in prior.standing.items()
            if name == fault.name and entity in index
        ]
        self._standing = {int(np.searchsorted(self._entity, i)): times for i, times in standing}
        self._stands = np.array(list(self._standing), np.int64)
        self.rows = self._find_rows()
        self._place = np.full(len(self._entity), -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))
        self._faded = ~self._among(self._core.row)[self.rows]

    def _among(self, rows: Ints) -> Bools:
        """Return which of the entities that may be the cause stand in `rows`."""
        inside = np.zeros(len(self._entity), bool)
        inside[rows] = True
        return inside

    def _find_rows(self) -> Ints:
        rows = np.flatnonzero(self._among(self._core.row) | self._among(self._stands))
        if not self._fault.only:
            return rows
        ids = self._evidence.relations.graph.ids
        named = [
            any(fnmatch.fnmatchcase(ids[i], p) for p in self._fault.only) for i in self._entity[rows].tolist()
        ]
        kept: Ints = rows[np.array(named, bool)]
        return kept

    def finish(self, number: int) -> _Part:
        """Score the rows and gather what they explain."""
        fault, relations = self._fault, self._evidence.relations
        entity = self._entity[self.rows]
        first, onset, last = self._onsets()
        ids = [relations.graph.ids[i] for i in entity.tolist()]
        change, possible = self._prior.changes.nats(fault, ids, first, onset)
        standing: Floats = np.where(self._among(self._stands)[self.rows], _STANDING_NATS, 0.0)
        cost = fault.log_prior + change + standing - _SIZE_NATS * np.log1p(relations.size[entity])
        spans = self._spans(first, onset, last)
        core, units = self._signatures(spans, onset)
        sides, aside = self._side_effects(spans, units)
        cost = cost + (core + sides) * ~self._faded
        row, unit = self._cover([self._units(hits) for hits in (*units, *aside)] + self._blocks(spans))
        kept = possible | self._faded
        covered = np.bincount(row, minlength=len(kept))[kept]
        return _Part(number, entity[kept], cost[kept], covered, unit[kept[row]], onset[kept], standing[kept])

    def _onsets(self) -> tuple[Ints, Ints, Ints]:
        """Return the first, the median and the last onset of the core signs of each row.

        Signs much older than the median are left out of the first. Where the core is hot no more, they are
        the incident's own times.
        """
        size = len(self.rows)
        core = self._core.placed(self._place)
        since = self._evidence.cells.since[core.item]
        order = np.lexsort((since, core.row))
        row, since = core.row[order], since[order]
        counts = np.bincount(row, minlength=size)
        start = np.cumsum(counts) - counts
        onset, last = np.zeros(size, np.int64), np.zeros(size, np.int64)
        hot = np.flatnonzero(counts)
        onset[hot] = since[(start + (counts - 1) // 2)[hot]]
        last[hot] = since[(start + counts - 1)[hot]]
        first = onset.copy()
        fresh = since >= onset[row] - ONSET_SPREAD_MS
        np.minimum.at(first, row[fresh], since[fresh])
        for i in np.flatnonzero(self._faded).tolist():
            first[i], last[i], _ = self._standing[int(self.rows[i])]
            onset[i] = first[i]
        return first, onset, last

    def _spans(self, first: Ints, onset: Ints, last: Ints) -> list[_Span]:
        """Return the terms with their times; what is over has no effects any more."""
        over = np.full(len(self.rows), _AGES)
        for i in np.flatnonzero(self._faded).tolist():
            over[i] = self._standing[int(self.rows[i])].echoes_until
        spans = []
        for term in self._fault.footprint:
            since, until = window(term, first, onset, last)
            spans.append((term, since, np.minimum(until, over)))
        return spans

    def _take(self, term: Term, since: Ints, until: Ints) -> Hits:
        """Return the cells that a term explains, within its time."""
        hits = self._able(term, self._footprints.hits(self._fault.cause, term).placed(self._place))
        return in_time(hits, self._evidence.cells.since, since, until)

    def _able(self, term: Term, hits: Hits) -> Hits:
        """Keep, of what happens to others, what the rows can have done (FaultKind.gross)."""
        if not self._fault.gross or term.role != "side" or term.at == "self":
            return hits
        return hits.where(self._gross[hits.row])

    @cached_property
    def _gross(self) -> Bools:
        """Which rows have a core or expected sign at page level, or had it, (R,)."""
        gross = self._among(self._stands)[self.rows]
        for term in self._fault.footprint:
            if term.role != "side":
                hits = self._footprints.hits(self._fault.cause, term).placed(self._place)
                gross[hits.row[self._evidence.page[hits.item]]] = True
        return gross

    def _units(self, taken: Hits) -> tuple[Hits, Ints]:
        """Return the units of cells, and how many cells of them each pair is."""
        return Hits(taken.row, self._evidence.unit[taken.item]), np.ones(len(taken.row), np.int64)

    def _blocks(self, spans: list[_Span]) -> list[tuple[Hits, Ints]]:
        """Return the blocks that terms explain whole, within their times, and their sizes."""
        found = []
        for term, since, until in spans:
            hits = self._able(term, self._footprints.blocks(self._fault.cause, term).placed(self._place))
            kept = in_time(hits, self._evidence.unit_since, since, until)
            found.append((kept, self._evidence.unit_size[kept.item]))
        return found

    def _cover(self, units: list[tuple[Hits, Ints]]) -> tuple[Ints, Ints]:
        """Return pairs (row, unit) of what is explained: cells, and blocks of which half the cells are."""
        width = len(self._evidence.block)
        pairs = np.concatenate([hits.row * width + hits.item for hits, _ in units])
        found, place = np.unique(pairs, return_inverse=True)
        counts = np.bincount(place, np.concatenate([count for _, count in units]), len(found))
        row, unit = np.divmod(found, max(width, 1))
        enough = 2 * counts >= self._evidence.unit_size[unit]
        return row[enough], unit[enough]

    def _signatures(self, spans: list[_Span], onset: Ints) -> tuple[Floats, list[Hits]]:
        """Return what core and expected terms say less the weight of what they explain, and those cells.

        The core families are signatures of one fault, each of which may show or not: the best counts as it
        is, the others as far as they speak for it.
        """
        rest, best, others = np.zeros((3, len(self.rows)))
        best = np.full(len(self.rows), -np.inf)
        units = []
        for term, since, until in spans:
            if term.role == "side":
                continue
            taken = self._take(term, since, until)
            units.append(taken)
            late_enough = self._evidence.observation.end - onset >= (term.lag_ms or 0)
            for family in families_of(term):
                hot, nats, weights = self._judge(term, family, taken, late_enough)
                rest = rest - weights
                if term.role == "expected":
                    rest = rest + nats
                    continue
                shown = np.where(hot > 0, nats, -np.inf)
                best, others = np.maximum(best, shown), others + np.maximum(shown, 0.0)
        return rest + others + np.where(np.isfinite(best), np.minimum(best, 0.0), 0.0), units

    def _side_effects(self, spans: list[_Span], units: list[Hits]) -> tuple[Floats, list[Hits]]:
        """Return what side effects say less the weight of what they explain, and those cells.

        An effect may be absent. Where so few show it that it probably is, those few are somebody else's,
        unless they stand at the page level and must have a cause (members of a job, which move together or
        not at all, must have another one).
        """
        total, aside = np.zeros(len(self.rows)), []
        width = len(self._evidence.cells)
        codes = np.concatenate([hits.row * width + hits.item for hits in units])
        done = Codes(codes, len(self.rows) * width)
        for term, since, until in spans:
            if term.role != "side":
                continue
            taken = self._take(term, since, until)
            taken = taken.where(~done.have(taken.row * width + taken.item))
            if not taken.row.size:
                continue
            shown = (
                np.zeros(len(taken.row), bool)
                if families_of(term)
                else np.full(len(taken.row), term.at == "self")
            )
            for family in families_of(term):
                _, nats, weights = self._judge(term, family, taken, np.ones(len(self.rows), bool))
                present = nats > 0
                total = total + np.where(present, nats - weights, 0.0)
                shown |= self._footprints.in_family(family)[taken.item] & present[taken.row]
            forced = ~shown & self._evidence.page[taken.item] & (term.at not in _TOGETHER)
            weights = self._weights.cell[taken.item] * self._evidence.counts[taken.item] * forced
            total = total - np.bincount(taken.row, weights, len(self.rows))
            aside.append(taken.where(shown | forced))
        return total, aside

    def _judge(self, term: Term, family: str, taken: Hits, counted: Bools) -> tuple[Floats, Floats, Floats]:
        """Return how many show a family of a term, what that says in nats, and the weight of those, (R,).

        Members of a block count as few, since they move together.
        """
        inside = self._footprints.in_family(family)[taken.item]
        counts = self._evidence.counts[taken.item[inside]]
        hot = np.bincount(taken.row[inside], counts, len(self.rows)).astype(np.float64)
        quiet: Floats = counted * self._footprints.quiet(self._fault.cause, term, family)[self.rows]
        number = self._footprints.number(family)
        rate = float(self._prior.rates[number])
        return hot, mean_evidence(hot, quiet, term.q, rate), hot * self._weights.family[number]
