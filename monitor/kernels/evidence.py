"""From deviations to nats: means at four scales, each against a null measured at that scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.baseline import HALF_NORMAL
from monitor.kernels.coding import carried
from monitor.kernels.compiled import loops
from monitor.kernels.probation import Probation
from monitor.kernels.rings import SCALES, Rings
from monitor.kernels.tails import BINS, FEW, WIDTH, Tails, bins_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from monitor.types import Bools, Floats, Ints

K = len(SCALES)
CLIP = 40.0
NEAR = 1.0
"""A mean within one spread of the level is no evidence, and is not looked up."""
FAR = 4.0
"""No mean counts for more than so many spreads in the spread: half a fleet that is off, in the direction that
harms nobody and so alarms nobody, would blind the other half."""
_SPAN = np.array(SCALES, np.float64)


@dataclass(frozen=True, slots=True)
class Scored:
    """Evidence of one round, by scale: nats upward and downward, and where a mean moved; all (4, n)."""

    up: Floats
    down: Floats
    fresh: Bools


class Evidence:
    """The evidence of every row against the null of its pool.

    A deviation in sigmas, clipped at +-40, enters the rings. The mean m over a scale is divided by
    sqrt(s^2 + v): s is the pool's spread of such means, measured (1.25 times the mean of |m|, each counted as
    4 s at most), so autocorrelation and wander are in it; v = s_L^2 L / k is the variance of a level that
    rests on k points, L the longest scale that was measured. The quotient is looked up in the pool's tail at
    this scale and in this direction (kernels/tails.py). What is not to train the null does not, and what does
    is on probation first (kernels/probation.py).

    pool: the pool of each row, (n,). False-alarm rate: P(nats > a) = e^-a a decision where the tail is right.
    """

    def __init__(self, n: int = 0, pools: int = 0) -> None:
        self._rings = Rings(n, agreed=True)
        self._tails = Tails(pools * K * 2)
        self._size = np.zeros((pools, K))
        self._seen = np.zeros((pools, K))
        self._probation = Probation({"counts": (K * 2, BINS), "size": (K,), "seen": (K,)}, pools)

    @property
    def nbytes(self) -> int:
        """How many bytes the rings take (what grows with the rows)."""
        return self._rings.nbytes

    def resize(self, moved: Ints, n: int, pools_moved: Ints, pools: int) -> None:
        """Move rows and pools, row i to `moved[i]` of n, pool p to `pools_moved[p]` of `pools`."""
        self._rings.resize(moved, n)
        cells = np.arange(K * 2)
        self._tails.resize(
            np.where(pools_moved[:, None] >= 0, pools_moved[:, None] * K * 2 + cells, -1).ravel(),
            pools * K * 2,
        )
        self._probation.resize(pools_moved, pools)
        for name in ("_size", "_seen"):
            setattr(self, name, carried(getattr(self, name), pools_moved, pools))

    def restart(self, rows: Bools) -> None:
        """Forget the points of some rows."""
        self._rings.restart(rows)

    def begun(self, rows: Ints, scale: Ints, sign: Ints) -> Ints:
        """Return how many points ago what rows show at a scale began (Rings.begun)."""
        return self._rings.begun(rows, scale, sign)

    def step(self, z: Floats, pool: Ints, points: Floats, train: Bools) -> Scored:
        """Add a deviation in sigmas to each row (NaN = none) and score what moved.

        points: how many points the row's level rests on, inf where its error is in the null already.
        """
        means, fresh = self._rings.push(np.clip(np.nan_to_num(z), -CLIP, CLIP), np.isfinite(z))
        up, down = np.zeros((2, *means.shape))
        if fast := loops(len(z)):
            self._compiled(fast, (means, fresh, pool, points, train), up, down)
        else:
            young = self._young()[pool] / np.maximum(points, 1.0)
            for k in range(K):
                rows = np.flatnonzero(fresh[k])
                m = means[k, rows].astype(np.float64)
                p = pool[rows]
                t = m / np.sqrt(self._spread(k)[p] ** 2 + young[rows])
                up[k, rows], down[k, rows] = self._score(p, k, t)
                self._learn(p, k, m, t, train[rows])
        return Scored(up, down, fresh)

    def learn(self, end: int, pool: Ints, raised: Ints, on: Bools) -> None:
        """Let the nulls learn what turned out to be healthy by `end` (kernels/probation.py).

        raised: rows that were just alarmed. on: those that stand alarmed. When a fault of many is over, the
        others forget it: their long means would hold it, and teach it, for hours.
        """
        self._probation.alarm(pool[raised])
        if not self._probation.is_over(end):
            return
        pools = len(self._seen)
        rows, standing = np.bincount(pool, minlength=pools), np.bincount(pool[on], minlength=pools)
        healthy, over = self._probation.settle(end, rows, standing)
        self._seen += healthy["seen"]
        self._size += healthy["size"]
        self._tails.add(healthy["counts"].reshape(-1, BINS))
        self._tails.refit()
        if over.any():
            self._rings.restart(over[pool] & ~on)

    def _compiled(self, fast: ModuleType, given: tuple[Any, ...], up: Floats, down: Floats) -> None:
        """Score and learn in one pass."""
        spread = np.stack([self._spread(k) for k in range(K)], axis=1)
        pools = (spread, self._seen >= FEW, self._young())
        counts = self._probation.of_window("counts").reshape(-1, BINS)
        seen, size = np.zeros((2, *self._seen.shape))
        limits = (NEAR, FEW, WIDTH, BINS, FAR)
        fast.score(given, pools, self._tails.fit, limits, (up, down), (counts, seen, size))
        self._probation.of_window("seen")[:] += seen
        self._probation.of_window("size")[:] += size

    def _score(self, pool: Ints, k: int, t: Floats) -> tuple[Floats, Floats]:
        some = np.flatnonzero(np.abs(t) > NEAR)
        nats = np.zeros(len(t))
        nats[some] = self._tails.nats((pool[some] * K + k) * 2 + (t[some] < 0), np.abs(t[some]))
        return np.where(t > 0, nats, 0.0), np.where(t < 0, nats, 0.0)

    def _learn(self, pool: Ints, k: int, m: Floats, t: Floats, train: Bools) -> None:
        pool, m, t = pool[train], m[train], t[train]
        ready = self._seen[pool, k] >= FEW
        most = np.where(ready, FAR * self._spread(k)[pool], np.inf)
        pools = len(self._seen)
        self._probation.of_window("seen")[:, k] += np.bincount(pool, minlength=pools)
        self._probation.of_window("size")[:, k] += np.bincount(
            pool, np.minimum(np.abs(m), most), minlength=pools
        )
        where = (pool[ready], (k * 2 + (t < 0))[ready], bins_of(np.abs(t[ready])))
        np.add.at(self._probation.of_window("counts"), where, 1)

    def _spread(self, k: int) -> Floats:
        """Return the spread of the means at scale k by pool; 1, never small, until it was measured."""
        with np.errstate(divide="ignore", invalid="ignore"):
            measured = HALF_NORMAL * self._size[:, k] / self._seen[:, k]
        return np.where(self._seen[:, k] >= FEW, np.maximum(measured, 0.05), 1.0)

    def _young(self) -> Floats:
        """s_L^2 L of each pool, L the longest scale that was measured."""
        longest = np.where(self._seen >= FEW, np.arange(K), 0).max(axis=1, initial=0)
        spread = np.stack([self._spread(k) for k in range(K)], axis=1)
        variance: Floats = spread[np.arange(len(longest)), longest] ** 2 * _SPAN[longest]
        return variance

    def to_state(self) -> dict[str, Any]:
        """Return a copy of the state."""
        return {
            "rings": self._rings.to_state(),
            "tails": self._tails.to_state(),
            "size": self._size.copy(),
            "seen": self._seen.copy(),
            "probation": self._probation.to_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self._rings.restore(state["rings"])
        self._tails.restore(state["tails"])
        self._size = np.array(state["size"], np.float64)
        self._seen = np.array(state["seen"], np.float64)
        self._probation.restore(state["probation"])
