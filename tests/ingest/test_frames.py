"""Frames: what is read, and what is a dead letter for which reason (contract: Telemetry frames)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from monitor.ingest.columns import numbers
from monitor.ingest.frames import MAX_FRAME_BYTES, Rejection, read_body, read_header
from monitor.reasons import DeadReason

TS = 1_795_500_000_000


def frame(**fields: Any) -> bytes:
    whole = {"kind": "gpu", "ts": TS, "source": "node:n1", "items": ["0", "1"], "metrics": {"xid": [0, 0]}}
    whole.update(fields)
    return json.dumps({k: v for k, v in whole.items() if v is not ...}).encode()


def verdict(line: bytes) -> str:
    header = read_header(line)
    body = header if isinstance(header, Rejection) else read_body(line)
    return body.reason.value if isinstance(body, Rejection) else "read"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (frame(), "read"),
        (frame(unknown={"a": [1]}), "read"),
        (frame(items=..., metrics={"xid": [1]}), "read"),
        (frame(metrics={"xid": [None, 3.5]}), "read"),
        (frame(metrics={"loss": ["NaN", "-Infinity"]}), "read"),
        (frame(metrics={}), "read"),
        (b'{"kind":"gpu"', "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[1,2]", "bad_type"),
        (frame().replace(b"[0, 0]", b"[NaN, 0]"), "malformed"),
        (frame(kind="fridge"), "unknown_kind"),
        (frame(kind=...), "bad_type"),
        (frame(source="n1"), "bad_source"),
        (frame(source=":n1"), "bad_source"),
        (frame(ts=TS + 0.5), "bad_ts"),
        (frame(ts="soon"), "bad_ts"),
        (frame(ts=True), "bad_ts"),
        (frame(ts=946_684_799_999), "absurd_ts"),
        (frame(ts=4_102_444_800_000), "absurd_ts"),
        (frame(received=12), "absurd_ts"),
        (frame(metrics={"xid": [0]}), "bad_length"),
        (frame(items=...), "bad_length"),
        (frame(items=["0", "0"]), "duplicate_item"),
        (frame(metrics={"xid": [True, 0]}), "bad_type"),
        (frame(metrics={"xid": ["1", 0]}), "bad_type"),
        (frame(metrics={"xid": [{}, 0]}), "bad_type"),
        (frame(metrics={"xid": 3}), "bad_type"),
        (frame(kind="change", metrics=..., items=...), "bad_type"),
        (frame(pad="x" * MAX_FRAME_BYTES), "oversized"),
    ],
    ids=str,
)
def test_each_kind_of_garbage_has_its_reason(line: bytes, reason: str) -> None:
    """Bad input goes, whole, to the dead letters with its reason; unknown fields are ignored."""
    assert verdict(line) == reason


def test_every_reason_says_where_or_how_much() -> None:
    """A rejection's detail names the field, the metric or the size."""
    found = read_body(frame(metrics={"power_watts": [1, 2, 3]}))
    assert found == Rejection(DeadReason.BAD_LENGTH, "`power_watts` has 3 values for 2 items")
    found = read_body(frame(metrics={"xid": [True, 0]}))
    assert isinstance(found, Rejection)
    assert "$.metrics" in found.detail


def test_null_is_not_measured_and_the_three_strings_are_not_finite() -> None:
    """null is NaN; a value that was measured and is not finite is an infinity."""
    body = read_body(frame(metrics={"loss": [None, "NaN"], "x": ["-Infinity", 2]}))
    assert not isinstance(body, Rejection)
    np.testing.assert_array_equal(numbers(body), [np.nan, np.inf, -np.inf, 2.0])
