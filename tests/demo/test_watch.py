"""What the demo says while it works."""

import io
import time

import pytest
from rich.console import Console

from loadgen.spec import Spec
from loadgen.write import Written
from monitor.demo.watch import LISTED, Watch, watching
from monitor.runners.recorder import Report
from monitor.site import SiteOutput
from tests.notify.lines import line

SPEC = Spec(scenario="shift", gpus=256)
LATER = SPEC.start + 3_600_000


def output(*incidents):
    return SiteOutput(LATER, 10, (), incidents, ())


def shown(watch):
    console = Console(file=io.StringIO(), width=140)
    console.print(watch.view())
    return console.file.getvalue()


@pytest.fixture
def said():
    return []


@pytest.fixture
def watch(said, tmp_path):
    watch = Watch(SPEC, said.append)
    for _ in range(SPEC.ticks + 1):
        watch.simulated()
    watch.begin(Written(tmp_path, 1234, 5_000_000))
    watch.replayed(0.4, Report(samples=1_500_000, anomalies=321, clock=LATER + 330_000))
    return watch


def test_the_view_says_stage_rate_time_lag_anomalies_and_who_is_ill(watch):
    """Event time is what was read; judgement is behind it by what a tick waits."""
    watch.closed(output(line(id="a", opened_at=LATER - 300_000)), 1)
    text = shown(watch)
    assert "simulate" in text
    assert "40%" in text
    assert "1,234 frames, 5 MB" in text
    assert "event time 07:05:30, judged up to 07:00:00 (5.5 min behind)" in text
    assert "321 anomalies, 1 open incidents, 1 alerts paged" in text
    assert "cdu:c01" in text
    assert "5 min" in text


def test_the_rate_is_of_the_last_seconds_however_slow_they_were(watch, monkeypatch):
    """A pause longer than the span lowers the rate; it does not make it nothing."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60.0)
    watch.replayed(0.5, Report(samples=7_500_000))
    words = watch.pace().split()
    assert 95_000 < int(words[0].replace(",", "")) < 101_000
    assert watch.pace().endswith("samples/s, 7.5 M so far")


def test_what_is_over_is_not_open(watch):
    """A resolved incident leaves the list."""
    watch.closed(output(line(id="a")), 1)
    watch.closed(output(line(id="a", state="resolved")), 1)
    assert "0 open incidents" in watch.found()


def test_many_open_incidents_are_cut_and_counted(watch):
    """A screen has an end."""
    watch.closed(output(*(line(id=f"i{n}") for n in range(LISTED + 7))), 3)
    assert "and 7 more" in shown(watch)


def test_lines_tell_each_stage(watch, said):
    """Elsewhere than on a terminal: one line when the simulation is done and one at the end, at least."""
    watch.end()
    assert said[0].startswith("simulated 256 GPUs: 1,234 frames, 5 MB in ")
    assert said[-1].startswith("watched in ")


def test_nothing_is_said_where_nobody_asked(capsys):
    """With --json, standard error stays empty."""
    with watching(SPEC, show=False) as watch:
        watch.end()
    assert capsys.readouterr().err == ""
