"""The topology as NDJSON lines: the hall first, then the jobs with the times of each placement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from loadgen.layout import (
    GPUS_PER_NODE,
    SKUS,
    Layout,
    cdu_id,
    chiller_id,
    node_id,
    pdu_id,
    rack_id,
    row_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.course import Course
    from loadgen.jobs import Job

FACILITY = "facility:dc1"
FABRIC = "fabric:ib1"


def topology_lines(course: Course) -> Iterator[bytes]:
    """Yield the topology, one entity a line, parents and dependencies before who names them."""
    for entity in _entities(course):
        yield msgspec.json.encode(entity)


def _entities(course: Course) -> Iterator[dict[str, object]]:
    layout = course.layout
    yield from _building(layout)
    yield from _fabric(layout)
    yield from _nodes(layout)
    for job in course.jobs:
        yield from _job(course, job)


def _entity(
    name: str,
    owner: str,
    parent: str | None = None,
    depends_on: list[str] | None = None,
    **more: object,
) -> dict[str, object]:
    entity: dict[str, object] = {"id": name}
    if parent:
        entity["parent"] = parent
    if depends_on:
        entity["depends_on"] = depends_on
    return {**entity, "owner": owner, **more}


def _building(layout: Layout) -> Iterator[dict[str, object]]:
    yield _entity(FACILITY, "facilities", tags={"region": "us-east"})
    for chiller in range(layout.chillers):
        yield _entity(chiller_id(chiller), "facilities", FACILITY)
    for cdu, chiller in enumerate(layout.cdu_chiller.tolist()):
        yield _entity(cdu_id(cdu), "facilities", FACILITY, [chiller_id(chiller)])
    for row in range(int(layout.rack_row[-1]) + 1):
        yield _entity(row_id(row), "facilities", FACILITY)
    first_rack = {pdu: rack for rack, pdu in reversed(list(enumerate(layout.rack_pdu.tolist())))}
    for pdu in range(layout.pdus):
        yield _entity(pdu_id(pdu), "facilities", row_id(int(layout.rack_row[first_rack[pdu]])))
    for rack in range(layout.racks):
        feeds = [cdu_id(int(layout.rack_cdu[rack])), pdu_id(int(layout.rack_pdu[rack]))]
        yield _entity(rack_id(rack), "facilities", row_id(int(layout.rack_row[rack])), feeds)


def _fabric(layout: Layout) -> Iterator[dict[str, object]]:
    names = [f"switch:{layout.switch_name(switch)}" for switch in range(layout.switches)]
    yield _entity(FABRIC, "network")
    for switch in [*range(layout.leaves, layout.switches), *range(layout.leaves)]:
        above = names[layout.leaves :] if switch < layout.leaves else None
        yield _entity(names[switch], "network", FABRIC, above)
    for port, switch in enumerate(layout.port_switch.tolist()):
        yield _entity(layout.port_id(port), "network", names[switch])


def _nodes(layout: Layout) -> Iterator[dict[str, object]]:
    for node in range(layout.nodes):
        sku = SKUS[int(layout.node_sku[node])].name
        leaf = f"switch:{layout.switch_name(int(layout.node_leaf[node]))}"
        ways = [leaf, layout.port_id(int(layout.node_port[node]))]
        tags = {"sku": sku, "region": "us-east"}
        yield _entity(node_id(node), "platform", rack_id(int(layout.node_rack[node])), ways, tags=tags)
        for gpu in layout.gpus_of_node(node):
            yield _entity(layout.gpu_id(gpu), "platform", node_id(node), tags={"sku": sku})


def _job(course: Course, job: Job) -> Iterator[dict[str, object]]:
    """Yield a job and its ranks, once for each placement; an end that lies ahead of the run is not known."""
    layout = course.layout
    for nodes, start, end in job.placements:
        times = {"from": start} | ({"until": end} if end < course.spec.end else {})
        tags = {"environment": "training", "sku": SKUS[job.sku].name}
        yield _entity(job.id, "training", None, [node_id(node) for node in nodes], tags=tags, **times)
        for rank in range(len(nodes) * GPUS_PER_NODE):
            node, item = divmod(rank, GPUS_PER_NODE)
            gpu = layout.gpu_id(nodes[node] * GPUS_PER_NODE + item)
            yield _entity(f"rank:{job.name}/{rank}", "training", job.id, [gpu], **times)
