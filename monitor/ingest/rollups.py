"""Rollups: the samples of closed ticks as windows, one complete row for each series and window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.cells import Windows
from monitor.units import SECOND

if TYPE_CHECKING:
    from monitor.cells import Cells
    from monitor.types import Ints

FINEST_MS = 10 * SECOND


def window_ms(tick_ms: int) -> int:
    """Return the width of the finest windows: 10 s, or a tick where a tick is no multiple of that.

    So a window is complete when its tick closes.

    >>> window_ms(10_000), window_ms(30_000), window_ms(15_000)
    (10000, 10000, 15000)
    """
    return FINEST_MS if tick_ms % FINEST_MS == 0 else tick_ms


def windows(cells: Cells, width_ms: int) -> Windows:
    """Return the windows of the finite samples of a tick, by series and start.

    n, mean = sum(x) / n, m2 = sum((x - mean)^2), min, max, last and the anomalous count of each window.
    A zero has no sign.
    """
    row, ts, value, odd = cells.row, cells.ts, cells.value + 0.0, cells.anomalous  # -0.0 + 0.0 is 0.0
    finite = np.isfinite(value)
    if not finite.all():
        row, ts, value, odd = row[finite], ts[finite], value[finite], odd[finite]
    start = (ts - 1) // width_ms * width_ms
    order = _by_row(row)
    if len(order) < len(row):
        order = np.lexsort((ts, start, row))
    row, start, value, odd = row[order], start[order], value[order], odd[order]
    first = _firsts(row, start)
    if len(first) == len(row):
        count, no = np.ones(len(row), np.int64), np.zeros(len(row))
        return Windows(
            cells.names, row, start, count, value, no, value, value, value, odd.astype(np.int64), cells.late
        )
    count = np.diff(np.append(first, len(row)))
    mean = np.add.reduceat(value, first) / count
    return Windows(
        names=cells.names,
        row=row[first],
        start=start[first],
        count=count,
        mean=mean,
        m2=np.add.reduceat((value - np.repeat(mean, count)) ** 2, first),
        min=np.minimum.reduceat(value, first),
        max=np.maximum.reduceat(value, first),
        last=value[np.append(first[1:], len(row)) - 1],
        anomalous=np.add.reduceat(odd.astype(np.int64), first),
        late=cells.late,
    )


def _by_row(row: Ints) -> Ints:
    """Return the order by row; where a row stands more than once, it is too short by as many."""
    place = np.full(row.max(initial=-1) + 1, -1)
    place[row] = np.arange(len(row))
    return place[place >= 0]


def _firsts(row: Ints, start: Ints) -> Ints:
    """Return where each (row, start) begins, in columns sorted by both."""
    if not len(row):
        return np.empty(0, np.int64)
    changed = (row[1:] != row[:-1]) | (start[1:] != start[:-1])
    return np.flatnonzero(np.concatenate([[True], changed]))
