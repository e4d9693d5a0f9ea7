"""The web application: routes over a live process, to which others add theirs.

Every answer is JSON but the metrics. Whatever goes wrong is said in `error`; nothing of a request's headers
is ever said or logged.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from monitor.runners.door import DoorFullError, DoorShutError
from monitor.runners.live import Live
from monitor.web.body import BodyError, Budget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOG = logging.getLogger("monitor.web")

LIVE = web.AppKey("live", Live)
BUDGET = web.AppKey("budget", Budget)
POOL = web.AppKey("pool", ThreadPoolExecutor)
OPEN = web.AppKey("open", bool)
ASKING = web.AppKey("asking", asyncio.Lock)
"""Held by the one question to the store that is answered at a time: the others leave threads to frames."""

THREADS = 16
"""Requests that are unpacked, checked and waited for at a time."""


def build_app(live: Live, *, open_ingest: bool = True) -> web.Application:
    """Build the application. `open_ingest`: frames need no token (that of a loopback address).

    Add routes with `app.router.add_*`; `app[LIVE].door` takes frames, `app[POOL]` runs what blocks.
    """
    from monitor.web import frames, health, incidents, records

    app = web.Application(middlewares=[_guard])
    app[LIVE], app[BUDGET], app[OPEN] = live, Budget(), open_ingest
    app[ASKING] = asyncio.Lock()
    app[POOL] = ThreadPoolExecutor(THREADS, thread_name_prefix="web")
    app.on_cleanup.append(_end)
    for routes in (frames.ROUTES, incidents.ROUTES, records.ROUTES, health.ROUTES):
        app.router.add_routes(routes)
    return app


async def _end(app: web.Application) -> None:
    app[POOL].shutdown(wait=True)


def answer(record: Any, status: int = 200, **headers: str) -> web.Response:
    """Return a record as JSON."""
    return web.Response(
        body=msgspec.json.encode(record), status=status, content_type="application/json", headers=headers
    )


def refuse(status: int, reason: str, **headers: str) -> web.Response:
    """Return why a request was not done."""
    return answer({"error": reason}, status, **headers)


def is_authorised(request: web.Request) -> bool:
    """Whether a request carries the token, as `Authorization: Bearer TOKEN`."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = request.app[LIVE].token
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return scheme.lower() == "bearer" and same


def need_token(request: web.Request) -> None:
    """Raise BodyError 401 unless a request carries the token."""
    if not is_authorised(request):
        given = "this is not the token" if "Authorization" in request.headers else "this needs the token"
        raise BodyError(401, f"{given}: send `Authorization: Bearer TOKEN`")


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as JSON, count, and refuse what a web page of somebody else may have sent."""
    began = time.monotonic()
    try:
        response = await _answered(request, handler)
    except web.HTTPException as error:
        response = refuse(error.status, error.reason)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    meters = request.app[LIVE].meters
    meters.requests.labels(route, str(response.status)).inc()
    meters.seconds.labels(route).observe(time.monotonic() - began)
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method != "GET" and "Origin" in request.headers:
        return refuse(403, "requests of web pages are not taken")
    try:
        return await handler(request)
    except BodyError as error:
        return _refused(request, error)
    except DoorFullError as error:
        return refuse(429, str(error), **{"Retry-After": f"{max(1, round(error.retry_after_s))}"})
    except DoorShutError as error:
        return refuse(507 if error.full else 503, str(error), **{"Retry-After": "10"})
    except web.HTTPException:
        raise
    except Exception:
        LOG.exception("a request of %s failed", request.rel_url.path)
        return refuse(500, "this should not happen; the log of the process says more")


def _refused(request: web.Request, error: BodyError) -> web.Response:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(error.status, {})
    response = refuse(error.status, str(error), **headers)
    if not request.content.at_eof():
        response.force_close()  # what is left of the body is not read
    return response
