"""Tables of incidents for a terminal, and for whatever reads a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RIGHT = frozenset({"sure", "after", "anomalies", "affected", "pages"})
FOLDED = frozenset({"cause", "reason", "what broke", "where", "the page named"})
PIPE_WIDTH = 10_000


def console_out() -> Console:
    """Return a console on standard output: as wide as the terminal, and in a pipe as wide as need be."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def console_wide() -> Console:
    """Return a console on standard output that cuts nothing off, whatever the terminal."""
    return Console(file=sys.stdout, width=PIPE_WIDTH, highlight=False, markup=False)


def incident_table(console: Console, rows: Sequence[Mapping[str, str]], least: Sequence[str]) -> Table:
    """Return rows, cells by column, as a table that fits a console.

    Where it is too narrow the columns in `least` are left out, the first one first; then names are folded.
    Cells are rich markup.
    """
    columns = list(rows[0])
    for dropped in [None, *least]:
        columns = [name for name in columns if name != dropped]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            table.add_column(
                name,
                justify="right" if name in RIGHT else "left",
                overflow="fold",
                no_wrap=name not in FOLDED,
            )
        for row in rows:
            table.add_row(*(row[name] for name in columns))
        widest = console.options.update(max_width=PIPE_WIDTH)
        if Measurement.get(console, widest, table).maximum <= console.width:
            break
    return table
