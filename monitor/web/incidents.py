"""Incidents out, and what people say about them in."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from monitor.adapters import records
from monitor.runners.board import OVER
from monitor.runners.build import DECISIONS
from monitor.web.app import BUDGET, LIVE, POOL, answer, need_token
from monitor.web.body import BodyError, read

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.correlate.observe import Decision
    from monitor.types import Incident

ROUTES = web.RouteTableDef()
STATES = ("open", "acknowledged", "resolved", "merged")
MARKS = ("actionable", "noise")
COMMAND_BYTES = 4096
USER = re.compile(r"[\w.@+-]{1,64}", re.ASCII)


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody says about an incident."""

    user: str = "api"
    as_: str = msgspec.field(default="", name="as")


@ROUTES.get("/v1/incidents")
async def list_incidents(request: web.Request) -> web.Response:
    """List incidents as they stand; `state`, `since` (ms) choose."""
    state, since = request.query.get("state"), request.query.get("since")
    if state is not None and state not in STATES:
        raise BodyError(400, f"state: write one of {', '.join(STATES)}")
    if since is not None and not re.fullmatch(r"\d{1,15}", since, re.ASCII):
        raise BodyError(400, "since: write milliseconds since the epoch, as 1795500000000")
    found = request.app[LIVE].board.standing(state, None if since is None else int(since))
    return answer({"incidents": found})


@ROUTES.get("/v1/incidents/{id}")
async def show_incident(request: web.Request) -> web.Response:
    """Show one incident as it stands, with every line of it."""
    history = _find(request)
    return answer({"incident": history[-1], "transitions": history})


@ROUTES.get("/v1/decisions")
async def list_decisions(request: web.Request) -> web.Response:
    """List why what concerns an incident or entity (`target`) did or did not page."""
    target = request.query.get("target", "")
    if not target:
        raise BodyError(400, "target: name an incident or an entity")
    file = request.app[LIVE].plan.state / DECISIONS
    found = await asyncio.get_running_loop().run_in_executor(request.app[POOL], _decisions, file, target)
    return answer({"decisions": found})


def _decisions(file: Path, target: str) -> list[Decision]:
    return [decision for decision in records.decisions(file, torn=True) if decision.is_about(target)]


@ROUTES.post("/v1/incidents/{id}/{action:ack|resolve|mark}")
async def command(request: web.Request) -> web.Response:
    """Take what somebody says about an incident; it counts when the tick it falls in closes."""
    need_token(request)
    said = await _said(request)
    action = request.match_info["action"]
    if not USER.fullmatch(said.user):
        raise BodyError(400, "user: write a name of letters, digits and . _ @ + -, at most 64")
    if action == "mark" and said.as_ not in MARKS:
        raise BodyError(400, f"as: write one of {', '.join(MARKS)}")
    line = _find(request)[-1]
    if action != "mark" and line.state in OVER:
        raise BodyError(409, f"incident {line.id} is {line.state}")
    app = request.app
    frame = _frame(app[LIVE].command_time(), said, action, line.id)
    door = app[LIVE].door
    taken = await asyncio.get_running_loop().run_in_executor(
        app[POOL], lambda: door.put([msgspec.json.encode(frame)], "command", commands=True)
    )
    return answer({"accepted": taken.accepted, "id": line.id, "action": action}, 202)


async def _said(request: web.Request) -> Said:
    with request.app[BUDGET].share() as share:
        timeout_s = request.app[LIVE].rules.settings.client_timeout_ms / 1000
        body = await read(request, share, COMMAND_BYTES, timeout_s)
    try:
        return msgspec.json.decode(body, type=Said) if body.strip() else Said()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(400, f'the body is not {{"user": NAME, "as": MARK}}: {error}') from None


def _find(request: web.Request) -> list[Incident]:
    """Return the lines of one incident, by its id or the beginning of it."""
    wanted = request.match_info["id"]
    lines = request.app[LIVE].board.history(wanted)
    ids = sorted({line.id for line in lines})
    if not ids:
        raise BodyError(404, f"no incident begins with `{wanted[:40]}`")
    if len(ids) > 1:
        raise BodyError(400, f"this may be {' or '.join(ids[:5])}; write more of it")
    return lines


def _frame(ts: int, said: Said, action: str, incident: str) -> dict[str, Any]:
    """Return a command as a frame."""
    arguments = {"as": said.as_} if action == "mark" else {}
    source = f"user:{said.user}"
    return {"kind": "command", "ts": ts, "source": source, "command": action, "target": incident,
            "arguments": arguments}  # fmt: skip
