"""`monitor demo`: a simulated hall with faults, end to end on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from monitor.demo.run import Demo

WIDTH = 150
LEAST_GPUS = 512
"""With fewer, some seeds find no place for eight faults apart from each other."""


@click.command("demo")
@click.option(
    "--gpus", default=10_000, show_default=True, type=click.IntRange(LEAST_GPUS), help="A multiple of 8."
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="Another seed is another hall with other faults.",
)
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Simulated time; by default 3.")
@click.option(
    "--interval", default=60, show_default=True, type=click.IntRange(1, 300), help="Seconds a frame."
)
@click.option("--out", default="demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print incidents, pages, score and files as JSON.")
def demo_command(
    gpus: int, seed: int, hours: float | None, interval: int, out: Path, *, as_json: bool
) -> None:
    """Simulate a GPU hall with eight kinds of fault and find them.

    Nothing else needs to be installed. Frames go through the pipeline into a store, incidents through an
    outbox to a receiver on this machine that behaves as PagerDuty; nothing leaves the machine. All of it is
    left in --out for the other commands.

    \b
    Example:
      monitor demo --gpus 1024 --seed 7
    """
    import loadgen
    from monitor.demo.run import run_demo
    from monitor.demo.watch import watching
    from monitor.errors import UsageError

    try:
        spec = loadgen.Spec(scenario="shift", gpus=gpus, seed=seed, hours=hours, interval=interval)
        with watching(spec, show=not as_json) as watch:
            demo = run_demo(spec, out, watch)
    except loadgen.SpecError as error:
        raise UsageError(f"{error} (with --gpus {gpus} and --seed {seed})") from error
    if as_json:
        print_json(demo)
    else:
        _tell(demo)


def _tell(demo: Demo) -> None:
    from rich.console import Console

    from monitor.demo.run import marks
    from monitor.demo.tell import tell

    tell(Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False), demo, marks(demo))


def print_json(demo: Demo) -> None:
    """Print everything that a demo came to as one record."""
    import msgspec

    files = {name: str(getattr(demo.files, name)) for name in FILES}
    record = {
        "run": demo.truth["run"],
        "report": demo.report,
        "incidents": demo.incidents,
        "score": demo.score,
        "pages": demo.pages,
        "files": {**files, "store": demo.files.dsn},
    }
    click.echo(msgspec.json.encode(record).decode())


FILES = ("frames", "topology", "truth", "incidents", "anomalies", "outbox", "picture")
