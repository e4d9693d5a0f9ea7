"""Hypotheses: which entity may have which fault, what it would explain, and what speaks against it.

score = ln(prior) + change + sum over the families of its terms of
        ln mean over q of exp(H ln(q / f) + Q ln((1 - q) / (1 - f))),

with H hot and Q quiet entities of the footprint, f the share of hot ones in healthy time, and each of the
logarithms clipped to [-3, 7]. It is kept in two parts, so that sets of causes can be searched: what a
hypothesis explains is the weight of its units, counted once for a whole set; the rest is its `cost`. Side
effects count only as far as they speak for it, and are options: a hypothesis is there in variants that claim
more or less of them, and the search takes the one that suits the set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from monitor.correlate.drafts import AGES, Draft, Weights
from monitor.correlate.evidence import weight
from monitor.correlate.faults import ANY
from monitor.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.correlate.changes import ChangeLog
    from monitor.correlate.drafts import Part, Rows
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultBook
    from monitor.correlate.footprints import Footprints
    from monitor.types import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """H hypotheses over U units.

    entity: index of the cause, (H,). fault: index in the book, (H,). cost: nats, (H,). cover: CSR (H, U) of
    ones, what it explains. onset: when it began, ms, (H,). favour: the part of the cost that a standing
    incident has in advance, nats, (H,). origin: of which proposal each is a variant, (H,).
    """

    entity: Ints
    fault: Ints
    cost: Floats
    cover: sparse.csr_array
    onset: Ints
    favour: Floats
    origin: Ints

    def __len__(self) -> int:
        return len(self.entity)

    def value(self, weights: Floats) -> Floats:
        """Return the score of each alone, in nats, shape (H,)."""
        value: Floats = self.cover @ weights + self.cost
        return value

    def distinct(self, numbers: Ints) -> Ints:
        """Return these without those that are variants of an earlier one."""
        _, first = np.unique(self.origin[numbers], return_index=True)
        kept: Ints = numbers[np.sort(first)].astype(np.int64)
        return kept


@dataclass(frozen=True, slots=True)
class Proposed:
    """P proposals over U units with O options, each a further claim of one of them.

    entity, fault, onset, favour: (P,), as in Hypotheses. cost, cover: of the signatures alone, (P,) and CSR
    (P, U). parent: whose option it is, (O,). extra, reach: what an option costs more and covers, (O,) and
    CSR (O, U).
    """

    entity: Ints
    fault: Ints
    onset: Ints
    favour: Floats
    cost: Floats
    cover: sparse.csr_array
    parent: Ints
    extra: Floats
    reach: sparse.csr_array

    def __len__(self) -> int:
        return len(self.entity)

    def variants(self, selections: Sequence[Bools]) -> Hypotheses:
        """Return the proposals with each of these selections of options, (O,), those alike once."""
        origins, picks = [], []
        for number, picked in enumerate(selections):
            fresh = np.ones(len(self), bool)
            for earlier in selections[:number]:
                fresh &= np.bincount(self.parent, picked != earlier, len(self)) > 0
            origins.append(np.flatnonzero(fresh))
            picks.append(picked & fresh[self.parent])
        origin = np.concatenate(origins)
        starts = np.cumsum([0, *[len(rows) for rows in origins]])
        row, column = self.cover[origin].nonzero()
        rows, columns = [row], [column]
        cost = self.cost[origin]
        for start, mine, picked in zip(starts, origins, picks, strict=False):
            options = np.flatnonzero(picked)
            place = np.searchsorted(mine, self.parent[options])
            np.add.at(cost, start + place, self.extra[options])
            row, column = self.reach[options].nonzero()
            rows.append(start + place[row])
            columns.append(column)
        return Hypotheses(
            self.entity[origin], self.fault[origin], cost,
            _ones(np.concatenate(rows), np.concatenate(columns), (len(origin), self.cover.shape[1])),
            self.onset[origin], self.favour[origin], origin,
        )  # fmt: skip

    def free(self) -> Bools:
        """Return which options cost nothing, (O,)."""
        return self.extra >= 0

    def worthwhile(self, found: Hypotheses, chosen: Ints, weights: Floats) -> Bools:
        """Return which options are worth their cost beside what the others of a set explain, (O,)."""
        times = np.zeros(len(weights), np.int64)
        np.add.at(times, found.cover[chosen].indices, 1)
        own = np.full(len(self), -1, np.int64)
        own[found.origin[chosen]] = chosen
        option, unit = (places.astype(np.int64) for places in self.reach.nonzero())
        parent = self.parent[option]
        mine = _have(found.cover, own[parent], unit)
        left = (times[unit] - mine <= 0) & ~_have(self.cover, parent, unit)
        worth = np.bincount(option, weights[unit] * left, len(self.parent)) + self.extra
        picked: Bools = (worth > 0) | self.free()
        return picked


def _ones(row: Ints, column: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return a CSR of ones at these places, each once."""
    code = np.unique(row.astype(np.int64) * shape[1] + column)
    row, column = np.divmod(code, max(shape[1], 1))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
    return sparse.csr_array((np.ones(len(code), np.int64), column, bounds), shape=shape)


