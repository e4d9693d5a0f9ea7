"""`monitor doctor`: what is not seen or not judged, and what to do about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from monitor.doctor import Diagnosis, Finding

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PLAIN_WIDTH = 150
SHOWN = 3


@click.command("doctor")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--topology", type=FILE, help="NDJSON; by default the one beside the frames.")
@click.option(
    "--rules", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Rules directory."
)
@click.option(
    "--exposition",
    metavar="NAME",
    help="PATHS are exposition text, as scraped from a target of this name (host:port).",
)
@click.option("--scrape", type=FILE, help="Scrape each target of this configuration once.")
@click.option("--url", help="Ask a live process there, as http://127.0.0.1:8720.")
@click.option(
    "--names", default=SHOWN, show_default=True, type=click.IntRange(1), help="Names shown of each."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def doctor_command(
    paths: tuple[Path, ...],
    topology: Path | None,
    rules: Path | None,
    exposition: str | None,
    scrape: Path | None,
    url: str | None,
    names: int,
    *,
    as_json: bool,
) -> None:
    """Say what is not seen or not judged yet, and what to do.

    Metrics that no map knows, entities that the topology lacks, who is silent, who is still learning, whose
    clock is wrong, frames that could not be read. PATHS are recorded frames, or scrapes with --exposition;
    with --scrape targets are asked, with --url a live process.

    \b
    Examples:
      monitor doctor frames.ndjson.zst --topology topology.ndjson
      curl -s http://n0001:9400/metrics > n0001.prom; monitor doctor n0001.prom --exposition n0001:9400
      monitor doctor --scrape scrape.yml
      monitor doctor --url http://127.0.0.1:8720
    """
    if sum((bool(paths), scrape is not None, url is not None)) != 1:
        raise click.UsageError("give one of PATHS, --scrape and --url")
    if url is not None:
        from monitor.adapters.liveclient import LiveClient

        report = LiveClient(url).doctor()
    elif scrape is not None:
        from monitor.runners.doctor import examine_scrape

        report = examine_scrape(scrape, topology, rules)
    else:
        report = _examined(paths, topology, rules, exposition, watching=not as_json)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(report).decode())
    else:
        _print(report, names)


def _examined(
    paths: tuple[Path, ...],
    topology: Path | None,
    rules: Path | None,
    instance: str | None,
    *,
    watching: bool,
) -> Diagnosis:
    from monitor.cli.replay import progress_bar
    from monitor.runners.doctor import examine_exposition, examine_frames

    if instance is not None:
        return examine_exposition(paths, instance, topology, rules)
    with progress_bar("doctor", show=watching) as watch:
        return examine_frames(paths, topology, rules, watch)


def _print(report: Diagnosis, names: int) -> None:
    from rich.console import Console

    from monitor.units import iso

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    when = iso(report.at) if report.at else "no tick is closed yet"
    click.echo(f"{report.sources:,} sources, {report.series:,} series; decided up to {when}")
    if report.entities:
        console.print(_readiness(report))
    if report.findings:
        console.print(_findings(report.findings, names))
    else:
        click.echo("Nothing is amiss: all is mapped, placed, heard and judged.")


def _readiness(report: Diagnosis) -> Table:
    table = _table("entities", "learning", "compared with peers", "judged by their own past too")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, ready in report.entities.items():
        table.add_row(kind, f"{ready.learning:,}", f"{ready.peers:,}", f"{ready.ready:,}")
    return table


def _findings(findings: tuple[Finding, ...], names: int) -> Table:
    table = _table("what", "how many", "which", "what to do")
    table.columns[1].justify = "right"
    for finding in findings:
        shown = [f"{item.name} ({item.detail})" for item in finding.items[:names]]
        more = len(finding.items) - names
        which = "\n".join([*shown, f"and {more:,} more (--names, --json)"] if more > 0 else shown)
        table.add_row(finding.topic.replace("_", " "), f"{finding.count:,}", which, finding.advice)
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
