"""A local receiver that behaves as PagerDuty's Events API v2 does, for tests and for `monitor demo`.

It listens on loopback, checks events as the vendor does, folds them into alerts by their key, and can be told
to throttle, fail, dawdle, reset, or take an event and lose the reply. Of keys it checks the length; it keeps
none.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

Mood = Literal["take", "refuse", "throttle", "fail", "slow", "reset", "lose_reply"]

EVENT_MOST = 512 * 1024
SUMMARY_MOST = 1024
DEDUP_KEY_MOST = 255
ROUTING_KEY_LENGTH = 32
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")


@dataclass(slots=True)
class Alert:
    """What PagerDuty would show: the last event of a key says what it says."""

    dedup_key: str
    summary: str
    severity: str
    state: Literal["triggered", "acknowledged", "resolved"] = "triggered"
    events: int = 1


@dataclass(frozen=True, slots=True)
class Received:
    """One request: its event without the routing key, and what was made of it."""

    at: float
    mood: Mood
    status: int
    event: dict[str, Any]

    @property
    def taken(self) -> bool:
        """Whether the event counts, whatever the sender heard."""
        return self.status == 202


@dataclass(slots=True)
class Receiver:
    """A receiver on loopback. `mood` says how to treat each event; `slow_s` how long it dawdles when slow."""

    mood: Callable[[dict[str, Any]], Mood] = lambda _: "take"
    slow_s: float = 2.0
    requests: list[Received] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> Receiver:
        """Begin to listen on a free port."""
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True
        ).start()
        return self

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def judge(self, raw: bytes) -> tuple[Mood, int, dict[str, Any]]:
        """Take one event; return the mood, the status and the body of the answer."""
        problems, event = check(raw)
        mood = "refuse" if problems else self.mood(event)
        status = {"refuse": 400, "throttle": 429, "fail": 503, "reset": 0}.get(mood, 202)
        with self._lock:
            self.requests.append(Received(time.time(), mood, status, event))
            if status == 202:
                self._fold(event)
        return mood, status, _answer(status, event, problems)

    def _fold(self, event: dict[str, Any]) -> None:
        """Fold an event into the open alert of its key; an end or acknowledgement without one is dropped."""
        key, action = str(event["dedup_key"]), event["event_action"]
        alert = next((a for a in reversed(self.alerts) if a.dedup_key == key and a.state != "resolved"), None)
        if action == "trigger":
            payload = event["payload"]
            if alert is None:
                self.alerts.append(Alert(key, payload["summary"], payload["severity"]))
                return
            alert.summary, alert.severity = payload["summary"], payload["severity"]
        elif alert is None:
            return
        else:
            alert.state = "acknowledged" if action == "acknowledge" else "resolved"
        alert.events += 1


def check(raw: bytes) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with an event, and the event without its routing key."""
    try:
        event = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError:
        return ["Event object is not valid JSON"], {}
    problems = [f"the event has {len(raw)} bytes"] if len(raw) > EVENT_MOST else []
    if len(str(event.pop("routing_key", ""))) != ROUTING_KEY_LENGTH:
        problems.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in ACTIONS:
        problems.append("'event_action' is missing or blank")
    if not 0 < len(str(event.get("dedup_key", ""))) <= DEDUP_KEY_MOST:
        problems.append("'dedup_key' is missing or too long")
    if event.get("event_action") == "trigger":
        problems += _payload_problems(event.get("payload"))
    return problems, event


def _payload_problems(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    problems = [f"'payload.{n}' is missing or blank" for n in ("summary", "source") if not payload.get(n)]
    if len(payload.get("summary", "")) > SUMMARY_MOST:
        problems.append(f"'payload.summary' is longer than {SUMMARY_MOST} characters")
    if payload.get("severity") not in SEVERITIES:
        problems.append("'payload.severity' is invalid (must be one of the following: 'critical', 'warning', "
                        "'error' or 'info')")  # fmt: skip
    return problems


def _answer(status: int, event: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    if status == 202:
        return {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
    if status == 400:
        return {"status": "invalid", "message": "Event object is invalid", "errors": problems or ["refused"]}
    if status == 429:
        words = "Requests for this service are arriving too quickly.  Please retry later."
        return {"status": "throttle exceeded", "message": words, "errors": ["Enhance Your Calm."]}
    return {"status": "error", "message": "Internal error"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about senders that went away; of anything else, what the library says."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer one event, or do not."""
        length = int(self.headers.get("Content-Length", "0"))
        raw = self.rfile.read(length)
        if len(raw) < length:
            self.close_connection = True  # the sender died while it spoke
            return
        if self.path != "/v2/enqueue":
            self._reply(404, {"status": "not found"})
            return
        mood, status, body = self.receiver.judge(raw)
        if mood == "slow":
            time.sleep(self.receiver.slow_s)
        if mood in {"reset", "lose_reply"}:
            self._reset()
        else:
            self._reply(status, body)

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        sent = msgspec.json.encode(body)
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)
        except OSError:
            self.close_connection = True

    def _reset(self) -> None:
        """End the connection with a reset instead of a reply."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Keep quiet: `requests` is the log."""
