"""The shipped metric catalogue: what producers send is in it, and what they mean by it is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.catalog import FAMILIES, FRAME_KINDS, Catalog

RULES = Path(__file__).parents[2] / "rules"
CATALOG = Catalog.parse((RULES / "metrics.yaml").read_text())

# The public contract's list of metrics, by frame kind.
CONTRACT = {
    "gpu": """gpu_temp_celsius hbm_temp_celsius power_watts sm_clock_mhz sm_active_ratio dram_active_ratio
        fb_used_bytes ecc_sbe_total ecc_dbe_total row_remap_pending xid nvlink_bandwidth_bytes
        nvlink_errors_total pcie_replay_total pcie_link_gen throttle_reasons gemm_tflops hbm_bandwidth_bytes
        allreduce_bandwidth_bytes memory_test_failed""",
    "network": """rx_bytes_total tx_bytes_total packet_retries_total symbol_errors_total link_downed_total
        rx_errors_total tx_discards_total xmit_wait_total link_up""",
    "facility": """coolant_supply_celsius coolant_return_celsius coolant_flow_lpm pump_speed_ratio
        inlet_air_celsius power_kw""",
    "job": """steps_total step_seconds tokens_per_second checkpoint_write_seconds loss grad_norm
        recovery_seconds failures_total restarts_total memory_used_bytes data_wait_seconds queue_wait_seconds
        lost_seconds_total""",
    "model": """requests_per_second error_ratio latency_p50_ms latency_p99_ms gpu_utilization_ratio
        memory_used_bytes ctr engagement conversion precision recall ndcg accuracy quality_score safety_score
        click_position diversity fraud_ratio fraud_caught_ratio false_positive_ratio tokens_per_second
        refusal_ratio toxicity_ratio thumbs_up_ratio regeneration_ratio probe_pass_ratio eval_score
        fallback_ratio parity_gap hallucination_ratio dwell_seconds saturation_ratio samples correct
        labelled""",
    "feature": "rows nulls mean std",
    "pipeline": """consumer_lag_records disk_used_ratio throughput_per_second duration_seconds
        completeness_ratio failed_rules_ratio latency_p99_ms""",
    "cost": "cost_usd requests gpu_hours latency_p99_ms gpu_utilization_ratio active_users budget_usd",
    "business": """revenue_usd conversion engagement engagement_lift diversity ctr fraud_caught_ratio
        false_positive_ratio violations appeals automation_ratio human_review_volume""",
}

# Old and new spelling of the same DCGM field, our metric, and the scale.
DCGM = [
    ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS", "gpu_temp_celsius", 1),
    ("DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_MEMORY_TEMP_CELSIUS", "hbm_temp_celsius", 1),
    ("DCGM_FI_DEV_GPU_TEMP_LIMIT", "DCGM_FI_DEV_GPU_TEMP_MARGIN_CELSIUS", "gpu_temp_margin_celsius", 1),
    ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS", "power_watts", 1),
    ("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK", "sm_clock_mhz", 1),
    ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "throttle_reasons", 1),
    ("DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_UTIL_RATIO", "sm_active_ratio", 1),
    ("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO", "dram_active_ratio", 1),
    ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_UTIL_RATIO", "gpu_utilization_ratio", 0.01),
    ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_USED", "fb_used_bytes", 1 << 20),
    (
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "energy_joules_total",
        1e-3,
    ),
    ("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "ecc_sbe_total", 1),
    ("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "ecc_dbe_total", 1),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_DEV_ROW_REMAP_FAILED", "row_remap_failed", 1),
    ("DCGM_FI_DEV_ROW_REMAP_PENDING", "DCGM_FI_DEV_ROW_REMAP_PENDING", "row_remap_pending", 1),
    (
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL",
        "row_remap_uncorrectable_total",
        1,
    ),
    ("DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_XID_ERROR", "xid", 1),
    (
        "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
        "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL",
        "nvlink_bandwidth_bytes",
        1e6,
    ),
    (
        "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL",
        "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_TOTAL",
        "nvlink_errors_total",
        1,
    ),
    ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "DCGM_FI_DEV_PCIE_REPLAY_TOTAL", "pcie_replay_total", 1),
    ("DCGM_FI_DEV_PCIE_LINK_GEN", "DCGM_FI_DEV_PCIE_LINK_GEN", "pcie_link_gen", 1),
]

# Kernel, perfquery, node_exporter and infiniband_exporter names, and what each must be multiplied by.
INFINIBAND = {
    "tx_bytes_total": [
        ("port_xmit_data", 4),
        ("PortXmitData", 4),
        ("node_infiniband_port_data_transmitted_bytes_total", 1),
        ("infiniband_switch_port_transmit_data_bytes_total", 1),
    ],
    "rx_bytes_total": [
        ("port_rcv_data", 4),
        ("PortRcvData", 4),
        ("node_infiniband_port_data_received_bytes_total", 1),
        ("infiniband_hca_port_receive_data_bytes_total", 1),
    ],
    "symbol_errors_total": [("symbol_error", 1), ("SymbolErrorCounter", 1)],
    "link_downed_total": [("link_downed", 1), ("node_infiniband_link_downed_total", 1)],
    "rx_errors_total": [("port_rcv_errors", 1), ("PortRcvErrors", 1)],
    "tx_discards_total": [("port_xmit_discards", 1), ("PortXmitDiscards", 1)],
    "xmit_wait_total": [("port_xmit_wait", 1), ("node_infiniband_port_transmit_wait_total", 1)],
}


@pytest.mark.parametrize("kind", FRAME_KINDS)
def test_every_metric_of_the_contract_is_catalogued(kind):
    """Producers write against the contract: nothing that it names is uncatalogued."""
    assert [name for name in CONTRACT[kind].split() if CATALOG.get(kind, name) is None] == []


@pytest.mark.parametrize(("old", "new", "name", "scale"), DCGM)
def test_dcgm_names_resolve_in_either_spelling(old, new, name, scale):
    """DCGM 4.6 renamed fields without changing what they carry; both spellings mean one metric."""
    for spelling in (old, new):
        metric, got = CATALOG.resolve("gpu", spelling)
        assert (metric.name, got) == (name, scale)


@pytest.mark.parametrize(
    ("name", "wire", "scale"), [(name, *alias) for name, aliases in INFINIBAND.items() for alias in aliases]
)
def test_infiniband_data_counters_are_in_units_of_four_bytes(name, wire, scale):
    """The kernel and perfquery count words; exporters have multiplied already."""
    metric, got = CATALOG.resolve("network", wire)
    assert (metric.name, got) == (name, scale)


def test_headroom_is_not_a_temperature():
    """The margin falls as the GPU warms, so its bad direction is down and its name another."""
    margin = CATALOG.get("gpu", "gpu_temp_margin_celsius")
    assert (margin.bad, CATALOG.get("gpu", "gpu_temp_celsius").bad) == ("down", "up")
    assert margin.low < 0


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("gpu", "gpu_temp_celsius", 30.0),
        ("gpu", "gpu_temp_celsius", 95.0),
        ("gpu", "hbm_temp_celsius", 95.0),
        ("gpu", "power_watts", 742.3),
        ("gpu", "power_watts", 1400.0),
        ("gpu", "sm_clock_mhz", 345.0),
        ("gpu", "sm_active_ratio", 1.004),
        ("gpu", "fb_used_bytes", 288e9),
        ("gpu", "nvlink_bandwidth_bytes", 1.8e12),
        ("gpu", "throttle_reasons", 0x1FF),
        ("gpu", "gemm_tflops", 20_000.0),
        ("network", "xmit_wait_total", 2.5e15),
        ("network", "rx_bytes_total", 1.8e19),
        ("facility", "coolant_flow_lpm", 12_000.0),
        ("facility", "power_kw", 40_000.0),
        ("job", "loss", -3.5),
        ("model", "parity_gap", -0.2),
        ("model", "quality_score", 4.5),
        ("cost", "cost_usd", -120.0),
        ("business", "revenue_usd", -10.0),
        ("business", "engagement_lift", -0.04),
        ("feature", "mean", -1e6),
    ],
)
def test_ranges_admit_what_real_instruments_read(kind, name, value):
    """A range refuses what nothing can mean, never a reading that is merely bad or big."""
    metric = CATALOG.get(kind, name)
    assert metric.low is None or value >= metric.low
    assert metric.high is None or value <= metric.high


@pytest.mark.parametrize("value", [999.0, -273.0, 9.223372036854776e18])
def test_ranges_refuse_what_no_gpu_temperature_can_be(value):
    """Codes for `no reading` that are no listed sentinel still fall out of the range."""
    metric = CATALOG.get("gpu", "gpu_temp_celsius")
    assert not metric.low <= value <= metric.high


def test_dcgm_blank_values_are_sentinels():
    """What DCGM writes for blank, not found, not supported and not permitted is no reading."""
    for blank in (0x7FFFFFFFFFFFFFF0, 0x7FFFFFF0, 140737488355328.0):
        assert all(float(blank + i) in CATALOG.sentinels for i in range(4))
    assert 9223372036854775794.0 in CATALOG.sentinels


def test_only_loss_and_gradient_norm_signal_by_not_being_finite():
    """NaN means something where gradients explode, nowhere else."""
    assert [(m.kind, m.name) for m in CATALOG.metrics if m.signal_nonfinite] == [
        ("job", "grad_norm"),
        ("job", "loss"),
    ]


def test_metrics_stand_in_canonical_order_and_families_are_used():
    """Whoever iterates gets one order; only freshness, which is computed, has no metric on the wire."""
    keys = [(m.kind, m.name) for m in CATALOG.metrics]
    assert keys == sorted(set(keys))
    assert set(FAMILIES) - {m.family for m in CATALOG.metrics} == {"application", "freshness", "other"}


def test_counters_and_events_are_what_their_names_say():
    """`_total` names are counters and no others are; the XID is the one event."""
    assert [m.name for m in CATALOG.metrics if (m.type == "counter") != m.name.endswith("_total")] == []
    assert [m.name for m in CATALOG.metrics if m.type == "event"] == ["xid"]
