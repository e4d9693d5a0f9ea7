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
    """The frames of a run from `since` on, in the order in which a recorder wrote them."""

    def __init__(self, run, since=0):
        self.run = run
        self.truth = run.truth()
        decode = msgspec.json.Decoder(Frame).decode
        skipped = max(0, (since - run.spec.start) // run.spec.interval_ms)
        late = (line for tick, lines in enumerate(run.ticks()) if tick >= skipped for line in lines)
        self.frames = [decode(line) for line in late]
        self._metrics = {}

    @cached_property
    def _by_metric(self):
        """Metric -> the frames that carry it."""
        found = defaultdict(list)
        for frame in self.frames:
            for metric in frame.metrics:
                found[metric].append(frame)
        return found

    def metric(self, metric):
        """Entity -> (ts, value) of a metric as arrays, NaN where null."""
        if metric not in self._metrics:
            points = defaultdict(list)
            for frame in self._by_metric.get(metric, ()):
                for entity, value in zip(entities_of(frame), frame.metrics[metric], strict=True):
                    points[entity].append((frame.ts, np.nan if value is None else value))
            arrays = {entity: np.array(pairs).T for entity, pairs in points.items()}
            self._metrics[metric] = {entity: (pair[0], pair[1]) for entity, pair in arrays.items()}
        return self._metrics[metric]

    def series(self, entity, metric):
        """The (ts, value) of one series."""
        return self.metric(metric).get(entity, (np.zeros(0), np.zeros(0)))

    def entities(self, metric, kind):
        """The entities of a kind that send a metric."""
        return sorted(entity for entity in self.metric(metric) if entity.startswith(f"{kind}:"))

    def values(self, entity, metric, start, end):
        """The values in [start, end)."""
        ts, values = self.series(entity, metric)
        return values[(ts >= start) & (ts < end)]

    def mean(self, entity, metric, start, end):
        """The mean of what was measured in [start, end)."""
        values = self.values(entity, metric, start, end)
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def increase(self, entity, metric, start, end):
        """How much a counter rose in [start, end), resets apart."""
        values = self.values(entity, metric, start, end)
        return float(np.maximum(np.diff(values[np.isfinite(values)]), 0).sum())


def record(scenario, *, severity=None, lead_minutes=None, **options):
    """Simulate and read back.

    `severity` overrides how gross the faults are; `lead_minutes` leaves out what comes earlier than that
    before the first fault.
    """
    run = loadgen.simulate(loadgen.Spec(scenario=scenario, **options))
    if severity is not None:
        for fault in run.course.faults:
            fault.severity = severity
    since = 0 if lead_minutes is None else run.course.faults[0].start - lead_minutes * 60_000
    return Recording(run, since)
