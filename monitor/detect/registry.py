"""Every detector, as a value: what it computes, how it begins, how it steps.

tests/detect/test_contract.py runs on all of them, driven alike by columns of readings. The stage calls the
same kernels with what it knows besides (`DetectStage.step`, in their order); a detector that it names and
that is not here fails that suite. docs/architecture.md says what a new one needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from monitor.detect import charts
from monitor.detect.counts import Counters, Counts
from monitor.kernels.baseline import Learning, Points
from monitor.kernels.latch import Bad
from monitor.kernels.watch import Rows, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.types import Floats, Ints

RHYTHM_MS = 60_000
RAISE_NATS, CLEAR_NATS = 10.4, 3.0
_NONE = np.empty(0, np.int64)


class Running(Protocol):
    """A detector at work on n series."""

    def step(self, ts: int, x: Floats) -> Floats:
        """Take a reading of each series (NaN = none); return where each stands, (n,), 0 = nothing."""

    def to_state(self) -> dict[str, Any]:
        """Return all state as arrays and numbers."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector: its name, its formula in a line, and how n series of it begin.

    Here each series has a pool of its own, so that they are independent of each other.
    """

    name: str
    formula: str
    begin: Callable[[int], Running]


class _Watched:
    def __init__(self, n: int, *, lone: bool) -> None:
        self._watch = Watch(Learning())
        self._watch.resize(_NONE, n, _NONE, n)
        both = np.ones(n, bool)
        self._rows = Rows(
            pool=np.arange(n),
            lone=np.full(n, lone),
            bad=Bad(both, both),
            floor=np.full(n, 1e-3),
            raise_level=np.full(n, RAISE_NATS),
            clear_level=CLEAR_NATS,
        )
        self.to_state, self.restore = self._watch.to_state, self._watch.restore

    def step(self, ts: int, x: Floats) -> Floats:
        self._watch.step(self._rows, _points(ts, x))
        columns = self._watch.latch.columns
        return columns["direction"] * columns["score"].astype(np.float64)


class _Counted:
    def __init__(self, n: int) -> None:
        self._counts = Counts()
        self._counts.resize(_NONE, n, _NONE, n)
        self._counters = Counters(np.arange(n), Learning(), RAISE_NATS, CLEAR_NATS)
        self.to_state, self.restore = self._counts.to_state, self._counts.restore

    def step(self, ts: int, x: Floats) -> Floats:
        gap: Ints = np.where(np.isfinite(x), RHYTHM_MS, 0)
        self._counts.step(self._counters, _points(ts, np.abs(x)), gap)
        columns = self._counts.latch.columns
        return columns["direction"] * columns["score"].astype(np.float64)


class _Charted:
    def __init__(self, n: int) -> None:
        self._state = charts.RunState.new(n)

    def step(self, ts: int, x: Floats) -> Floats:
        del ts
        codes = charts.step(self._state, x, np.zeros(len(x)), np.ones(len(x)), charts.LIMITS_AND_RUN)
        return codes.astype(np.float64)

    def to_state(self) -> dict[str, Any]:
        return {name: getattr(self._state, name).copy() for name in self._state.__dataclass_fields__}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, values in state.items():
            getattr(self._state, name)[...] = values


def _points(ts: int, x: Floats) -> Points:
    n = len(x)
    return Points(ts, x, np.full(n, ts), np.full(n, float(RHYTHM_MS)), np.ones(n, np.int64))


DETECTORS: tuple[Detector, ...] = (
    Detector("peers", "-ln P(mean of z over 1, 6, 36, 216 points), z = (x - peers - own level) / spread",
             partial(_Watched, lone=False)),
    Detector("past", "as peers, z = distance from the span of the recent and the long-run level",
             partial(_Watched, lone=True)),
    Detector("counts", "-ln P(X >= events of a window), X negative binomial by the rate so far", _Counted),
    Detector("shewhart", "beyond centre +- 3 sigma, or 7 points on one side of it", _Charted),
)  # fmt: skip
