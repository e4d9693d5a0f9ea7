"""What an answer means, whether to try again, and when."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from monitor.reasons import Outcome

if TYPE_CHECKING:
    from monitor.config.notify import NotifySettings

RETRIED = frozenset(
    {Outcome.RATE_LIMITED, Outcome.TIMEOUT, Outcome.TEMPORARY, Outcome.UNREACHABLE, Outcome.NO_REPLY}
)
"""Outcomes after which the same event is sent again."""

DOUBTFUL = frozenset({Outcome.TIMEOUT, Outcome.TEMPORARY, Outcome.NO_REPLY})
"""Outcomes after which the receiver may have the event all the same."""

JITTER = 0.25
"""Share of a wait that differs from event to event, so that they do not all come back at once."""


def outcome_of(status: int) -> Outcome:
    """Return what an HTTP status means.

    408 is the server's own timeout: the event did not arrive whole, and a dedup key makes a second one
    harmless. A redirect is no answer of an events API: somebody else lives at that address.

    >>> [outcome_of(status).value for status in (202, 400, 404, 408, 429, 503, 301)]
    ['ok', 'bad_request', 'not_found', 'timeout', 'rate_limited', 'temporary', 'permanent']
    """
    if 200 <= status < 300:
        return Outcome.OK
    if status >= 500:
        return Outcome.TEMPORARY
    named = {
        400: Outcome.BAD_REQUEST,
        404: Outcome.NOT_FOUND,
        408: Outcome.TIMEOUT,
        429: Outcome.RATE_LIMITED,
    }
    return named.get(status, Outcome.PERMANENT)


def wait_ms(
    outcome: Outcome, attempts: int, seed: str, settings: NotifySettings, asked_ms: int | None = None
) -> int:
    """Return how long to wait before the next attempt, ms.

    first x 2^(attempts - 1), at most the longest wait, and of that the last JITTER by a hash of `seed`; what
    the receiver asked for is the least, as far as the longest wait allows.

    >>> from monitor.config.notify import NotifySettings
    >>> waits = [wait_ms(Outcome.TEMPORARY, n, "pd:1", NotifySettings()) for n in range(1, 9)]
    >>> [round(w / 1000) for w in waits]
    [4, 9, 20, 31, 69, 155, 299, 229]
    """
    first = settings.throttled_first_ms if outcome is Outcome.RATE_LIMITED else settings.retry_first_ms
    whole = min(first << min(attempts - 1, 32), settings.retry_longest_ms)
    digest = blake2b(f"{seed}|{attempts}".encode(), digest_size=4).digest()
    share = int.from_bytes(digest, "big") / 2**32
    waited = round(whole * (1 - JITTER * share))
    return max(waited, min(asked_ms or 0, settings.retry_longest_ms))
