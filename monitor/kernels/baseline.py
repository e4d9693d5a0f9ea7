"""Phase I: each row's own level and spread, learnt, then frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.units import HOUR, MINUTE

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
    from `own_ms` and `points` on, and is frozen at `freeze_ms`. A row without peers never freezes: its
    level follows with a time constant of `recent_ms` (a contrast with its own recent past).
    """

    peers_ms: int = 30 * MINUTE
    own_ms: int = 2 * HOUR
    freeze_ms: int = 150 * MINUTE
    recent_ms: int = 6 * HOUR
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
    clipped at 6 spreads). Points that do not train leave everything as it is. 44 bytes a row.
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
        step = np.where(k == 1, r[rows], gain * np.clip(d[rows], -limit, limit))
        self._columns["offset"][at] += step
        self._columns["points"][at] = k
        self._columns["learnt"][at] += gap[rows].astype(np.int32)
        self._spread(rows[k > 1], np.abs(d), sigma, recent[k > 1])

    def _spread(self, rows: Ints, size: Floats, sigma: Floats, recent: Floats) -> None:
        k = self._columns["spread_points"][rows] + 1
        capped = np.where(k <= 10, size[rows], np.minimum(size[rows], 6 * sigma[rows]))
        gain = np.maximum(1.0 / k, recent)
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
