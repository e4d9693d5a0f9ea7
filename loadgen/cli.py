"""The command line: `python -m loadgen`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadgen.spec import DEFAULT_START, SCENARIOS, Spec, SpecError

if TYPE_CHECKING:
    from loadgen.run import Run
    from loadgen.write import Compression, Written

EXAMPLES = """\b
Examples:
  python -m loadgen --list
  python -m loadgen --scenario cdu-flow --gpus 512 --seed 7 --out runs/cdu-flow
  python -m loadgen --scenario all --gpus 1000 --interval 60 --out runs/all
  python -m loadgen --scenario clean --gpus 1000 --days 10 --interval 60 --out runs/clean
"""


def _list(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the scenarios and leave."""
    if value:
        for scenario in SCENARIOS.values():
            click.echo(f"{scenario.name:18} {scenario.hours:4.0f} h  {scenario.about}")
        context.exit()


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--scenario", type=click.Choice(list(SCENARIOS)), metavar="NAME", default="all", show_default=True
)
@click.option("--gpus", default=512, show_default=True, help="Size of the hall, a multiple of 8.")
@click.option("--models", default=0, hidden=True, help="Accepted; no models are simulated yet.")
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="The same seed gives the same bytes."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Directory.")
@click.option("--hours", type=float, help="Length of the run; by default the scenario's own.")
@click.option("--days", type=float, help="Length of the run in days.")
@click.option("--interval", default=10, show_default=True, help="Seconds between frames: 10, 60, ...")
@click.option("--compress", type=click.Choice(["zst", "gz", "none"]), default="zst", show_default=True)
@click.option("--received", is_flag=True, help="Stamp each frame with the time it was taken in.")
@click.option("--start", type=click.DateTime(), help="Event time of the first tick, UTC.")
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List scenarios."
)
def main(
    *,
    scenario: str,
    gpus: int,
    models: int,
    seed: int,
    out: Path,
    hours: float | None,
    days: float | None,
    interval: int,
    compress: Compression,
    received: bool,
    start: datetime | None,
) -> None:
    """Simulate the telemetry of a GPU hall, with faults and the truth about them.

    Writes frames.ndjson[.zst], topology.ndjson and truth.json into a directory.
    """
    if hours is not None and days is not None:
        raise click.UsageError("give --hours or --days, not both")
    length = days * 24 if days is not None else hours
    begin = DEFAULT_START if start is None else round(start.replace(tzinfo=UTC).timestamp() * 1000)
    if models:
        click.echo("models are not simulated yet: --models changes nothing", err=True)
    try:
        spec = Spec(scenario, gpus, models, seed, length, interval, received, begin)
        _simulate(spec, out, compress)
    except SpecError as error:
        raise click.UsageError(str(error)) from error


def _simulate(spec: Spec, out: Path, compress: Compression) -> None:
    from loadgen.run import Run

    run = Run(spec)
    began = time.perf_counter()
    written = _write(run, out, compress)
    seconds = time.perf_counter() - began
    hours = spec.ticks * spec.interval / 3600
    click.echo(f"{written.path}: {written.frames:,} frames over {hours:g} h in {seconds:.1f} s")
    for fault in run.course.faults:
        minutes = (fault.end - fault.start) / 60_000
        begin = datetime.fromtimestamp(fault.start / 1000, UTC)
        click.echo(f"  {begin:%d %b %H:%M:%S}  {fault.kind:12} {fault.entity:16} {minutes:4.0f} min")


def _write(run: Run, out: Path, compress: Compression) -> Written:
    """Write the run, with a progress bar where a person watches."""
    from loadgen.write import write_run

    if not sys.stderr.isatty():
        return write_run(run, out, compress)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=run.spec.ticks + 1)
        return write_run(run, out, compress, lambda: bar.advance(task))
