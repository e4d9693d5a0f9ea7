"""The outbox as a state machine: what is told, in which order, what is held and what is dead."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.notify import NotifySettings, Route
from monitor.notify.outbox import Outbox
from monitor.notify.records import SPEAKS, Answer, Event
from monitor.reasons import Outcome, SendReason
from monitor.types import Affected, Cause
from tests.notify.lines import START, history, line

QUICK = NotifySettings(retry_first_ms=100, throttled_first_ms=500, retry_longest_ms=2_000)
OK = Answer(Outcome.OK)


class Driver:
    """An outbox with its storage in memory: what was returned as changed is all that a kill leaves."""

    def __init__(self, rules=QUICK, channels=("pd",), now=START):
        self.rules, self.channels, self.now = rules, channels, now
        self.events: dict[int, Event] = {}
        self.pages: dict = {}
        self.standings: dict = {}
        self.box = Outbox(rules, channels)

    def keep(self, changes):
        self.events.update((k, copy(v)) for k, v in changes.events.items())
        self.pages.update((k, copy(v)) for k, v in changes.pages.items())
        self.standings.update((k, copy(v)) for k, v in changes.standings.items())
        return changes

    def take(self, *lines):
        for one in lines:
            self.now = max(self.now, one.updated_at)
            self.keep(self.box.take(one, self.now))
        return self

    def send(self, answer=OK, channel="pd"):
        """Make the attempt that is due; return its notice, None where none is."""
        following = self.box.next_event(channel, self.now)
        self.keep(following.changes)
        if following.notice is not None:
            self.keep(self.box.settle(following.seq, answer, self.now))
        return following.notice

    def send_all(self, channel="pd"):
        notices = []
        while (notice := self.send(channel=channel)) is not None:
            notices.append(notice)
        return notices

    def kill(self):
        """Begin again from what was kept."""

        events = sorted(map(copy, self.events.values()), key=lambda e: e.seq)
        self.box = Outbox(self.rules, self.channels)
        unfinished = [e for e in events if e.finished_at is None]
        pages, standings = map(copy, self.pages.values()), map(copy, self.standings.values())
        self.keep(self.box.restore(unfinished, pages, standings, max(self.events, default=0)))


def copy(record):
    """A record as storage gives it back."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=type(record))


def actions(notices):
    return [notice.action.value for notice in notices]


def test_a_life_is_told_in_order_once():
    """Nothing before the page; then the page, news, the acknowledgement, the end, under one key."""
    box = Driver().take(line("opened", pages=0, paged_at=None, severity="error"))
    assert box.send_all() == []
    told = box.take(line("paged", at=START + 10)).send_all()
    told += box.take(line("grown", at=START + 20, affected=Affected(148, {"gpu": 148}, ()))).send_all()
    told += box.take(line("acknowledged", "acknowledged", START + 30)).send_all()
    told += box.take(line("resolved", "resolved", START + 40)).send_all()
    assert actions(told) == ["trigger", "update", "acknowledge", "resolve"]
    assert {notice.dedup_key for notice in told} == {"monitor-b7a37938f05d79e8-1"}
    assert len({notice.id for notice in told}) == 4


def test_the_next_episode_is_another_page():
    """The same incident a day later has a key of its own, and waits for the end of the one before."""
    box = Driver().take(
        line(), line("resolved", "resolved", START + 10), line("paged", at=START + 20, episode=2)
    )
    assert [n.dedup_key[-2:] + " " + n.action for n in box.send_all()] == [
        "-1 trigger",
        "-1 resolve",
        "-2 trigger",
    ]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"severity": "critical", "pages": 0, "paged_at": None}, []),
        ({"severity": "info", "pages": 0, "paged_at": None}, []),
        ({"severity": "warning", "pages": 0, "paged_at": None}, []),
        ({"severity": "error"}, ["pd"]),
        ({"severity": "critical"}, ["pd"]),
    ],
)
def test_what_pages_without_routes(what, told):
    """Without routes all that paged goes everywhere, tickets and records nowhere."""
    box = Driver().take(line("opened", **what))
    assert ["pd" for _ in box.send_all()] == told


def test_routes_by_owner_severity_and_class():
    """The first route that fits counts; a ticket goes where warnings are asked for."""
    routes = (
        Route(to=("net",), owners=("network",)),
        Route(to=("tickets",), severities=("warning",)),
        Route(to=("pd",), classes=("infrastructure",)),
    )
    channels = ("net", "tickets", "pd")
    lines = {
        "net": line(id="a", owner="network"),
        "tickets": line("opened", id="b", severity="warning", pages=0, paged_at=None),
        "pd": line(id="c"),
        "": line(id="d", class_="cost"),
    }
    box = Driver(msgspec.structs.replace(QUICK, routes=routes), channels).take(*lines.values())
    assert {c: [n.incident.id for n in box.send_all(c)] for c in channels} == {
        "net": ["a"], "tickets": ["b"], "pd": ["c"],
    }  # fmt: skip


