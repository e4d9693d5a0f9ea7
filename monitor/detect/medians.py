"""The medians of peers as series of their own: a fault that moves all peers is seen only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.baseline import Points
from monitor.kernels.coding import moved_to
from monitor.kernels.latch import Bad
from monitor.kernels.signals import Key
from monitor.kernels.watch import Rows, Watch
from monitor.kernels.watched import Chart, Name, Pages, watched_signals
from monitor.reasons import SignalReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.catalog import Metric
    from monitor.config.settings import Settings
    from monitor.detect.layout import Layout
    from monitor.kernels.baseline import Learning
    from monitor.kernels.signals import Standing
    from monitor.types import Floats, Panel, Signal

FAMILIES = frozenset({"heat", "air", "coolant_heat", "coolant_flow"})
"""Families whose common movement is a fault; jobs and links move together for good reasons."""


class Medians:
    """One lone row for each peer group, judged by contrast with its own recent past.

    Of GPUs the busy ones: idle ones still cool down from whatever they did last. They explain, and make
    tickets: where half of the peers are ill their median moves too, and those who are page for themselves.
    """

    def __init__(self, settings: Settings, learning: Learning) -> None:
        self._settings = settings
        self._watch = Watch(learning)
        self._names: list[tuple[str, ...]] = []
        self._rows: Rows | None = None

    def resize(self, layout: Layout) -> None:
        """Take the groups of a new layout; those of the same name go on."""
        moved = moved_to(self._names, layout.groups)
        pools = np.arange(len(layout.groups))
        self._watch.resize(moved, len(pools), moved, len(pools))
        self._names = layout.groups
        self._metrics: dict[tuple[str, str], Metric] = {(m.kind, m.name): m for m in layout.metric_of}
        metrics = [self._metrics[name[0], name[1]] for name in self._names]
        watched = np.array([m.family in FAMILIES for m in metrics], bool)
        self._rows = Rows(
            pool=pools,
            lone=np.ones(len(pools), bool),
            bad=Bad(
                watched & np.array([m.bad in {"up", "both"} for m in metrics], bool),
                watched & np.array([m.bad in {"down", "both"} for m in metrics], bool),
            ),
            floor=np.array([m.resolution or 0.0 for m in metrics]),
            raise_level=np.full(len(pools), self._settings.raise_nats),
            clear_level=self._settings.clear_nats,
        )

    def step(self, panel: Panel, medians: Floats, rhythm: Floats, standing: Standing) -> list[Signal]:
        """Take the medians of the busy (groups,) in a round, NaN where too few peers were there."""
        assert self._rows is not None
        n = len(medians)
        ts = np.where(np.isfinite(medians), panel.end, -1)
        seen = self._watch.step(self._rows, Points(panel.end, medians, ts, rhythm, np.ones(n, np.int64)))
        chart = Chart(medians, seen.offset, seen.sigma, self._settings.chart_sigmas)
        return watched_signals(self._watch.latch, np.arange(n), chart, Pages.never(n), self._name, standing)

    def _name(self, row: int) -> Name:
        kind, metric, _, *shared = self._names[row]
        return Name(
            Key(_entity(shared), metric, "peer_median"),
            self._metrics[kind, metric].family,
            lambda up: SignalReason.ABOVE_PAST if up else SignalReason.BELOW_PAST,
        )

    def to_state(self) -> dict[str, Any]:
        """Return a copy of the state."""
        return self._watch.to_state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave, for the layout it was taken with."""
        self._watch.restore(state)


def _entity(shared: list[str]) -> str:
    """Name what a group shares: a parent or the first of its jobs, else its SKU, else all of its kind.

    >>> _entity(["gpu", "H100"]), _entity(["port", "switch:leaf01"]), _entity(["rack"])
    ('sku:H100', 'switch:leaf01', 'fleet:rack')
    """
    entities = [word for word in shared[1:] if ":" in word]
    if entities:
        return entities[0].split(",")[0]
    words = [word for word in shared[1:] if word]
    return f"sku:{words[0]}" if words else f"fleet:{shared[0]}"
