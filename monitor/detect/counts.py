"""Evidence that a rare count comes faster than before: a gamma-Poisson tail, calibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betainc

from monitor.kernels.columns import Column, Columns
from monitor.kernels.evidence import K, Scored
from monitor.kernels.latch import Bad, Latch
from monitor.kernels.rings import SCALES, Rings
from monitor.kernels.tails import Tails
from monitor.units import MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.kernels.baseline import Learning, Points
    from monitor.types import Bools, Floats, Ints

FEWEST = 3
REFIT_EVERY = 30
SHAPE, EXPOSURE_S = 0.1, 600.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What is fixed about the counters: whose null each shares, (n,), how long they learn, levels in nats."""

    pool: Ints
    learning: Learning
    raise_level: float
    clear_level: float


class Counts:
    """n counters of rare events, each against its own rate and its pool's.

    The rate of a counter has a gamma prior (shape a, exposure b in seconds) fitted to its pool by moments;
    after C events in T seconds of phase I, the events of a window of E seconds are negative binomial:
    P(X >= x) = I_{E / (b + T + E)}(x, a + C), I the regularised incomplete beta function. Its -ln is looked
    up in the pool's measured tail with beta >= 1, so bursts (events that come together) are priced in. Fewer
    than 3 events in a window are no evidence. Windows are those of kernels/rings.py. 132 bytes a counter.

    Source: Gelman et al., Bayesian Data Analysis, section 2.6 (the predictive negative binomial).
    """

    def __init__(self) -> None:
        self._events = Rings()
        self._tails = Tails(0, flattest=1.0)
        self._own = Columns(
            {"events": Column("f4", 0), "seconds": Column("f4", 0), "learnt": Column("i4", 0)}
        )
        self.latch = Latch()
        self._prior = np.zeros((2, 0))
        self._age = 0

    @property
    def nbytes(self) -> int:
        """How many bytes the counters take."""
        return self._events.nbytes + self._own.nbytes + self.latch.nbytes

    def resize(self, moved: Ints, n: int, pools_moved: Ints, pools: int) -> None:
        """Move counter i to `moved[i]` of n, pool p to `pools_moved[p]` of `pools` (-1 drops it)."""
        for part in (self._events, self._own, self.latch):
            part.resize(moved, n)
        cells = pools_moved[:, None] * K + np.arange(K)
        self._tails.resize(np.where(pools_moved[:, None] >= 0, cells, -1).ravel(), pools * K)
        prior = np.tile([[SHAPE], [EXPOSURE_S]], pools)
        prior[:, pools_moved[pools_moved >= 0]] = self._prior[:, pools_moved >= 0]
        self._prior = prior

    @property
    def learnt_ms(self) -> Ints:
        """How long each counter has learnt, (n,)."""
        return self._own["learnt"].astype(np.int64)

    def step(self, counters: Counters, points: Points, gap: Ints) -> Bools:
        """Take rates per second (points.r, NaN = none) over gaps in ms; return which counters are judged.

        A gap counts as two rhythms at most: the rate after a reset is that of the last interval alone.
        """
        known = np.isfinite(points.r) & (gap > 0)
        usual = np.where(points.rhythm > 0, 2 * points.rhythm, np.inf)
        seconds = np.where(known, np.minimum(gap, usual), 0) / SECOND
        events = np.round(np.where(known, points.r, 0.0) * seconds)
        train = ~self.latch.on
        scored = self._score(events, points.rhythm / SECOND, known, counters.pool, train)
        open_ = self._own["learnt"] < counters.learning.freeze_ms
        self._learn(np.flatnonzero(known & train & open_), events, seconds, gap)
        self._refit(counters.pool)
        judged = known & (self._own["learnt"] >= counters.learning.peers_ms)
        levels = (np.full(len(known), counters.raise_level), counters.clear_level)
        when = (points.end, points.ts, points.rhythm)
        bad = Bad(np.ones(len(known), bool), np.zeros(len(known), bool))
        _, cleared = self.latch.step(scored, bad, judged, levels, when, self._events.begun)
        self._forget(cleared)
        return judged

    def _score(self, events: Floats, rhythm_s: Floats, known: Bools, pool: Ints, train: Bools) -> Scored:
        mean, fresh = self._events.push(events, known)
        up = np.zeros(mean.shape)
        for k, span in enumerate(SCALES):
            rows = np.flatnonzero(fresh[k])
            t = self._tail(rows, mean[k, rows] * span, rhythm_s[rows] * span, pool)
            cell = pool[rows] * K + k
            some = np.flatnonzero(t > 0)
            up[k, rows[some]] = np.minimum(t[some], self._tails.nats(cell[some], t[some]))
            self._tails.observe(cell[train[rows]], t[train[rows]])
        return Scored(up, np.zeros(up.shape), fresh)

    def _forget(self, cleared: Ints) -> None:
        rows = np.zeros(len(self.latch.on), bool)
        rows[cleared] = True
        self._events.restart(rows)

    def _tail(self, rows: Ints, x: Floats, exposure: Floats, pool: Ints) -> Floats:
        nats = np.zeros(len(rows))
        x = np.rint(x.astype(np.float64))
        some = np.flatnonzero(x >= FEWEST)
        at = rows[some]
        shape, prior_s = self._prior[:, pool[at]]
        behind = prior_s + self._own["seconds"][at]
        share = exposure[some] / (behind + exposure[some])
        p = betainc(x[some], shape + self._own["events"][at], share)
        nats[some] = -np.log(np.maximum(p, 1e-300))
        return nats

    def _learn(self, rows: Ints, events: Floats, seconds: Floats, gap: Ints) -> None:
        self._own["events"][rows] += events[rows].astype(np.float32)
        self._own["seconds"][rows] += seconds[rows].astype(np.float32)
        self._own["learnt"][rows] += np.minimum(gap[rows], 5 * MINUTE).astype(np.int32)

    def _refit(self, pool: Ints) -> None:
        """Moments of the pool's rates: mean m = a / b, variance of rates m / b beyond Poisson."""
        self._age += 1
        if self._age % REFIT_EVERY:
            return
        self._tails.refit()
        pools = self._prior.shape[1]
        events, seconds = (self._own[name].astype(np.float64) for name in ("events", "seconds"))
        n = np.bincount(pool, seconds > 0, pools)
        total, time = np.bincount(pool, events, pools), np.bincount(pool, seconds, pools)
        with np.errstate(divide="ignore", invalid="ignore"):
            m: Floats = total / time
            excess = np.bincount(pool, (events - m[pool] * seconds) ** 2 - m[pool] * seconds, pools)
            variance = excess / np.bincount(pool, seconds**2, pools)
            narrow = m / np.maximum(variance, 1e-300)
        b = np.clip(np.nan_to_num(narrow, nan=EXPOSURE_S, posinf=1e6), EXPOSURE_S, 1e6)
        known = (n > 0) & (total > 0)
        self._prior = np.where(known, np.stack([np.nan_to_num(m) * b, b]), self._prior)

    def to_state(self) -> dict[str, Any]:
        """Return a copy of the state."""
        parts = ("_events", "_own", "_tails", "latch")
        return {part: getattr(self, part).to_state() for part in parts} | {
            "prior": self._prior.copy(),
            "age": self._age,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        for part in ("_events", "_own", "_tails", "latch"):
            getattr(self, part).restore(state[part])
        self._prior = np.array(state["prior"], np.float64).reshape(2, -1)
        self._age = int(state["age"])
