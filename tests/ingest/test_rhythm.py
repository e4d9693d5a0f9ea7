"""Rhythms and silences (contract: Learning; design: Silence)."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.absence import Absence
from monitor.ingest.rhythm import GAPS, NEVER, Rhythms
from monitor.types import Silence, TickPart

TICK = 10_000
ONE = np.array([0])


def heard(gaps: list[int]) -> Rhythms:
    rhythms = Rhythms(TICK)
    rhythms.add(1)
    ts = 1_000_000
    for gap in [0, *gaps]:
        ts += gap
        rhythms.hear(ONE, np.array([ts]))
    return rhythms


def test_nobody_is_overdue_before_fifteen_gaps() -> None:
    """Silence is judged after 15 gaps of a source, not before."""
    assert heard([TICK] * (GAPS - 1)).deadline()[0] == NEVER
    assert heard([TICK] * GAPS).deadline()[0] < NEVER


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1_000, 100_000), min_size=GAPS, max_size=GAPS))
def test_the_rhythm_is_the_median_gap(gaps: list[int]) -> None:
    """The rhythm is the median of 15 gaps in event time."""
    assert heard(gaps).rhythm[0] == int(np.median(gaps))


def test_a_source_is_overdue_after_three_rhythms_and_at_least_its_99_percent_gap() -> None:
    """Overdue: tick end - last > max(3 rhythms, 99 % gap + 2 ticks)."""
    steady = heard([TICK] * 40)
    last = int(steady.last[0])
    assert steady.deadline()[0] == last // TICK * TICK + 40_000
    ragged = heard([TICK] * 14 + [35_000] + [TICK] * 10)
    assert int(ragged.threshold()[0]) > 50_000


def test_a_silence_teaches_nothing_but_a_lasting_change_does() -> None:
    """A gap that was a silence does not stretch the patience; a new cadence that stays is learnt."""
    after_outage = heard([TICK] * 30 + [3_600_000] + [TICK] * 15)
    assert after_outage.rhythm[0] == TICK
    assert after_outage.threshold()[0] <= 40_000
    slower = heard([TICK] * 30 + [60_000] * 15)
    assert slower.rhythm[0] == 60_000


def part(heard_at: int, *silences: Silence, patience: int = 30_000) -> TickPart:
    empty = np.empty(0, np.int64)
    return TickPart(0, 0, (), empty, empty, np.empty(0), silences, heard=heard_at, patience=patience)


def silent(entity: str, since: int) -> Silence:
    return Silence(entity, "gpu", since, "silent", TICK, 30_000)


def test_a_lone_death_among_the_living_is_a_silence() -> None:
    """Two sources of which one dies: the other is heard on, so the first is silent and nobody is blind."""
    absence = Absence(TICK)
    found, blind = absence.step(140_000, [part(139_000, silent("node:a", 100_000))], judge=True)
    assert [s.entity for s in found] == ["node:a"]
    assert not blind
    back = Silence("node:a", "gpu", 200_000, "back", TICK, 30_000)
    found, _ = absence.step(200_000, [part(199_000, back)], judge=True)
    assert found == [back]


def test_when_everybody_stops_we_are_blind_and_nobody_is_silent() -> None:
    """Every source stops at once: one record of blindness, no entity is called silent, not even just after."""
    absence = Absence(TICK)
    stopped = [silent(f"node:{i}", 100_000 + 100 * i) for i in range(5)]
    found, blind = absence.step(140_000, [part(100_400, *stopped)], judge=True)
    assert (found, blind) == ([], [])
    due = absence.next_due()
    assert due == 170_000
    found, blind = absence.step(due, [part(100_400)], judge=True)
    assert found == []
    assert [(b.since, b.state) for b in blind] == [(100_000, "blind")]
    resumed = 7_200_000
    back = [Silence(f"node:{i}", "gpu", resumed, "back", TICK, 30_000) for i in range(4)]
    found, blind = absence.step(resumed, [part(resumed - 1, *back)], judge=True)
    assert (found, blind) == ([], []), "a lone frame may be a stray"
    found, blind = absence.step(resumed + TICK, [part(resumed + TICK - 1)], judge=True)
    assert found == [], "everyone has their patience anew"
    assert [b.state for b in blind] == ["sighted"]
    found, _ = absence.step(resumed + 60_000, [part(resumed + 59_000)], judge=True)
    assert [s.entity for s in found] == ["node:4"]


def test_a_pause_of_everybody_too_short_to_blind_us_convicts_nobody() -> None:
    """All stop for 45 s: the first to come back is no proof against the others, who come a tick later."""
    absence = paused()
    others = [back(f"node:{i}", 160_000) for i in (1, 2)]
    assert absence.step(160_000, [part(154_000, *others)], judge=True) == ([], [])
    assert not absence.silent


def test_one_who_flaps_while_all_others_are_gone_keeps_them_from_silence_once() -> None:
    """The second pause that he ends gives nobody patience anew."""
    absence = paused()
    absence.step(180_000, [part(144_000, silent("node:0", 144_000))], judge=True)
    found, _ = absence.step(190_000, [part(184_000, back("node:0", 190_000))], judge=True)
    assert [s.entity for s in found] == ["node:1", "node:2"]


def paused() -> Absence:
    """Return a site of three sources of which all paused and the first one is back."""
    absence = Absence(TICK)
    absence.step(100_000, [part(99_000)], judge=True)
    stopped = [silent(f"node:{i}", 99_000 - 100 * i) for i in range(3)]
    assert absence.step(130_000, [part(99_000, *stopped)], judge=True) == ([], [])
    assert absence.step(150_000, [part(144_000, back("node:0", 150_000))], judge=True) == ([], [])
    return absence


def back(entity: str, end: int) -> Silence:
    return Silence(entity, "gpu", end, "back", TICK, 30_000)


def test_silence_means_nothing_behind_the_end_of_a_recording() -> None:
    """Behind the clock of a recording neither silence nor blindness is judged."""
    absence = Absence(TICK)
    found, blind = absence.step(500_000, [part(139_000, silent("node:a", 100_000))], judge=False)
    assert (found, blind) == ([], [])
