"""Pages as signed JSON to an address of the operator's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from monitor.adapters.answers import answer_of, failure_of, hush
from monitor.config.notify import is_loopback
from monitor.notify.webhook import body, headers

if TYPE_CHECKING:
    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Answer, Notice


class Webhook:
    """A channel to one address. A redirect is not followed: it would take the page elsewhere."""

    def __init__(self, url: str, secret: str, settings: NotifySettings) -> None:
        hush()
        self._url = url
        self._secret = secret
        self._settings = settings
        self._client = httpx2.Client(
            timeout=settings.timeout_ms / 1000, follow_redirects=False, trust_env=not is_loopback(url)
        )

    def send(self, notice: Notice) -> Answer:
        """Send one notice; any status from 200 to 299 is success."""
        sent = body(notice, self._settings)
        try:
            response = self._client.post(
                self._url, content=sent, headers=headers(self._secret.encode(), notice, sent)
            )
        except httpx2.TransportError as error:
            return failure_of(error)
        return answer_of(response, (self._secret, self._url))

    def close(self) -> None:
        """Close its connections."""
        self._client.close()
