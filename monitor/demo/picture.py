"""The hall at its worst moment as an SVG picture: one cell a rack, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from monitor.demo.hall import FAR, natural

if TYPE_CHECKING:
    from monitor.demo.hall import Hall

WIDE = 8
"""A fault in more racks than this is a dot in each instead of a frame around it."""

CELL_W, CELL_H, GAP = 50, 44, 4
LEFT, TOP = 40, 142
LEAST_WIDTH = 1000

INK, MUTED, PAPER, FAINT = "#1c2126", "#67707a", "#ffffff", "#e3e6e9"
DARK = "#3a424b"
SHADES = (
    (-5.0, "#dce9f3"), (0.0, "#f2f3f0"), (5.0, "#fde6b8"), (10.0, "#fcc070"), (15.0, "#f58b3f"),
    (20.0, "#e1502f"), (30.0, "#9c1a20"),
)  # fmt: skip
"""Colours by degrees above the usual; between two of them they are mixed."""

STYLE = f"""\
text {{ font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: {INK}; }}
.title {{ font-size: 24px; font-weight: 650; }} .said {{ font-size: 14px; fill: {MUTED}; }}
.row {{ font-size: 12px; fill: {MUTED}; text-anchor: middle; }} .rack {{ font-size: 10px; text-anchor: middle; }}
.value {{ font-size: 14px; font-weight: 600; text-anchor: middle; }} .list {{ font-size: 14px; }}
.tick {{ font-size: 12px; fill: {MUTED}; text-anchor: middle; }} .key {{ font-size: 12px; fill: {MUTED}; }}
.number {{ font-size: 11px; font-weight: 700; text-anchor: middle; fill: {PAPER}; }} .off {{ fill: {MUTED}; }}"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fault: what broke, when (ms), in which racks; when somebody was paged for it, and what was named."""

    what: str
    start: int
    end: int
    racks: frozenset[str]
    paged_at: int | None
    named: str

    def on(self, ts: int) -> bool:
        """Whether it is on at a time."""
        return self.start < ts <= self.end


def draw(hall: Hall, gpus: int, marks: list[Mark]) -> str:
    """Return the picture of a hall in the column in which most racks are far from their usual."""
    column = hall.worst()
    at = hall.ends(column)
    rows = sorted(set(hall.row), key=natural)
    deep = max(hall.row.count(row) for row in rows)
    width = max(LEAST_WIDTH, 2 * LEFT + len(rows) * (CELL_W + GAP) - GAP)
    legend = TOP + deep * (CELL_H + GAP) + 26
    faults = legend + 78
    height = faults + 30 + 24 * len(marks) + 24
    parts = [
        *_head(hall, gpus, column),
        *_cells(hall, column, rows),
        *_on_racks(hall, rows, marks, at),
        *_legend(legend),
        *_faults(marks, at, faults),
    ]
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title said">',
            f"<style>\n{STYLE}\n</style>",
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def shade(excess: float) -> str:
    """Return the colour of so many degrees above the usual.

    >>> shade(0.0), shade(2.5), shade(99.0)
    ('#f2f3f0', '#f8ecd4', '#9c1a20')
    """
    stops = [stop for stop, _ in SHADES]
    channels = [[int(colour[i : i + 2], 16) for _, colour in SHADES] for i in (1, 3, 5)]
    mixed = [round(float(np.interp(excess, stops, channel))) for channel in channels]
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _head(hall: Hall, gpus: int, column: int) -> list[str]:
    when = datetime.fromtimestamp(hall.ends(column) / 1000, UTC)
    far, count = hall.far(column), len(hall.racks)
    title = f"{gpus:,} GPUs at the worst moment: {when:%d %b %Y, %H:%M} UTC"
    said = (
        f"Of {hall.step_ms // 60_000} minute each, this is the one in which most racks, {far} of {count}, "
        f"were {FAR:.0f} °C or more above their usual, or dark."
    )
    said = said.replace("Of 1 minute each", "Of all minutes")
    reads = (
        "A cell is a rack: the temperature of its hottest GPU in °C, coloured by how far that is above the "
        "rack's own median of the first hour."
    )
    return [
        f'<text id="title" class="title" x="{LEFT}" y="48">{escape(title)}</text>',
        f'<text id="said" class="said" x="{LEFT}" y="76">{escape(said)}</text>',
        f'<text class="said" x="{LEFT}" y="97">{escape(reads)}</text>',
    ]


def _corner(hall: Hall, rows: list[str], place: int) -> tuple[int, int]:
    """Return the upper left corner of a rack's cell: rows stand side by side, racks beneath each other."""
    row = hall.row[place]
    return LEFT + rows.index(row) * (CELL_W + GAP), TOP + (place - hall.row.index(row)) * (CELL_H + GAP)


