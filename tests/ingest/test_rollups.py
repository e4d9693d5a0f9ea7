"""Windows of samples against a brute count, and which windows are due to be rolled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.cells import Cells, SeriesNames
from monitor.ingest.rollups import windows
from monitor.store.rolls import MAX_ROWS, Frontier, Span
from monitor.types import SeriesKey

KEYS = [SeriesKey("gpu", f"gpu:a/{i}", metric) for i in range(3) for metric in ("power_watts", "xid")]
VALUES = st.floats(-1e6, 1e6) | st.sampled_from([np.inf, -np.inf])
SAMPLES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 60_000), VALUES, st.booleans()), max_size=40)


@given(SAMPLES)
def test_windows_are_what_a_count_says(samples: list[tuple[int, int, float, bool]]) -> None:
    """Count, mean, m2, min, max, last and odd ones of each series and window; what is not finite is left out."""
    samples = list({(row, ts): (row, ts, value, odd) for row, ts, value, odd in samples}.values())
    row, ts, value, odd = (
        (list(column) for column in zip(*samples, strict=True)) if samples else ([], [], [], [])
    )
    names = SeriesNames.of(KEYS)
    made = windows(
        Cells(
            60_000, names, np.array(row, int), np.array(ts, int), np.array(value, float), np.array(odd, bool)
        ),
        10_000,
    )
    expected: dict[tuple[int, int], list[tuple[int, float, bool]]] = {}
    for series, at, x, beyond in samples:
        if np.isfinite(x):
            expected.setdefault((series, (at - 1) // 10_000 * 10_000), []).append((at, x, beyond))
    assert list(zip(made.row.tolist(), made.start.tolist(), strict=True)) == sorted(expected)
    for i, key in enumerate(sorted(expected)):
        points = sorted(expected[key])
        x = np.array([point[1] for point in points])
        assert made.count[i] == len(x)
        assert made.mean[i] == pytest.approx(x.mean(), rel=1e-12, abs=1e-9)
        assert made.m2[i] == pytest.approx(((x - x.mean()) ** 2).sum(), rel=1e-9, abs=1e-6)
        assert (made.min[i], made.max[i], made.last[i]) == (x.min(), x.max(), x[-1])
        assert made.anomalous[i] == sum(point[2] for point in points)


def test_a_roll_is_cut_where_it_would_be_too_large() -> None:
    """Windows are rolled together up to MAX_ROWS, and never beyond a gap."""
    frontier = Frontier("m1")
    for minute, rows in ((0, MAX_ROWS - 1), (60_000, 1), (120_000, 5), (600_000, 7)):
        frontier.add(np.array([minute + 1000]), rows)
    assert frontier.due() == [
        Span(0, 120_000, MAX_ROWS),
        Span(120_000, 180_000, 5),
        Span(600_000, 660_000, 7),
    ]
