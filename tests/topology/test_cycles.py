import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import TopologyError
from monitor.topology import Topology


def refused(rows):
    """The circles told, as lists of ids, or an empty list where the rows are accepted."""
    try:
        Topology.parse([json.dumps(row) for row in rows])
    except TopologyError as error:
        return [text.split(" goes in a circle: ")[1].split(" -> ") for text in error.problems]
    return []


@pytest.mark.parametrize("field", ["parent", "depends_on"])
def test_a_circle_is_told_once_at_its_first_line(field):
    """Circles of containment and of dependency are refused, each once, with a way round."""

    def link(to):
        return to if field == "parent" else [to]

    rows = [
        {"id": "switch:z"},
        {"id": "switch:b", field: link("switch:c")},
        {"id": "switch:c", field: link("switch:a")},
        {"id": "switch:a", field: link("switch:b")},
        {"id": "switch:s", field: link("switch:s")},
        {"id": "switch:out", field: link("switch:a")},
    ]
    with pytest.raises(TopologyError) as caught:
        Topology.parse([json.dumps(row) for row in rows])
    assert caught.value.problems == [
        f"line 2: `{field}` goes in a circle: switch:a -> switch:b -> switch:c -> switch:a",
        f"line 5: `{field}` goes in a circle: switch:s -> switch:s",
    ]


def test_containment_and_dependency_may_cross():
    """Containment and dependency are judged apart: a node may depend on what it contains."""
    node, port = {"id": "node:n", "depends_on": ["port:l/1"]}, {"id": "port:l/1", "parent": "node:n"}
    assert refused([node, port]) == []


def test_what_turns_round_over_time_is_no_circle():
    """A contains B and later B contains A: no instant has a circle."""
    turned = [
        {"id": "row:a", "until": 10},
        {"id": "row:a", "from": 10, "parent": "row:b"},
        {"id": "row:b", "parent": "row:a", "until": 10},
        {"id": "row:b", "from": 10},
    ]
    assert refused(turned) == []
    turned[3]["from"] = 9
    turned[2]["until"] = 9
    turned[1]["from"] = turned[0]["until"] = 9
    assert refused(turned) == []
    turned[1]["from"] = turned[0]["until"] = 8
    assert refused(turned) == [["row:a", "row:b", "row:a"]]


def alive(row, ts):
    return (row["from"] is None or row["from"] <= ts) and (row["until"] is None or ts < row["until"])


def has_circle(edges):
    """Repeatedly drop nodes with nothing ahead of them; a circle is what cannot be dropped."""
    while edges:
        ahead = {a for a, _ in edges}
        kept = {(a, b) for a, b in edges if b in ahead}
        if kept == edges:
            return True
        edges = kept
    return False


@st.composite
def moving_rows(draw):
    names = [f"service:{k}" for k in range(draw(st.integers(1, 5)))]
    rows = []
    for name in names:
        cuts = draw(st.lists(st.integers(0, 4), unique=True, max_size=2).map(sorted))
        for start, stop in pairwise([None, *cuts, None]):
            targets = draw(st.lists(st.sampled_from(names), max_size=2))
            rows.append({"id": name, "depends_on": targets, "from": start, "until": stop})
    return rows


@given(moving_rows())
def test_circles_over_time_agree_with_brute_force(rows):
    """A topology is refused exactly when some instant has a circle, and what is told is one."""
    graphs = [{(r["id"], to) for r in rows if alive(r, ts) for to in r["depends_on"]} for ts in range(-1, 5)]
    told = refused(rows)
    assert bool(told) == any(map(has_circle, graphs))
    for circle in told:
        assert circle[0] == circle[-1]
        assert any(set(pairwise(circle)) <= edges for edges in graphs)