def test_another_owner_is_called_and_the_first_one_is_kept_informed():
    """A page that moves triggers at the new owner's channel; the end is told to both."""
    routes = (Route(to=("a",), owners=("platform",)), Route(to=("b",)))
    box = Driver(msgspec.structs.replace(QUICK, routes=routes), ("a", "b"))
    box.take(line(owner="platform"))
    assert (actions(box.send_all("a")), actions(box.send_all("b"))) == (["trigger"], [])
    box.take(line("paged", at=START + 10, owner="network", pages=2))
    assert (actions(box.send_all("a")), actions(box.send_all("b"))) == (["update"], ["trigger"])
    box.take(line("resolved", "resolved", START + 20, owner="network", pages=2))
    assert (actions(box.send_all("a")), actions(box.send_all("b"))) == (["resolve"], ["resolve"])


def test_a_page_that_was_decided_after_the_acknowledgement_still_calls():
    """Who saw an unpaged incident is called when it pages after all, and is not acknowledged unasked."""
    box = Driver().take(line("acknowledged", "acknowledged", pages=0, paged_at=None, severity="error"))
    assert box.send_all() == []
    box.take(line("paged", "acknowledged", START + 10))
    assert actions(box.send_all()) == ["trigger"]
    box.take(line("grown", "acknowledged", START + 20, affected=Affected(200, {}, ())))
    assert actions(box.send_all()) == ["update"]


def test_news_that_says_nothing_new_is_not_sent():
    """A line with the same facts, and another confidence, is no event."""
    box = Driver().take(line())
    box.send_all()
    box.take(line("grown", at=START + 10, cause=Cause("cdu:c01", "coolant_flow_low", 0.99, "surer")))
    assert box.send_all() == []


def test_what_was_not_sent_yet_is_brought_up_to_date():
    """News of a page that still waits goes into that page: nobody reads yesterday's cause first."""
    box = Driver().take(
        line(), line("cause changed", at=START + 10, cause=Cause("chiller:ch1", "warm", 0.8, ""))
    )
    notices = box.send_all()
    assert [(n.action.value, n.incident.cause.entity) for n in notices] == [("trigger", "chiller:ch1")]


def test_a_merged_page_ends_when_what_swallowed_it_is_paged():
    """Until then it is the only call for the fault: it mutes nothing and is not muted."""
    box = Driver().take(line(id="child"), line("opened", id="parent", pages=0, paged_at=None))
    assert [n.incident.id for n in box.send_all()] == ["child"]
    box.take(line("merged", "merged", START + 10, id="child", merged_into="parent"))
    assert box.send_all() == []
    box.take(line("paged", at=START + 20, id="parent"))
    assert [(n.incident.id, n.action.value) for n in box.send_all()] == [
        ("parent", "trigger"),
        ("child", "resolve"),
    ]


@pytest.mark.parametrize("chain", [("b",), ("b", "c"), ("b", "c", "d")])
def test_a_merged_page_ends_with_the_end_of_the_chain(chain):
    """Merged into what is merged itself: the last one counts."""
    box = Driver().take(line(id="a"))
    box.send_all()
    names = ["a", *chain]
    for i, (child, parent) in enumerate(zip(names, chain, strict=False)):
        box.take(line("opened", at=START + i, id=parent, pages=0, paged_at=None))
        box.take(line("merged", "merged", START + i, id=child, merged_into=parent, pages=int(child == "a")))
        assert box.send_all() == []
    box.take(line("resolved", "resolved", START + 50, id=chain[-1], pages=0, paged_at=None))
    assert [(n.incident.id, n.action.value) for n in box.send_all()] == [("a", "resolve")]


def test_a_blocked_incident_holds_up_no_other():
    """One event that fails waits; another incident's goes; the next of the first stays behind it."""
    box = Driver().take(line(id="a"), line(id="b"))
    assert box.send(Answer(Outcome.TEMPORARY)).incident.id == "a"
    box.take(line("resolved", "resolved", START + 1, id="a"))
    assert [n.incident.id for n in box.send_all()] == ["b"]
    box.now += 100
    assert actions(box.send_all()) == ["trigger", "resolve"]


def test_a_throttled_channel_pauses_whole_and_no_other():
    """429 is about the key: all its incidents wait, other channels do not."""
    box = Driver(channels=("pd", "hook")).take(line(id="a"), line(id="b"))
    box.send(Answer(Outcome.RATE_LIMITED))
    assert box.send() is None
    assert len(box.send_all("hook")) == 2
    box.now += 500
    assert len(box.send_all()) == 2


