"""Means over 1, 6, 36 and 216 points, as nested rings of six, over what neighbours agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.kernels.compiled import loops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.types import Bools, Ints

SCALES = (1, 6, 36, 216)
_SIX = 6


class Rings:
    """Sliding means of each row's own last 1, 6, 36 and 216 points.

    At the shortest scale stands what the last two points agree on: the lesser of them, 0 where they differ in
    sign. A gross fault shows with its second point, and no wild sample that stands alone. With `agreed` that
    is what counts of a point at every scale; without, the longer means are of the points (counts of events
    must add up).

    The second ring takes the mean of each six points, the third that of each 36, so the mean over 36 points
    moves on every 6 and that over 216 every 36. 80 bytes a row instead of 864 for a plain window.
    """

    def __init__(self, n: int = 0, *, agreed: bool = False) -> None:
        self._agreed = agreed
        self._columns = Columns(
            {
                "before": Column("f4", np.nan),
                "count": Column("u4", 0),
                "points": Column("f4", 0, _SIX),
                "sixes": Column("f4", 0, _SIX),
                "blocks": Column("f4", 0, _SIX),
            },
            n,
        )
        self.resize, self.to_state, self.restore = (
            self._columns.resize,
            self._columns.to_state,
            self._columns.restore,
        )

    @property
    def nbytes(self) -> int:
        """How many bytes the rings take."""
        return self._columns.nbytes

    def restart(self, rows: Bools) -> None:
        """Forget the points of some rows."""
        self._columns.restart(rows)

    def push(self, z: np.ndarray[Any, Any], present: Bools) -> tuple[np.ndarray[Any, Any], Bools]:
        """Add a point to the rows where one is present.

        Returns (means, fresh), both (4, n): `fresh` where the mean over a full window has just moved. A row's
        first point moves none.
        """
        shape = (len(SCALES), len(present))
        means, fresh = np.zeros(shape, np.float32), np.zeros(shape, bool)
        rows = np.flatnonzero(present)
        if fast := loops(len(rows)):
            columns = [self._columns[name] for name in ("before", "count", *_RINGS)]
            fast.push(rows, z, self._agreed, *columns, means, fresh)
            return means, fresh
        point, before = z[rows].astype(np.float32), self._columns["before"][rows]
        self._columns["before"][rows] = point
        second = ~np.isnan(before)
        common = _lesser(point[second], before[second])
        means[0, rows[second]], fresh[0, rows[second]] = common, True
        rows, value = (rows[second], common) if self._agreed else (rows, point)
        count = self._columns["count"][rows] + 1
        self._columns["count"][rows] = count
        for level, (name, step) in enumerate(zip(_RINGS, SCALES, strict=False), start=1):
            ring = self._columns[name]
            ring[(count // step - 1) % _SIX, rows] = value
            value = ring[:, rows].sum(axis=0) / np.float32(_SIX)
            full = count >= step * _SIX
            means[level, rows[full]], fresh[level, rows[full]] = value[full], True
            turned = count % (step * _SIX) == 0
            rows, value, count = rows[turned], value[turned], count[turned]
            if not len(rows):
                break
        return means, fresh

    def begun(self, rows: Ints, scale: Ints, sign: Ints) -> Ints:
        """Return how many points ago what each row's mean shows began, (rows,).

        Of the six blocks of the window that moved the mean (points, means of six, of 36), it began with the
        first that is at least half as far out, in the direction of `sign`, as the farthest. scale: index into
        SCALES; at the shortest it is the last two points.
        """
        ago = np.full(len(rows), 2, np.int64)
        for level, (name, step) in enumerate(zip(_RINGS, SCALES, strict=False), start=1):
            at = np.flatnonzero(scale == level)
            count = self._columns["count"][rows[at]].astype(np.int64)
            order = (count // step + np.arange(_SIX)[:, None]) % _SIX  # the oldest first
            blocks = self._columns[name][order, rows[at]] * sign[at]
            first = (blocks >= 0.5 * blocks.max(axis=0)).argmax(axis=0)
            ago[at] = (_SIX - first) * step + count % step + self._agreed
        return ago


def _lesser(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    nearer = np.where(np.abs(one) < np.abs(other), one, other)
    return np.where(one * other > 0, nearer, np.float32(0))


_RINGS = ("points", "sixes", "blocks")
