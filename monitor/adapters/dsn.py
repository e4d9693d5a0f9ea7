"""Names of stores: a directory of the embedded engine, or a database of a server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from monitor.errors import UsageError
from monitor.store.tables import DATABASE

PASSWORD = "MONITOR_STORE_PASSWORD"  # noqa: S105 - the name of a variable, not its value
SERVERS = {"clickhouse": ("http", 8123), "clickhouses": ("https", 8443)}


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where a store is. `path` is None for a server. Printing it shows no password."""

    scheme: str
    path: Path | None
    host: str = ""
    port: int = 0
    user: str = ""
    database: str = DATABASE

    def __str__(self) -> str:
        if self.path is not None:
            return f"chdb://{self.path}"
        user = f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{user}{self.host}:{self.port}/{self.database}"

    @property
    def state_dir(self) -> Path | None:
        """Where a replay keeps its snapshots unless told otherwise: beside the store's directory."""
        return None if self.path is None else self.path.with_name(self.path.name + ".state")

    @property
    def live_dir(self) -> Path | None:
        """Where a live process keeps its state unless told otherwise: beside the store's directory."""
        return None if self.path is None else self.path.with_name(self.path.name + ".live")


def read_dsn(text: str) -> Dsn:
    """Read the name of a store. Raises UsageError.

    >>> str(read_dsn("chdb:///var/fleet")), str(read_dsn("clickhouse://ann@db.example/fleet"))
    ('chdb:///var/fleet', 'clickhouse://ann@db.example:8123/fleet')
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{_shown(text)}: {error}") from error
    if parts.scheme == "chdb":
        place = unquote(parts.netloc + parts.path)
        if not place.strip("/") or parts.query:
            raise UsageError(f"{_shown(text)}: name a directory, as chdb:///var/lib/fleet, and nothing else")
        return Dsn("chdb", Path(place).absolute())
    if parts.scheme not in SERVERS or not parts.hostname:
        raise UsageError(
            f"{_shown(text)}: is no store; write chdb:///directory or clickhouse://user@host/database"
        )
    if parts.password is not None or parts.query:
        raise UsageError(
            f"{_shown(text)}: write no password or arguments there; the password goes in {PASSWORD}"
        )
    database = parts.path.strip("/") or DATABASE
    if not database.isidentifier():
        raise UsageError(f"{_shown(text)}: `{database}` is no name of a database")
    port = port or SERVERS[parts.scheme][1]
    return Dsn(parts.scheme, None, parts.hostname, port, unquote(parts.username or ""), database)


def _shown(text: str) -> str:
    """Return a name without its password."""
    head, at, tail = text.rpartition("@")
    scheme, _, user = head.partition("://")
    return f"{scheme}://{user.partition(':')[0]}@{tail}" if at else text.partition("?")[0]


def password() -> str:
    """Return the password of a server's user, from the environment."""
    return os.environ.get(PASSWORD, "")
