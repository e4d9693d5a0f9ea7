"""The door of a live process: lines in, an answer when they are safe on disk.

Whoever brings telemetry (HTTP, a scrape, remote write, standard input) calls `Door.put`, from any thread.
Requests that wait together share one write and one sync. What cannot be read is journalled too, as it came,
and becomes a dead letter; what we may not take at all (commands of somebody without a token) is not.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.errors import JournalError, WorkError
from monitor.ingest.frames import Rejection
from monitor.ingest.stamping import check, stamp
from monitor.ingest.verdict import TimeRules, place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.adapters.journal import Journal
    from monitor.adapters.meters import Meters
    from monitor.config.settings import Settings
    from monitor.ingest.stamping import Checked

WAITING_BYTES = 64 << 20
"""Lines in memory that are not written yet; with more, clients are told to wait."""

RETRY_AFTER_S = 2.0
NOT_ALLOWED = "a command needs the token"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of lines: how many are accepted, and (number from 1, reason) of the others."""

    accepted: int
    rejected: tuple[tuple[int, str], ...] = ()


class DoorFullError(WorkError):
    """There is more than can be worked on now; try again after `retry_after_s`. Nothing was taken."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"there is more than can be worked on now; try again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class DoorShutError(WorkError):
    """Nothing is taken: the process stops, or the journal cannot be written (`full`: for want of room)."""

    def __init__(self, reason: str, *, full: bool = False) -> None:
        super().__init__(reason)
        self.full = full


@dataclass(slots=True)
class _Request:
    """Lines on their way, by their number; `rejected` says why some do not count."""

    checked: list[tuple[int, Checked]]
    size: int
    rejected: dict[int, str]
    stamped: bool
    done: threading.Event = field(default_factory=threading.Event)
    error: WorkError | None = None


class Door:
    """Takes lines into the journal. `clock` gives the time in ms; `behind` the bytes not worked on yet."""

    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        meters: Meters,
        clock: Callable[[], int],
        behind: Callable[[], int],
    ) -> None:
        self._journal, self._meters, self._clock, self._behind = journal, meters, clock, behind
        self._rules = TimeRules(settings.tick_ms, settings.lateness_ms, settings.skew_ms, live=True)
        self._backlog_bytes = settings.backlog_bytes
        self._turn = threading.Condition()
        self._waiting: list[_Request] = []
        self._size = 0
        self._shut = ""
        self.problem = ""
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def put(
        self, lines: Sequence[bytes], origin: str, *, commands: bool = False, stamped: bool = False
    ) -> Taken:
        """Take lines; they are durable when this returns. Blank lines are nothing.

        origin: who brought them, for the meters, as `http` or `scrape:node1`. commands: whether those of
        kind `command` may be among them. stamped: honour `received` where a line has it, as only a load of
        what was recorded may; such stamps, too, never go back.
        Raises DoorFullError and DoorShutError; nothing is then taken.
        """
        request = self._check(lines, commands=commands, stamped=stamped)
        if request.checked:
            self._enter(request)
            request.done.wait()
            if request.error is not None:
                raise request.error
        rejected = request.rejected
        accepted = sum(number not in rejected for number, _ in request.checked)
        self._meters.put(origin, accepted, len(rejected))
        return Taken(accepted, tuple(sorted(rejected.items())))

    def shut(self, reason: str) -> None:
        """Take nothing any more; what waits is still written."""
        with self._turn:
            self._shut = self._shut or reason
            self._turn.notify()
        self._thread.join()

    def _check(self, lines: Sequence[bytes], *, commands: bool, stamped: bool) -> _Request:
        checked: list[tuple[int, Checked]] = []
        rejected: dict[int, str] = {}
        for number, line in enumerate(lines, 1):
            if not line or line.isspace():
                continue
            one = check(line)
            if one.rejection is not None:
                rejected[number] = _told(one.rejection)
            if one.header is not None and one.header.kind == "command" and not commands:
                rejected[number] = NOT_ALLOWED
            else:
                checked.append((number, one))
        return _Request(checked, sum(len(c.line) for _, c in checked), rejected, stamped)

    def _enter(self, request: _Request) -> None:
        if self._behind() > self._backlog_bytes:
            raise DoorFullError(RETRY_AFTER_S)
        with self._turn:
            if self._shut:
                raise DoorShutError(self._shut)
            if self._size and self._size + request.size > WAITING_BYTES:
                raise DoorFullError(RETRY_AFTER_S)
            self._waiting.append(request)
            self._size += request.size
            self._turn.notify()

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._waiting or self._shut)
                together, self._waiting, self._size = self._waiting, [], 0
            if not together:
                return
            self._write(together)
            for request in together:
                request.done.set()

    def _write(self, together: list[_Request]) -> None:
        """Write and sync what waits together; where that fails, all of it is refused."""
        began = time.monotonic()
        lines: list[bytes] = []
        last = self._journal.stamp
        try:
            for request in together:
                last = self._stamp(request, last, lines)
            self._journal.append(lines, len(lines), last)
            self.problem = ""
        except JournalError as error:
            self.problem = str(error)
            for request in together:
                request.error = DoorShutError(str(error), full=error.full)
        self._meters.commit(time.monotonic() - began, len(together))

    def _stamp(self, request: _Request, last: int, lines: list[bytes]) -> int:
        """Add the lines of a request as they are journalled; return the last stamp, which never goes back."""
        if not request.stamped or not any(c.received for _, c in request.checked):
            last = max(last, self._clock())
        for number, one in request.checked:
            if one.header is None:
                lines.append(one.line)
                continue
            if request.stamped and one.received is not None:
                last = max(last, one.received)
            lines.append(stamp(one.line, last))
            one.header.received = last
            placed = place(one.header, last, self._rules)
            if isinstance(placed, Rejection) and one.rejection is None:
                request.rejected[number] = _told(placed)
        return last


def _told(rejection: Rejection) -> str:
    return f"{rejection.reason}: {rejection.detail}"
