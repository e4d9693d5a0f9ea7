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
            self.evidence.learn(self.end, self.none, raised)
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
    """Of windows with many alarms two running are left out, with what came before; a pool that is so is so."""
    probation, rows = Probation({"seen": ()}, 2), np.array([1000, 1000])
    probation.settle(0, rows)
    told = []
    for window in range(7):
        probation.now("seen")[:] += 1
        probation.alarm(np.zeros(6 if window >= 2 else 5, np.int64))
        healthy = probation.settle((window + 1) * WINDOW_MS, rows)
        assert healthy is not None
        assert probation.settle((window + 1) * WINDOW_MS, rows) is None
        told.append(healthy["seen"].tolist())
    assert told == [[0, 0], [1, 1], [0, 1], [0, 1], [0, 1], [1, 1], [1, 1]]


def test_half_a_fleet_that_is_off_where_it_harms_nobody_does_not_blind_the_other_half() -> None:
    """For an hour 60 % of the rows stand 30 sigma low, which nobody latches; 12 sigma up is still seen after it."""
    rng = np.random.default_rng(3)
    n, none = 200, np.zeros(200, np.int64)
    evidence, points, train = Evidence(n, 1), np.full(n, np.inf), np.ones(n, bool)
    ends = iter(range(TICK, 10_000 * TICK, TICK))

    def step(z: np.ndarray) -> np.ndarray:
        up = evidence.step(z, none, points, train).up
        evidence.learn(next(ends), none, none[:0])
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
