"""From hypotheses to explanations: the set of causes, the belief in each, and who shows what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.catalog import SILENCE
from monitor.correlate.search import best_set
from monitor.topology import canonical_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.correlate.cells import CellKey
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultBook, FaultKind
    from monitor.correlate.hypotheses import Hypotheses
    from monitor.types import Bools, Floats, Ints, Signal

CANDIDATES = 20
"""Causes among which the belief is shared, beside `none of these`."""

_HARDWARE = (
    "gpu", "node", "rack", "row", "facility", "cdu", "pdu", "chiller", "switch", "fabric", "port"
)  # fmt: skip
_BOXES = ("node", "rack")


@dataclass(frozen=True)
class Explanation:
    """One cause of a tick with all that it explains.

    candidates: (entity, its likeliest fault, share of the belief), the greatest first; the cause's own share
    is `confidence`. onset: when the cause began, ms. cells: keys of the cells, sorted; strong: those at page
    level. sure: one of these is a signature of the fault; matters: some signature is off by as much as is
    of consequence. within: keys at page level that the cause, as any kind for its reason, could explain of
    what hangs on it. signals: those of the cells. affected: ids of those who show it or are silent because
    of it, sorted. nats: worth of its evidence less its cost.
    """

    entity: str
    index: int
    fault: FaultKind
    onset: int
    confidence: float
    candidates: tuple[tuple[str, int, float], ...]
    cells: tuple[CellKey, ...]
    strong: frozenset[CellKey]
    sure: bool
    matters: bool
    within: frozenset[CellKey]
    signals: tuple[Signal, ...]
    affected: tuple[str, ...]
    nats: float

    @property
    def reason(self) -> str:
        """What is wrong: the fault kind's reason, else that of the strongest signal."""
        return self.fault.reason or leading(self.signals).reason


def leading(signals: Sequence[Signal]) -> Signal:
    """Return the signal that says most: at page level, then by its evidence."""
    return max(signals, key=lambda s: (s.page or s.hard, s.score))


@dataclass(frozen=True)
class Reading:
    """What a tick's evidence was read as: the explanations, and the cells that no cause explains."""

    explanations: tuple[Explanation, ...]
    loose: Ints


def explain(evidence: Evidence, book: FaultBook, found: Hypotheses) -> Reading:
    """Choose the causes and share out the evidence among them."""
    claims = best_set(found.costs, found.cover, evidence.unit_weight)
    causes, units = _by_need(evidence, found, claims)
    owner = _owners(evidence, units)
    believed = _Belief(evidence, found, units)
    explanations = [
        _explanation(evidence, book, found, cause, believed.around(k), np.flatnonzero(owner == k))
        for k, cause in enumerate(causes.tolist())
    ]
    kept = [explanation for explanation in explanations if explanation.cells]
    return Reading(tuple(kept), np.flatnonzero((owner < 0) & evidence.live))


def _by_need(evidence: Evidence, found: Hypotheses, claims: Ints) -> tuple[Ints, list[Ints]]:
    """Return the causes of a set and what each explains, those first without which most would be lost."""
    causes = np.unique(found.costs.group[claims])
    mine = [claims[found.costs.group[claims] == cause] for cause in causes.tolist()]
    units = [found.units(some) for some in mine]
    times = np.bincount(np.concatenate([np.empty(0, np.int64), *units]), minlength=len(evidence.block))
    sole = np.where(times == 1, evidence.unit_weight, 0.0)
    need = np.array([sole[u].sum() + found.costs.of_set(some) for u, some in zip(units, mine, strict=True)])
    order = np.lexsort((causes, -need))
    return causes[order], [units[k] for k in order.tolist()]


def _owners(evidence: Evidence, explained: list[Ints]) -> Ints:
    """Return for each cell which of the causes explains it, the most needed first, else -1; shape (C,)."""
    of_unit = np.full(len(evidence.block), -1, np.int64)
    for k in range(len(explained) - 1, -1, -1):
        of_unit[explained[k]] = k
    owner = np.where(evidence.live, of_unit[evidence.unit], -1) if len(of_unit) else np.full(0, -1, np.int64)
    derived = np.flatnonzero(~evidence.live & (evidence.follows >= 0))
    leader = evidence.follows[derived]
    for _ in range(8):
        onward = (evidence.follows[leader] >= 0) & ~evidence.live[leader]
        leader = np.where(onward, evidence.follows[leader], leader)
    owner[derived] = owner[leader]
    return owner


class _Belief:
    """Posterior of each cause among those that could explain the same evidence."""

    def __init__(self, evidence: Evidence, found: Hypotheses, explained: list[Ints]) -> None:
        self._found, self._weights, self._explained = found, evidence.unit_weight, explained
        self._times = np.zeros(len(evidence.block), np.int64)
        for units in explained:
            self._times[units] += 1
        self._by_unit = found.cover.tocsc()

    def around(self, number: int) -> list[tuple[int, int, float]]:
        """Return (entity, fault, share) of the candidates for what one of the set alone explains, best first.

        The shares of one entity's fault kinds are added; with `none of these` they sum to 1.
        """
        found, units = self._found, self._explained[number]
        weights = np.where(self._times == 0, self._weights, 0.0)
        weights[units] = np.where(self._times[units] <= 1, self._weights[units], 0.0)
        rivals = np.unique(found.costs.group[self._by_unit[:, units].indices])
        value = found.value(weights, rivals) - found.favour[rivals]
        first = np.lexsort((rivals, -value))[:CANDIDATES]
        numbers, shares = rivals[first], _softmax(np.append(value[first], 0.0))[:-1]
        total: dict[int, tuple[int, float]] = {}
        for entity, fault, share in zip(
            found.entity[numbers].tolist(),
            found.fault[numbers].tolist(),
            shares.tolist(),
            strict=True,
        ):
            best, sum_ = total.get(entity, (fault, 0.0))
            total[entity] = (best, sum_ + share)
        told = [(entity, fault, share) for entity, (fault, share) in total.items()]
        return sorted(told, key=lambda item: (-item[2], item[0]))


