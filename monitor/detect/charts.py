"""Shewhart charts for individuals, with run rules, over many series at once.

A chart says what is unusual about a series against a centre and a sigma that somebody else has learnt. It
gives the limits and counts of the records; it pages nobody. Run lengths below are mean numbers of points
between false alarms (ARL) of independent normal readings with known centre and sigma; autocorrelated readings
alarm far more often.

| rules | ARL in control | after a shift of 1 sigma |
|---|---|---|
| beyond 3 sigma | 370.4 | 43.9 |
| and 2 of 3 beyond 2 sigma | 225.4 | 20.0 |
| and 4 of 5 beyond 1 sigma | 166.1 | 12.7 |
| and 8 on one side | 152.7 | 14.6 |
| all four (Western Electric) | 91.8 | 9.2 |
| beyond 3 sigma and 7 on one side (our limits) | 95.7 | 12.2 |

The first five are Champ and Woodall (1987), Technometrics 29(4); the last is the exact Markov chain of the
pair. All limits are strict: a point on the limit is inside. NaN as reading, centre or sigma is a gap: it
signals nothing and changes nothing, so runs go on over it.

Rules count from the first point: "2 of the last 3" needs three points, the last of them beyond. These are the
conventions of the qcc package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monitor.types import Bools, Floats

    Codes = NDArray[np.uint16]

D2 = 1.128
"""Mean range of two standard normal readings, as tables print it (exactly 2 / sqrt(pi) = 1.12838)."""

D4 = 3.267
"""Upper limit of the moving range of two readings, in multiples of its mean."""

_LONGEST_RUN = 100  # counters stop here; every rule asks for less


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a chart: LCL and UCL are centre -/+ `sigmas` x sigma, in the unit of the readings."""

    centre: float
    sigma: float
    lcl: float
    ucl: float
    mean_range: float
    range_ucl: float


def individuals_limits(x: Floats, sigmas: float = 3.0) -> Limits:
    """Estimate the limits of an individuals and moving range chart (I-MR) from phase I readings.

    centre = mean(x), sigma = mean(|x[i] - x[i-1]|) / d2 with d2 = 1.128. The range between neighbours leaves
    out drifts and shifts, which a standard deviation would take for noise; it is too small where readings are
    autocorrelated. Gaps (NaN) are dropped. Raises ValueError below two readings. Montgomery, Introduction to
    Statistical Quality Control, section 6.4.

    >>> x = np.array([49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1])
    >>> round(individuals_limits(x).ucl, 3)
    55.804
    """
    measured = x[~np.isnan(x)]
    if measured.size < 2:
        raise ValueError(f"an individuals chart needs two readings, got {measured.size}")
    centre = float(np.mean(measured))
    mean_range = float(np.mean(np.abs(np.diff(measured))))
    sigma = mean_range / D2
    return Limits(
        centre, sigma, centre - sigmas * sigma, centre + sigmas * sigma, mean_range, D4 * mean_range
    )


def limits_and_run(
    side: NDArray[np.int8], x: Floats, centre: Floats, sigma: Floats, *, sigmas: float = 3.0, points: int = 7
) -> tuple[Bools, Bools]:
    """Take one reading of each series; return which are beyond the limits, and which end a run on one side.

    side: (S,), starts at zero, changed in place; the only state. x, centre, sigma: (S,), in one unit. At the
    defaults a stable series has one or the other each 95.7 points. It is `step` with LIMITS_AND_RUN for those
    who chart every series at every tick.
    """
    fresh = _measured(x, centre, sigma)
    np.copyto(side, _run(side, _sign(x, centre)), where=fresh)
    far = (x > centre + sigmas * sigma) | (x < centre - sigmas * sigma)
    return fresh & far, fresh & (np.abs(side) >= points)


@dataclass(frozen=True, slots=True)
class RunState:
    """What the run rules remember of S series: 19 bytes each. Changed in place by `step`.

    last: the last reading. side: points in a row above (positive) or below the centre. trend: steps in a row
    up (positive) or down. turns: changes of direction in a row. within: points in a row inside one sigma,
    the limits included. seen: points so far, up to eight. above, below: (3, S), for one, two and three sigma
    one bit for each of the last eight points, the newest lowest.
    """

    last: Floats
    side: NDArray[np.int8]
    trend: NDArray[np.int8]
    turns: NDArray[np.int8]
    within: NDArray[np.int8]
    seen: NDArray[np.uint8]
    above: NDArray[np.uint8]
    below: NDArray[np.uint8]

    @classmethod
    def new(cls, series: int, *, warm: bool = False) -> RunState:
        """Start the charts of `series` series. With `warm` eight points at the centre count as seen.

        Published run lengths start warm.
        """
        side, trend, turns, within = np.zeros((4, series), np.int8)
        above, below = np.zeros((2, 3, series), np.uint8)
        seen = np.full(series, 8 if warm else 0, np.uint8)
        return cls(np.full(series, np.nan), side, trend, turns, within, seen, above, below)


Rule = Callable[[RunState], "Bools"]
"""A run rule: which series (S,) complete its pattern with their newest point."""


def beyond(hits: int, of: int, sigmas: int, state: RunState, *, newest: bool = True) -> Bools:
    """`hits` of the last `of` points beyond `sigmas` sigma on one side, with `newest` the last one too."""
    complete = np.zeros(state.seen.shape, np.bool_)
    for history in (state.above[sigmas - 1], state.below[sigmas - 1]):
        recent = history & _last(of)
        complete |= (np.bitwise_count(recent) >= hits) & (((recent & 1) == 1) | (not newest))
    return complete & (state.seen >= of)


