"""The hall at its worst moment as an SVG picture: one cell a rack, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from monitor.demo.hall import FAR, natural
from monitor.units import MINUTE

if TYPE_CHECKING:
    from monitor.demo.hall import Hall

WIDE = 8
"""A fault in more racks than this is a dot in each instead of a frame around it."""

LINGERS_MS = 10 * MINUTE
"""How long after its end a fault still shows."""

CELL_W, CELL_H, GAP = 50, 44, 4
LEFT, TOP = 40, 146
LEAST_WIDTH = 1080
LINE_H = 25

INK, MUTED, PAPER, FAINT, DARK = "#1c2126", "#67707a", "#ffffff", "#e3e6e9", "#3a424b"
SHADES = (
    (-5.0, "#dce9f3"), (0.0, "#f2f3f0"), (4.0, "#fde6b8"), (8.0, "#fcbd6b"), (12.0, "#f4843a"),
    (16.0, "#dd472c"), (20.0, "#9c1a20"),
)  # fmt: skip
"""Colours by degrees above the usual; between two of them they are mixed."""

PAPER_INK_FROM = 14.0
"""Degrees above the usual from which on a shade is so dark that words on it are white."""

STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; }
.title { font-size: 24px; font-weight: bold; }
.said, .list { font-size: 14px; }
.row, .tick, .key { font-size: 12px; }
.rack { font-size: 10px; opacity: 0.8; }
.value { font-size: 15px; font-weight: bold; }
.number { font-size: 11px; font-weight: bold; }
.row, .tick, .rack, .value, .number { text-anchor: middle; }
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A fault: what broke, when (ms), in which racks; when somebody was paged for it, and what was named."""

    what: str
    start: int
    end: int
    racks: frozenset[str]
    paged_at: int | None
    named: str

    def state(self, ts: int) -> str:
        """Say how it stands at a time."""
        if ts <= self.start:
            return "not yet"
        if ts <= self.end:
            return "on"
        return "just over" if ts <= self.end + LINGERS_MS else "over"

    def shows(self, ts: int) -> bool:
        """Whether its racks may show it at a time: heat goes away slowly."""
        return self.state(ts) in {"on", "just over"}

    @property
    def wide(self) -> bool:
        """Whether it is in many racks."""
        return len(self.racks) > WIDE


@dataclass(frozen=True, slots=True)
class Floor:
    """Where cells go: rows stand side by side, or beneath each other where they are few and long.

    places: column and line of each rack. names: column and name of each row, where they stand side by side.
    """

    places: tuple[tuple[int, int], ...]
    names: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, hall: Hall) -> Floor:
        """Lay a hall out."""
        rows = sorted(set(hall.row), key=natural)
        upright = len(rows) >= max(hall.row.count(row) for row in rows)
        at = [(rows.index(row), hall.row[:place].count(row)) for place, row in enumerate(hall.row)]
        if upright:
            return cls(tuple(at), tuple(enumerate(rows)))
        return cls(tuple((line, column) for column, line in at), ())

    @property
    def columns(self) -> int:
        """How many cells it is wide."""
        return 1 + max(column for column, _ in self.places)

    @property
    def lines(self) -> int:
        """How many cells it is high."""
        return 1 + max(line for _, line in self.places)

    def corner(self, place: int) -> tuple[int, int]:
        """Return the upper left corner of a rack's cell."""
        column, line = self.places[place]
        return LEFT + column * (CELL_W + GAP), TOP + line * (CELL_H + GAP)


