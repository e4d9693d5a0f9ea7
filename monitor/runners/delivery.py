"""Delivery: incident lines into the outbox, events out of it, one thread for each channel.

A channel that is slow or down holds up no other one, and never whoever gives lines. Each step is durable
before its effect, so a kill at any moment loses nothing; an event whose reply was lost is sent again, under
the same key.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from monitor.errors import WorkError
from monitor.notify.records import Action, Answer, Notice
from monitor.reasons import Outcome
from monitor.types import Affected, Cause, Incident
from monitor.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from monitor.adapters.outbox import DurableOutbox
    from monitor.notify.records import Channel, Event

LOG = logging.getLogger("monitor.delivery")

LONGEST_SLEEP_S = 1.0
"""How long a channel sleeps at most before it looks at the clock again, which people may set."""

AFTER_ERROR_S = 5.0


def wall_clock() -> int:
    """Return the time, ms since the epoch."""
    return time.time_ns() // 1_000_000


class Delivery:
    """Sends what an outbox holds through channels.

    `clock` says what time it is, in ms since the epoch: the wall clock, unless what is shown is the past.
    `watch` is told of each event that an attempt was made for.
    """

    def __init__(
        self,
        outbox: DurableOutbox,
        channels: Mapping[str, Channel],
        clock: Callable[[], int] = wall_clock,
        watch: Callable[[Event], None] | None = None,
    ) -> None:
        self._outbox, self._channels, self._clock = outbox, dict(channels), clock
        self._watch = watch
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._forgot_at = 0
        self.problem = ""
        """Why nothing can be delivered now, "" where it can."""

    def start(self) -> None:
        """Begin to send."""
        if not self._channels:
            LOG.warning("no channel is set: incidents are recorded and nobody is paged")
        if lost := self._outbox.pending() - self.pending():
            LOG.warning("%d events wait for channels that are not set any more", lost)
        for name in self._channels:
            thread = threading.Thread(target=self._run, args=(name,), name=f"deliver-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take(self, lines: Iterable[Incident]) -> int:
        """Take lines of the incidents output; they are durable when this returns. Returns how many were new.

        Raises WorkError where the outbox cannot be written; the same lines can then be given again.
        """
        with self._changed:
            now = self._clock()
            count = self._outbox.take(lines, now)
            self._changed.notify_all()
            if now - self._forgot_at >= HOUR:
                self._forgot_at = now
                self._outbox.forget(now)
        return count

    def deliver_due(self, channel: str) -> int | None:
        """Make one attempt if one is due. Return when to look again in ms: 0 at once, None nothing waits."""
        with self._changed:
            now = self._clock()
            following = self._outbox.next_event(channel, now)
        if following.notice is None:
            return None if following.wake_at is None else max(1, following.wake_at - now)
        answer = self._send(channel, following.notice)
        with self._changed:
            event = self._outbox.settle(following.seq, answer, self._clock())
            self._changed.notify_all()
        self._tell(event)
        return 0

    def deliver_all(self) -> None:
        """Send all that is due now, on this thread; what waits for its next attempt keeps waiting."""
        for channel in self._channels:
            while self.deliver_due(channel) == 0:
                pass

    def drain(self, timeout_s: float) -> bool:
        """Wait until every event of the channels is at its end; return whether that came about in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.pending(), timeout_s)

    def pending(self) -> int:
        """Return how many events are not at their end."""
        return sum(self._outbox.pending(name) for name in self._channels)

    def stop(self, timeout_s: float = 15.0) -> bool:
        """Stop after the attempts that are being made; return whether they ended in time.

        What is left in the outbox is sent after the next start. One that did not end in time is sent again.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, channel: str) -> None:
        while not self._stopping:
            try:
                wait = self.deliver_due(channel)
                self.problem = ""
            except WorkError as error:
                LOG.error("channel=%s %s", channel, error)  # noqa: TRY400 - the trace says nothing more
                wait = int(AFTER_ERROR_S * 1000)
                self.problem = str(error)
            if wait != 0:
                with self._changed:
                    if not self._stopping:
                        self._changed.wait(
                            LONGEST_SLEEP_S if wait is None else min(wait / 1000, LONGEST_SLEEP_S)
                        )

    def _send(self, channel: str, notice: Notice) -> Answer:
        """Send; what no channel should raise ends that event, not the thread. Its text may hold anything."""
        try:
            return self._channels[channel].send(notice)
        except Exception as error:  # noqa: BLE001 - the next page must not wait for a mistake in this one
            return Answer(Outcome.UNSENDABLE, type(error).__name__)

    def _tell(self, event: Event) -> None:
        level = {"sent": logging.INFO, "dead": logging.ERROR}.get(event.status, logging.WARNING)
        LOG.log(
            level,
            "channel=%s incident=%s episode=%d event=%d action=%s status=%s reason=%s attempts=%d detail=%s",
            event.channel,
            event.incident,
            event.episode,
            event.seq,
            event.action.value,
            event.status,
            event.reason,
            event.attempts,
            event.detail,
        )
        if self._watch is not None:
            self._watch(event)


def try_channels(channels: Mapping[str, Channel], now: int) -> dict[str, Answer]:
    """Send a test page and its end through each channel; return the last answers."""
    answers = {}
    for name, channel in channels.items():
        for action in (Action.TRIGGER, Action.RESOLVE):
            notice = Notice(
                f"{name}-test-{now}-{action.value}", action, f"monitor-test-{now}", _test_line(now), now
            )
            answers[name] = channel.send(notice)
            if answers[name].outcome is not Outcome.OK:
                break
    return answers


def _test_line(now: int) -> Incident:
    return Incident(
        id="test",
        episode=1,
        state="open",
        severity="warning",
        class_="infrastructure",
        scope="service",
        opened_at=now,
        detected_at=now,
        paged_at=now,
        updated_at=now,
        resolved_at=None,
        cause=Cause("service:monitor", "test_page", 1.0, "A test of the way to the pager. Nothing is wrong."),
        candidates=(),
        affected=Affected(0, {}, ()),
        anomalies=0,
        signals=(),
        changes=(),
        owner="",
        runbook="",
        first_query="",
        pages=1,
        merged_into=None,
        cost_impact_usd=None,
        transition="paged",
    )
