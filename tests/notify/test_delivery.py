"""The delivery loop: threads, an orderly stop, channels that do not wait for each other, and no key anywhere."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from monitor.adapters.channels import build_channels
from monitor.adapters.outbox import DurableOutbox, read_events
from monitor.config.notify import NotifySettings, read_notify
from monitor.notify.records import Answer
from monitor.reasons import Outcome
from monitor.runners.delivery import Delivery, wall_clock
from monitor.runners.receiver import Receiver
from monitor.units import HOUR
from tests.notify.lines import START, history, line

KEY = "r0ut1ngkey" + "x" * 22
SIGNING = "s1gn1ngsecret" + "y" * 22
TOKEN = "t0kenintheaddress"
HASTY = {
    "retry_first_ms": 5, "throttled_first_ms": 5, "retry_longest_ms": 20, "timeout_ms": 150, "stale_ms": 10**13,
    "per_minute": 100_000, "burst": 50_000,
}  # fmt: skip


@pytest.fixture
def receiver():
    running = Receiver(slow_s=0.4).start()
    yield running
    running.stop()


def delivering(tmp_path, receiver, clock=lambda: START, **section):
    problems = []
    rules = read_notify({**HASTY, **section}, problems)
    assert problems == []
    environ = {"MONITOR_PAGERDUTY_ROUTING_KEY": KEY, "MONITOR_PAGERDUTY_URL": receiver.url,
               "MONITOR_WEBHOOK_SECRET": SIGNING, "MONITOR_WEBHOOK_URL": f"{receiver.url}/hook?token={TOKEN}"}  # fmt: skip
    channels = build_channels(rules, environ)
    outbox = DurableOutbox(tmp_path / "outbox.db", rules, list(channels), clock())
    return Delivery(outbox, channels, clock), outbox, channels


def end(outbox, channels):
    outbox.close()
    for channel in channels.values():
        channel.close()


def test_a_key_in_the_environment_is_all_it_takes(tmp_path, receiver):
    """Lines in, an alert out, and its end; on the wall clock."""
    delivery, outbox, channels = delivering(tmp_path, receiver, clock=wall_clock)
    delivery.start()
    delivery.take([line("opened", pages=0, paged_at=None), line()])
    assert delivery.drain(10)
    assert [a.state for a in receiver.alerts] == ["triggered"]
    delivery.take([line("resolved", "resolved", START + 10)])
    assert delivery.drain(10)
    assert [a.state for a in receiver.alerts] == ["resolved"]
    assert delivery.stop()
    end(outbox, channels)


def test_what_is_over_is_forgotten_also_where_nobody_is_paged(tmp_path):
    """Without channels, too, the outbox does not grow for ever; what is open stays."""
    rules, now = NotifySettings(), [START]
    outbox = DurableOutbox(tmp_path / "outbox.db", rules, [], START)
    delivery = Delivery(outbox, {}, lambda: now[0])
    delivery.take([line(id="over"), line("resolved", "resolved", START + 1, id="over"), line(id="open")])
    now[0] += rules.keep_ms + 2 * HOUR
    delivery.take([line(id="news", at=now[0])])
    outbox.close()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        held = db.execute("SELECT incident FROM standings ORDER BY incident").fetchall()
    assert held == [("news",), ("open",)]


def test_a_stop_ends_the_attempt_and_keeps_the_rest(tmp_path, receiver):
    """After a stop nothing is half done: what was being sent is written down, the rest waits."""
    receiver.mood = lambda _: "slow"
    delivery, outbox, channels = delivering(tmp_path, receiver, timeout_ms=2_000)
    delivery.start()
    delivery.take([line(id="a"), line(id="b")])
    while not receiver.requests:
        time.sleep(0.005)
    assert delivery.stop()
    end(outbox, channels)
    assert [(e.incident, e.status) for e in read_events(tmp_path / "outbox.db")] == [
        ("a", "sent"),
        ("b", "pending"),
    ]


def test_a_channel_that_hangs_holds_up_no_other(tmp_path, receiver):
    """Pages go to the file while PagerDuty takes its time."""
    receiver.mood = lambda _: "slow"
    section = {"pd": {"type": "pagerduty"}, "log": {"type": "file", "path": str(tmp_path / "pages.ndjson")}}
    delivery, outbox, channels = delivering(tmp_path, receiver, channels=section, timeout_ms=5_000)
    delivery.start()
    delivery.take([line(id=f"{i}") for i in range(10)])
    deadline = time.monotonic() + 5
    while outbox.pending("log") and time.monotonic() < deadline:
        time.sleep(0.005)
    assert outbox.pending("log") == 0
    assert outbox.pending("pd") >= 8
    assert delivery.stop()
    end(outbox, channels)


class Broken:
    """A channel with a mistake in it: raises what no channel should, with a key in its text."""

    def send(self, notice):
        raise RuntimeError(f"{KEY} for {notice.incident.id}")


def test_a_mistake_in_a_channel_costs_one_event_and_not_the_thread(tmp_path, caplog):
    """It is dead and visible, and its text, which may hold anything, is not kept."""
    outbox = DurableOutbox(tmp_path / "outbox.db", NotifySettings(stale_ms=10**13), ["x"], START)
    delivery = Delivery(outbox, {"x": Broken()}, lambda: START)
    delivery.start()
    delivery.take([line(id="a"), line(id="b")])
    assert delivery.drain(10)
    assert delivery.stop()
    outbox.close()
    events = read_events(tmp_path / "outbox.db", "dead")
    assert [(e.incident, e.reason, e.detail) for e in events] == [
        (i, "unsendable", "RuntimeError") for i in "ab"
    ]
    assert KEY not in caplog.text


def test_without_a_channel_somebody_is_told(tmp_path, caplog):
    """Silence is never the answer to a missing key."""
    outbox = DurableOutbox(tmp_path / "outbox.db", NotifySettings(), [], START)
    delivery = Delivery(outbox, {})
    delivery.start()
    assert delivery.take([line()]) == 1
    assert delivery.stop()
    outbox.close()
    assert "nobody is paged" in caplog.text


def test_events_for_a_channel_that_is_gone_are_told_of(tmp_path, receiver, caplog):
    """Who takes a channel out of the settings learns what it still holds."""
    rules = NotifySettings()
    outbox = DurableOutbox(tmp_path / "outbox.db", rules, ["old"], START)
    outbox.take([line()], START)
    outbox.close()
    delivery, outbox, channels = delivering(tmp_path, receiver)
    delivery.start()
    assert delivery.stop()
    end(outbox, channels)
    assert "1 events wait for channels that are not set any more" in caplog.text


def test_a_disk_that_comes_back_is_used_again(tmp_path, receiver, caplog):
    """While the outbox cannot be written nothing is sent unrecorded; afterwards all is."""
    delivery, outbox, channels = delivering(tmp_path, receiver)
    delivery.take([line()])
    outbox._db.execute("PRAGMA query_only = 1")
    delivery.start()
    deadline = time.monotonic() + 5
    while "cannot be written" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.005)
    assert "the outbox cannot be written" in caplog.text
    assert receiver.requests == []
    outbox._db.execute("PRAGMA query_only = 0")
    assert delivery.drain(15)
    assert [a.state for a in receiver.alerts] == ["triggered"]
    assert delivery.stop()
    end(outbox, channels)


def test_lines_from_many_threads_are_all_taken(tmp_path):
    """Whoever gives lines needs no lock."""

    class Taking:
        def __init__(self):
            self.got = []

        def send(self, notice):
            self.got.append(notice.incident.id)
            return Answer(Outcome.OK)

    rules, taking = NotifySettings(stale_ms=10**13, per_minute=10_000, burst=5_000), Taking()
    outbox = DurableOutbox(tmp_path / "outbox.db", rules, ["x"], START)
    delivery = Delivery(outbox, {"x": taking}, lambda: START)
    delivery.start()
    givers = [
        threading.Thread(target=lambda n=n: [delivery.take([line(id=f"{n}-{i}")]) for i in range(20)])
        for n in range(4)
    ]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    assert delivery.drain(20)
    assert delivery.stop()
    outbox.close()
    assert sorted(taking.got) == sorted(f"{n}-{i}" for n in range(4) for i in range(20))


def test_a_key_is_in_no_log_no_record_no_file_and_no_error(tmp_path, receiver, caplog):
    """Keys in the environment, every log at its loudest, a receiver that fails in all ways."""
    caplog.set_level(logging.DEBUG)
    moods = iter(["refuse", "throttle", "fail", "slow", "reset", "lose_reply"] * 5)
    receiver.mood = lambda _: next(moods, "take")
    section = {"pd": {"type": "pagerduty"}, "hook": {"type": "webhook"},
               "log": {"type": "file", "path": str(tmp_path / "pages.ndjson")}}  # fmt: skip
    watched = []
    delivery, outbox, channels = delivering(tmp_path, receiver, clock=wall_clock, channels=section)
    delivery._watch = watched.append
    delivery.start()
    delivery.take(history(3, steps=120, incidents=8))
    assert delivery.drain(30)
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert delivery.stop()
    end(outbox, channels)
    files += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    said = caplog.text + repr(watched) + repr(receiver.requests) + repr(channels) + repr(outbox)
    assert len(receiver.requests) > 10
    assert b"monitor-" in files
    assert "channel=hook" in caplog.text
    assert "channel=pd" in caplog.text
    for secret in (KEY, SIGNING, TOKEN):
        assert secret not in said
        assert secret.encode() not in files
