"""Tables with a column of times and columns of values, to telemetry frames."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from monitor.errors import UsageError, WorkError
from monitor.topology import is_entity_id
from monitor.units import EARLIEST_TS, LATEST_TS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DELIMITERS = ",;\t|"
LARGEST_SECONDS = 10**11
"""A number below it is seconds since 1970, up to a thousand times it milliseconds, then micro, then nano."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which columns become what: values are (column, metric) pairs, `zone` is for times that name none."""

    kind: str
    source: str
    time: str
    values: tuple[tuple[str, str], ...]
    zone: tzinfo

    @classmethod
    def of(
        cls, kind: str, source: str, time: str, values: Sequence[tuple[str, str]], timezone: str = "UTC"
    ) -> Recipe:
        """Check and build a recipe. Raises UsageError."""
        if not is_entity_id(source):
            raise UsageError(f"source `{source}` must be `kind:name`, as in cdu:c01")
        metrics = [metric for _, metric in values]
        twice = sorted({metric for metric in metrics if metrics.count(metric) > 1})
        if twice:
            raise UsageError(f"metric `{twice[0]}` is given by more than one column")
        return cls(kind, source, time, tuple(values), zone_of(timezone))


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name. Raises UsageError."""
    if name == "UTC":
        return UTC  # known even where the system has no table of zones
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise UsageError(f"time zone `{name}` is unknown here: use a name like Europe/Berlin") from error


def frames(lines: Iterable[str], recipe: Recipe, where: str = "table") -> Iterator[tuple[int, bytes]]:
    """Yield (ts, frame as one NDJSON line) for each row, in the order of the rows.

    The first row names the columns; the delimiter is the first of comma, semicolon, tab and bar with which it
    names all that the recipe needs. An empty cell is null, an empty row nothing. Times are ISO 8601 with or
    without a zone, or a number since 1970 in s, ms, us or ns, told apart by size. Where clocks are turned
    back, a local time that comes twice is the first one unless the row before is at it or past it; a local
    time that clocks skip is read as if they had not been moved yet.

    Raises UsageError where a column is missing, WorkError with line and column where a cell cannot be read.
    """
    rows = iter(lines)
    header, reader = _open_table(rows, recipe, where)
    at = {name: header.index(name) for name in (recipe.time, *[column for column, _ in recipe.values])}
    metrics = [(column, at[column], metric) for column, metric in recipe.values]
    previous = EARLIEST_TS
    for line, row in _rows(reader, where):
        if len(row) <= max(at.values()):
            raise WorkError(f"{where}, line {line}: {len(row)} cells where the header names {len(header)}")
        try:
            previous = read_time(row[at[recipe.time]], recipe.zone, previous)
        except ValueError as error:
            raise WorkError(f"{where}, line {line}, column `{recipe.time}`: {error}") from error
        values = {
            metric: [_cell(row[k], f"{where}, line {line}, column `{column}`")]
            for column, k, metric in metrics
        }
        frame = {"kind": recipe.kind, "ts": previous, "source": recipe.source, "metrics": values}
        yield previous, msgspec.json.encode(frame) + b"\n"


def in_order(dated: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Sort frames by time; equal times keep their order.

    A recording without stamps says by the order of its lines what was late, so a table that has the newest
    row first must be turned round before it is replayed.
    """
    return sorted(dated, key=itemgetter(0))


def read_time(text: str, zone: tzinfo, previous: int = EARLIEST_TS) -> int:
    """Return a time in ms since 1970; `previous` decides between local times that come twice.

    >>> read_time("2013-12-02 21:15:00", UTC), read_time("1386018900", UTC)
    (1386018900000, 1386018900000)
    """
    text = text.strip()
    number = _number_of(text)
    ts = _local(text, zone, previous) if number is None else _since_epoch(number)
    if not EARLIEST_TS <= ts < LATEST_TS:
        raise ValueError(f"`{text}` would be {_shown(ts)}, which is not between 2000 and 2100")
    return ts


def read_value(text: str) -> float | str | None:
    """Return a cell as it stands in a frame: a number, null, or one of the three strings for not finite.

    >>> read_value("21.5"), read_value(" "), read_value("-inf")
    (21.5, None, '-Infinity')
    """
    text = text.strip()
    if not text:
        return None
    if "_" in text:
        raise ValueError(text)
    value = float(text)
    if value - value == 0:
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124


def _open_table(rows: Iterator[str], recipe: Recipe, where: str) -> tuple[list[str], Any]:
    first = next(rows, "").removeprefix("\ufeff")
    needed = list(dict.fromkeys([recipe.time, *[column for column, _ in recipe.values]]))
    headers = {delimiter: _header(first, delimiter) for delimiter in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda d: sum(name in headers[d] for name in needed))
    header = headers[delimiter]
    for name in needed:
        if name not in header:
            raise UsageError(
                f"{where}: no column `{name}`; the header names {', '.join(header) or 'nothing'}"
            )
        if header.count(name) > 1:
            raise UsageError(f"{where}: the header names column `{name}` more than once")
    return header, csv.reader(rows, delimiter=delimiter)


def _header(line: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def _rows(reader: Any, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number in the file, cells) of every row that is not empty."""
    try:
        for row in reader:
            if row:
                yield reader.line_num + 1, row
    except csv.Error as error:
        raise WorkError(f"{where}, line {reader.line_num + 1}: no row of a table ({error})") from error


def _cell(text: str, where: str) -> float | str | None:
    try:
        return read_value(text)
    except ValueError:
        advice = "leave the cell empty where nothing was measured"
        raise WorkError(f"{where}: `{text}` is no number; {advice}") from None


def _number_of(text: str) -> Decimal | None:
    try:
        number = Decimal(text.replace("_", " "))
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() <= 20 else None


def _since_epoch(number: Decimal) -> int:
    per_ms = Decimal("0.001")
    while abs(number) >= LARGEST_SECONDS * 1000 * per_ms and per_ms < 10**6:
        per_ms *= 1000
    return round(number / per_ms)


def _local(text: str, zone: tzinfo, previous: int) -> int:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is no time: write 2026-03-01T12:30:00Z, or a number of s or ms") from None
    if when.tzinfo is not None:
        return (when - EPOCH) // MILLISECOND
    first, second = ((when.replace(tzinfo=zone, fold=fold) - EPOCH) // MILLISECOND for fold in (0, 1))
    return second if first <= previous <= second else first


def _shown(ts: int) -> str:
    try:
        return f"{EPOCH + ts * MILLISECOND:%Y-%m-%d}"
    except OverflowError:
        return "beyond the calendar"
