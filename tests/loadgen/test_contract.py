"""Frames obey the public contract (contract: Telemetry frames)."""

from collections import defaultdict

import pytest

KINDS = {
    "gpu": ({"node"}, """gpu_temp_celsius hbm_temp_celsius power_watts sm_clock_mhz sm_active_ratio
        dram_active_ratio fb_used_bytes ecc_sbe_total ecc_dbe_total row_remap_pending xid
        nvlink_bandwidth_bytes nvlink_errors_total pcie_replay_total pcie_link_gen throttle_reasons
        gemm_tflops hbm_bandwidth_bytes allreduce_bandwidth_bytes memory_test_failed"""),
    "network": ({"switch"}, """rx_bytes_total tx_bytes_total packet_retries_total symbol_errors_total
        link_downed_total rx_errors_total tx_discards_total xmit_wait_total link_up"""),
    "facility": ({"cdu", "chiller", "pdu", "rack"}, """coolant_supply_celsius coolant_return_celsius
        coolant_flow_lpm pump_speed_ratio inlet_air_celsius power_kw"""),
    "job": ({"job"}, """steps_total step_seconds tokens_per_second checkpoint_write_seconds loss grad_norm
        recovery_seconds failures_total restarts_total memory_used_bytes data_wait_seconds
        queue_wait_seconds lost_seconds_total"""),
    "change": ({"node"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("run", ["healthy", "mini", "every_fault"])
def test_frames_use_the_kinds_sources_and_metrics_of_the_contract(run, request):
    """Kinds, kinds of source and names of metrics are those that the contract lists."""
    for frame in request.getfixturevalue(run).frames:
        sources, metrics = KINDS[frame.kind]
        assert frame.source.partition(":")[0] in sources
        assert frame.metrics.keys() <= set(metrics.split())


@pytest.mark.parametrize("run", ["healthy", "mini", "every_fault"])
def test_arrays_are_aligned_with_items(run, request):
    """Each metric has one number or null for each item, one without items; no item twice."""
    for frame in request.getfixturevalue(run).frames:
        names = frame.items if frame.items is not None else [""]
        assert len(set(names)) == len(names)
        for values in frame.metrics.values():
            assert len(values) == len(names)
            assert not any(isinstance(value, str) for value in values)


def test_a_source_sends_at_most_one_frame_of_a_kind_for_one_ts(mini):
    """`ts` and `seq` grow within each (kind, source), except that `seq` begins again after a restart."""
    last = {}
    arrived = defaultdict(set)
    for frame in sorted(mini.frames, key=lambda frame: frame.ts):
        key = (frame.kind, frame.source)
        assert frame.ts not in arrived[key]
        arrived[key].add(frame.ts)
        if frame.seq is not None:
            ts, seq = last.get(key, (0, -1))
            assert frame.ts > ts
            assert frame.seq > seq or frame.seq <= 2
            last[key] = (frame.ts, frame.seq)


def test_received_is_when_a_recorder_took_the_frame_in(mini):
    """Lines come in order of `received`, which follows `ts` by little where clocks are right."""
    received = [frame.received for frame in mini.frames]
    assert received == sorted(received)
    delays = sorted(frame.received - frame.ts for frame in mini.frames)
    assert 0 < delays[len(delays) // 2] < 1_000
    assert delays[0] > -25_000
    assert delays[-1] < 30_000


def test_frames_without_received_carry_none(healthy):
    """`received` is written only when asked for."""
    assert all(frame.received is None for frame in healthy.frames)


def test_all_sources_of_the_hall_report(mini):
    """Each node, switch, CDU, chiller, rack, PDU and job sends frames, and all 16 GPU metrics are there."""
    kinds = {frame.source.partition(":")[0] for frame in mini.frames}
    assert kinds == {"node", "switch", "cdu", "chiller", "rack", "pdu", "job"}
    assert len(next(f for f in mini.frames if f.kind == "gpu").metrics) == 16


def test_micro_benchmarks_run_before_jobs_begin(every_fault):
    """Preflight metrics are sparse: a node sends them once when a job begins on it."""
    tested = [frame for frame in every_fault.frames if "gemm_tflops" in frame.metrics]
    assert 0 < len(tested) < 0.02 * len(every_fault.frames)
    for frame in tested:
        assert all(200 < value < 720 for value in frame.metrics["gemm_tflops"])


def test_nvlink_is_null_on_idle_gpus_only(healthy):
    """What does not apply now is null (contract: NVLink bandwidth of an idle GPU)."""
    nulls = 0
    for frame in healthy.frames:
        if frame.kind == "gpu":
            for memory, nvlink in zip(
                *map(frame.metrics.get, ("fb_used_bytes", "nvlink_bandwidth_bytes")), strict=True
            ):
                assert (nvlink is None) == (memory < 1e9)
                nulls += nvlink is None
    assert nulls > 0
