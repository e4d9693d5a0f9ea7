"""Nested rings against plain windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.kernels.rings import SCALES, Rings


def test_means_are_those_of_plain_windows() -> None:
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
