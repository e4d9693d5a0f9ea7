"""Who is there: the last sign of life of each source and of each of its items.

A source is silent by its own rhythm; an item is silent when it stays away (or null throughout), by its own
rhythm and its source's, while its source reports on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.ingest.rhythm import NEVER, Rhythms
from monitor.kernels.rounds import rounds
from monitor.types import Silence, SourceLife

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.ingest.columns import SeriesBook
    from monitor.ingest.openticks import FrameKey
    from monitor.types import Bools, Ints

NOBODY = -1
LEAD_GAIN = 0.1
_NOTES = ("signs", "before", "lead")


class Presence:
    """Rhythms and silences of the sources of a partition, and of their items.

    unsettled_ms: how long after the end of a tick somebody may ask for what was known before it.
    """

    def __init__(self, tick_ms: int, unsettled_ms: int) -> None:
        self.tick_ms, self._unsettled_ms = tick_ms, unsettled_ms
        self.rhythms = Rhythms(tick_ms)
        self.numbers: dict[tuple[str, str], int] = {}
        self.keys: list[tuple[str, str]] = []
        self.heard = 0
        self._lead: dict[tuple[str, str], float] = {}
        self._signs: dict[tuple[str, str], list[int]] = {}  # stamps of signs of life whose tick is open
        self._before: dict[tuple[str, str], list[tuple[int, int]]] = {}  # (tick, rhythm until then), lately
        self._back: list[Silence] = []
        self.items: list[tuple[str, str]] = []  # (kind, entity), by the numbers of the series book
        self.item_rhythms = Rhythms(tick_ms)
        self.item_owner: Ints = np.empty(0, np.int64)
        self.item_silent: Bools = np.empty(0, np.bool_)

    def rhythm_of(self, kind: str, source: str, settled: int) -> int:
        """Return the rhythm of a source in ms as the ticks up to `settled` taught it; 0: not learnt."""
        for end, rhythm in self._before.get((kind, source), ()):
            if end > settled:
                return rhythm
        number = self.numbers.get((kind, source), NOBODY)
        return 0 if number == NOBODY else int(self.rhythms.rhythm[number])

    def is_unknown(self, kind: str, source: str) -> bool:
        """Whether a source was never heard, or let go of."""
        return (kind, source) not in self.numbers

    @property
    def patience(self) -> int:
        """How long the most frequent source may be quiet; 0 while no rhythm is learnt."""
        known = self.rhythms.rhythm > 0
        return int(self.rhythms.threshold()[known].min(initial=NEVER)) if known.any() else 0

    def sign_of_life(self, kind: str, source: str, ts: int) -> None:
        """Note that a source lives: its frame came out of time, and nothing of it is measured."""
        number = self.numbers.get((kind, source), NOBODY)
        if number != NOBODY:
            self.rhythms.sign(np.array([number]), ts)

    def sign_in_tick(self, kind: str, source: str, ts: int) -> None:
        """Note a sign of life that counts from the tick on that holds its stamp."""
        self._signs.setdefault((kind, source), []).append(ts)

    def _take_signs(self, end: int) -> None:
        for key in [key for key, stamps in self._signs.items() if min(stamps) <= end]:
            stamps = self._signs.pop(key)
            self.sign_of_life(*key, max(ts for ts in stamps if ts <= end))
            if key in self.numbers and self.rhythms.silent[self.numbers[key]]:
                self._end_silence(self.numbers[key], end)
            if later := [ts for ts in stamps if ts > end]:
                self._signs[key] = later

    def note_lead(self, kind: str, source: str, lead_ms: int) -> None:
        """Learn how far a source's clock is ahead of the time at which its frames are taken in."""
        known = self._lead.get((kind, source), 0.0)
        self._lead[kind, source] = known + LEAD_GAIN * (lead_ms - known)

    def hear(self, end: int, keys: list[FrameKey], leads: list[int | None]) -> Ints:
        """Take the frames of a closing tick, in canonical order; return the numbers of their sources.

        leads: how far each stamped frame was ahead of its stamp.
        """
        who = np.array([self._meet(kind, source) for kind, source, _ in keys], np.int64)
        ts = np.array([key[2] for key in keys], np.int64)
        self._note_back(end, who, ts)
        before = self.rhythms.rhythm[who]
        for first in rounds(who):
            self.rhythms.hear(who[first], ts[first])
        self.rhythms.sign(who, end - self.tick_ms)
        self._note_rhythms(end, who, before)
        self._take_signs(end)
        for (kind, source, _), lead_ms in zip(keys, leads, strict=True):
            if lead_ms is not None:
                self.note_lead(kind, source, lead_ms)
        lead = [max(0.0, self._lead.get((kind, source), 0.0)) for kind, source, _ in keys]
        self.heard = max(self.heard, int((ts - np.array(lead, np.float64)).max(initial=0)))
        return who

    def _note_rhythms(self, end: int, who: Ints, before: Ints) -> None:
        """Remember what rhythms were before they changed for as long as a change is not settled."""
        for key in [key for key, told in self._before.items() if end - told[-1][0] > self._unsettled_ms]:
            del self._before[key]
        changed = self.rhythms.rhythm[who] != before
        for number, rhythm in sorted({*zip(who[changed].tolist(), before[changed].tolist(), strict=True)}):
            self._before.setdefault(self.keys[number], []).append((end, rhythm))

    def see(self, end: int, items: Ints, owners: Ints, ts: Ints, book: SeriesBook) -> None:
        """Take the items that were measured in a closing tick; the last of several entries of one counts."""
        self.items = book.entity_keys
        self._grow(len(self.items))
        last = np.zeros(len(self.items), np.int64)
        last[items] = ts
        self.item_owner[items] = owners
        seen = np.flatnonzero(last)
        self.item_rhythms.hear(seen, last[seen])
        self.item_rhythms.sign(seen, end - self.tick_ms)

    def _meet(self, kind: str, source: str) -> int:
        number = self.numbers.setdefault((kind, source), len(self.keys))
        if number == len(self.keys):
            self.keys.append((kind, source))
            self.rhythms.add(1)
        return number

    def _note_back(self, end: int, who: Ints, ts: Ints) -> None:
        newer = self.rhythms.silent[who] & (ts > self.rhythms.last[who])
        for number in sorted(set(who[newer].tolist())):
            self._end_silence(number, end)

    def _end_silence(self, number: int, end: int) -> None:
        self.rhythms.silent[number] = False
        self._back.append(self._silence(number, end, "back"))

    def _silence(self, number: int, since: int, state: Any) -> Silence:
        kind, source = self.keys[number]
        patience = int(self.rhythms.threshold(np.array([number]))[0])
        return Silence(source, kind, since, state, int(self.rhythms.rhythm[number]), patience)

    def _grow(self, count: int) -> None:
        room = count - len(self.item_owner)
        if room > 0:
            self.item_rhythms.add(room)
            self.item_owner = np.concatenate([self.item_owner, np.full(room, NOBODY)])
            self.item_silent = np.concatenate([self.item_silent, np.zeros(room, np.bool_)])

    def next_due(self) -> int | None:
        """Return the end of the first tick in which a source will be overdue."""
        first = int(self.rhythms.deadline().min(initial=NEVER))
        return None if first == NEVER else first

    def judge(self, end: int) -> list[Silence]:
        """Return who fell silent by `end` and who came back, in order."""
        changed, self._back = self._back, []
        late = np.flatnonzero(self.rhythms.deadline() <= end)
        self.rhythms.silent[late] = True
        changed += [self._silence(n, int(self.rhythms.last[n]), "silent") for n in late.tolist()]
        return sorted(changed + self._judge_items(end))

    def _judge_items(self, end: int) -> list[Silence]:
        if not len(self.rhythms.last):
            return []
        owner, last = self.item_owner, self.item_rhythms.last
        learnt = (owner != NOBODY) & (self.item_rhythms.rhythm > 0)
        patience = np.maximum(self.rhythms.threshold()[owner], self.item_rhythms.threshold())
        reports = (self.rhythms.last[owner] > last) & ~self.rhythms.silent[owner]
        fell = np.flatnonzero(learnt & reports & (end - last > patience) & ~self.item_silent)
        back = np.flatnonzero(self.item_silent & (end - last <= self.tick_ms))
        self.item_silent[fell] = True
        self.item_silent[back] = False
        return [
            *(self._item_silence(n, int(last[n]), int(patience[n]), "silent") for n in fell.tolist()),
            *(self._item_silence(n, end, int(patience[n]), "back") for n in back.tolist()),
        ]

    def _item_silence(self, item: int, since: int, patience: int, state: Any) -> Silence:
        kind, entity = self.items[item]
        return Silence(entity, kind, since, state, int(self.item_rhythms.rhythm[item]), patience)

    def lives(self) -> list[SourceLife]:
        """Return how each source sends, in order."""
        rhythms = self.rhythms
        return [
            SourceLife(
                *key, int(rhythms.count[n]), int(rhythms.rhythm[n]), int(rhythms.last[n]),
                bool(rhythms.silent[n]), round(self._lead.get(key, 0.0)), late=False,
            )
            for key, n in sorted(self.numbers.items())
        ]  # fmt: skip

    def silent_items(self) -> list[Silence]:
        """Return the items that stay away while their sources report, in order."""
        owner, last = self.item_owner, self.item_rhythms.last
        patience = np.maximum(self.rhythms.threshold()[owner], self.item_rhythms.threshold())
        silent = np.flatnonzero(self.item_silent)
        return sorted(
            self._item_silence(n, int(last[n]), int(patience[n]), "silent") for n in silent.tolist()
        )

    def to_state(self) -> list[dict[str, Any]]:
        """Return the state by source, in order."""
        return self._states(np.ones(len(self.item_owner), bool))

    def _states(self, which: Bools) -> list[dict[str, Any]]:
        """Return the state by source, with some of the items."""
        of_owner: dict[int, list[int]] = {}
        items = np.flatnonzero(which)
        for item, owner in zip(items.tolist(), self.item_owner[items].tolist(), strict=True):
            of_owner.setdefault(owner, []).append(item)
        return [self._source_state(key, number, of_owner) for key, number in sorted(self.numbers.items())]

    def _source_state(
        self, key: tuple[str, str], number: int, of_owner: dict[int, list[int]]
    ) -> dict[str, Any]:
        items = np.array(of_owner.get(number, []), np.int64)
        return {
            "key": list(key),
            "rhythm": self.rhythms.rows(np.array([number])),
            "items": [self.items[item][1] for item in items.tolist()],
            "item_rhythms": self.item_rhythms.rows(items),
            "item_silent": self.item_silent[items],
        }

    def notes(self) -> dict[str, list[list[Any]]]:
        """Return what is noted of sources, heard or not: [kind, source, note], in order.

        signs: of life, that do not count yet. before: rhythms that were other until lately. lead: of clocks.
        """
        return {
            name: [[*key, note] for key, note in sorted(getattr(self, f"_{name}").items())] for name in _NOTES
        }

    def restore_notes(self, notes: dict[str, list[list[Any]]], mine: Callable[[str], bool]) -> None:
        """Take back the sources that are `mine` of what `notes` gave."""
        for name in _NOTES:
            known = getattr(self, f"_{name}")
            known.update({(kind, source): note for kind, source, note in notes[name] if mine(source)})

    def restore(self, state: dict[str, Any], book: SeriesBook) -> None:
        """Take back one source of what `to_state` gave."""
        kind, source = state["key"]
        number = self._meet(kind, source)
        self.rhythms.set_rows(np.array([number]), state["rhythm"])
        items = np.array([book.meet_entity(kind, entity) for entity in state["items"]], np.int64)
        self.items = book.entity_keys
        self._grow(len(self.items))
        self.item_owner[items] = number
        self.item_rhythms.set_rows(items, state["item_rhythms"])
        self.item_silent[items] = state["item_silent"]

    def remaining(self, end: int, keep_ms: int, book: SeriesBook) -> Presence:
        """Return the presence of those that were heard lately (Rhythms.unheard), numbered by another book.

        The silence of those that go ends with the tick `end`.
        """
        gone, item_gone = self.rhythms.unheard(end, keep_ms), self.item_rhythms.unheard(end, keep_ms)
        item_gone |= gone[self.item_owner]
        fresh = Presence(self.tick_ms, self._unsettled_ms)
        fresh.heard, fresh._back = self.heard, self._back
        fresh._signs, fresh._before = self._signs, self._before
        fresh._lead = {
            key: lead
            for key, lead in self._lead.items()
            if self.is_unknown(*key) or not gone[self.numbers[key]]
        }
        for state in self._states(~item_gone):
            kind, source = state["key"]
            if not gone[self.numbers[kind, source]]:
                fresh.restore(state, book)
        for number in np.flatnonzero(gone).tolist():
            rhythm = int(self.rhythms.rhythm[number])
            fresh._before.setdefault(self.keys[number], []).append((end, rhythm))
        fell = np.flatnonzero(gone & self.rhythms.silent), np.flatnonzero(item_gone & self.item_silent)
        fresh._back += [self._silence(number, end, "back") for number in fell[0].tolist()]
        fresh._back += [self._item_silence(item, end, 0, "back") for item in fell[1].tolist()]
        return fresh
