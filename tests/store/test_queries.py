"""What panels ask, against numpy over the same recording; and the commands that look into a store."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from monitor.adapters.clickhouse import Store
from monitor.adapters.rules import load_rules
from monitor.cli import program
from monitor.errors import StoreError
from monitor.store import queries
from tests.store import fleet
from tests.store.conftest import START, Recorded

METRIC = "gpu_temp_celsius"
FROM, TO = START // 1000 + 60, START // 1000 + 540
STEP = 60


def _ask(recorded: Recorded, query: queries.Query, tier: str = "m1", **more: Any) -> list[tuple[Any, ...]]:
    bound = {"metric": METRIC, "from": FROM, "to": TO, **more}
    with Store.open(recorded.dsn) as store:
        return store.rows(query.on(tier), **bound)


def _minutes(recorded: Recorded) -> dict[tuple[str, int], list[float]]:
    """The samples of the metric by (GPU, start of the minute), in the range."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for (_, entity, metric), points in recorded.truth.series.items():
        for ts, value in points if metric == METRIC else ():
            start = (ts - 1) // 60_000 * 60
            if FROM <= start < TO:
                found[entity, start].append(value)
    return found


def _seconds(time: Any) -> int:
    return int(time.replace(tzinfo=UTC).timestamp())


def test_a_metric_by_rack(recorded: Recorded) -> None:
    """Six hours of a metric by rack, here ten minutes of it: weighed means, extremes and counts."""
    racks = {}
    for line in (recorded.frames.parent / "topology.ndjson").read_text().splitlines():
        entity = json.loads(line)
        racks[entity["id"]] = entity.get("parent")
    expected: dict[tuple[int, str], list[float]] = defaultdict(list)
    for (gpu, start), values in _minutes(recorded).items():
        expected[start, racks[racks[gpu]]] += values
    found = _ask(recorded, queries.BY_GROUP, step=STEP, group="rack")
    assert {(_seconds(row[0]), row[1]) for row in found} == set(expected)
    for time, rack, mean, low, high, count in found:
        x = np.array(expected[_seconds(time), rack])
        assert count == len(x)
        assert mean == pytest.approx(x.mean(), rel=1e-12)
        assert (low, high) == (np.float32(x.min()), np.float32(x.max()))


@pytest.mark.parametrize("tier", ["s10", "m1"])
def test_the_latest_of_each_gpu(recorded: Recorded, tier: str) -> None:
    """The heat map: the last sample of each GPU in the range."""
    last = {}
    for (gpu, start), values in sorted(_minutes(recorded).items()):
        last[gpu] = (np.float32(values[-1]), start)
    found = _ask(recorded, queries.LATEST, tier)
    assert {gpu: value for gpu, value, _ in found} == {gpu: value for gpu, (value, _) in last.items()}
    assert len(found) == 16


def test_one_gpu_over_time(recorded: Recorded) -> None:
    """One GPU's day: mean, extremes, latest and standard deviation of each minute."""
    gpu = "gpu:n0001/0"
    expected = {start: np.array(x) for (entity, start), x in _minutes(recorded).items() if entity == gpu}
    found = _ask(recorded, queries.ONE_SERIES, entity=gpu)
    assert [_seconds(row[0]) for row in found] == sorted(expected)
    for time, mean, low, high, latest, deviation, odd, count in found:
        x = expected[_seconds(time)]
        assert (mean, deviation) == pytest.approx((x.mean(), x.std()), rel=1e-9)
        assert (low, high, latest, count) == (*map(np.float32, (x.min(), x.max(), x[-1])), len(x))
        assert 0 <= odd <= count


