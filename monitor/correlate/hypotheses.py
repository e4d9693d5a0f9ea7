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
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from monitor.correlate.evidence import CLIP, RATE_FLOOR, weight
from monitor.correlate.faults import ANY
from monitor.correlate.footprints import Hits
from monitor.units import HOUR, MINUTE

if TYPE_CHECKING:
    from monitor.correlate.changes import ChangeLog
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultBook, FaultKind, Term
    from monitor.correlate.footprints import Footprints
    from monitor.types import Bools, Floats, Ints

ONSET_SPREAD_MS = HOUR
"""Core signs that began this long before the median one belong to something else."""

SLACK_MS = 10 * MINUTE
"""How far a remote effect may seem to begin before its cause, since onsets are estimates."""

_Span = tuple["Term", "Ints", "Ints"]
"""A term and when its effects may begin for each row, [since, until] in ms."""

_REMOTE = frozenset({"victims", "workload", "workload_members", "carriers", "workload_carriers"})
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


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known before the evidence of a tick: rates of hot cells by family, changes, open incidents.

    standing: when the cause of each open incident began and was found, by (entity id, fault name). It has
    a small advantage, against flapping; and when its core is hot no more it still explains its effects.
    """

    rates: Floats
    changes: ChangeLog
    standing: dict[tuple[str, str], tuple[int, int]]


def propose(evidence: Evidence, footprints: Footprints, book: FaultBook, prior: Prior) -> Hypotheses:
    """Return every hypothesis with something hot in its core, in the order of the book and of entities."""
    parts = []
    shown = {evidence.families[family] for family in np.unique(evidence.cells.family).tolist()}
    standing = {name for _, name in prior.standing}
    for number, fault in enumerate(book.faults):
        if (
            fault.name not in standing
            and shown.isdisjoint(fault.core_families)
            and ANY not in fault.core_families
        ):
            continue
        draft = _Draft(evidence, footprints, fault, prior)
        if draft.rows.size:
            parts.append(draft.finish(number))
    empty = sparse.csr_array((0, len(evidence.block)), dtype=np.int64)
    none = np.empty(0, np.int64)
    return Hypotheses(
        np.concatenate([none, *[part.entity for part in parts]]),
        np.concatenate([none, *[part.fault for part in parts]]),
        np.concatenate([np.empty(0), *[part.cost for part in parts]]),
        sparse.csr_array(sparse.vstack([empty, *[part.cover for part in parts]], format="csr")),
        np.concatenate([none, *[part.onset for part in parts]]),
        np.concatenate([np.empty(0), *[part.favour for part in parts]]),
    )


class _Draft:
    """The hypotheses of one fault kind while they are being scored. R rows have a hot core."""

    def __init__(self, evidence: Evidence, footprints: Footprints, fault: FaultKind, prior: Prior) -> None:
        self._evidence, self._footprints, self._fault, self._prior = evidence, footprints, fault, prior
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
        self._weights = weight(prior.rates)[evidence.cells.family]
        self.rows = self._find_rows()
        self._faded = self._find_faded()

    def _find_rows(self) -> Ints:
        rows = np.union1d(self._core.row, np.array(list(self._standing), np.int64))
        if not self._fault.only:
            return rows
        ids = self._evidence.relations.graph.ids
        named = [
            any(fnmatch.fnmatchcase(ids[i], p) for p in self._fault.only) for i in self._entity[rows].tolist()
        ]
        kept: Ints = rows[np.array(named, bool)]
        return kept

    def _find_faded(self) -> Bools:
        return ~np.isin(self.rows, self._core.row)

    def finish(self, number: int) -> Hypotheses:
        """Score the rows and gather what they explain."""
        fault, relations = self._fault, self._evidence.relations
        entity = self._entity[self.rows]
        first, onset, last = self._onsets()
        ids = [relations.graph.ids[i] for i in entity.tolist()]
        change, possible = self._prior.changes.nats(fault, ids, first, onset)
        standing = np.where(np.isin(self.rows, list(self._standing)), _STANDING_NATS, 0.0)
        cost = fault.log_prior + change + standing - _SIZE_NATS * np.log1p(relations.size[entity])
        spans = [(term, *_window(term, first, onset, last)) for term in fault.footprint]
        core, units = self._signatures(spans, onset)
        sides, aside = self._side_effects(spans, units)
        cost = cost + (core + sides) * ~self._faded
        cover = self._cover([self._units(hits) for hits in (*units, *aside)] + self._blocks(spans))
        kept = np.flatnonzero(possible | self._faded)
        return Hypotheses(
            entity[kept], np.full(len(kept), number), cost[kept], cover[kept], onset[kept], standing[kept]
        )

    def _onsets(self) -> tuple[Ints, Ints, Ints]:
        """Return the first, the median and the last onset of the core signs of each row.

        Signs much older than the median are left out of the first. Where the core is hot no more, they are
        the incident's own times.
        """
        size = len(self.rows)
        core = self._core.among(self.rows)
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
            first[i], last[i] = self._standing[int(self.rows[i])]
            onset[i] = first[i]
        return first, onset, last

    def _take(self, term: Term, since: Ints, until: Ints) -> Hits:
        """Return the cells that a term explains, within its time."""
        hits = self._footprints.hits(self._fault.cause, term).among(self.rows)
        return _in_time(hits, self._evidence.cells.since, since, until)

    def _units(self, taken: Hits) -> tuple[Hits, Ints]:
        """Return the units of cells, and how many cells of them each pair is."""
        return Hits(taken.row, self._evidence.unit[taken.item]), np.ones(len(taken.row), np.int64)

    def _blocks(self, spans: list[_Span]) -> list[tuple[Hits, Ints]]:
        """Return the blocks that terms explain whole, within their times, and their sizes."""
        found = []
        for term, since, until in spans:
            hits = self._footprints.blocks(self._fault.cause, term).among(self.rows)
            kept = _in_time(hits, self._evidence.unit_since, since, until)
            found.append((kept, self._evidence.unit_size[kept.item]))
        return found

    def _cover(self, units: list[tuple[Hits, Ints]]) -> sparse.csr_array:
        """Return which units are explained: single cells, and blocks of which half the cells are; (R, U)."""
        width = len(self._evidence.block)
        pairs = np.concatenate([hits.row * width + hits.item for hits, _ in units])
        found, place = np.unique(pairs, return_inverse=True)
        counts = np.bincount(place, np.concatenate([count for _, count in units]), len(found))
        row, unit = np.divmod(found, max(width, 1))
        enough = 2 * counts >= self._evidence.unit_size[unit]
        bounds = np.searchsorted(row[enough], np.arange(len(self.rows) + 1))
        ones = np.ones(int(enough.sum()), np.int64)
        return sparse.csr_array((ones, unit[enough], bounds), shape=(len(self.rows), width))

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
            for family in _families(term):
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
        done = np.concatenate([hits.row * width + hits.item for hits in units])
        for term, since, until in spans:
            if term.role != "side":
                continue
            taken = self._take(term, since, until)
            taken = taken.where(~np.isin(taken.row * width + taken.item, done))
            if not taken.row.size:
                continue
            shown = (
                np.zeros(len(taken.row), bool)
                if _families(term)
                else np.full(len(taken.row), term.at == "self")
            )
            for family in _families(term):
                _, nats, weights = self._judge(term, family, taken, np.ones(len(self.rows), bool))
                present = nats > 0
                total = total + np.where(present, nats - weights, 0.0)
                shown |= self._footprints.in_family(family)[taken.item] & present[taken.row]
            forced = ~shown & self._evidence.page[taken.item] & (term.at not in _TOGETHER)
            weights = self._weights[taken.item] * forced
            total = total - np.bincount(taken.row, weights, len(self.rows))
            aside.append(taken.where(shown | forced))
        return total, aside

    def _judge(self, term: Term, family: str, taken: Hits, counted: Bools) -> tuple[Floats, Floats, Floats]:
        """Return how many show a family of a term, what that says in nats, and the weight of those, (R,)."""
        inside = self._footprints.in_family(family)[taken.item]
        hot = np.bincount(taken.row[inside], minlength=len(self.rows)).astype(np.float64)
        quiet: Floats = counted * self._footprints.quiet(self._fault.cause, term, family)[self.rows]
        rate = float(self._prior.rates[self._evidence.families.index(family)])
        return hot, mean_evidence(hot, quiet, term.q, rate), hot * weight(np.array(rate))


def _families(term: Term) -> list[str]:
    """Return the families that a term names; `any` names none."""
    return [family for family in term.shows if family != ANY]


def mean_evidence(hot: Floats, quiet: Floats, chances: tuple[float, ...], rate: float) -> Floats:
    """Return ln mean over q of exp(H ln(q / f) + Q ln((1 - q) / (1 - f))), the logarithms clipped, in nats.

    >>> mean_evidence(np.array([0.0]), np.array([2.0]), (0.5,), 1e-4).round(3).tolist()
    [-1.386]
    """
    q = np.array(chances)
    f = max(rate, RATE_FLOOR)
    for_it = np.clip(np.log(q / f), *CLIP)
    against = np.clip(np.log((1 - q) / (1 - f)), *CLIP)
    nats = np.multiply.outer(hot, for_it) + np.multiply.outer(quiet, against)
    top = nats.max(axis=1)
    mean: Floats = np.log(np.exp(nats - top[:, None]).mean(axis=1)) + top
    return mean


def _window(term: Term, first: Ints, onset: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Return when effects of a term may begin, [since, until] in ms."""
    if term.role == "core":
        since = onset - ONSET_SPREAD_MS
    else:
        since = first - (SLACK_MS if term.at in _REMOTE else ONSET_SPREAD_MS)
    lag = term.lag_ms if term.role == "side" else None
    until = np.full(len(last), np.iinfo(np.int64).max) if lag is None else last + lag
    return since, until


def _in_time(hits: Hits, began: Ints, since: Ints, until: Ints) -> Hits:
    """Keep what began in time."""
    when = began[hits.item]
    return hits.where((when >= since[hits.row]) & (when <= until[hits.row]))
