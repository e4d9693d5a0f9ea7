"""The store: samples a second into it, alone and the whole way from frames, bytes a row, and what panels ask.

    python -m tests.bench.store [--gpus 10000] [--minutes 14] [--day-gpus 1000]

First minutes of frames of all GPUs through the pipeline into a store, the second half of them measured, until
all is durable; then cells made beforehand, 16 metrics a GPU, into the store alone, at 10 s and at 60 s; then a
day of minutes, written by the engine itself, a part of it twice as after a kill, on which the queries run.
Answers are asserted.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import loadgen
from monitor.adapters.clickhouse import Store
from monitor.adapters.recording import Recording
from monitor.adapters.storewriter import StoreWriter
from monitor.cells import Cells, SeriesNames
from monitor.site import SiteOutput
from monitor.store import queries
from monitor.store.tables import TIERS
from monitor.topology import Topology
from monitor.types import SeriesKey
from tests.bench.__main__ import Timed
from tests.bench.__main__ import write as write_frames

if TYPE_CHECKING:
    from collections.abc import Iterator

METRICS = 16
T0 = 1_795_500_000_000
RUNS = 20
PART_MINUTES = 6


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
        nodes = -(-self.gpus // 8)
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


class Recorded(Timed):
    """A pipeline whose ticks are timed, and written into a store."""

    def __init__(self, run: loadgen.run.Run, rules_dir: Path, writer: StoreWriter) -> None:
        super().__init__(run, rules_dir, rollups=True)
        self.writer = writer

    def take(self, output: SiteOutput) -> None:
        """Take what a closed tick gave."""
        super().take(output)
        self.writer.tick(output)


@contextmanager
def new_store() -> Iterator[Store]:
    """Open a store that is thrown away."""
    with tempfile.TemporaryDirectory() as name, Store.open(f"chdb://{name}/store", create=True) as store:
        yield store


def assert_counted(store: Store, samples: int) -> None:
    """Every sample is counted once in every tier."""
    for tier in TIERS:
        assert store.rows(f"SELECT sum(count) FROM {tier} FINAL")[0][0] == samples, tier


def whole_way(gpus: int, minutes: int) -> dict[str, Any]:
    """Read frames into a store; of the second half, the samples a second until all is durable and rolled."""
    run = loadgen.simulate(loadgen.Spec("clean", gpus=gpus, hours=minutes / 60, interval=10, seed=1))
    with tempfile.TemporaryDirectory() as name, new_store() as store:
        (learn, to_measure), _ = write_frames(run, Path(name))
        timed = Recorded(run, Path(name), StoreWriter(store, 10_000))
        timed.feed(Recording([learn]))
        timed.writer.sync()
        before = timed.samples
        began, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
        timed.feed(Recording([to_measure]))
        own = time.thread_time() - own
        timed.writer.finish()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        timed.writer.close()
        samples = timed.samples - before
        stored = store.rows("SELECT sum(count) FROM s10 FINAL")[0][0]
        assert 0.99 * timed.samples < stored <= timed.samples, "what is not finite is left out"
        assert_counted(store, stored)
    return {
        "samples_per_second": round(samples / seconds),
        "samples_per_cpu_second_of_the_pipeline": round(samples / own),
        "samples_per_cpu_second_of_all": round(samples / cpu),
    }


def write(store: Store, fleet: Fleet, ticks: list[SiteOutput]) -> float:
    """Write ticks and wait until all is durable and rolled; return the samples a second."""
    writer = StoreWriter(store, 10_000)
    began = time.perf_counter()
    for tick in ticks:
        writer.tick(tick)
    writer.finish()
    seconds = time.perf_counter() - began
    writer.close()
    return sum(tick.samples for tick in ticks) / seconds


def store_alone(gpus: int, minutes: int) -> dict[str, Any]:
    """Write cells at 10 s, and as many at 60 s into another store."""
    fleet, found = Fleet(gpus), {}
    for name, step in (("dense", 10_000), ("sparse", 60_000)):
        with new_store() as store:
            ticks = list(fleet.ticks(T0, minutes * 6, step))
            found[f"{name}_samples_per_second"] = round(write(store, fleet, ticks))
            assert_counted(store, gpus * METRICS * len(ticks))
            del ticks
            began = time.perf_counter()
            for tier in TIERS:
                store.command(f"OPTIMIZE TABLE {tier} FINAL")
            found[f"{name}_merge_seconds"] = round(time.perf_counter() - began, 1)
            found[f"{name}_bytes_per_row"] = {
                row.table: round(row.bytes / row.rows, 1) for row in store.stats() if row.table in TIERS
            }
    return found


MINUTES = """\
INSERT INTO m1 (ts, kind, entity, metric, count, mean, m2, min, max, last, anomalous)
SELECT toDateTime({start:UInt32} + 60 * (number % {minutes:UInt32}), 'UTC'), 'gpu',
  concat('gpu:n', leftPad(toString(intDiv(gpu, 8)), 5, '0'), '/', toString(gpu % 8)),
  concat('metric_', leftPad(toString(intDiv(series, {gpus:UInt32})), 2, '0')), 6,
  60 + cityHash64(series) % 100 / 10 + cityHash64(series, {start:UInt32}, number) % 50 / 60 AS centre,
  cityHash64(number) % 90 / 10, centre - 1, centre + 1, round(centre, 1), cityHash64(centre, gpu) % 100 = 0
