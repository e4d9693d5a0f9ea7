"""Faults that take capacity at once: a node, a rack, a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from loadgen.conditions import GONE, NULL, XID_ONLY
from loadgen.faults.base import Fault, apart, gpu_ids, job_side_effects, node_ids, port_ids, power_path
from loadgen.layout import node_id, pdu_id, rack_id
from loadgen.schedule import Outage, XidEvent

if TYPE_CHECKING:
    from loadgen.conditions import Conditions
    from loadgen.schedule import Scheduler

MINUTE_MS = 60_000
FALLEN_OFF_THE_BUS = 79


def _recovery(fault: Fault) -> int:
    """Return when the jobs that failed restart: 4 to 12 minutes later."""
    return fault.start + round((4 + 8 * fault.rolls[1]) * MINUTE_MS)


def _training_nodes(hall: Scheduler) -> list[int]:
    """Return the nodes of jobs over several nodes, of any job where there is none."""
    jobs = hall.running_jobs()
    several = [job for job in jobs if len(job.nodes) > 1]
    return sorted(node for job in several or jobs for node in job.nodes)


@dataclass(slots=True)
class NodeCrash(Fault):
    """A node falls silent; its job fails and restarts on a spare."""

    kind: ClassVar[str] = "node-crash"

    def strike(self, hall: Scheduler) -> None:
        """Strike a node of a training job."""
        layout = hall.layout
        node = apart(hall, _training_nodes(hall), lambda node: [node])
        jobs = hall.jobs_on([node])
        shown = [*gpu_ids(layout, [node]), *port_ids(layout, [node]), *(job.id for job in jobs)]
        side = [*power_path(layout, [node]), *job_side_effects(layout, jobs)]
        self.blame(node_id(node), shown, side)
        hall.silence([node], self.end)
        for job in jobs:
            hall.fail(job, _recovery(self))


@dataclass(slots=True)
class RackPower(Fault):
    """A rack loses its power: all its nodes are silent, its jobs fail, its PDU carries less.

    chiller: where the rack must stand, -1 for anywhere.
    """

    kind: ClassVar[str] = "rack-power"
    rack: int = -1
    chiller: int = -1

    def strike(self, hall: Scheduler) -> None:
        """Strike a rack in which something computes."""
        layout = hall.layout
        racks = [r for r in range(layout.racks) if any(hall.busy(int(n)) for n in layout.nodes_of_rack(r))]
        if self.chiller >= 0:
            racks = [r for r in racks if layout.cdu_chiller[layout.rack_cdu[r]] == self.chiller]
        self.rack = apart(hall, racks, layout.nodes_of_rack, unrelated=self.chiller >= 0)
        nodes = layout.nodes_of_rack(self.rack).tolist()
        jobs = hall.jobs_on(nodes)
        shown = [pdu_id(int(layout.rack_pdu[self.rack])), *node_ids(nodes), *gpu_ids(layout, nodes)]
        side = [*power_path(layout, nodes), *job_side_effects(layout, jobs)]
        self.blame(rack_id(self.rack), [*shown, *port_ids(layout, nodes), *(job.id for job in jobs)], side)
        hall.silence(nodes, self.end)
        for job in jobs:
            hall.fail(job, _recovery(self))

    def press(self, ts: int, conditions: Conditions) -> None:  # noqa: ARG002 - power is gone at once
        """Cut the power."""
        conditions.powered[self.rack] = False


@dataclass(slots=True)
class GpuLost(Fault):
    """A GPU falls off the bus: XID 79, then its values are null or its item is gone."""

    kind: ClassVar[str] = "gpu-lost"
    gpu: int = -1
    named_ms: float = 0.0

    def strike(self, hall: Scheduler) -> None:
        """Strike a GPU of a training job; its node is repaired and rebooted at the end."""
        layout = hall.layout
        node = apart(hall, _training_nodes(hall), lambda node: [node])
        self.gpu = node * 8 + int(self.rolls[0] * 8)
        self.named_ms = max((1 + 2 * self.rolls[3]) * MINUTE_MS, hall.spec.interval_ms)
        jobs = hall.jobs_on([node])
        self.blame(layout.gpu_id(self.gpu), [job.id for job in jobs], job_side_effects(layout, jobs))
        hall.xids.append(XidEvent(self.start, self.gpu, FALLEN_OFF_THE_BUS, self.end))
        hall.take_out([node], self.end + 5 * MINUTE_MS)
        hall.outages.append(Outage(self.end - round(3 * MINUTE_MS), self.end, node))
        for job in jobs:
            hall.fail(job, _recovery(self))

    def press(self, ts: int, conditions: Conditions) -> None:
        """Make everything but the XID null for one to three minutes, then null throughout or gone."""
        named = ts - self.start < self.named_ms
        after = NULL if self.rolls[2] < 0.5 else GONE
        conditions.lost[self.gpu] = XID_ONLY if named else after
