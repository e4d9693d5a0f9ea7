"""Grouped medians against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.kernels.medians import GroupedMedian

VALUES = st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")))


@given(st.lists(st.tuples(st.integers(-1, 6), VALUES), max_size=60))
def test_medians_are_numpys(rows: list[tuple[int, float]]) -> None:
    """Each group's median is np.median of its finite values; a row of group -1 counts nowhere."""
    group = np.array([g for g, _ in rows], np.int64)
    x = np.array([v for _, v in rows], np.float64)
    median, count = GroupedMedian(group, 7)(x)
    for g in range(7):
        members = x[(group == g) & np.isfinite(x)]
        assert count[g] == len(members)
        if len(members):
            assert median[g] == pytest.approx(np.median(members), rel=1e-12, abs=1e-9)
        else:
            assert np.isnan(median[g])


@given(st.permutations(list(range(20))))
def test_the_order_of_members_does_not_matter(order: list[int]) -> None:
    """The same values in another order give the same bits."""
    x = np.linspace(0.1, 7.7, 20) ** 3
    group = np.zeros(20, np.int64)
    assert GroupedMedian(group, 1)(x[order])[0].tobytes() == GroupedMedian(group, 1)(x)[0].tobytes()
