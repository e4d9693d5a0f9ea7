"""Each fault shows in the entities that its truth names, and not elsewhere."""

from functools import cache

import numpy as np
import pytest

from tests.loadgen.recording import record

MINUTE = 60_000


@cache
def strike(kind, severity, seed=11, interval=90):
    options = {"gpus": 256, "interval": interval, "hours": 5.5, "seed": seed}
    recording = record(kind, severity=severity, lead_minutes=35, **options)
    return recording, recording.truth["faults"][0]


def before(fault):
    return fault["start"] - 30 * MINUTE, fault["start"]


def late(fault):
    return (fault["start"] + fault["end"]) // 2, fault["end"]


def rise(recording, entity, metric, fault):
    return recording.mean(entity, metric, *late(fault)) - recording.mean(entity, metric, *before(fault))


def untouched(recording, fault, metric, kind, settled=True):
    """Entities of a kind that the truth does not name, whose job stays the same throughout."""
    named = {*fault["affected"], *fault["related"]}
    times = (fault["start"] - 30 * MINUTE, fault["end"])
    for entity in recording.entities(metric, kind):
        memory = recording.values(entity, "fb_used_bytes", *times)
        if entity not in named and (not settled or (len(memory) and np.ptp(memory) == 0)):
            yield entity


def silent_nodes(recording, fault):
    """Nodes without a frame for five minutes of the fault."""
    nodes = {frame.source for frame in recording.frames if frame.kind == "gpu"}
    middle = (fault["start"] + 2 * MINUTE, fault["start"] + 7 * MINUTE)
    return {n for n in nodes if not len(recording.values(n.replace("node", "gpu") + "/0", "xid", *middle))}


HEAT = [
    ("gpu-fan", 0.0, 5),
    ("gpu-fan", 1.0, 14),
    ("node-cooling", 0.0, 5),
    ("cdu-flow", 0.0, 4),
    ("cdu-flow", 1.0, 14),
]


@pytest.mark.parametrize(("kind", "severity", "kelvin"), HEAT)
def test_heat_shows_in_the_affected_gpus_and_nowhere_else(kind, severity, kelvin):
    """Die and memory of busy affected GPUs warm by several kelvin; all others stay within their noise."""
    recording, fault = strike(kind, severity)
    affected = [name for name in fault["affected"] if name.startswith("gpu:")]
    busy = [gpu for gpu in affected if recording.mean(gpu, "sm_active_ratio", *before(fault)) > 0.4]
    assert len(busy) >= 0.5 * len(affected)
    for metric in ("gpu_temp_celsius", "hbm_temp_celsius"):
        assert min(rise(recording, gpu, metric, fault) for gpu in busy) > kelvin - 1.5
        assert np.mean([rise(recording, gpu, metric, fault) for gpu in busy]) > kelvin
        others = [rise(recording, gpu, metric, fault) for gpu in untouched(recording, fault, metric, "gpu")]
        assert len(others) > 20
        assert max(others) < 3


def test_temperature_rises_with_inertia():
    """A gross fan fault takes minutes to heat the GPU, and minutes to let it cool."""
    recording, fault = strike("gpu-fan", 1.6, interval=30)
    gpu, start = fault["entity"], fault["start"]
    first = recording.mean(gpu, "gpu_temp_celsius", start, start + MINUTE)
    assert first - recording.mean(gpu, "gpu_temp_celsius", *before(fault)) < 8
    after = recording.values(gpu, "gpu_temp_celsius", fault["end"], fault["end"] + 2 * MINUTE)
    assert after[0] > after[-1] + 5


def test_a_throttling_gpu_slows_its_whole_job():
    """The hottest GPU's clock falls (thermal bits), step time rises, and its peers wait at less power."""
    recording, fault = strike("gpu-fan", 1.6, interval=30)
    gpu = fault["entity"]
    job = next(name for name in fault["related"] if name.startswith("job:"))
    bits = recording.values(gpu, "throttle_reasons", *late(fault)).astype(int)
    assert (bits & 0x60).any()
    assert rise(recording, gpu, "sm_clock_mhz", fault) < -30
    slower = recording.mean(job, "step_seconds", *late(fault)) / recording.mean(
        job, "step_seconds", *before(fault)
    )
    assert slower > 1.03
    peers = [name for name in fault["related"] if name.startswith("gpu:")]
    powers = [rise(recording, peer, "power_watts", fault) for peer in peers]
    assert np.mean(powers) < -5


def test_a_cdu_with_little_flow_warms_its_return():
    """Flow falls, the return rises, other CDUs stay as they are."""
    recording, fault = strike("cdu-flow", 0.0)
    cdu = fault["entity"]
    flow = recording.mean(cdu, "coolant_flow_lpm", *late(fault)) / recording.mean(
        cdu, "coolant_flow_lpm", *before(fault)
    )
    assert 0.5 < flow < 0.75
    assert rise(recording, cdu, "coolant_return_celsius", fault) > 4
    for other in set(recording.entities("coolant_flow_lpm", "cdu")) - {cdu}:
        assert abs(rise(recording, other, "coolant_flow_lpm", fault)) < 3
        assert abs(rise(recording, other, "coolant_return_celsius", fault)) < 3


