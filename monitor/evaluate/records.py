"""What goes into a score and what comes out."""

from __future__ import annotations

from typing import Literal

import msgspec

from monitor.units import MINUTE

Wanted = Literal["page", "ticket", "optional", "nothing"]


class Fault(msgspec.Struct, frozen=True):
    """One thing that was wrong in [start, end] ms, `entity` being at fault; no `end`: it never ended.

    affected: who shows it; naming one of them finds the fault. also_accept, also_class: other right answers.
    related: side effects; a page on one is no false page, but finds nothing. pages: a page is wanted;
    page_optional: a page is welcome but not asked for; ticket: a ticket is wanted (where no page is).
    settle_ms: how long after the end a page still counts.
    """

    id: str
    entity: str
    start: int
    end: int | None = None
    scenario: str = ""
    class_: str = msgspec.field(name="class", default="")
    affected: tuple[str, ...] = ()
    pages: bool = True
    also_accept: tuple[str, ...] = ()
    also_class: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    page_optional: bool = False
    ticket: bool = False
    settle_ms: int = 30 * MINUTE

    @property
    def wanted(self) -> Wanted:
        """What the pipeline should do about it."""
        if self.page_optional:
            return "optional"
        if self.pages:
            return "page"
        return "ticket" if self.ticket else "nothing"

    def spans(self, ts: int) -> bool:
        """Tell whether an instant lies from the start to the end plus the settling time, both included."""
        return self.start <= ts and (self.end is None or ts <= self.end + self.settle_ms)

    def accepts(self, entity: str) -> bool:
        """Tell whether an entity is a right answer."""
        return entity == self.entity or entity in self.also_accept


class Truth(msgspec.Struct, frozen=True):
    """What is known about a run: its faults, and the stretches of time in which nothing was wrong."""

    faults: tuple[Fault, ...] = ()
    clean: tuple[tuple[int, int], ...] = ()

    def is_clean(self, ts: int) -> bool:
        """Tell whether an instant lies in a clean stretch, [start, end)."""
        return any(start <= ts < end for start, end in self.clean)


class Named(msgspec.Struct, frozen=True):
    """A cause or a candidate, as far as it matters here."""

    entity: str


class Standing(msgspec.Struct, frozen=True):
    """How an incident stands after its last transition, as far as it matters here."""

    id: str
    cause: Named
    opened_at: int
    detected_at: int
    updated_at: int
    severity: str
    class_: str = msgspec.field(name="class")
    episode: int = 1
    paged_at: int | None = None
    candidates: tuple[Named, ...] = ()
    anomalies: int = 0
    pages: int = 0
    merged_into: str | None = None

    def ranking(self) -> list[str]:
        """Return the named cause, then the other candidates in their order."""
        return list(dict.fromkeys([self.cause.entity, *[one.entity for one in self.candidates]]))


class FaultRow(msgspec.Struct, frozen=True):
    """What became of one fault.

    found: an incident paged in time (opened in time, for a ticket) and named it or something affected.
    incident: the first that did, with the cause it named. rank: the place of a right answer among its
    candidates, 1 = named as the cause, None = not among them. detect_ms, page_ms: from the fault's start.
    pages: calls for attention that it led to.
    """

    run: str
    id: str
    scenario: str
    entity: str
    wanted: Wanted
    found: bool
    incident: str | None = None
    episode: int | None = None
    cause: str | None = None
    rank: int | None = None
    class_right: bool | None = None
    detect_ms: int | None = None
    page_ms: int | None = None
    pages: int = 0
    note: str = ""


class FalsePage(msgspec.Struct, frozen=True):
    """An incident that called a person for no fault that wants it; `pages` is how often it called."""

    run: str
    incident: str
    episode: int
    paged_at: int
    cause: str
    pages: int
    why: str


class Figures(msgspec.Struct, frozen=True):
    """The scores; None where there is nothing to score.

    recall: found faults / faults that want a page. ticket_recall: likewise for tickets.
    precision: incidents that paged and found a fault / incidents that paged.
    cause_top1, cause_top3: of the found faults, those with a right answer named as the cause, or among the
    first three candidates. class_right: of the found faults, those with the right class.
    page_delay_*, detect_delay_*: ms from a found fault's start; quantiles interpolate linearly.
    pages_per_fault: pages that faults led to, side effects included / faults that led to any.
    false_pages: pages that no fault asked for. clean_pages_per_30d: those within the truth's clean stretches,
    for 30 days of them. compression: anomalies / incidents, merged ones not counted.
    """

    recall: float | None
    ticket_recall: float | None
    precision: float | None
    cause_top1: float | None
    cause_top3: float | None
    class_right: float | None
    page_delay_median_ms: float | None
    page_delay_p90_ms: float | None
    detect_delay_median_ms: float | None
    detect_delay_p90_ms: float | None
    pages_per_fault: float | None
    false_pages: int
    clean_pages_per_30d: float | None
    compression: float | None


class Counts(msgspec.Struct, frozen=True):
    """What the figures are made of beside the rows; pooled by adding."""

    runs: int = 0
    incidents: int = 0
    anomalies: int = 0
    paged: int = 0
    paged_and_found: int = 0
    pages: int = 0
    clean_ms: int = 0
    clean_pages: int = 0


class Report(msgspec.Struct, frozen=True):
    """The score of one run or of several pooled."""

    figures: Figures
    counts: Counts
    faults: tuple[FaultRow, ...]
    false: tuple[FalsePage, ...]
