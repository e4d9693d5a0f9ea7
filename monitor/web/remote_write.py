"""`POST /api/v1/write`: what Prometheus pushes, to frames through the door.

The answer is 204 when the frames are safe; 400, 413 or 415 for what will never be read; 429 and 503 for what
may be sent again. Samples that no label map knows count as written: they were taken, and are needed nowhere.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from aiohttp import web

from monitor.ingest.exposition.remote import V2, Push, Refusal, RemoteWrite
from monitor.runners.delivery import wall_clock
from monitor.runners.taking import Refused, put_or_say
from monitor.web.body import BodyError, read

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from monitor.ingest.exposition.tally import LeftOut
    from monitor.runners.sources import Sources
    from monitor.runners.taking import Door
    from monitor.web.body import Budget

MAX_BODY = 32 * 2**20
PROBLEMS_TOLD = 5
WRITTEN = "X-Prometheus-Remote-Write-{}-Written"
ORIGIN = "remote_write"


class RemoteWriteReceiver:
    """Takes pushes. One for a process; `write` may be called from any thread."""

    def __init__(self, sources: Sources, door: Door, clock: Callable[[], int] = wall_clock) -> None:
        self._sources, self._door, self._clock = sources, door, clock
        self._remote = RemoteWrite(sources.placer)
        self._lock = threading.Lock()
        sources.also(self._left_out)

    def write(self, headers: Mapping[str, str], body: bytes) -> web.Response:
        """Take a push and say what became of it. `headers` by lower-case name."""
        now = self._clock()
        with self._lock:
            push = self._remote.read(headers, body, now)
        if isinstance(push, Refusal):
            return web.Response(status=push.status, text=push.detail + "\n")
        lines = self._sources.assemble(push.placed, now)
        answer = put_or_say(self._door, lines, ORIGIN)
        if isinstance(answer, Refused):
            return _refused(answer)
        return _written(push, answer, len(lines))

    def _left_out(self) -> tuple[LeftOut, ...]:
        with self._lock:
            return self._remote.left_out()


def remote_write_handler(
    receiver: RemoteWriteReceiver, budget: Budget, timeout_s: float
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the aiohttp handler of `POST /api/v1/write`; bodies share a budget and have so long to come."""

    async def handle(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        with budget.share() as share:
            try:
                body = await read(request, share, MAX_BODY, timeout_s)
            except BodyError as error:
                return _not_read(error)
            return await asyncio.to_thread(receiver.write, headers, body)

    return handle


def _not_read(error: BodyError) -> web.Response:
    """Say it in words for the sender's log; what is left of the body is not read."""
    after = {"Retry-After": "1"} if error.status == 429 else {}
    response = web.Response(status=error.status, text=f"{error}\n", headers=after)
    response.force_close()
    return response


def _refused(answer: Refused) -> web.Response:
    if answer.retry_after_s is None:
        return web.Response(status=503, text=answer.reason + "\n")
    after = {"Retry-After": str(max(1, round(answer.retry_after_s)))}
    return web.Response(status=429, text=answer.reason + "\n", headers=after)


def _written(push: Push, accepted: int, lines: int) -> web.Response:
    counts = {"Samples": push.samples, "Histograms": 0, "Exemplars": 0} if push.version == V2 else {}
    headers = {WRITTEN.format(what): str(count) for what, count in counts.items()}
    problems = list(push.problems[:PROBLEMS_TOLD])
    if len(push.problems) > PROBLEMS_TOLD:
        problems.append(f"and {len(push.problems) - PROBLEMS_TOLD} more series")
    if accepted < lines:
        problems.append(f"{lines - accepted} of {lines} frames became dead letters; see `monitor dead list`")
    if problems:
        return web.Response(status=400, text="\n".join(problems) + "\n", headers=headers)
    return web.Response(status=204, headers=headers)
