"""When ticks close (at once, or five minutes later) changes nothing of what a partition says of stamped frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.catalog import Catalog
from monitor.ingest.frames import Header, Rejection, read_header
from monitor.ingest.partition import Partition
from monitor.ingest.verdict import Placed, TimeRules, place

T0 = 1_795_500_000_000
SECOND, MINUTE = 1_000, 60_000
CATALOG = Catalog.parse((Path(__file__).parents[2] / "rules" / "metrics.yaml").read_text())

Sent = tuple[int, int]  # ts, when it was taken in; both after T0


def line(sent: Sent, kind: str = "pipeline") -> bytes:
    metrics = {"cost_usd": [7]} if kind == "cost" else {"duration_seconds": [5]}
    frame = {
        "kind": kind,
        "ts": T0 + sent[0],
        "source": "service:a",
        "metrics": metrics,
        "received": T0 + sent[1],
    }
    return json.dumps(frame).encode()


def said(lines: list[bytes], *, live: bool) -> list[Any]:
    """Return what a partition says of every tick, closed live or as in a replay."""
    rules = TimeRules(10 * SECOND, 30 * SECOND, 5 * MINUTE, live)
    partition, closed, parts = Partition(0, CATALOG, rules), 0, []

    def close(limit: int) -> None:
        while (due := partition.next_due()) is not None and due <= limit:
            part = partition.close(due, judge=True)
            cells = list(zip(part.series.tolist(), part.ts.tolist(), part.value.tolist(), strict=True))
            parts.append((due, cells, part.silences, part.lags, part.heard))

    for data in lines:
        header = read_header(data)
        assert isinstance(header, Header)
        assert header.received is not None
        close(limit := rules.closed_by(header.received))
        closed = max(closed, limit)
        placed = place(header, header.received, rules)
        if isinstance(placed, Placed):
            assert partition.accept(data, placed, closed, rules.settled_by(header.received)) is None
        else:
            assert isinstance(placed, Rejection)
            partition.reject(header.kind, header.source, header.received, stamped=True)
    close(T0 + 24 * 60 * MINUTE)
    return parts


def each(every: int, until: int, delay: int = 100) -> list[Sent]:
    return [(ts, ts + delay) for ts in range(0, until, every)]


SLOW = each(11 * MINUTE, 17 * 11 * MINUTE)
STREAMS = {
    # A bill two minutes late: its tick is closed live, and open in a replay.
    "late bill": ("cost", [*each(MINUTE, 5 * MINUTE), (6 * MINUTE, 8 * MINUTE), *each(MINUTE, 0), (9 * MINUTE, 9 * MINUTE)]),
    # The 16th frame teaches the rhythm; a repeat of it, and a late one, come before a replay has closed its tick.
    "repeat of a slow frame": ("pipeline", sorted([*SLOW, (SLOW[15][0], SLOW[15][1] + 2 * MINUTE)], key=lambda s: s[1])),
    "late slow frame": ("pipeline", sorted([*SLOW, (SLOW[15][0] + 7, SLOW[15][1] + 2 * MINUTE)], key=lambda s: s[1])),
    # In time until minute 34, then late by a minute and a half.
    "begins to be late": ("pipeline", [*each(20 * SECOND, 34 * MINUTE), *[(ts, ts + 100 * SECOND) for ts in range(34 * MINUTE, 58 * MINUTE, 20 * SECOND)]]),
    # Falls silent; before a replay can know, a frame that is late is a sign of life.
    "sign of life": ("pipeline", [*each(10 * SECOND, 10 * MINUTE), (10 * MINUTE, 12 * MINUTE), (10 * MINUTE + 1, 20 * MINUTE)]),
    "sign of life of a frame ahead": ("pipeline", [*each(10 * SECOND, 10 * MINUTE), (40 * MINUTE, 12 * MINUTE), (41 * MINUTE, 20 * MINUTE)]),
    # Its clock runs ahead more and more, which says how far what it tells of the time can be believed.
    "drifts ahead": ("pipeline", [(ts + ts // 10, ts) for ts in range(0, 40 * MINUTE, 10 * SECOND)]),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_said_does_not_depend_on_when_ticks_close(name: str) -> None:
    """The same ticks, cells, silences, lags, and the same last word heard."""
    kind, stream = STREAMS[name]
    lines = [line(sent, kind) for sent in stream]
    assert said(lines, live=True) == said(lines, live=False)
