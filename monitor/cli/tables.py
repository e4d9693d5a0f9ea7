"""Tables of incidents for a terminal, and for whatever reads a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RIGHT = frozenset({"sure", "after", "anomalies", "affected", "pages"})
FOLDED = frozenset({"cause", "reason", "what broke", "where", "the page named"})
PIPE_WIDTH = 10_000


def console_out() -> Console:
    """Return a console on standard output: as wide as the terminal, and in a pipe as wide as need be."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def plain(text: str) -> str:
    """Write out what a terminal would obey: a frame is anybody's.

    >>> plain("a" + chr(27) + "[2J")
    'a\\\\x1b[2J'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table of any length in which nothing is cut off.

    >>> list(columns(["a", "bc"], [["xyz", 1], ["", 2.5]]))
    ['a    bc', 'xyz  1', '     2.5']
    """
    cells = [[plain(str(value)) for value in row] for row in [names, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


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
