"""Phase I: each row's own level and spread, learnt, then frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.units import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def step(
        self, r: Floats, ts: Ints, rhythm: Floats, regime: Ints, lone: Bools, train: Bools, floor: Floats
    ) -> Levelled:
        """Return the deviations of the points r (NaN = none), then learn from those where `train`.

        rhythm: the usual gap between points, ms. lone: rows judged by their recent past. floor: the least
        spread (what a constant row, or one in coarse steps, has).
        """
        row = np.arange(len(r))
        offset = self._columns["offset"][regime, row].astype(np.float64)
        points = self._columns["points"][regime, row].astype(np.int64)
        learnt = self._columns["learnt"][regime, row].astype(np.int64)
        sigma = np.maximum(HALF_NORMAL * self._columns["spread"], floor)
        d = np.where(points > 0, r - offset, 0.0)
        from_long = r - self._columns["long"]
        settled = learnt >= self.learning.cycles_ms
        d = np.where(lone, np.where(settled, from_long, _outside(d, from_long)), d)
        present = np.isfinite(r)
        last = self._columns["last"]
        gap = np.where(last >= 0, np.minimum(ts - last, 2 * rhythm), 0)
        last[present] = ts[present]
        open_ = lone | (learnt < self.learning.freeze_ms) | (points < self.learning.points)
        self._learn(np.flatnonzero(present & train & open_), r, d, sigma, gap, regime, lone)
        return Levelled(np.where(present, d, np.nan), sigma, offset, points, learnt)

    def _learn(
        self, rows: Ints, r: Floats, d: Floats, sigma: Floats, gap: Floats, regime: Ints, lone: Bools
    ) -> None:
        at = (regime[rows], rows)
        k = self._columns["points"][at] + 1
        few = k <= 10
        limit = np.where(few, np.inf, 4 * sigma[rows])
        recent = np.where(lone[rows], gap[rows] / self.learning.recent_ms, 0.0)
        gain = np.maximum(1.0 / k, recent)
        away = r[rows] - self._columns["offset"][at]
        self._columns["offset"][at] += np.where(k == 1, r[rows], gain * np.clip(away, -limit, limit))
        self._follow_long(rows[lone[rows]], r, gap)
        self._columns["points"][at] = k
        learnt = self._columns["learnt"][at] + gap[rows]
        self._columns["learnt"][at] = np.minimum(learnt, max(self.learning.cycles_ms, self.learning.freeze_ms)).astype(np.int32)
        size = np.abs(np.where(lone, r - self._columns["long"], d))
        self._spread(rows[k > 1], size, sigma, gap)

    def _follow_long(self, rows: Ints, r: Floats, gap: Floats) -> None:
        k = self._columns["spread_points"][rows] + 1
        gain = np.maximum(1.0 / k, gap[rows] / self.learning.long_ms)
        self._columns["long"][rows] += (gain * (r[rows] - self._columns["long"][rows])).astype(np.float32)

    def _spread(self, rows: Ints, size: Floats, sigma: Floats, gap: Floats) -> None:
        k = self._columns["spread_points"][rows] + 1
        capped = np.where(k <= 10, size[rows], np.minimum(size[rows], 6 * sigma[rows]))
        gain = np.maximum(1.0 / k, gap[rows] / self.learning.long_ms)
        self._columns["spread"][rows] += (gain * (capped - self._columns["spread"][rows])).astype(np.float32)
        self._columns["spread_points"][rows] = k

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
