"""A client of the live process: what commands ask it and tell it."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import msgspec

from monitor.adapters.answers import hush
from monitor.adapters.clickhouse import TableStats
from monitor.config.notify import is_loopback
from monitor.correlate.observe import Decision
from monitor.doctor import Diagnosis
from monitor.errors import UsageError, WorkError
from monitor.types import DeadLetter, Incident

TIMEOUT_S = 30.0
NUMBER = re.compile(r"^\[Errno -?\d+\] ")


class LiveClient:
    """Asks a live process. The token is in its memory and in the header, and nowhere else."""

    def __init__(self, url: str, token: str = "") -> None:
        hush()
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--url {url}: is no address; write http://127.0.0.1:8720")
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def standing(self) -> list[Incident]:
        """Return how incidents stand."""
        return msgspec.convert(self._get("/v1/incidents")["incidents"], list[Incident])

    def history(self, incident: str) -> list[Incident]:
        """Return the lines of one incident, by its id or the beginning of it. Raises WorkError for none."""
        return msgspec.convert(self._get(f"/v1/incidents/{_word(incident)}")["transitions"], list[Incident])

    def decisions(self, target: str) -> list[Decision]:
        """Return why what concerns an incident or entity did or did not page."""
        found = self._get("/v1/decisions", {"target": target})["decisions"]
        return msgspec.convert(found, list[Decision])

    def dead(self, reason: str | None, limit: int) -> tuple[dict[str, int], list[DeadLetter]]:
        """Return how many dead letters there were by reason, and the first that are kept, of one reason."""
        query = {"limit": str(limit), **({"reason": reason} if reason else {})}
        found = self._get("/v1/dead", query)
        return found["counts"], msgspec.convert(found["dead"], list[DeadLetter])

    def store(self) -> list[TableStats]:
        """Return what the tables of its store hold."""
        return msgspec.convert(self._get("/v1/store")["tables"], list[TableStats])

    def query(self, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Return the names of the columns and the rows of a question to its store."""
        found = self._ask("POST", "/v1/query", content=sql.encode())
        return tuple(found["columns"]), [tuple(row) for row in found["rows"]]

    def doctor(self) -> Diagnosis:
        """Return what it does not see or judge."""
        return msgspec.convert(self._get("/v1/doctor"), Diagnosis)

    def say(self, incident: str, action: str, user: str, mark: str = "") -> str:
        """Say something about an incident; return its id."""
        body = {"user": user, **({"as": mark} if mark else {})}
        answer = self._ask("POST", f"/v1/incidents/{_word(incident)}/{action}", json=body)
        return str(answer["id"])

    def _get(self, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        return self._ask("GET", path, params=query)

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            response = httpx2.request(
                method, self.url + path, timeout=TIMEOUT_S, headers=self._headers, follow_redirects=False,
                trust_env=not is_loopback(self.url), **more,
            )  # fmt: skip
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            why = NUMBER.sub("", str(error)) or type(error).__name__
            raise WorkError(f"{self.url}: {why}; is a `monitor run` listening there?") from None
        try:
            said = msgspec.json.decode(response.content, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise WorkError(
                f"{self.url}: answers {response.status_code}, and not as a monitor does"
            ) from None
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            raise UsageError(
                f"{self.url}: the token is missing or wrong; set MONITOR_TOKEN, or name the live process's "
                "--state, where it lies"
            )
        if response.status_code >= httpx2.codes.BAD_REQUEST:
            raise WorkError(f"{self.url}: {said.get('error', response.status_code)}")
        return said


def _word(incident: str) -> str:
    if not incident.isalnum():
        raise UsageError(f"{incident}: is no id of an incident")
    return incident
