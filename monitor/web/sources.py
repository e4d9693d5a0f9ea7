"""Prometheus beside the frames: targets that are scraped, remote write, and what of it all is not seen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor.doctor import Diagnosis, diagnose
from monitor.runners.doctor import outside
from monitor.runners.scraper import Scraper
from monitor.runners.sources import Sources
from monitor.web.app import BUDGET, LIVE, OPEN, need_token
from monitor.web.doctor import doctor_handler
from monitor.web.remote_write import RemoteWriteReceiver, remote_write_handler

if TYPE_CHECKING:
    from aiohttp import web

    from monitor.runners.life import Life


def add_sources(app: web.Application) -> Scraper | None:
    """Add the routes of Prometheus and doctor; return the scraper, where there is something to scrape."""
    live = app[LIVE]
    sources = Sources(live.rules, live.topology.at(live.clock()))
    scraper = Scraper(live.scrape, sources, live.door, live.clock, live.meters) if live.scrape else None
    receiver = RemoteWriteReceiver(sources, live.door, live.clock)
    write = remote_write_handler(receiver, app[BUDGET], live.rules.settings.client_timeout_ms / 1000)

    async def post_write(request: web.Request) -> web.Response:
        if not app[OPEN]:
            need_token(request)
        return await write(request)

    def examine(life: Life) -> Diagnosis:
        found = outside(life.dead, sources, scraper.failed() if scraper else {})
        return diagnose(life.pipeline, live.rules.catalog, found)

    async def ask() -> Diagnosis:
        return await asyncio.to_thread(live.engine.ask, examine)

    app.router.add_post("/api/v1/write", post_write)
    app.router.add_get("/v1/doctor", doctor_handler(ask))
    return scraper
