"""Recordings on disk, and a way to replay them and read every byte that comes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor.runners.build import ReplayPlan, build_replay
from tests.replay import hard


@dataclass(frozen=True)
class Replayed:
    """What a replay wrote and said."""

    incidents: bytes
    anomalies: bytes
    dead: bytes
    report: Any


def replay(frames: list[Path] | Path, topology: Path | None, out: Path, **options: Any) -> Replayed:
    """Replay into a directory and read what came out."""
    paths = (frames,) if isinstance(frames, Path) else tuple(frames)
    files = {name: out / f"{name}.ndjson" for name in ("incidents", "anomalies", "dead")}
    plan = ReplayPlan(paths=paths, topology=topology, **files, **options)
    report = build_replay(plan).run(plan.batch_frames, lambda _share, _report: None)
    return Replayed(**{name: path.read_bytes() for name, path in files.items()}, report=report)


@pytest.fixture(scope="session")
def quick_rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rules with ticks of 30 s, and under which all is learnt in half an hour: a recording can be short."""
    path = tmp_path_factory.mktemp("rules")
    minutes = {"peer_learning_ms": 10, "own_learning_ms": 20, "freeze_ms": 30}
    lines = ["tick_ms: 30000", *(f"{name}: {value * hard.MINUTE}" for name, value in minutes.items())]
    (path / "settings.yaml").write_text("\n".join(lines))
    return path


@pytest.fixture(scope="session")
def hard_topology(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The topology of the hard recording."""
    path = tmp_path_factory.mktemp("hard") / "topology.ndjson"
    path.write_text("\n".join(hard.topology()))
    return path


@pytest.fixture(scope="session")
def hard_frames() -> list[hard.Frame]:
    """The frames of the hard recording, in the order in which they were taken in."""
    return hard.frames()
