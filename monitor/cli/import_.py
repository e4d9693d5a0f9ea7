"""`monitor import`: other people's tables to telemetry frames."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.catalog import FRAME_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.adapters.lines import LineFile


@click.group("import")
def import_group() -> None:
    """Turn recorded tables into telemetry frames.

    \b
    Example:
      monitor import csv machine.csv --kind facility --source cdu:machine --time timestamp \\
          --value value=coolant_return_celsius --out frames.ndjson
    """


def _pair(
    _ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in texts:
        column, _, metric = text.rpartition("=")
        if not (column and metric):
            raise click.BadParameter(f"`{text}` must be COLUMN=METRIC, as in value=gpu_temp_celsius")
        pairs.append((column, metric))
    return tuple(pairs)


@import_group.command("csv")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", required=True, type=click.Choice(FRAME_KINDS), help="Kind of the frames.")
@click.option("--source", required=True, metavar="ID", help="The entity that was measured, as kind:name.")
@click.option(
    "--time", required=True, metavar="COLUMN", help="Column of times, each the end of what its row covers."
)
@click.option(
    "--value",
    "values",
    required=True,
    multiple=True,
    callback=_pair,
    metavar="COLUMN=METRIC",
    help="A column of values and the metric it is; may be given again.",
)
@click.option("--timezone", default="UTC", show_default=True, help="Zone of times that name none.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here instead of standard output."
)
def csv_command(file: Path, out: Path | None, **recipe: Any) -> None:
    """Turn a CSV file with a row of column names into frames.

    The file may be plain, .gz or .zst; frames come out in order of time. Times are ISO 8601
    (2026-03-01T12:30:00Z, 2026-03-01 12:30:00) or a number of s, ms, us or ns since 1970, told apart by size.
    An empty cell is null: not measured. Where clocks are turned back, a local time that comes twice is the
    first one unless the row before is at it or past it. Nothing is written when a row cannot be read.

    \b
    Example:
      monitor import csv machine.csv --kind facility --source cdu:machine --time timestamp \\
          --value value=coolant_return_celsius --out frames.ndjson
    """
    from monitor.adapters.csvfile import Recipe, frames, in_order
    from monitor.adapters.lines import LineFile, replace_file

    dated = in_order(frames(_text(LineFile(file)), Recipe.of(**recipe), str(file)))
    data = b"".join([frame for _, frame in dated])
    if out is None:
        click.echo(data, nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(out, data)
    click.echo(_summary([ts for ts, _ in dated], out), err=True)
    for name in _unknown(recipe["kind"], [metric for _, metric in recipe["values"]]):
        known = f"is no {recipe['kind']} metric of the shipped rules; it is charted as a gauge"
        click.echo(f"note: `{name}` {known}", err=True)


def _unknown(kind: str, metrics: list[str]) -> list[str]:
    """Return the metrics that the shipped catalogue does not know, by any of their names."""
    from monitor.adapters.rules import load_rules

    catalog = load_rules().catalog
    return [name for name in metrics if catalog.resolve(kind, name) is None]


def _text(file: LineFile) -> Iterator[str]:
    """Yield the lines of a file as text, showing how far it is when a person watches."""
    from monitor.errors import WorkError

    with _progress(file.size) as show:
        for _, number, line in file.read():
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise WorkError(
                    f"{file.path}, line {number}: not UTF-8 ({error.reason}); convert it"
                ) from error
            if number % 10_000 == 0:
                show(file.done)
        show(file.size)


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("import", total=size)
        yield lambda done: progress.update(task, completed=done)


def _summary(times: list[int], out: Path | None) -> str:
    if not times:
        return "no frames: the table has no rows"
    first, last = (
        f"{datetime.fromtimestamp(ts / 1000, UTC):%Y-%m-%d %H:%M:%S}" for ts in (times[0], times[-1])
    )
    return f"{len(times):,} frames from {first} to {last} UTC" + (f" in {out}" if out else "")
