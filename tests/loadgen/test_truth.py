"""truth.json says what happened (contract: Truth)."""

import itertools

import msgspec
import pytest

import loadgen
from loadgen.spec import EIGHT, HOUR_MS

MINUTE = 60_000


def test_a_fault_has_the_fields_of_the_contract(every_fault):
    """Id, scenario, entity, class, start, end, affected, pages; the entity is among the affected."""
    known = {msgspec.json.decode(line)["id"] for line in every_fault.run.topology_lines()}
    for fault in every_fault.truth["faults"]:
        assert fault.keys() >= {"id", "scenario", "entity", "class", "start", "end", "affected", "pages"}
        assert fault["class"] == "infrastructure"
        assert fault["pages"] is True
        assert fault["affected"][0] == fault["entity"]
        named = fault["affected"] + fault["related"]
        assert len(set(named)) == len(named)
        assert set(named) - {name for name in named if name.startswith("rank:")} <= known
    assert len({fault["id"] for fault in every_fault.truth["faults"]}) == len(EIGHT)


@pytest.mark.parametrize("seed", range(6))
def test_all_kinds_strike_apart_after_healthy_hours(seed):
    """Two days hold all eight kinds, 30 to 120 min long, 1 to 3 h apart, the first three hours healthy."""
    run = loadgen.simulate(loadgen.Spec(scenario="all", gpus=512, seed=seed, interval=60))
    faults = run.truth()["faults"]
    assert sorted(fault["scenario"] for fault in faults) == sorted(EIGHT)
    assert faults[0]["start"] >= run.spec.start + 3 * HOUR_MS
    assert faults[-1]["end"] <= run.spec.end - 20 * MINUTE
    for fault in faults:
        assert 30 * MINUTE <= fault["end"] - fault["start"] <= 120 * MINUTE
    for before, after in itertools.pairwise(faults):
        assert 60 * MINUTE <= after["start"] - before["end"] <= 180 * MINUTE


def test_clean_times_are_what_the_faults_leave(every_fault):
    """Clean times and faults with half an hour to settle cover the run and do not touch."""
    truth, spec = every_fault.truth, every_fault.run.spec
    busy = [[fault["start"], fault["end"] + 30 * MINUTE] for fault in truth["faults"]]
    covered = sorted(truth["clean"] + busy)
    assert covered[0][0] == spec.start
    assert covered[-1][1] >= spec.end
    assert all(before[1] == after[0] for before, after in itertools.pairwise(covered))


@pytest.mark.parametrize("seed", range(4))
def test_two_racks_are_unrelated_but_for_the_chiller(seed):
    """Both lose power within a minute; they share no CDU, PDU or leaf, and stand under one chiller."""
    run = loadgen.simulate(loadgen.Spec(scenario="two-racks", gpus=1000, seed=seed, interval=60))
    first, second = run.course.faults
    layout = run.course.layout
    assert abs(first.start - second.start) <= MINUTE
    assert layout.rack_cdu[first.rack] != layout.rack_cdu[second.rack]
    assert layout.rack_pdu[first.rack] != layout.rack_pdu[second.rack]
    leaves = [set(layout.node_leaf[layout.nodes_of_rack(fault.rack)].tolist()) for fault in (first, second)]
    assert not leaves[0] & leaves[1]
    chillers = {int(layout.cdu_chiller[layout.rack_cdu[fault.rack]]) for fault in (first, second)}
    assert len(chillers) == 1


@pytest.mark.parametrize("scenario", ["clean", "exporter-restart"])
def test_no_fault_no_truth(scenario):
    """Where nothing is wrong the whole run is clean."""
    run = loadgen.simulate(loadgen.Spec(scenario=scenario, gpus=64, hours=4, interval=60))
    assert run.truth()["faults"] == []
    assert run.truth()["clean"] == [[run.spec.start, run.spec.end]]


def test_too_short_or_too_small_is_refused():
    """A run that cannot hold its faults says how long it must be; a hall without a second node says so."""
    with pytest.raises(loadgen.SpecError, match=r"needs \d+\.\d hours or more"):
        loadgen.simulate(loadgen.Spec(scenario="all", hours=6))
    with pytest.raises(loadgen.SpecError, match="too small"):
        loadgen.simulate(loadgen.Spec(scenario="job-crash", gpus=8))
    with pytest.raises(loadgen.SpecError, match="multiple of 8"):
        loadgen.Spec(gpus=100)
    with pytest.raises(loadgen.SpecError, match="no scenario `nope`"):
        loadgen.Spec(scenario="nope")
