"""`monitor demo` end to end at a small size: simulated, stored, paged over HTTP, scored, drawn."""

import io
import json
from xml.etree.ElementTree import fromstring

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

import loadgen
from monitor.adapters.clickhouse import Store
from monitor.adapters.outbox import read_events
from monitor.adapters.records import standing, transitions
from monitor.cli.demo import demo_command, print_json
from monitor.demo.run import marks, run_demo
from monitor.demo.tell import tell
from monitor.demo.watch import Watch
from monitor.errors import UsageError
from monitor.evaluate import evaluate
from monitor.notify.records import dedup_key

SPEC = loadgen.Spec(scenario="shift", gpus=256, seed=3, hours=2.2, interval=120)


@pytest.fixture(scope="module")
def said():
    return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory, said):
    """One demo that all tests here look at."""
    return run_demo(SPEC, tmp_path_factory.mktemp("demo") / "out", Watch(SPEC, said.append))


def told(demo):
    console = Console(file=io.StringIO(), width=150)
    tell(console, demo, marks(demo))
    return console.file.getvalue()


def test_all_eight_faults_strike_and_most_are_found(demo):
    """Eight in half an hour in 32 nodes read every two minutes: five are named right, and no page is false."""
    assert sorted(row.scenario for row in demo.score.faults) == sorted(loadgen.SCENARIOS["shift"].faults)
    assert sum(row.rank == 1 for row in demo.score.faults) >= 5
    assert demo.score.figures.false_pages == 0


def test_the_receiver_has_every_page_of_the_incidents_and_no_other(demo):
    """What paged went through outbox and HTTP: one alert an episode, in the state of its incident."""
    paged = {dedup_key(i.id, i.episode): i for i in demo.incidents if i.paged_at is not None}
    alerts = {page.alert.dedup_key: page.alert for page in demo.pages}
    assert alerts.keys() == paged.keys()
    assert len(demo.pages) == len(paged) > 5
    for key, incident in paged.items():
        if incident.state in {"open", "resolved"}:
            assert (alerts[key].state == "resolved") == (incident.state == "resolved")


def test_pages_go_out_in_the_tick_that_decides_them_and_are_not_late(demo):
    """Time is that of the ticks, so nothing waits and nothing is called late."""
    events = read_events(demo.files.outbox)
    assert {event.status for event in events} == {"sent"}
    assert all(event.late_ms == 0 for event in events)
    assert not any("late" in page.event["payload"]["summary"] for page in demo.pages)
    assert all(page.log[0][1] == "trigger" for page in demo.pages)
    by_key = {dedup_key(i.id, i.episode): i.paged_at for i in demo.incidents}
    assert all(page.log[0][0] == by_key[page.alert.dedup_key] for page in demo.pages)


def test_the_store_holds_samples_incidents_and_pages(demo):
    """Samples in minutes, incidents as in the file, and an entry for every event of the outbox."""
    with Store.open(demo.files.dsn) as store:
        assert store.rows("SELECT sum(count) FROM m1 FINAL")[0][0] == demo.report.samples
        held = {row[0] for row in store.rows("SELECT id FROM incidents")}
        pages = store.rows("SELECT count() FROM pages FINAL")[0][0]
    assert held == {incident.id for incident in demo.incidents}
    assert pages == len(read_events(demo.files.outbox))


def test_files_say_what_was_shown(demo):
    """Incidents and truth lie there for `monitor incidents` and `monitor evaluate`."""
    assert standing(transitions(demo.files.incidents)) == demo.incidents
    lines = [json.loads(line) for line in demo.files.incidents.read_text().splitlines()]
    assert evaluate(json.loads(demo.files.truth.read_text()), lines) == demo.score


