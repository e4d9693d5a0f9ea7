"""Shewhart charts and run rules against published points, a scalar version and exact run lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from monitor.detect.charts import (
    LIMITS_AND_RUN,
    NELSON,
    WESTERN_ELECTRIC,
    RunState,
    chart,
    individuals_limits,
    limits_and_run,
    lowest_rule,
    step,
)

NAN = float("nan")


def signals(x: list[float], rules: tuple, number: int) -> list[int]:
    codes = chart(np.array(x, float)[:, None], np.zeros(1), np.ones(1), rules)[:, 0]
    return (1 + np.flatnonzero(codes >> (number - 1) & 1)).tolist()


@pytest.mark.parametrize(
    ("rules", "number", "x", "expected"),
    [
        (WESTERN_ELECTRIC, 1, [0, 3.2, -3.5, 2.9], [2, 3]),
        (WESTERN_ELECTRIC, 2, [0, 2.5, 1.0, 2.6, 0], [4]),
        (WESTERN_ELECTRIC, 3, [0, 1.2, 1.3, 0.2, 1.4, 1.5], [6]),
        (WESTERN_ELECTRIC, 4, [-1] * 8 + [1], [8]),
        (WESTERN_ELECTRIC, 2, [2.5] * 7 + [3.2], [3, 4, 5, 6, 7, 8]),
        (NELSON, 1, [0, 3.2, -3.4, 3], [2, 3]),
        (NELSON, 2, [0.5] * 10 + [-0.5] * 10, [9, 10, 19, 20]),
        (NELSON, 3, [1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2, 1], [6, 7, 13, 14]),
        (NELSON, 4, [0, 1] * 7 + [0], [14, 15]),
        (NELSON, 5, [0, 2.3, 0.4, 2.2, -2.4, -0.2, -2.5], [4, 7]),
        (NELSON, 6, [1.2, 1.3, 0.2, 1.4, 1.5, -1.2, -1.3, -0.1, -1.4, -1.5], [5, 10]),
        (NELSON, 7, [0.3] * 16 + [1.2], [15, 16]),
        (NELSON, 8, [1.2, -1.3, 1.1, -1.4, 1.5, -1.2, 1.3, -1.1, 0.2], [8]),
        (NELSON, 8, [1.2] * 8, []),
        (LIMITS_AND_RUN, 2, [0.1] * 8 + [-0.1] * 6, [7, 8]),
    ],
)
def test_rules_signal_at_the_published_points(rules, number, x, expected):
    """Each rule signals at the last point of its pattern, and limits are strict."""
    assert signals(x, rules, number) == expected


def test_the_lowest_rule_is_named_first():
    """Where several rules are complete the first counts, as on a paper chart."""
    codes = chart(np.array([2.5] * 7 + [3.2])[:, None], np.zeros(1), np.ones(1), WESTERN_ELECTRIC)
    assert lowest_rule(codes)[:, 0].tolist() == [0, 0, 2, 2, 2, 2, 2, 1]


def test_a_gap_neither_ends_nor_lengthens_a_run():
    """Missing readings, centres and sigmas signal nothing and change nothing."""
    x = [0.5, 0.5, NAN, 0.5, 0.5, 0.5, NAN, 0.5, 0.5]
    assert signals(x, LIMITS_AND_RUN, 2) == [9]
    state = RunState.new(1)
    before = [getattr(state, f).copy() for f in RunState.__slots__]
    assert step(state, np.array([9.0]), np.array([NAN]), np.ones(1), NELSON).tolist() == [0]
    assert step(state, np.array([9.0]), np.zeros(1), np.array([NAN]), NELSON).tolist() == [0]
    for field, old in zip(RunState.__slots__, before, strict=True):
        np.testing.assert_array_equal(getattr(state, field), old)


def test_counters_do_not_overflow():
    """A series that stands on one side for ever keeps signalling."""
    assert signals([0.5] * 1000, WESTERN_ELECTRIC, 4) == list(range(8, 1001))
    assert signals([float(i) for i in range(1000)], NELSON, 3) == list(range(6, 1001))
    assert signals([0.0, 1.0] * 500, NELSON, 4) == list(range(14, 1001))
    assert signals([0.0] * 1000, NELSON, 7) == list(range(15, 1001))


def test_infinite_readings_are_beyond_the_limits():
    """A reading that was measured and is infinite is out of control, not missing."""
    assert signals([0, float("inf"), float("-inf")], WESTERN_ELECTRIC, 1) == [2, 3]


def test_a_series_costs_nineteen_bytes_beside_its_last_reading():
    """The memory of the run rules is as small as the docstring says."""
    state = RunState.new(1000)
    assert sum(getattr(state, field).nbytes for field in RunState.__slots__) == 1000 * 19


def scalar_codes(x: list[float], name: str) -> list[int]:
    """Read the rules of centre 0 and sigma 1 as a textbook states them, over the measured points."""
    z = [v for v in x if not np.isnan(v)]
    codes = iter([textbook_code(z[: i + 1], name) for i in range(len(z))])
    return [0 if np.isnan(v) else next(codes) for v in x]


def textbook_code(z: list[float], name: str) -> int:
    def last(n, holds):
        return len(z) >= n and holds(z[-n:])

    def beyond(n, hits, k):
        return last(n, lambda w: any(s * w[-1] > k and sum(s * v > k for v in w) >= hits for s in (1, -1)))

    def one_side(n):
        return last(n, lambda w: min(w) > 0 or max(w) < 0)

    rules = {
        "LIMITS_AND_RUN": [beyond(1, 1, 3), one_side(7)],
        "WESTERN_ELECTRIC": [beyond(1, 1, 3), beyond(3, 2, 2), beyond(5, 4, 1), one_side(8)],
        "NELSON": [
            beyond(1, 1, 3),
            one_side(9),
            last(6, lambda w: min(np.diff(w)) > 0 or max(np.diff(w)) < 0),
            last(14, lambda w: max(np.diff(w)[1:] * np.diff(w)[:-1]) < 0),
            beyond(3, 2, 2),
            beyond(5, 4, 1),
            last(15, lambda w: max(np.abs(w)) <= 1),
            last(8, lambda w: min(np.abs(w)) > 1 and min(w) < 0 < max(w)),
        ],
    }
    return sum(1 << bit for bit, complete in enumerate(rules[name]) if complete)


SETS = {"LIMITS_AND_RUN": LIMITS_AND_RUN, "WESTERN_ELECTRIC": WESTERN_ELECTRIC, "NELSON": NELSON}
# Quarters are exact in binary and tie often, with each other and with the limits.
READINGS = st.integers(-14, 14).map(lambda quarters: quarters / 4)
SERIES = st.one_of(
    st.lists(st.one_of(READINGS, st.just(NAN)), min_size=1, max_size=40),
    st.lists(st.sampled_from([0.25, -0.25, 1.25, -1.25, 2.25, NAN]), min_size=10, max_size=60),
    st.lists(READINGS, min_size=6, max_size=15).map(sorted),
    st.lists(READINGS, min_size=20, max_size=40).map(lambda v: [abs(a) * (-1) ** i for i, a in enumerate(v)]),
)


@pytest.mark.parametrize("name", sorted(SETS))
@given(x=SERIES)
def test_the_kernel_equals_the_textbook(name, x):
    """The vectorised state machines find what a scalar reading of the rules finds, gaps and ties included."""
    codes = chart(np.array(x)[:, None], np.zeros(1), np.ones(1), SETS[name])[:, 0]
    assert codes.tolist() == scalar_codes(x, name)


@given(
    rows=st.lists(
        st.lists(st.one_of(READINGS, st.just(NAN)), min_size=3, max_size=3), min_size=1, max_size=40
    )
)
def test_many_series_at_once_equal_one_by_one(rows):
    """A batch of series gives each what it gets alone, each against its own centre and sigma."""
    x, centre, sigma = np.array(rows), np.array([0.0, 1.0, -0.5]), np.array([1.0, 0.5, 2.0])
    together = chart(x, centre, sigma, NELSON)
    alone = [chart(x[:, [i]], centre[[i]], sigma[[i]], NELSON)[:, 0] for i in range(3)]
    np.testing.assert_array_equal(together, np.stack(alone, axis=1))


@given(x=SERIES, cut=st.integers(0, 60))
def test_a_chart_goes_on_where_it_was(x, cut):
    """Charting in two parts with the state kept between them equals charting at once."""
    readings = np.array(x)[:, None]
    state = RunState.new(1)
    parts = [chart(p, np.zeros(1), np.ones(1), NELSON, state) for p in (readings[:cut], readings[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), chart(readings, np.zeros(1), np.ones(1), NELSON))


@given(x=SERIES)
def test_the_light_kernel_equals_the_general_one(x):
    """3 sigma and 7 on one side with one byte of state signal where the general rules do."""
    side, ones, zeros = np.zeros(1, np.int8), np.ones(1), np.zeros(1)
    light = [limits_and_run(side, np.array([v]), zeros, ones) for v in x]
    codes = chart(np.array(x)[:, None], zeros, ones, LIMITS_AND_RUN)[:, 0]
    assert [int(far[0]) + 2 * int(run[0]) for far, run in light] == codes.tolist()


def test_individuals_limits_are_the_handbooks():
    """NIST/SEMATECH e-Handbook 6.3.2.2: flow rates of ten batches."""
    limits = individuals_limits(np.array([49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1]))
    assert limits.centre == pytest.approx(50.81)
    assert limits.mean_range == pytest.approx(1.8778, abs=5e-5)
    assert [limits.lcl, limits.ucl, limits.range_ucl] == pytest.approx([45.8159, 55.8041, 6.1349], abs=5e-4)


def test_individuals_limits_drop_gaps_and_want_two_readings():
    """Gaps count for nothing; one reading has no range."""
    assert individuals_limits(np.array([1.0, NAN, 3.0])).mean_range == 2.0
    with pytest.raises(ValueError, match="needs two readings, got 1"):
        individuals_limits(np.array([1.0, NAN]))


def exact_run_length(shift: float, points: int = 7) -> float:
    """Mean run length of 3 sigma with `points` on one side, from the Markov chain of the run."""
    up, down = norm.cdf(3 - shift) - norm.cdf(-shift), norm.cdf(-shift) - norm.cdf(-3 - shift)
    runs = [k for k in range(1 - points, points) if k]
    moves = np.zeros((len(runs), len(runs)))
    for i, k in enumerate(runs):
        for sign, chance in ((1, up), (-1, down)):
            then = k + sign if k * sign > 0 else sign
            if then in runs:
                moves[i, runs.index(then)] = chance
    means = np.linalg.solve(np.eye(len(runs)) - moves, np.ones(len(runs)))
    return float(1 + up * means[runs.index(1)] + down * means[runs.index(-1)])


@pytest.mark.parametrize(("shift", "stated"), [(0.0, 95.7), (1.0, 12.2)])
def test_our_limits_alarm_as_often_as_stated(shift, stated):
    """The false-alarm spacing in the docstring is the exact one, and simulated charts keep it."""
    exact = exact_run_length(shift)
    assert round(exact, 1) == stated
    charts, points, alarms = 2000, 1000, 0
    rng, side, centre, sigma = (
        np.random.default_rng(11),
        np.zeros(2000, np.int8),
        np.zeros(2000),
        np.ones(2000),
    )
    for _ in range(points):
        far, run = limits_and_run(side, rng.normal(shift, 1, charts), centre, sigma)
        side[far | run] = 0  # each alarm begins a new chart
        alarms += np.count_nonzero(far | run)
    assert charts * points / alarms == pytest.approx(exact, rel=4 / np.sqrt(alarms))
