import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.topology import KINDS, Topology, canonical_kind, container_of
from monitor.topology.forest import grow


def graph_of(*rows):
    return Topology.parse([json.dumps(row) for row in rows]).at(0)


def names(graph, indices):
    return [graph.ids[k] for k in indices]


FLEET = (
    {"id": "rack:r1", "depends_on": ["cdu:c1"], "owner": "facilities", "tags": {"region": "east"}},
    {"id": "cdu:c1"},
    {"id": "node:n1", "parent": "rack:r1", "depends_on": ["switch:s1"], "tags": {"sku": "H100"}},
    {"id": "gpu:n1/0", "parent": "node:n1", "tags": {"sku": "H200", "region": ""}},
    {"id": "gpu:n1/1", "parent": "node:n1", "owner": "gpu-team"},
    {"id": "switch:s1"},
    {"id": "job:j", "depends_on": ["node:n1"]},
    {"id": "warehouse:w"},
    {"id": "service:dns"},
)


def test_the_graph_of_a_small_fleet():
    """Ids are sorted; containment and dependencies are as written; kinds are what the ids say."""
    graph = graph_of(*FLEET)
    at = graph.index
    assert graph.ids == tuple(sorted(row["id"] for row in FLEET))
    assert graph.kinds == ("cdu", "gpu", "gpu", "job", "node", "rack", "service", "switch", "warehouse")
    assert names(graph, graph.ancestors(at["gpu:n1/1"])) == ["node:n1", "rack:r1"]
    assert names(graph, graph.descendants(at["rack:r1"])) == ["gpu:n1/0", "gpu:n1/1", "node:n1"]
    assert names(graph, graph.children(at["rack:r1"])) == ["node:n1"]
    assert names(graph, graph.dependencies(at["node:n1"])) == ["switch:s1"]
    assert names(graph, graph.dependents(at["node:n1"])) == ["job:j"]
    assert graph.depends.dtype == bool
    assert graph.depends[at["rack:r1"], at["cdu:c1"]]
    assert graph.registered.all()
    assert len(graph) == 9


def test_an_unknown_kind_is_treated_as_a_service():
    """`of_kind` finds what the ids say, and unknown kinds among the services too."""
    graph = graph_of(*FLEET)
    assert names(graph, graph.of_kind("gpu")) == ["gpu:n1/0", "gpu:n1/1"]
    assert names(graph, graph.of_kind("service")) == ["service:dns", "warehouse:w"]
    assert names(graph, graph.of_kind("warehouse")) == ["warehouse:w"]
    assert names(graph, graph.of_kind("replica")) == []
    assert {canonical_kind(kind) for kind in KINDS} == KINDS
    assert canonical_kind("warehouse") == "service"


def test_owner_and_tags_come_from_the_nearest_that_has_them():
    """An owner or a tag is an entity's own, else its nearest ancestor's, else empty."""
    graph = graph_of(*FLEET)
    owners = {name: graph.owner(k) for name, k in graph.index.items()}
    assert {name: owner for name, owner in owners.items() if owner} == {
        "rack:r1": "facilities",
        "node:n1": "facilities",
        "gpu:n1/0": "facilities",
        "gpu:n1/1": "gpu-team",
    }
    assert graph.tags(graph.index["gpu:n1/0"]) == {"sku": "H200", "region": ""}
    sku = dict(zip(graph.ids, graph.tag_values("sku"), strict=True))
    assert (sku["gpu:n1/0"], sku["gpu:n1/1"], sku["rack:r1"]) == ("H200", "H100", "")
    assert names(graph, graph.tagged("region", "east")) == ["gpu:n1/0", "gpu:n1/1", "node:n1", "rack:r1"]


def test_an_empty_topology_has_an_empty_graph():
    """No entity is a topology too, and grows from frames."""
    graph = Topology.empty().at(0)
    assert (len(graph), graph.parent.shape, graph.depends.shape) == (0, (0,), (0, 0))
    assert graph.of_kind("gpu").tolist() == graph.of_kind("service").tolist() == []
    grown = graph.with_entities(["gpu:n1/0"])
    assert grown.ids == ("gpu:n1/0", "node:n1")
    assert grown.parent.tolist() == [1, -1]


