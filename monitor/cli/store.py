"""`monitor store`: make a store, bring its schema forward, see what is in it, ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from monitor.adapters.clickhouse import TableStats

DSN = click.argument("dsn")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print records, one a line.")


@click.group("store")
def store_group() -> None:
    """Make, look into and ask a store of rollups and records.

    \b
    Example:
      monitor store stats chdb:///var/lib/fleet

    A store is chdb:///directory, or clickhouse://user@host/database. A server's password is read from
    MONITOR_STORE_PASSWORD.
    """


@store_group.command("init")
@DSN
@click.option("--keep-10s", default=1, show_default=True, type=click.IntRange(1), help="Days.")
@click.option("--keep-1m", default=30, show_default=True, type=click.IntRange(1), help="Days.")
@click.option("--keep-1h", default=1095, show_default=True, type=click.IntRange(1), help="Days.")
def init_store(dsn: str, keep_10s: int, keep_1m: int, keep_1h: int) -> None:
    """Make a store, or set how long one keeps its rollups.

    What is kept so long counts from when it was written.

    \b
    Example:
      monitor store init chdb:///var/lib/fleet --keep-10s 2
    """
    from monitor.adapters.clickhouse import Store

    with Store.open(dsn, create=True) as store:
        store.keep({"s10": keep_10s, "m1": keep_1m, "h1": keep_1h})
        version, _ = store.version()
        click.echo(
            f"{store.dsn}: schema {version}; keeps 10 s {keep_10s} d, 1 min {keep_1m} d, 1 h {keep_1h} d"
        )


@store_group.command("migrate")
@DSN
def migrate_store(dsn: str) -> None:
    """Bring a store's schema to the version that this program writes.

    \b
    Example:
      monitor store migrate chdb:///var/lib/fleet
    """
    from monitor.adapters.clickhouse import migrate

    version, done = migrate(dsn)
    for migration in done:
        click.echo(f"{migration.version}: {migration.name}")
    click.echo(f"schema {version}" if done else f"schema {version}, nothing to do")


@store_group.command("stats")
@click.argument("dsn", required=False)
@click.option("--url", help="Ask the live process that has it, as http://127.0.0.1:8720.")
@AS_JSON
def store_stats(dsn: str | None, url: str | None, *, as_json: bool) -> None:
    """Show what each table holds, and the time each tier covers.

    Rows that were written twice count twice until they are merged. Where a live process has the store, that
    is asked; where its state is not beside the store, name it with --url.

    \b
    Example:
      monitor store stats chdb:///var/lib/fleet
    """
    import msgspec

    from monitor.cli.incidents import clock_text

    for table in _stats(dsn, url):
        times = {
            name: clock_text(ts) for name in ("first", "last") if (ts := getattr(table, name)) is not None
        }
        if as_json:
            click.echo(msgspec.json.encode({**msgspec.to_builtins(table), **times}).decode())
            continue
        each = f"{table.bytes / table.rows:6.1f} bytes a row" if table.rows else ""
        span = f"  {times['first']} to {times['last']}" if times else ""
        click.echo(f"{table.table:<18}{table.rows:>14,} rows{table.bytes:>16,} bytes  {each}{span}")


def _stats(dsn: str | None, url: str | None) -> list[TableStats]:
    from monitor.adapters.clickhouse import Store
    from monitor.cli.sources import live_client
    from monitor.errors import UsageError

    if (dsn is None) == (url is None):
        raise UsageError("name a store, as chdb:///directory, or with --url the live process that has it")
    if (live := live_client(dsn, url, None)) is not None:
        return live.store()
    assert dsn is not None
    with Store.open(dsn) as store:
        return store.stats()


@store_group.command("query")
@DSN
@click.argument("sql")
@AS_JSON
def query_store(dsn: str, sql: str, *, as_json: bool) -> None:
    """Ask a store a question in ClickHouse's SQL.

    Read tables with FINAL. The engine is told to read only. Where a live process has the store, that is
    asked, for 20 s at most, with the token in MONITOR_TOKEN or its state directory; DSN may be its address
    instead.

    \b
    Examples:
      monitor store query chdb:///var/lib/fleet "SELECT cause, reason, severity FROM incidents"
      monitor store query http://127.0.0.1:8720 "SELECT max(ts) FROM m1"
    """
    import msgspec

    from monitor.adapters.clickhouse import Store
    from monitor.cli.sources import live_client
    from monitor.cli.tables import columns

    url = dsn if dsn.startswith(("http://", "https://")) else None
    if (live := live_client(None if url else dsn, url, None)) is not None:
        names, rows = live.query(sql)
    else:
        with Store.open(dsn) as store:
            names, rows = store.ask(sql)
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(dict(zip(names, row, strict=True)), enc_hook=str).decode())
        return
    if not rows:
        click.echo("no rows")
        return
    for line in columns(names, rows):
        click.echo(line)
