"""Pages as lines of a file: for whoever has no pager, and to see what would be sent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from monitor.notify.pagerduty import event
from monitor.notify.records import Answer
from monitor.reasons import Outcome
from monitor.units import iso

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Notice


class PageFile:
    """A channel that appends one JSON object a line, durable when it answers."""

    def __init__(self, path: Path, settings: NotifySettings) -> None:
        self._path, self._settings = path, settings

    def send(self, notice: Notice) -> Answer:
        """Append the event that PagerDuty would get. A full disk is tried again, as a receiver in need is."""
        record = {
            "at": iso(notice.at),
            "id": notice.id,
            "action": notice.action.value,
            "event": event(notice, self._settings),
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as stream:
                stream.write(_line_end(stream) + msgspec.json.encode(record) + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            return Answer(Outcome.UNREACHABLE, f"{self._path}: {error.strerror}")
        return Answer(Outcome.OK, "written")

    def close(self) -> None:
        """Nothing stays open."""


def _line_end(stream: object) -> bytes:
    """Return what ends a line that a killed process left torn."""
    if stream.seek(0, os.SEEK_END) == 0:  # type: ignore[attr-defined]
        return b""
    stream.seek(-1, os.SEEK_END)  # type: ignore[attr-defined]
    return b"" if stream.read(1) == b"\n" else b"\n"  # type: ignore[attr-defined]
