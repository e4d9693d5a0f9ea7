"""A tick closes live as soon as it may, in a replay five minutes later; that must not change what it gives."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from monitor.adapters.rules import load_rules
from monitor.ingest.frames import Rejection, read_header
from monitor.pipeline import Pipeline
from monitor.runners.build import Topology
from monitor.site import Setup

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_795_500_000_000
MINUTE = 60_000
SETTINGS = """
tick_ms: 30000
peer_learning_ms: 600000
own_learning_ms: 900000
freeze_ms: 1200000
"""


def stream(seed: int) -> list[bytes]:
    """Stamped lines of sources that are late, slow, ahead, repeated, silent for a while, or all of it."""
    rng = random.Random(seed)
    lines: list[tuple[int, bytes]] = []
    for n in range(14):
        kind, every, items = ("gpu", 30_000, ["0"]) if n < 9 else ("pipeline", 11 * MINUTE, None)
        delays = rng.choice(
            [(100, 2_000), (100, 2_000), (29_000, 31_000), (35_000, 90_000), (200_000, 320_000)]
        )
        off = rng.choice([0, 0, 0, -40_000, 20_000, 290_000, 330_000])
        gaps = [(rng.randrange(5, 200) * MINUTE, rng.randrange(1, 30) * MINUTE) for _ in range(2)]
        for ts in range(T0 + rng.randrange(every), T0 + 200 * MINUTE, every):
            if any(begin <= ts - T0 < begin + length for begin, length in gaps):
                continue
            moody = rng.choice([delays, (100, 2_000)]) if n % 3 else delays
            metrics: dict[str, Any] = (
                {"gpu_temp_celsius": [60 + rng.random()]} if n < 9 else {"duration_seconds": [5]}
            )
            frame = {"kind": kind, "ts": ts + off, "source": f"node:n{n}", "metrics": metrics}
            frame |= {"items": items} if items else {}
            for _ in range(1 + (rng.random() < 0.1)):
                taken = ts + rng.randrange(*moody) + (rng.randrange(400_000) if rng.random() < 0.02 else 0)
                lines.append((taken, json.dumps({**frame, "received": taken}).encode()))
    return [line for _, line in sorted(lines, key=lambda item: item[0])]


def run(lines: list[bytes], settings: Path, *, live: bool, partitions: int = 1) -> tuple[Any, ...]:
    """Return what a pipeline gives: anomalies, incidents, decisions, dead letters, and the ticks it visited."""
    rules = load_rules(settings)
    pipeline = Pipeline(
        Setup(rules.catalog, rules.settings, rules.faults, Topology.empty(), partitions), live=live
    )
    outputs, dead = [], []
    clock = 0
    for line in lines:
        header = read_header(line)
        assert not isinstance(header, Rejection)
        assert header.received is not None
        clock = max(clock, header.received)
        outputs += pipeline.advance(clock)
        dead.append(pipeline.accept(line, header, clock))
    outputs += pipeline.finish(clock)
    return (
        [a for o in outputs for a in o.anomalies], [i for o in outputs for i in o.incidents],
        [d for o in outputs for d in o.decisions], dead, [o.end for o in outputs], [o.samples for o in outputs],
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_when_a_tick_closes_changes_nothing(tmp_path: Path, seed: int) -> None:
    """The same lines, live and as a recording, under one partition and three: the same records, tick by tick."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    lines = stream(seed)
    live = run(lines, tmp_path, live=True)
    recorded = run(lines, tmp_path, live=False, partitions=3)
    assert live[0]
    for one, other in zip(live, recorded, strict=True):
        assert one == other
