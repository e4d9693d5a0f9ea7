"""`monitor dead`: frames that could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.sources import dead_letters, reads

DEAD = reads("dead")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print records, one a line.")


if TYPE_CHECKING:
    from pathlib import Path


@click.group("dead")
def dead_group() -> None:
    """Frames that could not be read: list them, count them by reason."""


@dead_group.command("list")
@DEAD
@click.option("--reason", help="Only those with this reason.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")
@AS_JSON
def list_dead(file: Path | None, store: str | None, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List dead letters: where, why, and the frame as it came.

    \b
    Example:
      monitor dead list --from dead.ndjson --reason bad_length
    """
    from itertools import islice

    import msgspec

    wanted = (letter for letter in dead_letters(file, store) if reason in {None, letter.reason})
    for letter in islice(wanted, limit):
        if as_json:
            click.echo(msgspec.json.encode(letter).decode())
            continue
        place = ", ".join(f"{key} {value}" for key, value in letter.position.items())
        click.echo(f"{place}: {letter.reason}: {letter.detail}")
        click.echo(f"    {letter.frame[:160]}{'...' if len(letter.frame) > 160 else ''}")


@dead_group.command("count")
@DEAD
@AS_JSON
def count_dead(file: Path | None, store: str | None, *, as_json: bool) -> None:
    """Count dead letters by reason.

    \b
    Example:
      monitor dead count --from dead.ndjson
    """
    from collections import Counter

    import msgspec

    counts = Counter(letter.reason for letter in dead_letters(file, store))
    if as_json:
        click.echo(msgspec.json.encode(dict(sorted(counts.items()))).decode())
        return
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{count:>10,}  {reason}")
    click.echo(f"{counts.total():>10,}  in all")
