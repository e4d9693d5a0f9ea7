"""`monitor evaluate`: incidents scored against what is known to have been wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.errors import UsageError
from monitor.units import DAY, HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from monitor.evaluate import FaultRow, Report

    Run = tuple[str, Path, Path]

TRUTH, INCIDENTS = "truth.json", "incidents.ndjson"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
PLAIN_WIDTH = 150


def _needs(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    needs = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            needs[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"`{text}` must be FIGURE=NUMBER, as in recall=0.95") from None
    return needs


@click.command("evaluate")
@click.argument("truth", required=False, type=FILE)
@click.argument("incidents", required=False, type=FILE)
@click.option(
    "--all",
    "directory",
    type=DIRECTORY,
    help=f"Every sub-directory that holds {TRUTH} and {INCIDENTS}, pooled.",
)
@click.option(
    "--need",
    "needs",
    multiple=True,
    callback=_needs,
    metavar="FIGURE=NUMBER",
    help="Exit 1 where this is not met; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def evaluate_command(needs: dict[str, float], *, as_json: bool, **paths: Path | None) -> None:
    """Score incidents against known truth.

    An incident finds a fault when it paged between the fault's start and its end plus 30 minutes and its
    cause is the fault's entity or one of its affected. Figures that --need can judge are, at least: recall,
    ticket_recall, precision, cause_top1, cause_top3, class_right, compression; at most: page_delay_median_ms,
    page_delay_p90_ms, detect_delay_median_ms, detect_delay_p90_ms, pages_per_fault, false_pages,
    clean_pages_per_30d.

    \b
    Examples:
      monitor evaluate truth.json incidents.ndjson
      monitor evaluate --all runs --need recall=0.95 --need false_pages=2
    """
    from monitor.evaluate import judge, pool

    report = pool([_score(*run) for run in _runs(**paths)])
    failed = judge(report, needs)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(report).decode())
    else:
        _print(report)
    for text in failed:
        click.echo(f"not met: {text}", err=True)
    sys.exit(1 if failed else 0)


def _runs(truth: Path | None, incidents: Path | None, directory: Path | None) -> list[Run]:
    """Return (name, truth, incidents) for every run that the arguments name."""
    if directory is not None and truth is None:
        return _runs_in(directory)
    if directory is not None or truth is None or incidents is None:
        raise click.UsageError("give either TRUTH and INCIDENTS, or --all DIR")
    return [("", truth, incidents)]


def _runs_in(directory: Path) -> list[Run]:
    truths = sorted(directory.glob(f"*/{TRUTH}"))
    runs = [(path.parent.name, path, path.with_name(INCIDENTS)) for path in truths]
    whole = [run for run in runs if run[2].exists()]
    if not whole:
        raise UsageError(f"{directory}: no sub-directory holds both {TRUTH} and {INCIDENTS}")
    lacking = [run[0] for run in runs if not run[2].exists()]
    if lacking:
        click.echo(f"left out, without {INCIDENTS}: {', '.join(lacking)}", err=True)
    return whole


def _score(run: str, truth: Path, incidents: Path) -> Report:
    from monitor.evaluate import evaluate

    known, lines = _decoded(truth.read_bytes(), str(truth)), list(_transitions(incidents))
    return evaluate(known, lines, run, (str(truth), str(incidents)))


def _transitions(path: Path) -> Iterator[Any]:
    from monitor.adapters.lines import LineFile

    for _, number, line in LineFile(path).read():
        if line.strip():
            yield _decoded(line, f"{path}, line {number}")


def _decoded(text: bytes, where: str) -> Any:
    import msgspec

    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"{where}: {error}") from error


def _print(report: Report) -> None:
    from rich.console import Console

    click.echo("\n".join(_words(report)))
    if report.faults:
        width = None if sys.stdout.isatty() else PLAIN_WIDTH
        Console(file=sys.stdout, width=width, highlight=False).print(_table(report.faults))
    for page in report.false:
        run = f"{page.run}: " if page.run else ""
        click.echo(f"False page: {run}incident {page.incident} on {page.cause}, {page.why}.")
    for row in report.faults:
        if row.note:
            click.echo(f"Missed {row.id}: {row.note}.")


def _words(report: Report) -> Iterator[str]:
    """Say the figures in plain words; what is undefined is left out."""
    figures, counts = report.figures, report.counts
    wanted = [row for row in report.faults if row.wanted == "page"]
    found = [row for row in wanted if row.found]
    incidents = _count(counts.incidents, "incident")
    runs, anomalies = _count(counts.runs, "run"), _count(counts.anomalies, "anomaly")
    yield f"{runs}, {anomalies} in {incidents}, merged ones left out."
    if figures.recall is not None:
        faults = _count(len(wanted), "fault")
        yield f"Found {len(found)} of {faults} that should page (recall {figures.recall:.3f})."
    if figures.ticket_recall is not None:
        yield f"Tickets made for {figures.ticket_recall:.0%} of the faults that should have one."
    if figures.cause_top1 is not None:
        yield (
            f"Of those found, the cause is right for {figures.cause_top1:.1%}, among the first three for "
            f"{figures.cause_top3:.1%}; the class is right for {figures.class_right:.1%}."
        )
    if figures.page_delay_median_ms is not None and figures.page_delay_p90_ms is not None:
        yield (
            f"A page comes {_duration(figures.page_delay_median_ms)} after the start (median), "
            f"{_duration(figures.page_delay_p90_ms)} at the 90th percentile."
        )
    yield (
        f"{_count(counts.pages, 'page')}, {figures.false_pages} of them false" + _more_on_pages(report) + "."
    )


def _more_on_pages(report: Report) -> str:
    figures = report.figures
    parts = []
    if figures.pages_per_fault is not None:
        parts.append(f"{figures.pages_per_fault:.2f} a fault that paged")
    if figures.precision is not None:
        parts.append(f"{figures.precision:.1%} of the incidents that paged found a fault")
    if report.counts.clean_ms:
        parts.append(f"{report.counts.clean_pages} in {_duration(report.counts.clean_ms)} of clean time")
    return "".join(f"; {part}" for part in parts)


def _table(rows: tuple[FaultRow, ...]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    several = any(row.run for row in rows)
    for name in (["run"] if several else []) + [
        "fault",
        "at",
        "wanted",
        "found",
        "cause named",
        "place",
        "after",
    ]:
        table.add_column(name, overflow="fold")
    table.add_column("pages", justify="right")
    for row in rows:
        delay = row.detect_ms if row.page_ms is None else row.page_ms
        cells = [row.id, row.entity, row.wanted, "yes" if row.found else "no", row.cause or "-"]
        cells += [_place(row), "-" if delay is None else _duration(delay), str(row.pages)]
        table.add_row(*([row.run] if several else []), *cells)
    return table


def _place(row: FaultRow) -> str:
    """Say where a right answer stands among the candidates."""
    if not row.found:
        return "-"
    return "none" if row.rank is None else f"{row.rank}."


def _duration(ms: float) -> str:
    """Write a duration with two digits or so.

    >>> _duration(40_000), _duration(150_000), _duration(-90_000)
    ('40 s', '2.5 min', '-1.5 min')
    """
    for unit, name, upto in ((SECOND, "s", 90 * SECOND), (MINUTE, "min", 90 * MINUTE), (HOUR, "h", 2 * DAY)):
        if abs(ms) < upto:
            return f"{ms / unit:.3g} {name}"
    return f"{ms / DAY:.3g} d"


def _count(number: int, what: str) -> str:
    many = what.removesuffix("y") + "ies" if what.endswith("y") else what + "s"
    return f"{number:,} {what if number == 1 else many}"
