"""A signed JSON body for receivers of the operator's own, and how a receiver checks it.

The signature is HMAC-SHA256 over `<timestamp>.<body>`, keyed by the secret, in hex:

    X-Monitor-Timestamp: 1795500000
    X-Monitor-Signature: v1=6f1e...
    X-Monitor-Delivery: ops-17

The timestamp is the sender's clock in seconds; the delivery id is the same for each attempt, so that a
receiver can tell a repetition. During a change of secrets the header may hold several signatures, split by
commas.
"""

from __future__ import annotations

import hmac
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from monitor.notify.words import links, summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Notice

TIMESTAMP = "X-Monitor-Timestamp"
SIGNATURE = "X-Monitor-Signature"
DELIVERY = "X-Monitor-Delivery"

TOLERANCE_S = 300
"""How old a signature may be, so that a recorded request is worth nothing later."""


class Check(StrEnum):
    """What a receiver makes of a signature."""

    GOOD = "good"
    OLD = "too_old_or_from_the_future"
    MALFORMED = "malformed"
    WRONG = "wrong_signature"


def body(notice: Notice, settings: NotifySettings) -> bytes:
    """Return the body: what happened, the key of the page, and the whole incident as its record stands."""
    told = {
        "version": 1,
        "event": notice.action.value,
        "dedup_key": notice.dedup_key,
        "summary": summary(notice),
        "late_ms": notice.late_ms,
        "repeat": notice.repeat,
        "links": links(notice.incident, settings),
        "incident": notice.incident,
    }
    return msgspec.json.encode(told)


def sign(secret: bytes, timestamp: int, sent: bytes) -> str:
    """Return the signature of a body; timestamp in seconds.

    >>> sign(b"secret", 1_795_500_000, b"{}")[:11]
    'v1=3937a5f5'
    """
    return "v1=" + hmac.new(secret, f"{timestamp}.".encode() + sent, sha256).hexdigest()


def headers(secret: bytes, notice: Notice, sent: bytes) -> dict[str, str]:
    """Return the headers that go with a body."""
    timestamp = notice.at // 1000
    return {
        "Content-Type": "application/json",
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secret, timestamp, sent),
        DELIVERY: notice.id,
    }


def verify(secrets: Iterable[bytes], timestamp: str, sent: bytes, signatures: str, now: int) -> Check:
    """Check a request, in constant time for each secret; now in seconds.

    >>> header = sign(b"new", 1_795_500_000, b"{}")
    >>> verify([b"old", b"new"], "1795500000", b"{}", f"v1=00,{header}", 1_795_500_030).value
    'good'
    """
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16 and signatures.isascii()):
        return Check.MALFORMED
    given = [part.strip() for part in signatures.split(",")]
    right = [
        hmac.compare_digest(sign(secret, int(timestamp), sent), one) for secret in secrets for one in given
    ]
    if not any(right):
        return Check.WRONG
    return Check.GOOD if abs(now - int(timestamp)) <= TOLERANCE_S else Check.OLD
