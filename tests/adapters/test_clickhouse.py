"""The store's door: names, schema versions, who may come in, and what is said to those who may not."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from monitor.adapters import clickhouse
from monitor.adapters.clickhouse import Store
from monitor.adapters.dsn import read_dsn
from monitor.errors import StoreBusyError, StoreError, StoreRefusedError, UsageError
from monitor.store.schema import MIGRATIONS, Migration
from monitor.store.tables import TABLES

if TYPE_CHECKING:
    from pathlib import Path

LATEST = MIGRATIONS[-1].version
NEXT = (
    *MIGRATIONS,
    Migration(LATEST + 1, "notes on changes", ("ALTER TABLE changes ADD COLUMN IF NOT EXISTS note String",)),
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("chdb://", "name a directory"),
        ("chdb:///a?database=b", "name a directory"),
        ("postgres://host/db", "is no store"),
        ("/var/fleet", "is no store"),
        ("clickhouse://ann:secret@host/db", "MONITOR_STORE_PASSWORD"),
        ("clickhouse://host/db?password=secret", "MONITOR_STORE_PASSWORD"),
        ("clickhouse://host/a;b", "no name of a database"),
    ],
)
def test_names_that_are_refused(text: str, problem: str) -> None:
    """A wrong name is refused with what to write, and a password is never repeated."""
    with pytest.raises(UsageError, match=problem) as error:
        read_dsn(text)
    assert "secret" not in str(error.value)


def test_a_directory_keeps_its_snapshots_beside_it(tmp_path: Path) -> None:
    """The state directory lies beside the store; a server has none."""
    assert read_dsn(f"chdb://{tmp_path}/a b").state_dir == tmp_path / "a b.state"
    assert read_dsn("clickhouse://host/db").state_dir is None


def test_reading_makes_nothing(tmp_path: Path) -> None:
    """A store that is not there is not made by looking; a directory of something else is not touched."""
    with pytest.raises(StoreRefusedError, match="holds no store; make one with `monitor store init"):
        Store.open(f"chdb://{tmp_path}/nowhere")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "letter.txt").write_text("Dear Ann")
    with pytest.raises(StoreRefusedError, match="something else in it"):
        Store.open(f"chdb://{tmp_path}", create=True)


def test_migrations_go_forward_only(tmp_path: Path) -> None:
    """An older schema is named with the command to run, brought forward whole, and a newer one refused."""
    dsn = f"chdb://{tmp_path}/store"
    with Store.open(dsn, create=True) as store:
        assert store.version()[0] == LATEST
        token = store.token
        assert {row.table for row in store.stats()} == {table.name for table in TABLES} | {"schema_versions"}
    with pytest.raises(
        StoreRefusedError, match=rf"has schema {LATEST}, .* writes {LATEST + 1}; run `monitor store migr"
    ):
        Store.open(dsn, migrations=NEXT)
    assert [done.version for done in clickhouse.migrate(dsn, NEXT)[1]] == [LATEST + 1]
    assert clickhouse.migrate(dsn, NEXT) == (LATEST + 1, [])
    with Store.open(dsn, migrations=NEXT) as store:
        assert store.version() == (LATEST + 1, token)
        assert store.rows("SELECT note FROM changes") == []
    with pytest.raises(
        StoreRefusedError,
        match=f"has schema {LATEST + 1}, this program knows up to {LATEST}; use a newer program",
    ):
        Store.open(dsn)
    with pytest.raises(StoreRefusedError, match="newer program"):
        clickhouse.migrate(dsn)


def test_a_migration_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    """The version is written last: what fails half way is done again whole."""
    dsn = f"chdb://{tmp_path}/store"
    Store.open(dsn, create=True).close()
    broken = (
        *MIGRATIONS,
        Migration(LATEST + 1, "notes", (*NEXT[-1].statements, "ALTER TABLE nothing ADD COLUMN x String")),
    )
    with pytest.raises(StoreError, match="nothing"):
        clickhouse.migrate(dsn, broken)
    assert [done.version for done in clickhouse.migrate(dsn, NEXT)[1]] == [LATEST + 1]


def test_a_store_whose_making_was_cut_short_is_made_whole(tmp_path: Path) -> None:
    """A kill between two migrations of a new store leaves an old schema with nothing in it."""
    dsn = f"chdb://{tmp_path}/store"
    Store.open(dsn, create=True, migrations=MIGRATIONS[:1]).close()
    with pytest.raises(StoreRefusedError, match="has schema 1"):
        Store.open(dsn)
    with Store.open(dsn, create=True) as store:
        assert store.version()[0] == LATEST


def test_a_store_of_the_first_schema_keeps_its_rows(tmp_path: Path) -> None:
    """Its rollups are merged as those of a new store from then on."""
    dsn = f"chdb://{tmp_path}/store"
    with Store.open(dsn, create=True, migrations=MIGRATIONS[:1]) as store:
        store.command(
            "INSERT INTO m1 (ts, entity, metric, count) VALUES ('2026-11-24 06:00:00', 'a', 'b', 6)"
        )
    with pytest.raises(StoreRefusedError, match="has schema 1"):
        Store.open(dsn, create=True)
    assert [done.version for done in clickhouse.migrate(dsn)[1]] == [2]
    with Store.open(dsn) as store:
        assert store.rows("SELECT entity, count FROM m1") == [("a", 6)]
        made = store.rows("SELECT name, create_table_query FROM system.tables WHERE database = 'fleet'")
    assert {name for name, ddl in made if "merge_selector_base = 10" in ddl} == {"s10", "m1", "h1"}


HOLD = """
import sys, time
from monitor.adapters.clickhouse import Store
with Store.open(sys.argv[1], create=True):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second process is told who holds the directory; when that one has gone, it gets in while it waits."""
    dsn = f"chdb://{tmp_path}/store"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder, holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"open\n"
        began = time.monotonic()
        with pytest.raises(
            StoreBusyError, match=rf"open in another process \(process {holder.pid}, since 20"
        ):
            Store.open(dsn, wait_s=0.2)
        assert time.monotonic() - began < 2
        holder.stdin.close()
        Store.open(dsn, wait_s=20).close()


READ_ONLY = """
import os, sys
import chdb, clickhouse_connect
from monitor.adapters.clickhouse import Store
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
from monitor.errors import StoreError
try:
    Store.open(sys.argv[1], create=True)
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("made_before", [True, False])
def test_a_directory_that_cannot_be_written(tmp_path: Path, *, made_before: bool) -> None:
    """It is said so, with what to do; nothing is made."""
    path = tmp_path / "locked" / "store"
    path.parent.mkdir()
    if made_before:
        Store.open(f"chdb://{path}", create=True).close()
        path.chmod(0o555)
    path.parent.chmod(0o555)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(0o755)
    result = subprocess.run(
        [sys.executable, "-c", READ_ONLY, f"chdb://{path}"], capture_output=True, text=True, check=True
    )
    assert (
        "cannot be written (Permission denied); it needs a directory that this user may write"
        in result.stdout
    )
    assert path.exists() == made_before


