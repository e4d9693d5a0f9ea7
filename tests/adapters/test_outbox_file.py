"""The outbox on disk: durable, one owner, readable by others, honest when the disk is not there."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from monitor.adapters.outbox import DurableOutbox, read_events
from monitor.config.notify import NotifySettings
from monitor.errors import StateError, UsageError, WorkError
from monitor.notify.records import Answer
from monitor.reasons import Outcome
from tests.notify.lines import START, history, line

RULES = NotifySettings(per_minute=100, burst=20)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "outbox.db"


def test_it_is_as_durable_as_it_says(path):
    """Write-ahead log, every commit synced."""
    box = DurableOutbox(path, RULES, ["pd"], START)
    pragma = {
        name: box._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert pragma == {"journal_mode": "wal", "synchronous": 2}
    box.close()


def test_it_goes_on_where_it_was(path):
    """After a restart: what was sent is not sent again, what was being sent is, lines are known."""
    box = DurableOutbox(path, RULES, ["pd"], START)
    assert box.take([line(id="a"), line(id="b")], START) == 2
    first = box.next_event("pd", START)
    box.settle(first.seq, Answer(Outcome.OK), START)
    second = box.next_event("pd", START)
    box.close()
    box = DurableOutbox(path, RULES, ["pd"], START)
    assert box.take([line(id="a"), line(id="b")], START) == 0
    again = box.next_event("pd", START)
    assert (again.seq, again.notice) == (second.seq, second.notice)
    box.settle(again.seq, Answer(Outcome.OK), START)
    assert box.pending() == 0
    box.close()


def test_numbers_are_not_used_again(path):
    """An event's number names it for ever, also after what came before is forgotten."""
    box = DurableOutbox(path, RULES, ["pd"], START)
    box.take([line(), line("resolved", "resolved", START + 1)], START)
    for _ in range(2):
        box.settle(box.next_event("pd", START).seq, Answer(Outcome.OK), START)
    box.forget(START + 2 * RULES.keep_ms)
    assert read_events(path) == []
    box.close()
    box = DurableOutbox(path, RULES, ["pd"], START)
    box.take([line(id="c")], START)
    assert box.next_event("pd", START).seq == 3
    box.close()


def test_one_process_has_it_and_others_read_it(path):
    """A second owner is refused; a reader sees what is queued and what is dead, with the reason."""
    box = DurableOutbox(path, RULES, ["pd"], START)
    with pytest.raises(WorkError, match="another process delivers from this outbox"):
        DurableOutbox(path, RULES, ["pd"], START)
    box.take([line()], START)
    box.settle(box.next_event("pd", START).seq, Answer(Outcome.BAD_REQUEST, "400 no such key"), START)
    (dead,) = read_events(path, "dead")
    assert (dead.reason, dead.detail, dead.attempts) == ("bad_request", "400 no such key", 1)
    assert read_events(path, "sent") == []
    box.close()
    DurableOutbox(path, RULES, ["pd"], START).close()


def test_what_is_dead_can_be_sent_after_all(path):
    """Once the key is right, the refused page is said again as it stands, and what follows it follows."""
    box = DurableOutbox(path, RULES, ["pd"], START)
    box.take([line()], START)
    seq = box.next_event("pd", START).seq
    box.settle(seq, Answer(Outcome.PERMANENT, "403"), START)
    assert box.next_event("pd", START).notice is None
    assert box.revive([seq, 999], START) == 1
    again = box.next_event("pd", START)
    assert (again.notice.action, again.notice.incident) == ("trigger", line())
    assert read_events(path, "dead") == []
    box.settle(again.seq, Answer(Outcome.OK), START)
    box.take([line("resolved", "resolved", START + 5)], START + 5)
    assert box.next_event("pd", START + 5).notice.action == "resolve"
    box.close()


def test_a_full_disk_loses_nothing_that_was_promised(path):
    """What could not be written is refused, and the outbox is as it was; with room again all goes on."""
    box = DurableOutbox(path, RULES, ["pd"], START)
    box.take([line(id="a")], START)
    pages = box._db.execute("PRAGMA page_count").fetchone()[0]
    box._db.execute(f"PRAGMA max_page_count = {pages}")
    many = [line(id=f"{i:016x}") for i in range(200)]
    with pytest.raises(WorkError, match="the outbox cannot be written: database or disk is full"):
        box.take(many, START)
    assert box.pending() == 1
    box._db.execute("PRAGMA max_page_count = 100000")
    assert box.take(many, START) == 200
    assert box.pending() == 201
    box.close()


def test_the_limit_holds_over_a_restart(path):
    """A process that is restarted over and over sends no more a minute than one that is not."""
    sent = 0
    for _ in range(10):
        box = DurableOutbox(path, RULES, ["pd"], START)
        box.take([line(id=f"{i:016x}") for i in range(200)], START)
        while (following := box.next_event("pd", START)).notice is not None:
            box.settle(following.seq, Answer(Outcome.OK), START)
            sent += 1
        box.close()
    assert sent == RULES.burst


def test_files_that_are_none(tmp_path):
    """What is no outbox, or one of another program, is left alone."""
    file = tmp_path / "outbox.db"
    file.write_bytes(b"no database, but long enough to be looked at" * 20)
    with pytest.raises(WorkError, match="cannot be used as an outbox: file is not a database"):
        DurableOutbox(file, RULES, ["pd"], START)
    with pytest.raises(UsageError, match="is no outbox"):
        read_events(file)
    with pytest.raises(UsageError, match="no outbox there"):
        read_events(tmp_path / "nothing")
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(StateError, match="outbox of format 7"):
        DurableOutbox(other, RULES, ["pd"], START)


def test_every_line_comes_back_as_it_was(path):
    """The record of the outbox is the record of the incident, letter for letter."""
    lines = history(7, steps=200, incidents=12)
    box = DurableOutbox(path, RULES, ["pd"], START)
    box.take(lines, START)
    kept = [event.line for event in read_events(path)]
    assert len(kept) > 5
    assert set(kept) <= {msgspec.json.encode(one) for one in lines}
    box.close()
