"""`POST /v1/frames`: telemetry in, an answer when it is safe on disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from monitor.web.app import BUDGET, LIVE, OPEN, POOL, answer, is_authorised, need_token
from monitor.web.body import Share, encoding_of, lines_of, read, unpack

if TYPE_CHECKING:
    from monitor.runners.door import Taken

ROUTES = web.RouteTableDef()


@ROUTES.post("/v1/frames")
async def post_frames(request: web.Request) -> web.Response:
    """Take NDJSON, plain, gzip or zstd."""
    app = request.app
    if not app[OPEN]:
        need_token(request)
    settings = app[LIVE].rules.settings
    encoding, commands = encoding_of(request), is_authorised(request)
    with app[BUDGET].share() as share:
        packed = await read(request, share, settings.body_bytes, settings.client_timeout_ms / 1000)
        taken = await asyncio.get_running_loop().run_in_executor(
            app[POOL], _take, app, packed, encoding, share, commands
        )
    return answer(
        {"accepted": taken.accepted, "rejected": [{"line": n, "reason": why} for n, why in taken.rejected]},
        202,
    )


def _take(app: web.Application, packed: bytes, encoding: str, share: Share, commands: bool) -> Taken:
    live = app[LIVE]
    data = unpack(packed, encoding, share, live.rules.settings.unpacked_bytes)
    return live.door.put(lines_of(data), "http", commands=commands)
