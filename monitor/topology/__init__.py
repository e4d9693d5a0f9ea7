"""What there is to watch: entities, containment and dependencies, over time (contract: Topology).

    topology = Topology.parse(lines)
    graph = topology.at(ts)
    graph.ids[graph.ancestors(graph.index["gpu:n0001/3"])[0]]  # 'node:n0001'

entity    one line, and what an id tells        graph     the topology at one instant
reading   lines to entities, problems told      timeline  the topology over time
checks    references, overlaps, circles         columns, forest  the arrays beneath
"""

from monitor.topology.entity import KINDS, Entity, canonical_kind, container_of, is_entity_id
from monitor.topology.graph import Graph
from monitor.topology.timeline import Topology

__all__ = ["KINDS", "Entity", "Graph", "Topology", "canonical_kind", "container_of", "is_entity_id"]
