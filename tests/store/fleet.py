"""A small fleet's recording, its truth worked out with numpy, and stores read back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

import loadgen
from monitor.adapters.clickhouse import Store
from monitor.adapters.rules import load_rules
from monitor.ingest.frames import ITEM_KINDS
from monitor.runners.build import ReplayPlan, build_replay
from monitor.store.tables import TIERS

if TYPE_CHECKING:
    from pathlib import Path

Row = tuple[int, float, float, float, float, float]  # count, mean, m2, min, max, last
Rows = dict[tuple[str, str, str, int], Row]  # by (kind, entity, metric, start in seconds)

QUICK_RULES = "peer_learning_ms: 60000\nown_learning_ms: 120000\nfreeze_ms: 180000\nskew_ms: 60000\n"


def record(out: Path, spec: loadgen.Spec) -> Path:
    """Write a recording and its topology, in whose last third one GPU falls off the bus; return the frames."""
    run = loadgen.simulate(spec)
    frames = out / "frames.ndjson"
    ticks = list(run.ticks())
    with frames.open("wb") as stream:
        for number, lines in enumerate(ticks):
            for line in lines:
                stream.write((_lost(line) if number > len(ticks) * 2 // 3 else line) + b"\n")
    (out / "topology.ndjson").write_bytes(b"\n".join(run.topology_lines()))
    return frames


def _lost(line: bytes) -> bytes:
    frame = json.loads(line)
    if frame["kind"] == "gpu" and frame["source"] == "node:n0001" and "xid" in frame["metrics"]:
        frame["metrics"]["xid"][3] = 79
    return json.dumps(frame).encode()


def rules(out: Path) -> Path:
    """Write rules under which all is learnt in minutes."""
    path = out / "rules"
    path.mkdir()
    (path / "settings.yaml").write_text(QUICK_RULES)
    return path


def replay(frames: Path, dsn: str | None, **options: Any) -> Any:
    """Replay in this process; return the report."""
    plan = ReplayPlan(paths=(frames,), store=dsn, **options)
    return build_replay(plan).run(plan.batch_frames, lambda _share, _report: None)


def command(frames: Path, dsn: str, *more: str) -> list[str]:
    """Return the command line of the same replay."""
    return [sys.executable, "-m", "monitor", "replay", str(frames), "--store", dsn, *more]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments], capture_output=True, text=True, check=False
    )


def tier(store: Store, name: str) -> Rows:
    """Read a tier back, windows weighed by their count where one has a row of late samples too."""
    found = store.rows(
        f"SELECT kind, entity, metric, toUnixTimestamp(ts), count, mean, m2, min, max, last FROM {name} FINAL"
    )
    rows = {row[:4]: row[4:] for row in found}
    assert len(rows) == len(found), "a window has two rows"
    return rows


def everything(dsn: str) -> dict[str, Any]:
    """Read all that a store holds, but for when it was written."""
    with Store.open(dsn) as store:
        tables = [row.table for row in store.stats() if row.table not in {"schema_versions", "replays"}]
        return {
            name: sorted(map(repr, store.rows(f"SELECT * EXCEPT written_at FROM {name} FINAL")))
            for name in tables
        }


@dataclass
class Truth:
    """Every accepted sample of a recording, by series: (ts, value) in order of time, counters as rates."""

    series: dict[tuple[str, str, str], list[tuple[int, float]]]

    @classmethod
    def of(cls, frames: Path) -> Truth:
        """Read a recording without late or bad frames, as the contract says it."""
        catalog = load_rules().catalog
        raw: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
        for line in frames.read_bytes().splitlines():
            frame = json.loads(line)
            name = frame["source"].partition(":")[2]
            items = frame.get("items")
            entities = [frame["source"]] if items is None else [
                f"{ITEM_KINDS[frame['kind']]}:{name}/{item}" for item in items
            ]  # fmt: skip
            for metric, values in frame.get("metrics", {}).items():
                known = catalog.get(frame["kind"], metric)
                assert known is not None, metric
                for entity, value in zip(entities, values, strict=True):
                    if value is not None and (known.low or -np.inf) <= value <= (known.high or np.inf):
                        raw[frame["kind"], entity, metric][frame["ts"]] = value
        truth = cls({})
        for key, points in raw.items():
            known = catalog.get(key[0], key[2])
            assert known is not None
            found = sorted(points.items())
            truth.series[key] = rates(found) if known.type == "counter" else found
        return truth

    @property
    def samples(self) -> int:
        """How many there are."""
        return sum(map(len, self.series.values()))

    def rows(self, width_ms: int) -> Rows:
        """Return the windows of a width."""
        rows: Rows = {}
        for (kind, entity, metric), points in self.series.items():
            windows: dict[int, list[float]] = defaultdict(list)
            for ts, value in points:
                windows[(ts - 1) // width_ms * width_ms // 1000].append(value)
            for start, values in windows.items():
                x = np.array(values)
                deviations = float(((x - x.mean()) ** 2).sum())
                row = (len(x), float(x.mean()), deviations, float(x.min()), float(x.max()), float(x[-1]))
                rows[kind, entity, metric, start] = row
        return rows


def rates(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return what a counter grew by each second since its last reading; a reset says nothing."""
    pairs = pairwise(points)
    return [(t1, (v1 - v0) / (t1 - t0) * 1000) for (t0, v0), (t1, v1) in pairs if v1 >= v0]


def same(got: Rows, expected: Rows) -> None:
    """Compare tiers: counts exactly, means and deviations to rounding, the others as 32-bit floats."""
    assert got.keys() == expected.keys()
    keys = sorted(expected)
    one = np.array([got[key] for key in keys], np.float64)
    other = np.array([expected[key] for key in keys], np.float64)
    assert np.array_equal(one[:, 0], other[:, 0])
    np.testing.assert_allclose(one[:, 1], other[:, 1], rtol=1e-12, atol=1e-12)
    scale = 1e-9 * other[:, 1] ** 2 * 1e-3 + 1e-12
    assert np.all(np.abs(one[:, 2] - other[:, 2]) <= 1e-9 * other[:, 2] + scale)
    assert np.array_equal(one[:, 3:].astype(np.float32), other[:, 3:].astype(np.float32))


def all_tiers_equal(dsn: str, truth: Truth) -> None:
    """Compare all tiers of a store with the truth."""
    with Store.open(dsn) as store:
        for name, width in TIERS.items():
            same(tier(store, name), truth.rows(width))
