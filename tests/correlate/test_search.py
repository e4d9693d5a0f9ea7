"""The search for causes finds what looking at every set finds."""

import numpy as np
import pytest
from scipy import sparse

from monitor.correlate.search import Costs, best_set, worth


def brute_force(cost, cover, weights):
    """Return the greatest worth of any set, by looking at all of them at once."""
    size = len(cost.own)
    sets = (np.arange(2**size)[:, None] >> np.arange(size)) & 1
    own, group, shared = cost
    groups = (sets @ (group[:, None] == np.arange(len(shared)))) > 0
    return float((sets @ own + groups @ shared + ((sets @ cover.toarray()) > 0) @ weights).max())


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
    return Costs.of(costs), matrix, rng.choice([0.5, 3.0, 7.0, 32.0], leaves)


def optional(rng, leaves=8):
    """Return a random case of causes with options: what each must cover, and what else it may for a price."""
    own, group, rows = [], [], []
    shared = -rng.uniform(2, 10, 4)
    for number in range(len(shared)):
        core = rng.random(leaves) < 0.3
        options = [rng.random(leaves) < 0.3 for _ in range(rng.integers(0, 3))]
        prices = [0.0, *(-rng.uniform(0, 8, len(options)))]
        rows += [core, *[core | option for option in options]]
        own += prices
        group += [number] * len(prices)
        if len(options) > 1:
            rows.append(core | options[0] | options[1])
            own.append(sum(prices))
            group.append(number)
    matrix = sparse.csr_array(np.array(rows).astype(np.int64))
    return Costs(np.array(own), np.array(group), shared), matrix, rng.choice([0.5, 3.0, 7.0, 32.0], leaves)


@pytest.mark.parametrize("block", range(4))
@pytest.mark.parametrize("case", [tree, optional])
def test_the_search_equals_brute_force(case, block):
    """No set of causes is worth more: where some cut across a hierarchy, and where each has options."""
    for seed in range(block * 60, block * 60 + 60):
        cost, cover, weights = case(np.random.default_rng(seed))
        found = worth(best_set(cost, cover, weights), cost, cover, weights)
        assert abs(found - brute_force(cost, cover, weights)) < 1e-9, seed


def test_causes_that_meet_leave_to_each_other_what_costs_them_more():
    """A switch and a CDU slow one job: the dear option is dropped, not the switch."""
    cover = sparse.csr_array(np.array([[1, 0, 0, 0], [1, 0, 1, 1], [0, 1, 0, 0], [0, 1, 1, 1]], np.int64))
    costs = Costs(np.array([0.0, -60.0, 0.0, -5.0]), np.array([0, 0, 1, 1]), np.array([-9.0, -9.0]))
    assert worth(np.array([0, 2, 3]), costs, cover, np.full(4, 32.0)) == 128 - 5 - 18
    chosen = best_set(costs, cover, np.full(4, 32.0)).tolist()
    assert chosen in ([0, 3], [0, 2, 3])


def test_two_small_causes_beat_one_big_one_that_came_first():
    """Plain greedy takes the chiller, which explains most at once; the two racks explain it for less."""
    cover = sparse.csr_array(np.array([[1] * 8, [1] * 4 + [0] * 4, [0] * 4 + [1] * 4], np.int64))
    assert best_set(Costs.of(np.array([-40.0, -10.0, -10.0])), cover, np.full(8, 7.0)).tolist() == [1, 2]


def test_many_small_causes_are_merged_into_one_that_costs_less():
    """Eight nodes that fall silent together are one rack."""
    cover = sparse.csr_array(np.vstack([np.eye(8), np.ones(8)]).astype(np.int64))
    cost = np.array([-9.0] * 8 + [-11.0])
    assert best_set(Costs.of(cost), cover, np.full(8, 32.0)).tolist() == [8]


def test_nothing_is_blamed_for_what_is_too_weak():
    """A cause that costs more than it explains is left out."""
    cover = sparse.csr_array(np.ones((1, 1), np.int64))
    assert best_set(Costs.of(np.array([-9.0])), cover, np.array([7.0])).tolist() == []


def test_of_equal_causes_the_first_is_taken():
    """Ties go to the lower number, so that the answer does not depend on chance."""
    cover = sparse.csr_array(np.ones((3, 2), np.int64))
    assert best_set(Costs.of(np.full(3, -5.0)), cover, np.full(2, 7.0)).tolist() == [0]


def test_no_hypotheses_no_causes():
    """An empty tick has no causes."""
    cover = sparse.csr_array((0, 0), dtype=np.int64)
    assert best_set(Costs.of(np.empty(0)), cover, np.empty(0)).tolist() == []
