"""What drives a metric: temperature given power, power given activity, heat in the coolant given load.

A GPU that starts to work gets hot, and that is no fault. Where a metric has a driver u, what is compared
is x - b (F u), with F a first-order lag of time constant tau (heat takes its time). b and tau are one pair
for all the peers of a series, since physics is the same for them; a series without peers has its own.

tau is one of 0, 15, 30, 45, 60, 90 and 120 s: the one with the least unexplained share 1 - S_xf^2 / (S_xx
S_ff), the sums being over deviations of x and of F u from their own slow means (20 min), which take levels
out. b = S_xu / S_uu over deviations of means over 5 min from means over an hour (exponential ones), of x and
of u itself: where the load moves, a reading a minute says when only roughly, and b from single readings comes
out a third too small; from means it is 1 to 6 % too small for a lag of 35 to 130 s, at 10 s and at 60 s. They
are settled after an hour, counted by rounds: each counts for the longest gap of the readings in it, so that
many that report in turn (a hall at a reading a minute) teach in ten minutes what one teaches in an hour.
Where less than 0.3 is explained by then (a load that never moved) b is 0 until it is: at most two days are
waited for that.

While the load moves, the part is as doubtful as the lag is rough: by half of b times the swing, the greatest
|u - F_120 s u| of late, forgotten over 2 minutes. A lag that is wrong by anything up to that is then no
deviation, nor is a dip of seconds that a reading a minute takes for a minute; and a null is not made of job
starts.

Slopes differ from part to part, and a level holds only for the load at which it was learnt (its mean over the
2.5 hours after the slope settled). Away from that the part is wrong by up to a tenth of b |F_tau u - usual|,
or by the share that the fit left unexplained; by a third at most, and for a series without peers that would
share the error. That stands and is no noise: it may be seen, and pages nobody. While its slope is not known
such a series is judged only within a twentieth of its load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.coding import carried, through
from monitor.kernels.columns import Column, Columns
from monitor.kernels.compiled import loops
from monitor.units import DAY, HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scipy import sparse

    from monitor.types import Bools, Floats, Ints

DRIVERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("gpu", "gpu_temp_celsius"): ("power_watts", "sm_active_ratio", "gpu_utilization_ratio"),
    ("gpu", "hbm_temp_celsius"): ("power_watts", "sm_active_ratio", "gpu_utilization_ratio"),
    ("gpu", "gpu_temp_margin_celsius"): ("power_watts", "sm_active_ratio", "gpu_utilization_ratio"),
    ("gpu", "power_watts"): ("sm_active_ratio", "gpu_utilization_ratio"),
    ("network", "xmit_wait_total"): ("tx_bytes_total",),
    ("facility", "coolant_return_celsius"): ("power_watts",),
    ("facility", "power_kw"): ("power_watts",),
}
"""Metric -> metrics that drive it, the first that is measured counts: of the same entity, or, for a facility
entity, the mean over the GPUs that it cools or feeds."""

LAGS_MS = np.array([0, 15, 30, 45, 60, 90, 120]) * SECOND
J = len(LAGS_MS)
SUMS = 2 * J + 4
SETTLE_MS = HOUR
GIVE_UP_MS = 2 * DAY
SLOW_MS = 20 * MINUTE
MEAN_MS, LONG_MS = 5 * MINUTE, HOUR
EXPLAINED = 0.3
SAMPLE = 500
MOVING = 0.05
USUAL_MS = 150 * MINUTE
DOUBT = 0.5
SLOPE_DOUBT = 0.1
LONE_SLOPE_DOUBT = 1 / 3
COVERED = 0.9


@dataclass(frozen=True, slots=True)
class Part:
    """What the driven series owe to their drivers, (driven,), NaN while that is not known.

    rough: what it may be off by while the load moves. slope: what it may be off by for as long as the load
    is unusual. settled: the fits that were settled just now, (fits,).
    """

    value: Floats
    rough: Floats
    slope: Floats
    settled: Bools


class Drivers:
    """The part of each series that its driver explains.

    Rows are all series, fits the groups of series that share b and tau. 76 bytes a driven series.
    """

    def __init__(self) -> None:
        self._lagged = Columns({"f": Column("f4", np.nan, J)})
        self._slow = Columns({"x": Column("f4", np.nan), "f": Column("f4", np.nan, J)})
        self._means = Columns({name: Column("f4", np.nan, 2) for name in ("x", "u")})
        self._usual = Columns(
            {"u": Column("f4", np.nan), "age": Column("f4", 0.0), "swing": Column("f4", 0.0)}
        )
        self._rows: Ints = np.empty(0, np.int64)
        self._sums = np.zeros((SUMS, 0))
        self._learnt = np.zeros(0)
        self._b = np.zeros(0)
        self._lag = np.full(0, -1)
        self._final = np.zeros(0, bool)
        self._end = -1

    @property
    def nbytes(self) -> int:
        """How many bytes the driven series take."""
        return sum(part.nbytes for part in self._by_row.values())

    @property
    def _by_row(self) -> dict[str, Columns]:
        """The columns over the driven rows, by what they are called in the state."""
        return {"lagged": self._lagged, "slow": self._slow, "means": self._means, "usual": self._usual}

    def resize(self, rows: Ints, moved: Ints, fits_moved: Ints, fits: int) -> None:
        """Take new driven rows (ascending); series i is now `moved[i]`, fit f `fits_moved[f]`; -1: gone."""
        place = np.full(int(max(rows.max(initial=-1), moved.max(initial=-1))) + 1, -1, np.int64)
        place[rows] = np.arange(len(rows))
        driven = through(place, moved[self._rows])
        for part in self._by_row.values():
            part.resize(driven, len(rows))
        self._rows = rows
        for name, fill in (("_learnt", 0.0), ("_b", 0.0), ("_lag", -1), ("_final", False)):
            setattr(self, name, carried(getattr(self, name), fits_moved, fits, fill))
        self._sums = np.ascontiguousarray(carried(self._sums.T, fits_moved, fits).T)

    def step(self, end: int, x: Floats, gap: Ints, u: Floats, fit: Ints, slow: Bools) -> Part:
        """Return the explained part. x, gap, u, fit, slow are of the driven rows.

        It is NaN while its fit is open or the driver is not measured. u: the driver's value now. slow:
        rows without peers whose driver is a mean over many sources, each read at its own time; they are not
        judged while it moves by more than a twentieth in 2 minutes.
        """
        dt = max(end - self._end, 0) if self._end >= 0 else 0
        self._end = max(end, self._end)
        f = self._lagged["f"]
        with np.errstate(divide="ignore"):
            alpha = 1 - np.exp(-np.where(LAGS_MS > 0, dt / np.maximum(LAGS_MS, 1), np.inf))
        known = np.isfinite(u)
        if fast := loops(len(u)):
            fast.lag(f, u, alpha)
        else:
            f[:, known] = np.where(
                np.isnan(f[:, known]), u[known], f[:, known] + alpha[:, None] * (u[known] - f[:, known])
            )
        settled = self._fit(x, gap, known, fit)
        lag = self._lag[fit]
        lagged = f[np.maximum(lag, 0), np.arange(len(fit))].astype(np.float64)
        swing = self._usual["swing"]
        swing[:] = np.fmax(swing * np.exp(-dt / LAGS_MS[-1]), np.abs(u - f[-1]))
        rough = DOUBT * np.abs(self._b[fit]) * swing
        steady = np.abs(f[0] - f[-1]) <= MOVING * np.abs(f[-1])
        away = np.abs(lagged - self._usual_load(u, dt, fit, settled))
        share = np.clip(1 - self._explained(), SLOPE_DOUBT, LONE_SLOPE_DOUBT)
        slope = np.where(slow, LONE_SLOPE_DOUBT, share[fit]) * np.abs(self._b[fit]) * away
        steady &= self._final[fit] | (away <= MOVING * np.abs(lagged))
        value = np.where((lag >= 0) & known & (steady | ~slow), self._b[fit] * lagged, np.nan)
        return Part(value, np.nan_to_num(rough), np.nan_to_num(slope), settled)

    def _usual_load(self, u: Floats, dt: int, fit: Ints, settled: Bools) -> Floats:
        """Return the mean load that each level rests on, and let it follow for as long as that is learnt."""
        usual, age = self._usual["u"], self._usual["age"]
        age[settled[fit]] = 0.0
        follows = np.flatnonzero(np.isfinite(u) & ((age < USUAL_MS) | ~self._final[fit]))
        age[follows] = np.minimum(age[follows] + dt, USUAL_MS)
        before = np.where(np.isnan(usual[follows]), u[follows], usual[follows])
        gain = np.minimum(dt / np.maximum(age[follows], 1.0), 1.0)
        usual[follows] = before + gain * (u[follows] - before)
        now: Floats = usual.astype(np.float64)
        return now

    def _fit(self, x: Floats, gap: Ints, known: Bools, fit: Ints) -> Bools:
        open_ = ~self._final & (self._learnt < GIVE_UP_MS)
        if not open_.any():
            return np.zeros(len(open_), bool)
        rows = self._sample(fit)
        rows = rows[np.isfinite(x[rows]) & known[rows] & open_[fit[rows]]]
        dx, df = self._deviations(rows, x, gap)
        fits = len(self._b)
        sums = [np.bincount(fit[rows], dx * dx, fits)]
        sums += [np.bincount(fit[rows], dx * df[j], fits) for j in range(J)]
        sums += [np.bincount(fit[rows], df[j] * df[j], fits) for j in range(J)]
        x_, u_ = (self._between(name, v, rows, gap) for name, v in (("x", x), ("u", self._lagged["f"][0])))
        sums += [np.bincount(fit[rows], product, fits) for product in (x_ * x_, x_ * u_, u_ * u_)]
        self._sums += np.stack(sums)
        most = np.zeros(fits)
        np.maximum.at(most, fit[rows], np.minimum(gap[rows], SLOW_MS))
        self._learnt += most
        return self._settle()

    def _sample(self, fit: Ints) -> Ints:
        """Return the first series of each fit: a slope needs no more than 500."""
        order = np.argsort(fit, kind="stable")
        starts = np.searchsorted(fit[order], fit[order])
        return np.sort(order[np.arange(len(fit)) - starts < SAMPLE])

    def _deviations(self, rows: Ints, x: Floats, gap: Ints) -> tuple[Floats, Floats]:
        """Deviations of x and F u from their slow means, which follow."""
        slow_x, slow_f = self._slow["x"], self._slow["f"]
        first = np.isnan(slow_x[rows])
        slow_x[rows] = np.where(first, x[rows], slow_x[rows])
        slow_f[:, rows] = np.where(first, self._lagged["f"][:, rows], slow_f[:, rows])
        dx = x[rows] - slow_x[rows]
        df = (self._lagged["f"][:, rows] - slow_f[:, rows]).astype(np.float64)
        gain = np.minimum(gap[rows] / SLOW_MS, 1.0)
        slow_x[rows] += gain * dx
        slow_f[:, rows] += gain * df
        return dx, df

    def _between(self, name: str, values: Floats, rows: Ints, gap: Ints) -> Floats:
        """Deviations of a mean over minutes from a mean over an hour, which follow."""
        means, new = self._means[name], values[rows]
        for k, span in enumerate((MEAN_MS, LONG_MS)):
            old = np.where(np.isnan(means[k, rows]), new, means[k, rows])
            means[k, rows] = old + np.minimum(gap[rows] / span, 1.0) * (new - old)
        between: Floats = (means[0, rows] - means[1, rows]).astype(np.float64)
        return between

    def _settle(self) -> Bools:
        """Settle the fits that are due; return those whose part changed by it."""
        due = ~self._final & (self._learnt >= SETTLE_MS)
        if not due.any():
            return due
        sxx, sxf, sff = self._sums[0], self._sums[1 : J + 1], self._sums[J + 1 : 2 * J + 1]
        _, mean_xu, mean_uu = self._sums[2 * J + 1 :]
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.nan_to_num(sxf**2 / (sxx * sff)).argmax(axis=0)
            slope = np.nan_to_num(mean_xu / mean_uu)
        good: Bools = due & (self._explained() >= EXPLAINED)
        changed: Bools = good | (due & (self._lag < 0))
        self._lag[changed] = best[changed]
        self._b[good] = slope[good]
        self._final |= good
        return changed

    def _explained(self) -> Floats:
        """Return the share of the variance of each fit's means that its driver explains, (fits,)."""
        mean_xx, mean_xu, mean_uu = self._sums[2 * J + 1 :]
        with np.errstate(divide="ignore", invalid="ignore"):
            explained: Floats = np.nan_to_num(mean_xu**2 / (mean_xx * mean_uu))
        return explained

    def to_state(self) -> dict[str, Any]:
        """Return a copy of the state."""
        return {
            **{name: part.to_state() for name, part in self._by_row.items()},
            "rows": self._rows.copy(),
            "sums": self._sums.copy(),
            "learnt": self._learnt.copy(),
            "b": self._b.copy(),
            "lag": self._lag.copy(),
            "final": self._final.copy(),
            "end": self._end,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        for name, part in self._by_row.items():
            part.restore(state[name])
        self._rows = np.array(state["rows"], np.int64)
        self._sums = np.array(state["sums"], np.float64).reshape(SUMS, -1)
        self._learnt, self._b = (np.array(state[k], np.float64) for k in ("learnt", "b"))
        self._lag = np.array(state["lag"], np.int64)
        self._final = np.array(state["final"], bool)
        self._end = int(state["end"])


def driver_mean(weights: sparse.csr_array, held: Floats) -> Floats:
    """Return the mean driver of each driven row, NaN where less than 0.9 of it is measured.

    weights: 0/1, shape (driven rows, S). held: the values that count now, (S,).
    """
    present = np.isfinite(held)
    total = np.maximum(np.diff(weights.indptr), 1)
    covered = weights @ present.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weights @ np.where(present, held, 0.0)) / covered
    return np.where(covered >= COVERED * total, mean, np.nan)
