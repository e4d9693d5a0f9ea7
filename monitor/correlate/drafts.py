"""The hypotheses of one fault kind: what speaks for and against each, and what each explains.

What a hypothesis claims are its signatures, which it must have, and options: the side effects that speak
for it by how many show them; and *few*, what stands at page level and must have a cause, where so few of a
footprint show it that this alone does not speak for it. Options cost something, and where another cause
explains the same, they are better left to that one (`hypotheses.py`).
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from monitor.correlate.evidence import RATE_FLOOR
from monitor.correlate.footprints import Hits
from monitor.correlate.scoring import (
    ONSET_SPREAD_MS,
    REMOTE,
    Codes,
    families_of,
    in_time,
    mean_evidence,
    running,
    scarce_evidence,
    window,
)

if TYPE_CHECKING:
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultKind, Term
    from monitor.correlate.footprints import Footprints
    from monitor.correlate.hypotheses import Prior
    from monitor.types import Bools, Floats, Ints

_Span = tuple["Term", "Ints", "Ints"]
"""A term and when its effects may begin for each row, [since, until] in ms."""

_TOGETHER = frozenset({"members", "workload_members"})
_LOADED = frozenset({"carriers", "workload_carriers"})
_STANDING_NATS = 4.0
_SIZE_NATS = 1e-3  # of equal causes, the one with less beneath it is named
MOST_NATS = 10.0
"""How much changed loads speak for a cause at most: a hundred racks that draw less are no hundred signs."""
AGES = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of a hot cell in nats, by family and for each cell."""

    family: Floats
    cell: Floats


@dataclass(frozen=True, slots=True)
class Rows:
    """K rows with a cost in nats, (K,), and the units that each covers: `covered` how many, `unit` which."""

    cost: Floats
    covered: Ints
    unit: Ints


@dataclass(frozen=True, slots=True)
class Part:
    """P hypotheses of one fault kind, and O options: what each may claim beside its signatures.

    entity, onset, favour: (P,). core: P rows. parent: whose option it is, (O,). near: it is about what the
    cause itself carries, (O,). options: O rows.
    """

    entity: Ints
    onset: Ints
    favour: Floats
    core: Rows
    parent: Ints
    near: Bools
    options: Rows


class Claim(NamedTuple):
    """What the rows claim, and what that says less the weight of it: nats, (R,), and the cells.

    Of `blocks` the items are units in place of cells; `loads` are about what carries a load, `near` ones
    about what hangs on the cause and no job.
    """

    nats: Floats
    cells: Hits
    blocks: bool = False
    loads: bool = False
    near: bool = False


class _Judged(NamedTuple):
    """How a family of a term stands: how many show it, what that says, and the weight of those, (R,)."""

    family: str
    hot: Floats
    quiet: Floats
    nats: Floats
    weights: Floats


