"""Closed lists of reasons. Each decision returns one; it reaches the metric, the record and the page."""

from __future__ import annotations

from enum import StrEnum


class DeadReason(StrEnum):
    """Why a frame could not be read."""

    MALFORMED = "malformed"
    UNKNOWN_KIND = "unknown_kind"
    BAD_TYPE = "bad_type"
    BAD_LENGTH = "bad_length"
    DUPLICATE_ITEM = "duplicate_item"
    BAD_SOURCE = "bad_source"
    BAD_TS = "bad_ts"
    ABSURD_TS = "absurd_ts"
    AHEAD = "ahead_of_received"
    OVERSIZED = "oversized"


class Quality(StrEnum):
    """Why a cell is taken as not measured, or what about a frame is odd; counted, never fatal."""

    OUT_OF_RANGE = "out_of_range"
    SENTINEL = "sentinel"
    NOT_FINITE = "not_finite"
    UNCATALOGUED = "uncatalogued"
    COUNTER_RESET = "counter_reset"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    LATE = "late"
    UNREGISTERED = "unregistered"
