"""Nulls that are measured: an empirical tail for each pool and scale, a plain exponential beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.types import Bools, Floats, Ints

WIDTH = 0.25
BINS = 96
ANCHOR = 1e-2
FEW = 60


class Tails:
    """The upper tail of a statistic t >= 0, in nats: -ln P(T > t).

    Up to u the tail is the measured share, (c + 1) / (n + 1) with c values above t, interpolated in the
    logarithm between bins of 0.25. Beyond u it is exponential: nats(u) + (t - u) / beta with beta the mean
    excess over u, at least `flattest`; u is where a share of 1e-2, or 60 values, is left, whichever is
    more. For a tail lighter than exponential (a Gaussian) this understates the evidence; for a heavier one
    it overstates it, which `guard` shows. Fewer than 60 values say nothing: 0 nats. State: 96 counts a cell,
    whatever the time.

    Cells are numbered 0 .. cells-1; the caller makes them of pool, scale and direction. `flattest` is the
    least beta, in units of t.
    """

    def __init__(self, cells: int = 0, flattest: float = 0.25) -> None:
        self.flattest = flattest
        self._counts = np.zeros((cells, BINS), np.int64)
        self._fit()

    @property
    def nbytes(self) -> int:
        """How many bytes the counts take."""
        return self._counts.nbytes

    def resize(self, moved: Ints, cells: int) -> None:
        """Move cell i to `moved[i]` of `cells` cells (-1 drops it)."""
        fresh = np.zeros((cells, BINS), np.int64)
        fresh[moved[moved >= 0]] = self._counts[moved >= 0]
        self._counts = fresh
        self._fit()

    def observe(self, cell: Ints, t: Floats) -> None:
        """Count values of healthy time; they weigh in `nats` from the next `refit` on."""
        bin_ = np.minimum(np.maximum(t, 0) / WIDTH, BINS - 1).astype(np.int64)
        flat = np.bincount(cell * BINS + bin_, minlength=self._counts.size)
        self._counts += flat.reshape(self._counts.shape)

    def refit(self) -> None:
        """Take what was observed into the tails."""
        self._fit()

    def nats(self, cell: Ints, t: Floats) -> Floats:
        """Return -ln P(T > t), 0 where t <= 0 or too little was seen."""
        t = np.maximum(t, 0)
        place = np.minimum(t / WIDTH, BINS - 1 - 1e-9)
        bin_ = place.astype(np.int64)
        left = self._table[cell, bin_]
        inside = left + (self._table[cell, bin_ + 1] - left) * (place - bin_)
        beyond = self._at_u[cell] + (t - self._u[cell]) / self._beta[cell]
        nats = np.where(t <= self._u[cell], inside, beyond)
        return np.where(self._known[cell] & (t > 0), nats, 0.0)

    def guard(self, levels: Floats) -> tuple[Floats, Floats]:
        """Compare promise and measurement: (promised, observed) numbers of values above levels of nats.

        Both have the shape (levels, cells). Promise = n e^-level; observed is what was counted in healthy
        time above the t that the exponential asks for. A ratio that grows with the level says that beta is
        too small.
        """
        n = self._counts.sum(axis=1)
        t = self._u + np.maximum(levels[:, None] - self._at_u, 0) * self._beta
        edge = np.minimum(np.ceil(t / WIDTH), BINS - 1).astype(np.int64)
        above = np.concatenate(
            [np.cumsum(self._counts[:, ::-1], axis=1)[:, ::-1], np.zeros((len(n), 1), int)], 1
        )
        return n * np.exp(-levels[:, None]), above[np.arange(len(n)), edge].astype(np.float64)

    def _fit(self) -> None:
        n = self._counts.sum(axis=1)
        above = np.cumsum(self._counts[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(divide="ignore"):
            self._table = -np.log((above + 1) / (n + 1)[:, None])
        self._table[:, 0] = 0.0
        enough = above >= np.maximum(ANCHOR * n, FEW)[:, None]
        last = np.maximum(enough.sum(axis=1) - 1, 0)
        row = np.arange(len(n))
        self._u = last * WIDTH
        self._at_u = self._table[row, last] if len(n) else np.zeros(0)
        centre = (np.arange(BINS) + 0.5) * WIDTH
        excess = np.where(np.arange(BINS) >= last[:, None], centre - self._u[:, None], 0.0) * self._counts
        self._beta = np.maximum(excess.sum(axis=1) / np.maximum(above[row, last], 1), self.flattest)
        self._known: Bools = n >= FEW

    def to_state(self) -> dict[str, Any]:
        """Return the counts, and the fit that is in force."""
        return {"counts": self._counts.copy(), "table": self._table.copy(), "u": self._u.copy(),
                "at_u": self._at_u.copy(), "beta": self._beta.copy(), "known": self._known.copy()}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self._counts = np.array(state["counts"], np.int64).reshape(-1, BINS)
        self._table = np.array(state["table"], np.float64).reshape(-1, BINS)
        self._u, self._at_u, self._beta = (np.array(state[k], np.float64) for k in ("u", "at_u", "beta"))
        self._known = np.array(state["known"], bool)