def test_what_is_refused_for_good_is_dead_with_its_reason_and_the_next_news_pages():
    """A refused page does not end the incident: its next line calls again, whole."""
    box = Driver().take(line())
    box.send(Answer(Outcome.BAD_REQUEST, "400 summary too long"))
    (dead,) = box.events.values()
    assert (dead.status, dead.reason, dead.detail) == ("dead", "bad_request", "400 summary too long")
    box.take(line("grown", at=START + 10, affected=Affected(200, {}, ())))
    assert actions(box.send_all()) == ["trigger"]


def test_the_end_of_a_page_that_nobody_got_is_not_sent():
    """After a refused trigger there is nothing to end; after one of which the reply was lost there may be."""
    box = Driver().take(line(), line("resolved", "resolved", START + 1))
    box.send(Answer(Outcome.BAD_REQUEST))
    assert box.send_all() == []
    assert box.events[2].reason == SendReason.NEVER_REACHED
    box = Driver().take(line(), line("resolved", "resolved", START + 1))
    box.send(Answer(Outcome.NO_REPLY))
    box.now += QUICK.stale_ms + 1
    assert actions(box.send_all()) == ["resolve"], (
        "the trigger is over and held, the end is sent all the same"
    )


def test_critical_pages_go_first_and_news_last():
    """When there is more than the receiver takes, who is called comes before what is told."""
    box = Driver().take(line(id="old"))
    box.send_all()
    box.take(line("grown", at=START + 1, id="old", affected=Affected(200, {}, ())))
    box.take(line(id="b", at=START + 2, severity="error"), line(id="c", at=START + 2))
    assert [n.incident.id for n in box.send_all()] == ["c", "b", "old"]


def test_stale_evidence_is_held_where_it_is_over_and_marked_where_it_is_not():
    """A backlog of two hours: one incident is over by now, one still stands."""
    box = Driver()
    box.now = START + 7_200_000
    box.take(line(id="over"), line(id="stands"))
    assert box.send() is None, "what is stale waits for the lines behind it"
    box.take(line("resolved", "resolved", START + 600_000, id="over"))
    box.now += QUICK.late_wait_ms
    (notice,) = box.send_all()
    assert (notice.incident.id, notice.late_ms) == ("stands", 7_200_000 + QUICK.late_wait_ms)
    reasons = {(e.incident, e.action.value): (e.status, e.reason) for e in box.events.values()}
    assert reasons == {
        ("over", "trigger"): ("held", "late_and_no_longer_true"),
        ("over", "resolve"): ("held", "the_channel_never_had_it"),
        ("stands", "trigger"): ("sent", "ok"),
    }
    assert next(e for e in box.events.values() if e.incident == "stands").late_ms == notice.late_ms


def test_fresh_evidence_that_is_over_is_paged_and_ended():
    """A short outage loses no page."""
    box = Driver().take(line(), line("resolved", "resolved", START + 60_000))
    assert actions(box.send_all()) == ["trigger", "resolve"]


def test_repeats_until_somebody_acknowledges():
    """Where repeats are asked for, each says its number, and they end with the acknowledgement."""
    box = Driver(msgspec.structs.replace(QUICK, repeat_ms=60_000)).take(line())
    box.send_all()
    numbers = []
    for _ in range(3):
        box.now += 60_001
        numbers += [(n.action.value, n.repeat) for n in box.send_all()]
    assert numbers == [("repeat", 1), ("repeat", 2), ("repeat", 3)]
    box.take(line("acknowledged", "acknowledged", box.now))
    box.send_all()
    box.now += 600_000
    assert box.send_all() == []


def test_ends_are_not_sent_where_the_operator_wants_none():
    """PagerDuty's alert is then closed by people only."""
    box = Driver(msgspec.structs.replace(QUICK, send_resolved=False)).take(line())
    box.send_all()
    assert box.take(line("resolved", "resolved", START + 1)).send_all() == []


def test_what_ended_long_ago_is_forgotten_and_what_stands_is_not():
    """Memory does not grow with the years."""
    box = Driver().take(line(id="a"), line(id="b"), line("resolved", "resolved", START + 1, id="a"))
    box.send_all()
    pages, standings = box.box.forget(START + QUICK.keep_ms + 2)
    assert ([k.incident for k in pages], standings) == (["a"], [("a", 1)])


OUTCOMES = (
    *[Outcome.OK] * 5,
    *(Outcome.TEMPORARY, Outcome.TIMEOUT, Outcome.NO_REPLY, Outcome.UNREACHABLE, Outcome.RATE_LIMITED),
    Outcome.BAD_REQUEST,
)

