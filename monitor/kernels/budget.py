"""From a budget of false pages to the evidence that a page needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitor.units import DAY

if TYPE_CHECKING:
    from monitor.types import Floats, Ints

LEVELS = 12
"""Scales of the hierarchies that share the budget equally: gpu, node, rack, row, cdu, chiller, pdu, port,
switch, job, rank, and all others together."""


def page_level(budget_per_30d: float, members: Ints, rhythm_ms: Floats, scales: int) -> Floats:
    """Return the nats at which one hypothesis pages: -ln(budget x mass / decisions).

    The mass of all hypotheses is 1: equal for each level of the hierarchy, then shared among its `members`
    (series of that level) and their time scales. A series decides once every `rhythm_ms`, so 30 days hold
    30 d / rhythm decisions. The expected number of false pages in 30 days is then at most the budget where
    the nulls are right (Bonferroni: whatever the dependence).

    One GPU temperature of 10,000 GPUs with 16 metrics, read each 10 s:

    >>> level = page_level(1.0, np.array([160_000]), np.array([10_000.0]), 4)
    >>> round(float(level[0]), 1)
    28.3
    """
    decisions = 30 * DAY / np.maximum(rhythm_ms, 1.0)
    mass = 1.0 / (LEVELS * np.maximum(members, 1) * scales)
    return np.log(decisions / (budget_per_30d * mass))
