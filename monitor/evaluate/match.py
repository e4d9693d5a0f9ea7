"""Which page belongs to which fault."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.evaluate.records import Fault, Standing


class Closeness(IntEnum):
    """How near a named cause is to a fault; the first three find it."""

    EXACT = 0
    ACCEPTED = 1
    AFFECTED = 2
    RELATED = 3
    APART = 4


class Footprint:
    """A fault with everything it touches, for quick look-up."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._closeness = {
            **dict.fromkeys(fault.related, Closeness.RELATED),
            **dict.fromkeys(fault.affected, Closeness.AFFECTED),
            **dict.fromkeys(fault.also_accept, Closeness.ACCEPTED),
            fault.entity: Closeness.EXACT,
        }

    def closeness(self, entity: str) -> Closeness:
        """Tell how near an entity is to the fault."""
        return self._closeness.get(entity, Closeness.APART)

    def finds(self, entity: str, ts: int) -> bool:
        """Tell whether naming this entity at this time finds the fault."""
        return self.fault.spans(ts) and self.closeness(entity) <= Closeness.AFFECTED

    def excuses(self, entity: str, ts: int) -> bool:
        """Tell whether a page on this entity at this time is the fault's."""
        wants = self.fault.wanted in {"page", "optional"}
        return wants and self.fault.spans(ts) and self.closeness(entity) <= Closeness.RELATED


@dataclass(frozen=True, slots=True)
class Call:
    """An incident that paged: when, how often, and how it stood in the end.

    `standing` is the incident that it was merged into, where it was: the person who was called reads that.
    """

    incident: str
    episode: int
    paged_at: int
    pages: int
    standing: Standing

    @property
    def cause(self) -> str:
        """The entity that is blamed in the end."""
        return self.standing.cause.entity


def last_lines(transitions: Iterable[Standing]) -> list[Standing]:
    """Return how each (id, episode) stands: its last line; sorted."""
    last = {(line.id, line.episode): line for line in transitions}
    return [last[key] for key in sorted(last)]


def calls(standings: Sequence[Standing]) -> list[Call]:
    """Return the incidents that paged, by time."""
    episodes: dict[str, list[Standing]] = {}
    for line in standings:
        episodes.setdefault(line.id, []).append(line)
    found = [
        Call(line.id, line.episode, line.paged_at, line.pages, _survivor(line, episodes))
        for line in standings
        if line.paged_at is not None
    ]
    return sorted(found, key=lambda call: (call.paged_at, call.incident, call.episode))


def home(call: Call, footprints: Sequence[Footprint]) -> Footprint | None:
    """Return the one fault that a page belongs to: the nearest, then the narrowest, then the latest."""
    takers = [one for one in footprints if one.excuses(call.cause, call.paged_at)]
    return min(takers, key=lambda one: _distance(one, call.cause), default=None)


def why_false(call: Call, footprints: Sequence[Footprint]) -> str:
    """Say in words what is false about a page without a home."""
    ongoing = [one for one in footprints if one.fault.spans(call.paged_at)]
    for one in ongoing:
        if one.closeness(call.cause) <= Closeness.RELATED:
            return f"no page was wanted for {one.fault.id}"
    for one in footprints:
        if one.closeness(call.cause) <= Closeness.AFFECTED:
            return f"outside the time of {one.fault.id}"
    if ongoing:
        return f"during {ongoing[0].fault.id}, which does not touch it"
    return "nothing was wrong then"


def _distance(footprint: Footprint, entity: str) -> tuple[Closeness, int, int, str]:
    fault = footprint.fault
    return footprint.closeness(entity), len(fault.affected), -fault.start, fault.id


def _survivor(line: Standing, episodes: dict[str, list[Standing]]) -> Standing:
    """Follow merges to their end; an id that is not there, or a circle, ends it too."""
    passed = {line.id}
    while line.merged_into in episodes and line.merged_into not in passed:
        heirs = episodes[line.merged_into]
        begun = [heir for heir in heirs if heir.opened_at <= line.updated_at]
        line = (begun or heirs[:1])[-1]
        passed.add(line.id)
    return line
