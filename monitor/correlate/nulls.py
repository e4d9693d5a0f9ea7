"""How often a family is hot where nothing is wrong: the f of the scores, measured all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.correlate.evidence import RATE_FLOOR

if TYPE_CHECKING:
    from monitor.correlate.cells import Cells
    from monitor.correlate.observe import Observation
    from monitor.types import Floats, Ints

_KEEP = 0.9995  # a tick's weight falls to 1/e after 2,000 ticks
_LEAST_JUDGED = 1e4  # below this many judged cells the floor holds


class NullShares:
    """Shares of judged cells that are hot and that no cause explains, by family, forgetting slowly."""

    def __init__(self, families: tuple[str, ...]) -> None:
        self._families = families
        self._hot = np.zeros(len(families))
        self._judged = np.zeros(len(families))

    def rates(self) -> Floats:
        """Return f for each family, at least 1e-4, shape (F,)."""
        return np.maximum(self._hot / np.maximum(self._judged, _LEAST_JUDGED), RATE_FLOOR)

    def count(self, observation: Observation, cells: Cells, loose: Ints) -> None:
        """Count a tick. loose: the cells without a cause."""
        hot = np.bincount(cells.family[loose], minlength=len(self._families))
        judged = [
            np.count_nonzero(observation.judged[name]) if name in observation.judged else 0
            for name in self._families
        ]
        self._hot = _KEEP * self._hot + hot
        self._judged = _KEEP * self._judged + np.array(judged)

    def to_state(self) -> dict[str, Any]:
        """Return the counts as primitives."""
        return {"hot": self._hot.tolist(), "judged": self._judged.tolist()}

    def from_state(self, state: dict[str, Any]) -> None:
        """Go on from `to_state`."""
        self._hot, self._judged = np.array(state["hot"]), np.array(state["judged"])
