"""What the process alone can read while it works: dead letters as they come, and its store."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from monitor.adapters.records import dead_letters
from monitor.errors import StoreError
from monitor.runners.live import DEAD
from monitor.web.app import ASKING, BUDGET, LIVE, POOL, answer, need_token
from monitor.web.body import BodyError, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.adapters.clickhouse import Store
    from monitor.types import DeadLetter

ROUTES = web.RouteTableDef()
QUESTION_BYTES = 64 << 10
LIMITS = {"max_execution_time": 20, "max_memory_usage": 500_000_000, "max_result_bytes": 32 << 20}
"""What a question may cost the process that pages."""

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
    return answer({"tables": await _of_store(request, lambda store: store.stats())})


@ROUTES.post("/v1/query")
async def query(request: web.Request) -> web.Response:
    """Answer a question in SQL, the body, which may only read and cost so much."""
    need_token(request)
    with request.app[BUDGET].share() as share:
        timeout_s = request.app[LIVE].rules.settings.client_timeout_ms / 1000
        body = await read(request, share, QUESTION_BYTES, timeout_s)
    sql = body.decode("utf-8", "replace")
    async with request.app[ASKING]:
        columns, rows = await _of_store(request, lambda store: store.ask(sql, LIMITS))
    return answer({"columns": columns, "rows": msgspec.to_builtins(rows, enc_hook=str)})


async def _of_store(request: web.Request, what: Callable[[Store], Any]) -> Any:
    """Return what the store says, by a client of its own, so that the work goes on meanwhile."""
    live = request.app[LIVE]
    if live.plan.store is None:
        raise BodyError(404, "this process writes no store")

    def work() -> Any:
        store = live.engine.ask(lambda life: life.another_store())
        if store is None:
            raise BodyError(503, live.problems().get("store", "the store is away"))
        with store:
            return what(store)

    try:
        return await asyncio.get_running_loop().run_in_executor(request.app[POOL], work)
    except StoreError as error:
        raise BodyError(400, str(error)) from error
