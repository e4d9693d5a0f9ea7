"""Bodies of requests: read against the clock, unpacked within limits, within one budget of memory."""

from __future__ import annotations

import asyncio
import threading
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import zstandard

from monitor.errors import MonitorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

MOST_LINES = 100_000
"""Lines of one request."""

BUDGET_BYTES = 128 << 20
"""Bodies in memory at a time, of all requests together."""

PIECE = 1 << 10
"""Zstandard expands at most 32,000 fold, so this much packed is at most 32 MiB unpacked."""

WINDOW_BYTES = 1 << 25
ENCODINGS = ("identity", "gzip", "zstd")
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
"""What packed bodies begin with, and no text in UTF-8 does."""


class BodyError(MonitorError):
    """A body that is not taken: the status to answer, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Budget:
    """A number of bytes that all requests share."""

    def __init__(self, size: int = BUDGET_BYTES) -> None:
        self._lock = threading.Lock()
        self._left = size

    def take(self, count: int) -> None:
        """Take some. Raises BodyError 429 where there is not as much."""
        with self._lock:
            if count > self._left:
                raise BodyError(429, "too much is being read now; try again")
            self._left -= count

    def give(self, count: int) -> None:
        """Give some back."""
        with self._lock:
            self._left += count

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Yield a share that is given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.give(share.size)


class Share:
    """What one request has of a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self.size = budget, 0

    def grow(self, count: int) -> None:
        """Take more."""
        self._budget.take(count)
        self.size += count


async def read(request: web.Request, share: Share, most: int, timeout_s: float) -> bytes:
    """Return a body as it was sent, of at most `most` bytes. Raises BodyError."""
    if (request.content_length or 0) > most:
        raise BodyError(413, f"the body has {request.content_length:,} bytes; at most {most:,} are taken")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.content.iter_any():
                size += len(part)
                if size > most:
                    raise BodyError(413, f"the body has more than {most:,} bytes, the most that is taken")
                share.grow(len(part))
                parts.append(part)
    except TimeoutError:
        raise BodyError(408, f"the body did not come within {timeout_s:.0f} s") from None
    return b"".join(parts)


def encoding_of(request: web.Request) -> str:
    """Return how a body is packed. Raises BodyError 415 for what we do not know."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ENCODINGS:
        raise BodyError(415, f"Content-Encoding {encoding[:40]!r}: send one of {', '.join(ENCODINGS)}")
    return encoding


def unpack(data: bytes, encoding: str, share: Share, most: int) -> bytes:
    """Return a body unpacked, of at most `most` bytes. Raises BodyError 400, 413 and 415."""
    if encoding == "identity":
        for packing, magic in MAGIC.items():
            if data.startswith(magic):
                raise BodyError(415, f"the body is packed: send `Content-Encoding: {packing}` with it")
        return data
    parts: list[bytes] = []
    size = 0
    try:
        for part in _gunzip(data) if encoding == "gzip" else _unzstd(data):
            size += len(part)
            if size > most:
                raise BodyError(413, f"the body unpacks to more than {most:,} bytes, the most that is taken")
            share.grow(len(part))
            parts.append(part)
    except (zlib.error, zstandard.ZstdError) as error:
        raise BodyError(400, f"the body is no {encoding}: {error}") from None
    return b"".join(parts)


def _gunzip(data: bytes) -> Iterator[bytes]:
    """Unpack members one after the other, a megabyte at a time."""
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            part = member.decompress(data, 1 << 20)
            data = member.unconsumed_tail
            if not part and not data and not member.eof:
                raise zlib.error("it ends in the middle")
            yield part
        data = member.unused_data


def _unzstd(data: bytes) -> Iterator[bytes]:
    """Unpack frames one after the other, in small pieces."""
    opener = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
    while data:
        frame = opener.decompressobj()
        at = 0
        while not frame.eof and at < len(data):
            yield frame.decompress(data[at : at + PIECE])
            at += PIECE
        if not frame.eof:
            raise zstandard.ZstdError("it ends in the middle")
        data = frame.unused_data + data[at:]


def lines_of(data: bytes) -> list[bytes]:
    """Return the lines of a body. Raises BodyError 413 for too many."""
    count = data.count(b"\n")
    if count > MOST_LINES:
        raise BodyError(413, f"the body has {count:,} lines; at most {MOST_LINES:,} are taken")
    return data.split(b"\n")
