"""The reader's clock (design: unstamped recordings)."""

from __future__ import annotations

import json
from statistics import median_low

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest import clock as clock_module
from monitor.ingest.clock import HEAD, ReaderClock


def oracle(stamps: list[int], half: int) -> list[int]:
    """The definition, line by line."""
    n = len(stamps)
    medians = []
    for i in range(n):
        h = min(half, i, n - 1 - i)
        medians.append(median_low(stamps[i - h : i + h + 1]))
    told: list[int] = []
    for i in range(n):
        if i < HEAD:
            told.append(min(medians[i : min(n, HEAD)]))
        else:
            told.append(max(told[-1], medians[i]))
    return told


def told(stamps: list[int]) -> list[int]:
    clock: ReaderClock[int] = ReaderClock()
    out = [item for i, stamp in enumerate(stamps) for item in clock.push(stamp, i)]
    out += clock.finish()
    assert [payload for _, payload in out] == list(range(len(stamps)))
    return [now for now, _ in out]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=300), st.sampled_from([3, 20, 500]))
def test_it_is_the_running_maximum_of_the_medians(stamps: list[int], half: int) -> None:
    """The clock at line i is defined over the lines i - 500 .. i + 500, shrinking evenly at both ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock_module, "HALF_WINDOW", half)
        assert told(stamps) == oracle(stamps, half)


def test_it_never_runs_backwards_and_survives_a_first_line_from_another_year() -> None:
    """A first line from another year, past or future, leaves the clock of the others alone."""
    stamps = [1_000_000 + 10 * i for i in range(2000)]
    right = told(stamps)
    for other_year in (5, 10**9):
        clocks = told([other_year, *stamps])
        assert clocks == sorted(clocks)
        assert all(abs(a - b) <= 20 for a, b in zip(clocks[1:], right, strict=True))


def test_a_backlog_flushed_at_once_does_not_turn_it_back() -> None:
    """One source's backlog of an hour, flushed at once, leaves the clock where it is."""
    live = [3_600_000 + 10 * i for i in range(3000)]
    clocks = told(live[:1500] + [10_000 * i for i in range(360)] + live[1500:])
    assert clocks == sorted(clocks)
    assert max(abs(c - s) for c, s in zip(clocks[:1500], live[:1500], strict=True)) <= 360 * 10


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=HEAD + 1, max_size=200), st.data())
def test_it_goes_on_from_its_state(stamps: list[int], data: st.DataObject) -> None:
    """State kept after any line that was told, and the lines after it fed again, give the same clocks."""
    whole = told(stamps)
    cuts = data.draw(st.sets(st.integers(HEAD, len(stamps)), max_size=4))
    clock: ReaderClock[int] = ReaderClock()
    out: list[tuple[int, int]] = []
    for i, stamp in enumerate(stamps):
        out += clock.push(stamp, i)
        if clock.settled and i in cuts:
            clock = ReaderClock.from_state(json.loads(json.dumps(clock.to_state())))
            behind = len(out)
            out += [item for j in range(behind, i + 1) for item in clock.push(stamps[j], j)]
    out += clock.finish()
    assert [now for now, _ in out] == whole
