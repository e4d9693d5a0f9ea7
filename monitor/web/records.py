"""What the process alone can read while it works: dead letters as they come, and its store."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aiohttp import web

from monitor.adapters.records import dead_letters
from monitor.runners.live import DEAD
from monitor.web.app import LIVE, POOL, answer
from monitor.web.body import BodyError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.adapters.clickhouse import TableStats
    from monitor.runners.live import Live
    from monitor.types import DeadLetter

ROUTES = web.RouteTableDef()
FRAMES_BYTES = 8 << 20
"""Frames in one answer, as far as they are more than one."""


@ROUTES.get("/v1/dead")
async def list_dead(request: web.Request) -> web.Response:
    """Count dead letters by reason, and list the first `limit` that are kept; `reason` chooses."""
    reason, limit = request.query.get("reason"), request.query.get("limit", "20")
    if not re.fullmatch(r"\d{1,6}", limit, re.ASCII):
        raise BodyError(400, "limit: write a number, as 20")
    live = request.app[LIVE]
    file = live.plan.state / DEAD
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(request.app[POOL], _first, file, reason, int(limit))
    return answer({"counts": dict(sorted(live.engine.dead.items())), "dead": found})


def _first(file: Path, reason: str | None, limit: int) -> list[DeadLetter]:
    found: list[DeadLetter] = []
    size = 0
    for letter in dead_letters(file, torn=True) if limit else ():
        if reason in {None, letter.reason}:
            size += len(letter.frame)
            if found and size > FRAMES_BYTES:
                break
            found.append(letter)
            if len(found) == limit:
                break
    return found


@ROUTES.get("/v1/store")
async def store_stats(request: web.Request) -> web.Response:
    """Return rows and bytes of each table, and the time that each tier covers."""
    live = request.app[LIVE]
    if live.plan.store is None:
        raise BodyError(404, "this process writes no store")
    found = await asyncio.get_running_loop().run_in_executor(request.app[POOL], _stats, live)
    if found is None:
        raise BodyError(503, live.problems().get("store", "the store is away"))
    return answer({"tables": found})


def _stats(live: Live) -> list[TableStats] | None:
    """Ask the store with a client of its own, so that the work goes on meanwhile."""
    store = live.engine.ask(lambda life: life.another_store())
    if store is None:
        return None
    with store:
        return store.stats()
