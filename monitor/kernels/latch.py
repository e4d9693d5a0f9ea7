"""An alarm stands until a rule clears it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.kernels.rings import SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.kernels.evidence import Scored
    from monitor.types import Bools, Floats, Ints

CALM_POINTS = 6

UP, DOWN = 1, -1


@dataclass(frozen=True, slots=True)
class Bad:
    """Which direction harms, by row: booleans of shape (n,)."""

    up: Bools
    down: Bools


class Latch:
    """Which rows stand alarmed, since when, in which direction, with how much evidence.

    A row is raised when its evidence at some scale reaches the raise level. It clears when, for 6 points of
    its own, the evidence at the scale that raised it and at every shorter one was below the clear level
    (hysteresis). A row without data neither raises nor clears. `since` is the start of the window that
    raised it.
    """

    def __init__(self, n: int = 0) -> None:
        self.columns = Columns(
            {
                "direction": Column("i1", 0),
                "scale": Column("i1", 0),
                "calm": Column("i2", 0),
                "since": Column("i8", -1),
                "raised_at": Column("i8", -1),
                "score": Column("f4", 0),
                "held": Column("f4", 0, len(SCALES)),
            },
            n,
        )
        self.resize, self.to_state = self.columns.resize, self.columns.to_state

    @property
    def nbytes(self) -> int:
        """How many bytes the latches take."""
        return self.columns.nbytes

    @property
    def on(self) -> Bools:
        """The rows that stand alarmed, (n,)."""
        on: Bools = self.columns["direction"] != 0
        return on

    def step(
        self,
        scored: Scored,
        bad: Bad,
        judged: Bools,
        levels: tuple[Floats, float],
        when: tuple[int, Ints, Floats],
    ) -> tuple[Ints, Ints]:
        """Take a round of evidence; return the rows (raised, cleared), ascending.

        levels: (raise level by row, clear level), nats. when: (end of the tick, ts of the points, rhythm).
        """
        raise_level, clear_level = levels
        up = np.where(bad.up & judged, scored.up, 0.0)
        down = np.where(bad.down & judged, scored.down, 0.0)
        standing = self.columns["direction"]
        nats = np.where(standing > 0, up, np.where(standing < 0, down, np.maximum(up, down)))
        cleared = self._clear(nats, scored.fresh, clear_level)
        raised = self._raise(np.maximum(up, down), down > up, raise_level, when)
        return raised, np.setdiff1d(cleared, raised, assume_unique=True)

    def _clear(self, nats: Floats, fresh: Bools, clear_level: float) -> Ints:
        rows = np.flatnonzero(self.on & fresh[0])
        held = self.columns["held"]
        held[:, rows] = np.where(fresh[:, rows], nats[:, rows], held[:, rows])
        best = held[:, rows].max(axis=0, initial=0)
        self.columns["score"][rows] = np.maximum(self.columns["score"][rows], best)
        counts = np.arange(len(SCALES))[:, None] <= self.columns["scale"][rows]
        calm = (np.where(counts, held[:, rows], 0.0) < clear_level).all(axis=0)
        self.columns["calm"][rows] = np.where(calm, self.columns["calm"][rows] + 1, 0)
        done = rows[self.columns["calm"][rows] >= CALM_POINTS]
        self.columns.restart(_mask(done, len(self.columns)))
        return done

    def _raise(
        self, nats: Floats, downward: Bools, raise_level: Floats, when: tuple[int, Ints, Floats]
    ) -> Ints:
        end, ts, rhythm = when
        rows = np.flatnonzero((nats.max(axis=0) >= raise_level) & ~self.on)
        scale = nats[:, rows].argmax(axis=0)
        self.columns["direction"][rows] = np.where(downward[scale, rows], DOWN, UP)
        self.columns["scale"][rows] = scale
        self.columns["calm"][rows] = 0
        span = (np.array(SCALES)[scale] * rhythm[rows]).astype(np.int64)
        self.columns["since"][rows] = np.maximum(ts[rows] - span, 0)
        self.columns["raised_at"][rows] = end
        self.columns["score"][rows] = nats[scale, rows]
        self.columns["held"][:, rows] = nats[:, rows]
        return rows

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self.columns.restore(state)


def _mask(rows: Ints, n: int) -> Bools:
    mask = np.zeros(n, bool)
    mask[rows] = True
    return mask
