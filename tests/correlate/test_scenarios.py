"""Faults on a timeline: the right scale is named once, and not before its time."""

import pytest

from monitor.correlate.decide import LONE_SILENCE_MS
from monitor.types import Change
from tests.correlate.fleet import T0, TICK, World, gpus_of, hall, hot, signal, silent

JOBS = (("a", (1, 2, 6, 9, 13, 14, 20)), ("b", (3, 4, 5)))
MEMBERS = gpus_of(1, 2, 6, 9, 13, 14, 20)


def one(world, entity, reason):
    """Assert that exactly one incident paged, once, with this cause."""
    assert [(i.cause.entity, i.cause.reason, i.pages) for i in world.paged()] == [(entity, reason, 1)]
    return world.paged()[0]


def test_a_hot_gpu_is_its_fan():
    """One hot GPU is one page on that GPU; nothing is said before it is hot."""
    world = World()
    assert world.step(ticks=3) == []
    world.step(hot(["gpu:n0003/4"], "heat", 3), ticks=3)
    incident = one(world, "gpu:n0003/4", "gpu_overheating")
    assert incident.affected.entities == ("gpu:n0003/4",)
    assert (incident.opened_at, incident.detected_at) == (T0 + 3 * TICK, T0 + 4 * TICK)
    assert incident.owner == "platform"
    assert incident.scope == "gpu"


def test_all_gpus_of_a_node_are_its_cooling():
    """Eight hot GPUs in one node are the node's cooling, not eight fans."""
    world = World()
    world.step(hot(gpus_of(3), "heat", 0), ticks=3)
    incident = one(world, "node:n0003", "node_overheating")
    assert incident.affected.by_kind == {"node": 1, "gpu": 8}


def test_two_warm_neighbours_in_a_node_are_no_node_cooling():
    """A hot GPU that warms the next one a little is still one GPU."""
    world = World()
    signals = hot(["gpu:n0003/4"], "heat", 0) + hot(["gpu:n0003/5"], "heat", 0, page=False)
    world.step(signals, ticks=3)
    one(world, "gpu:n0003/4", "gpu_overheating")


def test_the_racks_of_a_cdu_are_the_cdu():
    """Racks that share a CDU and are hot together are that CDU; throttling beneath is a side effect."""
    world = World(hall(jobs=JOBS))
    gpus = gpus_of(*range(8))
    signals = hot(gpus, "heat", 0) + hot(gpus, "throttle", 1) + hot(gpus, "power", 1, "down")
    signals += hot(["job:a"], "progress", 2)
    world.step(signals, ticks=4)
    incident = one(world, "cdu:c00", "coolant_flow_low")
    assert incident.severity == "critical"
    assert incident.affected.by_kind == {"cdu": 1, "rack": 2, "job": 1, "node": 8, "gpu": 64}


def test_most_of_a_cdu_is_still_the_cdu_and_the_quiet_ones_are_told():
    """Quiet children count against a cause, and the page says how many and where they are."""
    world = World()
    world.step(hot(gpus_of(*range(7)), "heat", 0), ticks=3)
    incident = one(world, "cdu:c00", "coolant_flow_low")
    assert (
        "56 of 64 GPUs beneath cdu:c00 heat up; 8 quiet, 8 of them in node:n0007"
        in incident.cause.explanation
    )


def test_where_the_quiet_ones_are_is_told_only_where_it_is_news():
    """The quiet GPUs of a node are in that node."""
    world = World()
    world.step(hot(gpus_of(3)[:7], "heat", 0), ticks=3)
    incident = one(world, "node:n0003", "node_overheating")
    assert incident.cause.explanation.endswith("7 of 8 GPUs in node:n0003 heat up; 1 quiet.")


def test_one_rack_of_a_cdu_is_the_rack():
    """Half of a CDU, all of it in one rack, is that rack."""
    world = World()
    world.step(hot(gpus_of(*range(4)), "heat", 0), ticks=3)
    one(world, "rack:r000", "rack_overheating")


