"""The order of the stages, written once: every way of running the product calls this code.

    line -> place -> partition (ingest) -> close tick -> site: merge -> detect -> aggregate -> correlate

A runner feeds lines and clocks and takes results; it owns files, sockets and the wall clock.
"""

from __future__ import annotations

import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from monitor.ingest.frames import MARK, Header, Rejection
from monitor.ingest.partition import Partition
from monitor.ingest.verdict import TimeRules, place
from monitor.site import Setup, Site, SiteOutput
from monitor.units import DAY, LATEST_TS, tick_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.cells import Late
    from monitor.doctor import SiteStanding
    from monitor.reasons import Quality
    from monitor.types import Silence, SourceLife


def partition_of(source: str, partitions: int) -> int:
    """Return the partition that owns a source: one for all of a name, since items are called by it.

    >>> partition_of("node:n0001", 8) == partition_of("host:n0001", 8)
    True
    """
    return zlib.crc32(source.partition(":")[2].encode()) % partitions


class Pipeline:
    """N partitions and one site in one process, for input whose clock its reader tells.

    `live`: the clock is the stamp of each line, and never goes back; it changes when ticks close, not what
    they give.
    """

    def __init__(self, setup: Setup, *, live: bool = False) -> None:
        settings = setup.settings
        self._rules = TimeRules(settings.tick_ms, settings.lateness_ms, settings.skew_ms, live)
        correct_ms = settings.late_rollup_ms if setup.rollups else 0
        self._partitions = [
            Partition(number, setup.catalog, self._rules, correct_ms) for number in range(setup.partitions)
        ]
        self._owners: dict[str, Partition] = {}
        self._site = Site(setup)
        self._closed = self._day = 0
        self._keep_ms = settings.forget_ms

    @property
    def quality(self) -> Counter[Quality]:
        """What was odd about the data so far, counted by reason."""
        return sum((partition.quality for partition in self._partitions), Counter())

    @property
    def closed(self) -> int:
        """The end of the last tick that was closed."""
        return self._closed

    def standing(self) -> SiteStanding:
        """Return how the site stands."""
        return self._site.standing()

    def lives(self) -> list[SourceLife]:
        """Return how each source sends, in order."""
        return sorted(life for partition in self._partitions for life in partition.lives())

    def silent_items(self) -> list[Silence]:
        """Return the items that stay away while their sources report, in order."""
        return sorted(item for partition in self._partitions for item in partition.silent_items())

    def accept(self, line: bytes, header: Header | Rejection, clock: int) -> Rejection | None:
        """Take a line at the reader's clock. Return why it is a dead letter, if it is one."""
        if isinstance(header, Rejection):
            return header
        if header.kind == MARK:
            return None
        partition = self._owners.get(header.source) or self._own(header.source)
        placed = place(header, clock, self._rules)
        if isinstance(placed, Rejection):
            arrival = clock if header.received is None else min(header.received, clock)
            stamped = header.received is not None
            partition.reject(header.kind, header.source, arrival, stamped=stamped)
            return placed
        return partition.accept(line, placed, self._closed, self._rules.settled_by(clock))

    def _own(self, source: str) -> Partition:
        partition = self._partitions[partition_of(source, len(self._partitions))]
        self._owners[source] = partition
        return partition

    @property
    def closes_at(self) -> int:
        """The clock at which the next tick closes; `advance` does nothing before it."""
        return self._closed + self._rules.tick_ms + self._rules.patience_ms

    def advance(self, clock: int) -> Iterator[SiteOutput]:
        """Close every tick that the clock has closed and in which something is due."""
        limit = self._rules.closed_by(clock)
        if limit <= self._closed:
            return
        while (due := self._next_due()) is not None and due <= limit:
            yield self._close(due, judge=True)
        self._closed = limit

    def finish(self, clock: int) -> Iterator[SiteOutput]:
        """Close every tick that holds a frame; judge silence and deadlines only up to the clock."""
        last = clock // self._rules.tick_ms * self._rules.tick_ms
        while (due := self._next_due()) is not None and due <= last:
            yield self._close(due, judge=True)
        while (held := self._first_held()) is not None:
            yield self._close(held, judge=False)

    def set_aside(self, end: int) -> list[bytes]:
        """Take the frames of an open tick out of it and return them; that their sources live is noted."""
        return [line for partition in self._partitions for line in partition.set_aside(end)]

    def take_late(self, *, final: bool = False) -> list[Late]:
        """Return what came late since the last time, with `Setup.rollups`; at the end, what waits too."""
        closed = LATEST_TS if final else self._closed
        late = [partition.take_late(closed) for partition in self._partitions]
        return [part for part in late if part is not None]

    def _first_held(self) -> int | None:
        held = [partition.first_held() for partition in self._partitions]
        return min((end for end in held if end is not None), default=None)

    def _next_due(self) -> int | None:
        dues = [partition.next_due() for partition in self._partitions]
        dues.append(self._site.next_due())
        soonest = self._closed + self._rules.tick_ms
        return min((max(due, soonest) for due in dues if due is not None), default=None)

    def _close(self, end: int, *, judge: bool) -> SiteOutput:
        self._closed = end
        if tick_end(end, DAY) != self._day:
            self._forget(end)
        return self._site.close(end, [p.close(end, judge=judge) for p in self._partitions], judge=judge)

    def _forget(self, end: int) -> None:
        """Let go, with the first tick of a day, of what was not heard for long: churn would fill memory."""
        self._day = tick_end(end, DAY)
        self._owners.clear()
        for partition in self._partitions:
            partition.forget(end, self._keep_ms)
        self._site.forget(end, self._keep_ms)

    def to_state(self) -> dict[str, Any]:
        """Return the whole state, by source where it belongs to one."""
        return {
            "closed": self._closed,
            "day": self._day,
            "partitions": [partition.to_state() for partition in self._partitions],
            "site": self._site.to_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `to_state` gave, under any number of partitions."""
        self._closed, self._day = state["closed"], state["day"]
        self._site.restore(state["site"])
        for partition in self._partitions:
            for old in state["partitions"]:
                partition.restore(old, self._owned_by(partition.number))

    def _owned_by(self, number: int) -> Callable[[str], bool]:
        count = len(self._partitions)
        return lambda source: partition_of(source, count) == number
