"""The PagerDuty channel against a receiver that behaves as the vendor's."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from monitor.adapters.pagerduty import PagerDuty
from monitor.config.notify import NotifySettings
from monitor.notify.records import Action, Notice
from monitor.reasons import Outcome
from monitor.runners.receiver import Receiver
from monitor.types import Affected, Candidate, Cause
from tests.notify.lines import START, line

KEY = "r0ut1ngkey" + "x" * 22
RULES = NotifySettings(timeout_ms=200)


@pytest.fixture
def receiver():
    running = Receiver(slow_s=0.5).start()
    yield running
    running.stop()


@contextmanager
def channel(url):
    opened = PagerDuty(KEY, RULES, url)
    yield opened
    opened.close()


def notice(action=Action.TRIGGER, **changes):
    return Notice("pd-1", action, "monitor-b7a37938f05d79e8-1", line(**changes), START)


@pytest.mark.parametrize(
    ("mood", "outcome", "taken"),
    [
        ("take", Outcome.OK, True),
        ("refuse", Outcome.BAD_REQUEST, False),
        ("throttle", Outcome.RATE_LIMITED, False),
        ("fail", Outcome.TEMPORARY, False),
        ("slow", Outcome.TIMEOUT, True),
        ("reset", Outcome.NO_REPLY, False),
        ("lose_reply", Outcome.NO_REPLY, True),
    ],
)
def test_one_attempt_one_request_one_answer(receiver, mood, outcome, taken):
    """Whatever happens to it: the client does not try again by itself, and says what happened."""
    receiver.mood = lambda _: mood
    with channel(receiver.url) as pd:
        answer = pd.send(notice())
    assert answer.outcome == outcome
    assert [r.taken for r in receiver.requests] == [taken]
    assert KEY not in answer.detail


def test_nobody_there():
    """A port that nobody listens on is unreachable, at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with channel(f"http://127.0.0.1:{port}") as pd:
        assert pd.send(notice()).outcome == Outcome.UNREACHABLE


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b"<html>please log in</html>", Outcome.TEMPORARY),
        (202, b"{}", Outcome.TEMPORARY),
        (202, b"no json", Outcome.TEMPORARY),
        (302, b"", Outcome.PERMANENT),
        (403, KEY.encode() + b" is no key", Outcome.PERMANENT),
        (400, b'{"errors": ["' + KEY.encode() + b'"], "message": "no"}', Outcome.BAD_REQUEST),
        (400, b'{"errors": 7}', Outcome.BAD_REQUEST),
    ],
)
def test_answers_of_somebody_else(status, body, outcome):
    """A portal's page is no acceptance; whatever an answer holds, the key in it goes no further."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with channel(f"http://127.0.0.1:{server.server_address[1]}") as pd:
            answer = pd.send(notice())
        server.shutdown()
        thread.join()
    assert answer.outcome == outcome
    assert KEY not in answer.detail
    assert answer.detail


def test_an_alert_is_triggered_acknowledged_and_ended_under_one_key(receiver):
    """Trigger, news, acknowledgement and end are one alert to whoever looks at PagerDuty."""
    states = []
    with channel(receiver.url) as pd:
        for action in (Action.TRIGGER, Action.UPDATE, Action.ACKNOWLEDGE, Action.RESOLVE):
            assert pd.send(notice(action)).outcome == Outcome.OK
            states.append(receiver.alerts[-1].state)
    assert len(receiver.alerts) == 1
    assert states == ["triggered", "triggered", "acknowledged", "resolved"]


def test_the_widest_incident_is_taken(receiver):
    """Names, evidence and texts of absurd length become an event that PagerDuty takes, and say what is cut."""
    huge = line(
        cause=Cause("gpu:" + "n" * 5000, "r" * 5000, 0.5, "e" * 100_000),
        candidates=tuple(Candidate(f"gpu:{i}", 0.1, ("x" * 10_000,) * 30) for i in range(5)),
        affected=Affected(100_000, {"gpu": 100_000}, tuple(f"gpu:n{i}/0" for i in range(100))),
        owner="o" * 3000,
        first_query="q" * 100_000,
        changes=("c" * 10_000,) * 200,
    )
    with channel(receiver.url) as pd:
        assert pd.send(msgspec.structs.replace(notice(), incident=huge)).outcome == Outcome.OK
    (request,) = receiver.requests
    assert "more left out" in request.event["payload"]["summary"]


def test_a_key_does_not_travel_in_clear_text():
    """Plain http is for this machine only."""
    for url in ("http://events.example", "http://127.0.0.1.example", "http://10.0.0.1:80", "ftp://x"):
        with pytest.raises(ValueError, match="clear text"):
            PagerDuty(KEY, RULES, url)


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"routing_key": "short"}, "routing_key"),
        ({"event_action": "shout"}, "event_action"),
        ({"dedup_key": "d" * 256}, "dedup_key"),
        ({"payload": {"source": "s", "severity": "error"}}, "summary"),
        ({"payload": {"summary": "s" * 1025, "source": "s", "severity": "error"}}, "longer"),
        ({"payload": {"summary": "s", "source": "s", "severity": "fatal"}}, "severity"),
        ({"payload": None}, "payload"),
    ],
)
def test_the_receiver_refuses_what_pagerduty_refuses(receiver, event, problem):
    """The receiver is an oracle only if it says no."""
    good = {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "k",
        "payload": {"summary": "s", "source": "s", "severity": "error"},
    }
    assert receiver.judge(msgspec.json.encode(good))[1] == 202
    _, status, body = receiver.judge(msgspec.json.encode({**good, **event}))
    assert (status, len(receiver.alerts)) == (400, 1)
    assert any(problem in error for error in body["errors"])


def test_a_page_leaves_no_address_in_the_log(receiver, caplog):
    """The HTTP library would log each request at INFO; the outbox says all that is to be said."""
    caplog.set_level("INFO")
    with channel(receiver.url) as pd:
        assert pd.send(notice()).outcome == Outcome.OK
    assert receiver.url not in caplog.text
