import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.topology import Topology
from monitor.topology.timeline import GRAPHS_KEPT, LINGER_MS


def topology_of(*rows):
    return Topology.parse([json.dumps(row) for row in rows])


def edges(graph):
    rows, columns = graph.depends.nonzero()
    return {(graph.ids[a], graph.ids[b]) for a, b in zip(rows, columns, strict=True)}


def test_a_job_moves_to_other_nodes():
    """An id with several lines is read by the line that holds at the instant; `until` is excluded."""
    topology = topology_of(
        {"id": "node:a"},
        {"id": "node:b", "until": 300},
        {"id": "job:j", "depends_on": ["node:a"], "from": 100, "until": 200},
        {"id": "job:j", "depends_on": ["node:b"], "from": 200, "owner": "x"},
    )
    assert [topology.at(ts).ids for ts in (99, 300)] == [("node:a", "node:b"), ("job:j", "node:a")]
    assert [edges(topology.at(ts)) for ts in (100, 199, 200, 299, 300)] == [
        {("job:j", "node:a")},
        {("job:j", "node:a")},
        {("job:j", "node:b")},
        {("job:j", "node:b")},
        set(),
    ]
    assert [topology.at(ts).owner(0) for ts in (199, 200)] == ["", "x"]
    epochs = {-(2**70): 0, 99: 0, 100: 1, 199: 1, 200: 2, 299: 2, 300: 3, 2**70: 3}
    assert {ts: topology.epoch(ts) for ts in epochs} == epochs


def test_a_parent_that_is_gone_leaves_its_children_at_the_top():
    """A child outlives its parent: it stands without one from then on."""
    topology = topology_of({"id": "rack:r", "until": 10}, {"id": "node:n", "parent": "rack:r"})
    assert topology.at(9).parent.tolist() == [1, -1]
    assert topology.at(10).parent.tolist() == [-1]


def test_one_object_serves_while_nothing_changes():
    """The graph is the same object within an epoch; old ones are let go, and come back equal."""
    topology = topology_of(*[{"id": f"node:{k}", "from": 10 * k} for k in range(GRAPHS_KEPT + 1)])
    first = topology.at(5)
    assert topology.at(9) is topology.at(0) is first
    for k in range(1, GRAPHS_KEPT):
        topology.at(10 * k)
    assert topology.at(0) is first
    topology.at(10 * GRAPHS_KEPT)
    assert topology.at(0) is first, "what was used last is kept"
    for k in range(1, GRAPHS_KEPT + 1):
        topology.at(10 * k)
    assert topology.at(0) is not first
    assert topology.at(0).ids == first.ids


def test_a_topology_that_never_changes_has_one_epoch():
    """Without times there is one graph for ever."""
    topology = topology_of({"id": "node:a"})
    assert topology.at(-(2**80)) is topology.at(2**80)
    assert topology.at(0).ids == ("node:a",)
    assert (topology.epoch(0), Topology.empty().epoch(0)) == (0, 0)


@st.composite
def moving_fleets(draw):
    """Racks, nodes in racks and jobs on nodes, each cut at random instants, some parts of life left out."""
    rows = []
    racks, nodes, jobs = ([f"{kind}:{k}" for k in range(3)] for kind in ("rack", "node", "job"))
    for name in [*racks, *nodes, *jobs]:
        cuts = draw(st.lists(st.integers(0, 9), unique=True, max_size=3).map(sorted))
        for begin, end in pairwise([None, *cuts, None]):
            if name in racks or draw(st.booleans()):
                rows.append({"id": name, "from": begin, "until": end})
    named = {row["id"] for row in rows}
    for row in rows:
        if row["id"] in nodes:
            row["parent"] = draw(st.sampled_from(racks))
        living = [name for name in nodes if name in named and meets(rows, name, row)]
        if row["id"] in jobs and living:
            row["depends_on"] = draw(st.lists(st.sampled_from(living), max_size=2))
    return draw(st.permutations(rows))


def alive(row, ts):
    return (row["from"] is None or row["from"] <= ts) and (row["until"] is None or ts < row["until"])


def meets(rows, name, row):
    return any(alive(row, ts) and alive(r, ts) for r in rows if r["id"] == name for ts in range(-1, 11))


@given(moving_fleets())
def test_every_instant_agrees_with_the_lines_that_hold_then(rows):
    """The graph of an instant holds exactly the living lines and the references between them."""
    topology = topology_of(*rows)
    for ts in range(-1, 11):
        graph, living = topology.at(ts), {row["id"]: row for row in rows if alive(row, ts)}
        assert graph.ids == tuple(sorted(living))
        wanted = {(a, b) for a, row in living.items() for b in row.get("depends_on", ()) if b in living}
        assert edges(graph) == wanted
        above = {name: graph.ids[p] for name, p in zip(graph.ids, graph.parent, strict=True) if p >= 0}
        assert above == {a: row["parent"] for a, row in living.items() if row.get("parent") in living}


def test_what_was_within_the_hour_is_still_there_for_explanations():
    """A moved job keeps its former nodes in `past`, an ended one fades; both are gone an hour later."""
    topology = topology_of(
        {"id": "node:a"},
        {"id": "node:b"},
        {"id": "job:j", "depends_on": ["node:a"], "from": 100, "until": 200},
        {"id": "job:j", "depends_on": ["node:b"], "from": 200},
        {"id": "job:k", "depends_on": ["node:a"], "from": 100, "until": 300},
    )
    assert topology.recent(150) is topology.at(150)
    graph = topology.recent(250)
    past = {(graph.ids[a], graph.ids[b]) for a, b in zip(*graph.bygone.past.nonzero(), strict=True)}
    assert edges(graph) == {("job:j", "node:b"), ("job:k", "node:a")}
    assert past == {("job:j", "node:a")}
    assert not graph.bygone.fading.any()
    graph = topology.recent(300 + LINGER_MS - 101)
    assert [graph.ids[i] for i in graph.bygone.fading.nonzero()[0]] == ["job:k"]
    assert edges(graph) == {("job:j", "node:b"), ("job:k", "node:a")}
    assert topology.recent(300 + LINGER_MS) is topology.at(300 + LINGER_MS)