def _softmax(nats: Floats) -> Floats:
    shares = np.exp(nats - nats.max())
    result: Floats = shares / shares.sum()
    return result


def _explanation(
    evidence: Evidence,
    book: FaultBook,
    found: Hypotheses,
    number: int,
    shares: list[tuple[int, int, float]],
    cells: Ints,
) -> Explanation:
    ids = evidence.relations.graph.ids
    entity = int(found.entity[number])
    units = np.unique(evidence.unit[cells[evidence.live[cells]]])
    chosen = np.zeros(len(evidence.cells), bool)
    chosen[cells] = True
    keys = sorted(evidence.cells.keys[cell] for cell in cells.tolist())
    strong = evidence.cells.strong
    signals = np.flatnonzero(chosen[evidence.cells.of_signal]).tolist()
    return Explanation(
        entity=ids[entity],
        index=entity,
        fault=book.faults[int(found.fault[number])],
        onset=int(found.onset[number]),
        confidence=next((share for i, _, share in shares if i == entity), 0.0),
        candidates=tuple([(ids[i], fault, share) for i, fault, share in shares]),
        cells=tuple(keys),
        strong=frozenset([evidence.cells.keys[c] for c in cells[strong[cells]].tolist()]),
        sure=_any_in(evidence.unit[cells[evidence.page[cells]]], found.signature(number)),
        matters=_any_in(evidence.unit[cells[evidence.matters[cells]]], found.signature(number)),
        within=frozenset([evidence.cells.keys[c] for c in _within(evidence, book, found, number)]),
        signals=tuple([evidence.cells.signals[s] for s in signals]),
        affected=tuple(sorted(ids[i] for i in _affected(evidence, entity, cells).tolist())),
        nats=float(evidence.unit_weight[units].sum() + found.costs.shared[number]),
    )


def _within(evidence: Evidence, book: FaultBook, found: Hypotheses, number: int) -> list[int]:
    """Return what stands at page level that a cause could explain of itself and of what hangs on it.

    A CDU of which only the flow is known to be low is, for the same reason, what heats what hangs on it.
    """
    reason = book.faults[int(found.fault[number])].reason
    of_entity = np.flatnonzero(found.entity == found.entity[number]).tolist()
    same = [k for k in of_entity if book.faults[int(found.fault[k])].reason == reason]
    return _strong_in(evidence, np.concatenate([found.within(k) for k in same]))


def _any_in(units: Ints, signature: Ints) -> bool:
    return bool(np.isin(units, signature).any())


def _strong_in(evidence: Evidence, units: Ints) -> list[int]:
    """Return the cells at page level that belong to some units, or repeat what does."""
    inside = np.zeros(len(evidence.block) + 1, bool)  # the last one serves what repeats nothing (-1)
    inside[units] = True
    unit = np.where(evidence.live, evidence.unit, np.append(evidence.unit, -1)[evidence.follows])
    found: list[int] = np.flatnonzero(evidence.cells.strong & inside[unit]).tolist()
    return found


def _affected(evidence: Evidence, cause: int, cells: Ints) -> Ints:
    """Return who shows it: not hardware elsewhere that carries the load or waits for it."""
    relations = evidence.relations
    kind = (canonical_kind(relations.graph.kinds[cause]),)
    row = int(np.searchsorted(relations.of(kind), cause))
    near = np.zeros(relations.n, bool)
    near[relations.reach(cause)] = True
    for relation in ("beneath", "ports"):
        near[relations.matrix(relation, kind, ())[[row]].indices] = True
    near[cause] = True
    excluded = relations.mask(_HARDWARE) & ~near
    block = np.where(evidence.live[cells], evidence.block[evidence.unit[cells]], -1)
    entity = evidence.cells.entity[cells]
    shown = ((block < 0) | (block == cause) | near[entity]) & ~excluded[entity]
    shown &= ~(evidence.cells.group[cells] & ~near[entity])
    hit = np.zeros(relations.n, bool)
    hit[entity[shown]] = True
    silent = shown & (evidence.cells.family[cells] == evidence.families.index(SILENCE))
    for i in entity[silent].tolist():
        inside = relations.graph.descendants(i)
        hit[inside[evidence.observation.reporting[inside]]] = True
    boxes = relations.mask(_BOXES) & near
    if boxes.any():
        hit |= _boxes(relations.graph.parent, boxes, hit)
    reach = relations.reach(cause)
    hit[cause] |= reach.size > 0 and 2 * np.count_nonzero(hit[reach]) >= reach.size
    return np.flatnonzero(hit)


def _boxes(parent: Ints, able: Bools, hit: Bools) -> Bools:
    """Return the nodes and racks of which half the children show it."""
    boxes = np.zeros(len(hit), bool)
    inside = np.flatnonzero(parent >= 0)
    children = np.maximum(np.bincount(parent[inside], minlength=len(hit)), 1)
    for _ in range(2):
        counts = np.bincount(parent[inside], weights=(hit | boxes)[inside], minlength=len(hit))
        boxes |= able & (2 * counts >= children) & (counts > 0)
    return boxes
