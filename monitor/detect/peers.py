"""Residuals: what is left of a point after its load, and after what all its peers do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.kernels.columns import Column, Columns
from monitor.kernels.medians import GroupedMedian
from monitor.units import MINUTE

if TYPE_CHECKING:
    from monitor.detect.layout import Layout
    from monitor.types import Bools, Floats, Ints

BUSY = 0.05
"""Activity above which a GPU is at work: the line between its two regimes."""

UNSETTLED_MS = 3 * MINUTE
"""A GPU that began or ended work is compared with nobody for this long: clocks and heat follow late."""


CALM = 0.25
"""A reading that is in doubt by less than this share of what matters speaks for its peers."""


@dataclass(frozen=True, slots=True)
class Own:
    """Of each series: its reading with the load taken out, its own level among its peers, whether known.

    settled: its regime stands. doubt: what the load's part may be wrong by just now. calm: that is little.
    """

    reading: Floats
    level: Floats
    known: Bools
    settled: Bools
    doubt: Floats
    calm: Bools


class Peers:
    """Medians of the peers in the same regime, and residuals against them.

    A GPU is idle or busy (activity above 0.05), and is compared with peers in the same state. Rows without
    an activity have the busy regime throughout.
    """

    def __init__(self) -> None:
        self._state = Columns({"busy": Column("i1", -1), "since": Column("i8", -1)})
        self.to_state, self.restore = self._state.to_state, self._state.restore
        self._busy = self._idle = GroupedMedian(np.empty(0, np.int64), 0)

    @property
    def nbytes(self) -> int:
        """How many bytes the regimes take."""
        return self._state.nbytes

    def resize(self, layout: Layout, moved: Ints) -> None:
        """Take a new layout; series i is now `moved[i]`."""
        self._state.resize(moved, len(layout.pool))
        groups = len(layout.groups)
        compared = np.full(len(layout.pool), -1, np.int64)
        compared[layout.charted] = layout.group[layout.charted]
        self._busy = GroupedMedian(compared, groups)
        self._idle = GroupedMedian(np.where(layout.activity >= 0, compared, -1), groups)

    def regimes(self, end: int, held: Floats, layout: Layout) -> tuple[Ints, Bools]:
        """Return (regime of each series, 0 idle or 1 busy; whether it has settled in it)."""
        has = layout.activity >= 0
        activity = held[layout.activity]
        now = np.where(np.isfinite(activity), activity > BUSY, self._state["busy"]).astype(np.int8)
        now = np.where(has, now, 1)
        turned = has & (now != self._state["busy"]) & (self._state["busy"] >= 0)
        self._state["since"][turned] = end
        self._state["busy"] = now
        settled = (self._state["since"] < 0) | (end - self._state["since"] > UNSETTLED_MS)
        return np.maximum(now, 0).astype(np.int64), settled & (now >= 0)

    def medians(self, own: Own, regime: Ints, layout: Layout, min_peers: int) -> tuple[Floats, Floats]:
        """Return what each group has in common now, and the doubt about it, by regime: (2, groups).

        It is the median of reading - own level, so it does not move when members come and go, hot ones and
        cool ones; NaN for fewer than `min_peers`. Members without a level of their own, and those whose load
        moves, count only where the others are too few; then the median is as doubtful as its members.
        """
        groups = max(len(layout.groups), 1)
        at = regime * groups + np.maximum(layout.group, 0)
        counts = np.isfinite(own.reading) & (layout.group >= 0) & own.settled
        for better in (own.known, own.calm):
            enough = np.bincount(at[counts & better], minlength=2 * groups) >= min_peers
            counts &= better | ~enough[at]
        median, n = self._by_regime(np.where(counts, own.reading - own.level, np.nan), regime)
        median[n < min_peers] = np.nan
        if own.calm[counts].all():
            return median, np.zeros_like(median)
        doubt, _ = self._by_regime(np.where(counts, np.where(own.calm, 0.0, own.doubt), np.nan), regime)
        return median, np.nan_to_num(doubt)

    def _by_regime(self, values: Floats, regime: Ints) -> tuple[Floats, Ints]:
        """Return the medians of the idle and the busy of each group, and how many they are, (2, groups)."""
        idle, idle_n = self._idle(np.where(regime == 0, values, np.nan))
        busy, busy_n = self._busy(np.where(regime == 1, values, np.nan))
        return np.stack([idle, busy]), np.stack([idle_n, busy_n])


def of_group(values: Floats, regime: Ints, layout: Layout) -> Floats:
    """Deal a value of each (regime, group) out to its series, NaN for lone ones; shape (S,)."""
    if not values.shape[1]:
        return np.full(len(regime), np.nan)
    return np.where(layout.group >= 0, values[regime, np.maximum(layout.group, 0)], np.nan)
