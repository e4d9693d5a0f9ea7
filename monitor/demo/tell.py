"""What a demo came to, for a terminal: the hall, its racks, truth beside incidents, a page, files."""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from monitor.cli.tables import incident_table
from monitor.demo.hall import natural
from monitor.demo.page import page_view
from monitor.demo.picture import DARK, clock, shade
from monitor.notify.records import dedup_key
from monitor.topology import container_of
from monitor.units import HOUR, SECOND

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from monitor.demo.hall import Hall
    from monitor.demo.pager import Page
    from monitor.demo.picture import Mark
    from monitor.demo.run import Demo
    from monitor.evaluate import FaultRow
    from monitor.types import Incident

MAP_ROWS, MAP_COLUMNS = 20, 60
STEPS = {0.0: "·", 5.0: "░", 10.0: "▒", 15.0: "▓", 20.0: "█"}
"""Degrees above the usual, and the sign from there on where there are no colours."""

NAMED = ("the page named", "sure", "after", "anomalies", "affected")


def tell(console: Console, demo: Demo, marks: list[Mark]) -> None:
    """Print everything, in the order in which a reader asks."""
    _tell_hall(console, demo)
    draw_map(console, demo.hall, marks)
    console.print("\n[bold]What broke, and what the pager said[/]\n")
    console.print(truth_table(console, demo))
    _tell_score(console, demo)
    if (page := telling(demo)) is not None:
        console.print("\n[bold]One of the pages[/], as its receiver has it\n")
        console.print(page_view(page))
    _tell_files(console, demo)


def _tell_hall(console: Console, demo: Demo) -> None:
    spec, report, hall = demo.spec, demo.report, demo.hall
    faults = [fault["scenario"] for fault in demo.truth["faults"]]
    hours = spec.ticks * spec.interval_ms / HOUR
    rows, rate = len(set(hall.row)), report.samples / max(report.seconds, 1e-9) / 1e6
    console.print(
        f"\n[bold]The hall[/]: {spec.gpus:,} GPUs in {spec.gpus // 8:,} nodes, {len(hall.racks)} racks and "
        f"{rows} rows, with cooling, power, network and training jobs;\n"
        f"{hours:g} simulated hours, a frame every {spec.interval} s (seed {spec.seed}). {len(faults)} "
        f"things break on the way:\n{', '.join(faults)}. The monitor is not told.\n"
        f"It read {report.lines:,} frames with {report.samples:,} samples in {report.seconds:.0f} s "
        f"({rate:.2f} M samples/s); all of them went into the store.",
    )


def chosen(hall: Hall, marks: list[Mark]) -> list[int]:
    """Return the places of at most MAP_ROWS racks: those of faults that are in few, then the hottest ones."""
    struck = set().union(*(mark.racks for mark in marks if not mark.wide))
    most = np.nan_to_num(hall.excess, nan=-np.inf).max(axis=1, initial=-np.inf)
    order = sorted(range(len(hall.racks)), key=lambda p: (hall.racks[p] not in struck, -most[p], p))
    return sorted(order[:MAP_ROWS], key=lambda p: natural(hall.racks[p]))


def draw_map(console: Console, hall: Hall, marks: list[Mark]) -> None:
    """Draw racks over time, shaded by how far each is above its usual."""
    places, coloured = chosen(hall, marks), console.color_system is not None
    count = len(hall.racks)
    which = f"{len(places)} of {count} racks, those of faults first" if len(places) < count else "every rack"
    console.print(
        f"\n[bold]Its racks[/]: the hottest GPU of each against its usual, left to right in time ({which})\n"
    )
    edges = np.linspace(0, hall.hottest.shape[1], min(MAP_COLUMNS, hall.hottest.shape[1]) + 1).astype(int)
    for place in places:
        rack = hall.racks[place]
        line = Text(f"  {rack.partition(':')[2]:<6}")
        for begin, end in pairwise(edges):
            heard = hall.excess[place, begin:end][~np.isnan(hall.excess[place, begin:end])]
            line.append(*_cell(float(heard.max()) if len(heard) else None, coloured=coloured))
        numbers = [str(n) for n, mark in enumerate(marks, start=1) if rack in mark.racks and not mark.wide]
        line.append("  " + " ".join(numbers))
        console.print(line)
    console.print(_began(hall, marks, edges))
    scale = Text("  " + " " * 6)
    for step in STEPS:
        scale.append(*_cell(step, coloured=coloured)).append(f" +{step:.0f}  ")
    scale.append(*_cell(None, coloured=coloured)).append(
        " nothing heard  (°C above its usual; a lone cell is one wrong reading)"
    )
    console.print(scale)


def _cell(excess: float | None, *, coloured: bool) -> tuple[str, str]:
    """Return the sign for so many degrees above the usual, None where nothing was heard, and its style."""
    if coloured:
        return "█", DARK if excess is None else shade(excess)
    if excess is None:
        return "x", ""
    return next((sign for step, sign in reversed(STEPS.items()) if excess >= step), STEPS[0.0]), ""


