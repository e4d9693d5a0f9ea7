"""From latched rows of a watch to signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.kernels.budget import page_level
from monitor.kernels.evidence import K
from monitor.kernels.latch import UP
from monitor.kernels.signals import Key, limits, number
from monitor.types import Signal
from monitor.units import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.kernels.latch import Latch
    from monitor.kernels.signals import Standing
    from monitor.types import Bools, Floats, Ints


STAYS = 0.5


@dataclass(frozen=True, slots=True)
class Chart:
    """The numbers of a round beside its evidence: readings (NaN = none), centre and sigma; all (n,)."""

    x: Floats
    expected: Floats
    sigma: Floats
    sigmas: float

    def effect(self, matters: Floats, doubt: Floats) -> Floats:
        """Return what of the deviations is beyond doubt as multiples of what matters, (n,); NaN for none.

        Where nothing is said to matter they are multiples of sigma.
        """
        unit = np.where(matters > 0, matters, self.sigma)
        off = self.x - self.expected
        beyond = np.sign(off) * np.maximum(np.abs(off) - doubt, 0.0)
        effect: Floats = beyond / np.where(unit > 0, unit, np.nan)
        return effect


@dataclass(frozen=True, slots=True)
class Pages:
    """What decides whether a row pages: the budget, the members of its level, its rhythm, whether it may.

    effect: its deviation now as a multiple of the least that matters to anybody, less than 0 downwards, inf
    where nobody says so, NaN where it has none now. What paged stays a page while half of that stands.
    """

    budget: float
    members: Ints
    rhythm: Floats
    may: Bools
    effect: Floats

    @classmethod
    def never(cls, n: int) -> Pages:
        """Return what lets none of n rows page."""
        return cls(1.0, np.ones(n, np.int64), np.ones(n), np.zeros(n, bool), np.zeros(n))

    def level(self, rows: Ints) -> Floats:
        """Return the page level of some rows in nats, inf where they may not page."""
        level = page_level(self.budget, self.members[rows], np.maximum(self.rhythm[rows], SECOND), K)
        return np.where(self.may[rows], level, np.inf)


@dataclass(frozen=True, slots=True)
class Name:
    """What a row's signal is called, by the direction it went."""

    key: Key
    family: str
    reason: Callable[[bool], str]


def watched_signals(
    latch: Latch, series: Ints, chart: Chart, pages: Pages, name: Callable[[int], Name], standing: Standing
) -> list[Signal]:
    """Return the signals of all latched rows; those without a point this round stay as they were.

    series: the row of the chart that each row of the latch is about.
    """
    latched = np.flatnonzero(latch.on)
    rows = series[latched]
    lower, upper = limits(chart.expected[rows], chart.sigma[rows], chart.sigmas)
    columns, signals = latch.columns, []
    level = pages.level(rows)
    effect = np.where(columns["direction"][latched] == UP, 1, -1) * pages.effect[rows]
    matters, stays = effect >= 1, ~(effect < STAYS)
    for i, (at, row) in enumerate(zip(latched.tolist(), rows.tolist(), strict=True)):
        named = name(row)
        before = standing.get(named.key)
        if before is not None and not np.isfinite(chart.x[row]):
            signals.append(before)
            continue
        upward = bool(columns["direction"][at] == UP)
        score = round(float(columns["score"][at]), 2)
        signals.append(
            Signal(
                *named.key,
                family=named.family,
                reason=named.reason(upward),
                direction="up" if upward else "down",
                since=int(columns["since"][at]),
                raised_at=int(columns["raised_at"][at]),
                value=number(chart.x[row]),
                expected=number(chart.expected[row]),
                lower=number(lower[i]),
                upper=number(upper[i]),
                score=score,
                page=bool(score >= level[i] and matters[i])
                or bool(before is not None and before.page and stays[i]),
                hard=False,
                matters=bool(matters[i]) or bool(before is not None and before.matters),
            )
        )
    return signals
