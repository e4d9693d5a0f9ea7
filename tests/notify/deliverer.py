"""A delivering process of its own, for tests that kill it."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from monitor.adapters.outbox import DurableOutbox
from monitor.adapters.pagerduty import PagerDuty
from monitor.config.notify import NotifySettings
from monitor.runners.delivery import Delivery
from monitor.types import Incident

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

KEY = "k3y0f32characters" + "x" * 15

HASTY = NotifySettings(
    retry_first_ms=4,
    throttled_first_ms=8,
    retry_longest_ms=30,
    timeout_ms=80,
    per_minute=100_000,
    burst=50_000,
    stale_ms=10**13,
)


def deliver(path: str, url: str, lines: list[bytes], seed: int, run: int, begun: Connection) -> None:
    """Take all lines, some of them together, as a restarted pipeline gives them again; end when all is sent."""
    chance = random.Random(f"{seed}-{run}")
    decoded = [msgspec.json.decode(line, type=Incident) for line in lines]
    outbox = DurableOutbox(Path(path), HASTY, ("pd",), time.time_ns() // 1_000_000)
    delivery = Delivery(outbox, {"pd": PagerDuty(KEY, HASTY, url)})
    delivery.start()
    begun.send_bytes(b"begun")
    while decoded:
        count = chance.randrange(1, 6)
        delivery.take(decoded[:count])
        del decoded[:count]
        time.sleep(chance.choice((0, 0, 0.002, 0.01)))
    assert delivery.drain(60)
    assert delivery.stop()
    outbox.close()
