"""Slow frames: bills, changes, delayed labels and sources with a rhythm of ten minutes and more.

They are never late: one whose own tick is closed joins the tick in which it arrived. Since a repeat can come
long after the original, what was seen is remembered by content.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from monitor.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.ingest.frames import Body
    from monitor.ingest.openticks import HeldFrame

SLOW_KINDS = frozenset({"cost", "change", "command"})
TOLD_AGAIN = frozenset({"cost", "command"})
SLOW_RHYTHM = 10 * MINUTE
REMEMBERED = 400
"""Frames of one source whose content is remembered: more than a year of daily bills."""


def is_slow(body: Body, rhythm_ms: int) -> bool:
    """Whether a frame is slow, given its source's learnt rhythm (0 = not learnt).

    >>> from monitor.ingest.frames import Body
    >>> is_slow(Body("cost", 1, "service:a"), 0), is_slow(Body("gpu", 1, "node:a"), 10_000)
    (True, False)
    """
    return body.kind in SLOW_KINDS or "labelled" in body.metrics or rhythm_ms >= SLOW_RHYTHM


class SeenFrames:
    """Digests of the slow frames of each (kind, source), by ts."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], dict[int, list[bytes]]] = {}

    def is_repeat(self, kind: str, source: str, ts: int, frame: HeldFrame) -> bool:
        """Remember a frame; return whether exactly this content was seen before."""
        content = repr((frame.shape, frame.changes, frame.commands)).encode() + frame.value.tobytes()
        digest = blake2b(content, digest_size=8).digest()
        known = self._seen.setdefault((kind, source), {})
        digests = known.setdefault(ts, [])
        if digest in digests:
            return True
        digests.append(digest)
        if len(known) > REMEMBERED:
            del known[min(known)]
        return False

    def forget(self, horizon: int, gone: Callable[[str, str], bool]) -> None:
        """Let go of sources that are gone and said nothing of what came after the horizon.

        Not of bills and commands: these would count once more when they are told again years later.
        """
        for key in [key for key, seen in self._seen.items() if max(seen) < horizon and gone(*key)]:
            if key[0] not in TOLD_AGAIN:
                del self._seen[key]

    def to_state(self) -> list[list[Any]]:
        """Return what is remembered by source, in order."""
        return [[kind, source, seen] for (kind, source), seen in sorted(self._seen.items())]

    def restore(self, state: list[list[Any]], mine: Callable[[str], bool]) -> None:
        """Take back the sources that are `mine` of what `to_state` gave."""
        for kind, source, seen in state:
            if mine(source):
                self._seen[kind, source] = seen
