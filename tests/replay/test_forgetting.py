"""A fleet in which jobs come and go for ever takes no more memory than one in which they do not."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.rules import load_rules
from monitor.ingest.frames import read_header
from monitor.pipeline import Pipeline
from monitor.site import Setup
from monitor.topology import Topology
from monitor.units import DAY, HOUR, MINUTE
from tests.killed import killed_on_the_way
from tests.replay.conftest import Replayed, replay
from tests.replay.hard import T0

DAYS = 4
STEP = 9 * MINUTE
LOST = range(20, 30)
"""The hours in which a node that stays is away."""

RULES = f"tick_ms: {STEP}\nlateness_ms: {MINUTE}\nforget_ms: {DAY}\n"


def frame(kind: str, ts: int, source: str, metrics: dict[str, list[float]], **more: Any) -> bytes:
    return json.dumps({"kind": kind, "ts": ts, "source": source, "metrics": metrics, **more}).encode()


def fleet() -> list[bytes]:
    """Nodes that stay, one that dies on the first day and comes back on the fourth, and a new job every three hours."""
    rng = random.Random(4)
    lines = []
    for at in range(T0, T0 + DAYS * DAY, STEP):
        hour = (at - T0) // HOUR
        for n in range(4):
            if n == 0 and hour in LOST:
                continue
            if n == 1 and 8 <= hour < 80:
                continue
            warm = [60 + rng.gauss(0, 1) for _ in range(2)]
            counted = [float(at // 1000 - T0 // 1000)] * 2
            metrics = {"temperature_celsius": warm, "pcie_replay_total": counted}
            lines.append(frame("gpu", at, f"node:n{n}", metrics, items=["0", "1"]))
        steps = {"step_seconds": [10 + rng.gauss(0, 0.2) for _ in range(2)]}
        lines.append(frame("job", at, f"job:j{hour // 3:04d}", steps, items=["0", "1"]))
    return lines


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """The frames of the fleet."""
    return fleet()


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rules under which a day is long."""
    path = tmp_path_factory.mktemp("rules")
    (path / "settings.yaml").write_text(RULES)
    return path


@pytest.fixture(scope="module")
def recording(frames: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames in a file."""
    path = tmp_path_factory.mktemp("fleet") / "frames.ndjson"
    path.write_bytes(b"\n".join(frames) + b"\n")
    return path


@pytest.fixture(scope="module")
def expected(recording: Path, rules: Path, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """What an undisturbed replay gives."""
    return replay(recording, None, tmp_path_factory.mktemp("out"), rules=rules)


def sizes(frames: list[bytes], rules: Path) -> list[dict[str, int]]:
    """Feed the frames to a pipeline; return how much it holds at the end of each day."""
    read = load_rules(rules)
    pipeline = Pipeline(Setup(read.catalog, read.settings, read.faults, Topology.empty(), partitions=2))
    found, day = [], T0 + DAY
    for line in frames:
        header = read_header(line)
        for _ in pipeline.advance(header.ts):
            pass
        if header.ts >= day:
            found.append(held(pipeline.to_state()))
            day += DAY
        assert pipeline.accept(line, header, header.ts) is None
    return found


def held(state: dict[str, Any]) -> dict[str, int]:
    return {
        "series": len(state["site"]["series"]),
        "sources": sum(len(p["presence"]) for p in state["partitions"]),
        "their series": sum(len(s["entities"]) for p in state["partitions"] for s in p["series"]),
        "notes": sum(len(notes) for p in state["partitions"] for notes in p["notes"].values()),
        "silent": len(state["site"]["absence"]["silent"]),
        "strangers": len(state["site"]["strangers"]),
    }


def test_what_is_held_does_not_grow(frames: list[bytes], rules: Path) -> None:
    """From the second day on as many go as come; the node that comes back is all that is more."""
    days = sizes(frames, rules)
    assert days[1]["sources"] >= 3 + 8
    for what, count in days[-1].items():
        assert count <= days[1][what] + 5, what


@pytest.mark.parametrize("options", [{"partitions": 4, "batch_frames": 1}, {"batch_frames": 997}], ids=str)
def test_the_same_bytes(
    options: dict[str, int], recording: Path, rules: Path, expected: Replayed, tmp_path: Path
) -> None:
    """How the work is divided does not change what is forgotten when."""
    got = replay(recording, None, tmp_path, rules=rules, **options)
    assert (got.incidents, got.anomalies, got.dead) == (expected.incidents, expected.anomalies, expected.dead)


def test_killed(recording: Path, rules: Path, expected: Replayed, tmp_path: Path) -> None:
    """A snapshot before or after something was forgotten goes on as if it had not been taken."""
    rng = random.Random(5)
    left = 4
    while left:
        out = Path(tempfile.mkdtemp(dir=tmp_path))
        command = [sys.executable, "-m", "monitor", "replay", str(recording), "--rules", str(rules)]
        command += [
            "--incidents",
            str(out / "incidents.ndjson"),
            "--anomalies",
            str(out / "anomalies.ndjson"),
        ]
        command += ["--state", str(out / "state"), "--batch-frames", "50"]
        left = killed_on_the_way(command, rng, left, (0.5, 1.5))
        assert (out / "incidents.ndjson").read_bytes() == expected.incidents
        assert (out / "anomalies.ndjson").read_bytes() == expected.anomalies


def test_the_lost_node_is_let_go_of_and_begins_anew(expected: Replayed) -> None:
    """Its silence ends with the day in which it was away for a whole one; so does the incident."""
    told = [a for a in map(json.loads, expected.anomalies.splitlines()) if a["metric"].startswith("silence")]
    lost = [(a["state"], (a["ts"] - T0) / HOUR) for a in told if a["entity"] == "node:n1"]
    (first, began), (second, ended), *more = lost
    assert (first, second) == ("raised", "cleared")
    assert 8 <= began < 9.5
    assert 32 < ended <= 56
    assert not more
    back = [(a["state"], (a["ts"] - T0) / HOUR) for a in told if a["entity"] == "node:n0"]
    assert [state for state, _ in back] == ["raised", "cleared"]
    assert 30 <= back[1][1] < 30.5
