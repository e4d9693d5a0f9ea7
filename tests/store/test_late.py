"""Late frames: kept whole, and counted once in the windows that they belong to, for ten minutes."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from monitor.adapters.clickhouse import Store
from tests.store import fleet

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_795_500_000_000 - 5 * 60_000
SECOND, MINUTE = 1000, 60_000


def _frame(node: str, ts: int, value: float, delay: int = SECOND, seq: int = 0) -> dict[str, Any]:
    metrics = {"gpu_temp_celsius": [value], "ecc_sbe_total": [ts // MINUTE]}
    source = f"node:{node}"
    return {
        "kind": "gpu", "ts": ts, "source": source, "items": ["0"], "metrics": metrics, "seq": seq, "received": ts + delay
    }  # fmt: skip


def _recording() -> tuple[list[dict[str, Any]], dict[str, list[tuple[int, float]]]]:
    """Return frames, and for each node the temperatures that must be counted."""
    frames, counted = [], defaultdict(list)
    for i in range(150):
        ts = T0 + i * 10 * SECOND
        for node in ("in-time", "late"):
            away = node == "late" and 30 <= i < 42
            frames.append(_frame(node, ts, 50 + i % 7, 3 * MINUTE if away else SECOND))
            counted[node].append((ts, 50 + i % 7))
    ends = T0 + 40 * 10 * SECOND
    late = [
        (_frame("in-time", ends, 50 + 40 % 7, 2 * MINUTE), False),  # it was heard in time
        (_frame("in-time", ends, 99, 2 * MINUTE, seq=7), False),  # likewise, though this one says otherwise
        (_frame("in-time", ends - 3 * SECOND, 71, 4 * MINUTE), True),  # a window that has a sample in time
        (_frame("late", ends + 1, 61, 5 * MINUTE), False),  # the next one is meant
        (_frame("late", ends + 1, 62, 6 * MINUTE, seq=3), True),
        (_frame("late", ends + 1, 60, 7 * MINUTE, seq=2), False),
        (_frame("late", ends + 2, 63, 9 * MINUTE + 50 * SECOND), True),
        (_frame("late", ends + 3, 64, 12 * MINUTE), False),  # too late to be counted
    ]
    for frame, counts in late:
        frames.append(frame)
        if counts:
            node = frame["source"].removeprefix("node:")
            counted[node].append((frame["ts"], frame["metrics"]["gpu_temp_celsius"][0]))
    return sorted(frames, key=lambda frame: frame["received"]), counted


@pytest.mark.parametrize("batch_frames", [1, 1000])
def test_late_frames_are_counted_once(tmp_path: Path, batch_frames: int) -> None:
    """A late frame counts unless it repeats one that was in time, or comes more than ten minutes late."""
    frames, counted = _recording()
    path, dsn = tmp_path / "frames.ndjson", f"chdb://{tmp_path}/store"
    path.write_text("\n".join(json.dumps(frame) for frame in frames))
    report = fleet.replay(path, dsn, batch_frames=batch_frames)
    late = [frame for frame in frames if frame["received"] - -(-frame["ts"] // 10_000) * 10_000 > 30 * SECOND]
    assert report.quality["late"] == len(late) == 20
    with Store.open(dsn) as store:
        kept = [json.loads(row[0]) for row in store.rows("SELECT frame FROM late_frames FINAL")]
        assert sorted(map(json.dumps, kept)) == sorted(map(json.dumps, late))
        for tier, width in (("s10", 10_000), ("m1", 60_000), ("h1", 3_600_000)):
            found = store.rows(
                "SELECT entity, toUnixTimestamp(ts) AS start, sum(r.count), sum(r.mean * r.count), min(r.min), max(r.max) "
                f"FROM {tier} AS r FINAL WHERE metric = 'gpu_temp_celsius' GROUP BY entity, start ORDER BY entity, start"
            )
            assert found == _expected(counted, width)
        with_late = store.rows(
            "SELECT countIf(late = 1), countIf(late = 0) FROM s10 FINAL WHERE metric LIKE 'ecc%'"
        )
        assert with_late[0][0] == 0
        assert with_late[0][1] > 100


def _expected(counted: dict[str, list[tuple[int, float]]], width: int) -> list[tuple[Any, ...]]:
    windows: dict[tuple[str, int], list[float]] = defaultdict(list)
    for node, points in counted.items():
        for ts, value in points:
            windows[f"gpu:{node}/0", (ts - 1) // width * width // 1000].append(value)
    return [(*key, len(x), sum(x), min(x), max(x)) for key, x in sorted(windows.items())]


def test_slow_frames_correct_what_was_rolled(tmp_path: Path) -> None:
    """A bill that comes hours after its time, and its correction, reach the minute and the hour that they name."""
    at = T0 + 20 * MINUTE
    bills = [(at, 100.0, 3 * MINUTE), (at, 120.0, 150 * MINUTE), (at + MINUTE, 7.0, 140 * MINUTE)]
    frames = [_frame("a", T0 + i * MINUTE, 50) for i in range(180)]
    frames += [
        {
            "kind": "cost",
            "ts": ts,
            "source": "service:x",
            "metrics": {"cost_usd": [usd]},
            "received": ts + delay,
        }
        for ts, usd, delay in bills
    ]
    path, dsn = tmp_path / "frames.ndjson", f"chdb://{tmp_path}/store"
    path.write_text("\n".join(json.dumps(frame) for frame in sorted(frames, key=lambda f: f["received"])))
    fleet.replay(path, dsn)
    with Store.open(dsn) as store:
        for tier, expected in (
            ("s10", [(1, 120.0), (1, 7.0)]),
            ("m1", [(1, 120.0), (1, 7.0)]),
            ("h1", [(2, 63.5)]),
        ):
            sql = f"SELECT count, mean FROM {tier} FINAL WHERE metric = 'cost_usd' ORDER BY ts"
            assert store.rows(sql) == expected, tier
