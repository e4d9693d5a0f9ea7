"""The incidents as they stand, in memory: what the live process answers about."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from monitor.units import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.types import Incident

KEEP_MS = 30 * DAY
KEEP_LINES = 1_000
OVER = ("resolved", "merged")


class Board:
    """Histories of incidents by id. Those that ended are forgotten 30 days (of event time) later.

    Of one that goes on for ever the last lines are kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._histories: dict[str, deque[Incident]] = {}
        self._now = 0

    def reset(self, lines: Iterable[Incident]) -> None:
        """Begin anew with lines of the incidents output."""
        with self._lock:
            self._histories = {}
        self.take(lines)

    def take(self, lines: Iterable[Incident]) -> None:
        """Take further lines, in order."""
        with self._lock:
            for line in lines:
                self._histories.setdefault(line.id, deque(maxlen=KEEP_LINES)).append(line)
                self._now = max(self._now, line.updated_at)
            for name in [name for name, history in self._histories.items() if self._is_old(history[-1])]:
                del self._histories[name]

    def recall(self, lines: Iterable[Incident]) -> None:
        """Take the last lines of incidents whose every line the files have let go."""
        known = self._histories.keys()
        self.take([line for line in lines if line.id not in known])

    def unfinished(self) -> list[Incident]:
        """Return the last line of each incident that is not over."""
        return [line for line in self.standing() if line.state not in OVER]

    def _is_old(self, line: Incident) -> bool:
        return line.state in OVER and self._now - line.updated_at > KEEP_MS

    def standing(self, state: str | None = None, since: int | None = None) -> list[Incident]:
        """Return how each (id, episode) stands, by detection; of one state, touched at or after `since`."""
        with self._lock:
            last = {(line.id, line.episode): line for history in self._histories.values() for line in history}
        return sorted(
            (
                line
                for line in last.values()
                if state in {None, line.state} and (since is None or line.updated_at >= since)
            ),
            key=lambda line: (line.detected_at, line.id, line.episode),
        )

    def history(self, incident: str) -> list[Incident]:
        """Return the lines of the incidents whose id begins so, in order."""
        with self._lock:
            return [
                line
                for name, history in self._histories.items()
                if name.startswith(incident)
                for line in history
            ]