def _cells(hall: Hall, column: int, rows: list[str]) -> list[str]:
    parts = [
        f'<text class="row" x="{LEFT + i * (CELL_W + GAP) + CELL_W // 2}" y="{TOP - 8}">'
        f"{escape(_short(row))}</text>"
        for i, row in enumerate(rows)
    ]
    for place, rack in enumerate(hall.racks):
        x, y = _corner(hall, rows, place)
        value, usual = float(hall.hottest[place, column]), float(hall.usual[place])
        heard = value == value  # noqa: PLR0124 - NaN
        fill = shade(value - usual) if heard else DARK
        ink = INK if heard and value - usual < 17 else PAPER
        told = f"{value:.0f} °C, usual {usual:.0f} °C" if heard else "nothing heard"
        parts += [
            f"<g data-rack={quoteattr(rack)}><title>{escape(f'{rack}: {told}')}</title>"
            f'<rect x="{x}" y="{y}" width="{CELL_W}" height="{CELL_H}" rx="4" fill="{fill}"/>'
            f'<text class="rack" x="{x + CELL_W // 2}" y="{y + 15}" style="fill:{ink};opacity:.75">'
            f"{escape(_short(rack))}</text>"
            f'<text class="value" x="{x + CELL_W // 2}" y="{y + 34}" style="fill:{ink}">'
            f"{f'{value:.0f}' if heard else 'dark'}</text></g>"
        ]
    return parts


def _on_racks(hall: Hall, rows: list[str], marks: list[Mark], at: int) -> list[str]:
    """Draw the faults that are on: a frame around their racks and a number, or a dot where they are many."""
    frames, numbers, taken = [], [], dict.fromkeys(hall.racks, 0)
    for number, mark in enumerate(marks, start=1):
        for place, rack in enumerate(hall.racks):
            if not mark.on(at) or rack not in mark.racks:
                continue
            x, y = _corner(hall, rows, place)
            if len(mark.racks) > WIDE:
                frames.append(f'<circle cx="{x + CELL_W - 7}" cy="{y + CELL_H - 7}" r="3" fill="{INK}"/>')
                continue
            frames.append(
                f'<rect x="{x}" y="{y}" width="{CELL_W}" height="{CELL_H}" rx="4" fill="none" '
                f'stroke="{INK}" stroke-width="2.5"/>'
            )
            numbers += _number(number, x + 2 + 17 * taken[rack], y)
            taken[rack] += 1
    return frames + numbers


def _number(number: int, x: int, y: int, fill: str = INK) -> list[str]:
    return [
        f'<circle cx="{x}" cy="{y}" r="9" fill="{fill}" stroke="{PAPER}" stroke-width="1.5"/>'
        f'<text class="number" x="{x}" y="{y + 4}">{number}</text>'
    ]


def _legend(y: int) -> list[str]:
    """Draw the scale from the lowest to the highest shade, and what the other signs mean."""
    low, high, length = SHADES[0][0], SHADES[-1][0], 350
    stops = "".join(
        f'<stop offset="{(stop - low) / (high - low):.3f}" stop-color="{colour}"/>' for stop, colour in SHADES
    )
    parts = [
        f'<defs><linearGradient id="scale">{stops}</linearGradient></defs>'
        f'<rect x="{LEFT}" y="{y}" width="{length}" height="14" rx="3" fill="url(#scale)"/>'
    ]
    for stop in (0.0, 10.0, 20.0, 30.0):
        x = LEFT + round((stop - low) / (high - low) * length)
        words = f"+{stop:.0f} °C" if stop else "usual"
        parts.append(f'<text class="tick" x="{x}" y="{y + 30}">{words}</text>')
    x = LEFT + length + 40
    parts += [
        f'<rect x="{x}" y="{y}" width="20" height="14" rx="3" fill="{DARK}"/>'
        f'<text class="key" x="{x + 28}" y="{y + 12}">dark: nothing heard</text>',
        f'<rect x="{x + 171}" y="{y + 1}" width="18" height="12" rx="3" fill="none" stroke="{INK}" stroke-width="2.5"/>'
        f'<text class="key" x="{x + 198}" y="{y + 12}">racks of a fault that is on</text>',
        f'<circle cx="{x + 375}" cy="{y + 7}" r="3" fill="{INK}"/>'
        f'<text class="key" x="{x + 386}" y="{y + 12}">the same, in more than {WIDE} racks</text>',
    ]
    return parts


def _faults(marks: list[Mark], at: int, y: int) -> list[str]:
    """List what broke, and what the pager said about it by then."""
    parts = [
        f'<text class="said" x="{LEFT}" y="{y}">What broke</text>',
        f'<text class="said" x="{LEFT + 300}" y="{y}">when</text>',
        f'<text class="said" x="{LEFT + 520}" y="{y}">what the pager said</text>',
        f'<rect x="{LEFT}" y="{y + 9}" width="920" height="1" fill="{FAINT}"/>',
    ]
    for number, mark in enumerate(marks, start=1):
        line = y + 6 + 24 * number
        on = mark.on(at)
        state = "on" if on else "over" if mark.end < at else "not yet"
        words = "list" if on else "list off"
        paged = f"{clock(mark.paged_at)}  {mark.named}" if mark.paged_at is not None else "nothing"
        parts += [
            *_number(number, LEFT + 9, line - 5, INK if on else MUTED),
            f'<text class="{words}" x="{LEFT + 28}" y="{line}">{escape(mark.what)}</text>'
            f'<text class="{words}" x="{LEFT + 300}" y="{line}">'
            f"{clock(mark.start)} to {clock(mark.end)}, {state}</text>"
            f'<text class="{words}" x="{LEFT + 520}" y="{line}">{escape(paged)}</text>',
        ]
    return parts


def clock(ms: int) -> str:
    """Return the time of day.

    >>> clock(1_795_500_000_000)
    '06:00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def _short(entity: str) -> str:
    return entity.partition(":")[2]
