"""Figures from matches; runs pooled; needs judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from monitor.errors import UsageError
from monitor.evaluate.match import Call, Footprint, calls, home, last_lines, why_false
from monitor.evaluate.records import Counts, FalsePage, FaultRow, Figures, Report, Standing, Truth
from monitor.units import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

T = TypeVar("T")
Paged = tuple[Call, Footprint | None]
"""An incident that paged, with the fault that its page belongs to."""

AT_MOST = frozenset(
    {
        "page_delay_median_ms",
        "page_delay_p90_ms",
        "detect_delay_median_ms",
        "detect_delay_p90_ms",
        "pages_per_fault",
        "false_pages",
        "clean_pages_per_30d",
    }
)
"""Figures for which less is better; of all others, more."""


def evaluate(
    truth: Mapping[str, Any],
    incidents: Iterable[Mapping[str, Any]],
    run: str = "",
    where: tuple[str, str] = ("truth", "incidents"),
) -> Report:
    """Score the transitions of a run's incidents against its truth (contract: `monitor evaluate`).

    An incident finds a fault when it paged between the fault's start and its end plus 30 min (or the truth's
    `settle_ms`), both included, and its cause, as it stands in the end, is the fault's entity, another right
    answer (`also_accept`) or one of its affected. A page belongs to one fault: the nearest to its cause among
    those going on, side effects (`related`) included; a page that belongs to none is false, and so is one for
    a fault that wants none. The pages of an incident that was merged are judged by the cause of the one that
    it was merged into. A ticket is found by an incident of severity warning or above, detected in that time.

    Raises UsageError where a record lacks what the score needs; `where` is what it calls the two.
    """
    known = _convert(truth, Truth, where[0])
    standings = last_lines(_convert(list(incidents), list[Standing], where[1]))
    footprints = [Footprint(fault) for fault in known.faults]
    paged = [(call, home(call, footprints)) for call in calls(standings)]
    rows = [_row(run, one, standings, paged) for one in footprints]
    false = [
        FalsePage(
            run,
            call.incident,
            call.episode,
            call.paged_at,
            call.cause,
            call.pages,
            why_false(call, footprints),
        )
        for call, owner in paged
        if owner is None
    ]
    return _report(_counts(known, standings, paged), rows, false)


def pool(reports: Sequence[Report]) -> Report:
    """Score several runs as one: counts are added, rows put together, figures taken anew."""
    fields = Counts.__struct_fields__
    counts = Counts(*[sum(getattr(report.counts, name) for report in reports) for name in fields])
    rows = [row for report in reports for row in report.faults]
    return _report(counts, rows, [page for report in reports for page in report.false])


def judge(report: Report, needs: Mapping[str, float]) -> list[str]:
    """Return, in words, every need that the figures do not meet.

    Delays, pages a fault and false pages must be at most what is needed, other figures at least. A figure
    that is undefined meets no need. Raises UsageError for names that are no figures.

    >>> judge(evaluate({"faults": []}, []), {"recall": 0.95, "false_pages": 0})
    ['recall is undefined, needed at least 0.95']
    """
    figures = msgspec.structs.asdict(report.figures)
    unknown = sorted(set(needs) - set(figures))
    if unknown:
        raise UsageError(f"no such figure: {', '.join(unknown)}; there are {', '.join(figures)}")
    return [text for name, need in needs.items() if (text := _unmet(name, figures[name], need))]


def _unmet(name: str, value: float | None, need: float) -> str | None:
    bound = "at most" if name in AT_MOST else "at least"
    if value is None:
        return f"{name} is undefined, needed {bound} {need:g}"
    met = value <= need if name in AT_MOST else value >= need
    return None if met else f"{name} is {value:.4g}, needed {bound} {need:g}"


def _convert(raw: object, wanted: type[T], what: str) -> T:
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        raise UsageError(f"{what}: {error}") from None


def _counts(truth: Truth, standings: Sequence[Standing], paged: Sequence[Paged]) -> Counts:
    survivors = [line for line in standings if line.merged_into is None]
    return Counts(
        runs=1,
        incidents=len(survivors),
        anomalies=sum(line.anomalies for line in survivors),
        paged=len(paged),
        paged_and_found=sum(
            owner is not None and owner.finds(call.cause, call.paged_at) for call, owner in paged
        ),
        pages=sum(call.pages for call, _ in paged),
        clean_ms=sum(end - start for start, end in truth.clean),
        clean_pages=sum(call.pages for call, _ in paged if truth.is_clean(call.paged_at)),
    )


def _row(
    run: str,
    footprint: Footprint,
    standings: Sequence[Standing],
    paged: Sequence[Paged],
) -> FaultRow:
    fault = footprint.fault
    row = FaultRow(
        run,
        fault.id,
        fault.scenario,
        fault.entity,
        fault.wanted,
        found=False,
        pages=sum(call.pages for call, owner in paged if owner is footprint),
    )
    named = [line for line in standings if footprint.finds(line.cause.entity, line.detected_at)]
    if fault.wanted == "ticket":
        tickets = [line for line in named if line.severity != "info"]
        first = min(tickets, key=lambda line: (line.detected_at, line.id, line.episode), default=None)
        return row if first is None else _found(row, footprint, first, None)
    finders = [(call, owner) for call, owner in paged if footprint.finds(call.cause, call.paged_at)]
    if finders:
        call, _ = min(finders, key=lambda pair: pair[1] is not footprint)  # then the first: they are by time
        return _found(row, footprint, call.standing, call.paged_at)
    if named and fault.wanted == "page":
        note = f"incident {named[0].id} names {named[0].cause.entity} but did not page in time"
        return msgspec.structs.replace(row, note=note)
    return row


def _found(row: FaultRow, footprint: Footprint, standing: Standing, paged_at: int | None) -> FaultRow:
    fault = footprint.fault
    right = [place for place, entity in enumerate(standing.ranking(), 1) if fault.accepts(entity)]
    return msgspec.structs.replace(
        row,
        found=True,
        incident=standing.id,
        episode=standing.episode,
        cause=standing.cause.entity,
        rank=min(right, default=None),
        class_right=standing.class_ in {fault.class_, *fault.also_class},
        detect_ms=standing.detected_at - fault.start,
        page_ms=None if paged_at is None else paged_at - fault.start,
    )


def _report(counts: Counts, rows: Sequence[FaultRow], false: Sequence[FalsePage]) -> Report:
    wanted = [row for row in rows if row.wanted == "page"]
    tickets = [row for row in rows if row.wanted == "ticket"]
    found = [row for row in wanted if row.found]
    called = [row.pages for row in wanted if row.pages]
    page_ms = [row.page_ms for row in found if row.page_ms is not None]
    detect_ms = [row.detect_ms for row in found if row.detect_ms is not None]
    figures = Figures(
        recall=_ratio(len(found), len(wanted)),
        ticket_recall=_ratio(sum(row.found for row in tickets), len(tickets)),
        precision=_ratio(counts.paged_and_found, counts.paged),
        cause_top1=_ratio(sum(row.rank == 1 for row in found), len(found)),
        cause_top3=_ratio(sum(row.rank is not None and row.rank <= 3 for row in found), len(found)),
        class_right=_ratio(sum(bool(row.class_right) for row in found), len(found)),
        page_delay_median_ms=_quantile(page_ms, 0.5),
        page_delay_p90_ms=_quantile(page_ms, 0.9),
        detect_delay_median_ms=_quantile(detect_ms, 0.5),
        detect_delay_p90_ms=_quantile(detect_ms, 0.9),
        pages_per_fault=_ratio(sum(called), len(called)),
        false_pages=sum(page.pages for page in false),
        clean_pages_per_30d=_ratio(30 * DAY * counts.clean_pages, counts.clean_ms),
        compression=_ratio(counts.anomalies, counts.incidents),
    )
    return Report(figures, counts, tuple(rows), tuple(false))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _quantile(values: Sequence[int], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None