def test_where_each_rack_has_its_own_cdu_a_whole_rack_is_that_cdu():
    """With one rack on a CDU the two cannot be told apart by their GPUs, and the CDU is named."""
    world = World(hall(racks_per_cdu=1))
    world.step(hot(gpus_of(*range(4)), "heat", 0), ticks=3)
    one(world, "cdu:c00", "coolant_flow_low")


def test_two_racks_of_two_cdus_are_two_incidents():
    """Two unrelated racks are not the chiller that they share."""
    world = World()
    world.step(hot(gpus_of(0, 1, 2, 3, 20, 21, 22, 23), "heat", 0), ticks=3)
    assert world.causes() == ["rack:r000", "rack:r005"]


def test_all_cdus_are_the_chiller():
    """Several CDUs together are the chiller."""
    world = World()
    cdus = [f"cdu:c{c:02d}" for c in range(4)]
    world.step(hot(gpus_of(*range(32)), "heat", 0) + hot(cdus, "coolant_heat", 0), ticks=3)
    one(world, "chiller:ch1", "chiller_failing")


def test_a_fall_of_flow_alone_is_the_cdu_before_anything_is_hot():
    """A CDU that loses flow is told while its GPUs are still cool."""
    world = World()
    world.step(hot(["cdu:c01"], "coolant_flow", 0, "down"), ticks=2)
    one(world, "cdu:c01", "coolant_flow_low")
    world.step(hot(["cdu:c01"], "coolant_flow", 0, "down") + hot(gpus_of(*range(8, 16)), "heat", 2), ticks=40)
    assert world.causes() == ["cdu:c01"]


def test_a_mean_that_moves_though_no_member_does_names_its_own_level():
    """A chiller that warms each GPU by less than its own limit is plain at its own level."""
    world = World()
    group = {"detector": "group_mean", "value": 61.0, "expected": 60.0}
    world.step(
        hot(["cdu:c00"], "heat", 0, **group) + hot(["row:row1"], "heat", 0, **{**group, "value": 60.2})
    )
    one(world, "cdu:c00", "coolant_flow_low")


def test_a_mean_that_one_hot_member_accounts_for_is_no_evidence_of_its_own():
    """The mean of a node with one very hot GPU is that GPU."""
    world = World()
    mean = signal("node:n0003", "heat", 0, direction="up", detector="group_mean", value=62.5, expected=60.0)
    gpu = signal("gpu:n0003/4", "heat", 0, direction="up", value=80.0, expected=60.0, page=False)
    world.step([mean, gpu], ticks=3)
    one(world, "gpu:n0003/4", "gpu_overheating")


