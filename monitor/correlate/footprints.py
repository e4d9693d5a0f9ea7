"""Which cells lie in the footprint of which cause, and how many entities there are quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from monitor.correlate.faults import ANY
from monitor.correlate.relations import WORKLOADS

if TYPE_CHECKING:
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import Term
    from monitor.types import Bools, Floats, Ints

_OVERLAP = 0.5
"""A mean is explained by a cause that reaches this share of its members."""


class Footprints:
    """Cells and quiet entities by cause, for one tick. K is the number of entities of the causes' kinds."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self._relations = evidence.relations
        self._numbers = {name: number for number, name in enumerate(evidence.families)}
        self._hits: dict[tuple[tuple[str, ...], int], sparse.csr_array | None] = {}
        self._means: dict[tuple[str, ...], sparse.csr_array] = {}
        self._quiet: dict[tuple[str, tuple[str, ...], tuple[str, ...], int], Floats] = {}

    def hits(self, causes: tuple[str, ...], term: Term) -> sparse.csr_array | None:
        """Return which cells each cause would explain by a term, CSR (K, C), or None for none at all."""
        key = (causes, id(term))  # the terms live as long as the book
        if key not in self._hits:
            self._hits[key] = self._find_hits(causes, term)
        return self._hits[key]

    def _find_hits(self, causes: tuple[str, ...], term: Term) -> sparse.csr_array | None:
        if term.at == "workload":
            return None
        shown = self._shown(term)
        if term.of:
            shown &= self._relations.mask(term.of)[self.evidence.cells.entity] | self.evidence.cells.group
        if not shown.any():
            return None
        single = shown & ~self.evidence.cells.group
        found: sparse.csr_array | None = None
        if single.any():
            matrix = self._relations.matrix(term.at, causes, term.of)
            found = matrix @ self._columns(single)
        if term.at != "self" and (shown & self.evidence.cells.group).any():
            means = self._reached_means(causes) @ self._pick(shown)
            found = means if found is None else found + means
        return found if found is not None and found.nnz else None

    def blocks(self, causes: tuple[str, ...], term: Term) -> sparse.csr_array | None:
        """Return which blocks each cause would explain by a `workload` term, CSR (K, U), or None."""
        if term.at != "workload":
            return None
        evidence = self.evidence
        cell_of = np.full(len(evidence.block), -1, np.int64)
        cell_of[evidence.unit[evidence.live]] = np.flatnonzero(evidence.live)
        shown = (evidence.block >= 0) & self._shown(term)[cell_of]
        units = np.flatnonzero(shown)
        if not units.size:
            return None
        entry = sparse.csr_array(
            (evidence.unit_size[units], (evidence.block[units], units)),
            shape=(self._relations.n, len(evidence.block)),
        )
        own = self._relations.matrix("self", causes, ())
        victims = self._relations.matrix("victims", causes, WORKLOADS)
        return sparse.csr_array((own + victims) @ entry)

    def quiet(self, causes: tuple[str, ...], term: Term, family: str) -> Floats:
        """Return how many entities of a term's footprint are quiet in a family, shape (K,)."""
        number = self._numbers[family]
        key = (term.at, causes, term.of, number)
        if key not in self._quiet:
            matrix = self._relations.matrix(term.at, causes, term.of)
            self._quiet[key] = matrix @ self.evidence.quiet(number)
        return self._quiet[key]

    def to_units(self, hits: sparse.csr_array) -> sparse.csr_array:
        """Return how many cells of each unit are hit, CSR (rows, U)."""
        evidence = self.evidence
        live = np.flatnonzero(evidence.live)
        shape = (len(evidence.cells), len(evidence.block))
        return hits @ sparse.csr_array(
            (np.ones(len(live), np.int64), (live, evidence.unit[live])), shape=shape
        )

    def whole(self, counts: sparse.csr_array) -> sparse.csr_array:
        """Return which units are explained: single cells, and blocks of which half the cells are."""
        kept = counts.tocsr()
        kept.sum_duplicates()
        enough = 2 * kept.data >= self.evidence.unit_size[kept.indices]
        kept.data = enough.astype(np.int64)
        kept.eliminate_zeros()
        return kept

    def in_family(self, family: str) -> Bools:
        """Return which cells are of a family, shape (C,)."""
        inside: Bools = self.evidence.cells.family == self._numbers[family]
        return inside

    def _shown(self, term: Term) -> Bools:
        """Return the live cells whose family and sign a term expects, shape (C,)."""
        cells = self.evidence.cells
        shown = np.zeros(len(cells), bool)
        for family, sign in term.signs:
            alike = np.ones(len(cells), bool) if family == ANY else self.in_family(family)
            shown |= alike & ((cells.sign == 0) | (cells.sign == sign) | (sign == 0))
        return shown & self.evidence.live

    def _columns(self, chosen: Bools) -> sparse.csr_array:
        """Return the matrix from entities to chosen cells, CSR (n, C)."""
        cells = np.flatnonzero(chosen)
        entries = (self.evidence.cells.entity[cells], cells)
        shape = (self._relations.n, len(chosen))
        return sparse.csr_array((np.ones(len(cells), np.int64), entries), shape=shape)

    def _pick(self, chosen: Bools) -> sparse.csr_array:
        """Return the matrix from means to those of their cells that are chosen, CSR (G, C)."""
        groups = self.evidence.groups.cell
        kept = np.flatnonzero(chosen[groups])
        shape = (len(groups), len(chosen))
        return sparse.csr_array((np.ones(len(kept), np.int64), (kept, groups[kept])), shape=shape)

    def _reached_means(self, causes: tuple[str, ...]) -> sparse.csr_array:
        """Return which means each cause moves, CSR (K, G): its own, its victims', those it mostly reaches."""
        if causes not in self._means:
            relations, groups = self._relations, self.evidence.groups
            reach = relations.matrix("self", causes, ())
            reach = reach + relations.matrix("beneath", causes, ()) + relations.matrix("members", causes, ())
            share = sparse.coo_array(reach @ groups.members.T)
            size = np.maximum(np.diff(groups.members.indptr), 1)
            enough = share.data >= _OVERLAP * size[share.col]
            shape = (reach.shape[0], len(groups.cell))
            own = reach + relations.matrix("victims", causes, ())
            entity: Ints = self.evidence.cells.entity[groups.cell]
            picked = sparse.csr_array(
                (np.ones(len(entity), np.int64), (entity, np.arange(len(entity)))),
                shape=(relations.n, shape[1]),
            )
            most = sparse.csr_array(
                (np.ones(int(enough.sum()), np.int64), (share.row[enough], share.col[enough])), shape=shape
            )
            total = sparse.csr_array(most + own @ picked)
            total.data = np.ones_like(total.data)
            self._means[causes] = total
        return self._means[causes]
