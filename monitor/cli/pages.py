"""`monitor pages`: what was sent to whom, what was refused, and whether the channels work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from monitor.notify.records import Event

_outbox = click.option(
    "--outbox",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The outbox of a live process.",
)
_rules = click.option(
    "--rules",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory with your own rules.",
)


@click.group("pages")
def pages_group() -> None:
    """Show, retry and test pages.

    \b
    Example:
      monitor pages list --outbox state/outbox.db
    """


@pages_group.command("list")
@_outbox
@click.option("--status", type=click.Choice(["pending", "sending", "sent", "held", "dead"]))
@click.option("--json", "as_json", is_flag=True, help="Print records instead of text.")
def list_command(outbox: Path, status: str | None, *, as_json: bool) -> None:
    """List what was sent, waits, is held or dead, and why.

    A live process may go on meanwhile. The exit code is 1 where something is dead.

    \b
    Example:
      monitor pages list --outbox state/outbox.db --status dead
    """
    from monitor.adapters.outbox import read_events

    events = read_events(outbox, status)
    for event in events:
        click.echo(_record(event) if as_json else _line(event))
    if not events and not as_json:
        click.echo(f"no pages are {status}" if status else "no pages")
    if any(event.status == "dead" for event in events):
        raise SystemExit(1)


@pages_group.command("retry")
@_outbox
@_rules
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
def retry_command(outbox: Path, directory: Path | None, numbers: tuple[int, ...]) -> None:
    """Say again what was refused, as it stands now.

    That is all that is dead, or the events of these numbers. Stop the live process first; it sends them after
    its start. The exit code is 1 where nothing was dead.

    \b
    Example:
      monitor pages retry --outbox state/outbox.db
    """
    import os

    from monitor.adapters.channels import declared
    from monitor.adapters.outbox import DurableOutbox, read_events
    from monitor.adapters.rules import load_rules
    from monitor.runners.delivery import wall_clock

    settings = load_rules(directory).settings.notify
    dead = [event.seq for event in read_events(outbox, "dead")]
    opened = DurableOutbox(outbox, settings, list(declared(settings, os.environ)), wall_clock())
    count = opened.revive(numbers or dead, wall_clock())
    opened.close()
    click.echo(f"{count} refused events are said again as far as their incidents stand.")
    if not count:
        raise SystemExit(1)


@pages_group.command("test")
@_rules
def test_command(directory: Path | None) -> None:
    """Send a test page, and its end, through every channel.

    It says what each receiver answered. The exit code is 1 where one did not take it, or where there is no
    channel.

    \b
    Example:
      MONITOR_PAGERDUTY_ROUTING_KEY=... monitor pages test
    """
    import os

    from monitor.adapters.channels import build_channels
    from monitor.adapters.rules import load_rules
    from monitor.runners.delivery import try_channels, wall_clock

    channels = build_channels(load_rules(directory).settings.notify, os.environ)
    answers = try_channels(channels, wall_clock())
    for channel in channels.values():
        channel.close()
    for name, answer in answers.items():
        click.echo(f"{name}: {answer.outcome.value}" + (f" ({answer.detail})" if answer.detail else ""))
    if not answers:
        click.echo(
            "No channel is set: set MONITOR_PAGERDUTY_ROUTING_KEY, or write notify.channels.", err=True
        )
    if not answers or any(answer.outcome != "ok" for answer in answers.values()):
        raise SystemExit(1)


def _line(event: Event) -> str:
    import msgspec

    from monitor.notify.words import ago
    from monitor.types import Incident
    from monitor.units import iso

    cause = msgspec.json.decode(event.line, type=Incident).cause
    late = f", {ago(event.late_ms)} late" if event.late_ms else ""
    detail = f": {event.detail}" if event.detail else ""
    return (
        f"{event.seq} {iso(event.decided_at)} {event.channel} {event.action.value} {event.incident} "
        f"episode {event.episode}, {event.severity} at {cause.entity} ({cause.reason}): "
        f"{event.status}, {event.reason or 'not sent yet'}{late}, attempts {event.attempts}{detail}"
    )


def _record(event: Event) -> str:
    import msgspec

    record = msgspec.to_builtins(event) | {"line": msgspec.json.decode(event.line)}
    return msgspec.json.encode(record).decode()
