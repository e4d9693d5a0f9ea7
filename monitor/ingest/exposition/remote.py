"""Remote write: the body of a push to samples that have their places.

A push that holds something wrong is answered 400 and its good series are kept all the same, since the sender
does not send a push again that was answered so.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import cramjam
from google.protobuf.message import DecodeError

from monitor.ingest.exposition.placing import Left, Slot
from monitor.ingest.exposition.tally import Tally
from monitor.ingest.exposition.wire import Label, Request, WriteRequest
from monitor.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from monitor.ingest.exposition.placing import Placer
    from monitor.ingest.exposition.tally import LeftOut

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
MAX_DECOMPRESSED = 64 * 2**20
GENERATION_MS = 10 * MINUTE
STALE = struct.pack(">Q", 0x7FF0000000000002)
NAME = "__name__"


class Refusal(NamedTuple):
    """Why a push is not read at all: the HTTP status, and words for the sender's log."""

    status: int
    detail: str


class Push(NamedTuple):
    """What a push says. `problems` are those of single series; `samples` counts the good ones."""

    placed: list[tuple[Slot, int, float]]
    samples: int
    problems: list[str]
    version: str


class _Known(NamedTuple):
    origin: str
    name: str
    slot: Slot | Left


class RemoteWrite:
    """Reads pushes. A series is placed once; what was not seen for ten minutes or so is forgotten."""

    def __init__(self, placer: Placer) -> None:
        self._placer = placer
        self._young: dict[Hashable, _Known] = {}
        self._old: dict[Hashable, _Known] = {}
        self._turned = 0

    def read(self, headers: Mapping[str, str], body: bytes, now: int) -> Push | Refusal:
        """Return what a push says, or why it is refused. `now` is the wall clock in ms."""
        version = _version(headers)
        if isinstance(version, Refusal):
            return version
        raw = _decompressed(body)
        if isinstance(raw, Refusal):
            return raw
        self._turn(now)
        try:
            request = (Request if version == V2 else WriteRequest).FromString(raw)
        except DecodeError as error:
            return Refusal(400, f"not a {version}: {error}")
        push = Push([], 0, [], version)
        count = 0
        for key, series in _series(request, version):
            try:
                known = self._find(key, version)
            except ValueError as error:
                push.problems.append(str(error))
                continue
            count += len(series.samples)
            if isinstance(known.slot, Slot):
                push.placed.extend(_samples(known.slot, series.samples))
        return push._replace(samples=count)

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return which series that came lately are in no frame."""
        by_origin: dict[str, list[tuple[Left, str]]] = {}
        for known in {**self._old, **self._young}.values():
            if isinstance(known.slot, Left) and known.slot is not Left.IDLE:
                by_origin.setdefault(known.origin, []).append((known.slot, known.name))
        tally = Tally()
        for origin, left in sorted(by_origin.items()):
            tally.replace(origin, left)
        return tally.report()

    def _turn(self, now: int) -> None:
        if now - self._turned >= GENERATION_MS:
            self._young, self._old, self._turned = {}, self._young, now

    def _find(self, key: tuple[Any, ...], version: str) -> _Known:
        known = self._young.get(key)
        if known is None:
            known = self._young[key] = self._old.get(key) or self._place(key, version)
        return known

    def _place(self, key: tuple[Any, ...], version: str) -> _Known:
        labels = _labels(key, version)
        name = labels.pop(NAME)
        origin = f"{labels.get('job', '')} {labels.get('instance', '')}".strip() or "remote write"
        return _Known(origin, name, self._placer.place(name, labels))


def _version(headers: Mapping[str, str]) -> str | Refusal:
    """Return which message a push holds. A receiver that guessed would read one as the other, and lose it."""
    if headers.get("content-encoding", "").strip().lower() != "snappy":
        return Refusal(415, "write Content-Encoding: snappy")
    kind, *parameters = (part.strip() for part in headers.get("content-type", "").split(";"))
    if kind.lower() != "application/x-protobuf":
        return Refusal(415, "write Content-Type: application/x-protobuf")
    given = dict(part.partition("=")[::2] for part in parameters)
    proto = given.get("proto", V1).strip('"')
    if proto not in {V1, V2}:
        return Refusal(415, f"proto={proto[:80]} is not known; {V1} and {V2} are")
    return proto


def _decompressed(body: bytes) -> bytes | Refusal:
    size, shift = 0, 0
    for byte in body[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    else:
        return Refusal(400, "not snappy in block format")
    if size > MAX_DECOMPRESSED:
        return Refusal(413, f"{size} bytes unpacked; at most {MAX_DECOMPRESSED} are read")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        return Refusal(400, f"not snappy in block format: {error}")


def _series(request: Any, version: str) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each series with what tells it apart: the blobs of its labels, or their words."""
    if version == V1:
        for series in request.timeseries:
            yield tuple(series.labels), series
        return
    symbols = list(request.symbols)
    for series in request.timeseries:
        references = series.labels_refs
        try:
            yield tuple([symbols[reference] for reference in references]), series
        except IndexError:
            yield (NAME,), series


def _labels(key: tuple[Any, ...], version: str) -> dict[str, str]:
    """Return the labels of a series. Raises ValueError for what the specification forbids."""
    if version == V1:
        try:
            pairs = [(label.name, label.value) for label in map(Label.FromString, key)]
        except DecodeError as error:
            raise ValueError(f"a label is not readable: {error}") from error
    else:
        if len(key) % 2:
            raise ValueError("labels_refs do not come in pairs of symbols")
        pairs = list(zip(key[::2], key[1::2], strict=True))
    names = [name for name, _ in pairs]
    labels = dict(pairs)
    if len(labels) < len(pairs) or "" in labels:
        raise ValueError(f"label names are unique and not empty; here they are {names}")
    if not labels.get(NAME):
        raise ValueError(f"a series needs a {NAME}; its labels are {names}")
    return labels


def _samples(slot: Slot, samples: Any) -> Iterator[tuple[Slot, int, float]]:
    for sample in samples:
        value = sample.value
        if value == value or struct.pack(">d", value) != STALE:  # noqa: PLR0124 - the cheap question first
            yield slot, sample.timestamp, value
