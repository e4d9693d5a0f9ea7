"""`monitor rules`: check and show the rules files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from monitor.adapters.rules import Rules
    from monitor.catalog import Metric, XidCode

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
    """Check and show the rules: metrics, XID codes, settings, faults."""


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
        click.echo(f"The rules are fine: {metrics} metrics, {codes} XID codes; digest {rules.digest[:12]}.")
    if problems:
        raise SystemExit(1)


@rules_group.command("show")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_directory
@_json
def show(names: tuple[str, ...], directory: Path | None, *, as_json: bool) -> None:
    """Show settings, metrics and XID codes as they are in force.

    NAME is a metric by any of its names, an XID code, or a setting; without one everything is shown. The
    exit code is 1 where a name means nothing.

    \b
    Example:
      monitor rules show DCGM_FI_DEV_GPU_TEMP 79 tick_ms
    """
    from monitor.adapters.rules import load_rules

    rules = load_rules(directory)
    settings, metrics, codes = _settings(rules, names), _metrics(rules, names), _codes(rules, names)
    if as_json:
        _print_json({"settings": settings, "metrics": metrics, "xid": codes, "digest": rules.digest})
    else:
        lines = [f"{name}: {_plain(value)}" for name, value in settings.items()]
        click.echo("\n".join(lines + [_metric_line(m) for m in metrics] + [_code_line(c) for c in codes]))
    unknown = [
        n for n in names if not (_settings(rules, (n,)) or _metrics(rules, (n,)) or _codes(rules, (n,)))
    ]
    if unknown:
        click.echo(f"No metric, XID code or setting is called {', '.join(unknown)}.", err=True)
        raise SystemExit(1)


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


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _print_json(record: object) -> None:
    import msgspec

    click.echo(msgspec.json.encode(record).decode())
