"""Rounds: points of one tick split so that each series has at most one point in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from monitor.types import Ints


def rounds(who: Ints) -> list[Ints]:
    """Split positions so that nobody stands twice in one round; the first of each is in the first.

    >>> [r.tolist() for r in rounds(np.array([4, 4, 7, 4]))]
    [[0, 2], [1], [3]]
    """
    if not len(who) or np.bincount(who).max() == 1:
        return [np.arange(len(who))]
    order = np.argsort(who, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], who[order][1:] != who[order][:-1]]))
    rank = np.empty(len(who), np.int64)
    rank[order] = np.arange(len(who)) - np.repeat(starts, np.diff(np.append(starts, len(who))))
    return [np.flatnonzero(rank == r) for r in range(int(rank.max()) + 1)]
