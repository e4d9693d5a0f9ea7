"""By what each series is judged by now (contract: Learning)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from monitor.detect.counts import Counts
    from monitor.detect.layout import Layout
    from monitor.kernels.watch import Watch
    from monitor.types import Ints

UNJUDGED, LEARNING, PEERS, OWN = -1, 0, 1, 2
"""Not by statistics (codes, flags, what only explains); by nothing yet; by its peers; by its own history."""


def readiness(layout: Layout | None, watch: Watch, counts: Counts) -> Ints:
    """Return the state of each series of a layout, (S,).

    A rare count is judged by its own rate as soon as a series with peers is by those.
    """
    if layout is None:
        return np.empty(0, np.int64)
    found = np.full(len(layout.pool), UNJUDGED, np.int64)
    learning, (points, learnt) = watch.learning, watch.support()
    own = learning.is_own(points, learnt)
    peers = (learnt >= learning.peers_ms) & ~layout.lone[layout.charted]
    found[layout.charted] = np.where(own, OWN, np.where(peers, PEERS, LEARNING))
    found[layout.counts] = np.where(counts.learnt_ms >= learning.peers_ms, OWN, LEARNING)
    return found
