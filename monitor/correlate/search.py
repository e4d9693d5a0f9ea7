"""The cheapest set of causes: one local search over hypotheses (Hypotheses say how they are scored).

A set S is worth the sum of its costs plus the weights of all units that one of it covers, each counted once.
Hypotheses of one group are the same cause with other claims; what they cost together counts once. Coverage
is submodular, so what a hypothesis is worth alone bounds what it can add to a set without its group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

    from monitor.types import Bools, Floats, Ints

    Ousted = tuple[Ints, Ints]  # where each one's begin, and whom it ousts, ascending

_EPSILON = 1e-9
_MAX_MOVES = 10_000
_ATTEMPTS = 32
_ALL, _ALL_NNZ = 8, 2_000
_FEW = 16
"""Up to so many hypotheses are each tried as a start; without, 0.6 % of small random cases are missed."""


class Costs(NamedTuple):
    """What H hypotheses cost in nats: each its own, (H,), and each group, (G,), once. group: whose, (H,)."""

    own: Floats
    group: Ints
    shared: Floats

    @classmethod
    def of(cls, cost: Floats) -> Costs:
        """Return the costs of hypotheses that share nothing."""
        return cls(cost, np.arange(len(cost)), np.zeros(len(cost)))

    @property
    def whole(self) -> Floats:
        """The cost of each alone, (H,)."""
        whole: Floats = self.own + self.shared[self.group]
        return whole

    def some(self, numbers: Ints) -> Costs:
        """Return the costs of some of them."""
        return Costs(self.own[numbers], self.group[numbers], self.shared)

    def of_set(self, chosen: Ints) -> float:
        """Return what a set costs."""
        return float(self.own[chosen].sum() + self.shared[np.unique(self.group[chosen])].sum())


def worth(chosen: Ints, costs: Costs, cover: sparse.csr_array, weights: Floats) -> float:
    """Return the worth of a set of hypotheses, in nats."""
    covered = np.unique(cover[chosen].indices) if len(chosen) else np.empty(0, np.int64)
    return costs.of_set(chosen) + float(weights[covered].sum())


def best_set(costs: Costs, cover: sparse.csr_array, weights: Floats) -> Ints:
    """Return the hypotheses, ascending, of a set that no move improves.

    cover: CSR of ones, (H, U). weights: nats, (U,), not negative. Moves: add one and leave out all that it
    makes superfluous (add, swap, merge), drop one, replace one by several (split). Of a few hypotheses all
    sets are looked at instead. Ties go to the lower number.
    """
    search = _Search(costs, cover, weights)
    if search.small:
        return search.enumerate()
    starts = [search.empty(), search.cheapest(), *search.singles()]
    return max([search.run(start) for start in starts], key=lambda found: found[0])[1]


class _Search:
    """A set of hypotheses under improvement.

    times: how many of it cover each unit, (U,). members: how many of it are of each group, (G,).
    """

    def __init__(self, costs: Costs, cover: sparse.csr_array, weights: Floats) -> None:
        alone = cover @ weights
        able = np.zeros(len(costs.shared), bool)
        able[costs.group[alone + costs.whole > _EPSILON]] = True
        able = np.flatnonzero(able[costs.group] & (alone + costs.own > _EPSILON))
        self._able = able
        self._costs, self._cover, self._weights = costs.some(able), cover[able], weights
        self._cost = self._costs.whole
        self._row = np.repeat(np.arange(len(able)), np.diff(self._cover.indptr))
        self._unit = self._cover.indices.astype(np.int64)
        self._columns = self._cover.tocsc()
        self._within = np.zeros(len(able), bool)
        self._times = np.zeros(len(weights), np.int64)
        self._members = np.zeros(len(costs.shared), np.int64)

    @property
    def small(self) -> bool:
        """Whether all sets can be looked at."""
        return len(self._cost) <= _ALL and self._cover.nnz <= _ALL_NNZ

    def enumerate(self) -> Ints:
        """Return the best of all sets; of equal ones the first in the order of binary numbers."""
        size = len(self._cost)
        sets = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
        units = np.unique(self._unit)
        covered = sets @ self._cover.toarray()[:, units] > 0
        own, group, shared = self._costs
        groups, place = np.unique(group, return_inverse=True)
        present = sets @ np.eye(len(groups), dtype=np.int64)[place] > 0
        value = sets @ own + present @ shared[groups] + covered @ self._weights[units]
        first = int(np.flatnonzero(value >= value.max() - _EPSILON)[0])
        return self._able[np.flatnonzero(sets[first])]

    def empty(self) -> Ints:
        """Start from nothing: big causes come first."""
        return np.empty(0, np.int64)

    def cheapest(self) -> Ints:
        """Start from the cheapest cause of each unit alone: small causes come first."""
        order = np.lexsort((self._row, -self._cost[self._row], self._unit))
        first = np.flatnonzero(np.diff(self._unit[order], prepend=-1))
        return np.unique(self._row[order[first]])

    def singles(self) -> list[Ints]:
        """Start from each hypothesis, where there are few."""
        size = len(self._cost)
        return [np.array([number]) for number in range(size)] if size <= _FEW else []

    def run(self, start: Ints) -> tuple[float, Ints]:
        """Improve a set until no move does; return its worth and its hypotheses."""
        self._within[:], self._times[:], self._members[:] = False, 0, 0
        for number in start.tolist():
            self._add(number)
        self._drop()
        self.climb()
        while self.split():
            self.climb()
        return self._worth(), self._able[np.flatnonzero(self._within)]

    def climb(self, barred: Bools | None = None) -> None:
        """Add, swap, merge and drop until nothing improves; the barred, shape (H,), are not added."""
        for _ in range(_MAX_MOVES):
            gain, ousted = self._moves()
            if barred is not None:
                gain[barred] = -np.inf
            if not self._apply(gain, ousted):
                return

    def split(self) -> bool:
        """Replace one of the set by what explains its part better without it; True if one was."""
        for number in self._splittable().tolist():
            before, kept = self._worth(), self._kept()
            self._remove(number)
            self.climb(self._too_much(number))
            if self._worth() > before + _EPSILON:
                return True
            self._within, self._times, self._members = kept
        return False

    def _too_much(self, number: int) -> Bools:
        """Return what cannot be one of several for `number`: it costs no less, or covers all of its units."""
        mine = np.zeros(len(self._weights), bool)
        mine[self._units(number)] = True
        shared = np.bincount(self._row, mine[self._unit], len(self._cost))
        barred: Bools = (self._cost <= self._cost[number]) | (shared >= mine.sum())
        return barred

    def _splittable(self) -> Ints:
        """Return those of the set whose units two others could conceivably explain for less."""
        numbers = np.flatnonzero(self._within)
        best = np.full(len(self._weights), -np.inf)
        np.maximum.at(best, self._unit, self._cost[self._row])
        other = np.full(len(self._cost), -np.inf)
        np.maximum.at(other, self._row, best[self._unit])
        units = np.diff(self._cover.indptr)
        hopeful = (units[numbers] > 1) & (2 * other[numbers] > self._cost[numbers])
        return numbers[hopeful]

    def _kept(self) -> tuple[Bools, Ints, Ints]:
        return self._within.copy(), self._times.copy(), self._members.copy()

    def _worth(self) -> float:
        covered = self._weights[self._times > 0].sum()
        return float(
            covered + self._costs.own[self._within].sum() + self._costs.shared[self._members > 0].sum()
        )

    def _own(self) -> Floats:
        """Return what each of the set alone contributes to it, in nats; 0 for the others."""
        last = self._members[self._costs.group] == 1
        own = self._sole() + self._costs.own + self._costs.shared[self._costs.group] * last
        return np.where(self._within, own, 0.0)

    def _sole(self) -> Floats:
        """Return the weight of what each covers and at most one of the set does."""
        sole = self._weights * (self._times == 1)
        found: Floats = np.bincount(self._row, sole[self._unit], len(self._cost)).astype(np.float64)
        return found

    def _moves(self) -> tuple[Floats, Ousted]:
        """Return what adding each would gain with all that it ousts left out, and whom it ousts.

        One of the set is ousted where its own contribution, less what the new one covers too, is negative;
        those of one group bear what they share in equal parts, unless the new one is of that group too.
        """
        own, group, shared = self._costs
        free = self._weights * (self._times == 0)
        fresh = np.bincount(self._row, free[self._unit], len(self._cost)).astype(np.float64)
        gain = fresh + own + shared[group] * (self._members[group] == 0)
        gain[self._within] = -np.inf
        part = shared[group] / np.maximum(self._members[group], 1)
        mine = self._sole() + own
        row, holder, both = self._shared()
        left = mine[holder] - both + part[holder] * (group[row] != group[holder])
        ousts = (left < -_EPSILON) & ~self._within[row]
        row, holder = row[ousts], holder[ousts]
        np.add.at(gain, row, -left[ousts])
        return gain, (np.searchsorted(row, np.arange(len(self._cost) + 1)), holder)

    def _shared(self) -> tuple[Ints, Ints, Floats]:
        """Return (row, one of the set, the weight of units of the row that this one alone covers), sorted."""
        inside = self._within[self._row] & (self._times[self._unit] == 1)
        owner = np.full(len(self._weights), -1, np.int64)
        owner[self._unit[inside]] = self._row[inside]
        held = owner[self._unit]
        kept = held >= 0
        size = max(len(self._cost), 1)
        pairs, place = np.unique(self._row[kept] * size + held[kept], return_inverse=True)
        weight = np.bincount(place, self._weights[self._unit[kept]], len(pairs)).astype(np.float64)
        return pairs // size, pairs % size, weight

    def _apply(self, gain: Floats, ousted: Ousted) -> bool:
        """Make the best moves that do not touch each other's units; False if none improves."""
        order = np.argsort(-gain, kind="stable")
        order = order[gain[order] > _EPSILON]
        attempts = [order.tolist(), *[[number] for number in order[:_ATTEMPTS].tolist()]]
        return bool(order.size) and any(self._try(numbers, ousted) for numbers in attempts)

    def _try(self, numbers: list[int], ousted: Ousted) -> bool:
        """Make these moves, in order, as far as they do not touch; take them back if they do not improve."""
        before, kept = self._worth(), self._kept()
        touched = np.zeros(len(self._weights), bool)
        blocked = np.zeros(len(self._cost), bool)
        for number in numbers:
            if blocked[number]:
                continue
            out = ousted[1][ousted[0][number] : ousted[0][number + 1]].tolist()
            if any(touched[self._units(k)].any() for k in out):
                continue
            for k in (number, *out):
                touched[self._units(k)] = True
                blocked[self._touching(k)] = True
            for k in out:
                self._remove(k)
            self._add(number)
        self._drop()
        if self._worth() > before + _EPSILON:
            return True
        self._within, self._times, self._members = kept
        return False

    def _touching(self, number: int) -> Ints:
        """Return the hypotheses that share a unit with one."""
        bounds = self._columns.indptr
        runs = [self._columns.indices[bounds[u] : bounds[u + 1]] for u in self._units(number).tolist()]
        return np.concatenate([np.empty(0, np.int64), *runs])

    def _drop(self) -> None:
        """Drop the least useful of the set until all are useful."""
        while True:
            own = np.where(self._within, self._own(), np.inf)
            worst = int(np.argmin(own)) if own.size else 0
            if not own.size or own[worst] >= -_EPSILON:
                return
            self._remove(worst)

    def _units(self, number: int) -> Ints:
        return self._unit[self._cover.indptr[number] : self._cover.indptr[number + 1]]

    def _add(self, number: int) -> None:
        self._within[number] = True
        self._members[self._costs.group[number]] += 1
        self._times[self._units(number)] += 1

    def _remove(self, number: int) -> None:
        self._within[number] = False
        self._members[self._costs.group[number]] -= 1
        self._times[self._units(number)] -= 1
