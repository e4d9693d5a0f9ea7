"""The site's half of silence: who is silent, and when we are blind.

A partition says which of its sources are overdue. Whether that is their silence or ours only the whole site
can tell: an overdue source is silent once the others were heard for one and a half of its rhythms after its
last frame; when nobody at all was heard for twice as long as the most frequent source may be quiet (a minute
at least), we are blind, and nobody is called silent for it. We see again at the second tick with frames,
since a lone one may be a stray, and everyone then gets their patience anew. So they do after a shorter pause
of everybody that ends with one who was overdue: the first to be heard does not convict the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from monitor.types import Silence
from monitor.units import MINUTE, tick_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.types import TickPart

OTHERS_HEARD = 1.5
BLIND_AFTER = 2.0
BLIND_AT_LEAST = MINUTE

SourceKey = tuple[str, str]


class Blindness(msgspec.Struct, frozen=True, order=True):
    """Nobody is heard any more (or again): since when."""

    since: int
    state: str


class Absence:
    """Pending and confirmed silences of a site."""

    def __init__(self, tick_ms: int) -> None:
        self._tick_ms = tick_ms
        self._heard = 0
        self._patience = 0
        self._blind_since = 0
        self._resumed = 0
        self._glimpse = 0
        self._end = 0
        self._pending: dict[SourceKey, Silence] = {}
        self._silent: set[SourceKey] = set()

    @property
    def blind(self) -> bool:
        """Whether nobody is heard."""
        return self._blind_since > 0

    @property
    def blind_since(self) -> int:
        """Since when nobody is heard, 0 where somebody is."""
        return self._blind_since

    @property
    def silent(self) -> set[str]:
        """Who is silent."""
        return {entity for _, entity in self._silent}

    def step(
        self, end: int, parts: Sequence[TickPart], *, judge: bool
    ) -> tuple[list[Silence], list[Blindness]]:
        """Take what the partitions say of a tick; return the silences that began or ended, and blindness."""
        heard = max((part.heard for part in parts), default=0)
        blindness = self._see_again(heard, end)
        if self._paused(heard, parts):
            self._resumed = heard
        self._heard = max(self._heard, heard)
        patience = min((part.patience for part in parts if part.patience), default=0)
        self._patience = patience or (self._patience if self.blind else 0)
        self._end = end
        back = self._take(parts)
        if judge and self._patience and not self.blind and end >= self._blind_at():
            self._blind_since = self._heard
            since = self._heard // self._tick_ms * self._tick_ms  # clocks that are off are only about right
            blindness.append(Blindness(since, "blind"))
        confirmed = self._confirm(end) if judge and not self.blind else []
        return sorted(back + confirmed), blindness

    def _see_again(self, heard: int, end: int) -> list[Blindness]:
        if not self.blind or heard <= self._heard:
            return []
        glimpsed, self._glimpse = self._glimpse, end
        if end - glimpsed > 2 * self._patience:
            return []
        self._blind_since, self._resumed = 0, max(heard, end - self._tick_ms)
        return [Blindness(end, "sighted")]

    def _paused(self, heard: int, parts: Sequence[TickPart]) -> bool:
        """Whether a pause of everybody ends, too short to blind us, and is not the one that ended last."""
        if self.blind or not heard - self._heard > self._patience > 0 or self._heard <= self._resumed:
            return False
        return any(
            s.state == "back" and (s.kind, s.entity) in self._pending for part in parts for s in part.silences
        )

    def _take(self, parts: Sequence[TickPart]) -> list[Silence]:
        """Take note of who is overdue; return those confirmed before that came back."""
        back = []
        for silence in sorted(s for part in parts for s in part.silences):
            key = (silence.kind, silence.entity)
            if silence.state == "silent":
                self._pending[key] = silence
            elif key in self._silent:
                self._silent.discard(key)
                back.append(silence)
            else:
                self._pending.pop(key, None)
        return back

    def _confirm(self, end: int) -> list[Silence]:
        found = []
        for key, silence in sorted(self._pending.items()):
            if (
                end >= self._due(silence)
                and self._heard - self._base(silence) > OTHERS_HEARD * silence.rhythm_ms
            ):
                found.append(silence)
                del self._pending[key]
                self._silent.add(key)
        return found

    def _base(self, silence: Silence) -> int:
        return max(silence.since, self._resumed)

    def _due(self, silence: Silence) -> int:
        return tick_end(self._base(silence) + silence.patience_ms, self._tick_ms)

    def _blind_at(self) -> int:
        wait = max(int(BLIND_AFTER * self._patience), BLIND_AT_LEAST)
        return tick_end(self._heard + wait + 1, self._tick_ms)

    def next_due(self) -> int | None:
        """Return the end of the next tick in which a silence may be confirmed, or blindness known."""
        dues = [due for due in map(self._due, self._pending.values()) if due > self._end]
        if self._patience and not self.blind:
            dues.append(self._blind_at())
        return min(dues, default=None)

    def to_state(self) -> dict[str, Any]:
        """Return the whole state."""
        return {
            "heard": self._heard, "patience": self._patience, "blind_since": self._blind_since,
            "resumed": self._resumed,
            "glimpse": self._glimpse, "end": self._end, "pending": sorted(self._pending.values()),
            "silent": sorted(self._silent),
        }  # fmt: skip

    @classmethod
    def from_state(cls, tick_ms: int, state: dict[str, Any]) -> Absence:
        """Build from what `to_state` gave."""
        absence = cls(tick_ms)
        absence._heard, absence._patience = state["heard"], state["patience"]
        absence._blind_since, absence._resumed = state["blind_since"], state["resumed"]
        absence._end, absence._glimpse = state["end"], state["glimpse"]
        pending = msgspec.convert(state["pending"], list[Silence])
        absence._pending = {(s.kind, s.entity): s for s in pending}
        absence._silent = {(kind, entity) for kind, entity in state["silent"]}
        return absence