def test_the_engine_is_loaded_only_when_a_store_is_opened() -> None:
    """`monitor --help` and a replay without a store start without it."""
    script = (
        "import sys, monitor.cli, monitor.cli.store, monitor.runners.build, monitor.adapters.storewriter;"
        "print({'chdb', 'clickhouse_connect', 'pyarrow', 'pandas'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ("", "Empty query$"),
        ("SELECT 1; SELECT 2", "Multi-statements are not allowed"),
        ("SELEC 1", r"failed at position 7 \(1\): 1. Expected"),
        ("SELECT 1 INTO /* a */ outfile '{path}'", "INTO OUTFILE writes a file"),
        ("INSERT INTO FUNCTION file('{path}') SELECT 1", "readonly"),
        ("DROP TABLE m1", "readonly"),
    ],
)
def test_a_question_is_one_and_only_reads(tmp_path: Path, question: str, problem: str) -> None:
    """What it says is about the words of whoever asks, not about those that the client adds."""
    path = tmp_path / "stolen.csv"
    with Store.open(f"chdb://{tmp_path}/store", create=True) as store:
        with pytest.raises(StoreError, match=problem) as error:
            store.ask(question.format(path=path))
        assert "SETTINGS" not in str(error.value).partition("Expected")[0]
        assert "Native" not in str(error.value)
        assert store.ask("SELECT 'x INTO OUTFILE \\\\n' AS `INTO OUTFILE`; -- one") == (
            ("INTO OUTFILE",), [("x INTO OUTFILE \\n",)],
        )  # fmt: skip
    assert not path.exists()
