"""Columns, the page level, reach."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.kernels.budget import LEVELS, page_level
from monitor.kernels.columns import Column, Columns
from monitor.kernels.reach import PLANT, beneath
from monitor.topology import Topology
from monitor.units import DAY


@given(st.permutations([0, 1, 2, 3]), st.integers(0, 3))
def test_rows_move_with_all_their_columns(order: list[int], dropped: int) -> None:
    """After a resize each row's values stand at its new place; new rows hold the fill."""
    columns = Columns({"a": Column("i8", -1), "ring": Column("f4", 0.5, 3)}, 4)
    columns["a"] = np.arange(4)
    columns["ring"] = np.arange(12).reshape(3, 4)
    moved = np.array([2 * place for place in order])
    moved[dropped] = -1
    columns.resize(moved, 8)
    for row in range(4):
        if row != dropped:
            assert columns["a"][moved[row]] == row
            assert columns["ring"][:, moved[row]].tolist() == [row, row + 4, row + 8]
    assert (columns["a"] == -1).sum() == 5


@pytest.mark.parametrize(
    ("budget", "members", "rhythm_s"), [(1.0, 160_000, 10), (3.0, 64, 60), (0.5, 1, 300)]
)
def test_the_budget_is_kept_by_the_sum_over_all_hypotheses(
    budget: float, members: int, rhythm_s: int
) -> None:
    """Expected false pages of one level in 30 days: members x scales x decisions x e^-level = budget / levels."""
    level = page_level(budget, np.array([members]), np.array([rhythm_s * 1000.0]), 4)[0]
    decisions = 30 * DAY / (rhythm_s * 1000)
    assert members * 4 * decisions * np.exp(-level) == pytest.approx(budget / LEVELS)


def test_what_stands_beneath_a_chiller_are_the_gpus_it_cools() -> None:
    """Containment and dependence are followed through the plant; jobs and switches are no way."""
    lines = [
        {"id": "chiller:ch1"},
        {"id": "cdu:c1", "depends_on": ["chiller:ch1"]},
        {"id": "rack:r1", "depends_on": ["cdu:c1"]},
        {"id": "rack:r2"},
        {"id": "switch:s1"},
        {"id": "node:a", "parent": "rack:r1", "depends_on": ["switch:s1"]},
        {"id": "node:b", "parent": "rack:r2"},
        {"id": "gpu:a/0", "parent": "node:a"},
        {"id": "gpu:b/0", "parent": "node:b"},
        {"id": "job:j", "depends_on": ["node:a", "node:b"]},
    ]
    graph = Topology.parse([json.dumps(line) for line in lines]).at(0)
    reach = beneath(graph, PLANT).toarray()
    below = {graph.ids[k] for k in np.flatnonzero(reach[graph.index["chiller:ch1"]])}
    assert below == {"cdu:c1", "rack:r1", "node:a", "gpu:a/0"}
    assert not reach[graph.index["switch:s1"]].any()