MAY_ARRIVE = {Outcome.OK, Outcome.TIMEOUT, Outcome.NO_REPLY, Outcome.TEMPORARY, None}  # None: killed


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6))
def test_any_history_any_outcomes_any_kills(seed):
    """What the module promises holds for random histories, outcomes, delays and kills.

    Each event ends; each incident's in order; the same twice only where the first may not have arrived or the
    process was killed; stale evidence never as if live; lines taken again change nothing.
    """
    lines, chance = history(seed, steps=30), random.Random(seed)
    box, tries = Driver(), []
    given_lines = 0
    while given_lines < len(lines) or box.box.pending("pd"):
        step = chance.choice(["line", "line", "send", "send", "wait", "kill", "again"])
        if step == "line" and given_lines < len(lines):
            box.take(lines[given_lines])
            given_lines += 1
        elif step == "again":
            before = len(box.events)
            for one in lines[:given_lines]:
                assert not box.box.take(one, box.now)
            assert len(box.events) == before
        elif step == "wait":
            box.now += chance.choice([50, 2_000, 60_000, 1_200_000])
        elif step == "kill":
            box.kill()
        else:
            following = box.box.next_event("pd", box.now)
            box.keep(following.changes)
            if following.notice is None:
                box.now = following.wake_at or box.now
                continue
            outcome = chance.choice(OUTCOMES)
            killed = chance.random() < 0.05
            tries.append((following.seq, following.notice, None if killed else outcome, box.now))
            if killed:
                box.kill()
            else:
                box.keep(box.box.settle(following.seq, Answer(outcome), box.now))
    check_ends(box)
    check_nothing_stays_open(box, tries)
    check_order_and_repetition(tries)
    for _, notice, _, at in tries:
        age = at - notice.incident.updated_at
        if notice.action in SPEAKS and age > QUICK.stale_ms:
            assert notice.late_ms == age


def check_ends(box):
    assert {e.status for e in box.events.values()} <= {"sent", "held", "dead"}
    for event in box.events.values():
        if event.status == "held":
            assert event.reason in {SendReason.OVER, SendReason.NEVER_REACHED, SendReason.OUTDATED}
        if event.status == "held" and event.reason == SendReason.OVER:
            assert not box.pages[event.page].open


def check_nothing_stays_open(box, tries):
    """A page that may have arrived is ended where its incident is, however it went on from there."""
    arrived = {
        box.events[seq].page for seq, n, outcome, _ in tries if n.action in SPEAKS and outcome in MAY_ARRIVE
    }
    for event in box.events.values():
        if event.page in arrived and event.action == "resolve":
            assert event.status != "held", "an alert that may be open is never closed"


def check_order_and_repetition(tries):
    last: dict[str, int] = {}
    for seq, notice, _, _ in tries:
        assert seq >= last.get(notice.incident.id, 0), "an event left after a later one of its incident"
        last[notice.incident.id] = seq
    for i, (seq, _, outcome, _) in enumerate(tries):
        again = any(other == seq for other, *_ in tries[i + 1 :])
        assert not (again and outcome in {Outcome.OK, Outcome.BAD_REQUEST}), "an event was sent after its end"
    contents = [msgspec.json.encode((n.action, n.incident)) for n in {s: n for s, n, *_ in tries}.values()]
    assert len(set(contents)) == len(contents), "two events say the same"


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_who_is_paged_in_the_end(seed):
    """Against a scalar reading of the history: who was called, and whose page is over."""
    lines = history(seed)
    box = Driver(msgspec.structs.replace(QUICK, stale_ms=10**12))
    shown: dict[tuple[str, int], str] = {}
    for one in lines:
        box.take(one)
        for notice in box.send_all():
            key = (notice.incident.id, notice.incident.episode)
            shown[key] = "over" if notice.action == "resolve" else "open"
        box.now += 60_000
    for notice in box.send_all():
        shown[notice.incident.id, notice.incident.episode] = "over" if notice.action == "resolve" else "open"
    assert shown == expected_pages(lines)


def expected_pages(lines):
    """Which episodes were paged, and which of those pages are over: by their last lines alone."""
    last = {(one.id, one.episode): one for one in lines}

    def over(one):
        return one.state == "resolved" or (one.state == "merged" and taken_over(one))

    def taken_over(one):
        """Whether what stood in for a merged one was paged or ended, then or later."""
        standing, begun = {}, lines.index(one)
        stands_in = one.merged_into
        for number, x in enumerate(lines):
            standing[x.id] = x
            while standing.get(stands_in, x).state == "merged" and number >= begun:
                stands_in = standing[stands_in].merged_into
            if number >= begun and (standing[stands_in].state == "resolved" or standing[stands_in].pages):
                return True
        return False

    return {key: "over" if over(one) else "open" for key, one in last.items() if one.pages > 0}