@pytest.mark.parametrize("kind", ["node-crash", "rack-power"])
def test_lost_nodes_are_silent_and_only_they(kind):
    """Exactly the affected nodes send nothing; their ports lose the link; their jobs fail and restart."""
    recording, fault = strike(kind, 0.5)
    named = set(fault["affected"])
    assert silent_nodes(recording, fault) == {name for name in named if name.startswith("node:")}
    for port in recording.entities("link_up", "port"):
        up = recording.values(port, "link_up", *late(fault))
        assert (up.max() == 0) if port in named else (up.min() == 1)
    for job in recording.entities("failures_total", "job"):
        failed = recording.increase(job, "failures_total", *before(fault)[:1], fault["end"])
        assert failed == (1 if job in named else 0)
    jobs = [name for name in named if name.startswith("job:")]
    assert jobs
    for job in jobs:
        assert recording.increase(job, "restarts_total", fault["start"], fault["end"] + 20 * MINUTE) == 1


def test_a_rack_without_power_draws_none():
    """Rack and PDU power fall; other racks keep drawing."""
    recording, fault = strike("rack-power", 0.5)
    pdu = next(name for name in fault["affected"] if name.startswith("pdu:"))
    assert recording.mean(fault["entity"], "power_kw", *late(fault)) == 0
    assert rise(recording, pdu, "power_kw", fault) < -15
    others = set(recording.entities("inlet_air_celsius", "rack")) - {fault["entity"]}
    assert all(recording.mean(rack, "power_kw", *late(fault)) > 5 for rack in others)


@pytest.mark.parametrize("gone", [False, True])
def test_a_lost_gpu_reports_xid_79_and_then_nothing(gone):
    """XID 79 first, then nulls throughout or no item at all; its siblings go on reporting."""
    seed = next(s for s in range(20) if (gone == (_rolls(s)[2] >= 0.5)))
    recording, fault = strike("gpu-lost", 0.5, seed=seed)
    gpu = fault["entity"]
    xids = recording.values(gpu, "xid", fault["start"], fault["end"])
    assert 79 in xids[:2]
    assert set(xids[1:][np.isfinite(xids[1:])].tolist()) == {79}
    middle = (fault["start"] + 5 * MINUTE, fault["start"] + 10 * MINUTE)
    temps = recording.values(gpu, "gpu_temp_celsius", *middle)
    assert (len(temps) == 0) if gone else (len(temps) > 0 and np.isnan(temps).all())
    sibling = gpu[:-1] + ("0" if gpu[-1] != "0" else "1")
    assert np.isfinite(recording.values(sibling, "gpu_temp_celsius", *middle)).all()
    for other in set(recording.entities("xid", "gpu")) - {gpu}:
        assert 79 not in recording.values(other, "xid", fault["start"], fault["end"])


def _rolls(seed):
    from loadgen import Spec
    from loadgen.faults import plan_faults

    return plan_faults(Spec(scenario="gpu-lost", gpus=256, interval=90, hours=5.5, seed=seed))[0].rolls


def test_a_failing_leaf_errs_on_its_ports_only():
    """Symbol errors and retries rise on most ports of the switch, links go down there, jobs slow down."""
    recording, fault = strike("leaf-switch", 0.5)
    named = set(fault["affected"])
    erring = set()
    for port in recording.entities("symbol_errors_total", "port"):
        errors = recording.increase(port, "symbol_errors_total", fault["start"], fault["end"])
        erring |= {port} if errors > 100 else set()
        assert (
            port in named or recording.increase(port, "link_downed_total", fault["start"], fault["end"]) == 0
        )
    assert erring <= named
    assert len(erring) >= 0.6 * sum(name.startswith("port:") for name in named)
    assert (
        sum(recording.increase(port, "link_downed_total", fault["start"], fault["end"]) for port in erring)
        > 0
    )
    jobs = [name for name in named if name.startswith("job:")]
    assert jobs
    for job in jobs:
        assert rise(recording, job, "step_seconds", fault) > 0.1 * recording.mean(
            job, "step_seconds", *before(fault)
        )


def test_a_job_crash_logs_xid_45_on_nearly_all_its_nodes_and_no_others():
    """One rank's program fails first, XID 45 follows; steps stop; power falls to idle; then it restarts."""
    recording, fault = strike("job-crash", 0.5)
    job, named = fault["entity"], set(fault["affected"])
    members = [name for name in named if name.startswith("gpu:")]
    codes = {
        gpu: set(recording.values(gpu, "xid", fault["start"], fault["end"]).astype(int)) - {0}
        for gpu in members
    }
    assert sum(45 in found for found in codes.values()) >= 0.85 * len(members)
    assert sum(bool(found & {13, 31, 43}) for found in codes.values()) == 1
    for other in set(recording.entities("xid", "gpu")) - named:
        assert 45 not in recording.values(other, "xid", fault["start"], fault["end"])
    assert recording.increase(job, "steps_total", *late(fault)) == 0
    assert max(recording.mean(gpu, "power_watts", *late(fault)) for gpu in members) < 100
    assert recording.mean(job, "tokens_per_second", *late(fault)) == 0
    assert recording.increase(job, "failures_total", *before(fault)[:1], fault["end"]) == 1
    again = (fault["end"] + 5 * MINUTE, fault["end"] + 20 * MINUTE)
    assert recording.increase(job, "steps_total", *again) > 10
    nodes = {gpu.rpartition("/")[0] for gpu in members}
    layout = recording.run.course.layout
    assert len({int(layout.node_rack[int(name.partition(":n")[2]) - 1]) for name in nodes}) >= 2
