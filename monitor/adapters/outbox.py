"""The outbox on disk: SQLite, write-ahead log, synced at each commit.

SQLite rather than a log of our own: a step changes several records at once (an event, its page, how the
incident stands) and they must be there together or not at all; recovery after a kill is SQLite's and long
proven; and another process can read what is queued and what is dead while this one works. `synchronous=FULL`
makes a commit survive a power failure, at the price of one fsync, which is little beside sending a page.

No key is ever in it: events are made of incident lines, keys are added when they are sent.
"""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from typing import IO, TYPE_CHECKING, Any

import msgspec

from monitor.errors import StateError, UsageError, WorkError
from monitor.notify.outbox import Next, Outbox
from monitor.notify.pagebook import Changes
from monitor.notify.records import Event, Page, Standing
from monitor.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Answer
    from monitor.types import Incident

FORMAT = 1
COLUMNS = tuple(field.name for field in msgspec.structs.fields(Event))

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, incident TEXT NOT NULL,
  episode INTEGER NOT NULL, action TEXT NOT NULL, severity TEXT NOT NULL, line BLOB NOT NULL,
  decided_at INTEGER NOT NULL, taken_at INTEGER NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL,
  not_before INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
  finished_at INTEGER, late_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS unfinished ON events (status) WHERE finished_at IS NULL;
CREATE TABLE IF NOT EXISTS pages (
  channel TEXT, incident TEXT, episode INTEGER, record BLOB NOT NULL,
  PRIMARY KEY (channel, incident, episode));
CREATE TABLE IF NOT EXISTS standings (
  incident TEXT, episode INTEGER, record BLOB NOT NULL, PRIMARY KEY (incident, episode));
"""


_PUT_EVENT = f"INSERT OR REPLACE INTO events VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608


class DurableOutbox:
    """An outbox whose every step is on disk before its effect. One process at a time has it.

    Not for several threads at once: who shares it holds a lock.
    """

    def __init__(self, path: Path, settings: NotifySettings, channels: Sequence[str], now: int) -> None:
        self.path = path
        self._settings, self._channels = settings, tuple(channels)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        try:
            self._db = _connect(path)
            self._write(self._load(now), now)
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise WorkError(f"{path}: cannot be used as an outbox: {error}") from error
        except WorkError:
            self._lock.close()
            raise

    def _load(self, now: int) -> Changes:
        """Make the machine from what is on disk; return what that changed."""
        self._machine = Outbox(self._settings, self._channels)
        unfinished = list(_events(self._db, "finished_at IS NULL ORDER BY seq"))
        pages = _records(self._db, "pages", Page)
        standings = _records(self._db, "standings", Standing)
        last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        changes = self._machine.restore(unfinished, pages, standings, last[0] if last else 0)
        sql = (
            "SELECT channel, SUM(attempts) FROM events"
            " WHERE coalesce(finished_at, ?1) > ?1 - ?2 GROUP BY channel"
        )
        for channel, count in self._db.execute(sql, (now, MINUTE)):
            self._machine.spent(channel, count, now)
        return changes

    def take(self, lines: Iterable[Incident], now: int) -> int:
        """Take lines of the incidents output; durable when it returns. Returns how many were new.

        Lines that were taken before change nothing, so whoever is unsure gives them again.
        """
        together, count = Changes(), 0
        for line in lines:
            changes = self._machine.take(line, now)
            count += bool(changes.standings)
            together.events.update(changes.events)
            together.pages.update(changes.pages)
            together.standings.update(changes.standings)
        self._write(together, now)
        return count

    def next_event(self, channel: str, now: int) -> Next:
        """Return what a channel sends next; that it is being sent is durable."""
        following = self._machine.next_event(channel, now)
        self._write(following.changes, now)
        return following

    def settle(self, seq: int, answer: Answer, now: int) -> Event:
        """Write down the outcome of an attempt; return the event as it is now."""
        changes = self._machine.settle(seq, answer, now)
        self._write(changes, now)
        return changes.events[seq]

    def pending(self, channel: str | None = None) -> int:
        """Return how many events are not at their end."""
        return self._machine.pending(channel)

    def forget(self, now: int) -> None:
        """Drop what ended more than keep_ms ago. What is dead stays until somebody has seen to it."""
        pages, standings = self._machine.forget(now)
        with self._db:
            before = (now - self._settings.keep_ms,)
            self._db.execute("DELETE FROM events WHERE finished_at < ? AND status <> 'dead'", before)
            self._db.executemany(
                "DELETE FROM pages WHERE channel = ? AND incident = ? AND episode = ?", pages
            )
            self._db.executemany("DELETE FROM standings WHERE incident = ? AND episode = ?", standings)

    def revive(self, seqs: Iterable[int], now: int) -> int:
        """Say again what was refused, once what was wrong is mended; return how many events that were."""
        wanted = set(seqs)
        dead = [event for event in _events(self._db, "status = 'dead' ORDER BY seq") if event.seq in wanted]
        self._write(self._machine.revive(dead, now), now)
        return len(dead)

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._db.close()
        self._lock.close()

    def _write(self, changes: Changes, now: int) -> None:
        """Write changes in one transaction. Where that fails, what is in memory is made again from disk."""
        if not changes:
            return
        try:
            with self._db:
                self._db.executemany(
                    _PUT_EVENT,
                    [_row(event) for event in changes.events.values()],
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)",
                    [(*key, msgspec.json.encode(page)) for key, page in changes.pages.items()],
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO standings VALUES (?, ?, ?)",
                    [(*key, msgspec.json.encode(s)) for key, s in changes.standings.items()],
                )
        except sqlite3.Error as error:
            self._load(now)
            raise WorkError(f"{self.path}: the outbox cannot be written: {error}") from error


def read_events(path: Path, status: str | None = None) -> list[Event]:
    """Return the events of an outbox that another process may have open, in order."""
    if not path.exists():
        raise UsageError(f"{path}: no outbox there")
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        try:
            return list(_events(db, "?1 IS NULL OR status = ?1 ORDER BY seq", status))
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{path}: is no outbox ({error})") from error


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, timeout=10)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _check_format(db, path)
        db.executescript(SCHEMA)
        db.execute(f"PRAGMA user_version = {FORMAT}")
    except BaseException:
        db.close()
        raise
    return db


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found not in {0, FORMAT}:
        raise StateError(f"{path}: outbox of format {found}, not {FORMAT}; use the program that wrote it")


def _locked(path: Path) -> IO[bytes]:
    """Return the lock file of an outbox, held. The system lets go of it when the process ends, however."""
    stream = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.close()
        raise WorkError(f"{path}: another process delivers from this outbox; stop it first") from error
    return stream


def _row(event: Event) -> tuple[Any, ...]:
    values = msgspec.structs.astuple(event)
    return tuple(str(value) if isinstance(value, str) else value for value in values)


def _events(db: sqlite3.Connection, where: str, *arguments: Any) -> Iterator[Event]:
    sql = f"SELECT {', '.join(COLUMNS)} FROM events WHERE {where}"  # noqa: S608 - texts of our own
    for row in db.execute(sql, arguments):
        yield msgspec.convert(dict(zip(COLUMNS, row, strict=True)), Event)


def _records(db: sqlite3.Connection, table: str, record: type[Any]) -> list[Any]:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(record)
    return [decoder.decode(row[0]) for row in db.execute(f"SELECT record FROM {table}")]  # noqa: S608
