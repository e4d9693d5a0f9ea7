"""Coolant that cools off with its load calls nobody; coolant that turns cold, or a little too warm, does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from tests.replay.conftest import replay
from tests.replay.hard import MINUTE, T0

if TYPE_CHECKING:
    from pathlib import Path

STEPS = {"cdu:idle": (300, 360, -8.0), "cdu:cold": (420, 480, -25.0), "cdu:warm": (540, 600, 8.0)}
"""Entity -> (minutes in which the return is off, by how many degrees)."""


def test_a_fall_of_the_return_must_be_far_greater_than_a_rise(quick_rules: Path, tmp_path: Path) -> None:
    """8 degrees down are an idle hall, 25 down a fault, and so are 8 up."""
    rng = np.random.default_rng(5)
    lines = []
    for minute in range(660):
        for entity, (start, end, off) in STEPS.items():
            value = 40 + rng.normal(0, 0.3) + (off if start <= minute < end else 0)
            frame = {
                "kind": "facility",
                "ts": T0 + minute * MINUTE,
                "source": entity,
                "metrics": {"coolant_return_celsius": [round(value, 1)]},
            }
            lines.append(json.dumps(frame))
    (tmp_path / "frames.ndjson").write_text("\n".join(lines) + "\n")
    got = replay(tmp_path / "frames.ndjson", None, tmp_path / "out", rules=quick_rules)
    last = {i["id"]: i for i in map(json.loads, got.incidents.splitlines())}
    paged = {i["cause"]["entity"]: i["paged_at"] for i in last.values() if i["paged_at"]}
    assert set(paged) == {"cdu:cold", "cdu:warm"}
    assert all(STEPS[e][0] <= (at - T0) / MINUTE <= STEPS[e][0] + 10 for e, at in paged.items())