@dataclass(frozen=True, slots=True)
class _Canvas:
    """What is drawn on; each method adds one element."""

    root: Element = field(
        default_factory=lambda: Element("svg", xmlns="http://www.w3.org/2000/svg", role="img")
    )

    def add(self, tag: str, text: str = "", **attributes: str | float) -> Element:
        named = {name.rstrip("_").replace("_", "-"): str(value) for name, value in attributes.items()}
        element = SubElement(self.root, tag, named)
        element.text = text or None
        return element

    def text(self, kind: str, x: float, y: float, text: str, fill: str = INK) -> None:
        self.add("text", text, class_=kind, x=x, y=y, fill=fill)

    def box(self, x: float, y: float, width: float, height: float, fill: str, radius: float = 4) -> None:
        self.add("rect", x=x, y=y, width=width, height=height, rx=radius, fill=fill)

    def frame(self, x: float, y: float, width: float, height: float) -> None:
        self.add(
            "rect", x=x, y=y, width=width, height=height, rx=4, fill="none", stroke=INK, stroke_width=2.5
        )  # fmt: skip

    def dot(self, x: float, y: float) -> None:
        self.add("circle", cx=x, cy=y, r=3.5, fill=INK, stroke=PAPER)

    def number(self, number: int, x: float, y: float, fill: str = INK) -> None:
        self.add("circle", cx=x, cy=y, r=9, fill=fill, stroke=PAPER, stroke_width=1.5)
        self.text("number", x, y + 4, str(number), PAPER)