class Draft:
    """The hypotheses of one fault kind while they are being scored. R rows have a hot core."""

    def __init__(
        self, evidence: Evidence, footprints: Footprints, fault: FaultKind, prior: Prior, weights: Weights
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

    def finish(self) -> Part:
        """Score the rows and gather what they explain, and what else they may claim."""
        fault, relations = self._fault, self._evidence.relations
        entity = self._entity[self.rows]
        first, onset, last = self._onsets()
        ids = [relations.graph.ids[i] for i in entity.tolist()]
        change, possible = self._prior.changes.nats(fault, ids, first, onset)
        favour: Floats = np.where(self._among(self._stands)[self.rows], _STANDING_NATS, 0.0)
        heard, ran = running(fault, self._evidence, entity, first)
        base = fault.log_prior + change + heard + favour - _SIZE_NATS * np.log1p(relations.size[entity])
        spans = self._spans(first, onset, last)
        core, options = self._signatures(spans, onset)
        options += self._side_effects(spans, [claim.cells for claim in (*core, *options)])
        options += self._blocks(spans)
        cost = base + sum((claim.nats for claim in core), np.zeros(len(base))) * ~self._faded
        kept = (possible & ran) | self._faded
        covered, unit = self._cover(core, kept)
        core_rows = Rows(cost[kept], covered, unit)
        return Part(entity[kept], onset[kept], favour[kept], core_rows, *self._optional(options, kept))

    def _optional(self, options: list[Claim], kept: Bools) -> tuple[Ints, Bools, Rows]:
        """Return whose the options of the rows that are kept are, which are near, and the options.

        What `loads` bring beside what must be explained is at most MOST_NATS.
        """
        place = np.cumsum(kept) - 1
        parents, near, costs, covers, units = [], [], [], [], []
        for claim in options:
            able = np.zeros(len(kept), bool)
            able[claim.cells.row] = True
            able &= kept
            covered, unit = self._cover([claim], able)
            parents.append(place[able])
            near.append(np.full(len(covered), claim.near))
            weights = (self._evidence.unit_weight - self._evidence.unit_must)[unit]
            gained = np.bincount(np.repeat(np.arange(len(covered)), covered), weights, len(covered))
            most = MOST_NATS - gained if claim.loads else np.inf
            costs.append(np.minimum((claim.nats * ~self._faded)[able], most))
            covers.append(covered)
            units.append(unit)
        none = np.empty(0, np.int64)
        rows = Rows(
            np.concatenate([np.empty(0), *costs]),
            np.concatenate([none, *covers]),
            np.concatenate([none, *units]),
        )
        return np.concatenate([none, *parents]), np.concatenate([np.empty(0, bool), *near]), rows

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
            first[i], last[i] = self._standing[int(self.rows[i])][:2]
            onset[i] = first[i]
        return first, onset, last

    def _spans(self, first: Ints, onset: Ints, last: Ints) -> list[_Span]:
        """Return the terms with their times; what is over has no effects any more."""
        over = np.full(len(self.rows), AGES)
        for i in np.flatnonzero(self._faded).tolist():
            over[i] = self._standing[int(self.rows[i])].echoes_until
        hard = self._among(self._core.row[self._evidence.cells.hard[self._core.item]])[self.rows]
        spans = []
        for term in self._fault.footprint:
            since, until = window(term, first, onset, last, hard)
            spans.append((term, since, np.minimum(until, over)))
        return spans

    def _take(self, term: Term, since: Ints, until: Ints) -> Hits:
        """Return the cells that a term explains, within its time."""
        hits = self._able(term, self._footprints.hits(self._fault.cause, term).placed(self._place))
        hits = in_time(hits, self._evidence.cells.since, since, until)
        return self._echoes(hits, self._evidence.cells.since, self._evidence.echoes)

    def _echoes(self, hits: Hits, began: Ints, able: Bools) -> Hits:
        """Leave out what began after its cause was over and is more than load that settles again."""
        if not self._faded.any():
            return hits
        return hits.where((began[hits.item] <= self._waned[hits.row]) | able[hits.item])

    @cached_property
    def _waned(self) -> Ints:
        """When the incidents of faded rows were mostly over; never for the others, (R,)."""
        waned = np.full(len(self.rows), AGES)
        for i in np.flatnonzero(self._faded).tolist():
            waned[i] = self._standing[int(self.rows[i])].waned or AGES
        return waned

    def _able(self, term: Term, hits: Hits) -> Hits:
        """Keep, of what happens to others, what the rows can have done (FaultKind.gross)."""
        if not self._fault.gross or term.role != "side" or term.at == "self":
            return hits
        return hits.where(self._gross[hits.row])

    @cached_property
    def _gross(self) -> Bools:
        """Which rows have a core or expected sign at page level, or had it, (R,)."""
        stood = np.array([row for row, times in self._standing.items() if times.gross], np.int64)
        gross = self._among(stood)[self.rows]
        for term in self._fault.footprint:
            if term.role != "side":
                hits = self._footprints.hits(self._fault.cause, term).placed(self._place)
                gross[hits.row[self._evidence.page[hits.item]]] = True
        return gross

    def _blocks(self, spans: list[_Span]) -> list[Claim]:
        """Return as options the blocks that terms explain whole; victims without one speak against it."""
        evidence, options, rows = self._evidence, [], len(self.rows)
        reach = self._footprints.workloads(self._fault.cause)[self.rows]
        for term, since, until in spans:
            hits = self._able(term, self._footprints.blocks(self._fault.cause, term).placed(self._place))
            kept = in_time(hits, evidence.unit_since, since, until)
            kept = self._echoes(kept, evidence.unit_since, evidence.unit_echoes)
            if not kept.row.size:
                continue
            pairs = np.unique(kept.row * evidence.relations.n + evidence.block[kept.item])
            hot = np.bincount(pairs // evidence.relations.n, minlength=rows).astype(np.float64)
            with_quiet = mean_evidence(hot, np.maximum(reach - hot, 0.0), term.q, RATE_FLOOR)
            nats = with_quiet - mean_evidence(hot, np.zeros(rows), term.q, RATE_FLOOR)
            options.append(Claim(nats, kept, blocks=True))
        return options

    def _cover(self, claims: list[Claim], kept: Bools) -> tuple[Ints, Ints]:
        """Return what the rows that are kept explain: cells, and blocks of which half the cells are."""
        sizes, width = self._evidence.unit_size, len(self._evidence.block)
        pairs, shares = [], []
        for claim in claims:
            hits = claim.cells
            unit = hits.item if claim.blocks else self._evidence.unit[hits.item]
            pairs.append(hits.row * width + unit)
            shares.append(sizes[unit] if claim.blocks else np.ones(len(unit), np.int64))
        found, place = np.unique(np.concatenate(pairs), return_inverse=True)
        counts = np.bincount(place, np.concatenate(shares), len(found))
        row, unit = np.divmod(found, max(width, 1))
        enough = (2 * counts >= sizes[unit]) & kept[row]
        return np.bincount(row[enough], minlength=len(kept))[kept], unit[enough]

    def _signatures(self, spans: list[_Span], onset: Ints) -> tuple[list[Claim], list[Claim]]:
        """Return what core and expected terms claim, and as options the few at page level they leave out.

        The core families are signatures of one fault, each of which may show or not: the best counts as it
        is, the others as far as they speak for it.
        """
        size = len(self.rows)
        best = np.full(size, -np.inf)
        found = []
        for term, since, until in spans:
            if term.role == "side":
                continue
            taken = self._take(term, since, until)
            late_enough = self._evidence.observation.end - onset >= (term.lag_ms or 0)
            judged = [self._judge(term, family, taken, late_enough) for family in families_of(term)]
            found.append((term, taken, judged))
            if term.role == "core":
                for family in judged:
                    best = np.maximum(best, np.where(family.hot > 0, family.nats, -np.inf))
        least = np.where(np.isfinite(best), np.minimum(best, 0.0), 0.0)
        core, few = [Claim(least, Hits.none())], []
        for term, taken, judged in found:
            expected = np.full(size, term.role == "expected")
            spoken = [expected | (family.nats > 0) | (family.nats == best) for family in judged]
            nats = np.zeros(size)
            for family, speaks in zip(judged, spoken, strict=True):
                counted = np.where(expected, family.nats, np.maximum(family.nats, 0.0) * (family.hot > 0))
                nats = nats + np.where(speaks, counted - family.weights, 0.0)
            shown = self._shown(taken, judged, spoken) if judged else np.ones(len(taken.row), bool)
            core.append(Claim(nats, taken.where(shown)))
            few.append(self._few(taken, judged, shown)._replace(near=True))
        return core, few

    def _side_effects(self, spans: list[_Span], claimed: list[Hits]) -> list[Claim]:
        """Return as options what side effects claim beside what is claimed already.

        An effect may be absent. Where so few show it that it probably is, those few are somebody else's,
        unless they stand at the page level and must have a cause (members of a job, which move together or
        not at all, must have another one).
        """
        size, width = len(self.rows), len(self._evidence.cells)
        codes = np.concatenate([hits.row * width + hits.item for hits in claimed])
        done = Codes(codes, size * width)
        options = []
        for term, since, until in spans:
            if term.role != "side":
                continue
            taken = self._take(term, since, until)
            taken = taken.where(~done.have(taken.row * width + taken.item))
            if not taken.row.size:
                continue
            judged = [self._judge(term, family, taken, np.ones(size, bool)) for family in families_of(term)]
            present = [family.nats > 0 for family in judged]
            nats = np.zeros(size)
            for family, speaks in zip(judged, present, strict=True):
                nats = nats + np.where(speaks, family.nats - family.weights, 0.0)
            own = np.full(len(taken.row), not judged and term.at == "self")
            shown = own | self._shown(taken, judged, present)
            loads, near = term.at in _LOADED, term.at not in REMOTE
            options.append(Claim(nats, taken.where(shown), loads=loads, near=near))
            if term.at not in _TOGETHER:
                options.append(self._few(taken, judged, shown)._replace(near=near))
        return options

    def _shown(self, taken: Hits, judged: list[_Judged], speaks: list[Bools]) -> Bools:
        """Return which of the cells are of a family that speaks for their row."""
        shown = np.zeros(len(taken.row), bool)
        for family, rows in zip(judged, speaks, strict=True):
            shown |= self._footprints.in_family(family.family)[taken.item] & rows[taken.row]
        return shown

    def _few(self, taken: Hits, judged: list[_Judged], shown: Bools) -> Claim:
        """Return what claims the cells at page level that are not shown, for the chance that so few are."""
        forced = ~shown & self._evidence.page[taken.item]
        rest = taken.where(forced)
        counts = self._evidence.counts[rest.item]
        weights = self._weights.cell[rest.item] * counts
        nats = -np.bincount(rest.row, weights, len(self.rows)).astype(np.float64)
        for family in judged:
            inside = self._footprints.in_family(family.family)[rest.item]
            hot = np.bincount(rest.row[inside], counts[inside], len(self.rows)).astype(np.float64)
            nats = nats + scarce_evidence(hot, family.hot + family.quiet)
        return Claim(nats, rest)

    def _judge(self, term: Term, family: str, taken: Hits, counted: Bools) -> _Judged:
        """Return how a family of a term stands. Members of a block count as few, since they move together."""
        inside = self._footprints.in_family(family)[taken.item]
        counts = self._evidence.counts[taken.item[inside]]
        hot = np.bincount(taken.row[inside], counts, len(self.rows)).astype(np.float64)
        quiet: Floats = counted * self._footprints.quiet(self._fault.cause, term, family)[self.rows]
        number = self._footprints.number(family)
        nats = mean_evidence(hot, quiet, term.q, float(self._prior.rates[number]))
        return _Judged(family, hot, quiet, nats, hot * self._weights.family[number])
