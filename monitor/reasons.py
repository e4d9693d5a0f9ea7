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
    CRASHED = "crashed"


class Quality(StrEnum):
    """Why a cell is taken as not measured, or what about a frame is odd; counted, never fatal."""

    OUT_OF_RANGE = "out_of_range"
    SENTINEL = "sentinel"
    NOT_FINITE = "not_finite"
    UNCATALOGUED = "uncatalogued"
    COUNTER_RESET = "counter_reset"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    SUPERSEDED = "superseded"
    LATE = "late"
    UNREGISTERED = "unregistered"


class SignalReason(StrEnum):
    """Why a signal was raised. Statistical reasons say against what, hard facts say what."""

    ABOVE_PEERS = "above_peers"
    BELOW_PEERS = "below_peers"
    ABOVE_PAST = "above_own_past"
    BELOW_PAST = "below_own_past"
    COUNT_UP = "count_rate_up"
    GROUP_UP = "group_above_others"
    GROUP_DOWN = "group_below_others"
    XID = "xid"
    DOUBLE_BIT_ERROR = "double_bit_error"
    HARDWARE_SLOWDOWN = "hardware_slowdown"
    ROW_REMAP_PENDING = "row_remap_pending"
    ROW_REMAP_FAILED = "row_remap_failed"
    LINK_DOWN = "link_down"
    POWER_LOST = "power_lost"
    MEMORY_TEST_FAILED = "memory_test_failed"
    SLOW_BESIDE_FLEET = "slow_beside_fleet"


class Outcome(StrEnum):
    """What became of one attempt to deliver an event."""

    OK = "ok"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    PERMANENT = "permanent"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    TEMPORARY = "temporary"
    UNREACHABLE = "unreachable"
    NO_REPLY = "no_reply"
    UNSENDABLE = "unsendable"


class SendReason(StrEnum):
    """Why an event is sent now, waits, or is never sent."""

    FRESH = "fresh"
    LATE = "late_and_still_true"
    MAY_BE_OVER = "late_and_waiting_for_news"
    OVER = "late_and_no_longer_true"
    NEVER_REACHED = "the_channel_never_had_it"
    OUTDATED = "a_later_event_says_more"


class TellReason(StrEnum):
    """Why a channel is told about an incident, or is not."""

    FIRST = "first_page"
    MORE = "says_something_new"
    ENDED = "resolved"
    PART_ENDED = "part_of_it_ended"
    REPEATED = "repeat_interval_passed"
    NOTHING_NEW = "nothing_new"
    NOT_PAGED = "does_not_page"