def draw(hall: Hall, gpus: int, marks: list[Mark]) -> str:
    """Return the picture of a hall in the column in which most racks are far from their usual."""
    column, floor, canvas = hall.worst(), Floor.of(hall), _Canvas()
    width = max(LEAST_WIDTH, 2 * LEFT + floor.columns * (CELL_W + GAP) - GAP)
    legend = TOP + floor.lines * (CELL_H + GAP) + 26
    faults = legend + 80
    height = faults + LINE_H * (len(marks) + 1) + 24
    canvas.root.attrib |= {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    canvas.add("style", STYLE)
    canvas.box(0, 0, width, height, PAPER, radius=0)
    _head(canvas, hall, gpus, column)
    for at, name in floor.names:
        canvas.text("row", LEFT + at * (CELL_W + GAP) + CELL_W / 2, TOP - 9, _short(name), MUTED)
    for place in range(len(hall.racks)):
        _cell(canvas, hall, place, column, floor.corner(place))
    _on_racks(canvas, hall, floor, marks, hall.ends(column))
    _legend(canvas, legend)
    _faults(canvas, marks, hall.ends(column), faults)
    indent(canvas.root)
    return tostring(canvas.root, "unicode") + "\n"


def shade(excess: float) -> str:
    """Return the colour of so many degrees above the usual.

    >>> shade(0.0), shade(2.0), shade(99.0)
    ('#f2f3f0', '#f8ecd4', '#9c1a20')
    """
    stops = [stop for stop, _ in SHADES]
    channels = [[int(colour[i : i + 2], 16) for _, colour in SHADES] for i in (1, 3, 5)]
    mixed = [round(float(np.interp(excess, stops, channel))) for channel in channels]
    return "#" + "".join(f"{value:02x}" for value in mixed)


def clock(ms: int) -> str:
    """Return the time of day.

    >>> clock(1_795_500_000_000)
    '06:00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def _head(canvas: _Canvas, hall: Hall, gpus: int, column: int) -> None:
    when = datetime.fromtimestamp(hall.ends(column) / 1000, UTC)
    step = hall.step_ms // 60_000
    spell = "minute" if step == 1 else f"{step} minutes"
    title = f"{gpus:,} GPUs at the worst moment: {when:%d %b %Y, %H:%M} UTC"
    canvas.add("title", title)
    canvas.text("title", LEFT, 48, title)
    canvas.text(
        "said", LEFT, 78,
        f"The {spell} in which most racks, {hall.far[:, column].sum()} of {len(hall.racks)}, were dark, or "
        f"lastingly {FAR:.0f} °C or more above their usual.", MUTED,
    )  # fmt: skip
    canvas.text(
        "said", LEFT, 99,
        "A cell is a rack: the temperature of its hottest GPU in °C, coloured by how far that is above the "
        "rack's own median of the first hour.", MUTED,
    )  # fmt: skip


def _cell(canvas: _Canvas, hall: Hall, place: int, column: int, corner: tuple[int, int]) -> None:
    x, y = corner
    rack, value, usual = hall.racks[place], hall.hottest[place, column], hall.usual[place]
    heard = bool(np.isfinite(value))
    ink = INK if heard and value - usual < PAPER_INK_FROM else PAPER
    cell = _Canvas(canvas.add("g", data_rack=rack))
    cell.add(
        "title", f"{rack}: {value:.0f} °C, usually {usual:.0f} °C" if heard else f"{rack}: nothing heard"
    )
    cell.box(x, y, CELL_W, CELL_H, shade(value - usual) if heard else DARK)
    cell.text("rack", x + CELL_W / 2, y + 15, _short(rack), ink)
    cell.text("value", x + CELL_W / 2, y + 34, f"{value:.0f}" if heard else "dark", ink)


def _on_racks(canvas: _Canvas, hall: Hall, floor: Floor, marks: list[Mark], at: int) -> None:
    """Draw the faults that show: a frame around their racks and a number, or a dot where they are many."""
    numbers: list[tuple[int, int, int]] = []
    for place, rack in enumerate(hall.racks):
        x, y = floor.corner(place)
        on = [(n, m) for n, m in enumerate(marks, start=1) if rack in m.racks and m.shows(at)]
        if any(mark.wide for _, mark in on):
            canvas.dot(x + CELL_W - 7, y + CELL_H - 7)
        narrow = [number for number, mark in on if not mark.wide]
        if narrow:
            canvas.frame(x, y, CELL_W, CELL_H)
        numbers += [(number, x + 3 + 17 * i, y + 1) for i, number in enumerate(narrow)]
    for number, x, y in numbers:
        canvas.number(number, x, y)


def _legend(canvas: _Canvas, y: int) -> None:
    """Draw the scale from the lowest to the highest shade, and what the other signs mean."""
    low, high, length = SHADES[0][0], SHADES[-1][0], 350
    scale = _Canvas(canvas.add("linearGradient", id="scale"))
    for stop, colour in SHADES:
        scale.add("stop", offset=round((stop - low) / (high - low), 3), stop_color=colour)
    canvas.box(LEFT, y, length, 14, "url(#scale)")
    for stop in (0, 5, 10, 15, 20):
        x = LEFT + (stop - low) / (high - low) * length
        canvas.text("tick", x, y + 31, f"+{stop} °C" if stop else "usual", MUTED)
    x = LEFT + length + 44
    canvas.box(x, y, 20, 14, DARK)
    canvas.text("key", x + 28, y + 12, "dark: nothing heard", MUTED)
    canvas.frame(x + 176, y + 1, 18, 12)
    canvas.text("key", x + 203, y + 12, "racks of a fault, on or just over", MUTED)
    canvas.dot(x + 411, y + 7)
    canvas.text("key", x + 421, y + 12, f"the same, in more than {WIDE} racks", MUTED)


def _faults(canvas: _Canvas, marks: list[Mark], at: int, y: int) -> None:
    """List what broke, and what the pager said about it, if not by then."""
    columns = (LEFT, LEFT + 290, LEFT + 490, LEFT + 590)
    for x, words in zip(columns, ("What broke", "from, to", "then", "what the pager said"), strict=True):
        canvas.text("said", x, y, words, MUTED)
    canvas.box(LEFT, y + 9, LEAST_WIDTH - 2 * LEFT, 1, FAINT, radius=0)
    for number, mark in enumerate(marks, start=1):
        line = y + 6 + LINE_H * number
        state = mark.state(at)
        ink = INK if mark.shows(at) else MUTED
        said = "nothing" if mark.paged_at is None else f"{clock(mark.paged_at)}  {mark.named}"
        canvas.number(number, LEFT + 9, line - 5, ink)
        told = (mark.what, f"{clock(mark.start)}, {clock(mark.end)}", state, said)
        for x, text in zip((columns[0] + 28, *columns[1:]), told, strict=True):
            canvas.text("list", x, line, text, ink)


def _short(entity: str) -> str:
    return entity.partition(":")[2]
