"""A live process in this process, its time told by the test; and replays of what it journalled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.adapters.rotation import parts
from monitor.runners.live import Live, LivePlan
from tests.replay.conftest import hard_frames, hard_topology, quick_rules, replay

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.replay.conftest import Replayed
    from tests.replay.hard import Frame

__all__ = ["hard_frames", "hard_topology", "quick_rules"]

RECORDS = ("incidents", "anomalies", "dead", "decisions")


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def put_all(live: Live, clock: Clock, frames: Iterable[Frame], step_ms: int = 1000) -> None:
    """Bring frames at their times, those of a second together."""
    together: list[bytes] = []
    at = 0
    for taken, frame in frames:
        if together and taken // step_ms != at:
            live.door.put(together, "http")
            together = []
        at = taken // step_ms
        clock.now = taken
        together.append(json.dumps(frame).encode())
    live.door.put(together, "http")


def written(state: Path) -> dict[str, bytes]:
    """Return what a live process wrote."""
    return {name: whole(state / f"{name}.ndjson") for name in RECORDS}


def whole(path: Path) -> bytes:
    """Return what a file of records holds, with its parts."""
    return b"".join(part.read_bytes() for part in parts(path))


def replay_journal(state: Path, out: Path, topology: Path | None, **options: Any) -> Replayed:
    """Replay the journal of a live process."""
    return replay(state / "journal", topology, out, **options)


def plan(state: Path, topology: Path | None, rules: Path | None, **options: Any) -> LivePlan:
    """Return the plan of a live process."""
    return LivePlan(state=state, topology=topology, rules=rules, **options)
