"""What the pipeline crashed on: a bug of ours costs the frames that it is met with, not the work.

A crash ends a life, since what is in memory may be half changed. The next life comes to the same line or
tick; where it crashes there again, that is set aside: its frames become dead letters, and the work goes on.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from monitor.ingest.frames import Rejection
from monitor.reasons import DeadReason

if TYPE_CHECKING:
    from monitor.adapters.journal import Place

CRASHES = 2
"""So often the pipeline must crash on something until that is set aside: once may be for want of memory."""

LONGEST_DETAIL = 300

Line = tuple[str, int]
"""A segment of the journal, and the number of a line in it."""


class CrashError(Exception):
    """The pipeline crashed on a line, or as it closed the tick that ends then (ms)."""

    def __init__(self, culprit: Line | int) -> None:
        self.culprit = culprit
        what = (
            f"the tick that ends at {culprit}" if isinstance(culprit, int) else "{}, line {}".format(*culprit)
        )
        super().__init__(f"a bug of ours: the pipeline crashed on {what}")


class Crashes:
    """Counts crashes. `lines` and `ticks`: what is set aside, and why."""

    def __init__(self) -> None:
        self._counts: Counter[Line | int] = Counter()
        self.lines: dict[Line, Rejection] = {}
        self.ticks: dict[int, Rejection] = {}
        self.told = ""
        """What was set aside last, "" for nothing yet."""

    def note(self, crash: CrashError) -> bool:
        """Count a crash; return whether that sets something aside."""
        culprit = crash.culprit
        self._counts[culprit] += 1
        if self._counts[culprit] != CRASHES:
            return False
        detail = repr(crash.__cause__)[:LONGEST_DETAIL]
        rejection = Rejection(DeadReason.CRASHED, detail)
        if isinstance(culprit, int):
            self.ticks[culprit] = rejection
        else:
            self.lines[culprit] = rejection
        self.told = f"{crash} ({detail}), which is set aside: see `monitor dead list --reason crashed`"
        return True

    def forget(self, place: Place, closed: int) -> None:
        """Forget what is never worked on again: what lies before a place, and ticks that are closed."""
        behind = (place.file, place.line)
        for culprit in list(self._counts):
            if culprit <= closed if isinstance(culprit, int) else culprit <= behind:
                del self._counts[culprit]
        self.lines = {line: why for line, why in self.lines.items() if line in self._counts}
        self.ticks = {end: why for end, why in self.ticks.items() if end in self._counts}
