"""`monitor demo`: a simulated hall with faults, end to end on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from monitor.evaluate import FaultRow
    from monitor.runners.demo import Demo, HeatMap
    from monitor.runners.recorder import Report
    from monitor.types import Incident

COOL, HOT = 45.0, 95.0
SHADES = ("grey30", "dark_blue", "dodger_blue2", "green3", "gold1", "dark_orange", "red1", "bright_white")
WIDTH = 150


@click.command("demo")
@click.option("--gpus", default=128, show_default=True, type=click.IntRange(64), help="A multiple of 8.")
@click.option("--seed", default=1, show_default=True, help="Another seed is another hall with other faults.")
@click.option("--hours", default=11.0, show_default=True, type=click.FloatRange(6), help="Simulated time.")
@click.option(
    "--interval", default=60, show_default=True, type=click.IntRange(1, 300), help="Seconds a frame."
)
@click.option("--out", default="demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the incidents and the score as JSON.")
def demo_command(gpus: int, seed: int, hours: float, interval: int, out: Path, *, as_json: bool) -> None:
    """Simulate a GPU hall with eight kinds of fault and find them: nothing else needs to be installed.

    Frames, topology, truth and incidents are left in --out for the other commands to try.

    \b
    Example:
      monitor demo --gpus 1024 --seed 7
    """
    import loadgen
    from monitor.runners.demo import run_demo

    spec = loadgen.Spec(scenario="all", gpus=gpus, seed=seed, hours=hours, interval=interval)
    with _progress(show=not as_json) as stages:
        demo = run_demo(spec, out, stages)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode({"incidents": demo.incidents, "score": demo.score}).decode())
        return
    _tell(demo, spec)


@contextmanager
def _progress(*, show: bool) -> Iterator[tuple[Callable[[float], None], Callable[[float, Report], None]]]:
    """Show how far the simulation and the replay are, on standard error."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<32}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    notes = (TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    console = Console(stderr=True, quiet=not (show and sys.stderr.isatty()))
    with Progress(*columns, *notes, console=console) as progress:
        making = progress.add_task("simulating the hall", total=1.0, note="")
        watching = progress.add_task("watching its telemetry", total=1.0, note="")

        def simulated(share: float) -> None:
            progress.update(making, completed=share)

        def replayed(share: float, report: Report) -> None:
            progress.update(making, completed=1.0)
            note = f"{report.samples:,} samples, {report.anomalies:,} anomalies"
            progress.update(watching, completed=share, note=note)

        yield simulated, replayed


def _tell(demo: Demo, spec: object) -> None:
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)
    _tell_fleet(console, demo, spec)
    _draw(console, demo.heat, demo)
    _tell_incidents(console, demo)
    _tell_score(console, demo)


def _tell_fleet(console: Console, demo: Demo, spec: object) -> None:
    gpus, hours, interval = (getattr(spec, name) for name in ("gpus", "hours", "interval"))
    report = demo.report
    console.print(
        f"\n[bold]The hall[/]: {gpus:,} GPUs in {gpus // 8:,} nodes and {len(demo.heat.racks)} racks, "
        f"training jobs that come and go,\n{hours:g} simulated hours with a frame every {interval} s. "
        f"{len(demo.truth['faults'])} things break on the way; the monitor is not told which.\n"
        f"It read {report.lines:,} frames ({report.samples:,} samples) in {report.seconds:.0f} s, "
        f"{report.samples / max(report.seconds, 1e-9) / 1e6:.2f} M samples/s."
    )


def _draw(console: Console, heat: HeatMap, demo: Demo) -> None:
    """Draw the hottest GPU of each rack over time, and when faults were on."""
    from rich.text import Text

    console.print("\n[bold]Its telemetry[/]: the hottest GPU of each rack, left to right in time\n")
    for rack, row in zip(heat.racks, heat.hottest, strict=True):
        line = Text(f"  {rack.partition(':')[2]:<6}")
        for value in row.tolist():
            line.append("·" if value != value else "█", style=_shade(value))  # noqa: PLR0124 - NaN
        console.print(line)
    marks = [" "] * len(heat.hottest[0])
    for number, fault in enumerate(demo.truth["faults"], start=1):
        column = (fault["start"] - heat.start) // heat.column_ms
        marks[min(column, len(marks) - 1)] = str(number % 10)
    console.print("  fault " + "".join(marks))
    scale = Text("  " + " " * 6)
    for i, shade in enumerate(SHADES):
        scale.append(f"█ {COOL + i * (HOT - COOL) / (len(SHADES) - 1):.0f} ", style=shade)
    scale.append("°C   · nothing heard")
    console.print(scale)


def _shade(value: float) -> str:
    if value != value:  # noqa: PLR0124 - NaN
        return "dim"
    share = (value - COOL) / (HOT - COOL)
    return SHADES[round(min(max(share, 0.0), 1.0) * (len(SHADES) - 1))]


def _tell_incidents(console: Console, demo: Demo) -> None:
    """Print what broke beside what was paged."""
    from rich.table import Table

    found = {(i.id, i.episode): i for i in demo.incidents}
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in ("", "what broke", "at", "the page named", "sure", "after", "anomalies", "affected"):
        table.add_column(
            column, justify="right" if column in {"sure", "after", "anomalies", "affected"} else "left"
        )
    for number, row in enumerate(demo.score.faults, start=1):
        incident = found.get((row.incident or "", row.episode or 1))
        table.add_row(str(number), row.scenario, row.entity, *_named(row, incident))
    console.print("\n[bold]What broke, and what the pager said[/]\n")
    console.print(table)


def _named(row: FaultRow, incident: Incident | None) -> tuple[str, ...]:
    if incident is None or not row.found:
        return ("[red]nothing[/]", "", "", "", "")
    right = row.rank == 1
    cause = f"[{'green' if right else 'red'}]{incident.cause.entity}[/] {incident.cause.reason}"
    after = "" if row.page_ms is None else f"{row.page_ms / 60_000:.1f} min"
    return (
        cause,
        f"{incident.cause.confidence:.0%}",
        after,
        f"{incident.anomalies:,}",
        f"{incident.affected.count:,}",
    )


def _tell_score(console: Console, demo: Demo) -> None:
    figures, pages = demo.score.figures, demo.score.counts.pages
    quiet = [i for i in demo.incidents if i.paged_at is None and i.state != "merged"]
    console.print(
        f"\n{demo.report.anomalies:,} anomaly records became {pages} pages "
        f"for {len(demo.score.faults)} faults: recall {figures.recall or 0:.2f}, "
        f"cause right {figures.cause_top1 or 0:.2f}, "
        f"{figures.false_pages} false. {len(quiet)} more incidents were kept as tickets or records."
    )
    for page in demo.score.false:
        console.print(f"[red]false page[/]: {page.cause} ({page.why})")
    where = demo.out / "incidents.ndjson"
    console.print("\n[bold]Try next[/]")
    console.print(f"  monitor incidents list --from {where}")
    if demo.incidents:
        paged = next((i for i in demo.incidents if i.paged_at is not None), demo.incidents[0])
        console.print(f"  monitor incidents show {paged.id[:8]} --from {where}")
        console.print(f"  monitor incidents why {paged.cause.entity} --from {where}")
    console.print(f"  monitor evaluate {demo.out / 'truth.json'} {where}")
