"""What the outbox keeps, and what crosses its border. Times of the wall clock are ms since the epoch."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

import msgspec

from monitor.reasons import Outcome
from monitor.types import Incident, Severity

Status = Literal["pending", "sending", "sent", "dead", "held"]


class Action(StrEnum):
    """What an event asks of a channel. The first three are triggers on PagerDuty's wire."""

    TRIGGER = "trigger"
    UPDATE = "update"
    REPEAT = "repeat"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


SPEAKS = frozenset({Action.TRIGGER, Action.UPDATE, Action.REPEAT})
"""Actions that say what is wrong; the others only move a page that is there."""


class PageKey(NamedTuple):
    """One episode of an incident, as one channel knows it."""

    channel: str
    incident: str
    episode: int


class Event(msgspec.Struct):
    """One entry of the outbox.

    seq: its place in order. line: the incident's line, as JSON. decided_at: the event time of that line.
    taken_at: when it came in. attempts: how often it was sent, or may have been. not_before: when the next
    attempt is due. reason, detail: of the last outcome or decision. finished_at: when it was sent, held or
    given up. late_ms: how old its evidence was when it was last sent, where that was late.
    """

    seq: int
    channel: str
    incident: str
    episode: int
    action: Action
    severity: Severity
    line: bytes
    decided_at: int
    taken_at: int
    status: Status = "pending"
    attempts: int = 0
    not_before: int = 0
    reason: str = ""
    detail: str = ""
    finished_at: int | None = None
    late_ms: int = 0

    @property
    def page(self) -> PageKey:
        """Which page it belongs to."""
        return PageKey(self.channel, self.incident, self.episode)

    @property
    def lane(self) -> tuple[str, str]:
        """What keeps its order: a channel and an incident."""
        return self.channel, self.incident


class Page(msgspec.Struct):
    """What a channel was told about an episode, or will be.

    open: a trigger was queued and no end yet. reached: the channel took a trigger, or may have.
    firing, gone: what was said to hold, and what ended with the last word. told_at: when something was last
    queued. into: the incident that swallowed it.
    """

    channel: str
    incident: str
    episode: int
    open: bool = True
    reached: bool = False
    acknowledged: bool = False
    firing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    told_at: int = 0
    repeats: int = 0
    into: str = ""

    @property
    def key(self) -> PageKey:
        """Which page it is."""
        return PageKey(self.channel, self.incident, self.episode)


class Standing(msgspec.Struct):
    """How an episode stood at its last line: what makes taking a line twice harmless.

    seen: digests of the lines of event time `updated_at`. merged_into: "" for none.
    """

    incident: str
    episode: int
    state: str
    updated_at: int
    seen: tuple[str, ...]
    line: bytes
    merged_into: str = ""


class Notice(msgspec.Struct, frozen=True):
    """One event on its way to a channel.

    id: the same for each attempt. dedup_key: the same for all events of an episode. late_ms: age of the
    evidence where it is late, else 0. repeat: how often it was repeated. at: the wall clock, ms.
    """

    id: str
    action: Action
    dedup_key: str
    incident: Incident
    at: int
    late_ms: int = 0
    repeat: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What a channel made of a notice. `detail` holds no key. retry_after_ms: what the receiver asked for."""

    outcome: Outcome
    detail: str = ""
    retry_after_ms: int | None = None


class Channel(Protocol):
    """A way to a person. It answers for every failure that a network can have and raises nothing for them."""

    def send(self, notice: Notice) -> Answer:
        """Send one notice; block until it is answered or the attempt timed out."""
        ...


def dedup_key(incident: str, episode: int) -> str:
    """Return what makes all events of an episode one alert at the receiver: at most 255 characters.

    >>> dedup_key("b7a37938f05d79e8", 2)
    'monitor-b7a37938f05d79e8-2'
    """
    return f"monitor-{incident}-{episode}"
