"""Training jobs: what each is like, where it runs and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from loadgen.noise import Floats


class Style(NamedTuple):
    """How a job uses its GPUs.

    sm, dram, nvlink: ratios while it computes. network: bytes a second and node. fb: share of memory.
    step_s: seconds a step. checkpoint_every_s, checkpoint_s: its checkpoints. wait_every_s: mean time
    between waits for data. cycle: amplitude of its daily cycle. tokens: a step. loss: where it begins.
    """

    sm: float
    dram: float
    nvlink: float
    network: float
    fb: float
    step_s: float
    checkpoint_every_s: float
    checkpoint_s: float
    checkpoint_offset_s: float
    wait_every_s: float
    cycle: float
    tokens: float
    loss: float


def draw_style(rng: np.random.Generator, nodes: int) -> Style:
    """Draw what a job on `nodes` nodes is like: big ones train steadily, small ones follow the day."""
    big = nodes >= 4
    sm = rng.uniform(0.74, 0.93) if big else rng.uniform(0.35, 0.85)
    step_s = rng.uniform(4.0, 12.0) if big else rng.uniform(0.8, 4.0)
    checkpoint_every_s = rng.uniform(900.0, 2400.0)
    return Style(
        sm=sm,
        dram=sm * rng.uniform(0.48, 0.62),
        nvlink=rng.uniform(0.55, 0.85),
        network=rng.uniform(4e9, 18e9) * (1.0 if nodes > 1 else 0.02),
        fb=rng.uniform(0.72, 0.95),
        step_s=step_s,
        checkpoint_every_s=checkpoint_every_s,
        checkpoint_s=rng.uniform(15.0, 45.0),
        checkpoint_offset_s=rng.uniform(0.0, checkpoint_every_s),
        wait_every_s=rng.uniform(1800.0, 7200.0),
        cycle=rng.uniform(0.0, 0.02) if big else rng.uniform(0.05, 0.2),
        tokens=nodes * 8 * step_s * rng.uniform(6_000.0, 12_000.0),
        loss=rng.uniform(2.2, 6.0),
    )


class Placement(NamedTuple):
    """A job holds `nodes` from `start` until `end` (ms)."""

    nodes: tuple[int, ...]
    start: int
    end: int


@dataclass(slots=True)
class Job:
    """One training run. `downs` are the times [from, until) in which it does not compute."""

    index: int
    name: str
    sku: int
    style: Style
    start: int
    end: int
    queue_s: float
    nodes: tuple[int, ...]
    since: int
    placements: list[Placement] = field(default_factory=list)
    downs: list[tuple[int, int]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Return `job:train-001`."""
        return f"job:{self.name}"

    def move(self, ts: int, nodes: tuple[int, ...]) -> None:
        """Hold other nodes from `ts` on."""
        if nodes != self.nodes:
            self.placements.append(Placement(self.nodes, self.since, ts))
            self.nodes, self.since = nodes, ts

    def close(self, ts: int) -> None:
        """End the job."""
        self.end = ts
        self.placements.append(Placement(self.nodes, self.since, ts))

    def nodes_at(self, ts: int) -> tuple[int, ...]:
        """Return the nodes that the job holds at `ts`, none before and after its life."""
        return next((p.nodes for p in self.placements if p.start <= ts < p.end), ())


def style_columns(jobs: list[Job]) -> dict[str, Floats]:
    """Return each field of the jobs' styles as an array over jobs."""
    table = np.array([job.style for job in jobs], float).reshape(len(jobs), len(Style._fields))
    return {name: table[:, i] for i, name in enumerate(Style._fields)}
