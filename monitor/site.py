"""The site: takes a tick when all partitions have closed it, and owns all that compares and decides.

    merge -> detect -> aggregate -> absence -> correlate
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.rounds import rounds
from monitor.types import Panel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.detect.table import SeriesTable
    from monitor.types import Anomaly, Incident, Ints, TickPart


@dataclass(frozen=True, slots=True)
class SiteOutput:
    """What a closed tick gave."""

    end: int
    samples: int
    anomalies: tuple[Anomaly, ...]
    incidents: tuple[Incident, ...]


class Merge:
    """The cells of all partitions over one table, in canonical order."""

    def __init__(self, partitions: int) -> None:
        self._rows: list[Ints] = [np.empty(0, np.int64) for _ in range(partitions)]

    def meet(self, table: SeriesTable, parts: Sequence[TickPart]) -> Ints | None:
        """Take new series into the table; return where its rows moved to, or None where none is new."""
        new = sorted({key for part in parts for key in part.new_series} - table.known)
        moved = table.merge(new) if new else None
        for part in parts:
            rows = self._rows[part.partition]
            rows = rows if moved is None else moved[rows]
            self._rows[part.partition] = np.concatenate([rows, table.rows_of(part.new_series)])
        return moved

    def panels(self, end: int, parts: Sequence[TickPart], size: int) -> list[Panel]:
        """Return the tick as dense panels, one for each round."""
        row = np.concatenate([self._rows[part.partition][part.series] for part in parts])
        ts = np.concatenate([part.ts for part in parts])
        value = np.concatenate([part.value for part in parts])
        panels = []
        for points in rounds(row):
            x, when = np.full(size, np.nan), np.full(size, -1, np.int64)
            x[row[points]], when[row[points]] = value[points], ts[points]
            panels.append(Panel(end, x, when))
        return panels
