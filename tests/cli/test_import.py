"""`monitor import csv`: tables to frames."""

import gzip
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.csvfile import Recipe, frames, in_order, read_time, read_value
from monitor.cli.import_ import import_group
from monitor.errors import UsageError, WorkError
from monitor.units import EARLIEST_TS, LATEST_TS

NOON = 1_772_366_400_000  # 2026-03-01T12:00:00Z


def recipe(*values, timezone="UTC"):
    return Recipe.of("facility", "cdu:c1", "time", values or [("flow", "coolant_flow_lpm")], timezone)


def table(text, *values, timezone="UTC"):
    return [
        json.loads(frame)
        for _, frame in frames(text.splitlines(keepends=True), recipe(*values, timezone=timezone), "t.csv")
    ]


def cells(text, *values):
    return [(frame["ts"], frame["metrics"]["coolant_flow_lpm"]) for frame in table(text, *values)]


def run(*arguments):
    return CliRunner().invoke(import_group, ["csv", *arguments])


def test_rows_become_frames_in_the_contracts_form():
    """One frame a row: kind, ts in ms, source, and each metric as an array of one."""
    text = "a,time,flow,t\nx,2026-03-01 12:00:00,41.5,20\ny,2026-03-01T12:05:00Z,,-1e-3\n"
    values = [("flow", "coolant_flow_lpm"), ("t", "coolant_supply_celsius")]
    assert table(text, *values) == [
        {
            "kind": "facility",
            "ts": NOON,
            "source": "cdu:c1",
            "metrics": {"coolant_flow_lpm": [41.5], "coolant_supply_celsius": [20.0]},
        },
        {
            "kind": "facility",
            "ts": NOON + 300_000,
            "source": "cdu:c1",
            "metrics": {"coolant_flow_lpm": [None], "coolant_supply_celsius": [-0.001]},
        },
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01 12:00:00",
        " 2026-03-01T12:00 ",
        "2026-03-01T12:00:00Z",
        "2026-03-01T13:00:00+01:00",
        "2026-03-01T12:00:00.0004",
        "1772366400",
        "1772366400.0",
        "1.7723664e9",
        "1772366400000",
        "1772366400000000",
        "1772366400000000000",
    ],
)
def test_times_are_read_in_the_usual_forms(text):
    """ISO 8601 with and without a zone, and numbers of s, ms, us and ns since 1970, are one instant."""
    assert read_time(text, UTC) == NOON


def test_fractions_of_a_second_are_kept_to_the_millisecond():
    """Milliseconds are exact in numbers and in ISO times."""
    assert read_time("1772366400.123", UTC) == read_time("2026-03-01T12:00:00.123", UTC) == NOON + 123


@given(st.integers(EARLIEST_TS // 1000, LATEST_TS // 1000 - 1))
def test_every_second_is_told_apart_from_its_multiples(seconds):
    """From 2000 to 2100 the size of a number tells its unit."""
    for scale in (1, 10**3, 10**6, 10**9):
        assert read_time(str(seconds * scale), UTC) == seconds * 1000


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001
    st.sampled_from(["Europe/Berlin", "Asia/Kolkata"]),
)
def test_local_times_agree_with_the_time_zones_own_rules(when, zone):
    """A time without a zone is the named zone's."""
    expected = when.replace(tzinfo=ZoneInfo(zone)).timestamp()
    assert read_time(when.isoformat(" "), ZoneInfo(zone)) == int(expected * 1e6 + 0.5) // 1000


def test_an_hour_that_comes_twice_is_read_in_order():
    """When clocks go back, the second pass follows from the row before; half-hourly and hourly rows alike."""
    for minutes in (["00", "30"], ["00"]):
        local = [f"2026-10-25 {hour}:{minute}" for hour in ("01", "02", "02", "03") for minute in minutes]
        text = "time,flow\n" + "".join(f"{time},1\n" for time in local)
        times = [frame["ts"] for frame in table(text, timezone="Europe/Berlin")]
        step = 3_600_000 // len(minutes)
        first = 1_792_882_800_000  # 2026-10-24T23:00Z
        assert times == [first + step * k for k in range(4 * len(minutes))]


def test_a_row_given_twice_in_the_hour_that_comes_twice_stays_where_it_is():
    """Once the second pass has begun, a repeated row is in the second pass too."""
    local = ["2026-10-25 02:00", "2026-10-25 02:30", "2026-10-25 02:00", "2026-10-25 02:00"]
    frames_ = table("time,flow\n" + "".join(f"{time},1\n" for time in local), timezone="Europe/Berlin")
    first = frames_[0]["ts"]
    assert [frame["ts"] - first for frame in frames_] == [0, 1_800_000, 3_600_000, 3_600_000]


def test_an_hour_that_clocks_skip_is_read_with_the_old_offset():
    """02:30 on the night of the change is what 03:30 is."""
    berlin = ZoneInfo("Europe/Berlin")
    assert read_time("2026-03-29 02:30", berlin) == read_time("2026-03-29 03:30", berlin)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "`` is no time"),
        ("soon", "`soon` is no time: write 2026-03-01T12:30:00Z, or a number of s or ms"),
        ("03/01/2026 12:00", "is no time"),
        ("nan", "is no time"),
        ("1e999999", "is no time"),
        ("1_772_366_400", "is no time"),
        ("20260301", "`20260301` would be 1970-08-23, which is not between 2000 and 2100"),
        ("1999-12-31 23:59:59", "not between 2000 and 2100"),
        ("2100-01-01", "not between 2000 and 2100"),
        ("-5", "would be 1969-12-31"),
        ("9e20", "would be beyond the calendar"),
    ],
)
def test_a_time_that_cannot_be_meant_is_told(text, told):
    """What is no time, and what lies outside 2000 to 2100, stops with line, column and advice."""
    with pytest.raises(WorkError) as caught:
        table(f"time,flow\n2026-03-01,1\n{text},1\n")
    assert str(caught.value).startswith("t.csv, line 3, column `time`: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("  ", None),
        ("0", 0.0),
        (" 1.50 ", 1.5),
        ("1e3", 1000.0),
        ("nan", "NaN"),
        ("-NaN", "NaN"),
        ("inf", "Infinity"),
        ("-Infinity", "-Infinity"),
    ],
)
def test_cells_become_numbers_null_or_the_three_strings(text, value):
    """An empty cell was not measured; what was measured and is not finite is a string of the contract's."""
    assert read_value(text) == value


