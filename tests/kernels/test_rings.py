"""Nested rings against plain windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.kernels.rings import SCALES, Rings


def test_longer_means_are_those_of_plain_windows() -> None:
    """The mean over 6, 36 and 216 points is that of the last ones, moving every 1, 6 and 36 points."""
    z = np.random.default_rng(1).normal(size=500)
    rings = Rings(1)
    for i in range(len(z)):
        means, fresh = rings.push(z[i : i + 1], np.ones(1, bool))
        for k, (span, step) in enumerate(zip(SCALES[1:], (1, 6, 36), strict=True), start=1):
            assert fresh[k, 0] == (i + 1 >= span and (i + 1) % step == 0)
            if fresh[k, 0]:
                assert means[k, 0] == pytest.approx(z[i + 1 - span : i + 1].mean(), abs=1e-5)


def test_the_shortest_scale_is_what_the_last_two_points_agree_on() -> None:
    """It is the lesser of the last two, 0 where they differ in sign, from the second point on."""
    rings = Rings(1)
    found = [rings.push(np.array([z]), np.ones(1, bool)) for z in (5.0, 3.0, -2.0, -4.0, 9.0)]
    assert [bool(fresh[0, 0]) for _, fresh in found] == [False, True, True, True, True]
    assert [float(means[0, 0]) for means, _ in found[1:]] == [3.0, 0.0, -2.0, 0.0]


def agreed(z: np.ndarray) -> np.ndarray:
    """What each point from the second on has in common with the one before it."""
    return np.array([0.0 if a * b < 0 else min(a, b, key=abs) for a, b in zip(z[1:], z[:-1], strict=True)])


def test_means_are_those_of_plain_windows_over_what_neighbours_agree_on() -> None:
    """The mean over k points is that of the last k, moving every 1, 1, 6 and 36 points."""
    z = np.random.default_rng(1).normal(size=500)
    rings, w = Rings(1, agreed=True), agreed(z)
    assert not rings.push(z[:1], np.ones(1, bool))[1].any()
    for i in range(len(w)):
        means, fresh = rings.push(z[i + 1 : i + 2], np.ones(1, bool))
        for k, (span, step) in enumerate(zip(SCALES, (1, 1, 6, 36), strict=True)):
            assert fresh[k, 0] == (i + 1 >= span and (i + 1) % step == 0)
            if fresh[k, 0]:
                assert means[k, 0] == pytest.approx(w[i + 1 - span : i + 1].mean(), abs=1e-5)


def test_a_wild_sample_that_stands_alone_counts_nowhere() -> None:
    """Its neighbours do not agree with it; two such samples in a row count once."""
    rings, present = Rings(1, agreed=True), np.ones(1, bool)
    for value in [0.0] * 10 + [9.0] + [0.0] * 10:
        assert not rings.push(np.array([value]), present)[0].any()
    for value in [9.0, 9.0]:
        means, _ = rings.push(np.array([value]), present)
    assert means[:2, 0].tolist() == [9.0, 1.5]


@pytest.mark.parametrize(("scale", "shift_ago"), [(1, 2), (1, 5), (2, 18), (3, 108)])
def test_what_a_mean_shows_is_dated_to_the_block_where_it_began(scale: int, shift_ago: int) -> None:
    """A clean shift is found within one block of the window, never before it by more than that."""
    rings, present = Rings(1, agreed=True), np.ones(1, bool)
    for z in [0.0] * 432 + [-5.0] * (shift_ago + 1):
        rings.push(np.array([z]), present)
    found = int(rings.begun(np.array([0]), np.array([scale]), np.array([-1]))[0])
    assert shift_ago <= found <= shift_ago + 1 + SCALES[scale - 1]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
def test_a_row_without_a_point_stays_as_it_was(presence: list[tuple[bool, bool]]) -> None:
    """Gaps change nothing: each row's means are over its own points."""
    both, alone = Rings(2), [Rings(1), Rings(1)]
    for i, present in enumerate(presence):
        z = np.array([float(i), float(-i)])
        means, fresh = both.push(z, np.array(present))
        for row in range(2):
            one, one_fresh = alone[row].push(z[row : row + 1], np.array(present[row : row + 1]))
            assert (one[:, 0] == means[:, row]).all()
            assert (one_fresh[:, 0] == fresh[:, row]).all()
