"""The parts of an explanation against plain versions of themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.correlate.cells import gather
from monitor.correlate.changes import ChangeLog
from monitor.correlate.evidence import RATE_FLOOR, weigh
from monitor.correlate.nulls import NullShares
from monitor.correlate.relations import Relations
from monitor.correlate.scoring import mean_evidence
from monitor.types import Change
from monitor.units import DAY, HOUR, MINUTE
from tests.correlate.fleet import BOOK, T0, World, gpus_of, graph_of, hall, hot, signal, silent

LINES = [
    *hall(nodes=8, jobs=[("a", (0, 1, 4))]),
    {"id": "rank:a/0", "parent": "job:a", "depends_on": ["gpu:n0000/0"]},
    {"id": "business:acme"},
    {"id": "portfolio:rec", "parent": "business:acme"},
    {"id": "service:serving", "depends_on": ["node:n0007"]},
    {"id": "model:m1", "parent": "portfolio:rec", "depends_on": ["service:serving"]},
    {"id": "model:m2", "parent": "portfolio:rec"},
    {"id": "replica:m1/us", "parent": "model:m1"},
]


def plain_mean_evidence(hot_count, quiet_count, chances, rate):
    clip = lambda nats: min(max(nats, -3.0), 7.0)  # noqa: E731
    terms = [
        hot_count * clip(math.log(q / rate)) + quiet_count * clip(math.log((1 - q) / (1 - rate)))
        for q in chances
    ]
    top = max(terms)
    return top + math.log(sum(math.exp(t - top) for t in terms) / len(terms))


@given(
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4),
    st.floats(RATE_FLOOR, 0.5),
)
def test_the_score_of_a_term_is_its_formula(hot_count, quiet_count, chances, rate):
    """ln of the mean over q, also where the exponentials would overflow."""
    found = mean_evidence(np.array([float(hot_count)]), np.array([float(quiet_count)]), tuple(chances), rate)
    assert found[0] == pytest.approx(
        plain_mean_evidence(hot_count, quiet_count, chances, rate), rel=1e-9, abs=1e-9
    )


def related(relation, entity, *kinds):
    graph = graph_of(LINES)
    relations = Relations(graph)
    cause = (entity.partition(":")[0],)
    row = int(np.searchsorted(relations.of(cause), graph.index[entity]))
    matrix = relations.matrix(relation, cause, kinds)
    found = [graph.ids[i] for i in matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]]
    pairs, _ = relations.causes_of(relation, cause, np.arange(len(graph)))
    whole = relations.matrix(relation, cause, ())
    assert sorted(pairs.tolist()) == sorted(whole.tocoo().row.tolist())
    return sorted(found)


@pytest.mark.parametrize(
    ("relation", "entity", "kinds", "expected"),
    [
        ("self", "node:n0001", (), ["node:n0001"]),
        ("children", "rack:r000", (), [f"node:n000{n}" for n in range(4)]),
        ("descendants", "rack:r001", ("gpu",), gpus_of(4, 5, 6, 7)),
        ("beneath", "cdu:c00", ("gpu",), gpus_of(*range(8))),
        ("beneath", "chiller:ch1", ("rack",), ["rack:r000", "rack:r001"]),
        ("beneath", "pdu:p001", ("job", "service"), ["job:a", "service:serving"]),
        ("beneath", "switch:spine01", ("node",), [f"node:n000{n}" for n in range(8)]),
        ("beneath", "node:n0001", ("rank",), []),
        ("members", "job:a", ("node",), ["node:n0000", "node:n0001", "node:n0004"]),
        (
            "members",
            "job:a",
            ("rank", "port"),
            ["port:leaf00/0", "port:leaf00/1", "port:leaf01/0", "rank:a/0"],
        ),
        ("members", "rack:r000", (), []),
        ("ports", "rack:r001", (), [f"port:leaf01/{p}" for p in range(4)]),
        ("ports", "job:a", (), ["port:leaf00/0", "port:leaf00/1", "port:leaf01/0"]),
        ("leaves", "rack:r001", (), ["switch:leaf01"]),
        ("leaves", "node:n0001", (), []),
        ("victims", "gpu:n0000/0", ("job", "rank"), ["job:a", "rank:a/0"]),
        ("victims", "gpu:n0000/1", ("job",), ["job:a"]),
        (
            "victims",
            "node:n0007",
            ("model", "replica", "portfolio", "business"),
            ["business:acme", "model:m1", "portfolio:rec", "replica:m1/us"],
        ),
        (
            "carriers",
            "gpu:n0000/1",
            ("rack", "cdu", "pdu", "chiller"),
            ["cdu:c00", "chiller:ch1", "pdu:p000", "rack:r000"],
        ),
        (
            "workload_carriers",
            "gpu:n0000/1",
            ("rack", "pdu"),
            ["pdu:p000", "pdu:p001", "rack:r000", "rack:r001"],
        ),
    ],
)
def test_the_relations_of_footprints(relation, entity, kinds, expected):
    """Each relation reaches what its description says, and no more."""
    assert related(relation, entity, *kinds) == sorted(expected)


def test_a_node_without_a_port_of_its_own_talks_through_its_leaf():
    """Where the topology names only the switch, all its ports may be the node's."""
    lines = [*hall(nodes=8, ports=False), {"id": "port:leaf01/9", "parent": "switch:leaf01"}]
    graph = graph_of(lines)
    relations = Relations(graph)
    matrix = relations.matrix("ports", ("node",), ())
    rows, columns = matrix.tocoo().row.tolist(), matrix.tocoo().col.tolist()
    names = {graph.ids[relations.of(("node",))[r]] for r in rows}
    assert names == {f"node:n000{n}" for n in range(4, 8)}
    assert {graph.ids[c] for c in columns} == {"port:leaf01/9"}


