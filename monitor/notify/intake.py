"""What a line of the incidents output asks of a channel: pure decisions that return their reason."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from monitor.notify.records import Action, Standing
from monitor.reasons import TellReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config.notify import NotifySettings, Route
    from monitor.notify.records import Page
    from monitor.types import Incident

NOTIFIES = frozenset(
    {TellReason.FIRST, TellReason.MORE, TellReason.ENDED, TellReason.PART_ENDED, TellReason.REPEATED}
)


class Told(NamedTuple):
    """What was said about a page: what holds, and what has ended."""

    firing: frozenset[str]
    gone: frozenset[str]


def update_reason(
    before: Told | None,
    firing: frozenset[str],
    gone: frozenset[str],
    age_ms: int,
    repeat_ms: int,
    *,
    send_resolved: bool,
) -> TellReason:
    """Say whether a receiver that was told `before`, `age_ms` ago, is told again, and why.

    It is told what holds and was not said; that all of it has ended; with send_resolved also that a part
    has; and after repeat_ms (0: never again) the same once more. Without `before` only what holds counts.

    >>> said = Told(frozenset("ab"), frozenset())
    >>> update_reason(said, frozenset("a"), frozenset("b"), 0, 0, send_resolved=False).value
    'nothing_new'
    >>> update_reason(said, frozenset(), frozenset("ab"), 0, 0, send_resolved=False).value
    'resolved'
    """
    if before is None:
        return TellReason.FIRST if firing else TellReason.NOT_PAGED
    if not firing <= before.firing:
        return TellReason.MORE
    if not firing:
        return TellReason.ENDED if before.firing else TellReason.NOTHING_NEW
    if send_resolved and not gone <= before.gone:
        return TellReason.PART_ENDED
    if repeat_ms > 0 and age_ms > repeat_ms:
        return TellReason.REPEATED
    return TellReason.NOTHING_NEW


def facts(line: Incident) -> frozenset[str]:
    """Return what a page says that is worth telling again when it changes; confidence alone is not."""
    said = [
        f"cause {line.cause.entity} {line.cause.reason}",
        f"severity {line.severity}",
        f"owner {line.owner}",
        f"pages {line.pages}",
        f"affected {line.affected.count}",
        *line.affected.entities,
        *line.changes,
    ]
    return frozenset(said)


def calls(line: Incident) -> bool:
    """Tell whether an incident is for people at all.

    One that paged is, and one that makes a ticket (severity `warning`). One of a higher severity that has not
    paged waits, is muted or in maintenance; `info` is only recorded.
    """
    return line.pages > 0 or line.severity == "warning"


def channels_for(line: Incident, routes: Sequence[Route], every: Sequence[str]) -> tuple[str, ...]:
    """Return the channels of the first route that fits; without any routes, all of them for pages."""
    if not routes:
        return tuple(every) if line.severity in {"critical", "error"} else ()
    for route in routes:
        fits = (
            line.severity in route.severities
            and (not route.owners or line.owner in route.owners)
            and (not route.classes or line.class_ in route.classes)
        )
        if fits:
            return route.to
    return ()


def asked_of(
    line: Incident, page: Page | None, settings: NotifySettings, now: int, *, routed: bool
) -> tuple[Action | None, TellReason]:
    """Return what a line asks of one channel, None for nothing, and why. Merges are not asked here."""
    if page is None or not page.open:
        called = line.state == "open" or line.transition == "paged"
        if routed and called and calls(line):
            return Action.TRIGGER, TellReason.FIRST
        return None, TellReason.NOT_PAGED
    if line.state not in {"open", "acknowledged"}:
        return (Action.RESOLVE if settings.send_resolved else None), TellReason.ENDED
    if line.transition == "acknowledged" and not page.acknowledged:
        return Action.ACKNOWLEDGE, TellReason.MORE
    firing = facts(line)
    told = Told(frozenset(page.firing), frozenset(page.gone))
    reason = update_reason(told, firing, told.firing - firing, now - page.told_at, 0, send_resolved=False)
    return (Action.UPDATE if reason in NOTIFIES else None), reason


def digest(raw: bytes) -> str:
    """Return what a line is recognised by."""
    return blake2b(raw, digest_size=8).hexdigest()


def follow(standing: Standing | None, line: Incident, raw: bytes) -> Standing | None:
    """Return how an episode stands after a line; None where the line was taken before.

    Lines of one episode come in event time; several of one time are told apart by their content.
    """
    mark = digest(raw)
    seen: tuple[str, ...] = (mark,)
    if standing is not None:
        if line.updated_at < standing.updated_at:
            return None
        if line.updated_at == standing.updated_at:
            if mark in standing.seen:
                return None
            seen = (*standing.seen, mark)
    into = line.merged_into or ""
    return Standing(line.id, line.episode, line.state, line.updated_at, seen, raw, into)


def encode(line: Incident) -> bytes:
    """Return a line as the outbox keeps it."""
    return msgspec.json.encode(line)
