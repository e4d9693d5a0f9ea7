"""A series to its place: which frame, which item, under which metric."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from monitor.ingest.exposition.labelmap import fill, pattern_of

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence

    from monitor.catalog import Catalog
    from monitor.ingest.exposition.labelmap import Block, LabelMap

PARTS = ("_bucket", "_sum", "_count", "_created")
NO_BOUND = float("inf")
MAX_NAMES = 100_000


V = TypeVar("V")


class Left(StrEnum):
    """Why a series is in no frame."""

    UNMAPPED = "unmapped"
    UNPLACED = "labels_missing"
    DOUBLED = "doubled"
    IDLE = "part_of_a_mapped_metric"


class Place(NamedTuple):
    """Whose a series is: the frame's kind and source, the item (None: the source itself), its block."""

    kind: str
    source: str
    item: str | None


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the samples of one series go.

    cell: the metric that they are, times `scale`, and the item. feeds: the name under which they are inputs
    of derived metrics, with the upper bound of their bucket. ident: tells the series from others.
    """

    place: Place
    block: Block
    ident: bytes
    tags: tuple[tuple[str, str], ...] = ()
    cell: tuple[str, str | None] | None = None
    scale: float = 1.0
    feeds: str | None = None
    bound: float = NO_BOUND


class Placer:
    """Places series by the label maps: of one map, or by the first block of all that knows the name.

    gpus: the (source, item) of GPUs by their UUID, as the topology's tag `uuid` gives it.
    """

    def __init__(
        self,
        maps: Sequence[LabelMap],
        catalog: Catalog,
        gpus: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        self._catalog, self._gpus = catalog, gpus or {}
        by_name = {m.name: [(pattern_of(block.names), block) for block in m.blocks] for m in maps}
        everything = [pair for name in sorted(by_name) for pair in by_name[name]]
        self._blocks: dict[str | None, list[tuple[re.Pattern[str], Block]]] = {None: everything}
        self._blocks.update(by_name)
        self._found: dict[tuple[str, str | None], Block | None] = {}
        self._values: dict[Any, Any] = {}

    def place(self, name: str, labels: Mapping[str, str], labelmap: str | None = None) -> Slot | Left:
        """Return where a series goes, or why nowhere. KeyError: no such label map."""
        block = self._block(name, labelmap)
        return Left.UNMAPPED if block is None else self._place(name, labels, block)

    def _block(self, name: str, labelmap: str | None) -> Block | None:
        key = (name, labelmap)
        if key not in self._found:
            if len(self._found) >= MAX_NAMES:
                self._found.clear()
            blocks = (b for pattern, b in self._blocks[labelmap] if pattern.fullmatch(name))
            self._found[key] = next(blocks, None)
        return self._found[key]

    def _place(self, name: str, labels: Mapping[str, str], block: Block) -> Slot | Left:
        direct, scale = self._direct(name, labels, block)
        feeds = next((name for d in block.derive.values() if name in d.inputs), None)
        if name in block.sum:
            direct, feeds = None, name
        if direct is None and feeds is None:
            return Left.IDLE if _is_part(name, block) else Left.UNMAPPED
        source = _first(block.source, labels)
        item = _first(block.item, labels)
        if source is None or (block.item and item is None):
            return Left.UNPLACED
        bound = _bound(name, labels)
        if bound is None:
            return Left.UNPLACED
        tags = tuple((k, v) for k, t in sorted(block.tags.items()) if (v := fill(t, labels)) is not None)
        place = self._known(block.kind, source, None if item is None else item.replace("/", "_"))
        place, tags = self._shared(place), self._shared(tags)
        cell = None if direct is None else self._shared((direct, place.item))
        return Slot(place, block, _ident(name, labels), tags, cell, scale, feeds, bound)

    def _shared(self, value: V) -> V:
        """Return the one object of this value, of which thousands of series have each the same."""
        if len(self._values) >= MAX_NAMES:
            self._values.clear()
        shared: V = self._values.setdefault(value, value)
        return shared

    def _known(self, kind: str, source: str, item: str | None) -> Place:
        owner = self._gpus.get(item) if kind == "gpu" and item is not None else None
        return Place(kind, *(owner or (source, item)))

    def _direct(self, name: str, labels: Mapping[str, str], block: Block) -> tuple[str | None, float]:
        for metric, derived in block.derive.items():
            where = derived.where.items()
            if where and derived.of == name and all(labels.get(key) == value for key, value in where):
                return metric, derived.scale
        for known in (name, name.removesuffix("_total")):
            if self._catalog.resolve(block.kind, known) is not None:
                return known, 1.0
        return None, 1.0


def _is_part(name: str, block: Block) -> bool:
    """Whether a sample belongs to a histogram or summary that a derived metric is made of."""
    owners = {derived.of for derived in block.derive.values()}
    return base_name(name) in owners


def base_name(name: str) -> str:
    """Return the metric that a sample is part of.

    >>> base_name("latency_seconds_bucket"), base_name("requests_total")
    ('latency_seconds', 'requests_total')
    """
    for part in PARTS:
        if name.endswith(part):
            return name.removesuffix(part)
    return name


def _ident(name: str, labels: Mapping[str, str]) -> bytes:
    words = "".join(f"\0{key}\0{labels[key]}" for key in sorted(labels) if key != "le")
    return blake2b(f"{name}{words}".encode(), digest_size=8).digest()


def _bound(name: str, labels: Mapping[str, str]) -> float | None:
    if not name.endswith("_bucket"):
        return NO_BOUND
    try:
        return float(labels.get("le", ""))
    except ValueError:
        return None


def _first(templates: tuple[str, ...], labels: Mapping[str, str]) -> str | None:
    return next((text for t in templates if (text := fill(t, labels)) is not None), None)
