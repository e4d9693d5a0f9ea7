"""Real scrapes and the exporter's own lists: exactly which series become frames, and which are left."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from monitor.adapters.rules import load_rules
from monitor.ingest.exposition.assembly import Assembly
from monitor.ingest.exposition.placing import Placer
from monitor.ingest.exposition.tally import Tally
from monitor.ingest.exposition.target import Target
from monitor.ingest.frames import read_header
from monitor.pipeline import Pipeline
from monitor.reasons import Quality
from monitor.site import Setup
from monitor.topology import Topology

pytestmark = pytest.mark.conformance

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
SAMPLES = DATA / "exposition_samples"
RULES = load_rules()
T0 = 1_795_500_000_000

T4 = """DEC_UTIL ENC_UTIL FB_FREE FB_USED GPU_TEMP GPU_UTIL MEM_CLOCK MEM_COPY_UTIL NVLINK_BANDWIDTH_TOTAL
    PCIE_REPLAY_COUNTER POWER_USAGE SM_CLOCK TOTAL_ENERGY_CONSUMPTION XID_ERRORS"""
T4_LEFT = "FB_TOTAL FB_USED_PERCENT POWER_MGMT_LIMIT PSTATE SLOWDOWN_TEMP VGPU_LICENSE_STATUS"
VLLM_LEFT = """cache_config_info engine_sleep_state num_preemptions_total num_requests_running
    num_requests_waiting prompt_tokens_total time_per_output_token_seconds time_to_first_token_seconds"""

FRAMES = {
    "dcgm_exporter_t4_a10g.prom": {
        ("node:424773df46e0", "0"): [f"DCGM_FI_DEV_{name}" for name in T4.split()],
        ("node:551bdf382151", "0"): ["DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"],
        ("node:ip-11111", "0"): ["DCGM_FI_PROF_DRAM_ACTIVE"],
    },
    "dcgm_exporter_v100_readme_blank_sentinel.prom": {
        ("node:host", "0"): ["DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_MEM_CLOCK", "DCGM_FI_DEV_SM_CLOCK"],
    },
    "triton_t4_subset.prom": {
        ("node:host", "GPU-951eeeeb-d284-d263-688e-d98a5306389b"): [
            "nv_energy_consumption", "nv_gpu_memory_used_bytes", "nv_gpu_power_usage", "nv_gpu_utilization",
        ],
        ("model:densenet_onnx", "host:1"): [
            "latency_p50_ms", "latency_p99_ms", "nv_inference_request_success",
        ],
        ("model:simple_string", "host:1"): ["nv_inference_request_success"],
    },
    "vllm_opt125m_subset.prom": {
        ("model:facebook/opt-125m", "host:1"): [
            "vllm:generation_tokens_total", "vllm:gpu_cache_usage_perc", "vllm:request_success_total",
        ],
    },
}  # fmt: skip
LEFT = {
    "dcgm_exporter_t4_a10g.prom": [f"DCGM_FI_DEV_{name}" for name in T4_LEFT.split()],
    "dcgm_exporter_v100_readme_blank_sentinel.prom": [],
    "triton_t4_subset.prom": [
        "nv_gpu_memory_total_bytes", "nv_gpu_power_limit", "nv_inference_compute_infer_duration_us",
        "nv_inference_pending_request_count", "nv_inference_queue_duration_us",
    ],
    "vllm_opt125m_subset.prom": [f"vllm:{name}" for name in VLLM_LEFT.split()],
}  # fmt: skip


def frames_of(text: str, *, assembly: Assembly | None = None):
    target = Target(Placer(RULES.labelmaps, RULES.catalog), {"instance": "host:1", "job": "j"})
    scrape, placed = target.read(text, T0)
    assert scrape.bad_lines == 0
    tally = Tally()
    tally.replace("host:1", target.left)
    return (assembly or Assembly()).put(placed, T0), tally.report()


def text_of(name: str) -> str:
    if not (SAMPLES / name).exists():
        pytest.skip(f"{name} is not on this machine")
    return (SAMPLES / name).read_text()


def test_every_sample_is_tested():
    """A scrape that is added is looked at."""
    if not SAMPLES.exists():
        pytest.skip("exposition_samples is not on this machine")
    assert {path.name for path in SAMPLES.glob("*.prom")} == FRAMES.keys() == LEFT.keys()


@pytest.mark.parametrize("name", FRAMES)
def test_a_real_scrape(name):
    """Which series are in which frame, and which are in none."""
    lines, left = frames_of(text_of(name))
    frames = [json.loads(line) for line in lines]
    assert all(frame["ts"] == T0 for frame in frames)
    got = {(f["source"], item): sorted(f["metrics"]) for f in frames for item in f["items"]}
    assert got == FRAMES[name]
    assert sorted(row.name for row in left) == LEFT[name]
    assert {row.reason for row in left} <= {"unmapped"}


def test_real_readings_come_out_in_our_units():
    """MiB, mJ, percent and the last XID as the catalogue means them; DCGM's blank is no temperature."""
    setup = Setup(RULES.catalog, RULES.settings, RULES.faults, Topology.empty(), rollups=True)
    pipeline = Pipeline(setup)
    got, assembly = {}, Assembly()
    for name in FRAMES:
        for line in frames_of(text_of(name), assembly=assembly)[0]:
            assert pipeline.accept(line, read_header(line), T0) is None
    for output in pipeline.finish(T0):
        names = output.cells.names
        for row, value in zip(output.cells.row, output.cells.value, strict=True):
            got[names.entities[names.entity[row]], names.metrics[names.metric[row]][1]] = float(value)
    assert got["gpu:424773df46e0/0", "fb_free_bytes"] == 15109 * 2**20
    assert got["gpu:424773df46e0/0", "xid"] == 0
    assert got["gpu:424773df46e0/0", "power_watts"] == 8.969
    assert got["gpu:551bdf382151/0", "throttle_reasons"] == 1
    assert ("gpu:host/0", "hbm_temp_celsius") not in got
    assert pipeline.quality[Quality.SENTINEL] == 1
    assert pipeline.quality[Quality.UNCATALOGUED] == pipeline.quality[Quality.OUT_OF_RANGE] == 0


@pytest.mark.parametrize(
    "name", ["default-counters.csv", "dcp-metrics-included.csv", "1.x-compatibility-metrics.csv"]
)
def test_the_exporters_counter_lists(name):
    """Every field that an operator can switch on: the listed ones are left, all others are in the node's frame."""
    path = DATA / "dcgm_exporter" / "etc" / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    rows = csv.reader(line.lstrip("# ") for line in path.read_text().splitlines())
    listed = sorted(
        {row[0].strip() for row in rows if len(row) > 2 and row[1].strip() in {"gauge", "counter"}}
    )
    text = "".join(f'{field}{{gpu="0",UUID="GPU-1",Hostname="n1"}} 1\n' for field in listed)
    lines, left = frames_of(text)
    (frame,) = [json.loads(line) for line in lines]
    names = [row.name for row in left]
    assert sorted([*frame["metrics"], *names]) == listed
    assert [n for n in names if not _LEFT_OUT.fullmatch(n)] == []


# Listed by the exporter, and not telemetry that this product judges (see test_exporter_names.py).
_LEFT_OUT = re.compile(
    r"DCGM_EXP_\w+|\w+_VIOLATION|dcgm_\w+_violation|\w+_PIPE_FP\d+_ACTIVE|\w+_VGPU_LICENSE_STATUS|\w+BANDWIDTH_L0"
    r"|dcgm_fi_prof_(gr_engine|sm|pipe_tensor|dram)_active|dcgm_fi_prof_sm_occupancy"
)
