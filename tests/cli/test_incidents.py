"""`monitor incidents`: lists that can be read anywhere, and why something did or did not page."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from monitor.cli.incidents import _table, incidents_group
from monitor.correlate.observe import Decision, PageReason
from monitor.errors import UsageError
from monitor.types import Cause
from tests.notify.lines import START, line

VOLUME = "volume:prod-eu-west-checkpoints-0001"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(incidents_group, [str(argument) for argument in arguments])


def write(path, records):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return path


@pytest.fixture
def recorded(tmp_path):
    """A replay's incidents, with the decisions beside them."""
    second = line(id="c" * 16, cause=Cause(VOLUME, "storage_latency_high", 0.9, "slow"))
    path = write(tmp_path / "incidents.ndjson", [line(), second])
    decision = Decision(START, "b7a37938f05d79e8", "cdu:c01", PageReason.PAGED, "confidence 0.97")
    write(tmp_path / "incidents.ndjson.state" / "decisions.ndjson", [decision])
    return path


def test_a_pipe_gets_whole_lines(recorded):
    """One line an incident, with nothing cut off, however wide that is."""
    head, first, second = run("list", "--from", recorded).stdout.splitlines()
    assert head.split() == [
        "incident", "severity", "state", "opened", "(UTC)", "cause", "reason", "sure", "affected", "pages",
    ]  # fmt: skip
    assert re.split(r"\s{2,}|(?<=\S) (?=\S)", first)[:2] == ["b7a37938", "critical"]
    assert "cdu:c01" in first
    assert VOLUME in second
    assert "2026-11-24 05:59:00" in second
    assert "storage_latency_high" in second


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_terminal_of_any_width_shows_cause_and_reason_whole(width):
    """Where there is no room, lesser columns go first; then names are folded, never cut."""
    console = Console(file=io.StringIO(), width=width)
    cause = Cause(VOLUME, "storage_latency_high", 0.9, "slow")
    console.print(_table(console, [line(state="acknowledged"), line(cause=cause)]))
    text = console.file.getvalue()
    head, first, *folded = text.splitlines()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "cdu:c01" in first
    assert "coolant_flow_low" in first
    at, end = head.index("cause"), head.index("reason")
    assert "".join(row[at:end].strip() for row in folded) == VOLUME
    assert ("affected" in head) == (width >= 200)


def test_names_are_no_markup(recorded, tmp_path):
    """An entity is shown as it is called."""
    path = write(tmp_path / "odd.ndjson", [line(cause=Cause("service:[red]", "odd", 0.5, "x"))])
    assert "service:[red]" in run("list", "--from", path).stdout


def test_why_names_the_decisions(recorded):
    """By the id of an incident or the entity at fault."""
    told = "2026-11-24 06:00:00  cdu:c01 [b7a37938]: paged; confidence 0.97\n"
    assert run("why", "b7a3", "--from", recorded).stdout == told
    assert run("why", "cdu:c01", "--from", recorded).stdout == told


def test_why_does_not_deny_what_it_has_just_said(recorded):
    """An entity may be part of an incident though no decision names it."""
    first, *_, last = run("why", "gpu:n0001/3", "--from", recorded).stdout.splitlines()
    assert first.startswith("part of b7a37938: cdu:c01 coolant_flow_low")
    assert last == "no decision names it"


def test_why_says_when_it_looked_too_early(recorded):
    """Before its first decision an incident is none that never was."""
    early = run("why", "b7a3", "--from", recorded, "--at", "2026-11-24").stdout
    assert early == "no decision names it up to 2026-11-24\n"
    nobody = run("why", "gpu:n9999/9", "--from", recorded).stdout
    assert nobody == "gpu:n9999/9: nothing was decided about it, and no incident lists it\n"


def test_a_state_directory_with_nothing_in_it_is_named(tmp_path):
    """It was said where to read; there is nothing there."""
    result = run("list", "--state", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert (
        str(result.exception) == f"{tmp_path}: no live process runs there, and it holds no incidents.ndjson"
    )


def test_state_is_a_directory_and_only_says_which(recorded, tmp_path, monkeypatch):
    """A directory may be called `open`."""
    monkeypatch.chdir(tmp_path)
    assert "open: no live process" in str(run("list", "--state", "open").exception)
    assert run("list", "--from", recorded, "--only", "resolved").stdout == "no incidents\n"


@pytest.mark.parametrize("action", ["ack", "resolve", "mark"])
def test_only_a_live_process_can_be_told_something(recorded, action):
    """A file cannot take it, so it cannot be named."""
    assert "--from" not in run(action, "--help").stdout
    assert run(action, "b7a3", "--from", recorded).exit_code == 2
    more = ["--as", "noise"] if action == "mark" else []
    assert "name the live process" in str(run(action, "b7a3", *more).exception)
