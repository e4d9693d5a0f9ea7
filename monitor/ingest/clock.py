"""The reader's clock: what time it is in a recording, told from the order of its lines.

A file can look ahead. The clock at line i is the running maximum of the median stamp over the lines
i - 500 .. i + 500, the window shrinking evenly at both ends; over the first 64 lines it is the least of the
medians still to come, so a first line from another year does not set it. Holes, bursts and lone slow series
need no rule of their own. Stamps of a source that is minutes off are set right before they count in the
median: where the recording jumps over a hole, the clock would pass through them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

HALF_WINDOW = 500
HEAD = 64
OFF_MS = 120_000
"""A source whose stamps are this far from the clock, on average over its last lines, is off by that much."""

LEAD_GAIN = 0.2
STEADY_MS = 30_000
"""A lead is believed while the last line bore it out this well: after a backlog it is not."""

Payload = TypeVar("Payload")

_NO_LEAD = (0.0, False)


class ReaderClock(Generic[Payload]):
    """Stamped payloads in, (clock, payload) out, 500 lines later.

    >>> clock = ReaderClock()
    >>> early = [list(clock.push(stamp, stamp)) for stamp in (2_000, 10, 20, 15, 30)]
    >>> list(clock.finish())
    [(20, 2000), (20, 10), (20, 20), (20, 15), (30, 30)]
    """

    def __init__(self) -> None:
        self._stamps: deque[int] = deque()  # the window's, set right, oldest first
        self._sorted: list[int] = []
        self._ahead: deque[tuple[int, str, Payload]] = deque()  # read, not in the window yet
        self._waiting: deque[tuple[int, str, Payload]] = deque()  # in the window, their clock not told yet
        self._head: list[tuple[int, Payload]] = []  # the first medians, held back
        self._kept: deque[int] = deque()  # of lines that were in the window when the state was kept
        self._lead: dict[str, tuple[float, bool]] = {}  # by source: how far it is ahead; whether steadily
        self._told = 0  # payloads whose median is known
        self._now: int | None = None

    def push(self, stamp: int, payload: Payload, source: str = "") -> Sequence[tuple[int, Payload]]:
        """Take one line of a source; return those whose clock is now known."""
        self._ahead.append((stamp, source, payload))
        told: list[tuple[int, Payload]] = []
        while self._can_advance():
            told += self._advance(shrink=False)
        return told

    def finish(self) -> Sequence[tuple[int, Payload]]:
        """Say that no line follows; return the rest."""
        told: list[tuple[int, Payload]] = []
        while self._waiting or self._ahead:
            told += self._advance(shrink=not self._can_advance())
        return told + self._release_head()

    def _can_advance(self) -> bool:
        """Whether the next line's whole window has been read."""
        half = min(self._told, HALF_WINDOW)
        return len(self._waiting) + len(self._ahead) > half

    def _advance(self, *, shrink: bool) -> list[tuple[int, Payload]]:
        ahead, waiting, stamps, ordered = self._ahead, self._waiting, self._stamps, self._sorted
        half = min(self._told, HALF_WINDOW)
        while ahead and len(waiting) <= half:
            line = ahead.popleft()
            waiting.append(line)
            self._let_in(line[0], line[1])
        half = min(half, len(waiting) - 1) if shrink else half
        while len(stamps) - len(waiting) > half:
            del ordered[bisect_left(ordered, stamps.popleft())]
        self._told += 1
        stamp, source, payload = waiting.popleft()
        median = ordered[len(ordered) // 2]
        self._learn(source, stamp - median)
        if self._now is None:
            return self._hold_back(median, payload)
        self._now = max(self._now, median)
        return [(self._now, payload)]

    def _let_in(self, stamp: int, source: str) -> None:
        """Let a stamp into the window, set right by what its source is off."""
        lead, steady = self._lead.get(source, _NO_LEAD)
        right = stamp - round(lead) if steady and abs(lead) > OFF_MS else stamp
        if self._kept:
            right = self._kept.popleft()
        self._stamps.append(right)
        insort(self._sorted, right)

    def _learn(self, source: str, lead: int) -> None:
        known = self._lead[source][0] if source in self._lead else float(lead)
        off = lead - known
        self._lead[source] = (known + LEAD_GAIN * off, -STEADY_MS <= off <= STEADY_MS)

    def _hold_back(self, median: int, payload: Payload) -> list[tuple[int, Payload]]:
        """Hold back the first lines until there are enough of them."""
        self._head.append((median, payload))
        return self._release_head() if len(self._head) == HEAD else []

    def _release_head(self) -> list[tuple[int, Payload]]:
        """Tell the clocks of the first lines: the least of the medians from each on."""
        least: list[int] = []
        told: list[tuple[int, Payload]] = []
        for median, _ in reversed(self._head):
            least.append(min(median, least[-1]) if least else median)
        for clock, (_, payload) in zip(reversed(least), self._head, strict=True):
            self._now = clock
            told.append((clock, payload))
        self._head = []
        return told

    @property
    def settled(self) -> bool:
        """Whether the first lines are told, so that the state can be kept."""
        return self._now is not None and self._told > 0

    def to_state(self) -> dict[str, object]:
        """Return what a clock needs to go on with the line after the last one told."""
        past = len(self._stamps) - len(self._waiting)
        return {
            "past": list(self._stamps)[:past],
            "ahead": [*list(self._stamps)[past:], *self._kept],
            "told": self._told,
            "now": self._now,
            "lead": {source: list(lead) for source, lead in self._lead.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, object]) -> ReaderClock[Payload]:
        """Build a clock that goes on where `to_state` was called; feed it the lines not yet told."""
        clock: ReaderClock[Payload] = cls()
        past: list[int] = state["past"]  # type: ignore[assignment]
        clock._stamps = deque(past)
        clock._sorted = sorted(past)
        clock._kept = deque(state["ahead"])  # type: ignore[call-overload]
        leads: dict[str, list[Any]] = state["lead"]  # type: ignore[assignment]
        clock._lead = {source: (lead, steady) for source, (lead, steady) in leads.items()}
        clock._told = state["told"]  # type: ignore[assignment]
        clock._now = state["now"]  # type: ignore[assignment]
        return clock
