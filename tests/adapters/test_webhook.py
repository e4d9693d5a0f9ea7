"""The webhook: its signature as a receiver checks it, its answers, and what it does not follow."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.webhook import Webhook
from monitor.config.notify import NotifySettings
from monitor.notify.records import Action, Notice
from monitor.notify.webhook import DELIVERY, SIGNATURE, TIMESTAMP, TOLERANCE_S, Check, sign, verify
from monitor.reasons import Outcome
from monitor.types import Incident
from tests.notify.lines import START, line

SECRET = "a signing secret of the operator"
NOW = START // 1000


@pytest.fixture
def server():
    """A receiver of the operator's own: keeps what came, answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.came.append((self.path, dict(self.headers), body))
            self.send_response(self.server.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Retry-After", "7")
            self.end_headers()
            self.wfile.write(f"no, {SECRET}".encode())

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.came, running.status = [], 204
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def send(server, path="/hook"):
    channel = Webhook(f"http://127.0.0.1:{server.server_address[1]}{path}", SECRET, NotifySettings())
    answer = channel.send(Notice("hook-17", Action.TRIGGER, "monitor-b7a37938f05d79e8-1", line(), START))
    channel.close()
    return answer


def test_the_receiver_can_check_and_read_it(server):
    """The raw body verifies, also among several secrets, and holds the whole record."""
    assert send(server).outcome == Outcome.OK
    ((_, headers, body),) = server.came
    given_secrets = [b"the next secret!", SECRET.encode()]
    assert verify(given_secrets, headers[TIMESTAMP], body, headers[SIGNATURE], NOW) is Check.GOOD
    assert headers[DELIVERY] == "hook-17"
    told = msgspec.json.decode(body)
    assert (told["event"], told["dedup_key"], told["late_ms"]) == ("trigger", "monitor-b7a37938f05d79e8-1", 0)
    assert msgspec.convert(told["incident"], Incident) == line()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, Outcome.OK), (302, Outcome.PERMANENT), (401, Outcome.PERMANENT), (404, Outcome.NOT_FOUND),
     (429, Outcome.RATE_LIMITED), (500, Outcome.TEMPORARY)],
)  # fmt: skip
def test_answers(server, status, outcome):
    """A redirect is not followed; what the receiver asks for is read; its words come without the secret."""
    server.status = status
    answer = send(server)
    assert (answer.outcome, answer.retry_after_ms) == (outcome, 7000)
    assert [path for path, *_ in server.came] == ["/hook"]
    assert SECRET not in answer.detail
    assert outcome is Outcome.OK or "no, ***" in answer.detail


@given(
    st.binary(max_size=50), st.integers(0, 49), st.integers(1, 255), st.integers(-TOLERANCE_S, TOLERANCE_S)
)
def test_any_changed_byte_is_seen(body, at, flip, skew):
    """A body verifies as it was signed, and with any byte changed it does not."""
    header = sign(b"k" * 16, NOW, body)
    assert verify([b"k" * 16], str(NOW), body, header, NOW + skew) is Check.GOOD
    if body:
        changed = bytearray(body)
        changed[at % len(body)] ^= flip
        assert verify([b"k" * 16], str(NOW), bytes(changed), header, NOW) is Check.WRONG


@pytest.mark.parametrize(
    ("timestamp", "signatures", "now", "check"),
    [
        (str(NOW), None, NOW + TOLERANCE_S + 1, Check.OLD),
        (str(NOW), None, NOW - TOLERANCE_S - 1, Check.OLD),
        (str(NOW + 1), None, NOW, Check.WRONG),
        (str(NOW), "v1=", NOW, Check.WRONG),
        (str(NOW), "", NOW, Check.WRONG),
        ("-5", None, NOW, Check.MALFORMED),
        ("٣", None, NOW, Check.MALFORMED),
        ("9" * 5000, None, NOW, Check.MALFORMED),
        (str(NOW), "v1=ü", NOW, Check.MALFORMED),
    ],
)
def test_what_does_not_verify(timestamp, signatures, now, check):
    """Old, moved in time, missing or malformed: each is told apart."""
    header = sign(b"k" * 16, NOW, b"{}") if signatures is None else signatures
    assert verify([b"k" * 16], timestamp, b"{}", header, now) is check
