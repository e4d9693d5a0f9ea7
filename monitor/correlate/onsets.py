"""Since when what stands at page level can have begun: a sign that was weak for hours is not that old."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.correlate.cells import CellKey
from monitor.units import MINUTE

if TYPE_CHECKING:
    from monitor.correlate.cells import Cells

RISE_MS = 30 * MINUTE
"""How long a fault may take from its first sign until one stands at page level."""


class Onsets:
    """When each cell that stands at page level rose to it. Memory is bounded by what stands."""

    def __init__(self) -> None:
        self._rose: dict[CellKey, int] = {}

    def date(self, cells: Cells, end: int) -> Cells:
        """Return the cells of a tick, those at page level with onsets not long before they rose to it."""
        strong = np.flatnonzero(cells.strong).tolist()
        self._rose = {cells.keys[c]: self._rose.get(cells.keys[c], end) for c in strong}
        since = cells.since.copy()
        for c in strong:
            since[c] = max(since[c], self._rose[cells.keys[c]] - RISE_MS)
        return replace(cells, since=since)

    def to_state(self) -> list[Any]:
        """Return what is remembered, as primitives."""
        return [[list(key), rose] for key, rose in sorted(self._rose.items())]

    def from_state(self, state: list[Any]) -> None:
        """Go on from `to_state`."""
        self._rose = {CellKey(*key): rose for key, rose in state}
