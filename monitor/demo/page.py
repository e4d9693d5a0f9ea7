"""One page as PagerDuty would show it, from the event that its receiver got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from monitor.demo.picture import clock

if TYPE_CHECKING:
    from rich.console import RenderableType

    from monitor.demo.pager import Page

STATES = {
    "triggered": "bold white on red3",
    "acknowledged": "bold black on gold1",
    "resolved": "bold white on green4",
}
NESTED = ("cause", "affected")
LISTED = 4
"""Items of a list that are shown; the receiver has all of them."""


def page_view(page: Page) -> Panel:
    """Return a page: how it stands, title, fields, custom details, links, log."""
    said = page.event["payload"]
    head = Text.assemble(
        (f" {page.alert.state.upper()} ", STATES[page.alert.state]), "  ", (said["severity"], "bold")
    )
    fields = _pairs([(name, said[name]) for name in ("source", "component", "group", "class", "timestamp")])
    named = [(link["text"], link["href"]) for link in page.event.get("links", [])]
    links: list[RenderableType] = [Rule("links", style="dim", align="left"), _pairs(named)]
    log = "   ".join(f"{clock(at)} {action}" for at, action in page.log)
    return Panel(
        Group(
            head,
            Text(said["summary"], style="bold"),
            Padding(fields, (1, 0, 0, 0)),
            Rule("custom details", style="dim", align="left"),
            _pairs(list(flat(said["custom_details"]))),
            *(links if named else []),
            Rule("log, event time", style="dim", align="left"),
            Text(log),
        ),
        title=f"alert {page.alert.dedup_key}",
        title_align="left",
        padding=(0, 2),
    )


def flat(details: dict[str, Any], within: str = "") -> list[tuple[str, str]]:
    """Return nested details as names and texts; long lists are cut, and say so.

    >>> flat({"cause": {"entity": "cdu:c01"}, "signals": ["a", "b"], "changes": []})
    [('cause.entity', 'cdu:c01'), ('signals', 'a, b')]
    """
    found: list[tuple[str, str]] = []
    for name, value in details.items():
        if isinstance(value, dict) and name in NESTED:
            found += flat(value, f"{name}.")
        elif value not in ("", [], {}, None):
            found.append((within + name, _text(value)))
    return found


def _text(value: Any) -> str:
    if isinstance(value, list):
        more = [f"... {len(value) - LISTED} more"] if len(value) > LISTED else []
        items = [*map(_text, value[:LISTED]), *more]
        return (", " if max(map(len, items)) < 30 else "\n").join(items)
    if isinstance(value, dict) and "evidence" in value:
        return (
            f"{value['entity']} ({value['score']:.1%}): {value['evidence'][0] if value['evidence'] else ''}"
        )
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _pairs(pairs: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(name, Text(text))
    return table
