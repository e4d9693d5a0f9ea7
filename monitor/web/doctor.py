"""`GET /v1/doctor`: how the live pipeline stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.doctor import Diagnosis


def doctor_handler(
    ask: Callable[[], Awaitable[Diagnosis]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the aiohttp handler. `ask` makes the report where the pipeline lives, between two ticks."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(await ask()), content_type="application/json")

    return handle
