"""`monitor pages`: what is in an outbox, what is refused, and whether the way to the pager works."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from monitor.adapters.outbox import DurableOutbox
from monitor.cli.pages import pages_group
from monitor.config.notify import NotifySettings
from monitor.errors import ConfigError
from monitor.notify.records import Answer
from monitor.reasons import Outcome
from monitor.runners.receiver import Receiver
from tests.notify.lines import START, line

KEY = "r0ut1ngkey" + "x" * 22


def run(*arguments, **environ):
    return CliRunner().invoke(pages_group, [str(a) for a in arguments], env=environ, catch_exceptions=False)


@pytest.fixture
def outbox(tmp_path):
    """An outbox with one page sent and one refused."""
    path = tmp_path / "outbox.db"
    box = DurableOutbox(path, NotifySettings(stale_ms=10**13), ["pagerduty"], START)
    box.take([line(id="a"), line(id="b")], START)
    box.settle(box.next_event("pagerduty", START).seq, Answer(Outcome.OK, "202"), START)
    box.settle(box.next_event("pagerduty", START).seq, Answer(Outcome.PERMANENT, "403 no such key"), START)
    box.close()
    return path


def test_list_says_what_became_of_each_event(outbox):
    """Number, time, channel, incident, status, reason; something dead makes the exit code 1."""
    result = run("list", "--outbox", outbox)
    assert result.stdout.splitlines() == [
        "1 2026-11-24T06:00:00.000Z pagerduty trigger a episode 1, critical at cdu:c01 (coolant_flow_low): sent, ok, attempts 1: 202",
        "2 2026-11-24T06:00:00.000Z pagerduty trigger b episode 1, critical at cdu:c01 (coolant_flow_low): dead, permanent, attempts 1: 403 no such key",
    ]
    assert result.exit_code == 1
    assert run("list", "--outbox", outbox, "--status", "sent").exit_code == 0


def test_an_empty_list_is_said(outbox):
    """Nothing on the screen would leave the question open."""
    assert run("list", "--outbox", outbox, "--status", "held").stdout == "no pages are held\n"
    assert run("list", "--outbox", outbox, "--status", "held", "--json").stdout == ""


def test_list_prints_records(outbox):
    """With the whole line of the incident."""
    records = [json.loads(text) for text in run("list", "--outbox", outbox, "--json").stdout.splitlines()]
    assert [(r["seq"], r["status"], r["line"]["cause"]["entity"]) for r in records] == [
        (1, "sent", "cdu:c01"), (2, "dead", "cdu:c01"),
    ]  # fmt: skip


def test_retry_says_the_refused_page_again(outbox):
    """It waits for the live process as a new event; a second time there is nothing to retry."""
    assert run("retry", "--outbox", outbox, MONITOR_PAGERDUTY_ROUTING_KEY=KEY).exit_code == 0
    told = run("list", "--outbox", outbox).stdout.splitlines()
    assert [text.split(": ")[1].split(",")[0] for text in told] == ["sent", "held", "pending"]
    assert run("retry", "--outbox", outbox, MONITOR_PAGERDUTY_ROUTING_KEY=KEY).exit_code == 1


def test_test_sends_a_page_and_its_end():
    """The whole way, key included; nothing stays open."""
    receiver = Receiver().start()
    environ = {"MONITOR_PAGERDUTY_ROUTING_KEY": KEY, "MONITOR_PAGERDUTY_URL": receiver.url}
    try:
        result = run("test", **environ)
        assert (result.stdout, result.exit_code) == ("pagerduty: ok (202)\n", 0)
        assert [(a.severity, a.state) for a in receiver.alerts] == [("warning", "resolved")]
        receiver.mood = lambda _: "refuse"
        result = run("test", **environ)
        assert result.exit_code == 1
        assert result.stdout.startswith("pagerduty: bad_request (400 Event object is invalid")
    finally:
        receiver.stop()


def test_test_without_a_key_says_what_to_do():
    """No channel is a failure, a wrong key is a configuration error that does not repeat it."""
    assert run("test").exit_code == 1
    with pytest.raises(ConfigError, match="holds 5 characters"):
        run("test", MONITOR_PAGERDUTY_ROUTING_KEY="wrong")
