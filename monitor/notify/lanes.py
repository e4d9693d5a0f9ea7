"""Unfinished events, in order for each channel and incident."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.notify.records import Event

Lane = tuple[str, str]


class Lanes:
    """One queue for each (channel, incident); an event stays at its head until it is at its end."""

    def __init__(self) -> None:
        self._lanes: dict[str, dict[str, list[Event]]] = {}
        self._by_seq: dict[int, Event] = {}

    def add(self, event: Event) -> None:
        """Put an event behind the others of its incident."""
        self._lanes.setdefault(event.channel, {}).setdefault(event.incident, []).append(event)
        self._by_seq[event.seq] = event

    def remove(self, event: Event) -> None:
        """Take out an event that is at its end."""
        lanes = self._lanes[event.channel]
        lanes[event.incident].remove(event)
        if not lanes[event.incident]:
            del lanes[event.incident]
        del self._by_seq[event.seq]

    def get(self, seq: int) -> Event:
        """Return an unfinished event by its number."""
        return self._by_seq[seq]

    def of(self, channel: str) -> list[Lane]:
        """Return the lanes of a channel that hold something."""
        return [(channel, incident) for incident in self._lanes.get(channel, {})]

    def events_of(self, lane: Lane) -> list[Event]:
        """Return what is in a lane, in order."""
        channel, incident = lane
        return list(self._lanes.get(channel, {}).get(incident, ()))

    def head(self, lane: Lane) -> Event | None:
        """Return the first event of a lane."""
        events = self.events_of(lane)
        return events[0] if events else None

    def last(self, channel: str, incident: str) -> Event | None:
        """Return the last event of a lane."""
        events = self.events_of((channel, incident))
        return events[-1] if events else None

    def count(self, channel: str | None = None) -> int:
        """Return how many events there are, of one channel or of all."""
        if channel is None:
            return len(self._by_seq)
        return sum(len(events) for events in self._lanes.get(channel, {}).values())
