"""Frames to incidents at 10,000 GPUs: samples a second, the time of a tick, bytes a series, where time goes.

    python -m tests.bench [--gpus 10000] [--minutes 20] [--profile]

The learning times are cut to minutes so that the measured half runs as the product does after learning.
Beside it the same lines are read by the standard library's json, and the ratio of the two is printed.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import loadgen
from monitor.adapters.recording import Recording
from monitor.adapters.rules import load_rules
from monitor.pipeline import Pipeline
from monitor.site import Setup, SiteOutput
from monitor.topology import Topology
from monitor.units import MINUTE

LEARNING = {"peer_learning_ms": 2, "own_learning_ms": 4, "freeze_ms": 5}


class Timed:
    """A pipeline whose ticks are timed."""

    def __init__(self, run: loadgen.run.Run, rules_dir: Path, *, rollups: bool = False) -> None:
        lines = [f"{name}: {value * MINUTE}" for name, value in LEARNING.items()]
        (rules_dir / "settings.yaml").write_text("\n".join(lines))
        rules = load_rules(rules_dir)
        topology = Topology.parse(run.topology_lines())
        setup = Setup(rules.catalog, rules.settings, rules.faults, topology, rollups=rollups)
        self.pipeline = Pipeline(setup)
        self.ticks: list[float] = []
        self.samples = self.incidents = 0

    def feed(self, recording: Recording) -> None:
        """Read a recording to its end."""
        for batch in recording.batches(1000):
            for clock, line in batch:
                if clock >= self.pipeline.closes_at:
                    self._take(self.pipeline.advance(clock))
                rejected = self.pipeline.accept(line.data, line.header, clock)
                assert rejected is None, rejected

    def _take(self, closed: Any) -> None:
        while True:
            began = time.perf_counter()
            output = next(closed, None)
            if output is None:
                return
            self.ticks.append(time.perf_counter() - began)
            self.take(output)

    def take(self, output: SiteOutput) -> None:
        """Take what a closed tick gave."""
        self.samples += output.samples
        self.incidents += len(output.incidents)


def write(run: loadgen.run.Run, out: Path) -> tuple[list[Path], int]:
    """Write a run in two halves: one to learn from, one to measure."""
    halves = [out / "learn.ndjson", out / "measure.ndjson"]
    frames = 0
    streams = [path.open("wb") for path in halves]
    for number, lines in enumerate(run.ticks()):
        late = number >= run.spec.ticks // 2
        frames += len(lines) * late
        streams[late].write(b"".join(line + b"\n" for line in lines))
    for stream in streams:
        stream.close()
    return halves, frames


def read_with_json(path: Path) -> float:
    """Return how long the standard library takes to read the lines of a file."""
    began = time.perf_counter()
    for line in path.open("rb"):
        json.loads(line)
    return time.perf_counter() - began


def measure(gpus: int, minutes: int, *, profile: bool) -> dict[str, Any]:
    """Run the benchmark and return its figures."""
    run = loadgen.simulate(loadgen.Spec("clean", gpus=gpus, hours=minutes / 60, interval=10, seed=1))
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        (learn, to_measure), frames = write(run, out)
        timed = Timed(run, out)
        timed.feed(Recording([learn]))
        timed.ticks.clear()
        before = timed.samples
        profiler = cProfile.Profile() if profile else None
        began, cpu = time.perf_counter(), time.process_time()
        if profiler:
            profiler.enable()
        timed.feed(Recording([to_measure]))
        if profiler:
            profiler.disable()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        plain = read_with_json(to_measure)
    site = timed.pipeline._site
    series = len(site._table)
    state = site._detect.nbytes + site._aggregate.nbytes
    if profiler:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    return {
        "gpus": gpus,
        "series": series,
        "frames": frames,
        "samples_per_second": round((timed.samples - before) / seconds),
        "samples_per_cpu_second": round((timed.samples - before) / cpu),
        "tick_ms_p50": round(1000 * float(np.percentile(timed.ticks, 50)), 1),
        "tick_ms_p99": round(1000 * float(np.percentile(timed.ticks, 99)), 1),
        "state_bytes_per_series": round(state / series, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seconds_beside_json_loads": round(seconds / plain, 2),
        "incidents": timed.incidents,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)  # as the command line does
    print(json.dumps(measure(asked.gpus, asked.minutes, profile=asked.profile), indent=1))


if __name__ == "__main__":
    main()