def test_the_rack_without_power_is_dark_in_the_hall(demo):
    """What the picture is made of comes from the store, and fits the truth."""
    fault = next(f for f in demo.truth["faults"] if f["scenario"] == "rack-power")
    place = demo.hall.racks.index(fault["entity"])
    middle = ((fault["start"] + fault["end"]) // 2 - demo.hall.start) // demo.hall.step_ms
    assert demo.hall.dark[place, middle]
    first = (min(f["start"] for f in demo.truth["faults"]) - demo.hall.start) // demo.hall.step_ms
    assert not demo.hall.dark[:, :first].any()
    assert 40.0 < demo.hall.usual.min() < demo.hall.usual.max() < 90.0


def test_the_picture_lists_all_faults_and_what_was_paged(demo):
    """It is there, it is XML, and it agrees with the incidents."""
    words = [e.text for e in fromstring(demo.files.picture.read_text()).iter() if e.text]
    for fault, mark in zip(demo.truth["faults"], marks(demo), strict=True):
        assert f"{fault['scenario']} at {fault['entity']}" in words
        assert not mark.named or any(text.endswith(mark.named) for text in words)


def test_what_is_told_holds_truth_incidents_a_page_and_where_things_are(demo):
    """A row for each fault, the words of the receiver, and commands that name what is there."""
    text = told(demo)
    for place, row in enumerate(demo.score.faults):
        incident = demo.finder(place)
        line = next(words for words in text.splitlines() if words.startswith(f"{place + 1}  {row.scenario} "))
        assert row.entity in line
        assert ("nothing" in line) if incident is None else (incident.cause.reason in line)
    shown = next(page for page in demo.pages if f"alert {page.alert.dedup_key}" in text)
    assert shown.event["payload"]["summary"] in text
    assert shown.alert.state.upper() in text
    dark = next(words for words in text.splitlines() if words.startswith(f"  {_dark_rack(demo)} "))
    assert "x" in dark
    assert "·" in dark
    for path in (demo.files.picture, demo.files.dsn, demo.files.incidents, demo.files.outbox):
        assert str(path) in text.replace("\n", "").replace(" ", "")


def _dark_rack(demo):
    return next(f["entity"] for f in demo.truth["faults"] if f["scenario"] == "rack-power").partition(":")[2]


def test_json_holds_it_all(demo, capsys):
    """Run, report, incidents, score, pages, files."""
    print_json(demo)
    record = json.loads(capsys.readouterr().out)
    assert record["run"] == demo.truth["run"]
    assert record["report"]["samples"] == demo.report.samples
    assert len(record["incidents"]) == len(demo.incidents)
    assert record["score"] == json.loads(msgspec.json.encode(demo.score))
    assert [page["alert"]["dedup_key"] for page in record["pages"]] == [p.alert.dedup_key for p in demo.pages]
    assert record["files"]["store"] == demo.files.dsn


def test_lines_told_how_far_it_was(demo, said):
    """At least the end of the simulation and of the replay."""
    assert said[0].startswith("simulated 256 GPUs")
    assert said[-1].endswith(
        f"{demo.report.anomalies:,} anomalies, {_open(demo)} open incidents, {len(demo.pages)} alerts paged"
    )


def _open(demo):
    return sum(incident.state in {"open", "acknowledged"} for incident in demo.incidents)


def run(*arguments):
    return CliRunner().invoke(demo_command, list(arguments), catch_exceptions=False)


def test_a_hall_that_is_too_small_says_so_before_anything_is_written(tmp_path):
    """Fewer GPUs than eight faults need, a number that fills no nodes, too little time."""
    result = run("--gpus", "256", "--out", str(tmp_path / "d"))
    assert result.exit_code == 2
    assert "x>=512" in result.output
    with pytest.raises(UsageError, match="multiple of 8"):
        run("--gpus", "1001", "--out", str(tmp_path / "d"))
    with pytest.raises(UsageError, match=r"needs 2\.\d hours or more"):
        run("--gpus", "512", "--hours", "1.3", "--out", str(tmp_path / "d"))
    assert not (tmp_path / "d").exists()


def test_a_directory_with_something_else_is_left_alone(tmp_path):
    """What no demo made is not deleted."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"holds thesis\.tex, which no demo made"):
        run("--gpus", "512", "--out", str(tmp_path))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
