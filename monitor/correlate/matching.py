"""Which explanation of this tick continues which incident."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.correlate.scoring import SLACK_MS

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


def match(cases: Sequence[Case], explanations: Sequence[Explanation]) -> Matches:
    """Match incidents, the oldest first, with the explanations of their cells.

    An incident goes on with the explanation that has its cause, else with the one that has most of its
    cells; the others become incidents of their own. One whose cells were all taken by an older incident is
    merged into it. Where one keeps its cause, what is left of it counts for what is mostly that, and for
    nothing that is mostly new. Incidents must be sorted, oldest first.
    """
    owner: dict[CellKey, int] = {cell: k for k, e in enumerate(explanations) for cell in e.cells}
    by_cause = {(e.entity, e.reason): k for k, e in reversed(list(enumerate(explanations)))}
    taken: dict[int, int] = {}
    merged: dict[int, int] = {}
    for number, case in enumerate(cases):
        overlap = Counter(owner[cell] for cell in case.cells if cell in owner)
        same = by_cause.get(case.cause)
        held = set(case.held)
        for k in [k for k in overlap if k != same and keeps_cause(case, explanations[k])]:
            if not mostly(explanations[k], held):
                del overlap[k]
        wanted = sorted(overlap, key=lambda k: (k != same, -overlap[k], k))
        if same is not None and same not in overlap:
            wanted.append(same)
        free = [k for k in wanted if k not in taken]
        if free:
            taken[free[0]] = number
        elif overlap:
            merged[number] = taken[wanted[0]]
    return Matches({number: k for k, number in taken.items()}, merged)


def keeps_cause(case: Case, explanation: Explanation) -> bool:
    """Tell whether another explanation cannot be why: little is left, or it began long after the page."""
    paged = case.paged_at is not None and explanation.began > case.paged_at + SLACK_MS
    return case.waning or paged


def mostly(explanation: Explanation, cells: set[CellKey]) -> bool:
    """Tell whether at least half of what an explanation explains is among some cells."""
    return 2 * len(cells.intersection(explanation.cells)) >= len(explanation.cells)
