"""Evidence against a measured null."""

import numpy as np

from monitor.kernels.evidence import Evidence
from monitor.kernels.probation import WINDOW_MS, Probation

TICK = 10_000


class Pool:
    """200 rows with one null; those that reach 10 nats are alarmed and do not train."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)
        self.evidence, self.none = Evidence(200, 1), np.zeros(200, np.int64)
        self.on, self.end = np.zeros(200, bool), 0

    def step(self, off: np.ndarray | float = 0.0, rounds: int = 1) -> np.ndarray:
        """Take rounds of a standard normal that is off by so many sigma; return the last evidence upwards."""
        for _ in range(rounds):
            self.end += TICK
            z = off + self.rng.normal(0, 1, 200)
            up = self.evidence.step(z, self.none, np.full(200, np.inf), ~self.on).up
            raised = np.flatnonzero((up.max(axis=0) > 10) & ~self.on)
            self.on[raised] = True
            self.evidence.learn(self.end, self.none, raised, self.on)
        return up


def test_a_fault_of_many_does_not_teach_the_null_that_it_is_usual() -> None:
    """Half of the rows rise within minutes to 20 sigma; hours later one at 8 sigma is as plain as it was before."""

    def plain(fault: bool) -> float:
        pool = Pool()
        pool.step(rounds=1000)
        for height in range(20 if fault else 0):
            pool.step(np.where(np.arange(200) < 100, float(height), 0.0), rounds=3)
        pool.on[:] = False
        pool.step(rounds=1000)
        return float(pool.step(np.where(np.arange(200) == 150, 8.0, 0.0), rounds=2)[:, 150].max())

    assert plain(fault=True) > 0.8 * plain(fault=False) > 12


def test_what_goes_on_is_learnt() -> None:
    """Windows with many alarms are left out for two hours, with the one before; a pool that is so is so."""
    probation, rows = Probation({"seen": ()}, 3), np.array([1000, 1000, 100])
    told, over = [], []
    for window in range(40):
        probation.of_window("seen")[:] += 1
        assert probation.is_over((window + 1) * WINDOW_MS)
        probation.alarm(np.zeros(6 if window >= 2 else 5, np.int64))
        stands = np.array([0, 0, 4 if 5 <= window < 10 else 3])
        healthy, ended = probation.settle((window + 1) * WINDOW_MS, rows, stands)
        assert not probation.is_over((window + 2) * WINDOW_MS - 1)
        told.append(healthy["seen"].tolist())
        over.append(ended.tolist())
    by_pool = np.array(told).T
    assert by_pool[1].tolist() == [0] + [1] * 39
    assert by_pool[0].tolist() == [0, 1] + [0] * 25 + [1] * 13
    assert by_pool[2].tolist() == [0, 1, 1, 1, 1] + [0] * 6 + [1] * 29
    assert np.argwhere(over).tolist() == [[10, 2]]


def test_half_a_fleet_that_is_off_where_it_harms_nobody_does_not_blind_the_other_half() -> None:
    """For an hour 60 % of the rows stand 30 sigma low, which nobody latches; 12 sigma up is still seen after it."""
    rng = np.random.default_rng(3)
    n, none = 200, np.zeros(200, np.int64)
    evidence, points, train = Evidence(n, 1), np.full(n, np.inf), np.ones(n, bool)
    ends = iter(range(TICK, 10_000 * TICK, TICK))

    def step(z: np.ndarray) -> np.ndarray:
        up = evidence.step(z, none, points, train).up
        evidence.learn(next(ends), none, none[:0], ~train)
        return up

    for _ in range(300):
        step(rng.normal(0, 1, n))
    low = np.where(np.arange(n) < 120, -30.0, 0.0)
    for _ in range(60):
        step(low + rng.normal(0, 1, n))
    for _ in range(6):
        up = step(np.where(np.arange(n) == 150, 12.0, rng.normal(0, 1, n)))
    assert up[:, 150].max() > 15
    assert np.delete(up, 150, axis=1).max() < 12
