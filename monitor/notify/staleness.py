"""Whether an event may still be sent as it is: the wall clock against the event time of its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from monitor.notify.records import SPEAKS
from monitor.reasons import SendReason

if TYPE_CHECKING:
    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Event


class Verdict(NamedTuple):
    """What becomes of an event now: `until` is when to ask again, `late_ms` the age of late evidence."""

    reason: SendReason
    late_ms: int = 0
    until: int = 0

    @property
    def holds(self) -> bool:
        """Whether it is never sent."""
        return self.reason in {SendReason.OVER, SendReason.NEVER_REACHED}


def judge(event: Event, now: int, settings: NotifySettings, *, over: bool, reached: bool) -> Verdict:
    """Judge an event. over: its incident has ended since. reached: the channel has, or may have, a trigger.

    Fresh evidence goes out even where the incident has ended meanwhile: its end follows. Stale evidence waits
    late_wait_ms for later lines, since a process that catches up reads them next; is held if the incident
    is over; and else is sent with its age on it.
    """
    if event.action not in SPEAKS:
        return Verdict(SendReason.FRESH if reached else SendReason.NEVER_REACHED)
    age = now - event.decided_at
    if age <= settings.stale_ms:
        return Verdict(SendReason.FRESH)
    if over:
        return Verdict(SendReason.OVER, age)
    if now < event.taken_at + settings.late_wait_ms:
        return Verdict(SendReason.MAY_BE_OVER, age, event.taken_at + settings.late_wait_ms)
    return Verdict(SendReason.LATE, age)
