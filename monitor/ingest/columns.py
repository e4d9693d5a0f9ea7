"""From frames to columns: which series each number of a frame belongs to, and what a valid number is.

Frames of one source repeat their shape, so the way from a frame to series numbers is worked out once a shape
(a `Layout`) and is then one array.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.ingest.frames import ITEM_KINDS, TolerantBody
from monitor.reasons import Quality
from monitor.types import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.catalog import Catalog
    from monitor.ingest.frames import Body
    from monitor.types import Bools, Floats, Ints

GAUGE, COUNTER, EVENT = 0, 1, 2
_TYPES = {"gauge": GAUGE, "counter": COUNTER, "event": EVENT}

Shape = tuple[str, tuple[str, ...] | None, tuple[str, ...]]
"""The kind, items and metric names of a frame."""


class Layout:
    """Where the numbers of one shape of frame go, metric by metric, item by item."""

    __slots__ = ("_items", "_names", "entities", "repeated", "scale", "series", "shape")

    def __init__(
        self, shape: Shape, series: list[int], entities: list[int], scale: list[float], items: int
    ) -> None:
        self.shape = shape
        self._items, self._names = None if shape[1] is None else list(shape[1]), list(shape[2])
        self.series: Ints = np.array(series, np.int64)
        self.entities: Ints = np.array(entities, np.int64)
        self.repeated: Ints = np.tile(self.entities, len(series) // max(items, 1))
        self.scale: Floats | None = None if all(s == 1.0 for s in scale) else np.array(scale, np.float64)

    def fits(self, body: Body) -> bool:
        """Tell whether a frame of the same kind and source has this shape."""
        return body.items == self._items and list(body.metrics) == self._names


class Growing:
    """An array that is appended to and read whole."""

    def __init__(self, dtype: Any) -> None:
        self._data = np.zeros(64, dtype)
        self._used = 0

    def append(self, value: float) -> None:
        """Add one value."""
        if self._used == len(self._data):
            self._data = np.concatenate([self._data, np.zeros_like(self._data)])
        self._data[self._used] = value
        self._used += 1

    @property
    def array(self) -> Any:
        """What was appended so far, as a view."""
        return self._data[: self._used]


class SeriesBook:
    """The series and entities that a partition has met, numbered as they come."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._numbers: dict[tuple[SeriesKey, str], int] = {}
        self._layouts: dict[tuple[str, Shape], Layout] = {}
        self._latest: dict[tuple[str, str], Layout] = {}
        self.keys: list[SeriesKey] = []
        self.wire_names: list[str] = []
        self.of_source: dict[tuple[str, str], list[int]] = {}
        self.entities: dict[tuple[str, str], int] = {}
        self.entity_keys: list[tuple[str, str]] = []
        self.low, self.high = Growing(np.float64), Growing(np.float64)
        self.type = Growing(np.int8)
        self.strict, self.catalogued = Growing(np.bool_), Growing(np.bool_)

    def layout(self, body: Body) -> Layout:
        """Return where the numbers of a frame go, meeting its series if they are new."""
        sender = (body.kind, body.source)
        latest = self._latest.get(sender)
        if latest is None or not latest.fits(body):
            items = None if body.items is None else tuple(body.items)
            shape = (body.kind, items, tuple(body.metrics))
            latest = self._latest[sender] = self.layout_of(body.source, shape)
        return latest

    def layout_of(self, source: str, shape: Shape) -> Layout:
        """Return the layout of a frame of this source and shape."""
        latest = self._latest.get((shape[0], source))
        if latest is not None and latest.shape is shape:
            return latest
        known = self._layouts.get((source, shape))
        if known is None:
            known = self._layouts[source, shape] = self._lay_out(source, shape)
        return known

    def _lay_out(self, source: str, shape: Shape) -> Layout:
        kind, items, metrics = shape
        owner = f"{ITEM_KINDS[kind]}:{source.partition(':')[2]}/"
        entities = [source] if items is None else [owner + item for item in items]
        meant = self._preferred(kind, metrics)
        series, scales = [], []
        for wire_name in metrics:
            for entity in entities:
                number, scale = self.meet((kind, source), entity, wire_name)
                series.append(number if wire_name in meant else -1)
                scales.append(scale)
        numbers = [self.meet_entity(kind, entity) for entity in entities]
        return Layout(shape, series, numbers, scales, len(entities))

    def _preferred(self, kind: str, wire_names: tuple[str, ...]) -> set[str]:
        """Return the names that count: of several for one metric its own, else the alias listed first."""
        best: dict[str, tuple[int, str]] = {}
        for wire_name in wire_names:
            resolved = self._catalog.resolve(kind, wire_name)
            metric, rank = wire_name, 0
            if resolved:
                metric = resolved[0].name
                names = [metric, *(alias.name for alias in resolved[0].aliases)]
                rank = names.index(wire_name)
            best[metric] = min(best.get(metric, (rank, wire_name)), (rank, wire_name))
        return {wire_name for _, wire_name in best.values()}

    def meet_entity(self, kind: str, entity: str) -> int:
        """Return the number of an entity as a sender of `kind`, which may be new."""
        number = self.entities.setdefault((kind, entity), len(self.entity_keys))
        if number == len(self.entity_keys):
            self.entity_keys.append((kind, entity))
        return number

    def meet(self, source: tuple[str, str], entity: str, wire_name: str) -> tuple[int, float]:
        """Return the number and scale of a series of a (kind, source), which may be new."""
        kind = source[0]
        metric, scale = self._catalog.resolve(kind, wire_name) or (None, 1.0)
        slot = (SeriesKey(kind, entity, metric.name if metric else wire_name), wire_name)
        number = self._numbers.setdefault(slot, len(self.keys))
        if number == len(self.keys):
            self.keys.append(slot[0])
            self.of_source.setdefault(source, []).append(number)
            self.wire_names.append(wire_name)
            low, high = (metric.low, metric.high) if metric else (None, None)
            self.low.append(-np.inf if low is None else low)
            self.high.append(np.inf if high is None else high)
            self.type.append(_TYPES[metric.type] if metric else GAUGE)
            self.strict.append(not (metric and metric.signal_nonfinite))
            self.catalogued.append(metric is not None)
        return number, scale

    def forget_layouts(self) -> None:
        """Drop the shapes seen so far; series keep their numbers. Bounds memory under churn."""
        self._layouts.clear()
        self._latest.clear()

    @property
    def shapes(self) -> int:
        """How many shapes of frame are remembered."""
        return len(self._layouts)


