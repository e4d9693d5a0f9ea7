"""The demo: a simulated hall with faults, through the pipeline, the incidents beside the truth."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import zstandard

import loadgen
from monitor.adapters.records import standing, transitions
from monitor.evaluate import evaluate
from monitor.runners.build import ReplayPlan, build_replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.evaluate import Report as Score
    from monitor.runners.recorder import Report
    from monitor.types import Floats, Incident

MAP_COLUMNS = 64


class _Temperatures(msgspec.Struct):
    kind: str
    ts: int
    source: str
    metrics: dict[str, list[float | None]] = {}


@dataclass(slots=True)
class HeatMap:
    """The hottest GPU of each rack over the run: shape (racks, columns), NaN where none spoke."""

    racks: list[str]
    hottest: Floats
    start: int
    column_ms: int


@dataclass(frozen=True, slots=True)
class Demo:
    """Everything the demo has to tell."""

    out: Path
    truth: dict[str, Any]
    heat: HeatMap
    report: Report
    incidents: list[Incident]
    score: Score


def simulate(spec: loadgen.Spec, out: Path, watch: Callable[[float], None]) -> tuple[dict[str, Any], HeatMap]:
    """Write a simulated run into a directory, and keep what a picture of it needs."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    run = loadgen.simulate(spec)
    topology = run.topology_lines()
    (out / "topology.ndjson").write_bytes(b"\n".join(topology) + b"\n")
    truth = run.truth()
    (out / "truth.json").write_bytes(msgspec.json.format(msgspec.json.encode(truth), indent=1))
    painter = _Painter(topology, spec)
    with zstandard.open(out / "frames.ndjson.zst", "wb") as stream:
        for tick, lines in enumerate(run.ticks()):
            stream.write(b"".join(line + b"\n" for line in lines))
            painter.look(lines)
            watch(min(1.0, tick / max(spec.ticks, 1)))
    return truth, painter.map


class _Painter:
    """Collects the hottest GPU of each rack from the frames as they are written."""

    def __init__(self, topology: list[bytes], spec: loadgen.Spec) -> None:
        parents = {e["id"]: e.get("parent", "") for e in map(msgspec.json.decode, topology)}
        self._rack_of = {name: box for name, box in parents.items() if name.startswith("node:")}
        racks = sorted(set(self._rack_of.values()))
        self._row = {rack: row for row, rack in enumerate(racks)}
        column_ms = -(-spec.ticks * spec.interval_ms // MAP_COLUMNS)
        self.map = HeatMap(racks, np.full((len(racks), MAP_COLUMNS), np.nan), spec.start, column_ms)
        self._decoder = msgspec.json.Decoder(_Temperatures)

    def look(self, lines: list[bytes]) -> None:
        """Take the GPU temperatures of some frames."""
        for line in lines:
            if not line.startswith(b'{"kind":"gpu"'):
                continue
            frame = self._decoder.decode(line)
            column = min(max((frame.ts - self.map.start) // self.map.column_ms, 0), MAP_COLUMNS - 1)
            read = [t for t in frame.metrics.get("gpu_temp_celsius", []) if t is not None and t < 150]
            if read:
                row = self._row[self._rack_of[frame.source]]
                self.map.hottest[row, column] = np.fmax(self.map.hottest[row, column], max(read))


def run_demo(
    spec: loadgen.Spec, out: Path, stages: tuple[Callable[[float], None], Callable[[float, Report], None]]
) -> Demo:
    """Simulate, replay, score. `stages` are told how far the simulation and the replay are."""
    truth, heat = simulate(spec, out, stages[0])
    plan = ReplayPlan(
        paths=(out / "frames.ndjson.zst",),
        topology=out / "topology.ndjson",
        incidents=out / "incidents.ndjson",
        anomalies=out / "anomalies.ndjson",
        dead=out / "dead.ndjson",
    )
    report = build_replay(plan).run(plan.batch_frames, stages[1])
    assert plan.incidents is not None
    lines = [msgspec.json.decode(line) for line in plan.incidents.read_bytes().splitlines()]
    return Demo(out, truth, heat, report, standing(transitions(plan.incidents)), evaluate(truth, lines))
