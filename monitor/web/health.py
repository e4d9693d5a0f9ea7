"""Whether the process is caught up, and its metrics."""

from __future__ import annotations

from aiohttp import web

from monitor.web.app import LIVE, answer

ROUTES = web.RouteTableDef()


@ROUTES.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    """Say whether the process is caught up: 200, or 503 with the reasons."""
    live = request.app[LIVE]
    problems = live.problems()
    record = {
        "status": "behind" if problems else "ok",
        "reasons": problems,
        "warnings": live.warnings(),
        "lag_seconds": live.engine.lag_ms() / 1000,
        "backlog_bytes": live.engine.behind(),
        "pages_pending": live.delivery.pending(),
    }
    return answer(record, 503 if problems else 200)


@ROUTES.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Return the metrics in Prometheus' text format."""
    live = request.app[LIVE]
    live.measure()
    return web.Response(
        body=live.meters.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )
