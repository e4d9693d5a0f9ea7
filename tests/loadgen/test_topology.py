"""The topology obeys the contract and holds all that frames speak of (contract: Topology)."""

import itertools
from collections import Counter, defaultdict

import msgspec
import pytest

import loadgen
from monitor.topology import Topology
from tests.loadgen.recording import entities_of


def entities(**options):
    run = loadgen.simulate(loadgen.Spec(**options))
    return [msgspec.json.decode(line) for line in run.topology_lines()]


def kind(entity_id):
    return entity_id.partition(":")[0]


@pytest.mark.parametrize(("scenario", "gpus"), [("mini", 64), ("clean", 8), ("all", 512), ("clean", 2048)])
def test_the_product_reads_it_without_a_problem(scenario, gpus):
    """No unknown parent, no cycle, no id whose times overlap."""
    spec = loadgen.Spec(scenario=scenario, gpus=gpus)
    Topology.parse(loadgen.simulate(spec).topology_lines())


def test_parents_and_dependencies_are_of_the_right_kind():
    """gpu - node - rack - row - facility, port - switch - fabric, and who depends on what."""
    parents, depends = defaultdict(set), defaultdict(set)
    for entity in entities(scenario="all", gpus=512):
        parents[kind(entity["id"])].add(kind(entity.get("parent", "")))
        depends[kind(entity["id"])] |= {kind(name) for name in entity.get("depends_on", [])}
    assert parents["gpu"] == {"node"}
    assert parents["node"] == {"rack"}
    assert parents["rack"] == {"row"}
    assert parents["row"] == {"facility"}
    assert parents["port"] == {"switch"}
    assert parents["switch"] == {"fabric"}
    assert parents["rank"] == {"job"}
    assert depends["node"] == {"switch", "port"}
    assert depends["rack"] == {"cdu", "pdu"}
    assert depends["cdu"] == {"chiller"}
    assert depends["switch"] == {"switch"}
    assert depends["job"] == {"node"}
    assert depends["rank"] == {"gpu"}


@pytest.mark.parametrize("gpus", [512, 10_000])
def test_the_hall_has_the_usual_sizes(gpus):
    """8 GPUs a node, 8 nodes a rack, 1 to 4 racks a CDU (2 to 4 where the row allows), 1 or 2 a PDU."""
    found = entities(scenario="clean", gpus=gpus, hours=1)
    children = Counter(entity.get("parent") for entity in found)
    racks = [entity for entity in found if kind(entity["id"]) == "rack"]
    assert {children[e["id"]] for e in found if kind(e["id"]) == "node"} == {8}
    assert max(children[rack["id"]] for rack in racks) == 8
    fed = Counter(name for rack in racks for name in rack["depends_on"])
    cdus = [count for name, count in fed.items() if kind(name) == "cdu"]
    assert 1 <= min(cdus) <= max(cdus) <= 4
    assert sum(count >= 2 for count in cdus) >= 0.9 * len(cdus)
    assert {count for name, count in fed.items() if kind(name) == "pdu"} <= {1, 2}


@pytest.mark.parametrize("run", ["healthy", "mini"])
def test_every_frame_is_about_an_entity_that_exists_then(run, request):
    """Items and sources are registered at the time of the frame, jobs and ranks while they live."""
    recording = request.getfixturevalue(run)
    times = defaultdict(list)
    for line in recording.run.topology_lines():
        entity = msgspec.json.decode(line)
        times[entity["id"]].append((entity.get("from", 0), entity.get("until", 1 << 60)))
    for frame in recording.frames:
        for entity in entities_of(frame):
            assert any(start <= frame.ts < end for start, end in times[entity]), (entity, frame.ts)


def test_a_job_that_moves_has_one_line_for_each_placement(mini):
    """After a node crash the job's nodes change from its restart on, without overlap."""
    crash = next(fault for fault in mini.truth["faults"] if fault["scenario"] == "node-crash")
    job = next(name for name in crash["affected"] if name.startswith("job:"))
    found = [msgspec.json.decode(line) for line in mini.run.topology_lines()]
    lives = [entity for entity in found if entity["id"] == job]
    assert len(lives) >= 2
    for before, after in itertools.pairwise(lives):
        assert before["until"] == after["from"]
        assert before["depends_on"] != after["depends_on"]
    assert any(crash["entity"] in life["depends_on"] for life in lives)
