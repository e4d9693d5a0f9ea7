"""The tables: names, columns, keys, codecs and how long rows are kept.

Every table is a ReplacingMergeTree whose key says what a row is, so writing a row again changes nothing. Read
with FINAL. Of two rows of one key the one with the higher version counts, without a version the later one.
Rollups are partitioned by the day of their event time, and dropped by when they were written: a recording of
last year lives as long as what was measured today.
"""

from __future__ import annotations

from typing import NamedTuple

DATABASE = "fleet"

TIERS = {"s10": 10_000, "m1": 60_000, "h1": 3_600_000}
"""Rollup tables and the width of their windows in milliseconds. `ts` is the start of the window.

The finest has windows of a tick where ticks do not hold a whole number of 10 s.
"""

KEPT_DAYS = {"s10": 1, "m1": 30, "h1": 1095}
"""Days that each tier is kept after it was written, unless told otherwise."""

NAME = "LowCardinality(String)"
WORD = "LowCardinality(String)"
TEXT = "String CODEC(ZSTD(3))"
FLOAT = "Float64 CODEC(ZSTD(3))"
FLOAT32 = "Float32 CODEC(ZSTD(3))"
COUNT = "UInt32 CODEC(T64, ZSTD(1))"
SECOND = "DateTime('UTC') CODEC(Delta, ZSTD(1))"
TIME = "DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))"
MAYBE_TIME = "Nullable(DateTime64(3, 'UTC'))"
WRITTEN = "DateTime('UTC') DEFAULT now() CODEC(ZSTD(1))"


class Table(NamedTuple):
    """A table. `columns` does not name `written_at`, which every table has last and the engine fills."""

    name: str
    columns: dict[str, str]
    key: str
    version: str = ""
    partition: str = ""

    @property
    def ddl(self) -> str:
        """The statement that makes it."""
        columns = ",\n  ".join(
            f"`{name}` {kind}" for name, kind in {**self.columns, "written_at": WRITTEN}.items()
        )
        partition = f"\nPARTITION BY {self.partition}" if self.partition else ""
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name} (\n  {columns}\n)\n"
            f"ENGINE = ReplacingMergeTree({self.version}){partition}\nORDER BY ({self.key})\n"
            f"SETTINGS {', '.join(f'{name} = {value}' for name, value in SETTINGS.items())}"
        )


SETTINGS = {
    "fsync_after_insert": 1,
    "fsync_part_directory": 1,
    "min_rows_to_fsync_after_merge": 1,
    "old_parts_lifetime": 480,
    "ttl_only_drop_parts": 1,
}
"""A part is on disk before an insert is acknowledged, and merged-away parts stay until the merged one is."""

_WINDOW = {
    "ts": SECOND,
    "kind": WORD,
    "entity": NAME,
    "metric": WORD,
    "count": COUNT,
    "mean": FLOAT,
    "m2": FLOAT,
    "min": FLOAT32,
    "max": FLOAT32,
    "last": FLOAT32,
    "anomalous": COUNT,
}


def _tier(name: str, second: str) -> Table:
    """Return a rollup table. A bare `ts` in the key would turn off pruning by the hour."""
    columns = dict(_WINDOW)
    key = "metric, toStartOfHour(ts), entity, kind" + (f", {second}" if second else "")
    if name == "s10":
        columns["late"] = "UInt8 CODEC(ZSTD(1))"
        key += ", late"
    return Table(name, columns, key, version="count", partition="toDate(ts)")


S10 = _tier("s10", "toUInt16(toUnixTimestamp(ts) % 3600)")
ROLLUPS = (S10, _tier("m1", "toMinute(ts)"), _tier("h1", ""))

MERGED = {
    "merge_selector_base": 10,
    "vertical_merge_algorithm_min_columns_to_activate": 1,
    "vertical_merge_algorithm_min_rows_to_activate": 1,
}
"""How parts of rollups are merged: about ten at a time rather than five, and column by column.

Merging is half of what a row costs; so it is written anew half as often.
"""

ANOMALIES = Table(
    "anomalies",
    {
        "ts": TIME, "id": "String", "state": WORD, "entity": NAME, "metric": WORD, "detector": WORD,
        "reason": WORD, "direction": WORD, "value": "Nullable(Float64)", "expected": "Nullable(Float64)",
        "lower": "Nullable(Float64)", "upper": "Nullable(Float64)", "score": "Float64",
    },
    "ts, id, state",
)  # fmt: skip

