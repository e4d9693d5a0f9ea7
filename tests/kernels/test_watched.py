"""What lets a latched row page: evidence enough, and a deviation that matters."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.kernels.latch import Latch
from monitor.kernels.signals import Key, Standing
from monitor.kernels.watched import Chart, Name, Pages, watched_signals
from monitor.reasons import SignalReason

ONE = np.ones(1, bool)


@pytest.mark.parametrize(
    ("score", "deviation", "may", "pages"),
    [(40.0, 5.0, True, True), (40.0, 3.9, True, False), (12.0, 5.0, True, False), (40.0, 5.0, False, False)],
    ids=["harmful", "slight", "weak", "never"],
)
def test_a_page_needs_evidence_and_a_deviation_that_matters(
    score: float, deviation: float, may: bool, pages: bool
) -> None:
    """However sure, 3.9 of what matters from 4 on pages nobody; nor does what may not."""
    latch = Latch(1)
    for name, value in {"direction": 1, "score": score, "since": 0, "raised_at": 0}.items():
        latch.columns[name][0] = value
    chart = Chart(np.array([60.0 + deviation]), np.array([60.0]), np.array([0.5]), 3.0)
    rule = Pages(
        1.0, np.array([8]), np.array([10_000.0]), ONE & may, chart.effect(np.array([4.0]), np.zeros(1))
    )
    name = Name(Key("gpu:n1/0", "gpu_temp_celsius", "peers"), "heat", lambda _: SignalReason.ABOVE_PEERS)
    (signal,) = watched_signals(latch, np.zeros(1, np.int64), chart, rule, lambda _: name, Standing())
    assert signal.page is pages
    assert signal.matters is (deviation >= 4.0)


@pytest.mark.parametrize(("direction", "pages"), [(1, False), (-1, True)])
def test_a_deviation_to_the_other_side_does_not_count(direction: int, pages: bool) -> None:
    """What was alarmed for being high does not page for being low, though that matters."""
    latch = Latch(1)
    for name, value in {"direction": direction, "score": 40.0, "since": 0, "raised_at": 0}.items():
        latch.columns[name][0] = value
    chart = Chart(np.array([55.0]), np.array([60.0]), np.array([0.5]), 3.0)
    rule = Pages(1.0, np.array([8]), np.array([10_000.0]), ONE, chart.effect(np.array([4.0]), np.zeros(1)))
    name = Name(Key("gpu:n1/0", "sm_clock_mhz", "peers"), "clock", lambda _: SignalReason.BELOW_PEERS)
    (signal,) = watched_signals(latch, np.zeros(1, np.int64), chart, rule, lambda _: name, Standing())
    assert signal.page is pages


def test_an_effect_is_a_multiple_of_what_matters_else_of_sigma() -> None:
    """Where the catalogue names nothing the spread is the unit; without either there is none."""
    chart = Chart(np.full(3, 8.0), np.zeros(3), np.array([2.0, 2.0, 0.0]), 3.0)
    assert chart.effect(np.array([4.0, 0.0, 0.0]), np.zeros(1)).tolist()[:2] == [2.0, 4.0]
    assert np.isnan(chart.effect(np.zeros(3), np.zeros(1))[2])


@pytest.mark.parametrize(("deviation", "stays"), [(2.1, True), (1.9, False), (np.nan, True), (-9.0, False)])
def test_a_page_ends_when_less_than_half_of_what_matters_is_left(deviation: float, stays: bool) -> None:
    """A clock that dips and comes back pages nobody who was to wait; a reading that is missing ends nothing."""
    latch = Latch(1)
    for name, value in {"direction": 1, "score": 40.0, "since": 0, "raised_at": 0}.items():
        latch.columns[name][0] = value
    key = Key("gpu:n1/0", "gpu_temp_celsius", "peers")
    name = Name(key, "heat", lambda _: SignalReason.ABOVE_PEERS)
    standing, pages = Standing(), []
    mattered = []
    for off in (5.0, deviation):
        chart = Chart(np.array([60.0 + off]), np.array([60.0]), np.array([0.5]), 3.0)
        effect = chart.effect(np.array([4.0]), np.zeros(1))
        rule = Pages(1.0, np.array([8]), np.array([10_000.0]), np.ones(1, bool), effect)
        signals = watched_signals(latch, np.zeros(1, np.int64), chart, rule, lambda _: name, standing)
        standing.replace(signals)
        pages += [signal.page for signal in signals]
        mattered += [signal.matters for signal in signals]
    assert pages == [True, stays]
    assert mattered == [True, True]
