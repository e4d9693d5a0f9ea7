"""Where commands read records from: the files of a replay, or a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.correlate.observe import Decision
    from monitor.types import DeadLetter, Incident


def reads(what: str) -> Callable[[Any], Any]:
    """Give a command its two sources, of which one must be named."""
    file = click.option(
        "--from",
        "file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"A file that `monitor replay --{what}` wrote.",
    )
    store = click.option("--store", metavar="DSN", help="A store, as chdb:///directory.")
    return lambda command: file(store(command))


def transitions(file: Path | None, store: str | None) -> list[Incident]:
    """Return every transition, in order."""
    if which(file, store) == "store":
        import msgspec

        from monitor.store.queries import HISTORY
        from monitor.types import Incident

        rows = _rows(store, HISTORY.sql, id="")
        return [msgspec.json.decode(record, type=Incident) for (record,) in rows]
    from monitor.adapters import records

    assert file is not None
    return records.transitions(file)


def decisions(store: str) -> list[Decision]:
    """Return why things paged or did not, from a store, by time."""
    from monitor.correlate.observe import Decision, PageReason
    from monitor.store.queries import DECISIONS_MADE

    rows = _rows(store, DECISIONS_MADE.sql)
    return [
        Decision(ts, incident, entity, PageReason(reason), detail)
        for ts, incident, entity, reason, detail in rows
    ]


def dead_letters(file: Path | None, store: str | None) -> list[DeadLetter]:
    """Return dead letters, from a store by reason and position."""
    if which(file, store) == "store":
        import msgspec

        from monitor.store.queries import DEAD_LETTERS_HELD
        from monitor.types import DeadLetter

        rows = _rows(store, DEAD_LETTERS_HELD.sql)
        return [DeadLetter(msgspec.json.decode(row[0]), *row[1:]) for row in rows]
    from monitor.adapters import records

    assert file is not None
    return list(records.dead_letters(file))


def which(file: Path | None, store: str | None) -> str:
    """Say which source was named. Raises UsageError unless it is one."""
    from monitor.errors import UsageError

    if (file is None) == (store is None):
        raise UsageError("name where to read: either --from FILE or --store DSN")
    return "file" if store is None else "store"


def _rows(store: str | None, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    from monitor.adapters.clickhouse import Store

    assert store is not None
    with Store.open(store) as opened:
        return opened.rows(sql, **parameters)
