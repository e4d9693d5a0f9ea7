"""Scrapes to frames: who, which metric, when, and what is worked out over two scrapes."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.exposition.derived import growth, quantile, total
from monitor.ingest.exposition.placing import Left, Placer, Slot
from monitor.ingest.frames import Body, read_body, read_header
from monitor.pipeline import Pipeline
from monitor.site import Setup
from monitor.topology import Topology

from .conftest import T0, Scraped

DCGM = 'DCGM_FI_DEV_GPU_TEMP{{gpu="{gpu}",UUID="GPU-{gpu}",Hostname="n7",modelName="H100"}} {value}\n'


def test_gpus_of_a_node_are_one_frame(scraped):
    """Values are aligned with items; what one GPU does not say is null; the SKU is a tag."""
    text = "".join(DCGM.format(gpu=g, value=60 + g) for g in (10, 2, 0))
    text += 'DCGM_FI_DEV_POWER_USAGE{gpu="2",Hostname="n7",modelName="H100"} 300.5\n'
    assert scraped.scrape(text) == [
        {
            "kind": "gpu", "ts": T0, "source": "node:n7", "items": ["0", "2", "10"], "tags": {"sku": "H100"},
            "metrics": {
                "DCGM_FI_DEV_GPU_TEMP": [60.0, 62.0, 70.0],
                "DCGM_FI_DEV_POWER_USAGE": [None, 300.5, None],
            },
        }
    ]  # fmt: skip


def test_frames_are_the_contracts(scraped):
    """The pipeline's own reader takes them, non-finite values too."""
    text = DCGM.format(gpu=0, value="NaN") + DCGM.format(gpu=1, value="+Inf")
    _, placed = scraped.target.read(text, T0)
    (line,) = scraped.assembly.put(placed, T0)
    body = read_body(line)
    assert isinstance(body, Body)
    assert body.metrics == {"DCGM_FI_DEV_GPU_TEMP": ["NaN", "Infinity"]}


@pytest.mark.parametrize(
    ("labels", "source", "item"),
    [
        ('gpu="1",Hostname="n7"', "node:n7", "1"),
        ('gpu="1",hostname="n8",Hostname=""', "node:n8", "1"),
        ('gpu="1"', "node:n0001", "1"),
        ('gpu="1",Hostname="n7",GPU_I_ID="3"', "node:n7", "1.3"),
    ],
)
def test_who_a_dcgm_sample_is_of(scraped, labels, source, item):
    """Old and new host labels, else the target's host; MIG instances are items of their own."""
    (frame,) = scraped.scrape(f"DCGM_FI_DEV_GPU_TEMP{{{labels}}} 50\n")
    assert (frame["source"], frame["items"]) == (source, [item])


def test_what_cannot_be_placed_is_told(scraped):
    """A GPU metric without a GPU, a metric that nobody knows."""
    assert (
        scraped.scrape(
            'DCGM_FI_DEV_GPU_TEMP{Hostname="n7"} 50\nacme_widgets 3\nDCGM_FI_DEV_PSTATE{gpu="0"} 1\n'
        )
        == []
    )
    assert scraped.left == [
        ("labels_missing", "DCGM_FI_DEV_GPU_TEMP"),
        ("unmapped", "DCGM_FI_DEV_PSTATE"),
        ("unmapped", "acme_widgets"),
    ]


def test_a_gpu_is_found_by_its_uuid(rules):
    """Triton knows UUIDs only; the topology's tag says whose they are."""
    scraped = Scraped(rules, "n0007:8002", gpus={"GPU-9": ("node:n7", "3")})
    frames = scraped.scrape(
        'nv_gpu_power_usage{gpu_uuid="GPU-9"} 32\nnv_gpu_power_usage{gpu_uuid="GPU-5"} 40\n'
    )
    assert [(f["source"], f["items"]) for f in frames] == [("node:n0007", ["GPU-5"]), ("node:n7", ["3"])]


def test_a_label_map_can_be_chosen(rules):
    """Of another map nothing is placed."""
    labels = {"gpu": "0", "Hostname": "n7"}
    placer = Placer(rules.labelmaps, rules.catalog)
    assert isinstance(placer.place("DCGM_FI_DEV_GPU_TEMP", labels, "dcgm"), Slot)
    assert placer.place("DCGM_FI_DEV_GPU_TEMP", labels, "vllm") is Left.UNMAPPED


def test_a_counter_that_openmetrics_renamed_is_known(scraped):
    """OpenMetrics puts `_total` behind the names of counters."""
    (frame,) = scraped.scrape('DCGM_FI_DEV_PCIE_REPLAY_COUNTER_total{gpu="0"} 4\n# EOF\n', openmetrics=True)
    assert frame["metrics"] == {"DCGM_FI_DEV_PCIE_REPLAY_COUNTER": [4.0]}


