"""Whether a frame is in time: decided once, by the reader, from the frame and its log alone."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from monitor.ingest.frames import Header, Rejection
from monitor.reasons import DeadReason
from monitor.units import tick_end


class Timing(IntEnum):
    """How a readable frame stands to the tick that its `ts` names."""

    IN_TIME = 0
    LATE = 1


class TimeRules(msgspec.Struct, frozen=True):
    """The durations that place frames in time, in milliseconds.

    `live`: the reader's clock is its own stamps, which never go back, so a tick need not wait for the skew.
    """

    tick_ms: int
    lateness_ms: int
    skew_ms: int
    live: bool = False

    @property
    def patience_ms(self) -> int:
        """How far the clock must have passed the end of a tick for it to close.

        Live, a frame received a whole lateness after its tick's end still counts, hence the 1 ms.
        """
        return self.lateness_ms + (1 if self.live else self.skew_ms)

    def closed_by(self, clock: int) -> int:
        """Return the end of the last tick that the reader's clock has closed."""
        return (clock - self.patience_ms) // self.tick_ms * self.tick_ms

    def settled_by(self, clock: int) -> int:
        """Return the end of the last tick that is closed at this clock live and in a replay alike."""
        return (clock - self.lateness_ms - self.skew_ms) // self.tick_ms * self.tick_ms


class Placed(msgspec.Struct, frozen=True):
    """A frame's timing and when it was taken in: its stamp, or the reader's clock."""

    timing: Timing
    arrival: int
    stamped: bool


def place(header: Header, clock: int, rules: TimeRules) -> Placed | Rejection:
    """Place a frame of a recording.

    A stamped frame is late when its stamp is more than the lateness after the end of its tick, ahead when
    its ts is more than the skew after its stamp. Without a stamp, the reader's clock and the skew judge.
    """
    arrival = clock if header.received is None else header.received
    if arrival - clock > rules.skew_ms:
        return _ahead("received", arrival - clock, "the clock of the recording", rules)
    if header.ts - arrival > rules.skew_ms:
        return _ahead("ts", header.ts - arrival, "when it was taken in", rules)
    end = tick_end(header.ts, rules.tick_ms)
    stamped = header.received is not None
    late = arrival - end > rules.lateness_ms if stamped else clock - header.ts > rules.skew_ms
    closed = end <= rules.closed_by(clock)
    return Placed(Timing.LATE if late or closed else Timing.IN_TIME, arrival, stamped)


def _ahead(field: str, by_ms: int, of: str, rules: TimeRules) -> Rejection:
    detail = f"{field} is {by_ms / 1000:.0f} s ahead of {of}; {rules.skew_ms / 1000:.0f} s are allowed"
    return Rejection(DeadReason.AHEAD, detail)
