"""Hypotheses: which entity may have which fault, what it would explain, and what speaks against it.

score = ln(prior) + change + sum over the families of its terms of
        ln mean over q of exp(H ln(q / f) + Q ln((1 - q) / (1 - f))),

with H hot and Q quiet entities of the footprint, f the share of hot ones in healthy time, and each of the
logarithms clipped to [-3, 7]. It is kept in two parts, so that sets of causes can be searched: what a
hypothesis explains is the weight of its units, counted once for a whole set; the rest is its `cost`. Side
effects count only as far as they speak for it, and are options: what they claim may be left to other causes
that explain it for less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from monitor.correlate.drafts import AGES, Draft, Weights
from monitor.correlate.evidence import weight
from monitor.correlate.faults import ANY
from monitor.correlate.search import Costs
from monitor.units import MINUTE

if TYPE_CHECKING:
    from monitor.correlate.changes import ChangeLog
    from monitor.correlate.drafts import Part, Rows
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultBook
    from monitor.correlate.footprints import Footprints
    from monitor.types import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """P causes over U units, and H ways to claim more or less with them.

    entity: index of the cause, (P,). fault: index in the book, (P,). onset: when it began, ms, (P,). favour:
    the part of the cost that a standing incident has in advance, nats, (P,). costs: of H claims, of which
    those of one cause are a group. core: CSR (P, U) of ones, the signatures. cover: CSR (H, U) of ones, what
    each explains. bare: which claims are the signatures alone, one for each cause, (H,). bundle: which are
    all options of a cause together, (H,). near: which claim but what hangs on the cause itself, (H,).
    """

    entity: Ints
    fault: Ints
    onset: Ints
    favour: Floats
    costs: Costs
    core: sparse.csr_array
    cover: sparse.csr_array
    bare: Bools
    bundle: Bools
    near: Bools

    def __len__(self) -> int:
        return len(self.entity)

    def units(self, claims: Ints) -> Ints:
        """Return what some claims explain together, ascending."""
        return np.unique(self.cover[claims].indices).astype(np.int64)

    def within(self, cause: int) -> Ints:
        """Return what a cause could explain of itself and of what hangs on it, ascending."""
        return self.units(np.flatnonzero(self.near & (self.costs.group == cause)))

    def signature(self, cause: int) -> Ints:
        """Return what a cause explains by its signatures, ascending."""
        return np.unique(self.core[[cause]].indices).astype(np.int64)

    def value(self, weights: Floats, causes: Ints) -> Floats:
        """Return what causes are worth in nats, each alone, with the options that are worth their cost."""
        wanted = np.zeros(len(self), bool)
        wanted[causes] = True
        group = self.costs.group
        claims = np.flatnonzero(wanted[group] & ~self.bundle)
        cover, group = self.cover[claims], group[claims]
        worth = cover @ weights + self.costs.own[claims]
        least = np.full(len(self), -np.inf)
        least[group[self.bare[claims]]] = worth[self.bare[claims]]
        taken = self.bare[claims] | (worth > least[group])
        units, cause = cover[taken].tocoo(), group[taken]
        pairs = np.unique(cause[units.row] * cover.shape[1] + units.col)
        value = self.costs.shared + np.bincount(cause, self.costs.own[claims][taken], len(self))
        width = max(cover.shape[1], 1)
        value += np.bincount(pairs // width, weights[pairs % width], len(self))
        found: Floats = value[causes]
        return found


ECHO_MS = 30 * MINUTE
"""What begins this long after a fault is over is none of its doing."""


class Stood(NamedTuple):
    """When the cause of an open incident began, was found, and was mostly over (None: it is not), in ms.

    gross: some of it stood at page level.
    """

    began: int
    found: int
    waned: int | None = None
    gross: bool = False

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


def propose(evidence: Evidence, footprints: Footprints, book: FaultBook, prior: Prior) -> Hypotheses:
    """Return every hypothesis with something hot in its core, in the order of the book and of entities."""
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


def _joined(parts: list[tuple[int, Part]], units: int) -> Hypotheses:
    sizes = [len(part.entity) for _, part in parts]
    starts = np.cumsum([0, *sizes]).tolist()
    none, nothing = np.empty(0, np.int64), np.empty(0)
    core = _stacked([part.core for _, part in parts], units)
    options = _stacked([part.options for _, part in parts], units)
    parent = np.concatenate([none, *[s + part.parent for s, (_, part) in zip(starts, parts, strict=False)]])
    extra = np.concatenate([nothing, *[part.options.cost for _, part in parts]])
    near = np.concatenate([np.empty(0, bool), *[part.near for _, part in parts]])
    group, own, cover = _claims(core, options, parent, extra)
    total, dear = starts[-1], extra < 0
    close = np.zeros(len(own), bool)
    close[:total] = True
    close[total : total + np.count_nonzero(dear)] = near[dear]
    return Hypotheses(
        np.concatenate([none, *[part.entity for _, part in parts]]),
        np.repeat([number for number, _ in parts], sizes).astype(np.int64),
        np.concatenate([none, *[part.onset for _, part in parts]]),
        np.concatenate([nothing, *[part.favour for _, part in parts]]),
        Costs(own, group, np.concatenate([nothing, *[part.core.cost for _, part in parts]])),
        core,
        cover,
        np.arange(len(own)) < total,
        np.arange(len(own)) >= total + np.count_nonzero(dear),
        close,
    )


def _claims(
    core: sparse.csr_array, options: sparse.csr_array, parent: Ints, extra: Floats
) -> tuple[Ints, Floats, sparse.csr_array]:
    """Return whose each claim is, what it costs beside the signatures, and what it covers with them.

    First the signatures of each cause, with what costs nothing more; then with one option that does; then,
    where a cause has several of those, with all of them.
    """
    causes = core.shape[0]
    dear = np.flatnonzero(extra < 0)
    free = np.flatnonzero(extra >= 0)
    several = np.flatnonzero(np.bincount(parent[dear], minlength=causes) > 1)
    group = np.concatenate([np.arange(causes), parent[dear], several])
    own = np.concatenate(
        [np.zeros(causes), extra[dear], np.bincount(parent[dear], extra[dear], causes)[several]]
    )
    own[:causes] += np.bincount(parent[free], extra[free], causes)
    own[causes:] += own[group[causes:]]
    row, column = core.nonzero()
    option, unit = options.nonzero()
    gratis = extra[option] >= 0
    base_row = np.concatenate([row, parent[option[gratis]]])
    base_column = np.concatenate([column, unit[gratis]])
    bare = _ones(base_row, base_column, core.shape)
    repeated, columns = (places.astype(np.int64) for places in bare[group].nonzero())
    place = np.full(len(extra), -1, np.int64)
    place[dear] = causes + np.arange(len(dear))
    whole = np.full(causes, -1, np.int64)
    whole[several] = causes + len(dear) + np.arange(len(several))
    option, unit = option[~gratis], unit[~gratis]
    bundled = whole[parent[option]]
    rows = np.concatenate([repeated, place[option], bundled[bundled >= 0]])
    columns = np.concatenate([columns, unit, unit[bundled >= 0]])
    return group, own, _ones(rows, columns, (len(group), core.shape[1]))


def _stacked(parts: list[Rows], units: int) -> sparse.csr_array:
    none = np.empty(0, np.int64)
    covered = np.concatenate([none, *[part.covered for part in parts]])
    unit = np.concatenate([none, *[part.unit for part in parts]])
    bounds = np.concatenate([[0], np.cumsum(covered)])
    return sparse.csr_array((np.ones(len(unit), np.int64), unit, bounds), shape=(len(covered), units))


def _ones(row: Ints, column: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return a CSR of ones at these places, each once."""
    code = np.unique(row.astype(np.int64) * shape[1] + column)
    row, column = np.divmod(code, max(shape[1], 1))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=shape[0]))])
    return sparse.csr_array((np.ones(len(code), np.int64), column, bounds), shape=shape)
