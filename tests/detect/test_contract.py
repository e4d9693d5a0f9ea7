"""The contract of a detector, run on every one that the registry names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from monitor.detect.registry import DETECTORS, RHYTHM_MS, Detector
from monitor.detect.stage import REASONS

if TYPE_CHECKING:
    from monitor.detect.registry import Running

every = pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
STEPS, SERIES = 420, 4


def readings(seed: int = 1, steps: int = STEPS) -> np.ndarray:
    """Small whole numbers, as counts and readings both can be, with gaps and a great shift at the end."""
    rng = np.random.default_rng(seed)
    x = rng.poisson(0.3, size=(steps, SERIES)).astype(float)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[-60:, 1] += 12
    return x


def run(running: Running, x: np.ndarray, start: int = 1) -> np.ndarray:
    return np.array([running.step((start + i) * RHYTHM_MS, row) for i, row in enumerate(x)])


def flat(state: object, path: str = "") -> dict[str, bytes]:
    """Every leaf of a state as bytes, by path."""
    if isinstance(state, dict):
        return {k: v for name, part in state.items() for k, v in flat(part, f"{path}/{name}").items()}
    return {path: np.asarray(state).tobytes()}


def test_names_are_distinct_and_formulas_written() -> None:
    """A detector is known by its name and says what it computes."""
    assert len({d.name for d in DETECTORS}) == len(DETECTORS)
    assert all(len(d.formula) > 10 for d in DETECTORS)


def test_what_the_stage_names_is_registered() -> None:
    """No detector speaks that this suite does not run on."""
    assert set(REASONS) <= {d.name for d in DETECTORS}


@every
def test_a_batch_of_series_equals_them_one_by_one(detector: Detector) -> None:
    """Series in a batch do not touch each other."""
    x = readings()
    together = run(detector.begin(SERIES), x)
    for row in range(SERIES):
        assert (run(detector.begin(1), x[:, row : row + 1])[:, 0] == together[:, row]).all()


@every
def test_the_great_shift_is_found_and_only_where_it_is(detector: Detector) -> None:
    """A shift of 12 in one of four series raises that one by the end."""
    last = run(detector.begin(SERIES), readings())[-1]
    assert last[1] != 0
    if detector.name == "counts" and last[[0, 2, 3]].any():
        pytest.xfail("four series are too few for its pooled null: a healthy one is raised as well")
    if detector.name != "shewhart":  # run rules signal now and then on healthy readings: that is their ARL
        assert not last[[0, 2, 3]].any()


@every
def test_a_snapshot_goes_on_byte_for_byte(detector: Detector) -> None:
    """Stopped anywhere and restored, the rest and the end state are the same bytes."""
    x = readings(2)
    whole = detector.begin(SERIES)
    expected = run(whole, x)
    for cut in (1, 37, 200, 390):
        first, second = detector.begin(SERIES), detector.begin(SERIES)
        run(first, x[:cut])
        second.restore(first.to_state())
        assert (run(second, x[cut:], 1 + cut) == expected[cut:]).all()
        assert flat(second.to_state()) == flat(whole.to_state())


@every
def test_a_snapshot_is_a_copy(detector: Detector) -> None:
    """What happens after a snapshot does not change it."""
    running = detector.begin(SERIES)
    run(running, readings(3, 50))
    state = running.to_state()
    before = flat(state)
    run(running, readings(4, 50), 51)
    assert flat(state) == before


@every
def test_nothing_but_gaps_is_nothing(detector: Detector) -> None:
    """A series that never reads raises nothing."""
    assert not run(detector.begin(2), np.full((300, 2), np.nan)).any()


@every
def test_a_constant_series_raises_nothing(detector: Detector) -> None:
    """No spread is no reason."""
    assert not run(detector.begin(2), np.zeros((STEPS, 2))).any()


@every
def test_a_cold_start_raises_nothing(detector: Detector) -> None:
    """The first readings, whatever they are, are no anomaly against nothing."""
    if detector.name == "shewhart":
        pytest.skip("its centre and sigma are given, not learnt: it has no cold start")
    x = np.array([[1e9, -1e9, 0.0, 5.0]] + [[0.0, 0.0, 1e9, 5.0]] * 20)
    assert not run(detector.begin(SERIES), x).any()


@every
def test_state_does_not_grow_with_time(detector: Detector) -> None:
    """After learning as after the first point the state has one size."""
    running = detector.begin(SERIES)
    x = readings(5, 800)
    run(running, x[:1])
    size = sum(map(len, flat(running.to_state()).values()))
    run(running, x[1:], 2)
    assert sum(map(len, flat(running.to_state()).values())) == size
