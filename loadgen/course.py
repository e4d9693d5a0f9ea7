"""The whole course of a run, planned before any telemetry is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from loadgen.faults import plan_faults
from loadgen.faults.loss import RackPower
from loadgen.layout import Layout, build_layout
from loadgen.nuisance import Maintenance, plan_maintenance, plan_program_errors, plan_restarts
from loadgen.schedule import Outage, Scheduler, XidEvent

if TYPE_CHECKING:
    from loadgen.faults import Fault
    from loadgen.jobs import Job
    from loadgen.spec import Spec


class Turn(NamedTuple):
    """From `ts` on, job `job` computes (`up`) on `nodes`, or it does not and they are idle."""

    ts: int
    up: bool
    job: int
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """Everything that will happen, in order of time.

    turns: when jobs begin and cease to compute. outages: nodes that send nothing because they are down,
    restarts: nodes whose exporter restarts.
    """

    spec: Spec
    layout: Layout
    jobs: list[Job]
    turns: list[Turn]
    faults: list[Fault]
    xids: list[XidEvent]
    outages: list[Outage]
    restarts: list[Outage]
    maintenance: list[Maintenance]


def plan(spec: Spec) -> Course:
    """Plan a run: the hall, its jobs, the faults with their victims, the nuisances."""
    layout = build_layout(spec)
    hall = Scheduler(spec, layout)
    faults = plan_faults(spec)
    if spec.plot.together:
        _under_one_chiller(faults, hall)
    for fault in faults:
        hall.at(fault.start, partial(fault.strike, hall))
    maintenance: list[Maintenance] = []
    plan_maintenance(hall, maintenance)
    plan_program_errors(hall)
    hall.run()
    return Course(
        spec=spec,
        layout=layout,
        jobs=hall.jobs,
        turns=_turns(hall.jobs),
        faults=faults,
        xids=sorted(hall.xids),
        outages=sorted(hall.outages),
        restarts=sorted(plan_restarts(spec, layout.nodes)),
        maintenance=maintenance,
    )


def _under_one_chiller(faults: list[Fault], hall: Scheduler) -> None:
    chiller = int(hall.rng.integers(hall.layout.chillers))
    for fault in faults:
        if isinstance(fault, RackPower):
            fault.chiller = chiller


def _turns(jobs: list[Job]) -> list[Turn]:
    """List when each job computes: its placements without its downs."""
    turns = []
    for job in jobs:
        for nodes, start, end in job.placements:
            at = start
            for down, up in [*job.downs, (end, end)]:
                if down > at:
                    turns.append(Turn(at, True, job.index, nodes))
                    turns.append(Turn(min(down, end), False, job.index, nodes))
                at = max(at, up)
                if at >= end:
                    break
    return sorted(turns, key=lambda turn: (turn.ts, turn.up, turn.job))
