"""The journal: what a live process has accepted, as segments of NDJSON, on disk before it is answered.

A segment is a recording that `monitor replay` reads. Every line whose header can be read carries our stamp,
`received`, and stamps never go back, so the lines in order say what the live process knew and when. One
thread appends at a time; reading needs no lock, since what was written is never changed.
"""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING

import msgspec

from monitor.adapters.lines import LineFile, sync_directory
from monitor.errors import JournalError
from monitor.ingest.frames import Header, read_header
from monitor.ingest.stamping import mark

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME = "frames-{:010d}.ndjson"
PATTERN = re.compile(r"frames-(\d{10})\.ndjson")


class Place(msgspec.Struct, frozen=True, order=True):
    """A place between two lines: the segment, how far into it, and how many of its lines lie before."""

    segment: int = 1
    offset: int = 0
    line: int = 0

    @property
    def file(self) -> str:
        """The name of the segment."""
        return NAME.format(self.segment)


class Journal:
    """An open journal. Raises JournalError where it cannot be written; nothing is then half there."""

    def __init__(self, path: Path, segment_bytes: int) -> None:
        self.path = path
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._grown = threading.Condition()
        self._torn = False
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._sizes = self._segments()
            self.end = self._cut(max(self._sizes, default=1))
            self.stamp = self._last_stamp()
            self._fd = self._open(self.end.segment)
        except OSError as error:
            raise _refused(path, error) from error

    def _segments(self) -> dict[int, int]:
        found = ((PATTERN.fullmatch(file.name), file) for file in self.path.iterdir())
        return dict(sorted((int(name[1]), file.stat().st_size) for name, file in found if name))

    def _cut(self, segment: int) -> Place:
        """Cut off a last line that a kill left torn; return where the journal ends."""
        file = self.path / NAME.format(segment)
        whole = lines = 0
        if file.exists():
            for offset, number, line in LineFile(file).read():
                if line.endswith(b"\n"):
                    whole, lines = offset, number
            os.truncate(file, whole)
        self._sizes[segment] = whole
        return Place(segment, whole, lines)

    def _last_stamp(self) -> int:
        for segment in sorted(self._sizes, reverse=True):
            last = 0
            file = self.path / NAME.format(segment)
            for _, _, line in LineFile(file).read() if file.exists() else ():
                header = read_header(line)
                if isinstance(header, Header) and header.received is not None:
                    last = header.received
            if last:
                return last
        return 0

    def _open(self, segment: int) -> int:
        fd = os.open(self.path / NAME.format(segment), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        sync_directory(self.path)
        self._sizes.setdefault(segment, 0)
        return fd

    @property
    def first(self) -> Place:
        """Where the oldest segment begins."""
        return Place(min(self._sizes))

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(self._sizes.values())

    def behind(self, place: Place) -> int:
        """Return how many bytes there are from a place on."""
        sizes = list(self._sizes.items())
        return sum(size for segment, size in sizes if segment >= place.segment) - place.offset

    def stamp_at(self, now: int) -> int:
        """Return the stamp of what comes at `now`: stamps never go back, whatever the clock does."""
        return max(now, self.stamp)

    def append(self, lines: Iterable[bytes], count: int, stamp: int) -> Place:
        """Append lines that hold no end of line, durably; return where they begin."""
        data = b"\n".join([*lines, b""])
        with self._lock:
            try:
                return self._append(data, count, stamp)
            except OSError as error:
                raise _refused(self.path, error) from error

    def _append(self, data: bytes, count: int, stamp: int) -> Place:
        if self._torn:
            self._undo()
        if self.end.offset >= self._segment_bytes:
            self._rotate()
        began = self.end
        self._torn = True
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fdatasync(self._fd)
        except OSError:
            self._undo()
            raise
        self._torn = False
        self.end = Place(began.segment, began.offset + len(data), began.line + count)
        self._sizes[began.segment] = self.end.offset
        self.stamp = max(self.stamp, stamp)
        with self._grown:
            self._grown.notify_all()
        return began

    def _undo(self) -> None:
        """Take back what was half written."""
        os.ftruncate(self._fd, self.end.offset)
        self._torn = False

    def _rotate(self) -> None:
        fd = self._open(self.end.segment + 1)
        os.close(self._fd)
        self._fd, self.end = fd, Place(self.end.segment + 1)

    def mark(self, now: int) -> int:
        """Write down what time it is; return it as a stamp. It counts also where it cannot be written."""
        stamp = self.stamp_at(now)
        try:
            self.append([mark(stamp)], 1, stamp)
        finally:
            self.stamp = max(self.stamp, stamp)
        return stamp

    def read(self, place: Place, most: int) -> tuple[list[bytes], Place]:
        """Return whole lines from a place on, about `most` bytes, and the place behind them.

        Where there is none, that place may still be further: at the beginning of the next segment.
        """
        while (there := self._sizes.get(place.segment, 0) - place.offset) <= 0:
            if place.segment >= self.end.segment:
                return [], place
            place = Place(place.segment + 1)
        try:
            with (self.path / place.file).open("rb") as stream:
                stream.seek(place.offset)
                data = stream.read(min(there, most))
                if not data.endswith(b"\n"):
                    data += stream.readline()
        except OSError as error:
            raise _refused(self.path, error) from error
        lines = data.split(b"\n")[:-1]
        return lines, Place(place.segment, place.offset + len(data), place.line + len(lines))

    def wait(self, place: Place, timeout_s: float) -> bool:
        """Wait until there is something behind a place; return whether there is."""
        with self._grown:
            return self._grown.wait_for(lambda: self.end > place, timeout_s)

    def wake(self) -> None:
        """Let whoever waits look again at once."""
        with self._grown:
            self._grown.notify_all()

    def forget(self, needed: Place, older_than: float) -> None:
        """Delete segments that lie before a place and were last written before `older_than`, Unix seconds."""
        for segment in [segment for segment in list(self._sizes) if segment < needed.segment]:
            file = self.path / NAME.format(segment)
            if file.stat().st_mtime > older_than:
                return
            file.unlink()
            del self._sizes[segment]

    def close(self) -> None:
        """Close it."""
        with self._lock:
            os.close(self._fd)


def _refused(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path}: the journal cannot be written: {error.strerror}", error.errno or 0)
