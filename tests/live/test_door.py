"""The door: what is taken is durable and told, what is not is not there (contract: HTTP)."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from monitor.adapters.journal import Journal
from monitor.adapters.meters import Meters
from monitor.config.settings import Settings
from monitor.errors import JournalError
from monitor.runners.door import Door, DoorFullError, DoorShutError, Taken
from tests.live.conftest import Clock

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_795_500_000_000


def frame(ts: int = T0, **more: Any) -> bytes:
    return json.dumps({"kind": "gpu", "ts": ts, "source": "node:a", "metrics": {"xid": [0]}, **more}).encode()


class Desk:
    """A door with its journal and clock; `waits` is what the pipeline has not worked on."""

    def __init__(self, path: Path) -> None:
        self.clock, self.waits = Clock(T0), 0
        self.journal = Journal(path, 1 << 20)
        self.door = Door(self.journal, Settings(), Meters(), self.clock, lambda: self.waits)

    def lines(self) -> list[bytes]:
        return self.journal.read(self.journal.first, 1 << 30)[0]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_lines_are_stamped_and_an_old_stamp_does_not_count(desk: Desk) -> None:
    """`received` is ours, whatever a client wrote, and stands at the end; the rest is as it came."""
    for given in (None, 5, T0 - 1, "soon", [1], None):
        more = {} if given is None else {"received": given}
        assert desk.door.put([frame(**more)], "http") == Taken(1)
        desk.clock.now -= 10
    assert {json.loads(line)["received"] for line in desk.lines()} == {T0}
    assert all(line.count(b"received") == 1 for line in desk.lines())
    assert desk.lines()[0] == frame()[:-1] + b',"received":%d}' % T0


def test_a_load_keeps_stamps_but_they_do_not_go_back(desk: Desk) -> None:
    """Stamps are honoured only where the caller may ask for it."""
    old = T0 - 86_400_000
    desk.door.put([frame(old, received=old + n) for n in (5, 3, 9)], "stdin", stamped=True)
    assert [json.loads(line)["received"] - old for line in desk.lines()] == [5, 5, 9]


def test_what_cannot_be_read_is_kept_as_it_came(desk: Desk) -> None:
    """Bad lines are told by number and journalled; a frame ahead of our clock is told too."""
    bad = [b"{", b'{"kind":"gpu"}', b"\xff", b'{"received":%d}' % (T0 + 10**9)]
    taken = desk.door.put([b"", *bad, frame(T0 + 3_600_000), frame(), b"  "], "http")
    assert (taken.accepted, [number for number, _ in taken.rejected]) == (1, [2, 3, 4, 5, 6])
    assert desk.lines()[:4] == bad
    assert len(desk.lines()) == 6


def test_a_frame_that_the_stamp_makes_too_long(desk: Desk) -> None:
    """The limit counts what is journalled, so that a replay says the same."""
    long = frame(tags={"pad": "x" * ((1 << 20) - len(frame(tags={"pad": ""})))})
    assert len(long) == 1 << 20
    assert desk.door.put([long], "http").rejected[0][1].startswith("oversized")
    assert len(desk.lines()[0]) > 1 << 20


def test_many_at_once_share_a_sync(desk: Desk) -> None:
    """Two hundred callers: each frame is there once, in fewer writes than callers."""
    writes = threading.Semaphore(0)
    append = desk.journal.append

    def counted(*arguments: Any) -> Any:
        writes.release()
        return append(*arguments)

    desk.journal.append = counted  # type: ignore[method-assign]
    with ThreadPoolExecutor(50) as pool:
        taken = list(pool.map(lambda n: desk.door.put([frame(seq=n)], "http"), range(200)))
    assert taken == [Taken(1)] * 200
    assert sorted(json.loads(line)["seq"] for line in desk.lines()) == list(range(200))
    assert writes._value < 200


def test_full_and_shut(desk: Desk) -> None:
    """With too much waiting, and after the end, nothing is taken, and the caller knows which."""
    desk.waits = Settings().backlog_bytes + 1
    with pytest.raises(DoorFullError) as full:
        desk.door.put([frame()], "http")
    assert full.value.retry_after_s > 0
    desk.waits = 0
    desk.door.shut("the process stops")
    with pytest.raises(DoorShutError, match="the process stops"):
        desk.door.put([frame()], "http")
    assert desk.lines() == []


def test_a_journal_that_cannot_be_written(desk: Desk) -> None:
    """Everybody who waits is told why; when it can be written again, the door is open again."""
    end = desk.journal.end
    broken, desk.journal._fd = desk.journal._fd, os.open("/dev/full", os.O_WRONLY)
    desk.journal._undo = lambda: None  # type: ignore[method-assign]
    with pytest.raises(DoorShutError, match="No space left on device") as shut:
        desk.door.put([frame()], "http")
    assert shut.value.full
    assert "No space left" in desk.door.problem
    assert desk.journal.end == end
    with pytest.raises(JournalError):
        desk.journal.mark(T0)
    desk.journal._fd = broken
    assert desk.door.put([frame()], "http") == Taken(1)
    assert desk.door.problem == ""
