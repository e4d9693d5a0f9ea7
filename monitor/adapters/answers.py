"""HTTP responses and failures as answers of a channel, without any key in them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx2
import msgspec

from monitor.notify.outcomes import outcome_of
from monitor.notify.records import Answer
from monitor.reasons import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

DETAIL_MOST = 300

_NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)


def answer_of(response: httpx2.Response, secrets: Iterable[str]) -> Answer:
    """Return what a response means, with the receiver's own words about it."""
    outcome = outcome_of(response.status_code)
    words = "" if outcome is Outcome.OK else _words(response)
    detail = redacted(f"{response.status_code} {words}".strip(), secrets)
    return Answer(outcome, detail, _retry_after_ms(response.headers.get("retry-after", "")))


def failure_of(error: BaseException | None) -> Answer:
    """Return what a failure of the network means. Its text is not kept: addresses may hold secrets."""
    name = type(error).__name__
    if isinstance(error, _NOT_CONNECTED):
        return Answer(Outcome.UNREACHABLE, name)
    if isinstance(error, httpx2.TimeoutException):
        return Answer(Outcome.TIMEOUT, name)
    return Answer(Outcome.NO_REPLY, name)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the keys in it, on one line, not too long."""
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean if len(clean) <= DETAIL_MOST else clean[: DETAIL_MOST - 3] + "..."


def hush() -> None:
    """Keep the HTTP library from logging addresses, which it does at INFO: one may hold a secret."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)


class _Refusal(msgspec.Struct):
    message: str = ""
    errors: list[str] = []


def _words(response: httpx2.Response) -> str:
    """Return what the receiver says is wrong: `message` and `errors` where it speaks as PagerDuty does."""
    try:
        refusal = msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.MsgspecError:
        return response.content[: 4 * DETAIL_MOST].decode("utf-8", "replace")
    return ": ".join([part for part in (refusal.message, "; ".join(refusal.errors)) if part])


def _retry_after_ms(header: str) -> int | None:
    return int(header) * 1000 if header.isascii() and header.isdigit() and len(header) < 8 else None
