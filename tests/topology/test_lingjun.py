from collections import Counter

import pytest

from monitor.topology import Topology
from tests.topology.lingjun import CSV, topology_lines

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not CSV.exists(), reason=f"the shared data is not here: {CSV.name} of lingjun_topo"),
]


@pytest.fixture(scope="module")
def graph():
    return Topology.parse(topology_lines(CSV.read_text())).at(0)


def footprint(graph, switch):
    """Everything that depends on a switch, at any distance."""
    found, queue = set(), [graph.index[switch]]
    for node in queue:
        new = sorted(set(graph.dependents(node).tolist()) - found)
        found.update(new)
        queue.extend(new)
    return Counter(graph.kinds[k] for k in sorted(found))


def test_the_real_tree_loads(graph):
    """847 hosts, 119 ToRs (48 names, told apart by their pod), 3 pod switches, one core."""
    assert Counter(graph.kinds) == {"node": 847, "switch": 119 + 3 + 1, "fabric": 1}
    assert len(graph.children(graph.index["fabric:lingjun"])) == 123


def test_every_host_hangs_on_the_core_through_one_switch_a_level(graph):
    """Each host depends on one ToR, each ToR on one pod switch, each pod switch on the core."""
    for host in graph.of_kind("node").tolist():
        path = [host]
        while (above := graph.dependencies(path[-1])).size:
            (only,) = above.tolist()
            path.append(only)
        assert len(path) == 4
        assert graph.ids[path[-1]] == "switch:G6"


def test_the_footprint_of_a_switch_grows_with_its_level(graph):
    """The core carries every host, and the ToRs of a pod together carry what the pod carries."""
    assert footprint(graph, "switch:G6") == {"switch": 122, "node": 847}
    pods = [footprint(graph, f"switch:{name}") for name in ("P8", "P10", "P12")]
    assert sum(pods, Counter()) == {"switch": 119, "node": 847}
