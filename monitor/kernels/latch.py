"""An alarm stands until a rule clears it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.kernels.rings import SCALES
from monitor.units import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.kernels.evidence import Scored
    from monitor.types import Bools, Floats, Ints

CALM_POINTS = 6
GONE_MS, GONE_RHYTHMS = 2 * HOUR, 3
JUDGED_MS, JUDGED_RHYTHMS = 30 * MINUTE, 2
"""What was quiet when it was last judged counts as quiet for so long, and what was raised then stands."""

UP, DOWN = 1, -1


@dataclass(frozen=True, slots=True)
class Bad:
    """Which direction harms, by row: booleans of shape (n,)."""

    up: Bools
    down: Bools


@dataclass(frozen=True, slots=True)
class Seen:
    """When each of n series was last heard, and judged, ms; its rhythm, ms."""

    heard: Ints
    judged: Ints
    rhythm: Floats


class Latch:
    """Which rows stand alarmed, since when, in which direction, with how much evidence.

    A row is raised when its evidence at some scale reaches the raise level. It clears when, for 6 points of
    its own, the evidence at the scale that raised it and at every shorter one was below the clear level
    (hysteresis). A row without data neither raises nor clears, but may be released. `since` is when what
    raised it began.
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
        begun: Callable[[Ints, Ints, Ints], Ints],
    ) -> tuple[Ints, Ints]:
        """Take a round of evidence; return the rows (raised, cleared), ascending.

        levels: (raise level by row, clear level), nats. when: (end of the tick, ts of the points, rhythm).
        begun: tells from rows, scale and sign how many points ago what they show began (Rings.begun).
        """
        raise_level, clear_level = levels
        cleared = self._clear(scored, judged, clear_level)
        up = np.where(bad.up & judged, scored.up.max(axis=0), 0.0)
        down = np.where(bad.down & judged, scored.down.max(axis=0), 0.0)
        rows = np.flatnonzero((np.maximum(up, down) >= raise_level) & ~self.on)
        if len(rows):
            self._raise(rows, scored, down[rows] > up[rows], when, begun)
        return rows, np.setdiff1d(cleared, rows, assume_unique=True)

    def release(self, end: int, series: Ints, seen: Seen) -> Ints:
        """Let go of rows about which nothing is known any more; return them, ascending.

        Nothing was heard for two hours and three rhythms, or what was heard could not be judged for half an
        hour: the deviation was in another state, idle perhaps where it is busy now. series: what each row is
        about.
        """
        stands = np.flatnonzero(self.on)
        about = series[stands]
        heard, judged, rhythm = seen.heard[about], seen.judged[about], seen.rhythm[about]
        unheard = end - heard > np.maximum(GONE_MS, GONE_RHYTHMS * rhythm)
        gone = stands[unheard | (heard - judged > JUDGED_MS + JUDGED_RHYTHMS * rhythm)]
        if len(gone):
            self.columns.restart(_mask(gone, len(self.columns)))
        return gone

    def _clear(self, scored: Scored, judged: Bools, clear_level: float) -> Ints:
        rows = np.flatnonzero(self.on & scored.fresh[0] & judged)
        if not len(rows):
            return rows
        columns = self.columns
        fresh = scored.fresh[:, rows]
        nats = np.where(columns["direction"][rows] == UP, scored.up[:, rows], scored.down[:, rows])
        held = np.where(fresh, nats, columns["held"][:, rows])
        columns["held"][:, rows] = held
        columns["score"][rows] = np.maximum(columns["score"][rows], held.max(axis=0))
        counts = np.arange(len(SCALES))[:, None] <= columns["scale"][rows]
        calm = (np.where(counts, held, 0.0) < clear_level).all(axis=0)
        columns["calm"][rows] = np.where(calm, columns["calm"][rows] + 1, 0)
        done = rows[columns["calm"][rows] >= CALM_POINTS]
        columns.restart(_mask(done, len(columns)))
        return done

    def _raise(
        self,
        rows: Ints,
        scored: Scored,
        downward: Bools,
        when: tuple[int, Ints, Floats],
        begun: Callable[[Ints, Ints, Ints], Ints],
    ) -> None:
        end, ts, rhythm = when
        nats = np.where(downward, scored.down[:, rows], scored.up[:, rows])
        scale = nats.argmax(axis=0)
        direction = np.where(downward, DOWN, UP)
        back = ((begun(rows, scale, direction) - 1) * rhythm[rows]).astype(np.int64)
        values = {
            "direction": direction,
            "scale": scale,
            "calm": 0,
            "since": np.maximum(ts[rows] - back, 0),
            "raised_at": end,
            "score": nats.max(axis=0),
        }
        for name, value in values.items():
            self.columns[name][rows] = value
        self.columns["held"][:, rows] = nats

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self.columns.restore(state)


def _mask(rows: Ints, n: int) -> Bools:
    mask = np.zeros(n, bool)
    mask[rows] = True
    return mask