def _began(hall: Hall, marks: list[Mark], edges: np.ndarray) -> Text:
    """Return a line with each fault's number under the column in which it begins."""
    signs = [" "] * (len(edges) - 1)
    for number, mark in enumerate(marks, start=1):
        column = int(np.searchsorted(edges, (mark.start - hall.start) // hall.step_ms, side="right")) - 1
        while signs[min(column, len(signs) - 1)] != " " and column < len(signs) - 1:
            column += 1
        signs[min(column, len(signs) - 1)] = str(number % 10)
    return Text("  fault " + "".join(signs) + "  number, where it begins")


def truth_table(console: Console, demo: Demo) -> Table:
    """Return what broke beside what was paged."""
    rows = [
        {
            "": str(place + 1),
            "what broke": row.scenario,
            "where": row.entity,
            "at": clock(fault["start"]),
            **_named(row, demo.finder(place)),
        }
        for place, (row, fault) in enumerate(zip(demo.score.faults, demo.truth["faults"], strict=True))
    ]
    return incident_table(console, rows, least=("anomalies", "affected", "sure"))


def _named(row: FaultRow, incident: Incident | None) -> dict[str, str]:
    if incident is None:
        return dict.fromkeys(NAMED, "") | {"the page named": "[red]nothing[/]"}
    after = "" if row.page_ms is None else f"{row.page_ms / 60_000:.1f} min"
    again = f" [red]({row.pages} pages)[/]" if row.pages > 1 else ""
    named = (
        f"[{'green' if row.rank == 1 else 'red'}]{incident.cause.entity}[/] {incident.cause.reason}{again}",
        f"{incident.cause.confidence:.0%}", after, f"{incident.anomalies:,}", f"{incident.affected.count:,}",
    )  # fmt: skip
    return dict(zip(NAMED, named, strict=True))


def _tell_score(console: Console, demo: Demo) -> None:
    score, faults = demo.score, len(demo.score.faults)
    right = sum(row.rank == 1 for row in score.faults)
    once = sum(row.found and row.pages == 1 for row in score.faults)
    quiet = [i for i in demo.incidents if i.paged_at is None and i.state != "merged"]
    console.print(
        f"\n{demo.report.anomalies:,} anomaly records became {score.counts.pages} pages. Of {faults} faults, "
        f"{sum(row.found for row in score.faults)} were found, {right} with the right cause, {once} with one "
        f"page each; {score.figures.false_pages} pages were false. {len(quiet)} more incidents were kept as "
        "tickets or records.",
        soft_wrap=True,
    )
    for page in score.false:
        console.print(f"[red]false page[/]: {page.cause} at {clock(page.paged_at)} ({page.why})")


def telling(demo: Demo) -> Page | None:
    """Return the page of a fault that was found: the right cause, no single part, surest, most signals."""
    pages = {page.alert.dedup_key: page for page in demo.pages}
    found: list[tuple[tuple[bool, bool, float, int], Page]] = []
    for place, row in enumerate(demo.score.faults):
        incident = demo.finder(place)
        page = pages.get(dedup_key(incident.id, incident.episode)) if incident else None
        if incident is not None and page is not None:
            part = container_of(incident.cause.entity) is not None
            sure = round(incident.cause.confidence, 1)
            found.append(((row.rank == 1, not part, sure, len(incident.signals)), page))
    return max(found, key=lambda one: one[0])[1] if found else None


def _tell_files(console: Console, demo: Demo) -> None:
    files, worst = demo.files, demo.hall.ends(demo.hall.worst())
    store, incidents, outbox = (shlex.quote(str(it)) for it in (files.dsn, files.incidents, files.outbox))
    lines = [
        ("picture", f"{files.picture}  (the hall at {clock(worst)})"),
        ("store", f"monitor store stats {store}"),
        ("query", f'monitor store query {store} "{hottest(worst)}"'),
        ("incidents", f"monitor incidents list --paged --from {incidents}"),
    ]
    for incident in [i for i in demo.incidents if i.paged_at is not None][:1]:
        lines += [
            ("one of them", f"monitor incidents show {incident.id[:8]} --from {incidents}"),
            ("and why", f"monitor incidents why {incident.id[:8]} --from {incidents}"),
        ]
    lines += [
        ("pages", f"monitor pages list --outbox {outbox}"),
        ("score", f"monitor evaluate {shlex.quote(str(files.truth))} {incidents}"),
    ]
    console.print("\n[bold]Where it is, and what to try[/]\n")
    for name, line in lines:
        console.print(f"  {name:<12}{line}", soft_wrap=True, markup=False)


def hottest(ts: int) -> str:
    """Return a question to a store, without double quotes: the hottest GPUs of ten minutes up to a time."""
    until = ts // SECOND
    return (
        "SELECT entity, round(avg(mean), 1) AS celsius FROM m1 FINAL WHERE metric = 'gpu_temp_celsius' "  # noqa: S608 - of numbers alone
        f"AND ts >= {until - 600} AND ts < {until} GROUP BY entity ORDER BY celsius DESC LIMIT 10"
    )
