"""Evidence against a measured null."""

import numpy as np

from monitor.kernels.evidence import Evidence


def test_half_a_fleet_that_is_off_where_it_harms_nobody_does_not_blind_the_other_half() -> None:
    """For an hour 60 % of the rows stand 30 sigma low, which nobody latches; 12 sigma up is still seen after it."""
    rng = np.random.default_rng(3)
    n, none = 200, np.zeros(200, np.int64)
    evidence, points, train = Evidence(n, 1), np.full(n, np.inf), np.ones(n, bool)

    def step(z: np.ndarray) -> np.ndarray:
        return evidence.step(z, none, points, train).up

    for _ in range(300):
        step(rng.normal(0, 1, n))
    low = np.where(np.arange(n) < 120, -30.0, 0.0)
    for _ in range(60):
        step(low + rng.normal(0, 1, n))
    for _ in range(6):
        up = step(np.where(np.arange(n) == 150, 12.0, rng.normal(0, 1, n)))
    assert up[:, 150].max() > 15
    assert np.delete(up, 150, axis=1).max() < 12
