"""The journal: what was accepted is there, whole, in order, stamped; nothing half accepted is."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from monitor.adapters.journal import Journal, Place
from monitor.errors import JournalError
from monitor.ingest.stamping import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T0 = 1_795_500_000_000
LINE = b'{"kind":"gpu","ts":1795500000000,"source":"node:a"}'


def put(journal: Journal, *stamps: int) -> Place:
    return journal.append([stamp(LINE, ts) for ts in stamps], len(stamps), max(stamps))


def everything(journal: Journal, most: int = 1 << 20) -> Iterator[tuple[str, int, bytes]]:
    place = journal.first
    while True:
        lines, behind = journal.read(place, most)
        if not lines:
            return
        for number, line in enumerate(lines, behind.line - len(lines) + 1):
            yield behind.file, number, line
        place = behind


@pytest.mark.parametrize("most", [1, 100, 1 << 20])
def test_what_was_appended_is_read_again(tmp_path: Path, most: int) -> None:
    """Across segments, in pieces of any size, with the place that the file itself says."""
    journal = Journal(tmp_path, segment_bytes=300)
    for n in range(20):
        put(journal, T0 + n, T0 + n)
    found = list(everything(journal, most))
    assert [json.loads(line)["received"] for _, _, line in found] == [T0 + n // 2 for n in range(40)]
    assert len({file for file, _, _ in found}) > 5
    for file, number, line in found:
        assert (tmp_path / file).read_bytes().split(b"\n")[number - 1] == line
    assert journal.behind(journal.first) == journal.size == sum(f.stat().st_size for f in tmp_path.iterdir())
    assert journal.behind(journal.end) == 0


@pytest.mark.parametrize(
    "torn", [b"{", b'{"kind":"gpu","ts":1795500000000,"source":"node:a","received":17955', b"\0" * 50]
)
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    """A kill in the middle of a write leaves nothing behind; the next line follows the last whole one."""
    journal = Journal(tmp_path, 1 << 20)
    put(journal, T0, T0 + 5)
    journal.close()
    file = tmp_path / "frames-0000000001.ndjson"
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    again = Journal(tmp_path, 1 << 20)
    assert file.read_bytes() == whole
    assert (again.end, again.stamp) == (Place(1, len(whole), 2), T0 + 5)
    put(again, T0 + 6)
    assert len(list(everything(again))) == 3


def test_stamps_never_go_back(tmp_path: Path) -> None:
    """Not while it is open, and not after a start with a clock that was set back; garbage at the end hides nothing."""
    journal = Journal(tmp_path, 100)
    put(journal, T0)
    journal.append([b"garbage", b'{"received":' + str(T0 + 10**9).encode() + b"}"], 2, journal.stamp)
    journal.append([b"garbage"] * 30, 30, journal.stamp)
    journal.append([b"garbage"] * 30, 30, journal.stamp)
    journal.close()
    again = Journal(tmp_path, 100)
    assert again.stamp_at(T0 - 60_000) == T0
    assert again.mark(T0 - 60_000) == T0
    assert again.mark(T0 + 7) == T0 + 7


def test_segments_are_deleted_when_nobody_needs_them(tmp_path: Path) -> None:
    """Only those before the place, and only when they are old enough."""
    journal = Journal(tmp_path, 100)
    for n in range(6):
        put(journal, T0 + n, T0 + n)
    files = sorted(tmp_path.iterdir())
    os.utime(files[0], (1000, 1000))
    os.utime(files[2], (1000, 1000))
    journal.forget(journal.first, 2000)
    assert sorted(tmp_path.iterdir()) == files
    journal.forget(journal.end, 2000)
    assert sorted(tmp_path.iterdir()) == files[1:]
    journal.forget(journal.end, 1e12)
    assert sorted(tmp_path.iterdir()) == files[-1:]
    assert Journal(tmp_path, 100).first == Place(len(files))


def test_an_empty_segment_holds_nobody_up(tmp_path: Path) -> None:
    """A segment that was begun and not written, for want of room, is gone over like any other."""
    journal = Journal(tmp_path, 100)
    put(journal, T0, T0)
    journal._rotate()
    lines, place = journal.read(journal.first, 1 << 20)
    assert len(lines) == 2
    assert journal.read(place, 1 << 20) == ([], journal.end)
    assert not journal.wait(journal.end, 0)


def test_nothing_is_half_accepted(tmp_path: Path) -> None:
    """Where there is no room for all of it, nothing of it is there; with room again the next is whole."""
    journal = Journal(tmp_path, 1 << 20)
    put(journal, T0)
    before = (tmp_path / "frames-0000000001.ndjson").read_bytes()
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(JournalError) as caught:
            put(journal, *[T0 + 1] * 10)
        assert (caught.value.number, caught.value.full) == (errno.EFBIG, True)
        with pytest.raises(JournalError):
            journal.mark(T0 + 9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / "frames-0000000001.ndjson").read_bytes() == before
    put(journal, journal.stamp_at(T0 + 2))
    received = [json.loads(line)["received"] for _, _, line in everything(journal)]
    assert received == [T0, T0 + 9]  # the mark that could not be written counted