@pytest.mark.parametrize("text", ["NA", "1,5", "1_000", "12 W", "true", "0x1f"])
def test_a_cell_that_is_no_number_is_told(text):
    """A cell that is no number stops with line, column and advice."""
    with pytest.raises(WorkError) as caught:
        table(f'time,flow\n\n2026-03-01,1\n2026-03-02,"{text}"\n')
    place, advice = "t.csv, line 4, column `flow`", "leave the cell empty where nothing was measured"
    assert str(caught.value) == f"{place}: `{text}` is no number; {advice}"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_the_header_shows(delimiter):
    """Comma, semicolon, tab and bar all work."""
    text = "\ufefftime,x,flow \r\n1772366400,7,1\r\n".replace(",", delimiter)
    assert cells(text) == [(NOON, [1.0])]


def test_quoted_cells_and_column_names_with_equals_signs_are_read():
    """What is inside quotes belongs to the cell; lines are counted as the file has them."""
    text = 'time,"a=b, c",note\n1772366400,1,"two\nlines"\nbad,2,\n'
    with pytest.raises(WorkError, match="line 4, column `time`"):
        table(text, ("a=b, c", "coolant_flow_lpm"))
    assert cells(text.replace("bad", "1772366460"), ("a=b, c", "coolant_flow_lpm")) == [
        (NOON, [1.0]),
        (NOON + 60_000, [2.0]),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time,f\n", "t.csv: no column `flow`; the header names time, f"),
        ("", "t.csv: no column `time`; the header names nothing"),
        ("time,flow,flow\n", "t.csv: the header names column `flow` more than once"),
    ],
)
def test_a_missing_column_is_told_with_those_there_are(text, told):
    """A column that the header lacks, or has twice, is bad usage."""
    with pytest.raises(UsageError) as caught:
        table(text)
    assert str(caught.value) == told


def test_rows_that_are_too_short_or_no_rows_are_told():
    """A row without the cell that is needed, and text that is no table, stop with their line."""
    with pytest.raises(WorkError, match=r"t.csv, line 3: 1 cells where the header names 2"):
        table("time,flow\n2026-03-01,1\n2026-03-02\n")
    with pytest.raises(WorkError, match=r"t.csv, line 2: no row of a table \(field larger"):
        table("time,flow\n" + "1" * 200_000 + ",1\n")


