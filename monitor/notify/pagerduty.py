"""PagerDuty's Events API v2: the event that a notice becomes, without its routing key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from monitor.notify.records import SPEAKS
from monitor.notify.words import details, links, shortened, summary
from monitor.units import iso

if TYPE_CHECKING:
    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Notice

EVENT_MOST = 512_000
"""Bytes of a whole event that are sent. PagerDuty takes "512 KB"; this holds however it counts them."""

KEY_ROOM = 256
"""Bytes left for the routing key, which the client adds."""

FIELD_MOST = 255

REMOVED = {
    "error": "Custom details have been removed because the original event exceeds the maximum size of 512KB"
}
"""What stands for details that do not fit: in Alertmanager's words, which tools look for."""

ON_THE_WIRE = {"trigger": "trigger", "update": "trigger", "repeat": "trigger"}


def event(notice: Notice, settings: NotifySettings) -> dict[str, Any]:
    """Return the event of a notice.

    component is the kind of the cause's entity, group the class of the incident, class the reason. An
    acknowledgement and an end are the key and nothing else; PagerDuty drops them where no alert is open.
    """
    head = {
        "event_action": ON_THE_WIRE.get(notice.action, notice.action.value),
        "dedup_key": notice.dedup_key,
    }
    if notice.action not in SPEAKS:
        return head
    line = notice.incident
    payload = {
        "summary": summary(notice),
        "source": shortened(line.cause.entity, FIELD_MOST),
        "severity": line.severity,
        "timestamp": iso(line.detected_at),
        "component": line.scope,
        "group": line.class_,
        "class": line.cause.reason,
        "custom_details": details(notice),
    }
    return fitted({**head, "payload": payload, "links": links(line, settings), "client": "monitor"})


def fitted(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event that fits: details that make it too big are replaced by a note that says so.

    >>> big = {"payload": {"summary": "s", "custom_details": {"firing": "a" * 513_000}}}
    >>> len(msgspec.json.encode(fitted({**big, "links": ["b" * 12_000]}))) < EVENT_MOST
    True
    """
    if size(event) <= EVENT_MOST - KEY_ROOM:
        return event
    smaller = {**event, "payload": {**event["payload"], "custom_details": REMOVED}}
    if size(smaller) > EVENT_MOST - KEY_ROOM:
        smaller.pop("links", None)
    return smaller


def size(event: dict[str, Any]) -> int:
    """Return the length of an event as JSON in UTF-8, bytes."""
    return len(msgspec.json.encode(event))
