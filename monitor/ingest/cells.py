"""The cells of a closing tick: what its frames measured, cleaned, with who was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitor.kernels.compiled import loops
from monitor.reasons import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from monitor.ingest.columns import Hygiene, Layout, SeriesBook
    from monitor.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Cells:
    """Clean cells (series, ts, value), those of one series together and by ts; what was odd, by reason.

    items, owners, seen_ts: who was measured, by whose frame, when; the later of two entries counts.
    """

    series: Ints
    ts: Ints
    value: Floats
    items: Ints
    owners: Ints
    seen_ts: Ints
    odd: dict[Quality, int]


class CellReader:
    """Frames in canonical order in, cells out. The series numbers of the last tick's layouts are kept."""

    def __init__(self, book: SeriesBook, hygiene: Hygiene) -> None:
        self._book, self._hygiene = book, hygiene
        self._layouts: list[Layout] = []
        self._series: Ints = np.empty(0, np.int64)
        self._entity: Ints = np.empty(0, np.int64)
        self._counts: Ints = np.empty(0, np.int64)

    def read(self, layouts: list[Layout], values: Sequence[Floats], ts: Ints, who: Ints) -> Cells:
        """Return the cells of frames: their layouts and values, when they are from, and whose they are."""
        if layouts != self._layouts:
            self._layouts = layouts
            self._series = np.concatenate([layout.series for layout in layouts])
            self._entity = np.concatenate([layout.repeated for layout in layouts])
            self._counts = np.array([len(layout.series) for layout in layouts])
        value = np.concatenate(values)
        fast = loops(len(value))
        cells = self._compiled(fast, value, ts, who) if fast else self._plain(value, ts, who)
        if not len(cells.series) or np.bincount(cells.series).max() == 1:
            return cells
        order = np.argsort(cells.series, kind="stable")
        columns = (cells.series[order], cells.ts[order], cells.value[order])
        return Cells(*columns, cells.items, cells.owners, cells.seen_ts, cells.odd)

    def _plain(self, value: Floats, ts: Ints, who: Ints) -> Cells:
        measured = (self._series >= 0) & ~np.isnan(value)
        series, value = self._series[measured], value[measured]
        ts, who = (np.repeat(of_frame, self._counts)[measured] for of_frame in (ts, who))
        odd = self._hygiene.clean(self._book, series, value)
        odd[Quality.UNCATALOGUED] = int((~self._book.catalogued.array[series]).sum())
        clean = ~np.isnan(value)
        return Cells(series[clean], ts[clean], value[clean], self._entity[measured], who, ts, odd)

    def _compiled(self, fast: ModuleType, value: Floats, ts: Ints, who: Ints) -> Cells:
        """Do what `_plain` says in one pass."""
        book = self._book
        series, at = np.empty((2, len(value)), np.int64)
        last, owner = np.zeros((2, len(book.entity_keys)), np.int64)
        limits = (book.low.array, book.high.array, book.strict.array, book.catalogued.array)
        frames = (self._counts, ts, who)
        given = (self._series, self._entity, value)
        n, *counts = fast.cells(given, frames, limits, self._hygiene.sentinels, (series, at, last, owner))
        items = np.flatnonzero(last)
        odd = dict(zip(_REASONS, counts, strict=True))
        return Cells(series[:n], at[:n], value[:n], items, owner[items], last[items], odd)


_REASONS = (Quality.SENTINEL, Quality.NOT_FINITE, Quality.OUT_OF_RANGE, Quality.UNCATALOGUED)
