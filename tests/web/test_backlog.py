"""More than can be worked on: clients are told to wait, and lose nothing (contract: 429 with Retry-After)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from aiohttp.test_utils import TestClient, TestServer

from monitor.runners.live import Live, LivePlan
from monitor.web.app import build_app

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_795_500_000_000


def test_a_backlog_is_bounded(tmp_path: Path) -> None:
    """With a megabyte that nobody has worked on, 429; once it is worked off, 202 and healthy."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "settings.yaml").write_text("backlog_bytes: 1048576")
    live = Live(LivePlan(tmp_path / "state", rules=tmp_path / "rules"), {}, lambda: T0)
    asyncio.run(_fill(live))
    assert live.stop()


async def _fill(live: Live) -> None:
    lines = [
        json.dumps({"kind": "gpu", "ts": T0, "source": f"node:n{n}", "metrics": {"xid": [0]}})
        for n in range(3000)
    ]
    body = "\n".join(lines).encode()
    async with TestClient(TestServer(build_app(live), auto_decompress=False)) as client:
        statuses = []
        while not statuses or statuses[-1] == 202:
            answer = await client.post("/v1/frames", data=body)
            statuses.append(answer.status)
        assert statuses[-1] == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert len(statuses) > 3
        health = await client.get("/healthz")
        assert health.status == 503
        assert {"queue", "work"} <= (await health.json())["reasons"].keys()
        live.start()
        await asyncio.to_thread(_worked_off, live)
        assert (await client.post("/v1/frames", data=body)).status == 202
        await asyncio.to_thread(_worked_off, live)
        assert (await client.get("/healthz")).status == 200


def _worked_off(live: Live) -> None:
    while live.engine.behind():
        time.sleep(0.02)
