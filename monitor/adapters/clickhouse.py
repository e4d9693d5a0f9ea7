"""The store on ClickHouse: the embedded engine in a directory, or a server; one client, the same SQL.

The engine is loaded when a store is opened, not before. One process may hold a directory.
"""

from __future__ import annotations

import fcntl
import logging
import re
import time
import uuid
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from monitor.adapters.arrow import packed
from monitor.adapters.dsn import SERVERS, Dsn, password, read_dsn
from monitor.errors import StoreBusyError, StoreError, StoreRefusedError
from monitor.store import schema
from monitor.store.queries import STATS
from monitor.store.tables import DATABASE, TIERS, keep

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from monitor.store.schema import Migration
    from monitor.store.tables import Table

logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())  # what it logs, it also raises

ENGINE = {"max_server_memory_usage": "2000000000", "mark_cache_size": "268435456"}
"""What the embedded engine may use: by its own defaults it takes 0.9 of the machine."""

LONGEST_S = 600
"""A statement that takes longer is given up."""

SETTINGS = {
    "async_insert": 0,
    "do_not_merge_across_partitions_select_final": 1,
    "max_bytes_before_external_group_by": 500_000_000,
    "max_execution_time": LONGEST_S,
    "max_memory_usage": 1_500_000_000,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
    "session_timezone": "UTC",
}
PROBE = ".writable"
ENGINE_FILES = {"data", "metadata", "status", "store", "tmp", PROBE}
"""What the engine makes first in its directory: a process may have been killed while it did."""

STATEMENT = "SELECT formatQuerySingleLine({text:String})"
"""How the engine itself reads a question: one statement, in capitals and without comments."""

QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*\"""")
NOT_ENOUGH_SPACE = 243
FULL = ("No space left on device", "NOT_ENOUGH_SPACE", f"Code: {NOT_ENOUGH_SPACE}")


class TableStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a table holds, and of a tier of rollups the time it covers, ms."""

    table: str
    rows: int
    bytes: int
    parts: int
    first: int | None = None
    last: int | None = None


