"""What was wrong with something that is gone does not stay wrong for ever."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from tests.replay.conftest import replay
from tests.replay.hard import MINUTE, T0

if TYPE_CHECKING:
    from pathlib import Path

HOT, GONE, END = 120, 150, 320


def test_an_anomaly_of_what_is_not_heard_any_more_is_over_after_two_hours(
    quick_rules: Path, tmp_path: Path
) -> None:
    """The coolant was hot when it was last heard, and the job had stopped: two hours later that says nothing."""
    rng = np.random.default_rng(6)
    lines = []
    for minute in range(END):
        for kind, source, metric, level, off in (
            ("facility", "cdu:a", "coolant_return_celsius", 40.0, 8.0),
            ("facility", "cdu:b", "coolant_return_celsius", 40.0, 0.0),
            ("job", "job:a", "step_seconds", 10.0, 20.0),
            ("job", "job:b", "step_seconds", 10.0, 0.0),
        ):
            if off and minute >= GONE:
                continue
            value = level + rng.normal(0, 0.2) + (off if minute >= HOT else 0.0)
            frame = {"kind": kind, "ts": T0 + minute * MINUTE, "source": source, "metrics": {metric: [value]}}
            lines.append(json.dumps(frame))
    (tmp_path / "frames.ndjson").write_text("\n".join(lines) + "\n")
    got = replay(tmp_path / "frames.ndjson", None, tmp_path / "out", rules=quick_rules)
    told = [a for a in map(json.loads, got.anomalies.splitlines()) if a["direction"] == "up"]
    for entity in ("cdu:a", "job:a"):
        lines_of = [(a["state"], (a["ts"] - T0) / MINUTE) for a in told if a["entity"] == entity]
        (_, raised), (_, cleared) = lines_of[-2:]
        assert [state for state, _ in lines_of[-2:]] == ["raised", "cleared"]
        assert raised <= HOT + 5
        assert GONE + 119 <= cleared <= GONE + 121


def test_what_people_do_is_no_telemetry(tmp_path: Path) -> None:
    """Who acts no more is not silent; and we stay blind however often the page about it is acknowledged."""
    frames = []
    for second in range(0, 1200, 10):
        frames += [
            (second, "gpu", f"node:n{n}", {"items": ["0"], "metrics": {"gpu_temp_celsius": [60.0]}})
            for n in range(6)
        ]
        if second < 600:
            frames.append((second, "change", "service:a", {"change": "config", "version": str(second)}))
    frames += [(s, "command", "user:x", {"command": "ack", "target": "y"}) for s in range(1800, 1860, 15)]
    frames.append((3600, "mark", "node:n0", {}))
    lines = [
        json.dumps(
            {"kind": kind, "ts": T0 + 1000 * second, "received": T0 + 1000 * second, "source": source, **said}
        )
        for second, kind, source, said in frames
    ]
    (tmp_path / "frames.ndjson").write_text("\n".join(lines) + "\n")
    got = replay(tmp_path / "frames.ndjson", None, tmp_path / "out")
    assert [(a["state"], a["entity"], a["reason"]) for a in map(json.loads, got.anomalies.splitlines())] == [
        ("raised", "service:monitor", "blind")
    ]
