"""The compiled loops against the numpy that they stand for: the same bits, round after round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from monitor.detect.drivers import Drivers
from monitor.detect.held import Held
from monitor.kernels import compiled
from monitor.kernels.baseline import Baseline, Learning, Points
from monitor.kernels.evidence import Evidence
from monitor.kernels.rings import Rings
from monitor.types import Panel

if TYPE_CHECKING:
    from collections.abc import Callable

N, ROUNDS, TICK = 400, 300, 10_000
ROWS = Learning(peers_ms=5 * TICK, own_ms=20 * TICK, freeze_ms=60 * TICK, cycles_ms=150 * TICK, points=15)


def panels(seed: int) -> list[Panel]:
    """Rounds with gaps, jitter, constants, wild values and rows that come late."""
    rng = np.random.default_rng(seed)
    level, wild = rng.normal(50, 20, N), rng.random((ROUNDS, N)) < 0.01
    x = (
        level
        + rng.normal(0, 1, (ROUNDS, N)) * (np.arange(N) % 5 > 0)
        + wild * rng.normal(0, 1e4, (ROUNDS, N))
    )
    x[rng.random((ROUNDS, N)) < 0.2] = np.nan
    x[:100, :40] = np.nan
    ends = np.arange(1, ROUNDS + 1)[:, None] * TICK
    ts = np.where(np.isfinite(x), ends - rng.integers(0, TICK, (ROUNDS, N)), -1)
    return [Panel(int(end), x[i], ts[i]) for i, end in enumerate(ends[:, 0].tolist())]


def held(rounds: list[Panel]) -> list[Any]:
    """Held values and gaps, and what is remembered."""
    kernel = Held(N)
    told = [np.stack(kernel.step(panel, 1.5)) for panel in rounds]
    return [told, list(kernel.to_state().values())]


def baseline(rounds: list[Panel]) -> list[Any]:
    """Levels of rows in two regimes, some lone, some with constants."""
    rng, kernel = np.random.default_rng(9), Baseline(N, ROWS)
    lone, floor = np.arange(N) % 3 == 0, np.where(np.arange(N) % 2, 0.3, 0.0)
    told = []
    for panel in rounds:
        regime, train = rng.integers(0, 2, N), rng.random(N) < 0.9
        points = Points(panel.end, panel.x, panel.ts, np.full(N, float(TICK)), regime)
        level = kernel.step(points, lone, train, floor)
        told.append([level.d, level.sigma, level.offset, level.points, level.learnt_ms])
    return [told, list(kernel.to_state().values())]


def rings(rounds: list[Panel]) -> list[Any]:
    """Nested means."""
    kernel = Rings(N)
    told = [kernel.push(np.nan_to_num(panel.x / 50 - 1), np.isfinite(panel.x)) for panel in rounds]
    return [told, list(kernel.to_state().values())]


def evidence(rounds: list[Panel]) -> list[Any]:
    """Scores against the tails of five pools, that fill up on the way."""
    kernel, points = Evidence(N, 5), np.where(np.arange(N) % 4, 50.0, np.inf)
    train, told = np.arange(N) % 9 > 0, []
    for panel in rounds:
        scored = kernel.step(panel.x / 10 - 5, np.arange(N) % 5, points, train)
        told.append([scored.up, scored.down, scored.fresh])
        kernel.learn(panel.end, np.arange(N) % 5, np.flatnonzero(scored.up[0] > 9)[:2], scored.up[0] > 9)
    assert max(up.max() for up, _, _ in told) > 5
    state = kernel.to_state()
    recent = state["probation"]["arrays"].values()
    return [told, [state["size"], state["seen"], *state["tails"].values(), *recent]]


def drivers(rounds: list[Panel]) -> list[Any]:
    """Lagged loads of ten fits."""
    kernel, none = Drivers(), np.empty(0, np.int64)
    kernel.resize(np.arange(N), none, none, 10)
    told = []
    for before, panel in zip([rounds[0], *rounds], rounds, strict=False):
        gap = np.where(np.isfinite(panel.x), TICK * 40, 0)
        part = kernel.step(panel.end, panel.x, gap, before.x, np.arange(N) % 10, np.arange(N) % 7 == 0)
        told.append([part.value, part.rough, part.slope, part.settled])
    state = kernel.to_state()
    return [told, [*state["lagged"].values(), *state["slow"].values(), *state["usual"].values(), state["b"]]]


@pytest.mark.parametrize("run", [held, baseline, rings, evidence, drivers])
@pytest.mark.parametrize("seed", [1, 2])
def test_compiled_loops_give_the_bits_of_numpy(
    run: Callable[[list[Panel]], list[Any]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a round says and what is remembered are equal to the last bit, gaps (NaN) included."""
    rounds = panels(seed)
    assert compiled.loops(N) is None
    by_numpy = run(rounds)
    monkeypatch.setattr(compiled, "LEAST", 1)
    assert compiled.loops(N) is not None, "numba belongs to the development requirements"
    for told, expected in zip(run(rounds), by_numpy, strict=True):
        for one, other in zip(told, expected, strict=True):
            for a, b in zip(one, other, strict=True) if isinstance(one, (list, tuple)) else [(one, other)]:
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)
