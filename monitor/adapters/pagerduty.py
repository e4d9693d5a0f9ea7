"""Pages to PagerDuty, by its own client for the Events API v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pagerduty import Error, EventsApiV2Client, HttpError

from monitor.adapters.answers import answer_of, failure_of, hush
from monitor.config.notify import PAGERDUTY_URL, is_loopback
from monitor.notify.pagerduty import event
from monitor.notify.records import Answer
from monitor.reasons import Outcome

if TYPE_CHECKING:
    import httpx2

    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Notice

ACCEPTED = 202


class _Client(EventsApiV2Client):
    """The official client with its own retries off: when to try again is the outbox's decision.

    It hands back what it is not asked to retry, but waits out each 429 itself, without end; so what is not
    accepted leaves through its hook. Plain http, which it refuses, is let through to this machine only.
    """

    max_network_attempts = 0

    def postprocess(self, response: httpx2.Response) -> None:
        """Raise for all but an accepted event."""
        if response.status_code != ACCEPTED:
            raise HttpError(f"status {response.status_code}", response)

    @property
    def url(self) -> str:
        """Where events go."""
        return str(self._url)

    @url.setter
    def url(self, url: str) -> None:
        if not url.startswith("https://") and not is_loopback(url):
            raise ValueError("a routing key does not travel in clear text")
        self._url = url.rstrip("/")


class PagerDuty:
    """A channel to one PagerDuty service, by its routing key."""

    def __init__(self, routing_key: str, settings: NotifySettings, url: str = PAGERDUTY_URL) -> None:
        hush()
        self._settings = settings
        self._secrets = (routing_key,)
        self._client = _Client(routing_key, base_url=url, trust_env=not is_loopback(url))
        self._client.timeout = settings.timeout_ms / 1000  # type: ignore[assignment]

    def send(self, notice: Notice) -> Answer:
        """Send one event; the answer says what became of it."""
        body = event(notice, self._settings)
        action, key = body.pop("event_action"), body.pop("dedup_key")
        try:
            self._client.send_event(action, dedup_key=key, **body)
        except HttpError as error:
            return self._refusal(error)
        except Error as error:
            return failure_of(error.__cause__)
        return Answer(Outcome.OK, str(ACCEPTED))

    def _refusal(self, error: HttpError) -> Answer:
        response: httpx2.Response = error.response  # type: ignore[assignment]  # an HttpError has one
        if response.is_success:
            return Answer(
                Outcome.TEMPORARY, f"{response.status_code} without a dedup_key is not PagerDuty's answer"
            )
        return answer_of(response, self._secrets)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()