class Hygiene:
    """Valid numbers only: sentinels, values out of range and the non-finite become NaN, counted."""

    def __init__(self, sentinels: Sequence[float]) -> None:
        self.sentinels = np.array(sorted(sentinels), np.float64)
        self._least = float(self.sentinels[0]) if len(sentinels) else np.inf

    def clean(self, book: SeriesBook, series: Ints, value: Floats) -> dict[Quality, int]:
        """Set what is no measurement to NaN, in place; return the counts by reason."""
        sentinel = self.is_sentinel(value)
        endless = np.isinf(value)
        not_finite = endless & book.strict.array[series]
        outside = (value < book.low.array[series]) | (value > book.high.array[series])
        outside &= ~sentinel & ~endless
        value[sentinel | not_finite | outside] = np.nan
        found = {Quality.SENTINEL: sentinel, Quality.NOT_FINITE: not_finite, Quality.OUT_OF_RANGE: outside}
        return {reason: int(mask.sum()) for reason, mask in found.items() if mask.any()}

    def is_sentinel(self, value: Floats) -> Bools:
        """Say which values are an exporter's word for `not supported`; asked before any scale is applied."""
        suspect = value >= self._least
        if suspect.any():
            suspect[suspect] = np.isin(value[suspect], self.sentinels)
        return suspect


def numbers(body: Body) -> Floats:
    """Flatten a frame's values, metric by metric; null is NaN, a non-finite string is an infinity.

    >>> from monitor.ingest.frames import read_body
    >>> line = b'{"kind":"job","ts":1795500000000,"source":"job:a","metrics":{"loss":["NaN"],"x":[null]}}'
    >>> numbers(read_body(line))
    array([inf, nan])
    """
    flat: list[float | None] = []
    for values in body.metrics.values():
        flat += values
    if isinstance(body, TolerantBody):
        return _spelled_out(flat)
    try:
        return np.frombuffer(struct.pack(f"{len(flat)}d", *flat))  # twice as fast, but knows no null
    except struct.error:
        return np.array(flat, np.float64)


def _spelled_out(flat: Sequence[float | str | None]) -> Floats:
    spelled = {"NaN": np.inf, "Infinity": np.inf, "-Infinity": -np.inf}
    return np.array(
        [np.nan if v is None else spelled[v] if isinstance(v, str) else v for v in flat], np.float64
    )
