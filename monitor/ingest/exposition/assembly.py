"""Samples to frames: what one source says at one moment is one frame, however it comes in.

A push cuts a scrape at any place, so the parts of a moment may come apart, and from several connections.
Each part gives the whole frame as far as it is known, with a higher `seq` than the one before. Of two frames
of one moment the higher `seq` counts, so the last is right and a part that comes again changes nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from monitor.ingest.exposition.derived import derive, total
from monitor.units import MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.ingest.exposition.labelmap import Block
    from monitor.ingest.exposition.placing import Slot

KEEP_MS = 45 * SECOND
"""How far behind its source's latest moment a part may come and still join its frame."""
FORGET_MS = 30 * MINUTE
HISTORY = 4

Value = float | str | None


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """A telemetry frame as it goes out (contract: Telemetry frames)."""

    kind: str
    ts: int
    source: str
    metrics: dict[str, list[Value]]
    seq: int | None = None
    items: list[str] | None = None
    tags: dict[str, str] = {}


class _Moment:
    __slots__ = ("blocks", "cells", "tags", "told")

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str | None], float] = {}
        self.blocks: dict[tuple[str | None, int], Block] = {}
        self.tags: dict[str, str] = {}
        self.told = -1


_Parts = dict[tuple[float, bytes], float]


class _Source:
    """The latest moments of one (kind, source), and the counters that derived metrics need."""

    def __init__(self) -> None:
        self.moments: dict[int, _Moment] = {}
        self.owners: dict[tuple[str, str | None], bytes] = {}
        self.inputs: dict[tuple[str | None, str], list[tuple[int, _Parts]]] = {}
        self.heard = 0

    def moment(self, ts: int) -> _Moment:
        found = self.moments.get(ts)
        if found is None:
            found = self.moments[ts] = _Moment()
            latest = max(self.moments)
            for old in [t for t in self.moments if t < latest - KEEP_MS and t != ts]:
                del self.moments[old]
        return found

    def feed(self, key: tuple[str | None, str], ts: int) -> _Parts:
        """Return the readings of an input at a moment, to be added to."""
        history = self.inputs.setdefault(key, [])
        at = bisect_left(history, ts, key=lambda entry: entry[0])
        if at == len(history) or history[at][0] != ts:
            history.insert(at, (ts, {}))
            del history[:-HISTORY]
            at = bisect_left(history, ts, key=lambda entry: entry[0])
        return history[at][1] if at < len(history) and history[at][0] == ts else {}

    def forget(self) -> None:
        """Drop what items that went away have left."""
        latest = max(self.moments, default=0)
        lately = {cell for moment in self.moments.values() for cell in moment.cells}
        self.owners = {cell: ident for cell, ident in self.owners.items() if cell in lately}
        self.inputs = {key: told for key, told in self.inputs.items() if told[-1][0] >= latest - FORGET_MS}

    def two(self, key: tuple[str | None, str], ts: int) -> tuple[_Parts, _Parts | None]:
        """Return the readings of an input at a moment, and at the one before."""
        history = self.inputs.get(key, [])
        at = bisect_left(history, ts, key=lambda entry: entry[0])
        now = history[at][1] if at < len(history) and history[at][0] == ts else {}
        return now, history[at - 1][1] if at else None


class Assembly:
    """The moments that are being put together.

    `doubled` counts, by metric, the samples that fell on the place of another series.
    """

    def __init__(self) -> None:
        self._sources: dict[tuple[str, str], _Source] = {}
        self._swept = 0
        self.doubled: Counter[str] = Counter()

    def put(self, samples: Iterable[tuple[Slot, int, float]], now: int) -> list[bytes]:
        """Take samples; return the frames of all moments that they belong to, in canonical order.

        `now` is the wall clock in ms, by which sources that went away are forgotten.
        """
        touched: dict[tuple[str, str, int], None] = {}
        for slot, ts, value in samples:
            key = (slot.place.kind, slot.place.source)
            source = self._sources.get(key)
            if source is None:
                source = self._sources[key] = _Source()
            self._note(source, slot, ts, value)
            source.heard = now
            touched[*key, ts] = None
        lines = [line for key in sorted(touched) if (line := self._frame(*key)) is not None]
        self._forget(now)
        return lines

    def _note(self, source: _Source, slot: Slot, ts: int, value: float) -> None:
        moment, item = source.moment(ts), slot.place.item
        if slot.tags:
            moment.tags = {**dict(slot.tags), **moment.tags}
        if slot.cell is not None:
            self._fill(source, moment, slot, value * slot.scale)
        if slot.feeds is not None:
            source.feed((item, slot.feeds), ts)[slot.bound, slot.ident] = value
            moment.blocks[item, id(slot.block)] = slot.block

    def _fill(self, source: _Source, moment: _Moment, slot: Slot, value: float) -> None:
        """Note a reading. Of two series that fall on one place the one with the lesser ident counts."""
        cell, owner = slot.cell, source.owners.get(slot.cell)  # type: ignore[arg-type]
        assert cell is not None
        if owner != slot.ident and cell in moment.cells:
            self.doubled[cell[0]] += 1
            if owner is not None and slot.ident > owner:
                return
        if owner != slot.ident:
            source.owners[cell] = slot.ident
        moment.cells[cell] = value

    def _frame(self, kind: str, name: str, ts: int) -> bytes | None:
        source = self._sources[kind, name]
        moment = source.moments[ts]
        cells: dict[tuple[str, str | None], Value] = {
            cell: _spelled(value) for cell, value in moment.cells.items()
        }
        for (item, _), block in moment.blocks.items():
            for metric, value in _worked_out(source, block, item, ts):
                if value is not None:
                    cells.setdefault((metric, item), _spelled(value))
        if not cells:
            return None
        moment.told += 1
        seq = moment.told or None
        return msgspec.json.encode(_laid_out(kind, name, ts, cells, seq, moment.tags))

    def _forget(self, now: int) -> None:
        if now - self._swept < MINUTE:
            return
        self._swept = now
        for key in [key for key, source in self._sources.items() if source.heard < now - FORGET_MS]:
            del self._sources[key]
        for source in self._sources.values():
            source.forget()


def _worked_out(
    source: _Source, block: Block, item: str | None, ts: int
) -> Iterator[tuple[str, float | None]]:
    for name in block.sum:
        now, before = source.two((item, name), ts)
        yield name, total(now, before) if now else None
    for metric, how in block.derive.items():
        if not how.where:
            pairs = [source.two((item, name), ts) for name in how.inputs]
            yield metric, derive(how, [now for now, _ in pairs], [before for _, before in pairs])


def _laid_out(
    kind: str,
    source: str,
    ts: int,
    cells: dict[tuple[str, str | None], Value],
    seq: int | None,
    tags: dict[str, str],
) -> Frame:
    """Align the cells of a moment with its items. Where there are some, the source's own are left out."""
    items = sorted({item for _, item in cells if item is not None}, key=_natural)
    places: list[str | None] = list(items) if items else [None]
    names = sorted({name for name, item in cells if item in places})
    metrics = {name: [cells.get((name, item)) for item in places] for name in names}
    return Frame(kind, ts, source, metrics, seq, items or None, dict(sorted(tags.items())))


def _natural(item: str) -> tuple[int, str]:
    return (len(item), item) if item.isdecimal() else (1 << 30, item)


def _spelled(value: float) -> Value:
    """Return a number as JSON has it, the non-finite ones as the contract spells them."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
