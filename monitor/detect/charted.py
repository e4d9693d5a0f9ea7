"""Which samples are beyond their chart's limits or end a run on one side: the counts in the rollups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.detect.charts import limits_and_run
from monitor.kernels.coding import carried

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.detect.stage import DetectResult
    from monitor.types import Bools, Ints, Panel


class Charted:
    """A chart with limits and a run rule over all series; its state is the run, one byte a series.

    At the defaults (3 sigma, 7 on one side) a stable series has a sample that counts each 95.7 of independent
    normal ones. It pages nobody and raises nothing.
    """

    def __init__(self, sigmas: float, run: int) -> None:
        self._sigmas, self._run = sigmas, run
        self._side: NDArray[np.int8] = np.zeros(0, np.int8)

    def resize(self, moved: Ints, size: int) -> None:
        """Move the series to `moved` of `size` (-1 drops it); the others are new."""
        self._side = carried(self._side, moved, size)

    def step(self, panel: Panel, detected: DetectResult) -> Bools:
        """Take one round; return which series have a sample that counts, shape (S,)."""
        sigma = (detected.upper - detected.lower) / (2 * self._sigmas)
        beyond, ends_run = limits_and_run(
            self._side, panel.x, detected.expected, sigma, sigmas=self._sigmas, points=self._run
        )
        return beyond | ends_run

    def to_state(self) -> NDArray[np.int8]:
        """Return the runs."""
        return self._side.copy()

    def restore(self, state: NDArray[np.int8]) -> None:
        """Take back what `to_state` gave."""
        self._side = np.array(state, np.int8)