def test_the_fleets_mean(recorded: Recorded) -> None:
    """The mean over all GPUs, and how many they are."""
    expected: dict[int, list[float]] = defaultdict(list)
    for (_, start), values in _minutes(recorded).items():
        expected[start // 300 * 300] += values
    found = _ask(recorded, queries.FLEET_MEAN, step=300, kind="gpu:")
    assert {_seconds(row[0]) for row in found} == set(expected)
    for time, mean, entities, count in found:
        x = np.array(expected[_seconds(time)])
        assert mean == pytest.approx(x.mean(), rel=1e-12)
        assert (entities, count) == (16, len(x))


def test_the_most_anomalous(recorded: Recorded) -> None:
    """Samples beyond their limits are counted alike in every tier, the worst first."""
    found = {}
    for tier in ("s10", "m1", "h1"):
        at = {"from": 0, "to": 4_000_000_000, "limit": 1000}
        found[tier] = _ask(recorded, queries.MOST_ANOMALOUS, tier, **at)
    assert found["s10"] == found["m1"] == found["h1"]
    odd = [row[2] for row in found["h1"]]
    assert odd == sorted(odd, reverse=True)
    assert odd[0] > 0
    assert all(0 < row[2] <= row[3] for row in found["h1"])


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(program, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_stats_count_rows_and_say_what_is_covered(recorded: Recorded) -> None:
    """`store stats` names every table, its rows and bytes, and the time that tiers cover."""
    tables = {
        row["table"]: row
        for row in map(json.loads, _run("store", "stats", recorded.dsn, "--json").splitlines())
    }
    assert tables["s10"]["rows"] >= len(recorded.truth.rows(10_000))
    assert tables["s10"]["bytes"] > 0
    assert tables["h1"]["first"] == "2026-11-24 06:00:00"
    assert tables["h1"]["last"] == "2026-11-24 08:00:00"
    assert "bytes a row" in _run("store", "stats", recorded.dsn)


def test_anybody_may_ask_and_nobody_may_write(recorded: Recorded) -> None:
    """`store query` shows rows with their names; what would change the store is refused in one line."""
    sql = "SELECT kind, count() AS entities FROM topology FINAL WHERE kind = 'gpu' GROUP BY kind"
    assert [line.split() for line in _run("store", "query", recorded.dsn, sql).splitlines()] == [
        ["kind", "entities"],
        ["gpu", "16"],
    ]
    assert json.loads(_run("store", "query", recorded.dsn, sql, "--json")) == {"kind": "gpu", "entities": 16}
    odd = "SELECT toIPv4('10.0.0.1') AS ip, nan AS x, map('a', 1) AS m, toDecimal64(1.5, 2) AS d"
    told = json.loads(_run("store", "query", recorded.dsn, odd, "--json"))
    assert told == {"ip": "10.0.0.1", "x": None, "m": {"a": 1}, "d": "1.50"}
    assert _run("store", "query", recorded.dsn, "SELECT 1 WHERE 0") == "no rows\n"
    wide = "SELECT repeat('x', 500) AS a, repeat('[b]', 500) AS b"
    assert _run("store", "query", recorded.dsn, wide).split() == ["a", "b", "x" * 500, "[b]" * 500]
    when = _run("store", "query", recorded.dsn, "SELECT min(ts) AS first FROM s10", "--json")
    assert json.loads(when)["first"].startswith("2026-11-24T06:5")
    for statement in ("DROP TABLE m1", "INSERT INTO m1 (kind) VALUES ('x')", "ALTER TABLE m1 DELETE WHERE 1"):
        with pytest.raises(StoreError, match="READONLY"):
            _run("store", "query", recorded.dsn, statement)
    assert (
        _run("store", "query", recorded.dsn, "SELECT count() > 0 FROM m1", "--json").strip().endswith(":1}")
    )


def test_what_pages_and_runbooks_ask_is_answered(recorded: Recorded) -> None:
    """The first query of each kind of fault, and every query of the runbooks, as they stand."""
    times = {"start": START, "end": START + 3_600_000}
    first = {
        fault.first_query.format(entity="gpu:n0001/0", name="n0001/0", reason="hot", **times)
        for fault in load_rules().faults.faults
        if fault.first_query
    }
    asked = set(first)
    pages = sorted((Path(__file__).parents[2] / "docs" / "runbooks").glob("*.md"))
    for page in pages:
        found = re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
        assert found, page
        asked.update(found)
    with Store.open(recorded.dsn) as store:
        answers = {sql: store.ask(sql)[1] for sql in sorted(asked)}  # raises for what is no question
    assert {sql for sql, rows in answers.items() if rows} >= first


def test_racks_and_rows_of_nodes(recorded: Recorded) -> None:
    """Each node has its rack and its row, each rack its row, as the topology says."""
    parents = {}
    for line in (recorded.frames.parent / "topology.ndjson").read_text().splitlines():
        entity = json.loads(line)
        parents[entity["id"]] = entity.get("parent", "")
    with Store.open(recorded.dsn) as store:
        found = store.rows(queries.STANDS.sql)
    racks = {name: row for name, kind, _, row in found if kind == "rack"}
    nodes = {name: (rack, row) for name, kind, rack, row in found if kind == "node"}
    assert racks == {name: parents[name] for name in parents if name.startswith("rack:")}
    assert nodes == {
        name: (parents[name], parents[parents[name]]) for name in parents if name.startswith("node:")
    }


def test_init_sets_how_long_rollups_are_kept(tmp_path: Path) -> None:
    """`store init` can be run again; rows are kept from when they were written."""
    dsn = f"chdb://{tmp_path}/store"
    assert "keeps 10 s 1 d, 1 min 30 d, 1 h 1095 d" in _run("store", "init", dsn)
    _run("store", "init", dsn, "--keep-10s", "3")
    assert "nothing to do" in _run("store", "migrate", dsn)
    with Store.open(dsn) as store:
        ddl = store.rows(
            "SELECT create_table_query FROM system.tables WHERE database = 'fleet' AND name = 's10'"
        )
    assert "TTL written_at + toIntervalDay(3)" in ddl[0][0]


def test_incidents_come_back_as_they_were(recorded: Recorded, tmp_path: Path) -> None:
    """`incidents list`, `show` and `why` say the same from the store as from the files."""
    file = tmp_path / "incidents.ndjson"
    fleet.replay(recorded.frames, None, rules=recorded.rules, incidents=file)
    assert file.read_bytes() == recorded.incidents != b""
    some = json.loads(recorded.incidents.splitlines()[0])["id"]
    asked = (["list", "--json"], ["list"], ["show", some, "--json"], ["show", some[:6]])
    for what in asked:
        assert (
            _run("incidents", *what, "--store", recorded.dsn)
            == _run("incidents", *what, "--from", str(file))
            != ""
        )
    from_store = _run("incidents", "why", some, "--store", recorded.dsn, "--json").splitlines()
    assert sorted(from_store) == sorted(
        _run("incidents", "why", some, "--from", str(file), "--json").splitlines()
    )
    assert from_store


def test_one_source_is_named(recorded: Recorded) -> None:
    """Neither none nor two."""
    for more in ([], ["--store", recorded.dsn, "--from", str(recorded.frames)]):
        result = CliRunner().invoke(program, ["incidents", "list", *more])
        assert result.exit_code != 0
        assert "either --from FILE or --store DSN" in str(result.exception)


def test_dead_letters_come_back(tmp_path: Path) -> None:
    """`dead list` and `dead count` read them from a store, whole, with reason and place."""
    frames, dsn = tmp_path / "frames.ndjson", f"chdb://{tmp_path}/store"
    good = '{"kind":"gpu","ts":%d,"source":"node:a","metrics":{"xid":[0]}}'
    bad = [b"{", b'{"kind":"fridge","ts":1795500000000,"source":"node:a"}', b"\xff\xfe", b"{"]
    lines = [(good % (START + i * 10_000)).encode() for i in range(20)]
    frames.write_bytes(b"\n".join([*lines[:10], *bad, *lines[10:]]))
    file = tmp_path / "dead.ndjson"
    fleet.replay(frames, dsn, dead=file)
    for what in (["count"], ["count", "--json"]):
        assert _run("dead", *what, "--store", dsn) == _run("dead", *what, "--from", str(file))
    from_store = _run("dead", "list", "--json", "--store", dsn).splitlines()
    assert sorted(from_store) == sorted(_run("dead", "list", "--json", "--from", str(file)).splitlines())
    assert len(from_store) == len(bad)