def test_unregistered_entities_are_placed_by_their_names():
    """Items go into the source that their name tells, which is added too; the rest stands alone."""
    graph = graph_of(*FLEET)
    new = ["gpu:n1/7", "gpu:n2/0", "port:s1/1", "rank:j/3", "replica:m/eu/1", "rack:r2", "gpu:odd", "gpu:x/"]
    grown = graph.with_entities([*new, "gpu:n1/0"])
    above = {name: grown.ids[p] if p >= 0 else None for name, p in zip(grown.ids, grown.parent, strict=True)}
    assert {name: above[name] for name in new} == {
        "gpu:n1/7": "node:n1",
        "gpu:n2/0": "node:n2",
        "port:s1/1": "switch:s1",
        "rank:j/3": "job:j",
        "replica:m/eu/1": "model:m/eu",
        "rack:r2": None,
        "gpu:odd": None,
        "gpu:x/": None,
    }
    assert above["node:n2"] is None
    assert above["node:n1"] == "rack:r1"
    unregistered = [name for name, known in zip(grown.ids, grown.registered, strict=True) if not known]
    assert unregistered == sorted([*new, "node:n2", "model:m/eu"])
    assert names(grown, grown.dependents(grown.index["node:n1"])) == ["job:j"]
    assert grown.owner(grown.index["gpu:n1/7"]) == "facilities"
    assert graph.with_entities(["gpu:n1/0"]) is graph
    assert grown.with_entities(new) is grown


@st.composite
def forests(draw):
    """Parents of 0 to 40 nodes, in a random order of indices."""
    n = draw(st.integers(0, 40))
    older = [draw(st.integers(-1, k - 1)) for k in range(n)]
    place = draw(st.permutations(range(n)))
    parent = np.full(n, -1, np.int64)
    for k, above in enumerate(older):
        parent[place[k]] = place[above] if above >= 0 else -1
    return parent


def climb(parent, node):
    chain = []
    while (node := int(parent[node])) >= 0:
        chain.append(node)
    return chain


@given(forests())
def test_the_numbering_of_a_forest_agrees_with_climbing(parent):
    """Descendants are those whose climb passes the node; depth is the length of the climb."""
    forest = grow(parent)
    climbs = [climb(parent, node) for node in range(len(parent))]
    assert forest.depth.tolist() == [len(chain) for chain in climbs]
    assert sorted(forest.order.tolist()) == list(range(len(parent)))
    for node in range(len(parent)):
        below = [k for k, chain in enumerate(climbs) if node in chain]
        assert forest.below(node).tolist() == below
        assert forest.size[node] == len(below) + 1


@given(forests(), st.data())
def test_the_graph_agrees_with_the_lines(parent, data):
    """Ancestors, children, dependencies and dependents agree with what the lines say, one by one."""
    n = len(parent)
    edges = {(a, b) for a in range(1, n) for b in data.draw(st.sets(st.integers(0, a - 1), max_size=3))}
    ids = [f"service:{k:02d}" for k in range(n)]
    rows = [
        {"id": ids[k], "depends_on": [ids[b] for a, b in sorted(edges) if a == k]}
        | ({"parent": ids[parent[k]]} if parent[k] >= 0 else {})
        for k in range(n)
    ]
    graph = graph_of(*data.draw(st.permutations(rows)))
    for k in range(n):
        assert graph.ancestors(k).tolist() == climb(parent, k)
        assert graph.children(k).tolist() == [c for c in range(n) if parent[c] == k]
        assert graph.dependencies(k).tolist() == sorted(b for a, b in edges if a == k)
        assert graph.dependents(k).tolist() == sorted(a for a, b in edges if b == k)


@given(st.lists(st.sampled_from(["gpu:a/0", "gpu:a/1", "node:a", "rank:j/0", "job:j", "rack:r", "x:y"])))
def test_growing_step_by_step_equals_growing_at_once(added):
    """The order in which unregistered entities appear does not matter."""
    graph = graph_of(*FLEET)
    at_once = graph.with_entities(added)
    for name in added:
        graph = graph.with_entities([name])
    assert graph.ids == at_once.ids
    assert graph.parent.tolist() == at_once.parent.tolist()
    assert (graph.depends != at_once.depends).nnz == 0
    assert graph.registered.tolist() == at_once.registered.tolist()


@pytest.mark.parametrize(
    ("entity", "container"),
    [
        ("gpu:n1/0", "node:n1"),
        ("gpu:n1", None),
        ("gpu:n1/", None),
        ("replica:m/r", "model:m"),
        ("switch:a/b", None),
        ("gpu:/0", None),
    ],
)
def test_a_name_tells_its_container(entity, container):
    """Only items of a source tell their container."""
    assert container_of(entity) == container
