"""Versions of the schema: each migration brings a store from one to the next, and none goes back.

Statements can be run again: a migration that was cut short is done again whole. Its number is written last.

The first migration makes the tables as they are today, so a new store has every column before later
migrations run: one that adds a column says `ADD COLUMN IF NOT EXISTS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from monitor.store.tables import DATABASE, INCIDENTS_VIEW, KEPT_DAYS, ROLLUPS, TABLES, keep, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

CREATE_DATABASE = f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic"

CREATE_VERSIONS = """\
CREATE TABLE IF NOT EXISTS schema_versions (
  `version` UInt32, `name` String, `store` String, `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree ORDER BY version SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"""

READ_VERSION = "SELECT max(version), any(store) FROM schema_versions"
"""The version of a store (0: it has none) and the name that it was given when it was made."""


class Migration(NamedTuple):
    """One step forward."""

    version: int
    name: str
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration(
        1,
        "the tables",
        (
            *(table.ddl for table in TABLES),
            INCIDENTS_VIEW,
            *(keep(name, days) for name, days in KEPT_DAYS.items()),
        ),
    ),
    Migration(2, "how rollups are merged", tuple(merged(table.name) for table in ROLLUPS)),
)


def pending(version: int, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """Return what a store of a version still needs, in order.

    >>> [migration.version for migration in pending(0)]
    [1, 2]
    """
    return [migration for migration in migrations if migration.version > version]


def newest(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Return the version that this program writes."""
    return migrations[-1].version