@pytest.mark.parametrize(
    ("source", "metrics", "zone", "told"),
    [
        ("c1", ["m"], "UTC", "source `c1` must be `kind:name`, as in cdu:c01"),
        ("cdu:c1", ["m", "m"], "UTC", "metric `m` is given by more than one column"),
        (
            "cdu:c1",
            ["m"],
            "Mars/Base",
            "time zone `Mars/Base` is unknown here: use a name like Europe/Berlin",
        ),
        ("cdu:c1", ["m"], "../etc", "time zone `../etc` is unknown here: use a name like Europe/Berlin"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(source, metrics, zone, told):
    """A bad source, a metric given twice, an unknown zone are bad usage."""
    with pytest.raises(UsageError) as caught:
        Recipe.of("facility", source, "time", [(f"c{k}", metric) for k, metric in enumerate(metrics)], zone)
    assert str(caught.value) == told


def test_frames_are_put_in_order_of_time():
    """A table with the newest row first is turned round; rows of one time keep their order."""
    text = "time,flow\n1772366460,3\n1772366400,1\n1772366400,2\n"
    dated = in_order(frames(text.splitlines(), recipe()))
    assert [json.loads(frame)["metrics"]["coolant_flow_lpm"] for _, frame in dated] == [[1.0], [2.0], [3.0]]


def test_the_command_writes_frames_and_says_what_it_did(tmp_path):
    """Frames go to --out or standard output, the summary to standard error."""
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"time,flow\n1772366400,1\n1772366460,\n"))
    arguments = [str(tmp_path / "t.csv.gz"), "--kind", "facility", "--source", "cdu:c1", "--time", "time"]
    arguments += ["--value", "flow=coolant_flow_lpm"]
    printed = run(*arguments)
    assert printed.exit_code == 0
    assert printed.stdout.splitlines() == [
        '{"kind":"facility","ts":1772366400000,"source":"cdu:c1","metrics":{"coolant_flow_lpm":[1.0]}}',
        '{"kind":"facility","ts":1772366460000,"source":"cdu:c1","metrics":{"coolant_flow_lpm":[null]}}',
    ]
    assert printed.stderr == "2 frames from 2026-03-01 12:00:00 to 2026-03-01 12:01:00 UTC\n"
    out = tmp_path / "new" / "frames.ndjson"
    written = run(*arguments, "--out", str(out))
    assert (written.exit_code, written.stdout) == (0, "")
    assert out.read_text() == printed.stdout
    assert written.stderr.endswith(f"UTC in {out}\n")


@pytest.mark.parametrize("bad", [b"time,flow\n1772366400,1\nx,1\n", b"time,flow\n1772366400,\xff\n"])
def test_a_table_that_cannot_be_read_leaves_the_output_as_it_was(tmp_path, bad):
    """Nothing is written when a row cannot be read."""
    file, out = tmp_path / "t.csv", tmp_path / "frames.ndjson"
    file.write_bytes(bad)
    out.write_text("before")
    arguments = [str(file), "--kind", "facility", "--source", "cdu:c1", "--time", "time", "--value", "flow=f"]
    result = run(*arguments, "--out", str(out))
    assert isinstance(result.exception, WorkError)
    assert str(result.exception).startswith(f"{file}, line ")
    assert out.read_text() == "before"


@pytest.mark.parametrize("value", ["flow", "=x", "flow="])
def test_a_value_names_a_column_and_a_metric(tmp_path, value):
    """--value without both is bad usage."""
    file = tmp_path / "t.csv"
    file.write_text("time,flow\n")
    result = run(str(file), "--kind", "facility", "--source", "cdu:c1", "--time", "time", "--value", value)
    assert result.exit_code == 2
    assert "must be COLUMN=METRIC" in result.stderr


def test_a_table_without_rows_is_no_frames(tmp_path):
    """A header alone gives no frame and says so."""
    file = tmp_path / "t.csv"
    file.write_text("time,flow\n")
    result = run(
        str(file), "--kind", "cost", "--source", "service:s", "--time", "time", "--value", "flow=cost_usd"
    )
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no frames: the table has no rows\n"


def test_help_shows_an_example():
    """A newcomer sees a whole command."""
    shown = run("--help").stdout
    assert "Example:\n    monitor import csv machine.csv" in shown


def test_a_metric_that_nobody_judges_is_said(tmp_path):
    """A name that is mistyped would else be charted in silence; standard output is the frames alone."""
    (tmp_path / "t.csv").write_text("time,flow\n2026-03-01 12:00:00,41.5\n")
    options = ["--kind", "facility", "--source", "cdu:c1", "--time", "time", "--value"]
    mistyped = run(str(tmp_path / "t.csv"), *options, "flow=coolant_flow_lmp")
    assert "`coolant_flow_lmp` is no facility metric" in mistyped.stderr
    assert json.loads(mistyped.stdout)["metrics"] == {"coolant_flow_lmp": [41.5]}
    assert "note" not in run(str(tmp_path / "t.csv"), *options, "flow=coolant_flow_lpm").stderr
