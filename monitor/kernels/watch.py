"""Rows watched: level and spread, evidence at four scales, latch, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.baseline import HALF_NORMAL, Baseline, Learning
from monitor.kernels.coding import carried
from monitor.kernels.evidence import Evidence, Scored
from monitor.kernels.latch import Bad, Latch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.kernels.baseline import Levelled, Points
    from monitor.kernels.latch import Seen
    from monitor.types import Bools, Floats, Ints

PRIOR_EVERY = 30


@dataclass(frozen=True, slots=True)
class Rows:
    """What is fixed about n watched rows.

    pool: whose null a row shares. lone: judged by its own recent past, since it has no peers. bad: the
    directions that harm. floor: the least spread. raise_level, clear_level: nats. doubt: what a row's
    expectation may be wrong by just now, in its unit (none, if not given). room: how far a reading is above
    the least that it can be, and so above anything that can be expected.
    """

    pool: Ints
    lone: Bools
    bad: Bad
    floor: Floats
    raise_level: Floats
    clear_level: float
    doubt: Floats | float = 0.0
    room: Floats | float = np.inf

    def __len__(self) -> int:
        return len(self.pool)


@dataclass(frozen=True, slots=True)
class Watched:
    """What a round gave: z = deviation / sigma, the level and sigma, who is judged, what was raised, cleared.

    All of shape (n,) but raised and cleared, which are rows.
    """

    z: Floats
    offset: Floats
    sigma: Floats
    judged: Bools
    raised: Ints
    cleared: Ints


class Watch:
    """n rows from residual to latched alarm.

    A row is judged by its own level (kernels/baseline.py) once it has learnt it. A row with peers is judged
    from 30 minutes on already, by how far its mean lies from those of its pool: t = |mean| / sqrt(tau^2 +
    s^2), tau the spread of the pool's levels, with exp(-t) as a deliberately heavy tail, so that a unit
    that is ill from the start is seen and nothing of it pages by that alone.
    """

    def __init__(self, learning: Learning | None = None) -> None:
        self._baseline = Baseline(learning=learning)
        self._evidence = Evidence()
        self.latch = Latch()
        self._tau = np.empty(0)
        self._age = 0
        self.learning = self._baseline.learning

    @property
    def nbytes(self) -> int:
        """How many bytes the rows take."""
        return self._baseline.nbytes + self._evidence.nbytes + self.latch.nbytes

    def resize(self, moved: Ints, n: int, pools_moved: Ints, pools: int) -> None:
        """Move row i to `moved[i]` of n, pool p to `pools_moved[p]` of `pools` (-1 drops it)."""
        self._baseline.resize(moved, n)
        self._evidence.resize(moved, n, pools_moved, pools)
        self.latch.resize(moved, n)
        self._tau = carried(self._tau, pools_moved, pools)

    def levels(self, regime: Ints) -> tuple[Floats, Bools]:
        """Return (level of each row in its regime, 0 before the first point; whether it is known)."""
        level, learnt_ms = self._baseline.levels(regime)
        return level, learnt_ms >= self.learning.peers_ms

    def support(self) -> tuple[Ints, Ints]:
        """Return (points, ms) that the level of each row rests on, of its better known regime, (n,) each."""
        return self._baseline.support()

    def restart(self, rows: Bools, credit_ms: int = 0) -> None:
        """Let some rows learn anew; `credit_ms` of their time to learn count as served."""
        self._baseline.restart(rows)
        self._baseline.credit(rows, credit_ms)
        self._evidence.restart(rows)
        self.latch.columns.restart(rows)

    def release(self, end: int, series: Ints, seen: Seen) -> None:
        """Let go of alarmed rows about which nothing is known any more (`Latch.release`)."""
        self._forget(self.latch.release(end, series, seen))

    def step(self, rows: Rows, points: Points) -> Watched:
        """Take one round."""
        train = ~self.latch.on
        level = self._baseline.step(points, rows.lone, train | self._unlearnt(points.regime), rows.floor)
        peers_ready = level.learnt_ms >= self.learning.peers_ms
        own = self.learning.is_own(level.points, level.learnt_ms)
        known = (level.points > self.learning.points // 3) & (level.sigma > 0)
        spread = np.hypot(level.sigma, rows.doubt)
        z = np.where(known, np.minimum(level.d, rows.room) / np.where(known, spread, 1.0), np.nan)
        support = np.where(rows.lone, np.inf, level.points)
        scored = self._evidence.step(z, rows.pool, support, train & peers_ready)
        against_peers = peers_ready & ~own & ~rows.lone
        self._score_young(scored, z, level, rows, np.flatnonzero(against_peers))
        _credit_fewer_decisions(scored, np.flatnonzero(rows.lone))
        judged = (own | against_peers) & np.isfinite(points.r)
        self._measure_levels(rows, level, peers_ready & train)
        levels = (rows.raise_level, rows.clear_level)
        when = (points.end, points.ts, points.rhythm)
        raised, cleared = self.latch.step(scored, rows.bad, judged, levels, when, self._evidence.begun)
        self._evidence.learn(points.end, rows.pool, raised, self.latch.on)
        self._forget(cleared)
        return Watched(z, level.offset, level.sigma, judged, raised, cleared)

    def _unlearnt(self, regime: Ints) -> Bools:
        """Return the alarmed rows with no level of their own in this regime: they learn on, to clear."""
        rows = np.flatnonzero(self.latch.on)
        unlearnt = np.zeros(len(regime), bool)
        unlearnt[rows] = ~self.learning.is_own(*self._baseline.rests_on(regime[rows], rows))
        return unlearnt

    def _forget(self, cleared: Ints) -> None:
        """Let rows that cleared begin their means anew: a long one would still hold what is over."""
        if len(cleared):
            rows = np.zeros(len(self.latch.on), bool)
            rows[cleared] = True
            self._evidence.restart(rows)

    def _score_young(self, scored: Scored, z: Floats, level: Levelled, rows: Rows, who: Ints) -> None:
        """Replace the evidence of young rows by that of their level among the pool's."""
        if not len(who):
            return
        tau, sigma = self._tau[rows.pool[who]], level.sigma[who]
        scored.up[:, who] = scored.down[:, who] = 0.0
        usable = (tau > 0) & scored.fresh[0, who]
        shift = level.offset[who] + np.clip(np.nan_to_num(z[who]), -1, 1) * sigma
        t = np.where(usable, shift / np.where(usable, np.hypot(tau, sigma), 1.0), 0.0)
        scored.up[1, who], scored.down[1, who] = np.maximum(t, 0), np.maximum(-t, 0)
        scored.fresh[1, who] |= usable

    def _measure_levels(self, rows: Rows, level: Levelled, who: Bools) -> None:
        if self._age % PRIOR_EVERY == 0:
            known = np.flatnonzero(who & ~rows.lone & (level.points > 0))
            pools = len(self._tau)
            n = np.bincount(rows.pool[known], minlength=pools)
            size = np.bincount(rows.pool[known], np.abs(level.offset[known]), minlength=pools)
            self._tau = np.where(n >= 5, HALF_NORMAL * size / np.maximum(n, 1), 0.0)
        self._age += 1

    def to_state(self) -> dict[str, Any]:
        """Return a copy of the state."""
        return {
            "baseline": self._baseline.to_state(),
            "evidence": self._evidence.to_state(),
            "latch": self.latch.to_state(),
            "tau": self._tau.copy(),
            "age": self._age,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self._baseline.restore(state["baseline"])
        self._evidence.restore(state["evidence"])
        self.latch.restore(state["latch"])
        self._tau = np.array(state["tau"], np.float64)
        self._age = int(state["age"])


def _credit_fewer_decisions(scored: Scored, lone: Ints) -> None:
    """Credit lone rows at the long scales with the decisions that they do not take.

    The means over 36 and 216 points move every 6 and 36 points, so many fewer decisions share the budget:
    ln 6 and ln 36 nats, in full from 6 nats on. Rows with peers go without: their nulls are good far out.
    """
    if len(lone):
        for nats in (scored.up, scored.down):
            nats[:, lone] += _RARER * np.clip(nats[:, lone] / 6.0, 0, 1)


_RARER = np.log(np.array([[1.0], [1.0], [6.0], [36.0]]))
