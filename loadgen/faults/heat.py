"""Faults of cooling: a GPU, a node, a CDU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from loadgen.faults.base import Fault, apart, gpu_ids, job_side_effects, node_ids, port_ids, power_path
from loadgen.layout import cdu_id, node_id, pdu_id, rack_id
from loadgen.schedule import gpus_of

if TYPE_CHECKING:
    from loadgen.conditions import Conditions
    from loadgen.schedule import Scheduler

SEEN_AFTER_MS = 20 * 60_000
HOT_ENOUGH_SM = 0.6


def _hot_nodes(hall: Scheduler) -> list[int]:
    """Return the nodes that work hard enough for a fault of cooling to matter."""
    jobs = [job for job in hall.running_jobs() if job.style.sm >= HOT_ENOUGH_SM]
    return sorted(node for job in jobs or hall.running_jobs() for node in job.nodes)


def _strike_node(fault: Fault, hall: Scheduler) -> tuple[int, list[str]]:
    """Choose a hot node that keeps its job; return it and who notices when the job slows down."""
    layout = hall.layout
    node = apart(hall, _hot_nodes(hall), lambda node: [node])
    jobs = hall.jobs_on([node])
    hall.keep(jobs, fault.end + SEEN_AFTER_MS)
    return node, job_side_effects(layout, jobs)


@dataclass(slots=True)
class GpuFan(Fault):
    """One GPU's heat no longer gets away: die and memory warm up, at the end its clocks fall."""

    kind: ClassVar[str] = "gpu-fan"
    gpu: int = -1

    def strike(self, hall: Scheduler) -> None:
        """Strike one GPU of a hot node."""
        node, noticed = _strike_node(self, hall)
        self.gpu = node * 8 + int(self.rolls[0] * 8)
        self.blame(hall.layout.gpu_id(self.gpu), [], noticed)

    def press(self, ts: int, conditions: Conditions) -> None:
        """Raise the thermal resistance by 35 to 110 % over 3 to 20 minutes."""
        rise = self.between(0.35, 1.1) * self.level(ts, 3 + 17 * self.rolls[1])
        conditions.resistance[self.gpu] += rise


@dataclass(slots=True)
class NodeCooling(Fault):
    """All GPUs of one node warm up together."""

    kind: ClassVar[str] = "node-cooling"
    node: int = -1

    def strike(self, hall: Scheduler) -> None:
        """Strike a hot node."""
        self.node, noticed = _strike_node(self, hall)
        self.blame(node_id(self.node), gpu_ids(hall.layout, [self.node]), noticed)

    def press(self, ts: int, conditions: Conditions) -> None:
        """Raise the thermal resistance of all 8 GPUs by 30 to 90 % over 3 to 15 minutes."""
        rise = self.between(0.3, 0.9) * self.level(ts, 3 + 12 * self.rolls[1])
        conditions.resistance[gpus_of([self.node])] += rise


@dataclass(slots=True)
class CduFlow(Fault):
    """A CDU moves less coolant: its return warms and so do all GPUs of its racks."""

    kind: ClassVar[str] = "cdu-flow"
    cdu: int = -1

    def strike(self, hall: Scheduler) -> None:
        """Strike a CDU most of whose nodes compute; their jobs stay."""
        layout = hall.layout
        shares = [
            sum(hall.busy(int(node)) for node in layout.nodes_of_cdu(cdu)) / len(layout.nodes_of_cdu(cdu))
            for cdu in range(layout.cdus)
        ]
        busy = [cdu for cdu, share in enumerate(shares) if share >= min(0.6, max(shares))]
        self.cdu = apart(hall, busy, layout.nodes_of_cdu)
        nodes, racks = layout.nodes_of_cdu(self.cdu).tolist(), layout.racks_of_cdu(self.cdu).tolist()
        jobs = hall.jobs_on(nodes)
        hall.keep(jobs, self.end + SEEN_AFTER_MS)
        shown = [*map(rack_id, racks), *node_ids(nodes), *gpu_ids(layout, nodes)]
        pdus = [pdu_id(int(layout.rack_pdu[rack])) for rack in racks]
        side = [*power_path(layout, nodes), *pdus, *port_ids(layout, nodes), *job_side_effects(layout, jobs)]
        self.blame(cdu_id(self.cdu), shown, side)

    def press(self, ts: int, conditions: Conditions) -> None:
        """Lower the flow to 62 to 28 % over 1 to 10 minutes; the pump fails, or it works against a clog."""
        lost = (1 - self.between(0.62, 0.28)) * self.level(ts, 1 + 9 * self.rolls[1])
        conditions.flow[self.cdu] *= 1 - lost
        conditions.pump[self.cdu] *= 1 - lost if self.rolls[0] < 0.5 else 1 + 0.5 * lost
