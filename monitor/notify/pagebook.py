"""Pages and how incidents stand: a line of the incidents output becomes events for channels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from monitor.notify import intake
from monitor.notify.lanes import Lanes
from monitor.notify.records import SPEAKS, Action, Event, Page, PageKey, Standing
from monitor.reasons import Outcome, SendReason
from monitor.types import Severity

if TYPE_CHECKING:
    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Status
    from monitor.types import Incident


@dataclass(slots=True)
class Changes:
    """The records that a step changed, to be written in one transaction."""

    events: dict[int, Event] = field(default_factory=dict)
    pages: dict[PageKey, Page] = field(default_factory=dict)
    standings: dict[tuple[str, int], Standing] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.events or self.pages or self.standings)


class PageBook:
    """What each channel was told or will be, the unfinished events, and how incidents stand."""

    def __init__(self, settings: NotifySettings, channels: tuple[str, ...]) -> None:
        self._settings, self._channels = settings, channels
        self.seq = 0
        self.lanes = Lanes()
        self.pages: dict[PageKey, Page] = {}
        self.standings: dict[tuple[str, int], Standing] = {}

    def take(self, line: Incident, now: int) -> Changes:
        """Take a line of the incidents output; queue what it asks of each channel."""
        changes = Changes()
        raw = intake.encode(line)
        key = (line.id, line.episode)
        standing = intake.follow(self.standings.get(key), line, raw)
        if standing is None:
            return changes
        self.standings[key] = changes.standings[key] = standing
        routed = intake.channels_for(line, self._settings.routes, self._channels)
        for channel in self._channels:
            self._ask(PageKey(channel, *key), line, raw, now, changes, routed=channel in routed)
        self._release(line.id, now, changes)
        return changes

    def _ask(
        self, key: PageKey, line: Incident, raw: bytes, now: int, changes: Changes, *, routed: bool
    ) -> None:
        page = self.pages.get(key)
        if line.state == "merged":
            if page is not None and page.open:
                page.into = line.merged_into or ""
                changes.pages[key] = page
            return
        action, _ = intake.asked_of(line, page, self._settings, now, routed=routed)
        if page is not None and page.open and line.state == "resolved":
            self._end(page, raw, line.updated_at, now, changes)
        elif action is not None:
            if page is None or not page.open:
                reached = page is not None and page.reached
                page = self.pages[key] = Page(*key, reached=reached)
            self._tell(page, line, action, now, changes)
            self.queue(page, action, raw, line.updated_at, now, changes)

    def _tell(self, page: Page, line: Incident, action: Action, now: int, changes: Changes) -> None:
        """Write down what a page says from now on."""
        page.told_at = now
        changes.pages[page.key] = page
        if action is Action.ACKNOWLEDGE:
            page.acknowledged = True
            return
        said = intake.facts(line)
        page.gone = tuple(sorted(set(page.firing) - said))
        page.firing = tuple(sorted(said))

    def queue(
        self, page: Page, action: Action, raw: bytes, decided_at: int, now: int, changes: Changes
    ) -> None:
        """Queue an event; news of what was not sent yet at all goes into that event."""
        last = self.lanes.last(page.channel, page.incident)
        unsent = last is not None and last.page == page.key and not last.attempts
        if last is not None and unsent and action is Action.UPDATE and last.action in SPEAKS:
            last.line, last.decided_at = raw, decided_at
            last.severity = _severity(raw)
            changes.events[last.seq] = last
            return
        if last is not None and unsent and action is Action.RESOLVE and last.action is Action.UPDATE:
            self.finish(last, "held", SendReason.OUTDATED, "", now, changes)
        self.seq += 1
        event = Event(
            seq=self.seq,
            channel=page.channel,
            incident=page.incident,
            episode=page.episode,
            action=action,
            severity=_severity(raw),
            line=raw,
            decided_at=decided_at,
            taken_at=now,
        )
        self.lanes.add(event)
        changes.events[event.seq] = event

    def _end(self, page: Page, raw: bytes, decided_at: int, now: int, changes: Changes) -> None:
        page.open, page.told_at = False, now
        page.gone, page.firing = page.firing, ()
        changes.pages[page.key] = page
        if self._settings.send_resolved:
            self.queue(page, Action.RESOLVE, raw, decided_at, now, changes)

    def say_again(self, event: Event, now: int, changes: Changes) -> None:
        """Queue what stands in for a refused event."""
        standing, page = self.standings.get((event.incident, event.episode)), self.pages.get(event.page)
        if standing is None or page is None:
            return
        stands = standing.state in {"open", "acknowledged"}
        if event.action not in SPEAKS:
            if page.reached:
                self.queue(page, event.action, standing.line, standing.updated_at, now, changes)
        elif stands and (page.reached or not page.open):
            action = Action.UPDATE if page.open else Action.TRIGGER
            page.open, page.told_at = True, now
            changes.pages[page.key] = page
            self.queue(page, action, standing.line, standing.updated_at, now, changes)

    def _release(self, incident: str, now: int, changes: Changes) -> None:
        """End the pages of merged incidents once what swallowed them is paged, over or unknown.

        Until then the page of the merged one is the only call for the fault.
        """
        for page in [p for p in self.pages.values() if p.open and p.into]:
            if incident not in {page.into, page.incident}:
                continue
            winner = self._winner(page, changes)
            if winner is not None and winner.state != "resolved":
                there = self.pages.get(PageKey(page.channel, winner.incident, winner.episode))
                if there is None or not there.open:
                    continue
            loser = self.standings[page.incident, page.episode]
            self._end(page, loser.line, loser.updated_at, now, changes)

    def _winner(self, page: Page, changes: Changes) -> Standing | None:
        """Return how the incident stands that swallowed a page's, and what swallowed that one, to the end."""
        winner, passed = self._latest(page.into), {page.incident}
        while winner is not None and winner.merged_into and winner.incident not in passed:
            passed.add(winner.incident)
            page.into = winner.merged_into
            changes.pages[page.key] = page
            winner = self._latest(page.into)
        return winner

    def _latest(self, incident: str) -> Standing | None:
        found = [s for (name, _), s in self.standings.items() if name == incident]
        return max(found, key=lambda s: s.episode, default=None)

    def finish(
        self,
        event: Event,
        status: Status,
        reason: SendReason | Outcome,
        detail: str,
        now: int,
        changes: Changes,
    ) -> None:
        """Bring an event to its end."""
        event.status = status
        event.reason, event.detail, event.finished_at = reason, detail, now
        self.lanes.remove(event)
        changes.events[event.seq] = event


class _Severity(msgspec.Struct):
    severity: Severity


_severities = msgspec.json.Decoder(_Severity)


def _severity(raw: bytes) -> Severity:
    return _severities.decode(raw).severity
