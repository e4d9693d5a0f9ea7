"""Random building blocks: seeded streams, autocorrelated noise, rare counts, daily cycles."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

DAY_MS = 86_400_000


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the random stream `name` of a run; streams of different names are independent."""
    return np.random.Generator(np.random.PCG64DXSM([seed, zlib.crc32(name.encode())]))


def daily(ts: int, peak_hour: float) -> float:
    """Return a daily cycle between -1 and 1 that peaks at `peak_hour` (UTC).

    >>> daily(15 * 3_600_000, 15.0), round(daily(3 * 3_600_000, 15.0), 6)
    (1.0, -1.0)
    """
    return math.cos(2 * math.pi * (ts % DAY_MS / DAY_MS - peak_hour / 24))


class AutoRegressive:
    """Many AR(1) series side by side, each with its own memory and spread.

    x' = phi x + sqrt(1 - phi^2) sd e, phi = exp(-dt / tau): the marginal spread is `sd` whatever the step
    `dt` (seconds), the correlation of neighbours exp(-dt / tau). `tau` in seconds and `sd` broadcast to
    `shape`. With `bursts`, that share of the innovations is four times as large: tails heavier than normal.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        dt: float,
        tau: ArrayLike,
        sd: ArrayLike,
        *,
        bursts: float = 0.0,
    ) -> None:
        self._rng = rng
        self._phi = np.broadcast_to(np.exp(-dt / np.asarray(tau, float)), shape)
        sd = np.broadcast_to(np.asarray(sd, float), shape)
        self._gain: Floats = sd * np.sqrt(1 - self._phi**2)
        self._bursts = bursts
        self.x: Floats = rng.standard_normal(shape) * sd
        self._innovations: Floats = np.empty((0, *shape))
        self._used = 0

    def step(self) -> Floats:
        """Advance all series by one step; the array returned is the live state."""
        if self._used == len(self._innovations):
            self._innovations, self._used = self._draw(), 0
        self.x *= self._phi
        self.x += self._innovations[self._used]
        self._used += 1
        return self.x

    def _draw(self) -> Floats:
        """Draw the innovations of the next steps: many where the series are few, to save calls."""
        steps = max(1, 8192 // max(1, self.x.size))
        e = self._rng.standard_normal((steps, *self.x.shape), dtype=np.float32)
        if self._bursts:
            e.reshape(-1)[sparse_picks(self._rng, e.size, self._bursts)] *= 4
        innovations: Floats = e * self._gain
        return innovations


def sparse_picks(rng: np.random.Generator, size: int, chance: float) -> Ints:
    """Return the indices hit when each of `size` places is hit with the small probability `chance`."""
    return rng.integers(0, size, rng.poisson(size * chance))


class RareCounts:
    """Poisson counters of many parts whose rates (events a second) are small."""

    def __init__(self, rng: np.random.Generator, rates: Floats) -> None:
        self._rng = rng
        self._cumulative = np.cumsum(rates)

    def hits(self, dt: float) -> Ints:
        """Return the part of each event of the next `dt` seconds; a part may occur more than once."""
        total = float(self._cumulative[-1])
        u = self._rng.random(self._rng.poisson(total * dt)) * total
        return np.searchsorted(self._cumulative, u, side="right")
