"""Healthy telemetry has what real telemetry has."""

import numpy as np
import pytest

import loadgen
from loadgen.noise import AutoRegressive, RareCounts, daily, stream
from tests.loadgen.recording import record

HOUR = 3_600_000


def lag_one(values):
    x = values[np.isfinite(values)]
    x = x - x.mean()
    return float((x[1:] * x[:-1]).sum() / (x * x).sum())


def busy_gpus(recording):
    """GPUs that one job holds throughout."""
    gpus = recording.entities("fb_used_bytes", "gpu")
    memory = {gpu: recording.series(gpu, "fb_used_bytes")[1] for gpu in gpus}
    return [gpu for gpu in gpus if np.ptp(memory[gpu]) == 0 and memory[gpu][0] > 1e9]


def test_temperatures_remember_at_ten_seconds(healthy):
    """Neighbouring samples of a busy GPU correlate by 0.7 and more."""
    lags = [lag_one(healthy.series(gpu, "gpu_temp_celsius")[1]) for gpu in busy_gpus(healthy)]
    assert len(lags) > 20
    assert 0.7 < np.quantile(lags, 0.05) < np.quantile(lags, 0.95) < 0.995


@pytest.mark.parametrize(("dt", "tau"), [(10.0, 28.0), (10.0, 195.0), (60.0, 195.0)])
def test_autoregressive_noise_has_the_memory_and_spread_it_promises(dt, tau):
    """Lag-one correlation exp(-dt / tau) and marginal spread sd, each within sampling error."""
    noise = AutoRegressive(stream(1, "test"), (400,), dt, tau, 2.0)
    x = np.array([noise.step().copy() for _ in range(1500)])
    assert np.mean([lag_one(x[:, i]) for i in range(400)]) == pytest.approx(np.exp(-dt / tau), abs=0.01)
    assert x.std() == pytest.approx(2.0, rel=0.03)


def test_bursts_make_the_tails_heavy():
    """With bursts the kurtosis of the innovations is well above the normal's 3."""
    noise = AutoRegressive(stream(2, "test"), (5000,), 10.0, 0.01, 1.0, bursts=0.01)
    x = np.concatenate([noise.step().copy() for _ in range(20)])
    assert (x**4).mean() / (x**2).mean() ** 2 > 4


def test_rare_counts_are_poisson_with_the_rates_given():
    """Mean and variance of each part's count equal its rate times the time."""
    rates = np.array([0.0, 0.5, 0.02, 2.0])
    counts = RareCounts(stream(3, "test"), rates)
    hits = np.array([np.bincount(counts.hits(10.0), minlength=4) for _ in range(4000)])
    assert hits.mean(axis=0) == pytest.approx(10 * rates, rel=0.1)
    assert hits.var(axis=0) == pytest.approx(10 * rates, rel=0.15)


def test_the_day_shows_in_coolant_air_and_load():
    """Supply and inlet air are warmer in the afternoon than at night; so are small jobs busier."""
    recording = record("clean", gpus=16, hours=48, interval=300, seed=3)
    for metric, kind in (("coolant_supply_celsius", "cdu"), ("inlet_air_celsius", "rack")):
        for entity in recording.entities(metric, kind):
            ts, values = recording.series(entity, metric)
            cycle = np.array([daily(int(t), 15.0) for t in ts])
            assert np.corrcoef(cycle, values)[0, 1] > 0.6


