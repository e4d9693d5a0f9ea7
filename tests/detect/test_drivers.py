"""The part of a reading that its load explains."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.detect.drivers import Drivers

SLOPE = 0.047


@pytest.mark.parametrize("cadence", [10, 60])
@pytest.mark.parametrize("tau", [35, 75, 130])
def test_the_slope_of_a_lagging_reading_is_found_at_any_cadence(cadence: int, tau: int) -> None:
    """Within 8 % of the truth, though a reading a minute sees the load move only roughly."""
    rng = np.random.default_rng(tau + cadence)
    n, seconds = 60, 9000
    load = np.repeat(rng.choice([88.0, 400.0, 550.0, 660.0], (n, seconds // 1500)), 1500, axis=1)
    load = np.take_along_axis(load, (np.arange(seconds) + rng.integers(0, 1500, (n, 1))) % seconds, axis=1)
    warm, a = np.empty_like(load), 1 - np.exp(-1 / tau)
    warm[:, 0] = SLOPE * load[:, 0]
    for k in range(1, seconds):
        warm[:, k] = warm[:, k - 1] + a * (SLOPE * load[:, k] - warm[:, k - 1])
    drivers = Drivers()
    drivers.resize(np.arange(n), np.empty(0, np.int64), np.empty(0, np.int64), 1)
    gap, one = np.full(n, cadence * 1000), np.zeros(n, np.int64)
    for k in range(0, seconds, cadence):
        x = np.rint(warm[:, k] + rng.normal(0, 0.35, n))
        drivers.step(k * 1000, x, gap, load[:, k], one, np.zeros(n, bool))
    part = drivers.step(seconds * 1000, x, gap, np.full(n, 700.0), one, np.zeros(n, bool))
    for minute in range(1, 40):
        part = drivers.step((seconds + 60 * minute) * 1000, x, gap, np.full(n, 700.0), one, np.zeros(n, bool))
    assert part.value == pytest.approx(np.full(n, SLOPE * 700), rel=0.08)
    assert part.rough == pytest.approx(np.zeros(n), abs=0.01)


def test_far_from_the_usual_load_the_slope_of_a_lone_series_is_in_doubt():
    """A coolant loop that knew 80 to 100 % of its load falls to 30 %: a third of what that explains is unsure."""
    rng = np.random.default_rng(5)
    drivers = Drivers()
    drivers.resize(np.arange(1), np.empty(0, np.int64), np.empty(0, np.int64), 1)
    gap, one, lone = np.full(1, 60_000), np.zeros(1, np.int64), np.ones(1, bool)
    for minute in range(600):
        load = np.array([500.0 + 50 * np.sin(minute / 40)])
        part = drivers.step(minute * 60_000, 0.02 * load + rng.normal(0, 0.05, 1), gap, load, one, lone)
    assert part.slope[0] < 0.02 * 60 / 3
    for minute in range(600, 620):
        part = drivers.step(minute * 60_000, np.array([3.5]), gap, np.array([170.0]), one, lone)
    assert part.value[0] == pytest.approx(0.02 * 170, rel=0.1)
    assert part.slope[0] == pytest.approx(0.02 * 330 / 3, rel=0.1)
    assert part.rough[0] == pytest.approx(0.0, abs=0.01)


def test_a_series_whose_load_never_moved_is_not_judged_where_it_does():
    """Without a slope nothing is expected of a load that was never seen; once the move taught it, it is."""
    drivers = Drivers()
    drivers.resize(np.arange(1), np.empty(0, np.int64), np.empty(0, np.int64), 1)
    gap, one, lone = np.full(1, 60_000), np.zeros(1, np.int64), np.ones(1, bool)
    rng = np.random.default_rng(6)
    for minute in range(120):
        part = drivers.step(minute * 60_000, 10 + rng.normal(0, 1, 1), gap, np.array([500.0]), one, lone)
    assert part.value[0] == 0.0
    values = [
        drivers.step(minute * 60_000, np.array([5.0]), gap, np.array([250.0]), one, lone).value[0]
        for minute in range(120, 130)
    ]
    assert np.isnan(values[0])
    assert all(np.isnan(value) or value == pytest.approx(5.0, abs=1.0) for value in values)


def test_many_that_report_in_turn_teach_sooner():
    """Six series that report once a minute, each in another tick, settle their slope after ten minutes."""
    drivers = Drivers()
    drivers.resize(np.arange(6), np.empty(0, np.int64), np.empty(0, np.int64), 1)
    one, load, rng = np.zeros(6, np.int64), np.full(6, 100.0), np.random.default_rng(2)
    for tick in range(600):
        heard = np.arange(6) == tick % 6
        load = np.where(heard, rng.choice([100.0, 500.0], 6), load)
        x, gap = np.where(heard, SLOPE * load, np.nan), np.where(heard, 60_000, 0)
        settled = drivers.step(tick * 10_000, x, gap, load, one, np.zeros(6, bool)).settled
        if settled.any():
            break
    assert 9 <= tick / 6 <= 11
