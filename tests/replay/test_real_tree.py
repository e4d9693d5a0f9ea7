"""A real tree of 847 GPU hosts, 119 ToRs, pod switches and a core: a fault is named at its own level."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.replay.conftest import replay
from tests.topology import lingjun

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not lingjun.CSV.exists(), reason=f"{lingjun.CSV} is not there"),
]

T0 = 1_795_500_000_000
MINUTE = 60_000
LASTS = 15 * MINUTE
STARTS = {"host": 30 * MINUTE, "tor": 70 * MINUTE, "pod": 110 * MINUTE, "core": 150 * MINUTE}
END = 190 * MINUTE


def _victims(hosts: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, set[str]]]:
    """Level -> (what fails, the hosts that are cut off with it)."""
    first = sorted(hosts)[100]
    tor, pod, core = hosts[first]
    return {
        "host": (first, {first}),
        "tor": (tor, {h for h, path in hosts.items() if path[0] == tor}),
        "pod": (pod, {h for h, path in hosts.items() if path[1] == pod}),
        "core": (core, set(hosts)),
    }


def _frames(hosts: dict[str, tuple[str, ...]], victims: dict[str, tuple[str, set[str]]]) -> list[bytes]:
    rng = np.random.default_rng(3)
    found: list[tuple[int, dict[str, Any]]] = []
    dark = [(STARTS[level], victims[level][1]) for level in STARTS]
    for host in sorted(hosts):
        phase = int(rng.integers(0, MINUTE))
        for t in range(phase, END, MINUTE):
            if not any(start <= t < start + LASTS and host in cut for start, cut in dark):
                temperature = round(float(60 + rng.normal()), 1)
                frame = {
                    "kind": "gpu",
                    "ts": T0 + t,
                    "source": host,
                    "items": ["0"],
                    "metrics": {"gpu_temp_celsius": [temperature]},
                }
                found.append((T0 + t, frame))
    found += [
        (
            T0 + t,
            {
                "kind": "facility",
                "ts": T0 + t,
                "source": "chiller:c1",
                "metrics": {"power_kw": [100.0 + t % 7]},
            },
        )
        for t in range(0, END, MINUTE)
    ]
    return [json.dumps(frame).encode() for _, frame in sorted(found, key=lambda item: item[0])]


def test_a_fault_at_each_level_is_named_at_that_level(tmp_path: Path) -> None:
    """A silent host is that host; the hosts of a ToR are the ToR; those of a pod its switch; all of them the core."""
    text = lingjun.CSV.read_text()
    lines = list(lingjun.topology_lines(text))
    (tmp_path / "topology.ndjson").write_text("\n".join(lines))
    parents = {e["id"]: e for e in map(json.loads, lines)}
    hosts = {}
    for entity in parents.values():
        if entity["id"].startswith("node:"):
            tor = entity["depends_on"][0]
            pod = parents[tor]["depends_on"][0]
            hosts[entity["id"]] = (tor, pod, parents[pod]["depends_on"][0])
    assert len(hosts) == 847
    victims = _victims(hosts)
    frames = tmp_path / "frames.ndjson"
    frames.write_bytes(b"\n".join(_frames(hosts, victims)))
    got = replay(frames, tmp_path / "topology.ndjson", tmp_path / "out")
    last = {i["id"]: i for i in map(json.loads, got.incidents.splitlines())}
    paged = [i for i in last.values() if i["paged_at"]]
    named = {
        level: {i["cause"]["entity"] for i in paged if 0 <= i["opened_at"] - T0 - start + MINUTE < LASTS}
        for level, start in STARTS.items()
    }
    assert named == {level: {victims[level][0]} for level in STARTS}
