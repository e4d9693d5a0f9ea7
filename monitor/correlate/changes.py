"""Changes that people and automation made, kept for the time in which they can be causes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from monitor.types import Change
from monitor.units import DAY, MINUTE, duration_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.correlate.faults import FaultKind
    from monitor.types import Bools, Floats, Ints

KEPT_MS = 14 * DAY
PLANNED_MS = 15 * MINUTE
"""A fault kind that needs a change needs it this close to the onset, before or after."""

SHADOW_MS = 10 * MINUTE
"""A change may be told this long after the onset that it explains, since onsets are estimates."""


class ChangeLog:
    """The changes of the last 14 days, by entity."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._by_entity: dict[str, list[Change]] = {}
        self.add(changes)

    def add(self, changes: Iterable[Change]) -> None:
        """Take new changes; one that is known already changes nothing."""
        for change in sorted(changes, key=_order):
            known = self._by_entity.setdefault(change.entity, [])
            if change not in known:
                known.append(change)
                known.sort(key=_order)

    def forget(self, now: int) -> None:
        """Drop what is older than 14 days and no announced maintenance any more."""
        for entity in list(self._by_entity):
            kept = [c for c in self._by_entity[entity] if max(c.ts, c.until or 0) > now - KEPT_MS]
            if kept:
                self._by_entity[entity] = kept
            else:
                del self._by_entity[entity]

    def before(self, entity: str, onset: int, lookback_ms: int) -> tuple[Change, ...]:
        """Return the changes at an entity that may have caused what began at `onset`, the latest first."""
        found = self._by_entity.get(entity, ())
        return tuple([c for c in reversed(found) if -SHADOW_MS <= onset - c.ts <= lookback_ms])

    def nats(self, fault: FaultKind, entities: list[str], first: Ints, onset: Ints) -> tuple[Floats, Bools]:
        """Return what changes say for a fault at each entity, and whether it is possible there, shapes (R,).

        The latest change before the onset adds change_nats x exp(-age / change_fade). A kind that needs a
        change is possible only where the first or the median sign began within 15 minutes of one, and gains
        nothing from it.
        """
        nats = np.zeros(len(entities))
        possible = np.full(len(entities), not fault.needs_change)
        fade = duration_ms(fault.change_fade)
        for i, entity in enumerate(entities):
            if entity not in self._by_entity:
                continue
            began = int(onset[i])
            if fault.needs_change:
                began_at = (int(first[i]), began)
                possible[i] = any(
                    abs(change.ts - ts) <= PLANNED_MS for change in self._by_entity[entity] for ts in began_at
                )
                continue
            latest = self.before(entity, began, KEPT_MS)[:1]
            nats[i] = sum(fault.change_nats * float(np.exp(-max(began - c.ts, 0) / fade)) for c in latest)
        return nats, possible

    def maintained(self, entities: Iterable[str], now: int) -> Change | None:
        """Return an announced maintenance of one of these entities that holds now."""
        for entity in entities:
            for change in self._by_entity.get(entity, ()):
                if change.change == "maintenance" and change.ts <= now < (change.until or 0):
                    return change
        return None

    def to_state(self) -> list[dict[str, Any]]:
        """Return the changes as primitives."""
        return [msgspec.to_builtins(c) for name in sorted(self._by_entity) for c in self._by_entity[name]]

    @classmethod
    def from_state(cls, state: list[dict[str, Any]]) -> ChangeLog:
        """Rebuild a log from `to_state`."""
        return cls(msgspec.convert(state, list[Change]))


def _order(change: Change) -> tuple[int, str, str, str, str, int]:
    return (change.ts, change.entity, change.change, change.version, change.summary, change.until or 0)
