"""Late frames: kept whole, and for ten minutes corrected into the windows that they belong to.

Nothing is ever detected on them. A late copy of a frame that counted in its tick is no news, so which frames
counted is remembered for as long as a late one may still correct a window. Counters are left out: the rate up
to a sample needs the sample before it, and the rate over the gap has already been told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from monitor.cells import Cells, LateFrame, SeriesNames
from monitor.ingest.columns import COUNTER
from monitor.ingest.openticks import HeldFrame, OpenTicks
from monitor.units import tick_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.ingest.columns import Hygiene, SeriesBook
    from monitor.ingest.openticks import FrameKey


class LateFrames:
    """The late frames of one partition's sources, and the frames in time that they must not repeat."""

    def __init__(self, tick_ms: int, window_ms: int, correct_ms: int) -> None:
        self._tick_ms, self._window_ms, self._correct_ms = tick_ms, window_ms, correct_ms
        self._in_time: dict[int, set[FrameKey]] = {}
        self._late = OpenTicks()
        self._news: set[FrameKey] = set()
        self._ready: dict[FrameKey, HeldFrame] = {}
        self._arrived: list[LateFrame] = []

    def in_time(self, end: int, keys: Iterable[FrameKey]) -> None:
        """Take note of the frames that counted in a tick, and forget what is too old to be corrected."""
        for key in keys:
            self._in_time.setdefault(self._end_of(key), set()).add(key)
        old = [ts for ts in self._in_time if end - ts > self._correct_ms]
        first = self._late.first()
        if first is not None and end - first > self._correct_ms:
            self._collect(end)
        while first is not None and end - first > self._correct_ms:
            self._late.take(first)
            first = self._late.first()
        for ts in old:
            del self._in_time[ts]

    def put(self, key: FrameKey, held: HeldFrame, arrival: int, closed: int) -> None:
        """Take a late frame; `closed` is the end of the last closed tick."""
        frame = held.line.decode("utf-8", "backslashreplace")
        self._arrived.append(LateFrame(*key, arrival, frame))
        end = self._end_of(key)
        if max(arrival, closed) - end <= self._correct_ms and key not in self._in_time.get(end, ()):
            self._late.put(end, key, held)
            self._news.add(key)

    def take(self, closed: int) -> tuple[list[LateFrame], list[tuple[FrameKey, HeldFrame]]]:
        """Return the late frames since the last time, and all frames of the windows which those correct.

        Windows whose tick is not closed yet wait: what counts in time is not known before.
        """
        self._collect(closed)
        arrived, self._arrived = self._arrived, []
        ready, self._ready = self._ready, {}
        return arrived, sorted(ready.items(), key=lambda item: item[0])

    def _collect(self, closed: int) -> None:
        """Set aside all frames of the windows that news correct."""
        news = {key for key in self._news if self._end_of(key) <= closed}
        if not news:
            return
        self._news -= news
        touched = {(kind, source, self._window_of(ts)) for kind, source, ts in news}
        for end, key, held in self._late.frames():
            in_time = key in self._in_time.get(end, ())
            if (key[0], key[1], self._window_of(key[2])) in touched and not in_time:
                self._ready[key] = held

    def _end_of(self, key: FrameKey) -> int:
        return tick_end(key[2], self._tick_ms)

    def _window_of(self, ts: int) -> int:
        return (ts - 1) // self._window_ms

    def to_state(self) -> dict[str, Any]:
        """Return the state, in order."""
        return {
            "in_time": [[*key] for keys in self._in_time.values() for key in sorted(keys)],
            "late": [[*key, held] for _, key, held in self._late.frames()],
            "ready": [[*key, held] for key, held in sorted(self._ready.items(), key=lambda item: item[0])],
            "news": [list(key) for key in sorted(self._news)],
            "arrived": self._arrived,
        }

    def restore(self, state: dict[str, Any], mine: Callable[[str], bool]) -> None:
        """Take back the sources that are `mine` of what `to_state` gave."""
        for kind, source, ts in state["in_time"]:
            if mine(source):
                key = (kind, source, ts)
                self._in_time.setdefault(self._end_of(key), set()).add(key)
        for kind, source, ts, held in state["late"]:
            if mine(source):
                key = (kind, source, ts)
                self._late.put(self._end_of(key), key, msgspec.convert(held, HeldFrame))
        for kind, source, ts, held in state["ready"]:
            if mine(source):
                self._ready[kind, source, ts] = msgspec.convert(held, HeldFrame)
        self._news |= {(k, s, ts) for k, s, ts in state["news"] if mine(s)}
        arrived = msgspec.convert(state["arrived"], list[LateFrame])
        self._arrived += [frame for frame in arrived if mine(frame.source)]


def late_cells(
    frames: list[tuple[FrameKey, HeldFrame]], book: SeriesBook, hygiene: Hygiene, closed: int
) -> Cells | None:
    """Return the clean samples of late frames, counters left out; None where there is none."""
    if not frames:
        return None
    layouts = [book.layout_of(key[1], frame.shape) for key, frame in frames]
    series = np.concatenate([layout.series for layout in layouts])
    value = np.concatenate([frame.value for _, frame in frames])
    ts = np.repeat([key[2] for key, _ in frames], [len(layout.series) for layout in layouts])
    kept = (series >= 0) & ~np.isnan(value)
    series, ts, value = series[kept], ts[kept], value[kept]
    hygiene.clean(book, series, value)
    kept = ~np.isnan(value) & (book.type.array[series] != COUNTER)
    numbers, row = np.unique(series[kept], return_inverse=True)
    names = SeriesNames.of([book.keys[number] for number in numbers.tolist()])
    return Cells(closed, names, row, ts[kept], value[kept], np.zeros(len(row), np.bool_), late=True)
