"""Frames as bytes: when each source sends, what a frame looks like, in which order a recorder writes them.

A frame is a template for its source, filled with numbers that are encoded a whole matrix at a time.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from loadgen.noise import Bools, Ints

    Line = tuple[int, bytes]  # when it arrives at the recorder, ms; the frame

LOST_SHARE = 1e-3
SKEWED_SHARE = 0.02
_encode = msgspec.json.Encoder().encode


def encode_rows(rows: Sequence[Sequence[float]]) -> list[bytes]:
    """Encode each row as the inside of a JSON array, all in one call; NaN is null.

    >>> encode_rows([[61, 60], [59.5, float("nan"), 62]])
    [b'61,60', b'59.5,null,62']
    """
    return _encode(rows)[2:-2].split(b"],[")


class RowCache:
    """Encoded rows by metric, made again only where the numbers changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[NDArray[np.float64] | Ints, list[bytes]]] = {}

    def rows(self, metric: str, matrix: NDArray[np.float64] | Ints) -> list[bytes]:
        """Return the rows of a metric, as a list that the caller may change."""
        known = self._known.get(metric)
        if known is None or not np.array_equal(known[0], matrix):
            known = (matrix.copy(), encode_rows(matrix.tolist()))
            self._known[metric] = known
        return known[1].copy()


class Clock:
    """When the sources of one kind send: a phase of their own within the interval, with jitter.

    A few clocks are 1 to 20 s off: `ts` is what a source's own clock says, `sent` the truth.
    """

    def __init__(self, rng: np.random.Generator, sources: int, start: int, interval_ms: int) -> None:
        self._rng, self._start, self._interval = rng, start, interval_ms
        self._phase = rng.uniform(0.02, 0.97, sources) * interval_ms
        skewed = rng.random(sources) < SKEWED_SHARE
        skew = rng.uniform(1_000, 20_000, sources) * rng.choice([-1, 1], sources)
        self._skew = np.where(skewed, skew, 0.0).astype(np.int64)

    def sent(self, tick: int) -> Ints:
        """Return when each source sends its frame of this tick, ms."""
        jitter = np.clip(self._rng.normal(0, 0.002, len(self._phase)), -0.008, 0.008) * self._interval
        return (self._start + tick * self._interval + self._phase + jitter).astype(np.int64)

    def stamps(self, sent: Ints) -> Ints:
        """Return the `ts` that the sources write."""
        return sent + self._skew

    def arrivals(self, sent: Ints) -> Ints:
        """Return when the frames are taken in: after some 50 ms, now and then after seconds."""
        delay = self._rng.exponential(50.0, len(sent))
        slow = self._rng.random(len(sent)) < 0.002
        delay[slow] += self._rng.uniform(500, 6_000, int(slow.sum()))
        return sent + delay.astype(np.int64) + 1

    def arrives(self) -> Bools:
        """Say which frames of a tick are not lost on the way."""
        kept: Bools = self._rng.random(len(self._phase)) >= LOST_SHARE
        return kept


class Channel:
    """All sources of one kind that send the same metrics at each tick."""

    def __init__(
        self,
        kind: str,
        sources: Sequence[str],
        metrics: Sequence[str],
        clock: Clock,
        *,
        items: Sequence[Sequence[str]] | None = None,
        received: bool = False,
    ) -> None:
        self.clock = clock
        self.items = [b""] * len(sources) if items is None else [item_list(names) for names in items]
        self._seq = np.zeros(len(sources), np.int64)
        self._received = received
        body = b",".join(b'"%b":[%%b]' % name.encode() for name in metrics)
        tail = b',"received":%d}' if received else b"}"
        self._templates = [
            b'{"kind":"%b","ts":%%d,"source":"%b","seq":%%d%%b,"metrics":{%b%%b}%b'
            % (kind.encode(), source.encode(), body, tail)
            for source in sources
        ]

    def restart(self, sources: Ints | Sequence[int]) -> None:
        """Let the sequence numbers of some sources begin again at 0."""
        self._seq[sources] = -1

    def lines(
        self,
        sent: Ints,
        columns: Sequence[Sequence[bytes]],
        alive: Bools,
        items: Mapping[int, bytes] | None = None,
        extra: Mapping[int, bytes] | None = None,
    ) -> list[Line]:
        """Return the frames of one tick.

        columns: for each metric the rows of all sources. items: other items than usual, by source. extra:
        further metrics, encoded, by source.
        """
        self._seq += 1
        items, extra = items or {}, extra or {}
        stamps, arrivals = self.clock.stamps(sent).tolist(), self.clock.arrivals(sent).tolist()
        seq, cells = self._seq.tolist(), list(zip(*columns, strict=True))
        out = []
        for i in np.flatnonzero(alive & self.clock.arrives()).tolist():
            head = (stamps[i], seq[i], items.get(i, self.items[i]))
            tail = (extra.get(i, b""), arrivals[i]) if self._received else (extra.get(i, b""),)
            out.append((arrivals[i], self._templates[i] % (*head, *cells[i], *tail)))
        return out


def item_list(names: Sequence[str]) -> bytes:
    """Return the `items` field of a frame.

    >>> item_list(["0", "1"])
    b',"items":["0","1"]'
    """
    return b',"items":' + _encode(list(names))


def metric_fields(metrics: Mapping[str, list[float | None]]) -> bytes:
    """Return further metrics as they stand behind others in a frame."""
    return b"".join(b',"%b":%b' % (name.encode(), _encode(values)) for name, values in metrics.items())


class Recorder:
    """Puts frames in the order in which they arrive."""

    def __init__(self) -> None:
        self._waiting: list[Line] = []

    def take(self, lines: list[Line], until: int) -> list[bytes]:
        """Take the frames of a tick; return all that arrived before `until` (ms), in order."""
        waiting = sorted(self._waiting + lines, key=itemgetter(0))
        ready = next((i for i, line in enumerate(waiting) if line[0] >= until), len(waiting))
        self._waiting = waiting[ready:]
        return [line for _, line in waiting[:ready]]

    def rest(self) -> list[bytes]:
        """Return what still waits."""
        waiting, self._waiting = self._waiting, []
        return [line for _, line in waiting]
