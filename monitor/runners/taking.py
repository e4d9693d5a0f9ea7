"""The door of the live process as sources see it: frames go in, and are safe when it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from monitor.runners.door import DoorFullError, DoorShutError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Taken(Protocol):
    """What became of some lines."""

    @property
    def accepted(self) -> int:
        """How many frames were taken."""

    @property
    def rejected(self) -> Sequence[object]:
        """Those that were not, each with its line and reason."""


class Door(Protocol):
    """Where frames go in. `put` may be called from any thread and returns when the frames are safe.

    It raises DoorFullError when it is full, and DoorShutError when it takes nothing any more.
    """

    def put(self, lines: Sequence[bytes], origin: str) -> Taken:
        """Take frames."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The door did not take the frames; `retry_after_s` says when it may, None that it is shut."""

    reason: str
    retry_after_s: float | None


def put_or_say(door: Door, lines: Sequence[bytes], origin: str) -> int | Refused:
    """Put frames in; return how many were taken, or why none were."""
    try:
        return door.put(lines, origin).accepted if lines else 0
    except DoorFullError as error:
        return Refused(str(error), error.retry_after_s)
    except DoorShutError as error:
        return Refused(str(error), None)


async def put_aside(door: Door, lines: Sequence[bytes], origin: str) -> int | Refused:
    """Do what `put_or_say` does without holding up others."""
    return await asyncio.to_thread(put_or_say, door, lines, origin)
