"""The store: samples a second into it, bytes a row, and the time of what panels ask, with the answers asserted.

    python -m tests.bench.store [--gpus 2000] [--minutes 10] [--hours 6]

First minutes of all GPUs at 10 s, 16 metrics each, inserted and rolled as a replay does; then hours of them at
a sample a minute, on which the queries run. Cells are made beforehand: only the store is timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.adapters.clickhouse import Store
from monitor.adapters.storewriter import StoreWriter
from monitor.cells import Cells, SeriesNames
from monitor.site import SiteOutput
from monitor.store import queries
from monitor.topology import Topology
from monitor.types import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Iterator

METRICS = 16
T0 = 1_795_500_000_000
RUNS = 3


class Fleet:
    """Series of GPUs that wander around levels of their own, in steps of a tenth."""

    def __init__(self, gpus: int) -> None:
        self.gpus = gpus
        keys = [
            SeriesKey("gpu", f"gpu:n{gpu // 8:05d}/{gpu % 8}", f"metric_{metric:02d}")
            for gpu in range(gpus)
            for metric in range(METRICS)
        ]
        self.names = SeriesNames.of(keys)
        self._rng = np.random.default_rng(1)
        self._level = self._rng.normal(60, 5, len(keys))

    def topology(self) -> Topology:
        """Return the GPUs in nodes of 8 and racks of 64."""
        nodes = self.gpus // 8
        lines = [json.dumps({"id": f"rack:r{rack:04d}"}) for rack in range(nodes // 8 + 1)]
        lines += [
            json.dumps({"id": f"node:n{node:05d}", "parent": f"rack:r{node // 8:04d}"})
            for node in range(nodes)
        ]
        lines += [
            json.dumps({"id": f"gpu:n{gpu // 8:05d}/{gpu % 8}", "parent": f"node:n{gpu // 8:05d}"})
            for gpu in range(self.gpus)
        ]
        return Topology.parse(lines)

    def ticks(self, start: int, count: int, step_ms: int) -> Iterator[SiteOutput]:
        """Yield closed ticks with one sample of each series."""
        series = len(self._level)
        row = np.arange(series)
        for i in range(1, count + 1):
            end = start + i * step_ms
            value = np.round(self._level + self._rng.normal(0, 1, series), 1)
            ts = end - self._rng.integers(0, 5000, series)
            odd = self._rng.random(series) < 0.01
            yield SiteOutput(end, series, (), (), (), cells=Cells(end, self.names, row, ts, value, odd))


def write(store: Store, fleet: Fleet, ticks: list[SiteOutput]) -> float:
    """Write ticks and wait until all is durable and rolled; return the seconds."""
    writer = StoreWriter(store, 10_000)
    writer.topology(fleet.topology())
    writer.sync()
    began = time.perf_counter()
    for tick in ticks:
        writer.tick(tick)
    writer.finish()
    seconds = time.perf_counter() - began
    writer.close()
    return seconds


def ask(store: Store, hours: int) -> dict[str, float]:
    """Return the least time of each query over the last hours, in milliseconds."""
    last = store.rows("SELECT toUnixTimestamp(max(ts)) FROM m1")[0][0] + 60
    times = {}
    bound = {"metric": "metric_03", "from": last - hours * 3600, "to": last, "step": 300, "group": "rack"}
    latest = {**bound, "from": last - 300}
    for query, more in (
        (queries.BY_GROUP, bound),
        (queries.LATEST, latest),
        (queries.ONE_SERIES, {**bound, "entity": "gpu:n00003/5"}),
        (queries.FLEET_MEAN, {**bound, "kind": "gpu:"}),
        (queries.MOST_ANOMALOUS, {**bound, "from": last - 3600, "limit": 20}),
    ):
        took = []
        for _ in range(RUNS):
            began = time.perf_counter()
            rows = store.rows(query.on("m1"), **more)
            took.append(time.perf_counter() - began)
        assert rows, query.name
        times[query.name] = round(min(took) * 1000, 1)
    return times


def measure(gpus: int, minutes: int, hours: int) -> dict[str, Any]:
    """Run the benchmark and return its figures."""
    fleet, found = Fleet(gpus), {}
    with tempfile.TemporaryDirectory() as name, Store.open(f"chdb://{name}/store", create=True) as store:
        dense = list(fleet.ticks(T0, minutes * 6, 10_000))
        found["dense_samples_per_second"] = round(sum(t.samples for t in dense) / write(store, fleet, dense))
        del dense
        sparse = 0.0
        for hour in range(hours):
            ticks = list(fleet.ticks(T0 + (hour + 1) * 3_600_000, 60, 60_000))
            sparse += write(store, fleet, ticks)
        samples = gpus * METRICS * 60 * hours
        found["sparse_samples_per_second"] = round(samples / sparse)
        held = gpus * METRICS * (minutes * 6 + 60 * hours)
        for tier in ("s10", "m1", "h1"):
            assert store.rows(f"SELECT sum(count) FROM {tier} FINAL")[0][0] == held, tier
        began = time.perf_counter()
        for tier in ("s10", "m1", "h1"):
            store.command(f"OPTIMIZE TABLE {tier} FINAL")
        found["merge_seconds"] = round(time.perf_counter() - began, 1)
        found["query_ms"] = ask(store, hours)
        found["bytes_per_row"] = {
            name: round(size / rows, 1)
            for name, rows, size, _ in store.stats()
            if name in {"s10", "m1", "h1"}
        }
    return {
        "gpus": gpus, "series": gpus * METRICS, "rows_m1": gpus * METRICS * (minutes + 60 * hours), **found,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, default=2000)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--hours", type=int, default=6)
    asked = parser.parse_args()
    print(json.dumps(measure(asked.gpus, asked.minutes, asked.hours), indent=1))


if __name__ == "__main__":
    main()