def test_honor_labels_says_whose_label_wins(rules):
    """By default the target's, and the exporter's stays under `exported_NAME`."""
    text = 'vllm:gpu_cache_usage_perc{model_name="m",instance="inner"} 0.5\n'
    assert Scraped(rules, "outer:1").scrape(text)[0]["items"] == ["outer:1"]
    assert Scraped(rules, "outer:1", honor_labels=True).scrape(text)[0]["items"] == ["inner"]


def test_honor_timestamps_says_whose_time_counts(rules):
    """A sample's own time counts unless told otherwise, and several times are several frames."""
    text = f'DCGM_FI_DEV_GPU_TEMP{{gpu="0"}} 50 {T0 - 5000}\nDCGM_FI_DEV_POWER_USAGE{{gpu="0"}} 300\n'
    assert [f["ts"] for f in Scraped(rules).scrape(text)] == [T0 - 5000, T0]
    assert [f["ts"] for f in Scraped(rules, honor_timestamps=False).scrape(text)] == [T0]


def test_two_series_that_fall_on_one_are_counted(scraped):
    """One of them counts, always the same one, and the others are told."""
    lines = [f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",pod="{pod}"}} {value}\n' for pod, value in (("b", 2), ("a", 1))]
    assert scraped.scrape("".join(lines))[0]["metrics"] == {"DCGM_FI_DEV_GPU_TEMP": [1.0]}
    assert scraped.assembly.doubled == {"DCGM_FI_DEV_GPU_TEMP": 1}
    assert Scraped.scrape(scraped, "".join(reversed(lines)), T0 + 1)[0]["metrics"] == {
        "DCGM_FI_DEV_GPU_TEMP": [1.0]
    }


def vllm(requests: dict[str, float], buckets: dict[str, float]) -> str:
    """Return what vLLM shows: requests by how they finished, how many took at most so long."""
    lines = [
        f'vllm:request_success_total{{model_name="m",finished_reason="{r}"}} {n}' for r, n in requests.items()
    ]
    name = "vllm:e2e_request_latency_seconds"
    lines += [f'{name}_bucket{{model_name="m",le="{le}"}} {n}' for le, n in buckets.items()]
    lines += [f'{name}_sum{{model_name="m"}} 9', f'{name}_count{{model_name="m"}} {buckets["+Inf"]}']
    return "\n".join(lines) + "\n"


def test_latency_is_of_the_time_between_two_scrapes(scraped):
    """Not since the server began: a slow hour would not be seen behind a fast month."""
    (first,) = scraped.scrape(vllm({"stop": 1000, "length": 5}, {"0.1": 1000, "1.0": 1005, "+Inf": 1005}))
    assert first["metrics"] == {"vllm:request_success_total": [1005.0]}
    text = vllm({"stop": 1100, "length": 15}, {"0.1": 1000, "1.0": 1105, "+Inf": 1115})
    (frame,) = scraped.scrape(text, T0 + 15_000)
    assert frame["metrics"] == {
        "latency_p50_ms": [pytest.approx(100 + 900 * 55 / 100)],
        "latency_p99_ms": [1000.0],
        "vllm:request_success_total": [1115.0],
    }
    assert scraped.left == []


def test_without_requests_there_is_no_latency(scraped):
    """Null, not 0."""
    text = vllm({"stop": 10}, {"0.1": 10, "1.0": 10, "+Inf": 10})
    scraped.scrape(text)
    assert scraped.scrape(text, T0 + 15_000)[0]["metrics"] == {"vllm:request_success_total": [10.0]}


def test_a_server_that_began_anew_is_no_negative_latency(scraped):
    """What it shows now is what came since."""
    scraped.scrape(vllm({"stop": 1000}, {"0.1": 1000, "1.0": 1000, "+Inf": 1000}))
    (frame,) = scraped.scrape(vllm({"stop": 4}, {"0.1": 0, "1.0": 4, "+Inf": 4}), T0 + 15_000)
    assert frame["metrics"]["latency_p50_ms"] == [pytest.approx(550)]


def test_triton_errors_are_a_share_of_what_grew(scraped):
    """And the mean latency is time spent over requests answered."""

    def text(success, failure, us):
        return (
            f'nv_inference_request_success{{model="m",version="1"}} {success}\n'
            f'nv_inference_request_failure{{model="m",version="1",reason="BACKEND"}} {failure}\n'
            f'nv_inference_request_duration_us{{model="m",version="1"}} {us}\n'
        )

    scraped.scrape(text(100, 0, 1_000_000))
    (frame,) = scraped.scrape(text(190, 10, 1_900_000), T0 + 15_000)
    assert frame["metrics"] == {
        "error_ratio": [0.1], "latency_mean_ms": [10.0], "nv_inference_request_success": [190.0]
    }  # fmt: skip


def test_the_parts_of_a_moment_are_one_frame_in_the_end(rules):
    """However a scrape is cut and in whatever order it comes, the frame with the highest `seq` is the whole one."""
    first = vllm({"stop": 10, "length": 1}, {"0.1": 5, "1.0": 10, "+Inf": 11})
    then = vllm({"stop": 20, "length": 2}, {"0.1": 5, "1.0": 18, "+Inf": 22})
    whole = Scraped(rules)
    whole.scrape(first)
    (expected,) = whole.scrape(then, T0 + 15_000)
    for seed in range(20):
        parts = Scraped(rules)
        parts.scrape(first)
        _, placed = parts.target.read(then, T0 + 15_000)
        random.Random(seed).shuffle(placed)
        got = [line for i in range(0, len(placed), 2) for line in parts.assembly.put(placed[i : i + 2], T0)]
        last = max((read_body(line) for line in got), key=lambda body: -1 if body.seq is None else body.seq)
        assert (last.items, last.metrics) == (expected["items"], expected["metrics"])


def test_a_part_that_comes_again_changes_nothing(scraped):
    """A sender that had no answer sends again."""
    _, placed = scraped.target.read(vllm({"stop": 10, "length": 2}, {"0.1": 5, "+Inf": 12}), T0)
    (one,), (again,) = scraped.assembly.put(placed, T0), scraped.assembly.put(placed, T0)
    assert read_body(one).metrics == read_body(again).metrics == {"vllm:request_success_total": [12.0]}


@given(st.lists(st.floats(0.001, 50), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(readings, q):
    """Against numpy: interpolation moves it within its bucket and nowhere else."""
    bounds = [0.1, 0.5, 1, 2, 5, 10, 20]
    counts = {b: float(sum(r <= b for r in readings)) for b in bounds} | {math.inf: float(len(readings))}
    true = float(np.quantile(readings, q, method="inverted_cdf"))
    got = quantile(q, counts)
    above = next((b for b in bounds if b >= true), bounds[-1])
    below = max((b for b in bounds if b < min(true, bounds[-1])), default=0.0)
    assert below <= got <= above


def test_half_of_a_histogram_has_no_quantile():
    """A sum or a growth with a part missing would be a false reading."""
    whole = {(0.1, b"a"): 1.0, (math.inf, b"a"): 2.0}
    assert total({(math.inf, b"a"): 2.0}, {(math.inf, b"a"): 1.0, (math.inf, b"b"): 1.0}) is None
    assert growth({(0.1, b"a"): 3.0, (math.inf, b"a"): 1.0}, whole) == {
        (0.1, b"a"): 3.0,
        (math.inf, b"a"): 1.0,
    }
    assert quantile(0.5, {math.inf: 3.0}) is None


def test_replicas_that_went_away_leave_nothing(scraped):
    """Pods come and go under new names for weeks."""
    for k in range(120):
        text = vllm({"stop": k}, {"0.1": k, "+Inf": k}).replace(
            'model_name="m"', f'model_name="m",engine="{k}"'
        )
        scraped.scrape(
            text + f'vllm:gpu_cache_usage_perc{{model_name="m",engine="{k}"}} 1\n', T0 + k * 60_000
        )
    (source,) = scraped.assembly._sources.values()
    assert len(source.inputs) <= 3 * 31
    assert len(source.owners) == len(source.moments) == 1


def test_counters_of_servers_become_rates_in_the_pipeline(rules, scraped):
    """What vLLM counts is requests and tokens a second, of a replica of its model."""
    pipeline = Pipeline(Setup(rules.catalog, rules.settings, rules.faults, Topology.empty(), rollups=True))
    for k in range(3):
        text = vllm({"stop": 100 + 30 * k}, {"0.1": 20 * k, "1.0": 30 * k, "+Inf": 30 * k})
        text += f'vllm:generation_tokens_total{{model_name="m"}} {k * 3000}\nvllm:kv_cache_usage_perc{{model_name="m"}} 0.5\n'
        _, placed = scraped.target.read(text, T0 + 15_000 * k)
        for line in scraped.assembly.put(placed, T0):
            assert pipeline.accept(line, read_header(line), T0 + 15_000 * k) is None
    got = {}
    for output in pipeline.finish(T0 + 30_000):
        names, cells = output.cells.names, output.cells
        for row, ts, value in zip(cells.row, cells.ts, cells.value, strict=True):
            assert names.entities[names.entity[row]] == "replica:m/n0001:9400"
            got[names.metrics[names.metric[row]][1], int(ts) - T0] = float(value)
    assert got["requests_per_second", 30_000] == 2.0
    assert got["tokens_per_second", 30_000] == 200.0
    assert got["saturation_ratio", 30_000] == 0.5
    assert got["latency_p50_ms", 30_000] == pytest.approx(75.0)
    assert pipeline.quality == {}