INCIDENTS = Table(
    "incident_history",
    {
        "updated_at": TIME, "line": "UInt64", "id": "String", "episode": "UInt32", "transition": WORD,
        "state": WORD, "severity": WORD, "class": WORD, "scope": WORD, "opened_at": TIME,
        "detected_at": TIME, "paged_at": MAYBE_TIME, "resolved_at": MAYBE_TIME, "cause": NAME,
        "reason": WORD, "confidence": "Float64", "explanation": TEXT, "affected": "UInt32",
        "affected_entities": "Array(String)", "anomalies": "UInt32", "changes": "Array(String)",
        "owner": WORD, "runbook": WORD, "pages": "UInt32", "merged_into": "Nullable(String)",
        "cost_impact_usd": "Nullable(Float64)", "record": TEXT,
    },
    "id, episode, updated_at, line",
)  # fmt: skip

CANDIDATES = Table(
    "candidates",
    {
        "updated_at": TIME, "line": "UInt64", "id": "String", "episode": "UInt32", "rank": "UInt16",
        "entity": NAME, "score": "Float64", "evidence": "Array(String)",
    },
    "id, episode, updated_at, line, rank",
)  # fmt: skip

DECISIONS = Table(
    "decisions",
    {"ts": TIME, "incident": "String", "entity": NAME, "reason": WORD, "detail": TEXT},
    "ts, incident, entity, reason, detail",
)

CHANGES = Table(
    "changes",
    {
        "ts": TIME, "entity": NAME, "change": WORD, "version": "String", "summary": TEXT,
        "until": MAYBE_TIME,
    },
    "ts, entity, change, version, cityHash64(summary)",
)  # fmt: skip

TOPOLOGY = Table(
    "topology",
    {
        "id": "String", "kind": WORD, "parent": "String", "depends_on": "Array(String)", "owner": WORD,
        "tags": "Map(LowCardinality(String), String)", "within": "Map(LowCardinality(String), String)",
        "supplied_by": "Map(LowCardinality(String), String)", "valid_from": TIME, "valid_until": MAYBE_TIME,
    },
    "id, valid_from",
)  # fmt: skip

DEAD_LETTERS = Table(
    "dead_letters",
    {
        "reason": WORD, "detail": TEXT, "position": "String", "received": MAYBE_TIME, "frame": TEXT,
    },
    "reason, position, cityHash64(frame)",
)  # fmt: skip

LATE_FRAMES = Table(
    "late_frames",
    {"kind": WORD, "source": NAME, "ts": TIME, "arrival": TIME, "frame": TEXT},
    "kind, source, ts, cityHash64(frame)",
)

PAGES = Table(
    "pages",
    {
        "at": TIME, "dedup_key": "String", "action": WORD, "incident": "String", "episode": "UInt32",
        "state": WORD, "reason": WORD, "attempt": "UInt32", "detail": TEXT, "record": TEXT,
    },
    "dedup_key, at, action, attempt",
)  # fmt: skip

REPLAYS = Table(
    "replays",
    {
        "identity": "String", "rank": "UInt8", "files": "Array(String)", "frames": "UInt64",
        "samples": "UInt64", "clock": TIME,
    },
    "identity",
    version="rank",
)  # fmt: skip

TABLES = (
    *ROLLUPS, ANOMALIES, INCIDENTS, CANDIDATES, DECISIONS, CHANGES, TOPOLOGY, DEAD_LETTERS, LATE_FRAMES,
    PAGES, REPLAYS,
)  # fmt: skip

INCIDENTS_VIEW = """\
CREATE VIEW IF NOT EXISTS incidents AS
SELECT * FROM incident_history FINAL
ORDER BY updated_at DESC, line DESC
LIMIT 1 BY id, episode"""
"""Each incident as it stands."""


def keep(name: str, days: int) -> str:
    """Return the statement that keeps a table's rows for so many days after they were written."""
    return f"ALTER TABLE {name} MODIFY TTL written_at + INTERVAL {days} DAY"


def merged(name: str) -> str:
    """Return the statement that sets how a rollup's parts are merged."""
    return (
        f"ALTER TABLE {name} MODIFY SETTING {', '.join(f'{key} = {value}' for key, value in MERGED.items())}"
    )
