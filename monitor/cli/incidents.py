"""`monitor incidents`: what happened, and why it did or did not page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.sources import STATES, Source, reads, reads_live

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from monitor.types import Incident

FROM = reads("incidents")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print records, one a line.")
COLOURS = {"critical": "bold red", "error": "red", "warning": "yellow", "info": "dim"}


@click.group("incidents")
def incidents_group() -> None:
    """List incidents, show one, say why; acknowledge, resolve, mark.

    \b
    Example:
      monitor incidents list --from incidents.ndjson
    """


@incidents_group.command("list")
@FROM
@click.option("--only", type=click.Choice(STATES), help="Only those that stand so.")
@click.option("--paged", is_flag=True, help="Only those that paged.")
@AS_JSON
def list_incidents(source: Source, only: str | None, *, paged: bool, as_json: bool) -> None:
    """List incidents as they stand at the end.

    \b
    Example:
      monitor incidents list --from incidents.ndjson --paged
      monitor incidents list --store chdb:///var/lib/fleet
      monitor incidents list --url http://127.0.0.1:8720 --only open
    """
    from monitor.adapters.records import standing
    from monitor.cli.tables import console_out

    wanted = [
        incident
        for incident in standing(source.lines())
        if only in {None, incident.state} and (incident.paged_at is not None or not paged)
    ]
    if as_json:
        _print_json(wanted)
    elif not wanted:
        click.echo("no incidents")
    else:
        console = console_out()
        console.print(_table(console, wanted))


@incidents_group.command("show")
@click.argument("incident_id")
@FROM
@AS_JSON
def show_incident(incident_id: str, source: Source, *, as_json: bool) -> None:
    """Show one incident: cause, evidence, who is affected, history.

    INCIDENT_ID may be shortened as long as it is unique.

    \b
    Example:
      monitor incidents show 4f1c --from incidents.ndjson
    """
    history = find_incident(source, incident_id)
    if as_json:
        _print_json(history)
        return
    for line in describe(history):
        click.echo(line)


@incidents_group.command("why")
@click.argument("target")
@FROM
@click.option("--at", metavar="TIME", help="Only up to this time, as 2026-11-24T06:00 (UTC).")
@AS_JSON
def why(target: str, source: Source, at: str | None, *, as_json: bool) -> None:
    """Say why an incident, or an entity, did or did not page.

    TARGET is the id of an incident (or the beginning of it) or an entity.

    \b
    Examples:
      monitor incidents why 4f1c --from incidents.ndjson
      monitor incidents why gpu:n0001/3 --from incidents.ndjson --at 2026-11-24T06:00
    """
    import msgspec

    until = None if at is None else _time_of(at)
    decided = source.decisions(target)
    about = [d for d in decided if until is None or d.ts <= until]
    if as_json:
        for decision in about:
            click.echo(msgspec.json.encode(decision).decode())
        return
    parts = _reasons(target, source.lines(), until)
    for line in parts:
        click.echo(line)
    for d in about:
        whose = f" [{d.incident[:8]}]" if d.incident else ""
        click.echo(f"{clock_text(d.ts)}  {d.entity}{whose}: {d.reason.replace('_', ' ')}; {d.detail}")
    if not about:
        then = "" if at is None else f" up to {at}"
        if parts or decided:
            click.echo(f"no decision names it{then}")
        else:
            click.echo(f"{target}: nothing was decided about it, and no incident lists it{then}")


def _says(action: str, verb: str, done: str) -> click.Command:
    """Make the command that says something about an incident to the live process."""
    mark = click.option(
        "--as", "mark", type=click.Choice(["actionable", "noise"]), required=True, help="What it was."
    )

    @click.argument("incident_id")
    @reads_live
    @click.option("--user", help="Who says so; by default, who you are on this machine.")
    def say(incident_id: str, source: Source, user: str | None, mark: str = "") -> None:
        import getpass

        from monitor.errors import UsageError

        if source.live is None:
            raise UsageError(f"no live process runs there, and only one can {action}; name it with --url")
        known = source.live.say(incident_id, action, user or getpass.getuser(), mark)
        click.echo(f"{known}: {done}; it counts when the tick closes, in less than a minute")

    say.__doc__ = f"""{verb} an incident, in the live process.

    It becomes a frame of the kind `command`, journalled and replayed like the rest. The token is read from
    MONITOR_TOKEN, or from the state directory of the process.

    \b
    Example:
      monitor incidents {action} 4f1c --state state{" --as noise" if action == "mark" else ""}
    """
    return incidents_group.command(action)(mark(say) if action == "mark" else say)


ACK = _says("ack", "Acknowledge", "acknowledged")
RESOLVE = _says("resolve", "Resolve", "resolved")
MARK = _says("mark", "Mark", "marked")


def _time_of(text: str) -> int:
    from datetime import UTC, datetime

    from monitor.errors import UsageError

    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {text}: write a time as 2026-11-24T06:00 ({error})") from error
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _reasons(target: str, lines: list[Incident], until: int | None) -> list[str]:
    """Say which incidents an entity was part of."""
    found = {}
    for incident in lines:
        if target in incident.affected.entities and (until is None or incident.updated_at <= until):
            found[incident.id] = incident
    return [
        f"part of {i.id[:8]}: {i.cause.entity} {i.cause.reason} ({i.severity}, {i.state}, pages: {i.pages})"
        for i in sorted(found.values(), key=lambda i: i.opened_at)
    ]


def find_incident(source: Source, incident_id: str) -> list[Incident]:
    """Return the lines of one incident, by its id or the beginning of it."""
    from monitor.errors import WorkError

    where, lines = source.where, source.history(incident_id)
    ids = sorted({incident.id for incident in lines})
    if not ids:
        raise WorkError(
            f"{where}: no incident begins with `{incident_id}`; `monitor incidents list` shows them"
        )
    if len(ids) > 1:
        raise WorkError(f"{where}: `{incident_id}` may be {' or '.join(ids[:5])}; write more of it")
    return lines


def _print_json(incidents: list[Incident]) -> None:
    import msgspec

    for incident in incidents:
        click.echo(msgspec.json.encode(incident).decode())


def _table(console: Console, incidents: list[Incident]) -> Table:
    from rich.markup import escape

    from monitor.cli.tables import incident_table

    rows = [
        {
            "incident": incident.id[:8] + (f"/{incident.episode}" if incident.episode > 1 else ""),
            "severity": f"[{COLOURS[incident.severity]}]{incident.severity}[/]",
            "state": incident.state,
            "opened (UTC)": clock_text(incident.opened_at),
            "cause": escape(incident.cause.entity),
            "reason": escape(incident.cause.reason),
            "sure": f"{incident.cause.confidence:.0%}",
            "affected": f"{incident.affected.count:,}",
            "pages": str(incident.pages),
        }
        for incident in incidents
    ]
    return incident_table(console, rows, least=("affected", "sure", "pages", "state"))


def clock_text(ts: int | None) -> str:
    """Write a time for people.

    >>> clock_text(1_795_500_000_000)
    '2026-11-24 06:00:00'
    """
    from datetime import UTC, datetime

    return "-" if ts is None else datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def describe(history: list[Incident]) -> list[str]:
    """Say everything about an incident in lines for people."""
    now = history[-1]
    affected = ", ".join(f"{count} {kind}" for kind, count in now.affected.by_kind.items())
    lines = [
        f"{now.id}  {now.severity}, {now.state}, class {now.class_}, episode {now.episode}",
        f"cause     {now.cause.entity}: {now.cause.reason}, {now.cause.confidence:.0%} sure",
        f"          {now.cause.explanation}",
        f"owner     {now.owner or 'nobody named in the topology'}",
        f"affected  {now.affected.count}: {affected}",
        (
            f"times     began {clock_text(now.opened_at)}, known {clock_text(now.detected_at)}, "
            f"paged {clock_text(now.paged_at)}, resolved {clock_text(now.resolved_at)} (UTC)"
        ),
        f"runbook   {now.runbook}",
        "query     " + now.first_query.replace("\n", "\n          "),
    ]
    if now.changes:
        lines.append("changes   " + "; ".join(now.changes))
    lines.append("signals   " + ", ".join(f"{s.metric} by {s.detector} on {s.count}" for s in now.signals))
    lines.append("candidates")
    for candidate in now.candidates:
        lines.append(f"  {candidate.score:6.1%}  {candidate.entity}")
        lines += [f"            {evidence}" for evidence in candidate.evidence]
    lines.append("history")
    lines += [
        f"  {clock_text(i.updated_at)}  {i.transition}: {i.cause.entity} {i.cause.reason}" for i in history
    ]
    return lines
