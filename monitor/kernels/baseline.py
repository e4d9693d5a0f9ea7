"""Phase I: each row's own level and spread, learnt, then frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.kernels.compiled import loops
from monitor.units import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from monitor.types import Bools, Floats, Ints

REGIMES = 2
HALF_NORMAL = 1.2533
"""sigma / E|x| of a normal variable: sqrt(pi / 2)."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How long a row learns: times in ms of telemetry, gaps left out (contract: Learning).

    A level is compared with peers' levels from `peers_ms` on, is the row's own reference, provisionally,
    from `own_ms` and `points` on, and is frozen at `freeze_ms`. A row without peers never freezes. It
    has two levels, which follow with time constants of `recent_ms` and `long_ms`.
    """

    peers_ms: int = 30 * MINUTE
    own_ms: int = 2 * HOUR
    freeze_ms: int = 150 * MINUTE
    recent_ms: int = 6 * HOUR
    long_ms: int = 28 * DAY
    cycles_ms: int = 2 * DAY
    points: int = 30

    def is_own(self, points: Ints, learnt_ms: Ints) -> Bools:
        """Return which levels are references of their own, given what they rest on."""
        own: Bools = (learnt_ms >= self.own_ms) & (points >= self.points)
        return own


@dataclass(frozen=True, slots=True)
class Points:
    """One round: residuals r (NaN = none) at ts, the rhythm of each row in ms, its regime (0 or 1)."""

    end: int
    r: Floats
    ts: Ints
    rhythm: Floats
    regime: Ints


@dataclass(frozen=True, slots=True)
class _Round:
    points: Points
    d: Floats
    sigma: Floats
    gap: Floats
    lone: Bools


@dataclass(frozen=True, slots=True)
class Levelled:
    """What a step of the baseline says; all of shape (n,).

    d: deviation from the level; sigma: the row's spread; points, learnt_ms: what the level rests on;
    offset: the level before this point.
    """

    d: Floats
    sigma: Floats
    offset: Floats
    points: Ints
    learnt_ms: Ints


class Baseline:
    """Levels by regime (a GPU idle or busy has two), and one spread, of every row.

    level += gain x clip(d, +-4 sigma), with gain 1/k at the k-th point of a regime until it is frozen;
    spread = 1.2533 x mean |d| (for a normal variable sigma; a lone outlier moves it little, since |d| is
    clipped at 6 spreads). Points that do not train leave everything as it is. 48 bytes a row.

    Until two days were seen, a lone row deviates only by what lies outside the span of its recent and its
    long-run level: a contrast with the recent past alone calls the return from an excursion a fault, a
    level alone each daily cycle. Then the long-run level is the reference: a contrast misses slow faults.
    """

    def __init__(self, n: int = 0, learning: Learning | None = None) -> None:
        self.learning = learning or Learning()
        self._columns = Columns(
            {
                "offset": Column("f4", 0, REGIMES),
                "points": Column("i4", 0, REGIMES),
                "learnt": Column("i4", 0, REGIMES),
                "spread": Column("f4", 0),
                "spread_points": Column("i4", 0),
                "last": Column("i8", -1),
                "long": Column("f4", 0),
            },
            n,
        )
        self.resize = self._columns.resize
        self.restart = self._columns.restart

    @property
    def nbytes(self) -> int:
        """How many bytes the levels take."""
        return self._columns.nbytes

    def step(self, points: Points, lone: Bools, train: Bools, floor: Floats) -> Levelled:
        """Return the deviations of the points, then learn from those where `train`.

        lone: rows without peers. floor: the least spread (what a constant row, or one in coarse steps, has).
        """
        r, columns = points.r, self._columns
        if fast := loops(len(r)):
            return self._compiled(fast, points, (lone, train, floor))
        at = (points.regime, np.arange(len(r)))
        offset = columns["offset"][at].astype(np.float64)
        support = columns["points"][at].astype(np.int64)
        learnt = columns["learnt"][at].astype(np.int64)
        sigma = np.maximum(HALF_NORMAL * columns["spread"], floor)
        d = r - offset
        alone = np.flatnonzero(lone)
        d[alone] = self._lone(d[alone], r[alone], learnt[alone], alone)
        present = np.isfinite(r)
        gap = self._gaps(points, present)
        young = (learnt < self.learning.freeze_ms) | (support < self.learning.points)
        self._learn(np.flatnonzero(present & train & (young | lone)), _Round(points, d, sigma, gap, lone))
        d = np.where(present, np.where(support > 0, d, 0.0), np.nan)
        return Levelled(d, sigma, offset, support, learnt)

    def _compiled(self, fast: ModuleType, points: Points, rows: tuple[Bools, Bools, Floats]) -> Levelled:
        """Do what `step` says in one pass."""
        n, own = len(points.r), self.learning
        d, sigma, offset = np.empty((3, n))
        support, learnt = np.empty((2, n), np.int64)
        served = max(own.cycles_ms, own.freeze_ms)
        times = (HALF_NORMAL, own.freeze_ms, own.points, own.recent_ms, own.long_ms, own.cycles_ms, served)
        state = tuple(self._columns[name] for name in self._columns.layout)
        given = (points.r, points.ts, points.rhythm, points.regime, *rows)
        fast.level(given, times, state, (d, sigma, offset, support, learnt))
        return Levelled(d, sigma, offset, support, learnt)

    def _lone(self, from_recent: Floats, r: Floats, learnt: Ints, rows: Ints) -> Floats:
        from_long = r - self._columns["long"][rows]
        settled = learnt >= self.learning.cycles_ms
        return np.where(settled, from_long, _outside(from_recent, from_long))

    def _gaps(self, points: Points, present: Bools) -> Floats:
        last = self._columns["last"]
        gap = np.where(last >= 0, np.minimum(points.ts - last, 2 * points.rhythm), 0.0)
        np.copyto(last, points.ts, where=present)
        return gap

    def _learn(self, rows: Ints, now: _Round) -> None:
        if not len(rows):
            return
        columns, r = self._columns, now.points.r[rows]
        at = (now.points.regime[rows], rows)
        k = columns["points"][at] + 1
        limit = np.where(k <= 10, np.inf, 4 * now.sigma[rows])
        recent = np.where(now.lone[rows], now.gap[rows] / self.learning.recent_ms, 0.0)
        away = r - columns["offset"][at]
        step = np.where(k == 1, r, np.maximum(1.0 / k, recent) * np.clip(away, -limit, limit))
        columns["offset"][at] += step.astype(np.float32)
        columns["points"][at] = k
        served = max(self.learning.cycles_ms, self.learning.freeze_ms)
        columns["learnt"][at] = np.minimum(columns["learnt"][at] + now.gap[rows], served).astype(np.int32)
        self._widen(rows, now, k)

    def _widen(self, rows: Ints, now: _Round, points: Ints) -> None:
        """Learn the spread, and what a lone row's spread is about: its long-run level."""
        columns, lone = self._columns, now.lone[rows]
        k = columns["spread_points"][rows] + 1
        gain = np.maximum(1.0 / k, now.gap[rows] / self.learning.long_ms)
        from_long = now.points.r[rows] - columns["long"][rows]
        size = np.abs(np.where(lone, from_long, now.d[rows]))
        size = np.where(k <= 10, size, np.minimum(size, 6 * now.sigma[rows]))
        columns["long"][rows] += np.where(lone, gain * from_long, 0.0).astype(np.float32)
        second = points > 1
        columns["spread"][rows] += np.where(second, gain * (size - columns["spread"][rows]), 0).astype(
            np.float32
        )
        columns["spread_points"][rows] = np.where(second, k, k - 1)

    def levels(self, regime: Ints) -> tuple[Floats, Ints]:
        """Return (level, ms that it rests on) of each row in its regime."""
        at = (regime, np.arange(len(regime)))
        return self._columns["offset"][at].astype(np.float64), self._columns["learnt"][at].astype(np.int64)

    def rests_on(self, regime: Ints, rows: Ints) -> tuple[Ints, Ints]:
        """Return (points, ms) that the level of some rows, each in its regime, rests on."""
        columns = self._columns
        return columns["points"][regime, rows], columns["learnt"][regime, rows]

    def support(self) -> tuple[Ints, Ints]:
        """Return (points, ms) that each row's level rests on, of its better known regime."""
        points, learnt = self._columns["points"], self._columns["learnt"]
        return points.max(axis=0).astype(np.int64), learnt.max(axis=0).astype(np.int64)

    def credit(self, rows: Bools, ms: int) -> None:
        """Count `ms` as learnt already, where other parameters of the row took that time."""
        self._columns["learnt"][:, rows] = np.maximum(self._columns["learnt"][:, rows], ms)

    def to_state(self) -> dict[str, Any]:
        """Return a copy of the state."""
        return self._columns.to_state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self._columns.restore(state)


def _outside(from_recent: Floats, from_long: Floats) -> Floats:
    """Return the smaller of two deviations where both have one sign, 0 where a point lies between."""
    nearer = np.where(np.abs(from_recent) < np.abs(from_long), from_recent, from_long)
    return np.where(from_recent * from_long > 0, nearer, 0.0)