FROM (
  SELECT number, intDiv(number, {minutes:UInt32}) AS series, series % {gpus:UInt32} AS gpu
  FROM numbers({gpus:UInt64} * {metrics:UInt64} * {minutes:UInt64})
)"""


def a_day(gpus: int) -> dict[str, Any]:
    """Fill a day of minutes, six at a time; return the time of each query on it, and the parts it lies in."""
    with new_store() as store:
        writer = StoreWriter(store, 10_000)
        writer.topology(Fleet(gpus).topology())
        writer.sync()
        writer.close()
        first = T0 // 86_400_000 * 86_400
        starts = list(range(first, first + 86_400, PART_MINUTES * 60))
        for start in [*starts, *starts[-10:]]:
            store.command(MINUTES, start=start, minutes=PART_MINUTES, gpus=gpus, metrics=METRICS)
        rows = store.rows("SELECT count() FROM m1 FINAL")[0][0]
        assert rows == gpus * METRICS * 1440
        parts = next(row.parts for row in store.stats() if row.table == "m1")
        return {"rows": rows, "parts": parts, "query_ms_p50_p95": ask(store, gpus, first + 86_400)}


def ask(store: Store, gpus: int, last: int) -> dict[str, list[float]]:
    """Return the time of each query, median and 95 %, in milliseconds."""
    times = {}
    six = {"metric": "metric_03", "from": last - 6 * 3600, "to": last, "step": 300, "group": "rack"}
    racks = len({gpu // 64 for gpu in range(gpus)})
    for query, more, answers in (
        (queries.BY_GROUP, {}, 72 * racks),
        (queries.LATEST, {"from": last - 300}, gpus),
        (queries.ONE_SERIES, {"entity": "gpu:n00003/5", "from": last - 86_400}, 1440),
        (queries.FLEET_MEAN, {"kind": "gpu:"}, 72),
        (queries.MOST_ANOMALOUS, {"from": last - 3600, "limit": 20}, 20),
    ):
        took = []
        for _ in range(RUNS):
            began = time.perf_counter()
            rows = store.rows(query.on("m1"), **{**six, **more})
            took.append(1000 * (time.perf_counter() - began))
            assert len(rows) == answers, query.name
        times[query.name] = [round(float(np.percentile(took, share)), 1) for share in (50, 95)]
    return times


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=14)
    parser.add_argument("--day-gpus", type=int, default=1000)
    asked = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)  # as the command line does
    found: dict[str, Any] = {"gpus": asked.gpus}
    if asked.gpus:
        found["whole_way"] = whole_way(asked.gpus, asked.minutes)
        found["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found["store_alone"] = store_alone(asked.gpus, asked.minutes)
    if asked.day_gpus:
        found["day_gpus"], found["day"] = asked.day_gpus, a_day(asked.day_gpus)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
