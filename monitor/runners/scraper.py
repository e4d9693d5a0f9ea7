"""Scraping: the targets of a configuration, each at its own time, to frames through the door.

Targets are spread over their interval by a hash, so the same configuration asks at the same times after every
restart. A target that does not answer gives no frames: its own entities fall silent and nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from functools import partial
from typing import TYPE_CHECKING

import httpx2

from monitor.adapters.answers import hush, redacted
from monitor.adapters.meters import Meters
from monitor.adapters.scrapefile import authorization, tls_context
from monitor.errors import WorkError
from monitor.ingest.exposition.relabel import relabel
from monitor.ingest.exposition.target import Target
from monitor.runners.delivery import wall_clock
from monitor.runners.scrapes import TOO_LARGE, Scraped, ScrapeFailed, ScrapeReason
from monitor.runners.taking import Refused, put_aside
from monitor.units import MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.adapters.scrapefile import ScrapeFile, TargetSpec
    from monitor.config.scrape import ScrapeJob
    from monitor.runners.sources import Sources
    from monitor.runners.taking import Door

LOG = logging.getLogger("monitor.scraper")

ACCEPT = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5"
CONCURRENCY = 512
REREAD_S = 5.0
BACK_OFF_AFTER = 3
LONGEST_GAP_MS = 5 * MINUTE


def next_time(name: str, interval_ms: int, now: int) -> int:
    """Return when a target is due next: at its own place in the interval, which its name gives.

    >>> next_time("a", 10_000, 1000) == next_time("a", 10_000, 1001)
    True
    """
    offset = zlib.crc32(name.encode()) % interval_ms
    return (now - offset) // interval_ms * interval_ms + offset + interval_ms


def gap_ms(interval_ms: int, failures: int) -> int:
    """Return how long to leave a target alone: its interval, doubled with each failure after the third.

    >>> [gap_ms(15_000, n) for n in (0, 3, 4, 5, 20)]
    [15000, 15000, 30000, 60000, 300000]
    """
    doublings = max(0, min(failures - BACK_OFF_AFTER, 16))
    return max(interval_ms, min(interval_ms << doublings, LONGEST_GAP_MS))


class Scraper:
    """Scrapes the targets of a file until it is cancelled, or `stop` is set."""

    def __init__(
        self,
        file: ScrapeFile,
        sources: Sources,
        door: Door,
        clock: Callable[[], int] = wall_clock,
        meters: Meters | None = None,
    ) -> None:
        hush()
        self._file, self._sources, self._door, self._clock = file, sources, door, clock
        self._turn = asyncio.Semaphore(CONCURRENCY)
        self._clients: dict[str, httpx2.AsyncClient] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._specs: dict[tuple[str, str], TargetSpec] = {}
        self._seen: dict[tuple[str, str], Scraped] = {}
        self._told: set[str] = set()
        self._trust = {job.job_name: tls_context(job, file.path.parent) for job in file.jobs}
        self._meters = meters or Meters()
        self._meters.target_files.set_function(lambda: len(file.problems))
        for job in file.jobs:
            self._meters.targets.labels(job.job_name).set_function(partial(self._count, job.job_name))
            self._meters.up.labels(job.job_name).set_function(partial(self._count, job.job_name, up=True))

    def _count(self, job: str, *, up: bool = False) -> int:
        return sum(seen.up or not up for (name, _), seen in self._seen.items() if name == job)

    async def run(self, stop: asyncio.Event) -> None:
        """Scrape; targets come and go with their files."""
        try:
            while not stop.is_set():
                self._follow(await asyncio.to_thread(self._file.targets))
                await _wait(stop, REREAD_S)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._hang_up()

    async def once(self) -> None:
        """Scrape each target one time, now."""

        async def scrape(spec: TargetSpec) -> None:
            seen = self._seen[spec.key] = Scraped(spec.name)
            async with self._turn:
                await self._scrape(self._client(spec.job), spec, _target(spec, self._sources), seen)

        try:
            await asyncio.gather(*(scrape(spec) for spec in self._file.targets()))
        finally:
            await self._hang_up()

    async def _hang_up(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def report(self) -> list[Scraped]:
        """Return how each target does, by name."""
        return sorted(self._seen.values(), key=lambda scraped: scraped.target)

    def failed(self) -> dict[str, str]:
        """Return why the last scrape of a target gave nothing, and why a file of targets cannot be read."""
        targets = {seen.target: seen.last_error for seen in self.report() if seen.failures_in_row}
        return targets | self._file.problems

    def _follow(self, specs: list[TargetSpec]) -> None:
        wanted = {spec.key: spec for spec in specs}
        for key in [key for key, spec in self._specs.items() if wanted.get(key) != spec]:
            del self._specs[key]
            self._tasks.pop(key).cancel()
            self._sources.forget(self._seen.pop(key).target)
        for key in wanted.keys() - self._specs.keys():
            spec = self._specs[key] = wanted[key]
            self._seen[key] = Scraped(spec.name)
            self._tasks[key] = asyncio.create_task(self._watch(spec, self._seen[key]))
        for text in sorted(self._file.problems.values()):
            if text not in self._told:
                LOG.error("targets stay as they were: %s", text)
        self._told = set(self._file.problems.values())

    async def _watch(self, spec: TargetSpec, seen: Scraped) -> None:
        target, client = _target(spec, self._sources), self._client(spec.job)
        due = next_time(spec.url, spec.job.interval_ms, self._clock())
        while True:
            await asyncio.sleep(max(0, due - self._clock()) / SECOND)
            async with self._turn:
                await self._scrape(client, spec, target, seen)
            gap = gap_ms(spec.job.interval_ms, seen.failures_in_row)
            due = next_time(spec.url, gap, self._clock())

    async def _scrape(
        self, client: httpx2.AsyncClient, spec: TargetSpec, target: Target, seen: Scraped
    ) -> None:
        ts, began = self._clock(), time.monotonic()
        seen.scrapes += 1
        try:
            async with asyncio.timeout(spec.job.timeout_ms / SECOND):
                text, openmetrics = await self._fetch(client, spec)
            await self._take(spec, target, seen, text, ts, openmetrics=openmetrics)
        except ScrapeFailed as failure:
            self._note(spec, seen, failure.reason, failure.detail)
        except TimeoutError:
            self._note(spec, seen, ScrapeReason.TIMEOUT, f"no answer within {spec.job.timeout_ms} ms")
        except httpx2.HTTPError as error:
            self._note(spec, seen, ScrapeReason.UNREACHABLE, type(error).__name__)
        except Exception:  # one target must not end the others
            LOG.exception("scrape of %s", spec.name)
            self._note(spec, seen, ScrapeReason.ERROR, "see the log")
        seen.seconds = time.monotonic() - began
        self._meters.scrapes.labels(spec.job.job_name).observe(seen.seconds)
        seen.last_at = ts

    def _note(self, spec: TargetSpec, seen: Scraped, reason: ScrapeReason, detail: str) -> None:
        if seen.failures_in_row == 0:
            LOG.warning("%s: %s: %s", spec.name, reason, detail)
        seen.failed(reason, detail)
        self._meters.scrape_failures.labels(spec.job.job_name, reason).inc()
        self._sources.forget(spec.name)

    async def _fetch(self, client: httpx2.AsyncClient, spec: TargetSpec) -> tuple[str, bool]:
        try:
            headers = {"Accept": ACCEPT, **authorization(spec.job, self._file.path.parent)}
        except WorkError as error:
            raise ScrapeFailed(ScrapeReason.CREDENTIALS, str(error)) from error
        sni = spec.job.tls_config.server_name
        extensions = {"sni_hostname": sni} if sni else {}
        async with client.stream("GET", spec.url, headers=headers, extensions=extensions) as response:
            if response.status_code != 200:
                raise ScrapeFailed(ScrapeReason.STATUS, f"HTTP {response.status_code}")
            body = await _limited(response, spec.job.max_body_bytes)
            kind = response.headers.get("content-type", "")
        try:
            return body.decode(), "openmetrics" in kind
        except UnicodeDecodeError as error:
            raise ScrapeFailed(ScrapeReason.NOT_TEXT, f"byte {error.start}: not UTF-8") from error

    def _client(self, job: ScrapeJob) -> httpx2.AsyncClient:
        if job.job_name not in self._clients:
            self._clients[job.job_name] = httpx2.AsyncClient(
                verify=self._trust[job.job_name],
                follow_redirects=job.follow_redirects,
                timeout=job.timeout_ms / SECOND,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=1024),
                trust_env=False,
            )
        return self._clients[job.job_name]

    async def _take(
        self, spec: TargetSpec, target: Target, seen: Scraped, text: str, ts: int, *, openmetrics: bool
    ) -> None:
        def read() -> list[bytes]:
            scrape, placed = target.read(text, ts, openmetrics=openmetrics)
            if not scrape.complete:
                raise ScrapeFailed(ScrapeReason.CUT_SHORT, "OpenMetrics without its `# EOF`")
            if scrape.bad_lines and not scrape.samples:
                raise ScrapeFailed(ScrapeReason.NOT_TEXT, redacted(scrape.problems[0], ()))
            if 0 < spec.job.sample_limit < len(scrape.samples):
                raise ScrapeFailed(ScrapeReason.TOO_LARGE, f"{len(scrape.samples)} samples")
            seen.succeeded(len(scrape.samples), scrape.bad_lines)
            return self._sources.frames(spec.name, placed, target.left, ts)

        lines = await asyncio.to_thread(read)
        answer = await put_aside(self._door, lines, f"scrape:{spec.name}")
        if isinstance(answer, Refused) and answer.retry_after_s is not None:
            await asyncio.sleep(min(answer.retry_after_s, spec.job.interval_ms / SECOND / 2))
            answer = await put_aside(self._door, lines, f"scrape:{spec.name}")
        if isinstance(answer, Refused):
            seen.refused += len(lines)
            raise ScrapeFailed(ScrapeReason.REFUSED, answer.reason)
        seen.frames += answer


def _target(spec: TargetSpec, sources: Sources) -> Target:
    rules = spec.job.metric_relabel_configs
    return Target(
        sources.placer, dict(spec.labels), spec.labelmap,
        honor_labels=spec.job.honor_labels, honor_timestamps=spec.job.honor_timestamps,
        relabel=(lambda labels: relabel(rules, labels)) if rules else None,
    )  # fmt: skip


async def _limited(response: httpx2.Response, most: int) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most:
            raise ScrapeFailed(ScrapeReason.TOO_LARGE, TOO_LARGE.format(most))
        parts.append(part)
    return b"".join(parts)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
