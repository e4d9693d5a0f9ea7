"""A store by DSN on a server: what our client sends over HTTP is what a strict server takes."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import pytest

import loadgen
from monitor.adapters.clickhouse import SETTINGS, Store, migrate
from monitor.adapters.dsn import PASSWORD
from monitor.errors import StoreError, StoreRefusedError
from monitor.store.queries import QUERIES
from monitor.store.rolls import SOME_SERIES, roll
from monitor.store.tables import S10
from tests.store import fleet
from tests.store.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORD = "s3cret-of-the-server"
START = 1_795_500_000_000
WINDOW = [
    [START // 1000],
    ["gpu"],
    ["gpu:a/0"],
    ["power_watts"],
    [6],
    [300.0],
    [1.0],
    [290.0],
    [310.0],
    [305.0],
    [0],
    [0],
]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(PASSWORD, WORD)
    running = Server(tmp_path / "engine", {"ann": WORD})
    yield running
    running.stop()


@pytest.fixture
def dsn(server: Server) -> str:
    return f"clickhouse://ann@127.0.0.1:{server.port}/hall"


def test_a_replay_into_a_server(server: Server, dsn: str, tmp_path: Path) -> None:
    """Every tier equals numpy's answer, records are there, and nothing that was sent was refused."""
    rules = fleet.rules(tmp_path)
    spec = loadgen.Spec("clean", gpus=16, hours=0.3, interval=5, seed=5, received=True, start=START)
    frames = fleet.record(tmp_path, spec)
    lines = frames.read_bytes().splitlines(keepends=True)
    moved = json.loads(lines[200])
    moved["received"] += 120_000
    later = next(n for n, line in enumerate(lines) if json.loads(line)["received"] > moved["received"])
    lines[later:later] = [json.dumps(moved).encode() + b"\n", b"{\n"]
    frames.write_bytes(b"".join(line for n, line in enumerate(lines) if n != 200))
    out = tmp_path / "incidents.ndjson"
    report = fleet.replay(frames, dsn, rules=rules, incidents=out, topology=tmp_path / "topology.ndjson",
                          state=tmp_path / "state")  # fmt: skip
    assert report.dead == {"malformed": 1}
    assert not server.refused
    with Store.open(dsn) as store:
        held = {row.table: row.rows for row in store.stats()}
        assert {"late_frames": held["late_frames"], "dead_letters": held["dead_letters"]} == {
            "late_frames": 1, "dead_letters": 1,
        }  # fmt: skip
        assert held["incident_history"] == out.read_bytes().count(b"\n") > 0
        records = store.rows("SELECT record FROM incident_history FINAL ORDER BY updated_at, line")
        assert [record.encode() for (record,) in records] == out.read_bytes().splitlines()
        for query in QUERIES:
            arguments = {"from": START // 1000, "to": START // 1000 + 1200, "metric": "gpu_temp_celsius", "step": 60,
                         "group": "rack", "entity": "gpu:n0001/0", "kind": "gpu:", "limit": 5}  # fmt: skip
            found = store.rows(
                query.on("m1"), **{k: v for k, v in arguments.items() if f"{{{k}:" in query.sql}
            )
            assert found or query.name == "most_anomalous", query.name
    inserts = [asked for asked in server.asked if asked.data]
    assert {asked.packed for asked in inserts} == {"", "lz4"}
    assert any(
        asked.sql.startswith("INSERT INTO s10 ") and asked.sql.endswith("FORMAT Arrow") for asked in inserts
    )
    assert all(asked.settings["async_insert"] == "0" for asked in inserts)
    ours = [asked for asked in server.asked if asked.settings]
    for asked in ours:
        for name, value in SETTINGS.items():
            assert asked.settings.get(name, str(value)) == str(value)
    assert {asked.session for asked in server.asked} == {""}
    assert {asked.method for asked in server.asked} == {"POST"}
    assert not any("ON CLUSTER" in asked.sql or "INFILE" in asked.sql for asked in server.asked)


def test_tiers_on_a_server(server: Server, dsn: str, tmp_path: Path) -> None:
    """Those of a recording that the engine and the memory roll equal numpy's."""
    frames = fleet.record(
        tmp_path, loadgen.Spec("clean", gpus=16, hours=0.2, interval=5, seed=7, received=True, start=START)
    )
    for _ in range(2):
        fleet.replay(frames, dsn, rules=None, topology=tmp_path / "topology.ndjson", append=True)
    fleet.all_tiers_equal(dsn, fleet.Truth.of(frames))
    assert not server.refused


def test_what_many_late_series_are_rolled_with_is_no_address(server: Server, dsn: str) -> None:
    """A hundred thousand names are more than an address may hold."""
    with Store.open(dsn, create=True) as store:
        store.insert(S10, WINDOW)
        names = [f"gpu:n{n // 8:05}/{n % 8}" for n in range(100_000)]
        lo = START // 60_000 * 60
        store.command(roll("m1", where=SOME_SERIES), lo=lo, hi=lo + 60, entities=[*names, "gpu:a/0"],
                      metrics=["power_watts"])  # fmt: skip
        assert store.rows("SELECT entity, count FROM m1 FINAL") == [("gpu:a/0", 6)]
    assert any(asked.form for asked in server.asked)
    assert not server.refused


def test_who_may_not_come_in_and_what_is_not_there(
    server: Server, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said in one line without the password; reading makes nothing; only reading is allowed to a question."""
    with pytest.raises(
        StoreRefusedError, match="holds no store; make one with `monitor store init clickhouse://"
    ):
        Store.open(dsn)
    assert not any(asked.sql.startswith("CREATE") for asked in server.asked)
    Store.open(dsn, create=True).close()
    assert migrate(dsn) == (2, [])
    with Store.open(dsn) as store, pytest.raises(StoreError, match="READONLY"):
        store.ask("DROP TABLE s10")
    monkeypatch.setenv(PASSWORD, WORD + "x")
    with pytest.raises(StoreError, match="Authentication failed") as error:
        Store.open(dsn)
    assert WORD not in str(error.value)
    nobody = dsn.replace(str(server.port), "1")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1"):
        Store.open(nobody)


def test_idle_connections_and_clients_at_once(server: Server, dsn: str) -> None:
    """A connection that the server closed is opened anew; clients of several threads do not wait for another."""
    with Store.open(dsn, create=True) as store:
        time.sleep(1.5)
        store.insert(S10, WINDOW)
        time.sleep(1.5)
        store.command("INSERT INTO m1 (ts, entity, count) VALUES (0, 'a', 1)")
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with store.another() as mine:
                    for _ in range(5):
                        mine.insert(S10, WINDOW)
                        assert mine.rows("SELECT count() FROM s10 FINAL") == [(1,)]
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert store.rows("SELECT count() FROM m1") == [(1,)]
    assert not server.refused
