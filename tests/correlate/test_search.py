"""The search for causes finds what looking at every set finds."""

import numpy as np
import pytest
from scipy import sparse

from monitor.correlate.search import best_set, worth


def brute_force(cost, cover, weights):
    """Return the greatest worth of any set, by looking at all of them at once."""
    sets = (np.arange(2 ** len(cost))[:, None] >> np.arange(len(cost))) & 1
    return float((sets @ cost + ((sets @ cover.toarray()) > 0) @ weights).max())


def tree(rng, leaves=8):
    """Return a random case over a tree of causes, with strays that cut across it (jobs, switches)."""
    rows, cost = [], []
    for width in (1, 2, 4, 8):
        for first in range(0, leaves, width):
            row = np.zeros(leaves)
            row[first : first + width] = rng.random(width) < 0.8
            rows.append(row)
            cost.append(-rng.uniform(1, 4) - rng.uniform(0, 3) * width * (rng.random() < 0.5))
    chosen = rng.permutation(len(rows))[:10]
    strays = [(rng.random(leaves) < 0.4).astype(float) for _ in range(3)]
    matrix = sparse.csr_array(np.array([rows[k] for k in chosen] + strays, np.int64))
    costs = np.array([cost[k] for k in chosen] + list(-rng.uniform(2, 12, 3)))
    return costs, matrix, rng.choice([0.5, 3.0, 7.0, 32.0], leaves)


@pytest.mark.parametrize("block", range(4))
def test_the_search_equals_brute_force_on_trees_with_strays(block):
    """No set of causes is worth more than the one found, on hierarchies with causes that cut across."""
    for seed in range(block * 60, block * 60 + 60):
        cost, cover, weights = tree(np.random.default_rng(seed))
        found = worth(best_set(cost, cover, weights), cost, cover, weights)
        assert abs(found - brute_force(cost, cover, weights)) < 1e-9, seed


def test_two_small_causes_beat_one_big_one_that_came_first():
    """Plain greedy takes the chiller, which explains most at once; the two racks explain it for less."""
    cover = sparse.csr_array(np.array([[1] * 8, [1] * 4 + [0] * 4, [0] * 4 + [1] * 4], np.int64))
    assert best_set(np.array([-40.0, -10.0, -10.0]), cover, np.full(8, 7.0)).tolist() == [1, 2]


def test_many_small_causes_are_merged_into_one_that_costs_less():
    """Eight nodes that fall silent together are one rack."""
    cover = sparse.csr_array(np.vstack([np.eye(8), np.ones(8)]).astype(np.int64))
    cost = np.array([-9.0] * 8 + [-11.0])
    assert best_set(cost, cover, np.full(8, 32.0)).tolist() == [8]


def test_nothing_is_blamed_for_what_is_too_weak():
    """A cause that costs more than it explains is left out."""
    cover = sparse.csr_array(np.ones((1, 1), np.int64))
    assert best_set(np.array([-9.0]), cover, np.array([7.0])).tolist() == []


def test_of_equal_causes_the_first_is_taken():
    """Ties go to the lower number, so that the answer does not depend on chance."""
    cover = sparse.csr_array(np.ones((3, 2), np.int64))
    assert best_set(np.full(3, -5.0), cover, np.full(2, 7.0)).tolist() == [0]


def test_no_hypotheses_no_causes():
    """An empty tick has no causes."""
    cover = sparse.csr_array((0, 0), dtype=np.int64)
    assert best_set(np.empty(0), cover, np.empty(0)).tolist() == []
