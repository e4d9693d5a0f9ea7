"""The outbox as a state machine: lines in, events out one at a time, outcomes back.

Nothing here is durable. Each step returns the records that it changed (`Changes`); whoever drives it writes
them down before acting on them (monitor/adapters/outbox.py). What holds whatever happens:

- every event ends as sent, dead (refused for good) or held (never sent, with a reason);
- events of one incident to one channel leave in order: the next one not before the last one ended;
- an incident that waits for its next attempt holds up no other one;
- a line that is taken twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from monitor.notify import intake
from monitor.notify.bucket import Bucket
from monitor.notify.outcomes import DOUBTFUL, RETRIED, wait_ms
from monitor.notify.pagebook import Changes, PageBook
from monitor.notify.records import SPEAKS, Action, Notice, dedup_key
from monitor.notify.staleness import judge
from monitor.reasons import Outcome, SendReason
from monitor.types import Incident

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Answer, Event, Page, PageKey, Standing


@dataclass(frozen=True, slots=True)
class Next:
    """What a channel does next: send `notice` (of event `seq`), or ask again at `wake_at`, if at all."""

    changes: Changes
    seq: int = 0
    notice: Notice | None = None
    wake_at: int | None = None


class Outbox:
    """What is to be sent through `channels`, what was said, and how incidents stand."""

    def __init__(self, settings: NotifySettings, channels: Iterable[str]) -> None:
        self._settings = settings
        self._channels = tuple(channels)
        self._book = PageBook(settings, self._channels)
        self._buckets = {name: Bucket(settings.per_minute, settings.burst) for name in self._channels}
        self._paused: dict[str, int] = {}

    def restore(
        self,
        events: Iterable[Event],
        pages: Iterable[Page],
        standings: Iterable[Standing],
        seq: int,
    ) -> Changes:
        """Take over what was written down: unfinished events in order, pages, standings, the last number.

        What was being sent when the process ended may have arrived: it is sent again, under the same key.
        """
        changes = Changes()
        self._book.seq = seq
        self._book.pages = {page.key: page for page in pages}
        self._book.standings = {(s.incident, s.episode): s for s in standings}
        for event in events:
            if event.status == "sending":
                event.status = "pending"
                self._reached(event, changes)
                changes.events[event.seq] = event
            self._book.lanes.add(event)
        return changes

    def spent(self, channel: str, count: int, now: int) -> None:
        """Say how many events left through a channel in the last 60 s, before this process."""
        if channel in self._buckets:
            self._buckets[channel].spent(count, now)

    def pending(self, channel: str | None = None) -> int:
        """Return how many events are not at their end."""
        return self._book.lanes.count(channel)

    def take(self, line: Incident, now: int) -> Changes:
        """Take a line of the incidents output; queue what it asks of each channel."""
        return self._book.take(line, now)

    def next_event(self, channel: str, now: int) -> Next:
        """Return what a channel sends next, marked as being sent: write that down, then send it."""
        changes = Changes()
        self._repeat(channel, now, changes)
        wake: list[int] = []
        ready = self._ready(channel, now, changes, wake)
        paused = self._paused.get(channel, 0)
        if now < paused <= now + self._settings.retry_longest_ms:
            return Next(changes, wake_at=min([paused, *wake]))
        if not ready:
            return Next(changes, wake_at=min(wake, default=None))
        if not self._buckets[channel].take(now):
            return Next(changes, wake_at=now + self._buckets[channel].wait_ms(now))
        event = min(ready, key=_urgency)
        event.status = "sending"
        event.attempts += 1
        event.reason = SendReason.LATE if event.late_ms else SendReason.FRESH
        event.not_before = now
        changes.events[event.seq] = event
        return Next(changes, event.seq, self._notice(event, now))

    def _ready(self, channel: str, now: int, changes: Changes, wake: list[int]) -> list[Event]:
        """Return the first events of all incidents that may be sent now; hold what must not be sent."""
        ready = []
        for lane in self._book.lanes.of(channel):
            while (event := self._book.lanes.head(lane)) is not None:
                page = self._book.pages.get(event.page)
                over, reached = page is None or not page.open, page is not None and page.reached
                verdict = judge(event, now, self._settings, over=over, reached=reached)
                if not verdict.holds:
                    due = event.not_before if event.attempts else 0
                    due = 0 if due > now + self._settings.retry_longest_ms else max(due, verdict.until)
                    event.late_ms = verdict.late_ms if verdict.reason is SendReason.LATE else 0
                    ready += [event] if due <= now else []
                    wake += [due] if due > now else []
                    break
                self._book.finish(event, "held", verdict.reason, f"{verdict.late_ms} ms old", now, changes)
        return ready

    def _notice(self, event: Event, now: int) -> Notice:
        page = self._book.pages[event.page]
        return Notice(
            id=f"{event.channel}-{event.seq}",
            action=event.action,
            dedup_key=dedup_key(event.incident, event.episode),
            incident=msgspec.json.decode(event.line, type=Incident),
            at=now,
            late_ms=event.late_ms,
            repeat=page.repeats if event.action is Action.REPEAT else 0,
        )

    def _repeat(self, channel: str, now: int, changes: Changes) -> None:
        """Queue repeats of pages that nobody acknowledged."""
        every = self._settings.repeat_ms
        for page in self._book.pages.values() if every else ():
            if page.channel != channel or not page.open or not page.reached or page.acknowledged:
                continue
            said = intake.Told(frozenset(page.firing), frozenset(page.gone))
            age = now - page.told_at
            reason = intake.update_reason(said, said.firing, said.gone, age, every, send_resolved=False)
            if reason in intake.NOTIFIES and self._book.lanes.last(channel, page.incident) is None:
                page.repeats += 1
                page.told_at = now
                changes.pages[page.key] = page
                line = self._book.standings[page.incident, page.episode]
                # What repeats is still so: the evidence is as old as the pipeline's word that it stands.
                self._book.queue(page, Action.REPEAT, line.line, now, now, changes)

    def settle(self, seq: int, answer: Answer, now: int) -> Changes:
        """Take the outcome of an attempt: done, to be tried again, or refused for good."""
        changes = Changes()
        event = self._book.lanes.get(seq)
        outcome = answer.outcome
        event.reason, event.detail = outcome, answer.detail
        changes.events[seq] = event
        if outcome in DOUBTFUL or outcome is Outcome.OK:
            self._reached(event, changes)
        if outcome is Outcome.OK:
            self._book.finish(event, "sent", outcome, answer.detail, now, changes)
        elif outcome in RETRIED:
            event.status = "pending"
            wait = wait_ms(
                outcome, event.attempts, f"{event.channel}:{seq}", self._settings, answer.retry_after_ms
            )
            event.not_before = now + wait
            if outcome is Outcome.RATE_LIMITED:
                self._paused[event.channel] = event.not_before
        else:
            self._book.finish(event, "dead", outcome, answer.detail, now, changes)
            self._refused(event, changes)
        return changes

    def revive(self, dead: Iterable[Event], now: int) -> Changes:
        """Say again what was refused, once what was wrong is mended: as it stands now, as new events.

        A page is not said again where its incident is over, nor an end that nobody would understand.
        """
        changes = Changes()
        for event in dead:
            event.status, event.reason, event.finished_at = "held", SendReason.OUTDATED, now
            changes.events[event.seq] = event
            self._book.say_again(event, now, changes)
        return changes

    def _refused(self, event: Event, changes: Changes) -> None:
        """Let the next line page anew where a trigger was refused and nothing behind it can stand for it."""
        page = self._book.pages.get(event.page)
        behind = self._book.lanes.events_of(event.lane)
        takes_over = any(e.page == event.page and e.action in SPEAKS for e in behind)
        if page is not None and page.open and not page.reached and not takes_over:
            page.open = False
            changes.pages[page.key] = page

    def _reached(self, event: Event, changes: Changes) -> None:
        page = self._book.pages.get(event.page)
        if page is not None and event.action in SPEAKS and not page.reached:
            page.reached = True
            changes.pages[page.key] = page

    def forget(self, now: int) -> tuple[list[PageKey], list[tuple[str, int]]]:
        """Drop what ended more than keep_ms ago; return the keys, for the storage to do the same."""
        before = now - self._settings.keep_ms
        pages = [k for k, p in self._book.pages.items() if not p.open and p.told_at < before]
        kept = {(k.incident, k.episode) for k in self._book.pages.keys() - set(pages)}
        ended = [
            k
            for k, s in self._book.standings.items()
            if s.updated_at < before and k not in kept and s.state != "open"
        ]
        for key in pages:
            del self._book.pages[key]
        for episode in ended:
            del self._book.standings[episode]
        return pages, ended


_RANK = {Action.TRIGGER: 1, Action.RESOLVE: 1, Action.ACKNOWLEDGE: 1, Action.UPDATE: 2, Action.REPEAT: 3}


def _urgency(event: Event) -> tuple[int, int]:
    """Return what goes first: critical triggers, other triggers and ends, news, repeats; then by age."""
    critical = event.action is Action.TRIGGER and event.severity == "critical"
    return (0 if critical else _RANK[event.action]), event.seq
