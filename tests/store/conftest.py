"""One recording and one undisturbed replay of it, for all tests of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import loadgen
from tests.store import fleet

if TYPE_CHECKING:
    from pathlib import Path

START = 1_795_500_000_000 + 54 * 60_000  # 06:54: the recording crosses an hour


@dataclass(frozen=True)
class Recorded:
    """A recording, its rules, its truth, and the store and incidents of an undisturbed replay."""

    frames: Path
    rules: Path
    truth: fleet.Truth
    dsn: str
    incidents: bytes
    report: Any


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Sixteen GPUs for ten minutes, a frame each five seconds: windows hold two samples."""
    out = tmp_path_factory.mktemp("fleet")
    frames = fleet.record(
        out, loadgen.Spec("clean", gpus=16, hours=0.16, interval=5, seed=5, received=True, start=START)
    )
    rules, dsn, incidents = fleet.rules(out), f"chdb://{out}/store", out / "incidents.ndjson"
    report = fleet.replay(frames, dsn, rules=rules, incidents=incidents)
    return Recorded(frames, rules, fleet.Truth.of(frames), dsn, incidents.read_bytes(), report)
