"""`monitor dead`: frames that could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.sources import reads

DEAD = reads("dead")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print records, one a line.")
SHOWN = 160
"""Characters of a frame that are printed."""

if TYPE_CHECKING:
    from monitor.cli.sources import Source


@click.group("dead")
def dead_group() -> None:
    """Frames that could not be read: list them, count them by reason.

    \b
    Example:
      monitor dead list --from dead.ndjson
    """


@dead_group.command("list")
@DEAD
@click.option("--reason", help="Only those with this reason.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")
@AS_JSON
def list_dead(source: Source, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List dead letters: where, why, and the frame as it came.

    \b
    Example:
      monitor dead list --from dead.ndjson --reason bad_length
      monitor dead list --store chdb:///var/lib/fleet
    """
    import msgspec

    from monitor.cli.tables import plain

    found = list(source.dead_letters(reason, limit))
    for letter in found:
        if as_json:
            click.echo(msgspec.json.encode(letter).decode())
            continue
        place = ", ".join(f"{key} {value}" for key, value in letter.position.items())
        click.echo(f"{place}: {letter.reason}: {plain(letter.detail)}")
        click.echo(f"    {plain(letter.frame[:SHOWN])}{'...' if len(letter.frame) > SHOWN else ''}")
    if not found and not as_json:
        click.echo("no dead letters" + (f" with the reason {reason}" if reason else ""))


@dead_group.command("count")
@DEAD
@AS_JSON
def count_dead(source: Source, *, as_json: bool) -> None:
    """Count dead letters by reason.

    Of a live process, all since its state was begun.

    \b
    Example:
      monitor dead count --from dead.ndjson
    """
    import msgspec

    counts = source.dead_counts()
    if as_json:
        click.echo(msgspec.json.encode(dict(sorted(counts.items()))).decode())
        return
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{count:>10,}  {reason}")
    click.echo(f"{counts.total():>10,}  in all")
