"""Telemetry frames: the wire format, decoded and checked.

A line is read twice: its header by the reader, which places it in time, and its body by the partition that
owns the source. Nothing here raises on bad telemetry: what cannot be read is a `Rejection`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from monitor.reasons import DeadReason
from monitor.units import EARLIEST_TS, LATEST_TS

MAX_FRAME_BYTES = 1 << 20

ITEM_KINDS = {
    "gpu": "gpu",
    "network": "port",
    "facility": "facility",
    "job": "rank",
    "model": "replica",
    "feature": "feature",
    "pipeline": "pipeline",
    "cost": "service",
    "business": "business",
    "change": "",
    "command": "",
    "mark": "",
}
"""Frame kind -> kind of its items."""

MARK = "mark"
"""A frame that says only what time it is: a live reader writes them into its journal while nothing comes."""

ACTS = frozenset({"change", "command"})
"""Frames of what people and automation do. They are no telemetry: who does nothing is not silent, and that
somebody acts does not show that we see."""

NotFinite = Literal["NaN", "Infinity", "-Infinity"]


class Header(msgspec.Struct, gc=False):
    """What places a frame in time and space."""

    kind: str
    ts: int
    source: str
    received: int | None = None


class Body(msgspec.Struct, gc=False):
    """A whole frame. Unknown fields are ignored."""

    kind: str
    ts: int
    source: str
    seq: int | None = None
    received: int | None = None
    items: list[str] | None = None
    metrics: dict[str, list[float | None]] = {}
    tags: dict[str, str] | None = None
    period: str | None = None
    updated_at: int | None = None
    histogram: msgspec.Raw = msgspec.Raw()
    values: msgspec.Raw = msgspec.Raw()
    versions: msgspec.Raw = msgspec.Raw()
    reference: bool | None = None
    change: str | None = None
    version: str | None = None
    summary: str | None = None
    until: int | None = None
    command: str | None = None
    target: str | None = None
    arguments: dict[str, str] | None = None


class TolerantBody(Body, kw_only=True, gc=False):
    """A frame some of whose values are the contract's three non-finite strings."""

    metrics: dict[str, list[float | NotFinite | None]] = {}  # type: ignore[assignment]


class Rejection(msgspec.Struct, frozen=True):
    """Why a line is a dead letter."""

    reason: DeadReason
    detail: str


_header = msgspec.json.Decoder(Header)
_body = msgspec.json.Decoder(Body)
_tolerant = msgspec.json.Decoder(TolerantBody)


def read_header(line: bytes) -> Header | Rejection:
    """Read what places a line in time and space, or say why it cannot be placed.

    >>> read_header(b'{"kind":"gpu","ts":1795500000000,"source":"node:n1"}').source
    'node:n1'
    >>> read_header(b'{"kind":"gpu","ts":12,"source":"node:n1"}').reason
    <DeadReason.ABSURD_TS: 'absurd_ts'>
    """
    if len(line) > MAX_FRAME_BYTES:
        return Rejection(DeadReason.OVERSIZED, f"{len(line)} bytes, at most {MAX_FRAME_BYTES} are read")
    try:
        header = _header.decode(line)
    except msgspec.ValidationError as error:
        return Rejection(_validation_reason(str(error)), str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejection(DeadReason.MALFORMED, str(error))
    return _refuse_header(header) or header


def _validation_reason(message: str) -> DeadReason:
    return DeadReason.BAD_TS if "`$.ts`" in message else DeadReason.BAD_TYPE


def _refuse_header(header: Header) -> Rejection | None:
    if header.kind not in ITEM_KINDS:
        return Rejection(DeadReason.UNKNOWN_KIND, f"kind `{header.kind}` is none of {', '.join(ITEM_KINDS)}")
    kind, _, name = header.source.partition(":")
    if not kind or not name:
        return Rejection(DeadReason.BAD_SOURCE, f"source `{header.source}` is not of the form kind:name")
    for field, ts in (("ts", header.ts), ("received", header.received)):
        if ts is not None and not EARLIEST_TS <= ts < LATEST_TS:
            return Rejection(DeadReason.ABSURD_TS, f"{field} {ts} is not between the years 2000 and 2100")
    return None


def read_body(line: bytes) -> Body | Rejection:
    """Read a whole frame whose header was accepted, or say why it cannot be used.

    >>> read_body(b'{"kind":"gpu","ts":1795500000000,"source":"node:n1","metrics":{"xid":[0,1]}}').reason
    <DeadReason.BAD_LENGTH: 'bad_length'>
    """
    try:
        body = _body.decode(line)
    except msgspec.ValidationError:
        try:
            body = _tolerant.decode(line)
        except msgspec.ValidationError as error:
            return Rejection(_validation_reason(str(error)), str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejection(DeadReason.MALFORMED, str(error))
    return _refuse_body(body) or body


def _refuse_body(body: Body) -> Rejection | None:
    items = body.items
    if items is not None and len(set(items)) != len(items):
        twice = sorted({item for item in items if items.count(item) > 1})
        return Rejection(DeadReason.DUPLICATE_ITEM, f"items {twice} stand more than once")
    expected = 1 if items is None else len(items)
    for name, values in body.metrics.items():
        if len(values) != expected:
            what = "items" if items is not None else "value, since there are no items"
            return Rejection(
                DeadReason.BAD_LENGTH, f"`{name}` has {len(values)} values for {expected} {what}"
            )
    if body.kind == "change" and not body.change:
        return Rejection(DeadReason.BAD_TYPE, "a change frame says in `change` what changed")
    return None


def entity_of(body: Body, item: str) -> str:
    """Return the id of an item of a source.

    >>> entity_of(Body("gpu", 1, "node:n0001"), "3")
    'gpu:n0001/3'
    """
    return f"{ITEM_KINDS[body.kind]}:{body.source.partition(':')[2]}/{item}"
