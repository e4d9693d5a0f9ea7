"""Metrics that no single sample says, from the counters of an item at two moments.

A counter that fell began anew in between: what it shows now is what it grew by. Where a series is there at
one moment and not at the other the answer is None: half of a histogram has no quantile.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.ingest.exposition.labelmap import Derived

    Parts = Mapping[tuple[float, bytes], float]
    """Readings by the upper bound of their bucket (infinity where there is none) and their series."""


def total(now: Parts, before: Parts | None) -> float | None:
    """Return the sum of counters, None while one that was there before is missing.

    >>> total({(math.inf, b"a"): 2.0, (math.inf, b"b"): 3.0}, None)
    5.0
    """
    if before is not None and before.keys() - now.keys():
        return None
    return math.fsum(now.values())


def derive(how: Derived, now: Sequence[Parts], before: Sequence[Parts | None]) -> float | None:
    """Work out a derived metric from its `inputs`, in their order, at two moments."""
    grown = []
    for current, earlier in zip(now, before, strict=True):
        if not current or earlier is None or current.keys() != earlier.keys():
            return None
        grown.append(growth(current, earlier))
    if how.quantile is not None:
        found = quantile(how.quantile, _by_bound(grown[0]))
    else:
        found = _ratio(how, dict(zip(how.inputs, grown, strict=True)))
    return None if found is None else found * how.scale


def growth(now: Parts, before: Parts) -> dict[tuple[float, bytes], float]:
    """Return by how much each reading grew; of a series of which any fell, what all show now."""
    anew = {key[1] for key, value in now.items() if value < before[key]}
    return {key: value if key[1] in anew else value - before[key] for key, value in now.items()}


def _ratio(how: Derived, grown: Mapping[str, Mapping[tuple[float, bytes], float]]) -> float | None:
    part, whole = (
        math.fsum(v for name in names for v in grown[name].values()) for names in (how.ratio, how.to)
    )
    return part / whole if whole > 0 else None


def _by_bound(grown: Mapping[tuple[float, bytes], float]) -> dict[float, float]:
    counts: dict[float, float] = {}
    for (bound, _), count in sorted(grown.items()):
        counts[bound] = counts.get(bound, 0.0) + count
    return counts


def quantile(q: float, counts: Mapping[float, float]) -> float | None:
    """Return the q-quantile of a histogram: linear within the bucket that holds it, as Prometheus does.

    counts: how many observations were at most each bound, infinity among them. Above the last finite bound
    the answer is that bound; the first bucket begins at 0. None where there were no observations.

    >>> quantile(0.5, {0.1: 0, 0.25: 5, 0.5: 10, math.inf: 10})
    0.25
    """
    bounds = sorted(counts)
    if len(bounds) < 2 or bounds[-1] != math.inf or counts[math.inf] <= 0:
        return None
    rank = q * counts[math.inf]
    lower, below = 0.0, 0.0
    for bound in bounds[:-1]:
        count = max(counts[bound], below)
        if count >= rank and count > below:
            start = min(lower, bound)
            return min(bound, start + (bound - start) * (rank - below) / (count - below))
        lower, below = bound, count
    return lower
