"""Why an incident pages, or does not: a pure function that returns its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.catalog import SILENCE
from monitor.correlate.observe import PageReason
from monitor.topology import container_of
from monitor.units import LATEST_TS, MINUTE, duration_ms, iso

if TYPE_CHECKING:
    from monitor.correlate.cases import Case
    from monitor.correlate.explain import Explanation
    from monitor.types import Severity, Signal

APPLICATION = "application"
COLLECTIVE_LEAST = 4
"""Entities that must show a collective family together to be page evidence."""

SETTLE_TICKS = (2, 12)
"""Least and most ticks to wait for the silence of others before one is named alone."""

LONE_SILENCE_MS = 2 * MINUTE
"""The silence of one source with nothing beside it is believed after this long: exporters restart."""

AGAIN_TICKS = 30
"""A paged incident calls again only for a cause that stood this long: causes flip while effects spread."""

_BY_PAGING: dict[str, tuple[PageReason, Severity]] = {
    "ticket": (PageReason.TICKET, "warning"),
    "record": (PageReason.RECORD, "info"),
    "none": (PageReason.EXPLAINED, "info"),
}


@dataclass(frozen=True, slots=True)
class PageRules:
    """tick_ms: length of a tick. wait_ticks: how long to wait while confidence is below `confidence`."""

    tick_ms: int
    wait_ticks: int
    confidence: float


def page_evidence(explanation: Explanation) -> tuple[Signal, ...]:
    """Return the signals that let an incident page: at page level or hard, and not only an application's.

    One of them must be a signature of the fault: what it does to others is no proof of it. A job's XIDs are
    its own doing, so they count only together, for kinds that say so (`collective`).
    """
    strong = [s for s in explanation.signals if (s.page or s.hard) and s.family != APPLICATION]
    strong = strong if explanation.sure else []
    if strong or not explanation.fault.collective:
        return tuple(strong)
    together = [s for s in explanation.signals if s.family in explanation.fault.collective]
    enough = len({s.entity for s in together}) >= COLLECTIVE_LEAST
    return tuple(together) if enough else ()


def believed(explanation: Explanation, now: int) -> bool:
    """Tell whether an explanation may open an incident: the short silence of a lone source may not yet.

    What is beside it bears it out only at page level: racks draw more and less power all the time.
    """
    silences = [s for s in explanation.signals if s.family == SILENCE]
    beside = any((s.page or s.hard) and s.family != SILENCE for s in explanation.signals)
    if explanation.fault.severity == "critical" or not silences or beside:
        return True
    sources = {container_of(s.entity) or s.entity for s in silences}
    return len(sources) > 1 or now - min(s.since for s in silences) >= LONE_SILENCE_MS


def severity(explanation: Explanation, *, paging: bool, matters: bool) -> Severity:
    """Return how bad it is: the kind's severity where it is known well enough to page, else a ticket.

    It is only recorded where nothing `matters`: no sign of the fault itself was off by as much as that.
    """
    if explanation.fault.pages in _BY_PAGING:
        return _BY_PAGING[explanation.fault.pages][1]
    if paging:
        return explanation.fault.severity
    return "warning" if matters else "info"


def decide(
    case: Case, explanation: Explanation, now: int, rules: PageRules, held: tuple[PageReason, str] | None
) -> tuple[PageReason, str]:
    """Return why an incident pages now or does not, with the numbers that decided.

    held: why it must not page whatever the evidence (maintenance, a person's silence), if so.
    """
    fault = explanation.fault
    if case.closed_by:
        return PageReason.CLOSED, case.closed_by
    if fault.pages in _BY_PAGING:
        return _BY_PAGING[fault.pages][0], fault.name
    evidence = page_evidence(explanation)
    if not evidence and not case.called:
        strongest = max((s.score for s in explanation.signals), default=0.0)
        return PageReason.WEAK, f"strongest signal {strongest:.1f} nats, none at page level"
    if held is not None:
        return held
    if not case.called:
        return _first(case, explanation, evidence, now, rules)
    return _again(case, explanation, evidence, now, rules)


def until(ts: int) -> str:
    """Say until when something holds; who says forever means any time.

    >>> until(1_795_500_000_000)
    'until 2026-11-24T06:00:00.000Z'
    """
    return f"until {iso(min(ts, LATEST_TS))}"


def _first(
    case: Case, explanation: Explanation, evidence: tuple[Signal, ...], now: int, rules: PageRules
) -> tuple[PageReason, str]:
    ready = now if case.ready_at is None else case.ready_at
    settle = max(_settle_ms(evidence, rules.tick_ms), duration_ms(explanation.fault.settle or "0s"))
    if now < ready + settle:
        return PageReason.SETTLING, until(ready + settle)
    outweighed = any(share > explanation.confidence for _, _, share in explanation.candidates)
    at_once = explanation.fault.severity == "critical" or any(s.hard for s in evidence)
    since = ready + settle if outweighed else ready  # what is likelier may take its place in a moment
    if (outweighed or not at_once) and _unclear(explanation, now, since, rules):
        return PageReason.WAITING, f"confidence {explanation.confidence:.2f} < {rules.confidence:g}"
    told = f"confidence {explanation.confidence:.2f}, signals at page level: {len(evidence)}"
    return PageReason.PAGED, told


def _again(
    case: Case, explanation: Explanation, evidence: tuple[Signal, ...], now: int, rules: PageRules
) -> tuple[PageReason, str]:
    stood = now - case.cause_at >= AGAIN_TICKS * rules.tick_ms
    clear = stood and explanation.confidence >= rules.confidence and bool(evidence)
    if clear and explanation.fault.severity == "critical" and not case.paged_critical:
        return PageReason.PAGED_CRITICAL, explanation.fault.name
    if clear and case.owner not in case.paged_owners:
        return PageReason.PAGED_OWNER, f"{case.owner} after {', '.join(case.paged_owners)}"
    return PageReason.ALREADY_PAGED, f"pages: {case.pages}"


def _unclear(explanation: Explanation, now: int, since: int, rules: PageRules) -> bool:
    waited = now - since >= rules.wait_ticks * rules.tick_ms
    return explanation.confidence < rules.confidence and not waited


def _settle_ms(evidence: tuple[Signal, ...], tick_ms: int) -> int:
    """Return how long to wait for further silences: one rhythm, since sources report at different moments.

    A source is silent after three times its rhythm, so a third of what it took to notice is the rhythm.
    """
    silences = [s for s in evidence if s.family == SILENCE]
    if not silences:
        return 0
    least, most = SETTLE_TICKS
    rhythm = max(s.raised_at - s.since for s in silences) // 3
    return min(max(rhythm, least * tick_ms), most * tick_ms)
