"""Where commands read records from: the files of a replay, a store, or a live process."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.adapters.liveclient import LiveClient
    from monitor.correlate.observe import Decision
    from monitor.types import DeadLetter, Incident


STATES = ("open", "acknowledged", "resolved", "merged")
NAME_ONE = "name where to read: either --from FILE or --store DSN, or the --url or --state of a live process"
NAME_LIVE = "name the live process by its --url (or MONITOR_URL), its --state or its --store"


def reads(what: str) -> Callable[[Any], Any]:
    """Give a command its sources of incidents, or dead letters, as one argument `source`."""
    file = click.option(
        "--from",
        "file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"A file that `monitor replay --{what}` wrote.",
    )
    return lambda command: file(_with_source(what, command, NAME_ONE))


def reads_live(command: Any) -> Any:
    """Give a command the sources that may lead to a live process, as one argument `source`."""
    return _with_source("incidents", command, NAME_LIVE)


def _with_source(what: str, command: Any, ask: str) -> Any:
    store = click.option("--store", metavar="DSN", help="A store, as chdb:///directory.")
    url = click.option("--url", help="A live process, as http://127.0.0.1:8720; by default MONITOR_URL.")
    state = click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        help="State directory of a live process, or of the replay where its decisions are.",
    )

    @functools.wraps(command)
    def with_source(
        *arguments: Any,
        store: str | None,
        url: str | None,
        state: Path | None,
        file: Path | None = None,
        **more: Any,
    ) -> Any:
        return command(*arguments, source=Source.find(what, file, store, url, state, ask), **more)

    return store(url(state(with_source)))


@dataclass(frozen=True, slots=True)
class Source:
    """Where records are read: a live process where `live` is set, else a file or a store."""

    file: Path | None = None
    store: str | None = None
    state: Path | None = None
    live: LiveClient | None = None

    @classmethod
    def find(
        cls, what: str, file: Path | None, store: str | None, url: str | None, state: Path | None, ask: str
    ) -> Source:
        """Return what the options name; the live process of a store or state directory, where one runs.

        Raises UsageError where they name nothing, or two things: `ask` says what to name.
        """
        import os

        from monitor.adapters.livefiles import URL_FROM
        from monitor.errors import UsageError

        named = [file is not None, store is not None, url is not None]
        if sum(named) > 1:
            raise UsageError(ask)
        if url is None and not any(named) and state is None:
            url = os.environ.get(URL_FROM)
        if file is None and (live := live_client(store, url, state)) is not None:
            return cls(live=live)
        if not any(named) and state is not None and (state / f"{what}.ndjson").exists():
            return cls(state / f"{what}.ndjson", None, state)
        if not any(named):
            nothing = f"{state}: no live process runs there, and it holds no {what}.ndjson"
            raise UsageError(ask if state is None else nothing)
        return cls(file, store, state)

    @property
    def where(self) -> str:
        """What errors call it."""
        return self.live.url if self.live else str(self.file or self.store)

    def lines(self) -> list[Incident]:
        """Return every transition, in order; of a live process, how incidents stand."""
        return self.live.standing() if self.live else transitions(self.file, self.store)

    def history(self, incident: str) -> list[Incident]:
        """Return the transitions of incidents whose id begins so."""
        if self.live:
            return self.live.history(incident)
        return [line for line in self.lines() if line.id.startswith(incident)]

    def decisions(self, target: str) -> list[Decision]:
        """Return why what concerns an incident or entity did or did not page."""
        if self.live:
            return self.live.decisions(target)
        return [decision for decision in self._all_decisions() if decision.is_about(target)]

    def dead_letters(self, reason: str | None, limit: int) -> Iterable[DeadLetter]:
        """Return the first dead letters, of one reason."""
        if self.live:
            return self.live.dead(reason, limit)[1]
        wanted = (letter for letter in dead_letters(self.file, self.store) if reason in {None, letter.reason})
        return islice(wanted, limit)

    def dead_counts(self) -> Counter[str]:
        """Return how many dead letters there are, by reason."""
        if self.live:
            return Counter(self.live.dead(None, 0)[0])
        return Counter(letter.reason for letter in dead_letters(self.file, self.store))

    def _all_decisions(self) -> list[Decision]:
        from monitor.adapters import records
        from monitor.runners.build import DECISIONS, default_state

        if self.store is not None:
            return decisions(self.store)
        assert self.file is not None
        return records.decisions((self.state or default_state(self.file)) / DECISIONS)


def live_client(store: str | None, url: str | None, state: Path | None) -> LiveClient | None:
    """Return a client of the live process there, or of a store or state directory; None where none runs."""
    import os

    from monitor.adapters.dsn import read_dsn
    from monitor.adapters.liveclient import LiveClient
    from monitor.adapters.livefiles import address_of, read_token

    place = read_dsn(store).live_dir if state is None and store is not None else state
    if not url and place is not None:
        url = address_of(place)
    return LiveClient(url, read_token(place, os.environ)) if url else None


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
    return list(records.transitions(file))


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
