"""Level, scales, null and latch together: false alarms, detection, learning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.kernels.baseline import Baseline, Learning, Points
from monitor.kernels.latch import Bad, Latch, Seen
from monitor.kernels.watch import Rows, Watch
from monitor.units import HOUR, MINUTE

NONE = np.empty(0, np.int64)
STEP = MINUTE


def rows_of(n: int, *, lone: bool = False) -> Rows:
    both = np.ones(n, bool)
    return Rows(
        np.zeros(n, np.int64), np.full(n, lone), Bad(both, both), np.full(n, 0.01), np.full(n, 10.4), 3.0
    )


def points(i: int, r: np.ndarray, regime: np.ndarray | None = None) -> Points:
    n = len(r)
    regime = np.ones(n, np.int64) if regime is None else regime
    return Points(i * STEP, r, np.full(n, i * STEP), np.full(n, float(STEP)), regime)


def watch_of(n: int) -> Watch:
    watch = Watch(Learning())
    watch.resize(NONE, n, NONE, 1)
    return watch


def ar1(rng: np.random.Generator, phi: float, steps: int, n: int) -> np.ndarray:
    x = np.zeros((steps, n))
    for i in range(1, steps):
        x[i] = phi * x[i - 1] + np.sqrt(1 - phi**2) * rng.normal(size=n)
    return x


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_false_alarms_stay_rare_whatever_the_autocorrelation(phi: float) -> None:
    """At 10.4 nats fewer than 2 rows of 400 in a thousand stand alarmed at any time."""
    x = ar1(np.random.default_rng(1), phi, 600, 400) + np.random.default_rng(2).normal(0, 5, size=400)
    watch, rows, standing = watch_of(400), rows_of(400), []
    for i, r in enumerate(x):
        watch.step(rows, points(i, r))
        standing.append(watch.latch.on.mean())
    assert np.mean(standing[200:]) < 2e-3


@pytest.mark.parametrize(("shift", "within"), [(12.0, 8), (5.0, 40), (2.0, 250)])
def test_a_shift_is_found_the_sooner_the_greater_it_is(shift: float, within: int) -> None:
    """Of AR(1) 0.7 rows the shifted one is raised within so many points, in its direction."""
    x = ar1(np.random.default_rng(3), 0.7, 800, 200)
    x[500:, 7] -= shift
    watch, rows = watch_of(200), rows_of(200)
    for i, r in enumerate(x):
        watch.step(rows, points(i, r))
        if i >= 500 and watch.latch.columns["direction"][7] == -1:
            break
    assert 500 <= i < 500 + within


def test_wild_samples_that_stand_alone_are_no_anomalies() -> None:
    """Two hundred and forty lone spikes of 30 sigma add hardly any alarm to those of plain noise."""
    rng = np.random.default_rng(4)
    calm = rng.normal(size=(800, 300))
    wild = calm + 30.0 * (rng.random(calm.shape) < 1e-3)
    raised = []
    for x in (calm, wild):
        watch, rows = watch_of(300), rows_of(300)
        raised.append(sum(len(watch.step(rows, points(i, r)).raised) for i, r in enumerate(x)))
    assert raised[1] <= raised[0] + 3


def test_an_alarm_clears_by_rule_and_what_alarmed_taught_nothing() -> None:
    """The level of a row is the same before and after an alarm, which clears when the shift is over."""
    x = np.random.default_rng(5).normal(size=(600, 50))
    x[400:450, 3] += 15
    watch, rows, cleared = watch_of(50), rows_of(50), []
    for i, r in enumerate(x):
        seen = watch.step(rows, points(i, r))
        cleared += [i for row in seen.cleared if row == 3]
        if i == 399:
            level = seen.offset[3]
    assert seen.offset[3] == level
    assert len(cleared) == 1
    assert 450 <= cleared[0] < 500


def test_no_data_neither_raises_nor_clears() -> None:
    """A latched row that falls silent stays latched and is not judged."""
    x = np.random.default_rng(6).normal(size=(500, 50))
    x[400:, 3] += 15
    watch, rows = watch_of(50), rows_of(50)
    for i, r in enumerate(x[:420]):
        watch.step(rows, points(i, r))
    assert watch.latch.on[3]
    for i in range(420, 500):
        seen = watch.step(rows, points(i, np.full(50, np.nan)))
    assert watch.latch.on[3]
    assert not seen.judged.any()


def test_a_unit_that_was_ill_from_the_start_is_seen_among_its_peers() -> None:
    """After half an hour, long before it has a level of its own; that alone never pages."""
    x = np.random.default_rng(7).normal(size=(100, 100))
    x[:, 3] += 40
    watch, rows = watch_of(100), rows_of(100)
    for i, r in enumerate(x):
        watch.step(rows, points(i, r))
    assert np.flatnonzero(watch.latch.on).tolist() == [3]
    assert watch.latch.columns["raised_at"][3] < 1.5 * HOUR


def test_a_level_is_the_mean_of_phase_one_and_then_frozen() -> None:
    """The level is the plain mean of the first 2.5 hours; later points do not move it."""
    r = np.random.default_rng(8).normal(3.0, 1.0, size=(400, 1))
    baseline, calm = Baseline(1), np.ones(1, bool)
    for i, value in enumerate(r):
        level = baseline.step(points(i, value), ~calm, calm, np.full(1, 0.01))
    assert level.offset[0] == pytest.approx(r[:151].mean(), abs=0.05)
    assert level.points[0] == 151


def test_regimes_have_levels_of_their_own() -> None:
    """A row that goes from idle to busy is compared with its own busy past."""
    baseline, calm = Baseline(1), np.ones(1, bool)
    for i in range(200):
        busy = np.array([i // 50 % 2])
        level = baseline.step(points(i, 10.0 * busy, busy), ~calm, calm, np.full(1, 0.01))
    assert level.offset[0] == pytest.approx(10.0)
    assert level.d[0] == pytest.approx(0.0)


def test_a_lone_row_follows_its_recent_past_and_finds_a_step() -> None:
    """A slow wander raises nothing; a step of ten sigmas is raised in its direction."""
    rng = np.random.default_rng(9)
    x = 50 + 5 * np.sin(np.arange(1_500) / 460)[:, None] + rng.normal(size=(1_500, 20))
    watch, rows, raised = watch_of(20), rows_of(20, lone=True), []
    for i, r in enumerate(x):
        raised += watch.step(rows, points(i, r + (i >= 1_400) * np.eye(20)[4] * -40)).raised.tolist()
        if i == 1_399:
            assert len(raised) <= 1
    assert watch.latch.columns["direction"][4] == -1


@pytest.mark.parametrize(("room", "raised"), [(0.0, False), (np.inf, True)])
def test_a_reading_near_the_least_it_can_be_is_above_nothing(room: float, raised: bool) -> None:
    """A count of 20 where -8,600 would be expected is a wrong expectation and no excess."""
    x = np.random.default_rng(5).normal(size=(600, 200))
    x[500:, 7] += 12.0
    watch, rows = watch_of(200), replace(rows_of(200), room=np.full(200, room))
    for i, r in enumerate(x):
        watch.step(rows, points(i, r))
    assert bool(watch.latch.on[7]) == raised


@pytest.mark.parametrize("lone", [False, True])
def test_an_alarm_of_another_state_does_not_stand_for_ever(lone: bool) -> None:
    """Ten rows are alarmed idle and turn busy for good, a state they never were in: well there, they clear.

    They learn their level there meanwhile; without that they could never be judged, nor clear.
    """
    rng = np.random.default_rng(11)
    watch, rows, on = watch_of(200), rows_of(200, lone=lone), []
    for i in range(600):
        busy = np.arange(200) % 2 if i < 306 else np.where(np.arange(200) < 20, 1, np.arange(200) % 2)
        r = rng.normal(0, 1, 200) + 20.0 * busy
        if 300 <= i < 306:
            r[0:20:2] += 12.0
        watch.step(rows, points(i, r, busy))
        on.append(watch.latch.on[0:20:2].mean())
    assert on[306] > 0.8
    assert on[330] > 0.8
    assert max(on[450:]) == 0.0


def test_what_is_heard_but_not_judged_is_let_go_of() -> None:
    """Half an hour of readings that can be compared with nothing end an alarm; what is judged stands."""
    latch = Latch(3)
    latch.columns["direction"][:] = 1
    now, rhythm = 10 * HOUR, np.full(3, float(MINUTE))
    heard = np.array([now, now, now - HOUR])
    judged = np.array([now - 33 * MINUTE, now - 31 * MINUTE, now - HOUR])
    assert latch.release(now, np.arange(3), Seen(heard, judged, rhythm)).tolist() == [0]
    assert latch.on.tolist() == [False, True, True]
    assert latch.release(now + HOUR + 1, np.arange(3), Seen(heard, judged, rhythm)).tolist() == [2]