class Store:
    """An open store with one client. A client serves one thread: `another` makes one more."""

    def __init__(self, dsn: Dsn, client: Any, token: str) -> None:
        self.dsn, self.token = dsn, token
        self._client = client

    @classmethod
    def open(
        cls,
        name: str,
        *,
        create: bool = False,
        wait_s: float = 2.0,
        migrations: Sequence[Migration] = schema.MIGRATIONS,
    ) -> Self:
        """Open a store, making it where there is none and `create` is set.

        Raises StoreRefusedError for another schema, StoreBusyError when another process still has it after
        `wait_s`, StoreError where it cannot be written.
        """
        dsn = read_dsn(name)
        if dsn.path is not None:
            _prepare(dsn.path, create=create, wait_s=wait_s)
        with told(dsn):
            client = _connect(dsn, create=create)
        store = cls(dsn, client, "")
        try:
            store._check(create=create, migrations=migrations)
        except BaseException:
            store.close()
            raise
        return store

    def _check(self, *, create: bool, migrations: Sequence[Migration]) -> None:
        version, self.token = self.version()
        newest = schema.newest(migrations)
        if create and version < newest and (version == 0 or self._unused()):
            self.migrate(migrations)
        elif version == 0:
            raise StoreRefusedError(
                f"{self.dsn}: holds no store; make one with `monitor store init {self.dsn}`"
            )
        elif version > newest:
            self.refuse_newer(version, newest)
        elif version < newest:
            raise StoreRefusedError(
                f"{self.dsn}: has schema {version}, this program writes {newest}; "
                f"run `monitor store migrate {self.dsn}`"
            )

    def _unused(self) -> bool:
        """Tell whether nothing was ever written, as where the making of the store was cut short."""
        return not self.rows("SELECT 1 FROM system.tables WHERE database = currentDatabase() AND "
                             "name != 'schema_versions' AND total_rows > 0 LIMIT 1")  # fmt: skip

    def refuse_newer(self, version: int, newest: int) -> None:
        """Raise StoreRefusedError: an older program must not write what a newer one has made."""
        raise StoreRefusedError(
            f"{self.dsn}: has schema {version}, this program knows up to {newest}; use a newer program"
        )

    def version(self) -> tuple[int, str]:
        """Return the schema's version, 0 for none, and the name the store was given when it was made."""
        if not self.rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND "
                         "name = 'schema_versions'"):  # fmt: skip
            return 0, ""
        version, token = self.rows(schema.READ_VERSION)[0]
        return int(version), str(token)

    def migrate(self, migrations: Sequence[Migration] = schema.MIGRATIONS) -> list[Migration]:
        """Bring the schema forward; return what was done. A migration cut short is done again whole."""
        self.command(schema.CREATE_VERSIONS)
        version, token = self.version()
        self.token = token or uuid.uuid4().hex
        done = schema.pending(version, migrations)
        for migration in done:
            for statement in migration.statements:
                self.command(statement)
            row: list[list[Any]] = [[migration.version], [migration.name], [self.token]]
            self._insert("schema_versions", ["version", "name", "store"], row)
        return done

    def keep(self, days: Mapping[str, int]) -> None:
        """Set how many days each table is kept after it was written."""
        for table, count in days.items():
            self.command(keep(table, count))

    def another(self) -> Store:
        """Return the same store with a client of its own, for another thread."""
        with told(self.dsn):
            return Store(self.dsn, _client(self.dsn, self.dsn.database), self.token)

    def command(self, sql: str, **parameters: Any) -> None:
        """Run a statement. Long parameters go in the body: a server takes an address of a megabyte."""
        with told(self.dsn):
            self._client.raw_query(sql, parameters=parameters or None)

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows that a query gives."""
        with told(self.dsn):
            found: list[tuple[Any, ...]] = self._client.query(sql, parameters=parameters).result_rows
            return found

    def ask(
        self, sql: str, limits: Mapping[str, int] = MappingProxyType({})
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the names of the columns and the rows of somebody's own question, which may only read.

        limits: settings of the engine. Raises StoreError for what is not one statement, would write a file
        where the client is, or is beyond the limits.
        """
        try:
            ((statement,),) = self.rows(STATEMENT, text=sql)
        except StoreError as error:
            raise StoreError(str(error).partition(": In scope ")[0]) from error
        if "INTO OUTFILE" in QUOTED.sub("", statement):
            raise StoreError(f"{self.dsn}: INTO OUTFILE writes a file; redirect what is printed instead")
        with told(self.dsn):
            found = self._client.query(sql, settings={**limits, "readonly": 1})
            return tuple(found.column_names), found.result_rows

    def insert(self, table: Table, columns: list[list[Any]]) -> None:
        """Insert columns in the table's order. It is durable when this returns."""
        if columns and columns[0]:
            self._insert(table.name, list(table.columns), columns)

    def _insert(self, table: str, names: list[str], columns: list[list[Any]]) -> None:
        with told(self.dsn):
            self._client.insert(table, columns, column_names=names, column_oriented=True)

    def insert_arrow(self, table: Table, arrow: Any) -> None:
        """Insert an Arrow table. It is durable when this returns.

        Compressed, since a server is reached over a network and the embedded engine through a file.
        """
        with told(self.dsn):
            self._client.raw_insert(table.name, arrow.schema.names, packed(arrow), fmt="Arrow")

    def stats(self) -> list[TableStats]:
        """Return what each table holds."""
        return [
            TableStats(str(name), int(rows), int(size), int(parts), *self._covers(name))
            for name, rows, size, parts in self.rows(STATS.sql, database=self.dsn.database)
        ]

    def _covers(self, table: str) -> tuple[int, int] | tuple[()]:
        """Return the time that a tier of rollups covers."""
        if table not in TIERS:
            return ()
        sql = f"SELECT toUnixTimestamp(min(ts)), toUnixTimestamp(max(ts)), count() FROM {table}"
        first, last, count = self.rows(sql)[0]
        return (first * 1000, last * 1000 + TIERS[table]) if count else ()

    def close(self) -> None:
        """Let go. The last client of a directory frees it for other processes."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def migrate(name: str, migrations: Sequence[Migration] = schema.MIGRATIONS) -> tuple[int, list[Migration]]:
    """Bring a store of any older schema forward; return its version now, and what was done."""
    dsn = read_dsn(name)
    if dsn.path is not None:
        _prepare(dsn.path, create=False, wait_s=2.0)
    with told(dsn):
        client = _connect(dsn, create=False)
    with Store(dsn, client, "") as store:
        version, _ = store.version()
        if version > schema.newest(migrations):
            store.refuse_newer(version, schema.newest(migrations))
        done = store.migrate(migrations)
        return store.version()[0], done


def _connect(dsn: Dsn, *, create: bool) -> Any:
    first = _client(dsn, None)
    try:
        if create:
            first.command(schema.CREATE_DATABASE.replace(f" {DATABASE} ", f" {dsn.database} "))
        elif not first.query(f"SELECT name FROM system.databases WHERE name = '{dsn.database}'").result_rows:
            raise StoreRefusedError(f"{dsn}: holds no store; make one with `monitor store init {dsn}`")
        return _client(dsn, dsn.database)
    finally:
        first.close()


def _client(dsn: Dsn, database: str | None) -> Any:
    import clickhouse_connect

    if dsn.path is not None:
        return clickhouse_connect.get_client(
            interface="chdb", path=str(dsn.path), database=database or "default", settings=dict(SETTINGS),
            chdb_options=dict(ENGINE),
        )  # fmt: skip
    return clickhouse_connect.get_client(
        interface=SERVERS[dsn.scheme][0], host=dsn.host, port=dsn.port, username=dsn.user or None,
        password=password(), database=database or "default", settings=dict(SETTINGS),
        autogenerate_session_id=False, send_receive_timeout=LONGEST_S + 30,
    )  # fmt: skip


def _prepare(path: Path, *, create: bool, wait_s: float) -> None:
    """See to it that a directory can be opened. Raises StoreRefusedError, StoreBusyError, StoreError."""
    try:
        _may_hold_a_store(path, create=create)
        path.mkdir(parents=True, exist_ok=True)
        probe = path / PROBE
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"chdb://{path}: cannot be written ({error.strerror}); it needs a directory that this user may "
            "write, also for reading"
        ) from error
    deadline = time.monotonic() + wait_s
    while (holder := _holder(path / "status")) is not None:
        if time.monotonic() >= deadline:
            raise StoreBusyError(
                f"chdb://{path}: is open in another process ({holder}); stop that one, name it with "
                "--url where a command takes that, or use a server, which many processes share"
            )
        time.sleep(0.05)


def _may_hold_a_store(path: Path, *, create: bool) -> None:
    there = (path / "metadata").is_dir()
    if not create and not there:
        raise StoreRefusedError(
            f"chdb://{path}: holds no store; make one with `monitor store init chdb://{path}`"
        )
    if path.is_dir() and not there and any(item.name not in ENGINE_FILES for item in path.iterdir()):
        raise StoreRefusedError(f"chdb://{path}: is a directory with something else in it; name an empty one")
    if path.exists() and not path.is_dir():
        raise StoreRefusedError(f"chdb://{path}: is a file; a store is a directory")


def _holder(status: Path) -> str | None:
    """Return who holds a directory: the engine keeps its status file locked, with its process id in it."""
    try:
        with status.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                said = dict(line.partition(": ")[::2] for line in file.read().splitlines())
                return f"process {said.get('PID', 'unknown')}, since {said.get('Started at', 'unknown')}"
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"chdb://{status.parent}: cannot be written ({error.strerror})") from error
    return None


@contextmanager
def told(dsn: Dsn) -> Iterator[None]:
    """Turn what the client raises into errors that say what to do."""
    import clickhouse_connect.driver.exceptions as client

    try:
        yield
    except (client.ClickHouseError, OSError) as error:
        text = str(error)
        if any(word in text for word in FULL):
            raise StoreError(
                f"{dsn}: the disk is full; what was written stays: free some space and start again"
            ) from error
        if dsn.path is None and (reason := _unreached(error)):
            raise StoreError(f"{dsn}: cannot be reached: {reason}") from error
        raise StoreError(f"{dsn}: {text.strip()[:600]}") from error


def _unreached(error: BaseException | None) -> str:
    """Return the system's reason behind an error of the client, "" where there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return ""
