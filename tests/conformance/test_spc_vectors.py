"""Published charts and run rules: which of them the product reproduces, and which not yet."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from monitor.detect.charts import (
    LIMITS_AND_RUN,
    NELSON,
    WESTERN_ELECTRIC,
    RunState,
    beyond,
    chart,
    individuals_limits,
    lowest_rule,
    one_side,
    outside,
    step,
)

pytestmark = pytest.mark.conformance

DATA = Path(__file__).parents[3] / "shared" / "data" / "spc_conformance"
VECTORS = "rule_and_chart_vectors.json"
ORACLE = "qcc27_oracle.json"
ARL = "arl_shewhart_runs_rules.csv"

RULE_SETS = {"western_electric": WESTERN_ELECTRIC, "nelson": NELSON}
# NelsonRules.jl asks for the pattern anywhere in the window, and rule 8 for one side as well.
JULIA = {
    5: partial(beyond, 2, 3, 2, newest=False),
    6: partial(beyond, 4, 5, 1, newest=False),
    8: partial(outside, 8, both_sides=False),
}
WINDOW = {1: 1, 2: 9, 3: 6, 4: 14, 5: 3, 6: 5, 7: 15, 8: 8}
NOT_YET = {
    "cusum": "CUSUM charts are not built yet",
    "cusum_data_units": "CUSUM charts are not built yet",
    "ewma": "EWMA charts are not built yet",
    "c": "charts of counts are not built yet",
    "p": "charts of proportions are not built yet",
}
# Zero-state run lengths in R's spc package: type 1 with one more rule each.
ARL_RULES = {
    "1": (partial(beyond, 1, 1, 3),),
    "12": (partial(beyond, 1, 1, 3), partial(beyond, 2, 3, 2)),
    "13": (partial(beyond, 1, 1, 3), partial(beyond, 4, 5, 1)),
    "14": (partial(beyond, 1, 1, 3), partial(one_side, 8)),
    "15": (partial(beyond, 1, 1, 3), partial(beyond, 2, 2, 2)),
}


def shared(name: str) -> str:
    path = DATA / name
    return path.read_text() if path.exists() else ""


def needs(name: str) -> str:
    text = shared(name)
    if not text:
        pytest.skip(f"{DATA.name}/{name} is not on this machine")
    return text


def vectors(kind: str) -> list:
    found = [v for v in json.loads(shared(VECTORS) or "[]") if kind in v]
    return [pytest.param(v, id=v["id"]) for v in found] or [
        pytest.param(None, marks=pytest.mark.skip(reason=f"{DATA.name}/{VECTORS} is not on this machine"))
    ]


def codes_of(vector: dict, rules: tuple) -> np.ndarray:
    x = np.asarray(vector["x"], float)
    centre = x.mean() if isinstance(vector["center"], str) else vector["center"]
    sigma = x.std(ddof=1) if isinstance(vector["sigma"], str) else vector["sigma"]
    return chart(x[:, None], np.array([centre], float), np.array([sigma], float), rules)[:, 0]


def test_all_38_vectors_are_looked_at():
    """No vector of the file is passed over in silence."""
    found = json.loads(needs(VECTORS))
    assert len(found) == 38
    assert all("ruleset" in v or v["chart"] in {*NOT_YET, "i_mr"} for v in found)


@pytest.mark.parametrize("vector", vectors("ruleset"))
def test_run_rules_signal_at_the_published_points(vector):
    """Western Electric and Nelson rules signal exactly where the published cases do."""
    if "expected_rule_per_point" in vector:
        first = lowest_rule(codes_of(vector, RULE_SETS[vector["ruleset"]]))
        assert first.tolist() == [number or 0 for number in vector["expected_rule_per_point"]]
        return
    number = vector["rule"]
    rules = list(RULE_SETS[vector["ruleset"]])
    if vector["id"].startswith("jl-"):
        rules[number - 1] = JULIA.get(number, rules[number - 1])
    signals = (1 + np.flatnonzero(codes_of(vector, tuple(rules)) >> (number - 1) & 1)).tolist()
    if "expected_signals" in vector:
        assert signals == vector["expected_signals"]
    else:
        assert signals == signals_of_runs(vector["expected_runs"], WINDOW[number])


def signals_of_runs(runs: list[list[int]], window: int) -> list[int]:
    """[start, length] names a run; it is complete from its `window`-th point on."""
    ends = (range(start + window - 1, max(start + length, start + window)) for start, length in runs)
    return sorted({point for run in ends for point in run})


@pytest.mark.parametrize("vector", vectors("chart"))
def test_charts_have_the_published_limits(vector):
    """Charts of individuals have the handbook's limits; what is not built yet says so."""
    if vector["chart"] in NOT_YET:
        pytest.skip(NOT_YET[vector["chart"]])
    x = np.asarray(vector["x"], float)
    limits, expected = individuals_limits(x), vector["expected"]
    got = {
        "center": limits.centre,
        "mr_bar": limits.mean_range,
        "ucl": limits.ucl,
        "lcl": limits.lcl,
        "mr_ucl": limits.range_ucl,
    }
    assert got == {name: pytest.approx(value, abs=vector["tol"]) for name, value in expected.items()}
    assert np.flatnonzero((x > limits.ucl) | (x < limits.lcl)).tolist() == vector["signals"]


