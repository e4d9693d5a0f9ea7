"""A real tree of switches and hosts: a fault at each level is named at that level."""

import numpy as np
import pytest

from monitor.config.settings import Settings
from monitor.correlate import CorrelateStage, Observation
from monitor.topology import Topology
from tests.correlate.fleet import BOOK, T0, TICK, silent
from tests.topology.lingjun import CSV, topology_lines

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not CSV.exists(), reason="the shared data are not here"),
]


@pytest.fixture(scope="module")
def graph():
    return Topology.parse(topology_lines(CSV.read_text())).at(T0)


def hosts_under(graph, switch):
    """Return the hosts that reach the network through a switch."""
    below, level = [], [graph.index[switch]]
    while level:
        level = [int(k) for i in level for k in graph.dependents(i)]
        below += level
    return sorted({graph.ids[i] for i in below if graph.kinds[i] == "node"})


def named(graph, signals):
    """Return the causes that page when these stand."""
    stage = CorrelateStage(BOOK, Settings())
    reporting = np.array([kind == "node" for kind in graph.kinds])
    last = {}
    for tick in range(40, 60, 4):
        observation = Observation(T0 + tick * TICK, tuple(signals), {}, reporting)
        for line in stage.step(observation, graph).incidents:
            last[line.id] = line
    return sorted(i.cause.entity for i in last.values() if i.pages and i.state != "merged")


def some(graph, kind, least, count=6):
    """Return some switches of a level that carry several hosts, spread over the list of all."""
    switches = [name for name in graph.ids if name.startswith("switch:") and level(name) == kind]
    fit = [name for name in switches if len(hosts_under(graph, name)) >= least]
    return fit[:: max(1, len(fit) // count)][:count]


def level(switch):
    """Return which level a switch is of, by its name: core G6, pod P10, ToR P10-S14."""
    name = switch.partition(":")[2]
    return "tor" if "-" in name else {"G": "core", "P": "pod"}[name[0]]


def test_a_lost_host_is_the_host(graph):
    """One silent host among its ToR's hosts is that host."""
    tor = some(graph, "tor", 4, 1)[0]
    host = hosts_under(graph, tor)[0]
    assert named(graph, silent([host], 0)) == [host]


def test_a_lost_tor_is_the_tor(graph):
    """All hosts of a ToR are the ToR, not its pod, for ToRs all over the tree."""
    for tor in some(graph, "tor", 4):
        assert named(graph, silent(hosts_under(graph, tor), 0)) == [tor]


def test_a_lost_pod_switch_is_the_pod_switch(graph):
    """All hosts of all ToRs of a pod are the pod switch."""
    for pod in some(graph, "pod", 10):
        assert named(graph, silent(hosts_under(graph, pod), 0)) == [pod]


def test_two_lost_tors_of_different_pods_are_two_incidents(graph):
    """Unrelated ToRs are not the core that they share."""
    tors = some(graph, "tor", 4, 40)
    first = tors[0]
    second = next(t for t in tors if t.partition("-")[0] != first.partition("-")[0])
    signals = silent(hosts_under(graph, first) + hosts_under(graph, second), 0)
    assert named(graph, signals) == sorted([first, second])


def test_everything_lost_is_the_core(graph):
    """All hosts beneath a core switch are that core switch."""
    core = some(graph, "core", 10, 1)[0]
    assert named(graph, silent(hosts_under(graph, core), 0)) == [core]
