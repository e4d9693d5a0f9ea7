"""The table of series: canonical order and where rows move."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect.table import SeriesTable
from monitor.types import SeriesKey

KEYS = st.builds(
    SeriesKey,
    st.sampled_from(["gpu", "job"]),
    st.sampled_from(["gpu:a/0", "gpu:a/1", "node:b", "job:c"]),
    st.sampled_from(["power_watts", "loss", "xid"]),
)


@given(st.lists(st.lists(KEYS, max_size=6), max_size=6))
def test_merging_in_any_portions_gives_one_table_and_true_moves(portions: list[list[SeriesKey]]) -> None:
    """Keys are sorted and distinct; what a row held is found at the place that merge names."""
    table = SeriesTable()
    held: dict[SeriesKey, int] = {}
    for portion in portions:
        before = list(table.keys)
        moved = table.merge(portion)
        if moved is None:
            assert table.keys == before
        else:
            assert [table.keys[place] for place in moved] == before
        held |= {key: table.rows_of([key])[0] for key in portion}
    assert table.keys == sorted(held)
    assert set(table.known) == set(held)
    assert [table.entities[e] for e in table.entity] == [key.entity for key in table.keys]
    assert [table.metrics[m] for m in table.metric] == [(key.kind, key.metric) for key in table.keys]
    assert table.metrics == sorted(set(table.metrics))


def test_a_hundred_and_sixty_thousand_series_take_one_more() -> None:
    """A new series among 160,000 moves those behind it by one."""
    keys = [SeriesKey("gpu", f"gpu:n{i // 128:04d}/{i // 16 % 8}", f"m{i % 16:02d}") for i in range(160_000)]
    table = SeriesTable(keys)
    moved = table.merge([SeriesKey("gpu", "gpu:n0000/0", "m005")])
    assert moved is not None
    first = table.rows_of([SeriesKey("gpu", "gpu:n0000/0", "m005")])[0]
    assert (moved - np.arange(160_000) == (np.arange(160_000) >= first)).all()
