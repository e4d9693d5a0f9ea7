"""The last value of each series, its rhythm, and what still counts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.kernels.compiled import loops

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.types import Floats, Ints, Panel

STEADY_AFTER = 64


class Held:
    """Last points and rhythms, so that a series of 60 s counts among its peers in each tick of 10 s.

    The rhythm is near the median of the gaps: the first gap, then moved by at most a tenth of itself, and by
    less each time, toward each of the next 63. `heard` is the end of the tick in which the last point came,
    which may be about long ago. 30 bytes a series.
    """

    def __init__(self, n: int = 0) -> None:
        self.columns = Columns(
            {
                "x": Column("f8", np.nan),
                "ts": Column("i8", -1),
                "heard": Column("i8", -1),
                "rhythm": Column("f4", 0),
                "gaps": Column("i2", 0),
            },
            n,
        )
        self.resize, self.to_state = self.columns.resize, self.columns.to_state

    @property
    def nbytes(self) -> int:
        """How many bytes the last points take."""
        return self.columns.nbytes

    @property
    def rhythm(self) -> Floats:
        """The usual gap between points in ms, 0 where only one was seen."""
        return self.columns["rhythm"].astype(np.float64)

    def step(self, panel: Panel, hold: float) -> tuple[Floats, Ints]:
        """Take a round; return (values that count at its end, gaps before its points), both (S,).

        A value counts for `hold` times its rhythm, NaN afterwards. Gaps are in ms, 0 without a point or
        with the first one.
        """
        last = self.columns["ts"]
        gap = np.zeros(len(last), np.int64)
        np.copyto(self.columns["heard"], panel.end, where=np.isfinite(panel.x))
        if fast := loops(len(last)):
            held = np.empty(len(last))
            state = tuple(self.columns[name] for name in ("x", "ts", "rhythm", "gaps"))
            fast.hold(panel.x, panel.ts, panel.end, float(hold), STEADY_AFTER, state, held, gap)
            return held, gap
        rows = np.flatnonzero(np.isfinite(panel.x))
        gap[rows] = np.where(last[rows] >= 0, panel.ts[rows] - last[rows], 0)
        self._learn(rows[gap[rows] > 0], gap)
        self.columns["x"][rows] = panel.x[rows]
        last[rows] = panel.ts[rows]
        alive = (last >= 0) & (panel.end - last <= np.maximum(hold * self.rhythm, 1))
        alive[rows] = True
        return np.where(alive, self.columns["x"], np.nan), gap

    def _learn(self, rows: Ints, gap: Ints) -> None:
        rows = rows[self.columns["gaps"][rows] < STEADY_AFTER]
        if not len(rows):
            return
        k = self.columns["gaps"][rows].astype(np.float64)
        rhythm = self.columns["rhythm"][rows]
        reach = np.where(k == 0, np.inf, rhythm * 0.1 * (1 - k / STEADY_AFTER))
        self.columns["rhythm"][rows] = rhythm + np.clip(gap[rows] - rhythm, -reach, reach)
        self.columns["gaps"][rows] += 1

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self.columns.restore(state)
