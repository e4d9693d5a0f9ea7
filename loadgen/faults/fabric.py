"""Faults of the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from loadgen.faults.base import Fault, apart, job_side_effects, node_ids, uplink_ids

if TYPE_CHECKING:
    from loadgen.conditions import Conditions
    from loadgen.noise import Ints
    from loadgen.schedule import Scheduler

SEEN_AFTER_MS = 20 * 60_000


@dataclass(slots=True)
class LeafSwitch(Fault):
    """A leaf switch fails slowly: most of its ports make errors and retries, links go down and come back."""

    kind: ClassVar[str] = "leaf-switch"
    nodes: list[int] = field(default_factory=list)
    ports: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    flappers: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def strike(self, hall: Scheduler) -> None:
        """Strike a leaf with as many computing nodes as any; their jobs stay."""
        layout = hall.layout
        counts = [sum(hall.busy(int(n)) for n in layout.nodes_of_leaf(leaf)) for leaf in range(layout.leaves)]
        busy = [leaf for leaf, count in enumerate(counts) if count >= 0.6 * max(counts)]
        leaf = apart(hall, busy, layout.nodes_of_leaf)
        self.nodes = layout.nodes_of_leaf(leaf).tolist()
        ports = layout.ports_of_switch(leaf)
        bad = max(2, round(self.between(0.7, 1.0) * len(ports)))
        self.ports = np.sort(hall.rng.choice(ports, bad, replace=False))
        self.flappers = hall.rng.choice(
            self.ports, max(1, round(self.between(0.15, 0.5) * bad)), replace=False
        )
        jobs = hall.jobs_on(self.nodes)
        hall.keep(jobs, self.end + SEEN_AFTER_MS)
        shown = [*(layout.port_id(int(port)) for port in ports), *node_ids(self.nodes)]
        slowed = [job for job in jobs if len(job.nodes) > 1]
        side = [*uplink_ids(layout, self.nodes), *job_side_effects(layout, slowed)]
        self.blame(f"switch:{layout.switch_name(leaf)}", [*shown, *(job.id for job in slowed)], side)

    def press(self, ts: int, conditions: Conditions) -> None:
        """Make errors, slow the nodes down, and let each flapping link be down now and then."""
        level = self.level(ts, 1 + 9 * self.rolls[1])
        conditions.symbol_rate[self.ports] += self.between(0.3, 8.0) * level
        conditions.net_speed[self.nodes] *= 1 - self.between(0.12, 0.45) * level
        conditions.link_down[self._down(ts)] = True

    def _down(self, ts: int) -> Ints:
        """Return the links that are down: each for 90 s of its own cycle of 8 to 20 minutes."""
        order = np.arange(len(self.flappers))
        cycle = (8 + 12 * ((self.rolls[2] + 0.618 * order) % 1)) * 60_000
        down: Ints = self.flappers[(ts - self.start + 0.37 * order * cycle) % cycle < 90_000]
        return down
