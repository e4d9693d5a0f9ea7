"""Which explanation of this tick continues which incident."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.correlate.scoring import SLACK_MS
from monitor.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.correlate.cases import Case
    from monitor.correlate.cells import CellKey
    from monitor.correlate.explain import Explanation


@dataclass(frozen=True, slots=True)
class Matches:
    """continued: explanation number by incident number. merged: winner's incident number by loser's."""

    continued: dict[int, int]
    merged: dict[int, int]


def match(cases: Sequence[Case], explanations: Sequence[Explanation], now: int) -> Matches:
    """Match incidents, the oldest first, with the explanations of their cells.

    One that called somebody goes on with the explanation that has its cause. Each of the others goes on with
    that too, if it is left, else with the one that is left and has most of its cells. What nobody goes on
    with becomes an incident of its own. An incident whose cells were all taken by another is merged into it.
    Where one keeps its cause, what is left of it counts for what is mostly that, and for nothing that is
    mostly new. Incidents must be sorted, oldest first.
    """
    owner: dict[CellKey, int] = {cell: k for k, e in enumerate(explanations) for cell in e.cells}
    by_cause = {(e.entity, e.reason): k for k, e in reversed(list(enumerate(explanations)))}
    taken: dict[int, int] = {}
    for number, case in enumerate(cases):
        if case.called and (same := by_cause.get(case.cause)) is not None:
            taken.setdefault(same, number)
    named = set(taken.values())
    merged: dict[int, int] = {}
    for number, case in enumerate(cases):
        if number in named:
            continue
        wanted = _wanted(case, explanations, owner, now)
        same = by_cause.get(case.cause)
        if same is not None:
            wanted = [same, *(k for k in wanted if k != same)]
        free = [k for k in wanted if k not in taken]
        if free:
            taken[free[0]] = number
        elif wanted and _goes_into(case, cases[taken[wanted[0]]], explanations[wanted[0]], now):
            merged[number] = taken[wanted[0]]
    return Matches({number: k for k, number in taken.items()}, merged)


def _goes_into(case: Case, winner: Case, explanation: Explanation, now: int) -> bool:
    """Tell whether an incident is part of another: none that called is, if the other did not or is new.

    Two that called for two causes stay two once that is settled, whichever began first.
    """
    if not case.called:
        return True
    return winner.called and not _settled(case, now) and not keeps_cause(case, explanation, now)


def _wanted(
    case: Case, explanations: Sequence[Explanation], owner: dict[CellKey, int], now: int
) -> list[int]:
    """Return the explanations that an incident may go on with, that of most of its cells first."""
    overlap = Counter(owner[cell] for cell in case.cells if cell in owner)
    if not overlap:
        return []
    held = set(case.held)
    able = [
        k
        for k, explanation in enumerate(explanations)
        if k in overlap and (not keeps_cause(case, explanation, now) or mostly(explanation, held))
    ]
    return sorted(able, key=lambda k: (-overlap[k], k))


SETTLED_MS = 15 * MINUTE
"""So long after a page its cause is settled: what shows later is its repair, or something else."""


def keeps_cause(case: Case, explanation: Explanation, now: int) -> bool:
    """Tell whether another explanation cannot be why.

    Little is left of the incident, or it paged before the other cause began, or a while ago; unless that was
    there before the incident and only found now, as by a benchmark that runs every quarter of an hour.
    """
    if case.waning or case.paged_at is None:
        return case.waning
    late = explanation.onset > case.paged_at + SLACK_MS
    return late or (_settled(case, now) and explanation.onset >= case.opened_at)


def _settled(case: Case, now: int) -> bool:
    return case.paged_at is not None and now - case.paged_at > SETTLED_MS


def mostly(explanation: Explanation, cells: set[CellKey]) -> bool:
    """Tell whether at least half of what an explanation explains is among some cells."""
    return 2 * len(cells.intersection(explanation.cells)) >= len(explanation.cells)
