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
    part, doubt, _ = drivers.step(seconds * 1000, x, gap, np.full(n, 700.0), one, np.zeros(n, bool))
    for minute in range(1, 40):
        part, doubt, _ = drivers.step(
            (seconds + 60 * minute) * 1000, x, gap, np.full(n, 700.0), one, np.zeros(n, bool)
        )
    assert part == pytest.approx(np.full(n, SLOPE * 700), rel=0.08)
    assert doubt == pytest.approx(np.zeros(n), abs=0.01)