def one_side(points: int, state: RunState) -> Bools:
    """`points` in a row on one side of the centre."""
    return np.abs(state.side) >= points


def trend(points: int, state: RunState) -> Bools:
    """`points` in a row, each above the one before, or each below. Equal neighbours end a trend."""
    return np.abs(state.trend) >= points - 1


def alternating(points: int, state: RunState) -> Bools:
    """`points` in a row going up and down in turn."""
    return state.turns >= points - 2


def within(points: int, state: RunState) -> Bools:
    """`points` in a row inside one sigma of the centre: the limits are too wide."""
    return state.within >= points


def outside(points: int, state: RunState, *, both_sides: bool = True) -> Bools:
    """`points` in a row (eight at most) beyond one sigma, with `both_sides` some of them on each side."""
    above, below = state.above[0] & _last(points), state.below[0] & _last(points)
    complete: Bools = (above | below) == _last(points)
    return complete & (above > 0) & (below > 0) if both_sides else complete


LIMITS_AND_RUN: tuple[Rule, ...] = (partial(beyond, 1, 1, 3), partial(one_side, 7))
WESTERN_ELECTRIC: tuple[Rule, ...] = (
    partial(beyond, 1, 1, 3),
    partial(beyond, 2, 3, 2),
    partial(beyond, 4, 5, 1),
    partial(one_side, 8),
)
NELSON: tuple[Rule, ...] = (
    partial(beyond, 1, 1, 3),
    partial(one_side, 9),
    partial(trend, 6),
    partial(alternating, 14),
    partial(beyond, 2, 3, 2),
    partial(beyond, 4, 5, 1),
    partial(within, 15),
    partial(outside, 8),
)


def step(state: RunState, x: Floats, centre: Floats, sigma: Floats, rules: tuple[Rule, ...]) -> Codes:
    """Take one reading of each series and return which rules it completes: bit i stands for rules[i].

    x, centre, sigma: (S,), in one unit. Returns (S,); at most 16 rules.
    """
    fresh = _measured(x, centre, sigma)
    _advance(state, fresh, x, centre, sigma)
    codes = np.zeros(x.shape, np.uint16)
    for bit, rule in enumerate(rules):
        codes |= (rule(state) & fresh).astype(np.uint16) << np.uint16(bit)
    return codes


def chart(
    x: Floats, centre: Floats, sigma: Floats, rules: tuple[Rule, ...], state: RunState | None = None
) -> Codes:
    """Chart whole series: x (T, S), in time order, against centre and sigma (S,). Returns (T, S) as `step`.

    >>> x = np.array([[0.0], [3.2], [-3.5], [-2.9]])
    >>> chart(x, np.zeros(1), np.ones(1), WESTERN_ELECTRIC)[:, 0].tolist()
    [0, 1, 1, 2]
    """
    held = RunState.new(x.shape[1]) if state is None else state
    codes = np.zeros(x.shape, np.uint16)
    for i, row in enumerate(x):
        codes[i] = step(held, row, centre, sigma, rules)
    return codes


def lowest_rule(codes: Codes) -> NDArray[np.int64]:
    """Return the number of the first rule completed, from 1; 0 where there is none.

    >>> lowest_rule(np.array([0, 1, 6], np.uint16)).tolist()
    [0, 1, 2]
    """
    bits = codes.astype(np.int64)
    return np.where(bits > 0, np.bitwise_count(bits ^ (bits - 1)), 0).astype(np.int64)


def _advance(state: RunState, fresh: Bools, x: Floats, centre: Floats, sigma: Floats) -> None:
    move = _sign(x, state.last)
    turned = move * np.sign(state.trend) < 0
    inside = (x >= centre - sigma) & (x <= centre + sigma)
    new = (
        (state.turns, _run(state.turns, turned.astype(np.int8))),
        (state.trend, _run(state.trend, move)),
        (state.side, _run(state.side, _sign(x, centre))),
        (state.within, _run(state.within, inside.astype(np.int8))),
        (state.seen, np.minimum(state.seen + 1, 8).astype(np.uint8)),
        (state.last, x),
    )
    for held, value in new:
        np.copyto(held, value, where=fresh)
    for sigmas in (1, 2, 3):
        _remember(state.above[sigmas - 1], x > centre + sigmas * sigma, fresh)
        _remember(state.below[sigmas - 1], x < centre - sigmas * sigma, fresh)


def _remember(history: NDArray[np.uint8], hit: Bools, fresh: Bools) -> None:
    np.copyto(history, (history << 1) | hit, where=fresh, casting="same_kind")


def _run(length: NDArray[np.int8], sign: NDArray[np.int8]) -> NDArray[np.int8]:
    """Lengthen runs whose sign goes on, begin those whose sign changed, end those where it is 0."""
    goes_on = np.sign(length) == sign
    longer = np.clip(length + sign, -_LONGEST_RUN, _LONGEST_RUN)
    return np.where(goes_on, longer, sign).astype(np.int8)


def _sign(x: Floats, centre: Floats) -> NDArray[np.int8]:
    return (x > centre).astype(np.int8) - (x < centre).astype(np.int8)


def _measured(x: Floats, centre: Floats, sigma: Floats) -> Bools:
    return ~(np.isnan(x) | np.isnan(centre) | np.isnan(sigma))


def _last(points: int) -> np.uint8:
    return np.uint8((1 << points) - 1)
