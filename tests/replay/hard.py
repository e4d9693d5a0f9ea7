"""A recording that has it hard: odd clocks, a daily source, mass death, a hole, a backlog, another year."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

T0 = 1_795_500_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
CADENCE = 30_000
HOT = (50 * MINUTE, 80 * MINUTE)
LOST = 65 * MINUTE
HOLE = (95 * MINUTE, 215 * MINUTE)
DEATH = 230 * MINUTE
END = 250 * MINUTE
CLOCKS = {"ahead20": 20, "behind20": -20, "ahead45": 45, "behind45": -45, "ahead360": 360, "behind360": -360}
BACKLOG = (25 * MINUTE, 85 * MINUTE)

Frame = tuple[int, dict[str, Any]]  # (true time it was taken in, frame)


def topology() -> list[str]:
    """Twelve racks on three CDUs, eight nodes each, of which some have odd clocks."""
    lines: list[dict[str, Any]] = [{"id": "facility:f1", "owner": "facilities"}]
    lines += [{"id": f"cdu:c{c}", "parent": "facility:f1"} for c in range(3)]
    lines += [
        {"id": f"rack:r{r:02d}", "parent": "facility:f1", "depends_on": [f"cdu:c{r // 4}"]} for r in range(12)
    ]
    for i, name in enumerate(nodes()):
        lines.append(
            {
                "id": f"node:{name}",
                "parent": f"rack:r{i % 12:02d}",
                "owner": "platform",
                "tags": {"sku": "H100"},
            }
        )
        lines += [
            {"id": f"gpu:{name}/{g}", "parent": f"node:{name}", "tags": {"sku": "H100"}} for g in range(2)
        ]
    return [json.dumps(line) for line in lines]


def nodes() -> list[str]:
    """100 nodes, the odd ones first."""
    odd = [*CLOCKS, "daily", "backlog"]
    return odd + [f"n{i:03d}" for i in range(100 - len(odd))]


def frames(seed: int = 1) -> list[Frame]:
    """All frames in the order in which they were taken in."""
    rng = np.random.default_rng(seed)
    found: list[Frame] = [(T0 - 1, _frame(T0 - 400 * DAY, "node:n000", rng, 0))]
    for i, name in enumerate(nodes()):
        level = 60 + rng.normal(0, 2, 2)
        found += _node(name, i, level, rng)
    for c in range(3):
        for t in range(0, END, MINUTE):
            if not HOLE[0] <= t < HOLE[1]:
                metrics = {
                    "coolant_flow_lpm": [120 + rng.normal()],
                    "coolant_return_celsius": [40 + rng.normal() / 5],
                }
                found.append(
                    (
                        T0 + t + 7 * c,
                        {"kind": "facility", "ts": T0 + t + 7 * c, "source": f"cdu:c{c}", "metrics": metrics},
                    )
                )
    for t in range(HOUR, DEATH, HOUR):
        if not HOLE[0] <= t < HOLE[1]:
            bill = {
                "kind": "cost",
                "ts": T0 + t,
                "source": "service:serving",
                "metrics": {"cost_usd": [90 + rng.normal()]},
            }
            found.append((T0 + t + 9 * MINUTE, bill))
    return sorted(found, key=lambda f: f[0])


def _node(name: str, i: int, level: Any, rng: np.random.Generator) -> list[Frame]:
    found: list[Frame] = []
    phase = int(rng.integers(0, CADENCE))
    survives = i < 4 or name == "daily"
    for n, t in enumerate(range(0, END, DAY if name == "daily" else CADENCE)):
        taken = t + phase
        if HOLE[0] <= taken < HOLE[1] or (taken > DEATH and not survives):
            continue
        frame = _frame(T0 + taken + 1000 * CLOCKS.get(name, 0), f"node:{name}", rng, n, level)
        if name == "n050" and HOT[0] < t < HOT[1]:
            frame["metrics"]["gpu_temp_celsius"][1] += 25
        if name == "n060" and t > LOST:
            frame["metrics"]["xid"][0] = 79
        late = BACKLOG[1] if name == "backlog" and BACKLOG[0] <= taken < BACKLOG[1] else taken
        found.append((T0 + late + int(rng.integers(50, 900)), frame))
    return found


def _frame(
    ts: int, source: str, rng: np.random.Generator, n: int, level: Any = (60.0, 60.0)
) -> dict[str, Any]:
    temperature = [round(float(x + rng.normal()), 1) for x in level]
    memory = [round(float(x + 8 + rng.normal()), 1) for x in level]
    metrics = {
        "gpu_temp_celsius": temperature,
        "hbm_temp_celsius": memory,
        "xid": [0, 0],
        "ecc_sbe_total": [(n + 13 * len(source) + int(level[0])) // 50, 0],
    }
    return {"kind": "gpu", "ts": ts, "source": source, "items": ["0", "1"], "metrics": metrics}


def lines(found: list[Frame], *, received: bool) -> list[bytes]:
    """Write frames as lines, with the recorder's stamp or without."""
    return [
        json.dumps({**frame, "received": taken} if received else frame).encode() for taken, frame in found
    ]


def hardly_any() -> dict[str, list[bytes]]:
    """Recordings with hardly anything in them."""
    lone = [
        {
            "kind": "facility",
            "ts": T0 + 300_000 * i,
            "source": "cdu:a",
            "metrics": {"coolant_supply_celsius": [20 + i % 3]},
        }
        for i in range(400)
    ]
    two = [
        {
            "kind": "gpu",
            "ts": T0 + 10_000 * i + s,
            "source": f"node:{'ab'[s]}",
            "metrics": {"gpu_temp_celsius": [60 + i % 2]},
        }
        for i in range(400)
        for s in range(2)
        if s == 0 or i < 200
    ]
    bills = [
        {
            "kind": "cost",
            "ts": T0 + HOUR * i,
            "source": f"service:{s}",
            "metrics": {"cost_usd": [60 + i % 5]},
            "period": "1h",
        }
        for i in range(100)
        for s in "ab"
    ]
    return {
        name: [json.dumps(f).encode() for f in found]
        for name, found in (("lone", lone), ("two", two), ("bills", bills))
    }