def test_a_lone_silence_is_doubted_for_a_while_and_takes_its_gpus_along():
    """A node that is gone is one incident with its GPUs; the short silence of a lone source is none yet."""
    world = World()
    world.tick = 3
    assert world.step(silent(["node:n0003"], 0), ticks=LONE_SILENCE_MS // TICK - 5) == []
    made = world.step(silent(["node:n0003"], 0), ticks=5)
    assert [line.transition for line in made] == ["opened", "paged"]
    incident = one(world, "node:n0003", "node_lost")
    assert incident.affected.by_kind == {"node": 1, "gpu": 8}
    assert incident.opened_at == T0


def test_a_crashed_node_takes_its_job_its_port_and_the_jobs_other_members_along():
    """A failed job, its idle members and the dead node's link are side effects of the node."""
    world = World(hall(jobs=JOBS))
    others = gpus_of(1, 6, 9, 13, 14, 20)
    signals = silent(["node:n0002"], 0) + hot(others, "activity", 0, "down") + hot(others, "power", 0, "down")
    signals += hot(others, "application", 0, "none", reason="xid_45")
    signals += (
        hot(["job:a"], "progress", 0) + hot(["job:a"], "failures", 0) + hot(["port:leaf00/2"], "fabric", 0)
    )
    signals += hot(["pdu:p001"], "facility_power", 0, "down")
    world.step(signals, ticks=5)
    incident = one(world, "node:n0002", "node_lost")
    assert {"job:a", "port:leaf00/2"} <= set(incident.affected.entities)
    assert "gpu:n0020/0" not in incident.affected.entities


def test_rack_power_is_one_incident_with_its_gpus_in_no_data():
    """All nodes of a rack silent is the rack's power; two such racks are two, not the row."""
    world = World()
    first, second = [f"node:n{n:04d}" for n in range(4)], [f"node:n{n:04d}" for n in range(16, 20)]
    world.step(
        silent(first + second, 0) + hot(["rack:r000", "rack:r004"], "facility_power", 0, "down"), ticks=4
    )
    assert world.causes() == ["rack:r000", "rack:r004"]
    assert [i.affected.by_kind for i in world.paged()] == [{"rack": 1, "node": 4, "gpu": 32}] * 2


def test_a_rack_that_is_dark_is_neither_its_switch_nor_the_pdu_that_feeds_it_alone():
    """Nodes, ports and meters of a rack go at once: its leaf serves nobody else, its PDU feeds nobody else."""
    world = World()
    ports = hot([f"port:leaf00/{p}" for p in range(4)], "fabric", 0, "down")
    meters = hot(["rack:r000", "pdu:p000"], "facility_power", 0, "down", reason="power_lost", page=False)
    world.step(ports + meters, ticks=2)
    world.step(silent([f"node:n{n:04d}" for n in range(4)], 0) + ports + meters, ticks=6)
    incident = one(world, "rack:r000", "rack_power_lost")
    assert "rack:r000: power lost" in incident.cause.explanation
    assert "is normal" not in incident.cause.explanation


def test_a_rack_that_takes_its_meter_and_its_leaf_along_is_the_rack():
    """Nodes, meter and leaf fall silent at once, and the PDU that feeds only this rack gives nothing."""
    world = World()
    gone = silent([f"node:n{n:04d}" for n in range(4)], 0) + silent(["switch:leaf00"], 0)
    gone += silent(["rack:r000"], 0, page=False, hard=False)
    dark = hot(["pdu:p000"], "facility_power", 0, "down", reason="power_lost", page=False)
    world.step(gone + dark, ticks=15)
    one(world, "rack:r000", "rack_power_lost")


def test_nodes_that_fall_silent_one_by_one_are_one_page_on_the_rack():
    """Silences that arrive over several ticks keep one id and call once."""
    world = World()
    for count in (1, 3, 4):
        power = hot(["rack:r000"], "facility_power", 0, "down") if count > 1 else []
        world.step(silent([f"node:n{n:04d}" for n in range(count)], 0) + power)
    world.step(silent([f"node:n{n:04d}" for n in range(4)], 0) + power, ticks=3)
    incident = one(world, "rack:r000", "rack_power_lost")
    assert incident.id == world.lines[0].id
    assert sum(line.transition == "paged" for line in world.lines) == 1


def test_a_rack_that_draws_power_has_not_lost_it():
    """Silent nodes under a leaf whose ports fail, in a rack that draws power, are the leaf."""
    world = World()
    ports = hot([f"port:leaf00/{p}" for p in range(4)], "fabric", 0)
    world.step(silent([f"node:n{n:04d}" for n in range(4)], 0) + ports, ticks=30)
    one(world, "switch:leaf00", "switch_failing")


def test_a_failing_leaf_is_the_leaf_and_the_slow_job_its_victim():
    """Errors on all ports of a switch are the switch."""
    world = World(hall(jobs=JOBS))
    signals = hot([f"port:leaf00/{p}" for p in range(4)], "fabric", 0) + hot(["job:a"], "progress", 1)
    world.step(signals + hot(MEMBERS, "activity", 1, "down"), ticks=12)
    assert world.paged() == []  # a rack without power looks like this too, until its nodes are missed
    world.step(signals + hot(MEMBERS, "activity", 1, "down"), ticks=2)
    incident = one(world, "switch:leaf00", "switch_failing")
    (evidence,) = [c.evidence for c in incident.candidates if c.entity == "switch:leaf00"]
    assert evidence[0].startswith("4 of ")
    assert evidence[0].endswith(" ports in switch:leaf00 show link errors")
    assert [line for line in evidence[1:] if "link errors" in line] == [], "once is enough"
    assert "also: progress of job:a" in evidence


def test_one_failing_port_is_its_cable():
    """Errors on one port are that link."""
    world = World()
    world.step(hot(["port:leaf02/1"], "fabric", 0), ticks=18)
    assert world.paged() == []
    world.step(hot(["port:leaf02/1"], "fabric", 0), ticks=2)
    one(world, "port:leaf02/1", "link_failing")


def test_a_link_that_goes_down_just_before_its_node_is_gone_is_the_node():
    """The page of a link waits for what may lie behind it, so that one call names the node."""
    world = World()
    link = hot(["port:leaf00/2"], "fabric", 0, hard=True)
    world.step(link, ticks=4)
    world.step(link + silent(["node:n0002"], 0), ticks=20)
    one(world, "node:n0002", "node_lost")


def test_members_that_look_hot_while_their_job_is_down_are_its_side_effect():
    """Peers of a job that stops cool at their own pace; within an hour of a crash that is no cooling fault."""
    world = World(hall(jobs=JOBS))
    dead = silent(["node:n0002"], 0) + hot(gpus_of(1, 6, 13, 14, 20), "power", 1, "down")
    world.step(dead + hot(gpus_of(9, 13)[:12], "heat", 10), ticks=20)
    one(world, "node:n0002", "node_lost")


def test_a_finished_job_stays_explained_when_the_load_of_its_nodes_moves_later():
    """The silence of a job that ended is planned, whatever else its nodes do afterwards."""
    world = World(hall(jobs=JOBS))
    change = Change(T0, "job:a", "config", "run", "run finished normally, exit code 0")
    dark = silent(["job:a"], 0, hard=False, page=False)
    world.step(dark, changes=[change])
    world.tick = 170
    world.step([*dark, signal("node:n0013", "power", 170, detector="group_mean", page=False)], ticks=2)
    assert world.lines == []


def test_a_job_whose_processes_die_together_is_the_job():
    """XID 45 on nearly all GPUs of a job in several racks is one incident on the job, not on hardware."""
    world = World(hall(jobs=JOBS))
    xids = hot(MEMBERS[:-3], "application", 0, "none", reason="xid_45", page=False)
    idle = hot(MEMBERS, "activity", 0, "down") + hot(MEMBERS, "power", 0, "down")
    world.step(xids + idle + hot(["rack:r000", "pdu:p000"], "facility_power", 0, "down"), ticks=5)
    incident = one(world, "job:a", "job_crashed")
    assert incident.affected.by_kind == {"job": 1, "node": 7, "gpu": 56}
    assert incident.owner == "training"


def test_of_two_jobs_on_the_same_nodes_the_one_that_runs_has_crashed():
    """What ended before has no fault, were it minutes ago or for so long that its silence says no more."""
    world = World(hall(jobs=[("a", range(4)), ("b", range(4)), ("c", range(4))]))
    observation = world.observation

    def without_a(*told):
        seen = observation(*told)
        seen.reporting[world.graph.index["job:a"]] = False
        return seen

    world.observation = without_a
    ended = [signal("job:b", "progress", 0, page=False, detector="absence", reason="no_data")]
    world.step(ended)
    world.tick = 100
    xids = hot(gpus_of(*range(4)), "application", 100, "none", reason="xid_45", page=False)
    world.step(ended + xids + hot(gpus_of(*range(4)), "activity", 100, "down"), ticks=5)
    one(world, "job:c", "job_crashed")


def test_a_node_that_was_changed_has_a_quarter_of_an_hour_to_come_back():
    """An upgrade restarts its node; one that stays away is lost."""
    world = World()
    change = Change(T0, "node:n0003", "infrastructure", "550.90", "driver 550.54 to 550.90")
    world.step(changes=[change])
    world.step(silent(["node:n0003"], 1), ticks=90)
    assert world.paged() == []
    world.step(silent(["node:n0003"], 1), ticks=20)
    one(world, "node:n0003", "node_lost")


def test_a_program_that_fails_on_one_gpu_pages_nobody():
    """An application's own XID on one GPU is at most recorded."""
    world = World(hall(jobs=JOBS))
    world.step(hot(["gpu:n0001/0"], "application", 0, "none", reason="xid_13", page=False), ticks=5)
    assert world.paged() == []


def test_a_fan_in_a_job_that_crashes_is_a_second_incident():
    """A fault that does not stop jobs does not explain one that stopped."""
    world = World(hall(jobs=JOBS))
    xids = hot(MEMBERS, "application", 0, "none", reason="xid_31")
    world.step(xids + hot(["gpu:n0006/1"], "heat", 0), ticks=3)
    assert world.causes() == ["gpu:n0006/1", "job:a"]


def test_a_lost_gpu_crashes_its_job_and_is_the_cause():
    """XID 79 on one GPU, with the job's other members failing, is that GPU."""
    world = World(hall(jobs=JOBS))
    signals = hot(["gpu:n0006/1"], "hardware", 0, "none", reason="xid_79", hard=True)
    signals += hot([g for g in MEMBERS if g != "gpu:n0006/1"], "application", 0, "none", reason="xid_45")
    world.step(signals + hot(MEMBERS, "activity", 0, "down"), ticks=3)
    one(world, "gpu:n0006/1", "gpu_lost")


def test_a_run_that_ends_or_starts_is_no_incident():
    """Load that moves when a job was started or finished on purpose is explained and not recorded."""
    world = World(hall(jobs=JOBS))
    change = Change(T0, "job:a", "config", "run", "run finished normally, exit code 0")
    signals = hot(MEMBERS, "activity", 0, "down") + hot(MEMBERS, "power", 0, "down")
    signals += hot(MEMBERS, "heat", 1, "down") + silent(["job:a"], 0)
    signals += hot(["pdu:p000", "rack:r000"], "facility_power", 0, "down") + hot(
        ["cdu:c00"], "coolant_heat", 1, "down"
    )
    world.step(signals, changes=[change], ticks=6)
    assert world.lines == []


def test_load_that_moves_without_a_word_pages_nobody():
    """A job that idles, while it still makes progress, is no fault."""
    world = World(hall(jobs=JOBS))
    world.step(hot(MEMBERS, "activity", 0, "down") + hot(MEMBERS, "power", 0, "down"), ticks=6)
    assert world.lines == []


def test_a_node_that_takes_up_work_warms_and_is_no_fault():
    """A spare that joins a job is busier and hotter than it was."""
    world = World()
    gpus = gpus_of(30)
    signals = hot(gpus, "activity", 0) + hot(gpus, "power", 0) + hot(gpus, "heat", 1)
    world.step(signals, ticks=6)
    assert world.lines == []


def test_a_hung_job_is_the_job():
    """A step counter that stands still, with idle members and no error anywhere, is the job; in 5 minutes."""
    world = World(hall(jobs=JOBS))
    signals = hot(["job:a"], "progress", 0, "down") + hot(MEMBERS, "activity", 0, "down")
    world.step(signals, ticks=30)
    assert not world.paged()
    world.step(signals, ticks=2)
    one(world, "job:a", "job_slow_or_hung")


def test_a_slow_job_waits_for_what_slows_it():
    """A job stands before its rack is known to be dark: the page is about the rack alone."""
    world = World(hall(jobs=JOBS))
    slow = hot(["job:a"], "progress", 0, "down")
    world.step(slow, ticks=15)
    gone = silent([f"node:n{n:04d}" for n in (0, 1, 2, 3)], 12) + hot(
        ["rack:r000"], "facility_power", 12, "down"
    )
    world.step(slow + gone, ticks=30)
    one(world, "rack:r000", "rack_power_lost")


def test_a_slow_gpu_that_a_late_benchmark_finds_is_why_the_job_was_slow():
    """The job called first; when the benchmark is done the page has the GPU for its cause, and calls nobody again."""
    world = World(hall(jobs=JOBS))
    slow = hot(["job:a"], "progress", 60)
    world.tick = 61
    world.step(slow, ticks=50)
    one(world, "job:a", "job_slow_or_hung")
    found = signal("gpu:n0002/3", "benchmark", 30, direction="down", hard=True)
    world.tick = 200
    world.step([*slow, found], ticks=3)
    incident = one(world, "gpu:n0002/3", "gpu_slow")
    assert (incident.id, incident.pages) == (world.lines[0].id, 1)


def test_a_rack_whose_gpus_all_slow_down_is_held_below_its_power():
    """Low clocks and little power on all GPUs of a rack are the rack's, though no GPU says why."""
    world = World(hall(jobs=JOBS))
    gpus = gpus_of(*range(4, 8))
    capped = hot(gpus, "clock", 0, "down") + hot(gpus, "power", 0, "down")
    world.step(capped + hot(["rack:r001"], "facility_power", 0, "down", page=False), ticks=5)
    one(world, "rack:r001", "rack_power_capped")


def test_a_warm_gpu_is_not_taken_for_the_chiller_by_cdus_that_are_a_little_warm():
    """Coolant of some CDUs is a little warm; one GPU is hot: that GPU pages, not the chiller."""
    world = World(hall(nodes=128, per_rack=4))
    coolant = hot([f"cdu:c{c:02d}" for c in range(10)], "coolant_heat", 0, page=False)
    world.step(coolant, ticks=20)
    world.step(coolant + hot(["gpu:n0003/4"], "heat", 20), ticks=10)
    one(world, "gpu:n0003/4", "gpu_overheating")


@pytest.mark.parametrize(
    ("entity", "family", "reason", "severity", "pages"),
    [
        ("node:n0003", "other", "exporter_restart", "info", 0),
        ("node:n0003", "other", "wrong_clock", "warning", 0),
        ("gpu:n0003/1", "memory_errors", "xid_63", "warning", 0),
        ("gpu:n0003/1", "heat", "shift_down", "warning", 0),
        ("service:monitor", "silence", "silent", "critical", 1),
        ("facility:dc1", "silence", "blind", "critical", 1),
        ("gpu:n0003/1", "benchmark", "gemm_below_90_percent", "error", 1),
        ("gpu:n0003/1", "interconnect", "nvlink_below_85_percent", "error", 1),
        ("feature:user_age", "drift", "psi", "error", 1),
        ("warehouse:w1", "nobody_knows", "odd", "error", 1),
        ("business:acme", "revenue", "fell", "error", 1),
    ],
)
def test_what_a_kind_of_signal_becomes(entity, family, reason, severity, pages):
    """Restarts are recorded, clocks and remaps are tickets, harm pages, and what nobody knows pages too."""
    world = World()
    direction = "down" if family == "heat" else "none"
    world.step([signal(entity, family, 0, reason=reason, direction=direction)], ticks=8)
    (incident,) = world.last().values()
    assert (incident.cause.entity, incident.severity, incident.pages) == (entity, severity, pages)


def test_a_signal_below_the_page_level_is_no_incident_alone_and_a_ticket_in_company():
    """The raise level explains and makes tickets; it does not page."""
    world = World()
    world.step(hot(["gpu:n0003/4"], "heat", 0, page=False), ticks=3)
    assert world.lines == []
    assert [d.reason for d in world.stage.why("gpu:n0003/4")] == ["too_weak_for_any_cause"]
    world.step(hot(gpus_of(3), "heat", 0, page=False), ticks=7)
    (incident,) = world.last().values()
    assert (incident.cause.entity, incident.severity, incident.pages) == ("node:n0003", "warning", 0)


def test_what_a_failing_cdu_heats_calls_nobody_else():
    """The flow is known to be low and called for; what gets hot beneath one by one is its doing until it is plain."""
    world = World(hall(nodes=32, per_rack=4))
    flow = hot(["cdu:c00"], "coolant_flow", 0, "down")
    world.step(flow, ticks=6)
    one(world, "cdu:c00", "coolant_flow_low")
    means = hot(["node:n0001"], "heat", 6, detector="group_mean", value=62.5, expected=60.0)
    world.step(flow + hot(gpus_of(1), "heat", 6), ticks=2)
    world.step(flow + hot(gpus_of(1), "heat", 6) + means + hot(gpus_of(3), "heat", 8), ticks=2)
    one(world, "cdu:c00", "coolant_flow_low")
    assert sum(line.transition == "paged" for line in world.lines) == 1


def test_what_matters_to_nobody_is_only_recorded():
    """A node a little warmer than others is on record; it is a ticket once that is of consequence, or pages."""
    world = World()
    slight = hot(gpus_of(3), "heat", 0, page=False, matters=False)
    for signals, severity in (
        (slight, "info"),
        (slight + hot(["gpu:n0003/4"], "activity", 0, page=False), "info"),
        (hot(gpus_of(3), "heat", 0, page=False), "warning"),
        (hot(gpus_of(3), "heat", 0), "error"),
    ):
        world.step(signals, ticks=7)
        (incident,) = world.last().values()
        assert (incident.cause.entity, incident.severity) == ("node:n0003", severity)


def test_an_old_hot_gpu_is_not_swallowed_by_a_cdu_that_fails_hours_later():
    """What began long before belongs to something else and keeps its incident."""
    world = World()
    fan = hot(["gpu:n0003/4"], "heat", 0)
    world.step(fan, ticks=3)
    world.tick = 1080
    rest = [g for g in gpus_of(*range(8)) if g != "gpu:n0003/4"]
    world.step(fan + hot(rest, "heat", 1080), ticks=3)
    assert world.causes() == ["cdu:c00", "gpu:n0003/4"]
    assert len({i.id for i in world.paged()}) == 2


def test_a_change_just_before_speaks_for_its_target_and_is_named():
    """A deployment a quarter of an hour before raises its target and stands in the incident."""
    lines = [*hall(), {"id": "service:store"}, {"id": "service:cache"}]
    lines += [{"id": f"model:m{k}", "depends_on": ["service:store", "service:cache"]} for k in range(6)]
    signals = hot([f"model:m{k}" for k in range(6)], "quality", 100, "down")
    change = Change(T0, "service:cache", "deployment", "v34.3", "routine release")
    world = World(lines)
    world.step(changes=[change])
    world.tick = 101
    world.step(signals, ticks=3)
    incident = one(world, "service:cache", "dependency_failing")
    assert incident.changes == ("service:cache deployment v34.3: routine release",)
    assert "deployment v34.3 (routine release) 16 min before" in incident.cause.explanation


def test_a_gpu_that_was_a_little_warm_for_hours_is_one_of_its_node_when_that_heats():
    """The weak sign is old; the strong one is not: nine signs, one page, on the node."""
    world = World()
    early = hot(["gpu:n0003/0"], "heat", 0, page=False)
    world.step(early, ticks=3)
    world.tick = 2_000
    world.step(hot(["gpu:n0003/0"], "heat", 0) + hot(gpus_of(3)[1:], "heat", 1_998), ticks=20)
    assert [(i.cause.entity, i.pages) for i in world.paged()] == [("node:n0003", 1)]


def test_a_weak_sign_of_one_gpu_does_not_crash_its_job():
    """A job crashes on all its nodes; a link of one of them ran a little high before: it is the job."""
    world = World(hall(jobs=JOBS))
    link = hot(["gpu:n0001/0"], "interconnect", 0, page=False)
    world.step(link, ticks=60)
    crash = hot(MEMBERS, "application", 60, hard=True) + hot(MEMBERS, "activity", 60, "down")
    world.step(link + crash + hot(["job:a"], "progress", 60, "down"), ticks=10)
    idle = hot(MEMBERS, "activity", 60, "down", page=False)
    world.step(link + idle + hot(["job:a"], "progress", 60, "down"), ticks=60)
    one(world, "job:a", "job_crashed")


def test_what_one_incident_called_for_calls_nobody_again():
    """GPUs of a CDU cool down, its own readings are still off: whatever explains these, nobody is called twice."""
    jobs = [(f"j{k}", (4 * k, 4 * k + 1)) for k in range(16)]
    world = World(hall(nodes=128, jobs=jobs))
    own = hot(["cdu:c00"], "coolant_flow", 0, "down") + hot(["cdu:c00"], "coolant_heat", 0)
    world.step(own + hot(gpus_of(*range(8)), "heat", 0), ticks=60)
    some = hot(gpus_of(0, 1, 2), "heat", 0, page=False) + hot(gpus_of(4), "power", 70, "down", page=False)
    world.step(own + some, ticks=120)
    one(world, "cdu:c00", "coolant_flow_low")
