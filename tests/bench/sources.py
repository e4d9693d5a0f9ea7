"""Speed and memory of sources: `python -m tests.bench.sources --nodes 200`, nodes of 8 GPUs x 30 metrics.

Prints thousands of samples a CPU second, scraped text and pushed messages, to frames: the first time, when
each series is parsed and placed, and later; and memory that a node takes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from monitor.adapters.rules import load_rules
from monitor.ingest.exposition.remote import RemoteWrite
from monitor.ingest.exposition.target import Target
from monitor.runners.sources import Sources
from tests.scrape.requests import packed, request1

T0, INTERVAL, TIMES = 1_795_500_000_000, 15_000, 4
HEADERS = {"content-encoding": "snappy", "content-type": "application/x-protobuf"}
PAGE = 4096


def fields() -> list[str]:
    """Return 30 names of DCGM."""
    metrics = [metric for metric in load_rules().catalog.metrics if metric.kind == "gpu" and metric.aliases]
    return [m.aliases[0].name for m in metrics if m.aliases[0].name.startswith("DCGM")][:30]


def labels(node: int, gpu: int) -> dict[str, str]:
    """Return what dcgm-exporter says of a GPU."""
    own = {
        "gpu": str(gpu),
        "UUID": f"GPU-{node:06}-{gpu}",
        "device": f"nvidia{gpu}",
        "modelName": "NVIDIA H100",
    }
    return {
        **own,
        "Hostname": f"n{node:05}",
        "pci_bus_id": f"0{gpu}:00.0",
        "DCGM_FI_DRIVER_VERSION": "550.54",
    }


def text(node: int, names: list[str]) -> str:
    """Return a scrape of a node."""
    of_gpu = [",".join(f'{k}="{v}"' for k, v in labels(node, gpu).items()) for gpu in range(8)]
    return "".join(f"{name}{{{of_gpu[gpu]}}} {50 + gpu}\n" for name in names for gpu in range(8))


def body(node: int, names: list[str], ts: int) -> bytes:
    """Return a push of a node."""
    more = {"instance": f"n{node:05}:9400", "job": "dcgm"}
    series = [({**labels(node, g), **more, "__name__": n}, [(50.0 + g, ts)]) for n in names for g in range(8)]
    return packed(request1(series))


def resident_mb() -> float:
    """Return the memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def scrapes(nodes: int, names: list[str]) -> dict[str, Any]:
    """Scrape all nodes again and again."""
    sources, texts, rates = Sources(load_rules()), [text(node, names) for node in range(nodes)], []
    targets = [Target(sources.placer, {"instance": f"n{n:05}:9400", "job": "dcgm"}) for n in range(nodes)]
    before = resident_mb()
    for k in range(TIMES):
        began, samples, ts = time.process_time(), 0, T0 + k * INTERVAL
        for n, target in enumerate(targets):
            scrape, placed = target.read(texts[n], ts)
            samples += len(scrape.samples)
            assert len(sources.frames(f"n{n}", placed, target.left, ts)) == 1
        rates.append(round(samples / (time.process_time() - began) / 1000))
    return {
        "scrape_first": rates[0],
        "scrape": max(rates),
        "mb_a_node": round((resident_mb() - before) / nodes, 2),
    }


def pushes(nodes: int, names: list[str]) -> dict[str, Any]:
    """Take a push of each node again and again."""
    sources, rates = Sources(load_rules()), []
    remote = RemoteWrite(sources.placer)
    for k in range(TIMES):
        ts = T0 + k * INTERVAL
        bodies = [body(node, names, ts) for node in range(nodes)]
        began, samples = time.process_time(), 0
        for one in bodies:
            push = remote.read(HEADERS, one, ts)
            samples += len(push.placed)
            assert len(sources.assemble(push.placed, ts)) == 1
        rates.append(round(samples / (time.process_time() - began) / 1000))
    return {"push_first": rates[0], "push": max(rates)}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=200)
    nodes, names = parser.parse_args().nodes, fields()
    found = {"nodes": nodes, "samples_a_node": 8 * len(names)}
    print(json.dumps({**found, **scrapes(nodes, names), **pushes(nodes, names)}, indent=1))


if __name__ == "__main__":
    main()
