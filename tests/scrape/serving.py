"""A small exposition server, and doors that remember."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from monitor.runners.door import DoorFullError as FullError
from monitor.runners.door import DoorShutError as ShutError

__all__ = ["FullError", "RememberingDoor", "ShutError", "serving"]


@dataclass
class Taken:
    accepted: int
    rejected: list = field(default_factory=list)


class RememberingDoor:
    """Takes everything, or raises what it is told to, so often."""

    def __init__(self) -> None:
        self.frames: list[dict] = []
        self.origins: list[str] = []
        self.raises: list[Exception] = []

    def put(self, lines, origin):
        if self.raises:
            raise self.raises.pop(0)
        self.frames += [json.loads(line) for line in lines]
        self.origins.append(origin)
        return Taken(len(lines))


@asynccontextmanager
async def serving(routes: dict, tls=None):
    """Serve handlers by path on loopback; gives the address."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)
