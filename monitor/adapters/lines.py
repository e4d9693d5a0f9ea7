"""Recordings on disk: lines of plain, gzip or zstandard files, from any line on; lines out, cut to length."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import msgspec
import zstandard

from monitor.errors import UsageError, WorkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

BUFFER = 1 << 20
PACKED = 1 << 14
FRAME_SUFFIXES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".ndjson.zst", ".jsonl.zst")
NOT_FRAMES = ("topology", "incidents", "anomalies", "dead")


class LineFile:
    """The lines of one file, decompressed by its ending, from any place on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._raw: IO[bytes] | None = None
        self._finished = False

    def read(self, offset: int = 0, number: int = 0) -> Iterator[tuple[int, int, bytes]]:
        """Yield (offset of the line's end, line number, line) from a decompressed offset on.

        `number` is the number of the line before `offset`. Raises WorkError where the file cannot be read.
        """
        try:
            with (
                self.path.open("rb", buffering=BUFFER) as self._raw,
                _decompressed(self._raw, self.path) as lines,
            ):
                _skip(lines, offset)
                for line in lines:
                    offset += len(line)
                    number += 1
                    yield offset, number, line
            self._finished = True
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise WorkError(f"{self.path}: cannot be read after line {number}: {error}") from error

    @property
    def done(self) -> int:
        """How many bytes of the file, as it lies on disk, have been read."""
        if self._finished or self._raw is None:
            return self.size * self._finished
        return self._raw.tell()


def _skip(stream: IO[bytes], count: int) -> None:
    """Move forward; a decompressed stream cannot seek, so what lies before is read and dropped."""
    if stream.seekable():
        stream.seek(count)
        return
    while count and (dropped := len(stream.read(min(count, BUFFER)))):
        count -= dropped


def _decompressed(raw: IO[bytes], path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if path.suffix == ".zst":
        return io.BufferedReader(_ZstdFrames(raw), BUFFER)
    return raw


class _ZstdFrames(io.RawIOBase):
    """The content of a zstandard file, frame after frame; EOFError where it ends within one, as of gzip.

    The library's own reader takes a file that was cut off for one that ends there.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._opener = raw, zstandard.ZstdDecompressor()
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed, self._content = b"", memoryview(b"")

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as it goes; 0 at the end."""
        while not self._content:
            packed = self._packed or self._raw.read(PACKED)
            if not packed and self._frame is not None:
                raise EOFError("Compressed file ended before the end-of-frame marker was reached")
            if not packed:
                return 0
            frame = self._frame = self._frame or self._opener.decompressobj()
            self._content, self._packed = memoryview(frame.decompress(packed)), frame.unused_data
            if frame.eof:
                self._frame = None
        count = min(len(buffer), len(self._content))
        buffer[:count], self._content = self._content[:count], self._content[count:]
        return count


def recordings(paths: Sequence[Path]) -> list[Path]:
    """Return the files that paths name: files as they are, of a directory those that may hold frames."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or directory")
        found += _inside(path) if path.is_dir() else [path]
    if len(set(found)) != len(found):
        raise UsageError("a recording is named twice: " + ", ".join(sorted({str(p) for p in found})))
    return sorted(found, key=lambda path: path.name)


def _inside(directory: Path) -> list[Path]:
    files = [
        path
        for path in sorted(directory.iterdir())
        if path.name.endswith(FRAME_SUFFIXES) and not path.name.startswith(NOT_FRAMES)
    ]
    if not files:
        raise UsageError(f"{directory}: holds no recording (a file ending in {', '.join(FRAME_SUFFIXES)})")
    return files


class LinesOut:
    """NDJSON records appended to a file, which a resumed run cuts to the length it knows to be right.

    An OSError says which file it is about.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: is no regular file; records go to one that can be cut to length")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._encoder = msgspec.json.Encoder()
        self._stream = path.open("r+b" if path.exists() else "w+b")
        self._stream.truncate(keep)
        self._stream.seek(keep)

    def write(self, records: Iterable[Any]) -> None:
        """Append records, one a line."""
        with _naming(self.path):
            for record in records:
                self._stream.write(self._encoder.encode(record))
                self._stream.write(b"\n")

    def show(self) -> None:
        """Let others read what was written."""
        with _naming(self.path):
            self._stream.flush()

    def sync(self) -> int:
        """Make what was written durable; return the length."""
        self.show()
        with _naming(self.path):
            os.fsync(self._stream.fileno())
        return self._stream.tell()

    def close(self) -> None:
        """Make it durable and close."""
        self.sync()
        self._stream.close()

    def drop(self) -> None:
        """Close it after a failure; what was not synced may be lost."""
        with suppress(OSError):
            self._stream.close()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an OSError of an open file say which file it is."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def sync_directory(path: Path) -> None:
    """Make durable which files a directory holds."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file aside, sync it and rename it over: whole or as it was, whatever happens."""
    aside = path.with_name(path.name + ".new")
    with aside.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)
