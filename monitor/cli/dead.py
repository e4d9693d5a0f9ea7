"""`monitor dead`: frames that could not be read."""

from __future__ import annotations

from pathlib import Path

import click

DEAD_FILE = click.option(
    "--from",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file that `monitor replay --dead` wrote.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print records, one a line.")


@click.group("dead")
def dead_group() -> None:
    """Frames that could not be read: list them, count them by reason."""


@dead_group.command("list")
@DEAD_FILE
@click.option("--reason", help="Only those with this reason.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")
@AS_JSON
def list_dead(file: Path, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List dead letters: where, why, and the frame as it came.

    \b
    Example:
      monitor dead list --from dead.ndjson --reason bad_length
    """
    from itertools import islice

    import msgspec

    from monitor.adapters.records import dead_letters

    wanted = (letter for letter in dead_letters(file) if reason in {None, letter.reason})
    for letter in islice(wanted, limit):
        if as_json:
            click.echo(msgspec.json.encode(letter).decode())
            continue
        place = ", ".join(f"{key} {value}" for key, value in letter.position.items())
        click.echo(f"{place}: {letter.reason}: {letter.detail}")
        click.echo(f"    {letter.frame[:160]}{'...' if len(letter.frame) > 160 else ''}")


@dead_group.command("count")
@DEAD_FILE
@AS_JSON
def count_dead(file: Path, *, as_json: bool) -> None:
    """Count dead letters by reason.

    \b
    Example:
      monitor dead count --from dead.ndjson
    """
    from collections import Counter

    import msgspec

    from monitor.adapters.records import dead_letters

    counts = Counter(letter.reason for letter in dead_letters(file))
    if as_json:
        click.echo(msgspec.json.encode(dict(sorted(counts.items()))).decode())
        return
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"{count:>10,}  {reason}")
    click.echo(f"{counts.total():>10,}  in all")
