"""`monitor rules`: check and show the rules files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from monitor.adapters.rules import Rules
    from monitor.catalog import Metric, XidCode
    from monitor.correlate.faults import FaultKind, Term
    from monitor.ingest.exposition.labelmap import Block, LabelMap

_directory = click.option(
    "--rules",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory with your own rules files; the shipped ones stand for what it lacks.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print records instead of text.")


@click.group("rules")
def rules_group() -> None:
    """Check and show rules: metrics, XID codes, faults, settings.

    \b
    Example:
      monitor rules check --rules etc/rules
    """


@rules_group.command("check")
@_directory
@_json
def check(directory: Path | None, *, as_json: bool) -> None:
    """Say what is wrong with the rules, all of it, each with its place.

    The exit code is 0 where nothing is wrong and 1 where something is.

    \b
    Example:
      monitor rules check --rules etc/rules
    """
    from monitor.adapters.rules import check_rules, load_rules

    problems = check_rules(directory)
    if as_json:
        _print_json({"ok": not problems, "problems": problems})
    elif problems:
        click.echo("\n".join(problems))
        click.echo(f"{_count(len(problems), 'problem')}; nothing reads these rules until they are mended.")
    else:
        rules = load_rules(directory)
        metrics, codes = len(rules.catalog.metrics), len(rules.catalog.xid)
        kinds = _count(len(rules.faults.faults), "fault kind")
        held = f"{metrics} metrics, {codes} XID codes, {kinds}; digest {rules.digest[:12]}"
        click.echo(f"The rules are fine: {_count(len(rules.labelmaps), 'label map')}, {held}.")
    if problems:
        raise SystemExit(1)


@rules_group.command("show")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_directory
@_json
def show(names: tuple[str, ...], directory: Path | None, *, as_json: bool) -> None:
    """Show settings, metrics, XID codes, faults, label maps in force.

    NAME is a metric by any of its names, an XID code, a setting, a fault kind, or a label map; without one
    everything is shown. The exit code is 1 where a name means nothing.

    \b
    Example:
      monitor rules show DCGM_FI_DEV_GPU_TEMP 79 tick_ms cdu_flow vllm
    """
    from monitor.adapters.rules import load_rules

    rules = load_rules(directory)
    settings, metrics, codes, faults, maps = found = _named(rules, names)
    if as_json:
        parts = {"settings": settings, "metrics": metrics, "xid": codes, "faults": faults, "labelmaps": maps}
        _print_json({**parts, "digest": rules.digest})
    elif any(found):
        lines = [f"{name}: {_plain(value)}" for name, value in settings.items()]
        lines += [_metric_line(m) for m in metrics] + [_code_line(c) for c in codes]
        lines += [line for fault in faults for line in _fault_lines(fault)]
        click.echo("\n".join(lines + [line for m in maps for line in _map_lines(m)]))
    unknown = [name for name in names if not any(_named(rules, (name,)))]
    if unknown:
        click.echo(
            f"No metric, XID code, setting, fault kind or label map is called {', '.join(unknown)}.", err=True
        )
        raise SystemExit(1)


def _named(
    rules: Rules, names: tuple[str, ...]
) -> tuple[dict[str, object], list[Metric], list[XidCode], list[FaultKind], list[LabelMap]]:
    maps = [labelmap for labelmap in rules.labelmaps if not names or labelmap.name in names]
    faults = [fault for fault in rules.faults.faults if not names or fault.name in names]
    return _settings(rules, names), _metrics(rules, names), _codes(rules, names), faults, maps


def _settings(rules: Rules, names: tuple[str, ...]) -> dict[str, object]:
    fields = rules.settings.__struct_fields__
    return {name: getattr(rules.settings, name) for name in fields if not names or name in names}


def _plain(value: object) -> str:
    """Return a setting as text: numbers as they are, a section as JSON."""
    import msgspec

    return msgspec.json.encode(value).decode() if isinstance(value, msgspec.Struct) else str(value)


def _metrics(rules: Rules, names: tuple[str, ...]) -> list[Metric]:
    def called(metric: Metric) -> bool:
        return any(name == metric.name or any(name == a.name for a in metric.aliases) for name in names)

    return [metric for metric in rules.catalog.metrics if not names or called(metric)]


def _codes(rules: Rules, names: tuple[str, ...]) -> list[XidCode]:
    return [code for number, code in rules.catalog.xid.items() if not names or str(number) in names]


def _metric_line(metric: Metric) -> str:
    low, high = ("" if bound is None else f"{bound:g}" for bound in (metric.low, metric.high))
    aliases = ", ".join(a.name if a.scale == 1 else f"{a.name} x {a.scale:.12g}" for a in metric.aliases)
    return (
        f"{metric.kind}.{metric.name}: {metric.type}, {metric.unit}, range {low}..{high}, bad {metric.bad}, "
        f"family {metric.family}" + (f"; also {aliases}" if aliases else "")
    )


def _code_line(code: XidCode) -> str:
    pages = ", pages by itself" if code.hard else ""
    meaning = f"{code.severity}, {code.family}{pages}; {code.description}; {code.action}"
    return f"xid {code.code} {code.mnemonic}: {meaning}"


def _fault_lines(fault: FaultKind) -> list[str]:
    from monitor.correlate.faults import runbook_at

    first = (
        f"fault {fault.name} of {', '.join(fault.cause)}: {fault.pages}, {fault.severity}, "
        f"class {fault.incident_class}, prior {fault.prior:g}"
    )
    where = f"; {runbook_at(fault.runbook)}" if fault.runbook else ""
    return [f"{first}; {fault.summary}{where}", *(f"    {_term_line(term)}" for term in fault.footprint)]


def _term_line(term: Term) -> str:
    whose = " ".join((term.at, ", ".join(term.of))).strip()
    shows = ", ".join(family if sign == "any" else f"{family} {sign}" for family, sign in term.shows.items())
    return f"{term.role}, {whose}: {shows}" + (f"; within {term.lag}" if term.lag else "")


def _map_lines(labelmap: LabelMap) -> list[str]:
    return [f"label map {labelmap.name}: {_block_line(block)}" for block in labelmap.blocks]


def _block_line(block: Block) -> str:
    where = " or ".join(block.source) + (f", item {' or '.join(block.item)}" if block.item else "")
    made = [*(f"{name} (added up)" for name in block.sum), *block.derive]
    more = f"; makes {', '.join(made)}" if made else ""
    return f"{', '.join(block.names)} are {block.kind} of {where}{more}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _print_json(record: object) -> None:
    import msgspec

    click.echo(msgspec.json.encode(record).decode())
