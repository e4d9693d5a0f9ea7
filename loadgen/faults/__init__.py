"""The kinds of fault, one class each, and when they strike.

To add a kind: a class with `kind`, `strike` and, where it changes the physics, `press`; name it in `KINDS`
here and in `FAULTS` of `loadgen/spec.py`, which makes it a scenario.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.faults.base import Fault, apart
from loadgen.faults.fabric import LeafSwitch
from loadgen.faults.heat import CduFlow, GpuFan, NodeCooling
from loadgen.faults.job import JobCrash
from loadgen.faults.loss import GpuLost, NodeCrash, RackPower
from loadgen.noise import stream
from loadgen.spec import HOUR_MS, SpecError

if TYPE_CHECKING:
    import numpy as np

    from loadgen.spec import Spec

__all__ = ["KINDS", "Fault", "apart", "plan_faults"]

KINDS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (GpuFan, NodeCooling, CduFlow, NodeCrash, RackPower, GpuLost, LeafSwitch, JobCrash)
}

MINUTE_MS = 60_000
SETTLE_MS = 20 * MINUTE_MS


def plan_faults(spec: Spec) -> list[Fault]:
    """Say which faults begin and end when, in order of time; where they strike is decided then.

    They fit between the healthy hours and the last 20 minutes; where time is short, gaps and durations
    shrink together, to a third at the least. Raises SpecError where even that does not fit.
    """
    rng = stream(spec.seed, f"faults/{spec.scenario}")
    kinds = [spec.plot.faults[i] for i in rng.permutation(len(spec.plot.faults))]
    if not kinds:
        return []
    gaps, durations = _draw_times(spec, rng, len(kinds))
    begin = spec.start + round(spec.plot.healthy_hours * HOUR_MS)
    taken = sum(gaps) + (max(durations) if spec.plot.overlapping else sum(durations))
    shrink = 1.0 if spec.plot.together else min(1.0, (spec.end - SETTLE_MS - begin) / taken)
    if shrink < 1 / 3:
        least = (begin - spec.start + SETTLE_MS + taken / 3) / HOUR_MS
        raise SpecError(f"scenario `{spec.scenario}` needs {least + 0.05:.1f} hours or more with this seed")
    faults, ts = [], begin
    for number, (kind, gap, duration) in enumerate(zip(kinds, gaps, durations, strict=True), 1):
        start = ts + round(gap * shrink)
        end = start + round(duration * shrink)
        rolls = tuple(rng.random(4).tolist())
        fault_id = f"{spec.scenario}-{spec.seed}-{number}"
        faults.append(KINDS[kind](fault_id, start, end, float(rng.random()), rolls))
        if not spec.plot.together:
            ts = start if spec.plot.overlapping else end
    return faults


def _draw_times(spec: Spec, rng: np.random.Generator, count: int) -> tuple[list[float], list[float]]:
    """Draw the gap before each fault and how long it lasts, ms."""
    plot = spec.plot
    if plot.together:
        gaps = [rng.uniform(10, 20) * MINUTE_MS] * count
        gaps = [gap + i * rng.uniform(10, 60) * 1000 for i, gap in enumerate(gaps)]
    else:
        gaps = (rng.uniform(*plot.gap, count) * MINUTE_MS).tolist()
        if not plot.overlapping:
            gaps[0] = rng.uniform(0, 30) * MINUTE_MS
    return gaps, (rng.uniform(*plot.duration, count) * MINUTE_MS).tolist()
