"""Nulls that are measured: an empirical tail for each pool and scale, a plain exponential beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.coding import carried

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.types import Floats, Ints

WIDTH = 0.25
BINS = 96
ANCHOR = 1e-2
FEW = 30
GROWTH = 1.25


def bins_of(t: Floats) -> Ints:
    """Return the bin of each value."""
    return np.minimum(np.maximum(t, 0) / WIDTH, BINS - 1).astype(np.int64)


class Tails:
    """The upper tail of a statistic t >= 0, in nats: -ln P(T > t).

    Up to u the tail is the measured share, (c + 1) / (n + 1) with c values above t, interpolated in the
    logarithm between bins of 0.25. Beyond u it is exponential: nats(u) + (t - u) / beta with beta the mean
    excess over u, at least `flattest`; u is where a share of 1e-2, or 30 values, is left, whichever is
    more. For a tail lighter than exponential (a Gaussian) this understates the evidence; for a heavier one
    it overstates it, which `guard` shows. Fewer than 30 values say nothing: 0 nats. State: 96 counts a cell,
    whatever the time.

    Cells are numbered 0 .. cells-1; the caller makes them of pool, scale and direction. `flattest` is the
    least beta, in units of t.
    """

    def __init__(self, cells: int = 0, flattest: float = 0.25) -> None:
        self.flattest = flattest
        self._counts = np.zeros((cells, BINS), np.int64)
        self._table = np.zeros((cells, BINS))
        self._u, self._at_u, self._fitted = (np.zeros(cells) for _ in range(3))
        self._beta = np.full(cells, self.flattest)

    @property
    def nbytes(self) -> int:
        """How many bytes the counts take."""
        return self._counts.nbytes

    @property
    def fit(self) -> tuple[Any, ...]:
        """The fit in force, for the compiled loops: table, u, nats at u, beta, values that it rests on."""
        return self._table, self._u, self._at_u, self._beta, self._fitted

    def resize(self, moved: Ints, cells: int) -> None:
        """Move cell i to `moved[i]` of `cells` cells (-1 drops it)."""
        for name in _STATE:
            fill = self.flattest if name == "beta" else 0
            setattr(self, f"_{name}", carried(getattr(self, f"_{name}"), moved, cells, fill))

    def observe(self, cell: Ints, t: Floats) -> None:
        """Count values of healthy time; they weigh in `nats` from the next `refit` on."""
        np.add.at(self._counts, (cell, bins_of(t)), 1)

    def add(self, counts: Floats) -> None:
        """Add counts by bin, (cells, 96), of values of healthy time."""
        self._counts += counts.astype(np.int64)

    def refit(self) -> None:
        """Take what was observed into the tails of the cells that grew by a quarter since their last fit.

        So four fifths of what a value is compared with is older than the value's own neighbourhood: an
        excursion cannot excuse itself.
        """
        n = self._counts.sum(axis=1)
        self._fit(np.flatnonzero(n >= np.maximum(GROWTH * self._fitted, self._fitted + 1)))

    def nats(self, cell: Ints, t: Floats) -> Floats:
        """Return -ln P(T > t), 0 where t <= 0 or too little was seen."""
        t = np.maximum(t, 0)
        place = np.minimum(t / WIDTH, BINS - 1 - 1e-9)
        bin_ = place.astype(np.int64)
        left = self._table[cell, bin_]
        inside = left + (self._table[cell, bin_ + 1] - left) * (place - bin_)
        beyond = self._at_u[cell] + (t - self._u[cell]) / self._beta[cell]
        nats = np.where(t <= self._u[cell], inside, beyond)
        return np.where((self._fitted[cell] >= FEW) & (t > 0), nats, 0.0)

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

    def _fit(self, cells: Ints) -> None:
        counts = self._counts[cells]
        n = counts.sum(axis=1)
        above = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
        table = -np.log((above + 1) / (n + 1)[:, None])
        table[:, 0] = 0.0
        enough = above >= np.maximum(ANCHOR * n, FEW)[:, None]
        last = np.maximum(enough.sum(axis=1) - 1, 0)
        row = np.arange(len(n))
        u = last * WIDTH
        centre = (np.arange(BINS) + 0.5) * WIDTH
        excess = np.where(np.arange(BINS) >= last[:, None], centre - u[:, None], 0.0) * counts
        beta = excess.sum(axis=1) / np.maximum(above[row, last], 1)
        self._table[cells], self._u[cells], self._at_u[cells] = table, u, table[row, last]
        self._beta[cells] = np.maximum(beta, self.flattest)
        self._fitted[cells] = n

    def to_state(self) -> dict[str, Any]:
        """Return the counts, and the fit that is in force."""
        return {name: getattr(self, f"_{name}").copy() for name in _STATE}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        for name, (dtype, shape) in _STATE.items():
            setattr(self, f"_{name}", np.array(state[name], dtype).reshape(shape))


_STATE: dict[str, tuple[str, tuple[int, ...]]] = {
    "counts": ("i8", (-1, BINS)),
    "table": ("f8", (-1, BINS)),
    "u": ("f8", (-1,)),
    "at_u": ("f8", (-1,)),
    "beta": ("f8", (-1,)),
    "fitted": ("f8", (-1,)),
}
