"""What peers have in common while some of them are moved by their load."""

from types import SimpleNamespace

import numpy as np
import pytest

from monitor.detect.peers import Own, Peers

N = 20
LAYOUT = SimpleNamespace(
    pool=np.zeros(N, np.int64),
    groups=[("gpu",)],
    group=np.zeros(N, np.int64),
    charted=np.arange(N),
    activity=np.zeros(N, np.int64),
)


def median_of(reading, *, doubt=0.0, calm=True, settled=True, known=True):
    """Return (median, doubt) of the busy."""
    whole = [np.broadcast_to(value, N) for value in (known, settled, doubt, calm)]
    own = Own(np.asarray(reading, float), np.zeros(N), whole[0], whole[1], whole[2], whole[3])
    peers = Peers()
    peers.resize(LAYOUT, np.empty(0, np.int64))
    median, unsure = peers.medians(own, np.ones(N, np.int64), LAYOUT, 5)
    return median[1, 0], unsure[1, 0]


MOST = np.arange(N) < 14
READING = np.where(MOST, -3.0, 0.1)


def test_peers_whose_load_moves_do_not_speak_for_the_others():
    """Fourteen of twenty warm up after a job start: the six whose load stands are what is compared with."""
    assert median_of(READING) == (-3.0, 0.0)
    assert median_of(READING, doubt=np.where(MOST, 2.0, 0.0), calm=~MOST) == (pytest.approx(0.1), 0.0)
    assert median_of(READING, settled=~MOST) == (pytest.approx(0.1), 0.0)


def test_where_nearly_all_move_the_median_is_as_doubtful_as_they_are():
    """With fewer than five calm ones all count again, and what they may be wrong by goes with the median."""
    most = np.arange(N) < 16
    assert median_of(READING, doubt=np.where(most, 2.0, 0.0), calm=~most) == (-3.0, 2.0)
