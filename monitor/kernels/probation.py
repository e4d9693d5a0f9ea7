"""What nulls may learn is held back until it is known to be of healthy time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.coding import carried
from monitor.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.types import Bools, Ints

WINDOW_MS = 5 * MINUTE
MOST, NEW_SHARE, STANDING_SHARE = 3, 0.005, 0.02
"""More alarms in a pool than three and 0.5 % of its rows within a window, or 2 % that stand, are a fault, not
chance: at the raise level a healthy pool of 10,000 rows has about 20 new ones, one of 250 less than one."""
LONGEST = 24
"""At most so many windows running are left out, two hours: what goes on longer is how this pool is."""


class Probation:
    """Sums by pool of the last two windows of five minutes, which the nulls do not know yet.

    A fault of many rows is in the readings before it raises an alarm. In a hall of 256 GPUs the first minutes
    of one failing CDU, 0.4 % of all readings, made the null's tail four times as long, for good. While it
    lasts the medians of peers are off, and with them the readings of those that are well. So a window counts
    when it and the next one are over and neither had many alarms.

    arrays: what is summed, by name, each of shape (2, pools, ...): of this window, and of the one before.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], pools: int = 0) -> None:
        self._shapes = dict(shapes)
        self.arrays: dict[str, Any] = {name: np.zeros((2, pools, *shape)) for name, shape in shapes.items()}
        self._alarms, self._left_out = np.zeros((2, pools), np.int64)
        self._until = 0

    def resize(self, moved: Ints, pools: int) -> None:
        """Move pool p to `moved[p]` of `pools` (-1 drops it)."""
        for name, array in self.arrays.items():
            self.arrays[name] = np.stack([carried(window, moved, pools) for window in array])
        self._alarms, self._left_out = (carried(a, moved, pools) for a in (self._alarms, self._left_out))

    def of_window(self, name: str) -> Any:
        """Return the sums of this window, to be added to in place."""
        return self.arrays[name][0]

    def alarm(self, pool: Ints) -> None:
        """Count new alarms, by the pool of each."""
        np.add.at(self._alarms, pool, 1)

    def is_over(self, end: int) -> bool:
        """Tell whether the window is over with the tick `end`, and it is time to settle."""
        return end >= self._until

    def settle(self, end: int, rows: Ints, standing: Ints) -> tuple[dict[str, Any], Bools]:
        """Return what has become known to be healthy, by name, and the pools whose fault is over, (pools,).

        rows, standing: how many rows each pool has, and how many of them stand alarmed.
        """
        self._until = end // WINDOW_MS * WINDOW_MS + WINDOW_MS
        new = self._alarms > np.maximum(MOST, NEW_SHARE * rows)
        many = new | (standing > np.maximum(MOST, STANDING_SHARE * rows))
        spoilt = many & (self._left_out < LONGEST)
        over = (self._left_out > 0) & ~many
        self._left_out = np.where(many, self._left_out + 1, 0)
        self._alarms[:] = 0
        healthy = {}
        for name, array in self.arrays.items():
            array[:, spoilt] = 0
            healthy[name] = array[1].copy()
            array[1], array[0] = array[0].copy(), 0
        return healthy, over

    def to_state(self) -> dict[str, Any]:
        """Return a copy of the state."""
        return {
            "arrays": {name: array.copy() for name, array in self.arrays.items()},
            "alarms": self._alarms.copy(),
            "left_out": self._left_out.copy(),
            "until": self._until,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        self.arrays = {
            name: np.array(state["arrays"][name], np.float64).reshape(2, -1, *shape)
            for name, shape in self._shapes.items()
        }
        self._alarms, self._left_out = (np.array(state[name], np.int64) for name in ("alarms", "left_out"))
        self._until = int(state["until"])