def weighed(signals, lines=None):
    world = World(lines)
    observation = world.observation(signals)
    cells = gather(signals, BOOK, world.graph.index)
    rates = np.full(len(BOOK.families), RATE_FLOOR)
    return weigh(cells, Relations(world.graph), BOOK, observation, rates), world.graph


def test_signals_of_one_family_and_sign_are_one_cell():
    """Two metrics of a family are one observation: the earliest onset, the greatest evidence."""
    signals = [
        signal("gpu:n0001/0", "heat", 5, metric="gpu_temp_celsius", direction="up", score=20.0, page=False),
        signal("gpu:n0001/0", "heat", 3, metric="hbm_temp_celsius", direction="up", score=40.0, page=True),
    ]
    evidence, _ = weighed(signals)
    assert len(evidence.cells) == 1
    assert (evidence.cells.since[0], evidence.cells.score[0], evidence.page[0]) == (
        signals[1].since,
        40.0,
        True,
    )


def test_states_are_hot_quiet_silent_or_unknown():
    """Quiet is judged and not hot; what is inside something silent is not quiet but unknown."""
    evidence, graph = weighed(hot(["gpu:n0001/0"], "heat", 0) + silent(["node:n0002"], 0))
    quiet = evidence.quiet(BOOK.families.index("heat"))
    at = graph.index
    assert [quiet[at[name]] for name in ("gpu:n0001/0", "gpu:n0001/1", "gpu:n0002/0", "cdu:c00")] == [
        0,
        1,
        0,
        0,
    ]
    assert evidence.quiet(BOOK.families.index("silence"))[at["gpu:n0002/0"]] == 0


def test_a_silence_inside_a_silence_is_the_same_observation():
    """The items of a silent source repeat it."""
    evidence, _ = weighed(silent(["node:n0002", "gpu:n0002/0", "gpu:n0002/1", "gpu:n0003/0"], 0))
    live = [evidence.cells.keys[k].entity for k in np.flatnonzero(evidence.live)]
    assert live == ["gpu:n0003/0", "node:n0002"]


def test_a_silent_meter_hides_nobody():
    """A rack's meter is one voice and its nodes are others: each is silent on its own account."""
    evidence, graph = weighed(silent(["rack:r000", "node:n0002"], 0))
    assert evidence.live.all()
    quiet = evidence.quiet(BOOK.families.index("silence"))
    assert [quiet[graph.index[name]] for name in ("node:n0001", "node:n0002", "gpu:n0002/0")] == [1, 0, 0]


def test_the_members_of_a_job_that_move_together_are_one_observation():
    """A quarter of the members makes a block; a single one stays for itself."""
    lines = hall(jobs=[("a", (0, 4, 8)), ("b", (1, 2))])
    evidence, graph = weighed(
        hot(gpus_of(0, 4), "activity", 0, "down") + hot(["gpu:n0001/0"], "activity", 0), lines
    )
    assert len(evidence.block) == 2
    assert sorted(evidence.block.tolist()) == [-1, graph.index["job:a"]]
    assert sorted(evidence.unit_size.tolist()) == [1, 16]


def test_a_change_speaks_for_its_target_and_fades_over_two_hours():
    """Four nats at the change, 1.5 two hours later, nothing for others or for what began before it."""
    fault = next(f for f in BOOK.faults if f.name == "service_other")
    log = ChangeLog([Change(0, "service:a", "deployment", "v1", "")])
    onsets = np.array([0, 2 * HOUR, 2 * HOUR, -HOUR])
    nats, possible = log.nats(fault, ["service:a", "service:a", "service:b", "service:a"], onsets, onsets)
    assert nats == pytest.approx([4.0, 4.0 / math.e, 0.0, 0.0])
    assert possible.all()


def test_a_kind_that_needs_a_change_exists_only_beside_one():
    """A run that was started or finished on purpose was announced within a quarter of an hour."""
    fault = next(f for f in BOOK.faults if f.needs_change)
    log = ChangeLog([Change(T0, "job:a", "config", "run", "run finished normally")])
    onsets = np.array([T0, T0 + 16 * MINUTE, T0])
    _, possible = log.nats(fault, ["job:a", "job:a", "job:b"], onsets, onsets)
    assert possible.tolist() == [True, False, False]


def test_changes_are_kept_for_fourteen_days_and_known_once():
    """A repeat adds nothing; an announced maintenance lasts until it is over."""
    old = Change(0, "node:a", "deployment", "v1", "")
    long = Change(0, "node:a", "maintenance", "", "", 20 * DAY)
    log = ChangeLog([old, long, old])
    assert len(log.to_state()) == 2
    log.forget(15 * DAY)
    assert log.maintained(["node:b", "node:a"], 15 * DAY) == long
    log.forget(40 * DAY)
    assert log.to_state() == []


def test_the_rate_of_false_ones_is_measured_on_what_no_cause_explains():
    """f starts at its floor and rises to the share of unexplained hot cells."""
    world = World()
    nulls = NullShares(BOOK.families)
    heat = BOOK.families.index("heat")
    assert nulls.rates()[heat] == RATE_FLOOR
    signals = hot(gpus_of(0), "heat", 0)
    cells = gather(signals, BOOK, world.graph.index)
    for _ in range(200):
        nulls.count(world.observation(signals), cells, np.arange(len(cells)))
    assert nulls.rates()[heat] == pytest.approx(8 / 256)