def oracle_names() -> list[str]:
    return sorted(json.loads(shared(ORACLE) or "{}")) or ["(absent)"]


@pytest.mark.parametrize("name", oracle_names())
def test_the_qcc_package_draws_the_same_chart(name):
    """Limits agree with qcc 2.7 to 1e-4, and so do points beyond them and runs of seven."""
    case = json.loads(needs(ORACLE))[name]
    if case.get("type") != "xbar.one":
        pytest.skip(f"charts of type {case.get('type', name)} are not built yet")
    limits = individuals_limits(np.asarray(case["statistics"], float))
    assert [limits.centre, limits.sigma, limits.lcl, limits.ucl] == pytest.approx(
        [case["center"], case["std.dev"], case["LCL"], case["UCL"]], abs=1e-4
    )
    x = np.asarray(case["statistics"] + case["newstats"], float)
    codes = chart(x[:, None], np.array([limits.centre]), np.array([limits.sigma]), LIMITS_AND_RUN)[:, 0]
    assert (1 + np.flatnonzero(codes & 1)).tolist() == np.atleast_1d(case["beyond_limits"]).tolist()
    assert (1 + np.flatnonzero(codes & 2)).tolist() == np.atleast_1d(case["violating_runs"]).tolist()


@pytest.mark.parametrize("name", sorted(ARL_RULES))
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0, 3.0])
def test_run_lengths_are_the_published_ones(name, shift):
    """The mean run length of 20,000 simulated charts is within three standard errors of the computed one."""
    table = {
        (row["rules"], float(row["mu"])): float(row["arl"]) for row in csv.DictReader(needs(ARL).splitlines())
    }
    lengths = run_lengths(ARL_RULES[name], shift, charts=20_000, seed=int(name) + int(10 * shift))
    standard_error = lengths.std(ddof=1) / np.sqrt(lengths.size)
    assert abs(lengths.mean() - table[name, shift]) <= 3 * standard_error


def run_lengths(rules: tuple, shift: float, charts: int, seed: int, width: int = 2_000) -> np.ndarray:
    """Return the points up to the first signal of `charts` charts, `width` of them at a time.

    A chart that signalled makes room for the next. Each is followed to its end: to stop when enough had
    signalled would leave out the long ones.
    """
    rng = np.random.default_rng(seed)
    centre, sigma = np.zeros(width), np.ones(width)
    state, new = RunState.new(width, warm=True), RunState.new(width, warm=True)
    number, age, lengths = np.arange(width), np.zeros(width, int), np.zeros(charts, int)
    while not lengths.all():
        age += 1
        ended = np.flatnonzero(step(state, rng.normal(shift, 1, width), centre, sigma, rules))
        asked = ended[number[ended] < charts]
        lengths[number[asked]] = age[asked]
        number[ended] = number.max() + 1 + np.arange(ended.size)
        age[ended] = 0
        for field in RunState.__slots__:
            getattr(state, field)[..., ended] = getattr(new, field)[..., ended]
    return lengths
