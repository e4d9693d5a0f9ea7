"""Measured tails: empirical inside, exponential beyond."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monitor.kernels.tails import BINS, WIDTH, Tails

ONE = np.zeros(1, np.int64)


def measured(t: np.ndarray) -> Tails:
    tails = Tails(1)
    tails.observe(np.zeros(len(t), np.int64), t)
    tails.refit()
    return tails


def test_an_exponential_null_gives_back_its_own_nats() -> None:
    """For exp(1) the nats of t are t, inside and beyond what was seen, within a tenth."""
    tails = measured(np.random.default_rng(2).exponential(size=200_000))
    for t in (1.0, 3.0, 6.0, 12.0, 20.0):
        assert tails.nats(ONE, np.array([t]))[0] == pytest.approx(t, rel=0.1)


def test_a_gaussian_tail_is_never_overstated() -> None:
    """A tail lighter than exponential gets fewer nats than the truth, far out by a lot."""
    tails = measured(np.abs(np.random.default_rng(3).normal(size=200_000)))
    for t in (3.0, 4.0, 5.0, 7.0, 9.0):
        true = -(np.log(2) + stats.norm.logsf(t))
        assert tails.nats(ONE, np.array([t]))[0] < true + 0.2


def test_few_values_say_nothing() -> None:
    """With fewer than 30 values there is no evidence."""
    assert measured(np.full(29, 0.1)).nats(ONE, np.array([50.0]))[0] == 0.0


def test_nats_never_fall_with_t() -> None:
    """More extreme is never less evidence."""
    tails = measured(np.random.default_rng(4).standard_t(3, size=5_000) ** 2)
    t = np.linspace(0, BINS * WIDTH * 2, 2_000)
    assert (np.diff(tails.nats(np.zeros(len(t), np.int64), t)) >= -1e-9).all()


def test_an_excursion_cannot_excuse_itself() -> None:
    """Values count from the refit at which their cell has grown by a quarter."""
    tails = measured(np.random.default_rng(5).exponential(size=10_000))
    before = tails.nats(ONE, np.array([20.0]))[0]
    tails.observe(np.zeros(2_000, np.int64), np.full(2_000, 20.0))
    tails.refit()
    assert tails.nats(ONE, np.array([20.0]))[0] == before
    tails.observe(np.zeros(600, np.int64), np.full(600, 20.0))
    tails.refit()
    assert tails.nats(ONE, np.array([20.0]))[0] < before


def test_the_guard_shows_a_tail_that_is_too_light() -> None:
    """Promised and observed agree for an exponential; a heavier tail shows more than was promised."""
    rng = np.random.default_rng(6)
    levels = np.array([8.0])
    promised, observed = measured(rng.exponential(size=200_000)).guard(levels)
    assert observed[0, 0] < 1.5 * promised[0, 0]
    promised, observed = measured(np.abs(rng.standard_t(3, size=200_000))).guard(levels)
    assert observed[0, 0] > 1.5 * promised[0, 0]


def test_cells_move_with_their_fit() -> None:
    """A moved cell answers as before; a new one knows nothing."""
    tails = measured(np.random.default_rng(7).exponential(size=1_000))
    before = tails.nats(ONE, np.array([9.0]))
    tails.resize(np.array([1]), 2)
    assert tails.nats(np.array([0, 1]), np.array([9.0, 9.0])).tolist() == [0.0, before[0]]
