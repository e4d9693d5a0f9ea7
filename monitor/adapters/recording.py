"""A recording as one stream: the lines of several files, each with its clock, merged by their clocks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.adapters.lines import LineFile
from monitor.ingest.clock import ReaderClock
from monitor.ingest.frames import Header, Rejection, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line of a recording and where it stands."""

    file: str
    number: int
    data: bytes
    header: Header | Rejection


class _Cursor:
    """One file: its lines with their clocks, a few hundred lines behind where it is read."""

    def __init__(self, path: Path, name: str, state: dict[str, Any] | None = None) -> None:
        self.file, self.name = LineFile(path), name
        self._clock: ReaderClock[list[Line]] = ReaderClock()
        self._told: deque[tuple[int, list[Line]]] = deque()
        self._stray: list[Line] = []  # lines without a usable stamp go with the next one that has one
        self._ends: deque[tuple[int, int]] = deque()  # (offset, number) behind each payload not told yet
        self._place = (0, 0)
        self._finished = False
        self._last_clock = 0
        if state is not None:
            self._restore(state)
        self._lines = self.file.read(*self._place)

    def head(self) -> tuple[int, list[Line]] | None:
        """Return the next lines and their clock, without taking them."""
        while not self._told and not self._finished:
            self._read()
        return self._told[0] if self._told else None

    def take(self) -> tuple[int, list[Line]]:
        """Take what `head` showed."""
        return self._told.popleft()

    def _read(self) -> None:
        for offset, number, data in self._lines:
            if data.isspace():
                continue
            line = self._line(number, data)
            self._stray.append(line)
            if isinstance(line.header, Header):
                stamp = line.header.ts if line.header.received is None else line.header.received
                self._ends.append((offset, number))
                payload, self._stray = self._stray, []
                self._tell(self._clock.push(stamp, payload, line.header.source))
                if self._told:
                    return
        self._tell(self._clock.finish())
        self._finished = True
        if self._stray:
            self._told.append((self._last_clock, self._stray))

    def _line(self, number: int, data: bytes) -> Line:
        data = data.rstrip(b"\r\n")
        return Line(self.name, number, data, read_header(data))

    def _tell(self, told: Sequence[tuple[int, list[Line]]]) -> None:
        for item in told:
            self._told.append(item)
            self._last_clock = item[0]
            self._place = self._ends.popleft()

    def to_state(self) -> dict[str, Any] | None:
        """Return where the file stands: what was not taken comes again. None: at its beginning."""
        if not self._clock.settled and not self._finished:
            return None
        return {
            "clock": self._clock.to_state(),
            "place": list(self._place),
            "last_clock": self._last_clock,
            "finished": self._finished,
            "told": [[clock, [[line.number, line.data] for line in lines]] for clock, lines in self._told],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._clock = ReaderClock.from_state(state["clock"])
        self._place = (state["place"][0], state["place"][1])
        self._last_clock, self._finished = state["last_clock"], state["finished"]
        for clock, lines in state["told"]:
            self._told.append((clock, [self._line(number, data) for number, data in lines]))


class Recording:
    """Several files as one stream of (clock, line), by clock, ties by name."""

    def __init__(self, paths: Sequence[Path], state: list[dict[str, Any] | None] | None = None) -> None:
        states = state or [None] * len(paths)
        self._cursors = [_Cursor(path, path.name, s) for path, s in zip(paths, states, strict=True)]
        self.clock = 0

    def batches(self, size: int) -> Iterator[list[tuple[int, Line]]]:
        """Yield up to `size` lines at a time, with the clock of the recording at each."""
        batch: list[tuple[int, Line]] = []
        for clock, lines in self._merged():
            self.clock = max(self.clock, clock)
            batch += [(self.clock, line) for line in lines]
            if len(batch) >= size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _merged(self) -> Iterator[tuple[int, list[Line]]]:
        """Take lines from the file whose clock is least, for as long as it is."""
        while True:
            heads = [(h[0], i) for i, cursor in enumerate(self._cursors) if (h := cursor.head()) is not None]
            if not heads:
                return
            mine = min(heads)[1]
            others = min((head for head in heads if head[1] != mine), default=None)
            cursor = self._cursors[mine]
            while (head := cursor.head()) is not None and (others is None or (head[0], mine) < others):
                yield cursor.take()

    @property
    def progress(self) -> float:
        """The share of the files that has been read, 0 to 1."""
        size = sum(cursor.file.size for cursor in self._cursors)
        return sum(cursor.file.done for cursor in self._cursors) / max(size, 1)

    def to_state(self) -> list[dict[str, Any] | None]:
        """Return where each file stands. Ask between batches only."""
        return [cursor.to_state() for cursor in self._cursors]