def _have(matrix: sparse.csr_array, row: Ints, column: Ints) -> Bools:
    """Return which of these places are set; none in row -1."""
    width = matrix.shape[1]
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.isin(row * width + column, rows * width + matrix.indices) & (row >= 0)


ECHO_MS = 30 * MINUTE
"""What begins this long after a fault is over is none of its doing."""


class Stood(NamedTuple):
    """When the cause of an open incident began, was found, and was mostly over (None: it is not), in ms."""

    began: int
    found: int
    waned: int | None = None

    @property
    def echoes_until(self) -> int:
        """Until when effects of it may begin."""
        return AGES if self.waned is None else self.waned + ECHO_MS


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known before the evidence of a tick: rates of hot cells by family, changes, open incidents.

    standing: the times of the cause of each open incident, by (entity id, fault name). It has a small
    advantage, against flapping; and when its core is hot no more it still explains its effects.
    """

    rates: Floats
    changes: ChangeLog
    standing: dict[tuple[str, str], Stood]


def propose(evidence: Evidence, footprints: Footprints, book: FaultBook, prior: Prior) -> Proposed:
    """Return every proposal with something hot in its core, in the order of the book and of entities."""
    nats = weight(prior.rates)
    weights = Weights(nats, nats[evidence.cells.family])
    shown = {evidence.families[family] for family in np.unique(evidence.cells.family).tolist()}
    standing = {name for _, name in prior.standing}
    parts: list[tuple[int, Part]] = []
    for number, fault in enumerate(book.faults):
        if (
            fault.name not in standing
            and shown.isdisjoint(fault.core_families)
            and ANY not in fault.core_families
        ):
            continue
        draft = Draft(evidence, footprints, fault, prior, weights)
        if draft.rows.size:
            parts.append((number, draft.finish()))
    return _joined(parts, len(evidence.block))


def _joined(parts: list[tuple[int, Part]], units: int) -> Proposed:
    sizes = [len(part.entity) for _, part in parts]
    starts = np.cumsum([0, *sizes]).tolist()
    none, nothing = np.empty(0, np.int64), np.empty(0)
    return Proposed(
        np.concatenate([none, *[part.entity for _, part in parts]]),
        np.repeat([number for number, _ in parts], sizes).astype(np.int64),
        np.concatenate([none, *[part.onset for _, part in parts]]),
        np.concatenate([nothing, *[part.favour for _, part in parts]]),
        np.concatenate([nothing, *[part.core.cost for _, part in parts]]),
        _stacked([part.core for _, part in parts], units),
        np.concatenate([none, *[s + part.parent for s, (_, part) in zip(starts, parts, strict=False)]]),
        np.concatenate([nothing, *[part.options.cost for _, part in parts]]),
        _stacked([part.options for _, part in parts], units),
    )


def _stacked(parts: list[Rows], units: int) -> sparse.csr_array:
    none = np.empty(0, np.int64)
    covered = np.concatenate([none, *[part.covered for part in parts]])
    unit = np.concatenate([none, *[part.unit for part in parts]])
    bounds = np.concatenate([[0], np.cumsum(covered)])
    return sparse.csr_array((np.ones(len(unit), np.int64), unit, bounds), shape=(len(covered), units))
