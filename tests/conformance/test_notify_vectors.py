"""Other tools' own test vectors for pages: bodies, HTTP outcomes, retries, limits, when to tell again."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import msgspec
import pytest

from monitor.adapters.answers import answer_of
from monitor.adapters.pagerduty import _Client
from monitor.config.notify import NotifySettings
from monitor.notify.intake import NOTIFIES, Told, update_reason
from monitor.notify.outcomes import RETRIED, outcome_of
from monitor.notify.pagerduty import EVENT_MOST, REMOVED, event, fitted, size
from monitor.notify.records import Action, Notice, dedup_key
from monitor.notify.words import SUMMARY_MOST, summary
from monitor.types import Cause
from tests.notify.lines import START, line

pytestmark = pytest.mark.conformance

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "notify_conformance" / "vectors.json"
VECTORS = json.loads(DATA.read_text()) if DATA.exists() else {}


def cases(group: str, key: str = "cases"):
    """The vectors of a group; one skipped case where they are not on this machine."""
    if not VECTORS:
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{DATA.name} is not on this machine"))]
    return [
        pytest.param(
            case, id=str(case.get("id", case.get("status", i))) if isinstance(case, dict) else str(i)
        )
        for i, case in enumerate(VECTORS[group][key])
    ]


def limits():
    if not VECTORS:
        pytest.skip(f"{DATA.name} is not on this machine")
    return VECTORS["pagerduty_limits"]


def sent_by_client(status, body, act):
    """What the client puts on the wire, caught below HTTP."""
    caught = []

    def answer(request):
        caught.append(request)
        return httpx2.Response(status, json=body)

    client = _Client("routingkey", base_url="https://events.example", transport=httpx2.MockTransport(answer))
    return act(client), caught


@pytest.mark.parametrize("case", cases("pagerduty_events_v2"))
def test_bodies_on_the_wire(case):
    """The client as we set it up sends the bodies, paths and headers of the vendor's own tests."""
    if case["id"].startswith("change"):
        pytest.skip("change events are not sent: a change is evidence of an incident and stands on its page")
    call, body = case.get("call"), case["body"]

    def act(client):
        if call is None:
            return client.send_event(body["event_action"], dedup_key=body["dedup_key"])
        fields = {k: call[k] for k in ("summary", "source", "severity", "custom_details")}
        return client.send_event("trigger", payload=fields, images=call["images"])

    returned, (request,) = sent_by_client(*case["response"], act)
    assert json.loads(request.content) == body
    assert (request.method, request.url.path) == (case["method"], case["path"])
    for name, value in case.get("headers_must", {}).items():
        assert request.headers[name] == value
    assert not set(case.get("headers_must_not", [])) & set(request.headers)
    assert returned == case.get("returns", case["response"][1]["dedup_key"])


@pytest.mark.parametrize(
    "case", [c for c in cases("pagerduty_events_v2") if c.id in {"resolve", "acknowledge", None}]
)
def test_ends_and_acknowledgements_are_the_key_alone(case):
    """What we send to end or acknowledge has the vendor's fields and no other."""
    notice = Notice("pd-1", Action(case["id"]), case["body"]["dedup_key"], line(), START)
    ours = event(notice, NotifySettings())
    assert ours | {"routing_key": case["body"]["routing_key"]} == case["body"]


@pytest.mark.parametrize("case", cases("pagerduty_http_outcomes"))
def test_statuses_and_what_follows(case):
    """Each status has its class; 429 and 5xx are tried again, refusals are not."""
    response = httpx2.Response(case["status"], json=case.get("body", {}))
    answer = answer_of(response, ())
    assert answer.outcome == outcome_of(case["status"])
    assert answer.outcome.value == case["class_"]
    # The sources differ about 408. It is tried again: the key makes a second arrival harmless.
    expected = case["retry"] if isinstance(case["retry"], bool) else True
    assert (answer.outcome in RETRIED) == expected
    for error in case.get("body", {}).get("errors", []):
        assert error in answer.detail


def test_the_clients_own_retries_are_off():
    """Its table of retries is the vendor's, and none of them happens: one request, whatever the status."""
    if not VECTORS:
        pytest.skip(f"{DATA.name} is not on this machine")
    table = VECTORS["pagerduty_http_outcomes"]["python_client_retry_limits"]
    for status in [429, *map(int, table)]:

        def act(client):
            assert {str(k): v for k, v in client.retry.items()} == table
            with pytest.raises(Exception, match=f"status {status}"):  # noqa: B023
                client.send_event("resolve", dedup_key="k")

        _, requests = sent_by_client(status, {}, act)
        assert len(requests) == 1


def test_limits_are_the_vendors():
    """1024 characters of summary, 512 KB of event, details replaced by the note that tools look for."""
    given = limits()
    assert given["summary_max_runes"] == SUMMARY_MOST
    assert 512_000 <= EVENT_MOST <= given["event_max_bytes"]
    assert json.dumps(REMOVED) in given["on_oversize"]


def test_an_oversized_event_loses_its_details_and_nothing_else():
    """The vendor's case: details of 513,000 letters."""
    limits()
    big = {
        "event_action": "trigger",
        "payload": {"summary": "s", "custom_details": {"firing": "a" * 513_000}},
    }
    assert fitted(big)["payload"] == {"summary": "s", "custom_details": REMOVED}
    assert size(fitted(big)) <= EVENT_MOST


def test_a_summary_of_wide_letters_is_cut_by_characters():
    """The limit counts characters, not bytes."""
    most = limits()["summary_max_runes"]
    notice = Notice(
        "pd-1", Action.TRIGGER, "k", line(cause=Cause("gpu:" + "ü" * 3000, "heat", 0.9, "")), START
    )
    assert len(summary(notice)) == most
    assert "more left out" in summary(notice)


def test_the_key_and_severities_are_what_pagerduty_takes():
    """A key of at most 255 characters; the severities are our own four words."""
    assert all(word in limits()["dedup_key"] for word in ("critical", "error", "warning", "info"))
    assert len(dedup_key("f" * 16, 10**6)) <= 255


@pytest.mark.parametrize("case", cases("dedup_needs_notification"))
def test_when_a_receiver_is_told_again(case):
    """Alertmanager's table. Its repeat interval of 0 means at once, ours never: 1 ms stands for it here."""
    fired, ended, age_min, firing, gone, repeat_min, send_resolved, expected = case

    def names(numbers):
        return frozenset(map(str, numbers or ()))

    before = None if fired is None else Told(names(fired), names(ended))
    age_ms = 10**12 if age_min == "zero timestamp" else (age_min or 0) * 60_000
    repeat_ms = repeat_min * 60_000 or 1
    reason = update_reason(before, names(firing), names(gone), age_ms, repeat_ms, send_resolved=send_resolved)
    assert (reason in NOTIFIES) == expected


@pytest.mark.parametrize("case", cases("inhibition") + cases("inhibition", "has_equal"))
def test_inhibition(case):
    """Muting by equal labels."""
    pytest.skip(
        "there are no inhibition rules: what one cause explains is one incident (correlate), what a person or a "
        "maintenance mutes never pages (correlate/decide.py), and what an incident swallows is merged; the merge "
        "lifts and mutes as these cases want and is tested in tests/notify/test_outbox.py"
    )


def test_every_group_of_vectors_is_looked_at():
    """A new group in the file does not go unseen."""
    limits()
    assert set(VECTORS) == {
        "pagerduty_events_v2", "pagerduty_http_outcomes", "pagerduty_limits", "dedup_needs_notification", "inhibition",
    }  # fmt: skip
    assert msgspec.json.decode(DATA.read_bytes()) == VECTORS