def test_the_gpus_of_a_job_share_its_phases(healthy):
    """Activity correlates within a job, through its checkpoints and waits, and not between jobs."""
    job = healthy.run.course.jobs[0]
    other = next(j for j in healthy.run.course.jobs if j is not job and j.end > healthy.run.spec.end)
    names = [
        f"gpu:n{job.nodes[0] + 1:04d}/0",
        f"gpu:n{job.nodes[1] + 1:04d}/3",
        f"gpu:n{other.nodes[0] + 1:04d}/0",
    ]
    grid = np.arange(healthy.run.spec.start + HOUR // 4, healthy.run.spec.end, 10_000)
    first, peer, stranger = (np.interp(grid, *healthy.series(name, "sm_active_ratio")) for name in names)
    assert np.corrcoef(first, peer)[0, 1] > 0.7
    assert abs(np.corrcoef(first, stranger)[0, 1]) < 0.4


def test_readings_are_quantised(healthy):
    """1 C, 0.1 W, 15 MHz, 0.001."""
    gpu = healthy.entities("gpu_temp_celsius", "gpu")[0]
    steps = {"gpu_temp_celsius": 1, "power_watts": 0.1, "sm_clock_mhz": 15, "sm_active_ratio": 0.001}
    for metric, step in steps.items():
        values = healthy.series(gpu, metric)[1] / step
        assert np.abs(values - np.rint(values)).max() < 1e-6


def test_about_one_frame_in_a_thousand_is_lost(healthy):
    """Sequence numbers show the gaps."""
    frames = [frame for frame in healthy.frames if frame.kind == "gpu"]
    expected = healthy.run.spec.ticks * healthy.run.course.layout.nodes
    restarts = sum(outage.end - outage.start for outage in healthy.run.course.restarts) / 10_000
    assert 0.0003 < 1 - (len(frames) + restarts) / expected < 0.003


def test_a_few_clocks_are_off_by_1_to_20_s():
    """Most stamps are right; a few sources are constantly ahead or behind."""
    recording = record("clean", gpus=1024, hours=0.1, seed=2, received=True)
    skew = {frame.source: frame.received - frame.ts for frame in recording.frames if frame.kind != "job"}
    off = [value for value in skew.values() if abs(value) > 7_000]
    assert 1 <= len(off) <= 0.06 * len(skew)
    assert max(map(abs, off)) < 27_000


def test_a_few_parts_are_worse_than_the_rest(day):
    """Most GPUs log no correctable error in a day, one logs them steadily; so do ports symbol errors."""
    spec = day.run.spec
    for metric, kind in (("ecc_sbe_total", "gpu"), ("symbol_errors_total", "port")):
        counts = [day.increase(e, metric, spec.start, spec.end) for e in day.entities(metric, kind)]
        assert np.quantile(counts, 0.75) <= 4
        assert 5 < max(counts) < 400


def test_spikes_last_one_sample(day):
    """A sensor is wrong by many kelvin for one sample now and then, and right again at the next."""
    spikes = 0
    for gpu in day.entities("gpu_temp_celsius", "gpu"):
        x = day.series(gpu, "gpu_temp_celsius")[1]
        jump = (x[1:-1] - np.maximum(x[:-2], x[2:])) > 7
        spikes += int(jump.sum())
    assert 1 <= spikes <= 30


def test_power_and_heat_agree(healthy):
    """A rack draws what its GPUs draw and some more; its CDU carries that away: heat = 0.0698 x flow x dT."""
    layout, spec = healthy.run.course.layout, healthy.run.spec
    span = (spec.start + HOUR // 4, spec.end)
    for rack in range(layout.racks):
        nodes = layout.nodes_of_rack(rack).tolist()
        gpus = [layout.gpu_id(gpu) for node in nodes for gpu in layout.gpus_of_node(node)]
        watts = sum(healthy.mean(gpu, "power_watts", *span) for gpu in gpus)
        drawn = healthy.mean(f"rack:r{rack + 1:03d}", "power_kw", *span)
        assert drawn == pytest.approx(watts / 1000 + 1.7 * len(nodes) + 0.4, rel=0.02)
    for cdu in range(layout.cdus):
        name = f"cdu:c{cdu + 1:02d}"
        supply, back, flow = (
            healthy.mean(name, metric, *span)
            for metric in ("coolant_supply_celsius", "coolant_return_celsius", "coolant_flow_lpm")
        )
        drawn = sum(
            healthy.mean(f"rack:r{r + 1:03d}", "power_kw", *span) for r in layout.racks_of_cdu(cdu).tolist()
        )
        assert 0.0698 * flow * (back - supply) == pytest.approx(0.8 * drawn, rel=0.03)


def test_jobs_come_and_go_and_some_nodes_idle():
    """Within two days jobs end and others begin; a few per cent of the nodes are free at any time."""
    run = loadgen.simulate(loadgen.Spec(scenario="clean", gpus=512, hours=48, seed=1))
    jobs, spec = run.course.jobs, run.spec
    assert sum(spec.start < job.start for job in jobs) > 10
    for ts in range(spec.start, spec.end, 4 * HOUR):
        held = [node for job in jobs for node in job.nodes_at(ts)]
        assert len(held) == len(set(held))
        assert 0.6 < len(held) / 64 < 1


def test_maintenance_is_announced(day):
    """A drained node is idle; its change frame with `until` comes before it falls silent."""
    changes = [frame for frame in day.frames if frame.kind == "change"]
    assert changes
    for frame in changes:
        assert frame.change == "maintenance"
        assert frame.until > frame.ts
        gpu = frame.source.replace("node", "gpu") + "/0"
        silent = (frame.ts + 4 * 60_000, frame.ts + 14 * 60_000)
        assert len(day.values(gpu, "xid", *silent)) == 0
        node = int(frame.source.partition(":n")[2]) - 1
        assert not any(node in job.nodes_at(frame.ts) for job in day.run.course.jobs)


def test_programs_of_users_fail_without_a_fault(day):
    """XID 13, 31 and 43 occur now and then; the job goes on."""
    codes = {int(code) for gpu in day.entities("xid", "gpu") for code in day.series(gpu, "xid")[1]}
    assert codes & {13, 31, 43}
    assert codes <= {0, 13, 31, 43}
    assert all(not job.downs for job in day.run.course.jobs)
