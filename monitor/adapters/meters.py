"""What the live process says about itself: Prometheus metrics, few and of fixed labels.

Each is explained in docs/live.md, which a test holds against this module. Counters count the work of this
process; after a failure some of it is done again and counted again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client import Counter as Count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.notify.records import Event
    from monitor.site import SiteOutput
    from monitor.types import Incident

ORIGINS = ("http", "stdin", "scrape", "remote_write", "command")
MOST_OWNERS = 50
OTHER = "other"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        self.frames = Count("monitor_frames", "Frames accepted, by who brought them.", ["origin"], registry=r)
        self.refused = Count("monitor_frames_rejected", "Lines not accepted.", ["origin"], registry=r)
        self.dead = Count("monitor_dead_letters", "Dead letters, by reason.", ["reason"], registry=r)
        self.samples = Count("monitor_samples", "Samples in closed ticks.", registry=r)
        self.odd = Count("monitor_odd", "What was odd about the data, by reason.", ["reason"], registry=r)
        self.late = Count("monitor_late_frames", "Frames that came late: stored, not judged.", registry=r)
        self.ticks = Count("monitor_ticks", "Ticks closed in which something was due.", registry=r)
        self.tick_seconds = Histogram(
            "monitor_tick_seconds", "Time to close a tick.", buckets=SECONDS, registry=r
        )
        self.anomalies = Count("monitor_anomaly_records", "Anomalies raised and cleared.", registry=r)
        self.transitions = Count(
            "monitor_incident_transitions", "Lines of the incidents output.", ["transition"], registry=r
        )
        self.open = Gauge(
            "monitor_incidents_open", "Open incidents.", ["severity", "class", "owner"], registry=r
        )
        self.pages = Count("monitor_pages", "Attempts to deliver, by what became of them.",
                           ["action", "status"], registry=r)  # fmt: skip
        self.outbox = Gauge("monitor_outbox_pending", "Events not delivered yet.", registry=r)
        self.lag = Gauge("monitor_lag_seconds", "How far behind the work is.", registry=r)
        self.backlog = Gauge("monitor_backlog_bytes", "Accepted bytes not worked on yet.", registry=r)
        self.journal = Gauge("monitor_journal_bytes", "Size of the journal.", registry=r)
        self.commits = Histogram(
            "monitor_journal_commit_seconds", "Time to write and sync.", buckets=SECONDS, registry=r
        )
        self.together = Count("monitor_journal_requests", "Requests made durable.", registry=r)
        self.snapshot = Gauge(
            "monitor_snapshot_timestamp_seconds", "When the last snapshot was taken.", registry=r
        )
        self.failures = Count("monitor_failures", "Times that work stopped and began again.", registry=r)
        self.crashes = Count("monitor_crashes", "Crashes of the pipeline, by where.", ["at"], registry=r)
        self.targets = Gauge("monitor_scrape_targets", "Targets to scrape.", ["job"], registry=r)
        self.up = Gauge("monitor_scrape_targets_up", "Those whose last scrape worked.", ["job"], registry=r)
        self.target_files = Gauge(
            "monitor_scrape_target_files_unreadable", "Files of targets that cannot be read.", registry=r
        )
        self.scrapes = Histogram(
            "monitor_scrape_seconds", "Time of a scrape, failed or not.", ["job"], buckets=SECONDS, registry=r
        )
        self.scrape_failures = Count(
            "monitor_scrape_failures", "Scrapes that gave nothing.", ["job", "reason"], registry=r
        )
        self.requests = Count("monitor_http_requests", "Requests.", ["route", "status"], registry=r)
        self.seconds = Histogram(
            "monitor_http_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=r
        )
        self.connections = Gauge("monitor_http_connections", "Open connections.", registry=r)
        self._quality: Counter[str] = Counter()

    def put(self, origin: str, accepted: int, rejected: int) -> None:
        """Count lines at the door."""
        name = origin.partition(":")[0]
        name = name if name in ORIGINS else OTHER
        self.frames.labels(name).inc(accepted)
        self.refused.labels(name).inc(rejected)

    def commit(self, seconds: float, requests: int) -> None:
        """Count one write of the journal."""
        self.commits.observe(seconds)
        self.together.inc(requests)

    def tick(self, output: SiteOutput, seconds: float) -> None:
        """Count a closed tick."""
        self.ticks.inc()
        self.tick_seconds.observe(seconds)
        self.samples.inc(output.samples)
        self.anomalies.inc(len(output.anomalies))
        for incident in output.incidents:
            self.transitions.labels(incident.transition).inc()

    def quality(self, now: Mapping[str, int]) -> None:
        """Count what was odd, given how much there was since the state was begun."""
        for reason, count in (Counter(now) - self._quality).items():
            counted = self.late if reason == "late" else self.odd.labels(reason)
            counted.inc(count)
        self._quality = Counter(now)

    def standing(self, incidents: Iterable[Incident]) -> None:
        """Set how many incidents are open; owners beyond the first fifty are one."""
        found = [i for i in incidents if i.state in {"open", "acknowledged"}]
        owners = dict(Counter(i.owner or "none" for i in found).most_common(MOST_OWNERS))
        self.open.clear()
        for incident in found:
            owner = incident.owner or "none"
            self.open.labels(incident.severity, incident.class_, owner if owner in owners else OTHER).inc()

    def page(self, event: Event) -> None:
        """Count an attempt to deliver."""
        self.pages.labels(event.action.value, event.status).inc()

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)
