"""A partition: everything that belongs to one frame or one source, for the sources that are its own.

Lines go in with the reader's verdict; for each tick that closes, one TickPart comes out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from monitor.cells import Late
from monitor.ingest.cells import CellReader
from monitor.ingest.columns import COUNTER, Growing, Hygiene, SeriesBook, numbers
from monitor.ingest.frames import ACTS, Body, Rejection, read_body
from monitor.ingest.latecells import LateFrames, late_cells
from monitor.ingest.lateness import LateSources
from monitor.ingest.openticks import HeldFrame, OpenTicks
from monitor.ingest.presence import Presence
from monitor.ingest.rollups import window_ms
from monitor.ingest.slow import SeenFrames, is_slow
from monitor.ingest.verdict import Placed, TimeRules, Timing
from monitor.kernels.rates import Rates
from monitor.reasons import Quality
from monitor.types import Change, Command, SeriesKey, TickPart
from monitor.units import tick_end

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from monitor.catalog import Catalog
    from monitor.ingest.openticks import FrameKey
    from monitor.types import Floats, Ints, Silence, SourceLife

MAX_SHAPES = 50_000
UNANNOUNCED = -1

Columns = tuple["Ints", "Ints", "Floats"]


class Partition:
    """The state of one partition. `accept` takes lines in the order of their log, `close` ticks in order."""

    def __init__(self, number: int, catalog: Catalog, rules: TimeRules, correct_ms: int = 0) -> None:
        self.number = number
        self._rules, self._catalog = rules, catalog
        self._hygiene = Hygiene(catalog.sentinels)
        self._number_anew()
        self._open = OpenTicks()
        self._presence = Presence(rules.tick_ms, rules.lateness_ms + rules.skew_ms + 2 * rules.tick_ms)
        self._late = LateSources()
        self._seen = SeenFrames()
        self._corrections = _corrections(rules, correct_ms)
        self.quality: Counter[Quality] = Counter()

    def _number_anew(self) -> None:
        """Begin with no series; each is announced at its next cell."""
        self._book = SeriesBook(self._catalog)
        self._cells = CellReader(self._book, self._hygiene)
        self._rates = Rates()
        self._public = Growing(np.int64)
        self._announced = 0

    def accept(self, line: bytes, placed: Placed, closed: int, settled: int) -> Rejection | None:
        """Take a line. Return why it is a dead letter, if so.

        closed: the end of the last closed tick. settled: up to where what ticks taught may be used, so that
        how far they happen to be closed changes nothing.
        """
        body = read_body(line)
        if isinstance(body, Rejection):
            return body
        end = tick_end(body.ts, self._rules.tick_ms)
        slow = is_slow(body, self._presence.rhythm_of(body.kind, body.source, settled))
        if placed.timing is Timing.LATE and not slow:
            self._accept_late(body, placed, line, closed)
            return None
        held, sentinels = self._hold(body, line)
        if placed.stamped:
            held.lead_ms = body.ts - placed.arrival
        elif body.kind not in ACTS:
            self._presence.note_lead(body.kind, body.source, body.ts - placed.arrival)
        self.quality[Quality.SENTINEL] += sentinels
        if slow and self._seen.is_repeat(body.kind, body.source, body.ts, held):
            self.quality[Quality.DUPLICATE] += 1
            return None
        if end <= closed or (placed.stamped and placed.timing is Timing.LATE):
            end = max(tick_end(placed.arrival, self._rules.tick_ms), closed + self._rules.tick_ms)
        odd = self._open.put(end, (body.kind, body.source, body.ts), held)
        if odd is not None:
            self.quality[odd] += 1
        return None

    def reject(self, kind: str, source: str, arrival: int, *, stamped: bool) -> None:
        """Take note that a source lives although its frame came out of time."""
        self._sign_of_life(kind, source, arrival, stamped=stamped)

    def _sign_of_life(self, kind: str, source: str, arrival: int, *, stamped: bool) -> None:
        """Note a sign of life: in the tick that holds its stamp, or at once at a clock only about right."""
        if stamped:
            self._presence.sign_in_tick(kind, source, arrival)
        else:
            self._presence.sign_of_life(kind, source, arrival)

    def _accept_late(self, body: Body, placed: Placed, line: bytes, closed: int) -> None:
        self.quality[Quality.LATE] += 1
        arrival = placed.arrival
        self._late.late(body.kind, body.source, body.ts, arrival, stamped=placed.stamped)
        slack = 0 if placed.stamped else 2 * self._rules.lateness_ms  # a reader's clock is only about right
        self._sign_of_life(body.kind, body.source, arrival + slack, stamped=placed.stamped)
        if self._corrections is not None:
            held, _ = self._hold(body, line)
            self._corrections.put((body.kind, body.source, body.ts), held, arrival, closed)

    def _hold(self, body: Body, line: bytes) -> tuple[HeldFrame, int]:
        """Return a frame as it is held, and how many sentinels were in it."""
        value, sentinels = numbers(body), 0
        layout = self._book.layout(body)
        if layout.scale is not None:
            blank = self._hygiene.is_sentinel(value)
            sentinels = int(blank.sum())
            value = np.where(blank, np.nan, value) * layout.scale
        seq = -1 if body.seq is None else body.seq
        return HeldFrame(seq, line, layout.shape, value, _changes(body), _commands(body)), sentinels

    def first_held(self) -> int | None:
        """Return the end of the earliest tick that holds a frame."""
        return self._open.first()

    def next_due(self) -> int | None:
        """Return the end of the next tick that has anything to say."""
        dues = (self._open.first(), self._presence.next_due(), self._late.next_due(self._rules.tick_ms))
        return min((due for due in dues if due is not None), default=None)

    def close(self, end: int, *, judge: bool) -> TickPart:
        """Close a tick. `judge` is false behind the end of a recording, where silence means nothing."""
        frames = self._open.take(end)
        told = [(key, frame) for key, frame in frames if key[0] not in ACTS]
        who = self._presence.hear(end, [key for key, _ in told], [frame.lead_ms for _, frame in told])
        series, ts, value = self._columns(end, told, who)
        silences = self._presence.judge(end) if judge else []
        for (kind, source, frame_ts), _ in frames:
            self._late.in_time(kind, source, frame_ts, end)
        if self._corrections is not None:
            self._corrections.in_time(end, (key for key, _ in frames))
        new, series = self._announce(series)
        return TickPart(
            partition=self.number, end=end, new_series=new, series=series, ts=ts, value=value,
            silences=tuple(silences), lags=tuple(self._late.judge(end)),
            heard=self._presence.heard, patience=self._presence.patience,
            changes=tuple(sorted(change for _, frame in frames for change in frame.changes)),
            commands=tuple(sorted(command for _, frame in frames for command in frame.commands)),
        )  # fmt: skip

    def forget(self, end: int, keep_ms: int) -> None:
        """Let go of what was not heard for `keep_ms` before the tick `end`, and number the others anew."""
        counters = self._counters()
        self._number_anew()
        self._presence = self._presence.remaining(end, keep_ms, self._book)
        kept = set(self._book.entity_keys)
        for source in counters:
            self._restore_counters(source, kept)
        self._late.forget(end, keep_ms)
        self._seen.forget(end - keep_ms, self._presence.is_unknown)

    def set_aside(self, end: int) -> list[bytes]:
        """Take the frames of an open tick out of it and return them; that their sources live is noted."""
        frames = self._open.take(end)
        for (kind, source, ts), frame in frames:
            arrival = ts if frame.lead_ms is None else ts - frame.lead_ms
            self._sign_of_life(kind, source, arrival, stamped=frame.lead_ms is not None)
        return [frame.line for _, frame in frames]

    def take_late(self, closed: int) -> Late | None:
        """Return what came late since the last time; None where nobody asked for it to be kept."""
        if self._corrections is None:
            return None
        arrived, frames = self._corrections.take(closed)
        return Late(tuple(arrived), late_cells(frames, self._book, self._hygiene, closed))

    def lives(self) -> list[SourceLife]:
        """Return how each source sends, in order."""
        off = self._late.off()
        return [
            msgspec.structs.replace(life, late=(life.kind, life.source) in off)
            for life in self._presence.lives()
        ]

    def silent_items(self) -> list[Silence]:
        """Return the items that stay away while their sources report, in order."""
        return self._presence.silent_items()

    def to_state(self) -> dict[str, Any]:
        """Return the state by source, so that it can be dealt out to another number of partitions."""
        return {
            "presence": self._presence.to_state(),
            "notes": self._presence.notes(),
            "heard": self._presence.heard,
            "counters": self._counters(),
            "late": self._late.to_state(),
            "corrections": None if self._corrections is None else self._corrections.to_state(),
            "seen": self._seen.to_state(),
            "open": [[end, *key, frame] for end, key, frame in self._open.frames()],
            "quality": {str(reason): count for reason, count in sorted(self.quality.items())},
        }

    def _counters(self) -> list[dict[str, Any]]:
        """Return the last readings of the counters by source; other series have no past here."""
        book, counts = self._book, self._book.type.array == COUNTER
        of_source = ((key, [n for n in all_ if counts[n]]) for key, all_ in sorted(book.of_source.items()))
        return [
            {
                "key": list(source),
                "entities": [book.keys[n].entity for n in numbers_],
                "wire_names": [book.wire_names[n] for n in numbers_],
                "rates": self._rates.to_state(np.array(numbers_, np.int64)),
            }
            for source, numbers_ in of_source
            if numbers_
        ]

    def restore(self, state: dict[str, Any], mine: Callable[[str], bool]) -> None:
        """Take back, of what some partition's `to_state` gave, the sources that are `mine`."""
        self._presence.heard = max(self._presence.heard, state["heard"])
        for source in state["presence"]:
            if mine(source["key"][1]):
                self._presence.restore(source, self._book)
        for source in state["counters"]:
            if mine(source["key"][1]):
                self._restore_counters(source)
        self._presence.restore_notes(state["notes"], mine)
        self._late.restore(state["late"], mine)
        self._seen.restore(state["seen"], mine)
        if self._corrections is not None and state["corrections"] is not None:
            self._corrections.restore(state["corrections"], mine)
        for end, kind, source_id, ts, frame in state["open"]:
            if mine(source_id):
                held = msgspec.convert(frame, HeldFrame)
                self._open.put(end, (kind, source_id, ts), held)
        if self.number == 0:
            self.quality.update({Quality(reason): count for reason, count in state["quality"].items()})

    def _restore_counters(
        self, source: dict[str, Any], kept: Container[tuple[str, str]] | None = None
    ) -> None:
        """Meet the counters of a source again: all, or those of the entities that are kept."""
        key = (source["key"][0], source["key"][1])
        which = np.array([kept is None or (key[0], name) in kept for name in source["entities"]], bool)
        pairs = zip(source["entities"], source["wire_names"], which.tolist(), strict=True)
        numbers_ = [self._book.meet(key, entity, name)[0] for entity, name, stays in pairs if stays]
        rates = {name: column[which] for name, column in source["rates"].items()}
        self._rates.restore(np.array(numbers_, np.int64), rates)

    def _columns(self, end: int, frames: list[tuple[FrameKey, HeldFrame]], who: Ints) -> Columns:
        """Return the clean cells of a tick (series, ts, value), by series and ts, counters as rates."""
        if not frames:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64)
        if self._book.shapes > MAX_SHAPES:
            self._book.forget_layouts()
        layouts = [self._book.layout_of(key[1], frame.shape) for key, frame in frames]
        ts = np.array([key[2] for key, _ in frames], np.int64)
        cells = self._cells.read(layouts, [frame.value for _, frame in frames], ts, who)
        self._presence.see(end, cells.items, cells.owners, cells.seen_ts, self._book)
        self.quality.update(cells.odd)
        return self._to_rates(cells.series, cells.ts, cells.value)

    def _announce(self, series: Ints) -> tuple[tuple[SeriesKey, ...], Ints]:
        """Give numbers to series that have their first cell; return their keys and the cells' numbers."""
        for _ in range(len(self._book.keys) - len(self._public.array)):
            self._public.append(UNANNOUNCED)
        public = self._public.array
        new = np.unique(series[public[series] == UNANNOUNCED])
        public[new] = np.arange(self._announced, self._announced + len(new))
        self._announced += len(new)
        return tuple(self._book.keys[number] for number in new.tolist()), public[series]

    def _to_rates(self, series: Ints, ts: Ints, value: Floats) -> Columns:
        counted = self._book.type.array[series] == COUNTER
        if counted.any():
            rate, resets = self._rates.step(
                series[counted], ts[counted], value[counted], len(self._book.keys)
            )
            value[counted] = rate
            self.quality[Quality.COUNTER_RESET] += resets
            known = ~np.isnan(value)
            series, ts, value = series[known], ts[known], value[known]
        return series, ts, value


def _corrections(rules: TimeRules, correct_ms: int) -> LateFrames | None:
    return LateFrames(rules.tick_ms, window_ms(rules.tick_ms), correct_ms) if correct_ms else None


def _changes(body: Body) -> tuple[Change, ...]:
    if body.kind != "change":
        return ()
    what = (body.change or "", body.version or "", body.summary or "")
    return (Change(body.ts, body.source, *what, until=body.until),)


def _commands(body: Body) -> tuple[Command, ...]:
    if body.kind != "command":
        return ()
    user = body.source.partition(":")[2]
    arguments = tuple(sorted((body.arguments or {}).items()))
    return (Command(body.ts, user, body.command or "", body.target or "", arguments),)
