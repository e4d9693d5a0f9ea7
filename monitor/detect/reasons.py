"""Why a signal was raised: a closed list."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons of signals; statistical ones say against what, facts say what."""

    ABOVE_PEERS = "above_peers"
    BELOW_PEERS = "below_peers"
    ABOVE_PAST = "above_own_past"
    BELOW_PAST = "below_own_past"
    COUNT_UP = "count_rate_up"
    XID = "xid"
    DOUBLE_BIT_ERROR = "double_bit_error"
    HARDWARE_SLOWDOWN = "hardware_slowdown"
    ROW_REMAP_PENDING = "row_remap_pending"
    LINK_DOWN = "link_down"
    MEMORY_TEST_FAILED = "memory_test_failed"
    SLOW_BESIDE_FLEET = "slow_beside_fleet"
