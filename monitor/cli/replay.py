"""`monitor replay`: recorded frames to incidents."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.runners.recorder import Report

IN_PATH = click.Path(exists=True, path_type=Path)
IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("replay")
@click.argument("paths", nargs=-1, required=True, type=IN_PATH)
@click.option(
    "--topology", type=IN_FILE, help="NDJSON, one entity a line; by default the one beside the frames."
)
@click.option(
    "--rules", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Rules directory."
)
@click.option("--incidents", type=OUT_FILE, help="Write incidents here, one line for each transition.")
@click.option("--anomalies", type=OUT_FILE, help="Write anomalies here.")
@click.option(
    "--dead", type=OUT_FILE, help="Write frames that could not be read here, with reason and place."
)
@click.option("--store", metavar="DSN", help="Write rollups and records there, as chdb:///directory.")
@click.option("--append", is_flag=True, help="Add to a store that holds another replay.")
@click.option("--partitions", default=1, show_default=True, type=click.IntRange(1, 1024))
@click.option("--batch-frames", default=1000, show_default=True, type=click.IntRange(1))
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for snapshots; by default beside the store or the incidents file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def replay_command(paths: tuple[Path, ...], **options: Any) -> None:
    """Run recorded frames through the pipeline, as fast as it goes.

    PATHS are NDJSON files (plain, .gz or .zst) or directories of them; several are merged by time. The same
    input gives the same bytes, whatever --partitions and --batch-frames. A replay that was cut short goes on
    where it stood when it is started again.

    \b
    Example:
      monitor replay frames.ndjson.zst --topology topology.ndjson --incidents incidents.ndjson
      monitor replay recordings/ --store chdb:///var/lib/fleet
    """
    from monitor.runners.build import ReplayPlan, build_replay

    as_json = options.pop("as_json")
    replay = build_replay(ReplayPlan(paths=paths, **options))
    with progress_bar("replay", show=not as_json) as watch:
        report = replay.run(options["batch_frames"], watch)
    print_report(report, as_json=as_json, incidents=options["incidents"])
    if as_json:
        return
    if options["store"]:
        click.echo(f"store: {options['store']} (see `monitor store stats {options['store']}`)")
    elif options["incidents"] is None:
        click.echo("nothing was asked to be kept: name --incidents FILE, or --store DSN")


@contextmanager
def progress_bar(what: str, *, show: bool = True) -> Iterator[Callable[[float, Report], None]]:
    """Show a progress bar on standard error when a person watches."""
    if not show or not sys.stderr.isatty():
        yield lambda _share, _report: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    rates = TextColumn("{task.fields[rate]}")
    with Progress(*columns, rates, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=1.0, rate="")

        def watch(share: float, report: Report) -> None:
            rate = f"{report.samples:,} samples, {report.anomalies:,} anomalies"
            progress.update(task, completed=share, rate=rate)

        yield watch


def print_report(report: Report, *, as_json: bool, incidents: Path | None) -> None:
    """Say what a replay did."""
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(report).decode())
        return
    rate = report.samples / report.seconds if report.seconds else 0.0
    click.echo(
        f"{report.lines:,} frames, {report.samples:,} samples in {report.seconds:.1f} s "
        f"({rate:,.0f} samples/s){', resumed' if report.resumed else ''}"
    )
    odd = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in report.quality.items()]
    if odd:
        click.echo("data quality: " + ", ".join(odd))
    if report.dead:
        dead = ", ".join(f"{count:,} {reason}" for reason, count in sorted(report.dead.items()))
        click.echo(f"dead letters: {dead} (write them with --dead, see `monitor dead list`)")
    click.echo(
        f"anomaly records {report.anomalies:,}, incidents {report.incidents:,}, pages {report.pages:,}"
    )
    if incidents is not None:
        click.echo(f"incidents: {incidents} (see `monitor incidents list --from {incidents}`)")
