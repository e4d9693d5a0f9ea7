"""A run read back: its frames as they are, and each series as arrays."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

import msgspec
import numpy as np

import loadgen

ITEM_KINDS = {"gpu": "gpu", "network": "port", "job": "rank"}


class Frame(msgspec.Struct):
    """A frame of any kind."""

    kind: str
    ts: int
    source: str
    metrics: dict[str, list[float | str | None]] = {}
    items: list[str] | None = None
    seq: int | None = None
    received: int | None = None
    change: str | None = None
    until: int | None = None


def entities_of(frame: Frame) -> list[str]:
    """Return the entities that a frame is about."""
    if frame.items is None:
        return [frame.source]
    name = frame.source.partition(":")[2]
    return [f"{ITEM_KINDS[frame.kind]}:{name}/{item}" for item in frame.items]


class Recording:
    """All frames of a run, in the order in which a recorder wrote them."""

    def __init__(self, run):
        self.run = run
        self.lines = list(run.frames())
        decode = msgspec.json.Decoder(Frame).decode
        self.frames = [decode(line) for line in self.lines]
        self.truth = run.truth()

    @cached_property
    def series(self):
        """(entity, metric) -> (ts, value) as arrays, NaN where null."""
        ts, values = defaultdict(list), defaultdict(list)
        for frame in self.frames:
            for metric, row in frame.metrics.items():
                for entity, value in zip(entities_of(frame), row, strict=True):
                    ts[entity, metric].append(frame.ts)
                    values[entity, metric].append(np.nan if value is None else value)
        return {key: (np.array(ts[key]), np.array(values[key], float)) for key in ts}

    def entities(self, metric, kind):
        """The entities of a kind that send a metric."""
        return sorted(e for e, m in self.series if m == metric and e.startswith(f"{kind}:"))

    def values(self, entity, metric, start, end):
        """The values in [start, end)."""
        ts, values = self.series.get((entity, metric), (np.zeros(0), np.zeros(0)))
        return values[(ts >= start) & (ts < end)]

    def mean(self, entity, metric, start, end):
        """The mean of what was measured in [start, end)."""
        values = self.values(entity, metric, start, end)
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def increase(self, entity, metric, start, end):
        """How much a counter rose in [start, end), resets apart."""
        values = self.values(entity, metric, start, end)
        return float(np.maximum(np.diff(values[np.isfinite(values)]), 0).sum())


def record(scenario, *, severity=None, **options):
    """Simulate and read back; `severity` overrides how gross the faults are."""
    run = loadgen.simulate(loadgen.Spec(scenario=scenario, **options))
    if severity is not None:
        for fault in run.course.faults:
            fault.severity = severity
    return Recording(run)
