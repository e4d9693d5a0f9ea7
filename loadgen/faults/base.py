"""What all faults share: their times, where they may strike, and who shows them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from loadgen.layout import cdu_id, chiller_id, node_id, pdu_id, rack_id
from loadgen.schedule import gpus_of
from loadgen.spec import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loadgen.conditions import Conditions
    from loadgen.jobs import Job
    from loadgen.layout import Layout
    from loadgen.noise import Bools
    from loadgen.schedule import Scheduler


@dataclass(slots=True)
class Fault(ABC):
    """A fault from `start` until `end` (ms).

    severity: 0 moderate to 1 gross. rolls: numbers between 0 and 1 for what else the kind leaves to chance.
    `affected` show the fault or are silent because of it; `related` show a side effect: the other members
    of a job that failed or slowed down, the power and heat that this changes.
    """

    kind: ClassVar[str]

    id: str
    start: int
    end: int
    severity: float
    rolls: tuple[float, ...]
    entity: str = ""
    affected: list[str] = field(default_factory=list)
    related: list[str] = field(default_factory=list)

    @abstractmethod
    def strike(self, hall: Scheduler) -> None:
        """Choose the victim among what is there now, let its jobs fail, and note who shows it."""

    def press(self, ts: int, conditions: Conditions) -> None:  # noqa: B027 - some only strike
        """Change the physics at `ts`, which lies within the fault."""

    def between(self, moderate: float, gross: float) -> float:
        """Return a parameter of the fault by its severity."""
        return moderate + (gross - moderate) * self.severity

    def level(self, ts: int, ramp_minutes: float) -> float:
        """Return how far the fault has developed, 0 to 1, over a linear ramp."""
        return min(1.0, (ts - self.start) / min(ramp_minutes * 60_000, 0.7 * (self.end - self.start)))

    def blame(self, entity: str, affected: Iterable[str], related: Iterable[str] = ()) -> None:
        """Note the entity at fault, who shows it and who shows its side effects."""
        self.entity = entity
        self.affected = list(dict.fromkeys([entity, *affected]))
        known = set(self.affected)
        self.related = [name for name in dict.fromkeys(related) if name not in known]


def apart(
    hall: Scheduler,
    victims: Sequence[int],
    nodes_of: Callable[[int], Iterable[int]],
    *,
    unrelated: bool = False,
) -> int:
    """Choose one of `victims`, as far from earlier faults as the hall allows.

    Best are nodes that share no CDU, PDU or leaf with those struck before, then no rack, then other nodes.
    Raises SpecError where there is no victim at all or, with `unrelated`, none of the best.
    """
    marks = np.array([hall.strikes[list(nodes_of(victim))].max() for victim in victims])
    if not len(marks) or (unrelated and marks.min() > 0):
        raise SpecError("the fleet is too small for this scenario: nothing in it can be struck")
    victim = int(hall.rng.choice(np.asarray(victims)[marks == marks.min()]))
    nodes = list(nodes_of(victim))
    layout = hall.layout
    hall.strikes[_neighbours(layout, nodes)] += 1
    hall.strikes[np.isin(layout.node_rack, layout.node_rack[nodes])] += 1
    hall.strikes[nodes] += 1
    return victim


def _neighbours(layout: Layout, nodes: list[int]) -> Bools:
    """Tell which nodes share a CDU, a PDU or a leaf switch with any of `nodes`."""
    near: Bools = np.isin(layout.node_leaf, layout.node_leaf[nodes])
    for feed in (layout.rack_cdu, layout.rack_pdu):
        feed_of_node = feed[layout.node_rack]
        near |= np.isin(feed_of_node, feed_of_node[nodes])
    return near


def node_ids(nodes: Iterable[int]) -> list[str]:
    """Return the ids of nodes."""
    return [node_id(node) for node in nodes]


def gpu_ids(layout: Layout, nodes: Iterable[int]) -> list[str]:
    """Return the ids of all GPUs of some nodes."""
    return [layout.gpu_id(gpu) for gpu in gpus_of(nodes)]


def port_ids(layout: Layout, nodes: Iterable[int]) -> list[str]:
    """Return the ids of the leaf ports of some nodes."""
    return [layout.port_id(int(layout.node_port[node])) for node in nodes]


def job_side_effects(layout: Layout, jobs: Iterable[Job]) -> list[str]:
    """Return who notices that jobs stop or slow down: members, ranks, traffic, power and heat."""
    jobs = list(jobs)
    nodes = sorted({node for job in jobs for node in job.nodes})
    ranks = [f"rank:{job.name}/{i}" for job in jobs for i in range(8 * len(job.nodes))]
    names = [*(job.id for job in jobs), *power_path(layout, nodes), *node_ids(nodes)]
    return [*names, *gpu_ids(layout, nodes), *ranks, *port_ids(layout, nodes), *uplink_ids(layout, nodes)]


def power_path(layout: Layout, nodes: Iterable[int]) -> list[str]:
    """Return the racks, PDUs, CDUs and chillers whose power or heat follows that of some nodes."""
    racks = sorted({int(layout.node_rack[node]) for node in nodes})
    pdus = sorted({int(layout.rack_pdu[rack]) for rack in racks})
    cdus = sorted({int(layout.rack_cdu[rack]) for rack in racks})
    chillers = sorted({int(layout.cdu_chiller[cdu]) for cdu in cdus})
    return [
        *map(chiller_id, chillers),
        *map(cdu_id, cdus),
        *map(pdu_id, pdus),
        *map(rack_id, racks),
    ]


def uplink_ids(layout: Layout, nodes: Iterable[int]) -> list[str]:
    """Return both ends of the cables between leaves of some nodes and the spines."""
    leaves = sorted({int(layout.node_leaf[node]) for node in nodes})
    ends = np.concatenate([layout.uplink_port[leaves].ravel(), layout.spine_port[leaves].ravel()])
    return [layout.port_id(int(port)) for port in ends]
