"""What counts of show and of quiet say about a fault, and which effects began in time for it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import xlogy

from monitor.correlate.evidence import CLIP, PROGRESS, RATE_FLOOR
from monitor.correlate.faults import ANY
from monitor.units import HOUR, MINUTE

if TYPE_CHECKING:
    from monitor.correlate.evidence import Evidence
    from monitor.correlate.faults import FaultKind, Term
    from monitor.correlate.footprints import Hits
    from monitor.types import Bools, Floats, Ints

ONSET_SPREAD_MS = HOUR
"""Core signs that began this long before the median one belong to something else."""

SLACK_MS = 5 * MINUTE
"""How far a remote effect may seem to begin before its cause, since onsets are estimates."""

HARD_SLACK_MS = 3 * MINUTE
"""Likewise where the signs of the cause are facts, which are dated to a report or so."""

REMOTE = frozenset({"victims", "workload", "workload_members", "carriers", "workload_carriers"})
_SMALL_TABLE = 1 << 20


def families_of(term: Term) -> list[str]:
    """Return the families that a term names; `any` names none."""
    return [family for family in term.shows if family != ANY]


def mean_evidence(hot: Floats, quiet: Floats, chances: tuple[float, ...], rate: float) -> Floats:
    """Return ln mean over q of exp(H ln(q / f) + Q ln((1 - q) / (1 - f))), the logarithms clipped, in nats.

    >>> mean_evidence(np.array([0.0]), np.array([2.0]), (0.5,), 1e-4).round(3).tolist()
    [-1.386]
    """
    for_it, against = _logarithms(chances, max(rate, RATE_FLOOR))
    nats = np.multiply.outer(hot, for_it) + np.multiply.outer(quiet, against)
    top = nats.max(axis=1)
    mean: Floats = np.log(np.exp(nats - top[:, None]).mean(axis=1)) + top
    return mean


def scarce_evidence(hot: Floats, size: Floats) -> Floats:
    """Return what it says that just `hot` of `size` show an effect that nearly always is absent, in nats.

    The likelihood at the share that fits best, and what it costs that this share was not foreseen:
    h ln(h / n) + (n - h) ln(1 - h / n) - 1; nothing where none show it.

    >>> scarce_evidence(np.array([0.0, 1.0, 1.0]), np.array([8.0, 8.0, 1000.0])).round(1).tolist()
    [0.0, -4.0, -8.9]
    """
    size = np.maximum(size, hot)
    share = hot / np.maximum(size, 1e-9)
    nats: Floats = np.where(hot > 0, xlogy(hot, share) + xlogy(size - hot, 1.0 - share) - 1.0, 0.0)
    return nats


@lru_cache(4096)
def _logarithms(chances: tuple[float, ...], f: float) -> tuple[Floats, Floats]:
    """Return ln(q / f) and ln((1 - q) / (1 - f)), clipped."""
    q = np.array(chances)
    return np.clip(np.log(q / f), *CLIP), np.clip(np.log((1 - q) / (1 - f)), *CLIP)


def running(fault: FaultKind, evidence: Evidence, entity: Ints, first: Ints) -> tuple[Floats, Bools]:
    """Return what it says for jobs to be heard, in nats, and which of them still ran when it began, (R,).

    A job that ended before has no fault any more but that it ended; of one that never reports nobody knows.
    """
    if fault.cause != ("job",) or not fault.core_families.isdisjoint((PROGRESS, ANY)):
        return np.zeros(len(entity)), np.ones(len(entity), bool)
    heard = evidence.observation.reporting[entity]
    return np.where(heard, 0.0, CLIP[0]), evidence.ended[entity] >= first - SLACK_MS


class Codes:
    """A set of numbers below `size`: a table of them all where that is small."""

    def __init__(self, codes: Ints, size: int) -> None:
        self._codes = codes
        self._table = np.zeros(size, bool) if size <= _SMALL_TABLE else None
        if self._table is not None:
            self._table[codes] = True

    def have(self, codes: Ints) -> Bools:
        """Return which of these are in the set."""
        return np.isin(codes, self._codes) if self._table is None else self._table[codes]


def window(term: Term, first: Ints, onset: Ints, last: Ints, hard: Bools) -> tuple[Ints, Ints]:
    """Return when effects of a term may begin, [since, until] in ms; hard: the cause is known by facts."""
    if term.role == "core":
        since = onset - ONSET_SPREAD_MS
    else:
        near = np.where(hard, HARD_SLACK_MS, SLACK_MS)
        since = first - (near if term.at in REMOTE else ONSET_SPREAD_MS)
    lag = term.lag_ms if term.role == "side" else None
    until = np.full(len(last), np.iinfo(np.int64).max) if lag is None else last + lag
    return since, until


def in_time(hits: Hits, began: Ints, since: Ints, until: Ints) -> Hits:
    """Keep what began in time."""
    when = began[hits.item]
    return hits.where((when >= since[hits.row]) & (when <= until[hits.row]))
