"""The demo's pager: a receiver on loopback that behaves as PagerDuty, and the whole way there.

Incident lines go into a durable outbox, and out of it by PagerDuty's own client over HTTP. What is shown is
the past, so time is that of the ticks: it stands still while the pages of a tick go out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from monitor.adapters.channels import build_channels
from monitor.adapters.outbox import DurableOutbox, read_events
from monitor.config.notify import KEY_FROM, URL_FROM
from monitor.notify.records import dedup_key
from monitor.runners.delivery import Delivery
from monitor.runners.receiver import Receiver
from monitor.units import HOUR, SECOND

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.config.notify import NotifySettings
    from monitor.runners.receiver import Alert
    from monitor.site import SiteOutput


@dataclass(frozen=True, slots=True)
class Page:
    """An alert at the receiver. event: the last that said what is wrong; log: event times and actions."""

    alert: Alert
    event: dict[str, Any]
    log: tuple[tuple[int, str], ...]


class Pager:
    """Takes what closed ticks gave. `settings` declare no channel: the only one is the receiver here."""

    def __init__(self, path: Path, settings: NotifySettings, now: int) -> None:
        self._path, self._now = path, now
        self._receiver = Receiver().start()
        keys = {KEY_FROM["pagerduty"]: secrets.token_hex(16), URL_FROM["pagerduty"]: self._receiver.url}
        self._channels = build_channels(settings, keys)
        self._outbox = DurableOutbox(path, settings, list(self._channels), now)
        self._delivery = Delivery(self._outbox, self._channels, lambda: self._now)

    def take(self, output: SiteOutput) -> None:
        """Take the incident lines of a tick, and send what is due."""
        self._now = output.end
        if output.incidents:
            self._delivery.take(output.incidents)
        if self._delivery.pending():
            self._delivery.deliver_all()

    def finish(self) -> None:
        """Send what the pace of the channel still holds back, as if time went on for an hour."""
        end = self._now + HOUR
        while self._delivery.pending() and self._now < end:
            self._now += SECOND
            self._delivery.deliver_all()

    @property
    def sent(self) -> int:
        """How many alerts the receiver has."""
        return len(self._receiver.alerts)

    def pages(self) -> list[Page]:
        """Return what the receiver has, in the order of the first event of each."""
        log: dict[str, list[tuple[int, str]]] = {}
        for event in read_events(self._path):
            if event.status == "sent":
                key = dedup_key(event.incident, event.episode)
                log.setdefault(key, []).append((event.decided_at, event.action.value))
        said = {
            request.event["dedup_key"]: request.event
            for request in self._receiver.requests
            if request.taken and request.event["event_action"] == "trigger"
        }
        return [
            Page(alert, said[alert.dedup_key], tuple(log[alert.dedup_key])) for alert in self._receiver.alerts
        ]

    def close(self) -> None:
        """Let go of the outbox, the connections and the port."""
        self._outbox.close()
        for channel in self._channels.values():
            channel.close()
        self._receiver.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
