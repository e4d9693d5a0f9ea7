"""Presence as signals: what stands, what ends, and what the topology has taken away."""

from monitor.ingest.standing import Standing
from monitor.types import Silence
from monitor.units import HOUR, MINUTE


def silence(kind, entity, state="silent"):
    return Silence(kind=kind, entity=entity, since=MINUTE, state=state, rhythm_ms=10_000, patience_ms=30_000)


def step(standing, end, *silences, gone=()):
    raised, cleared = standing.step(end, silences, (), (), lambda name: name in gone)
    return [s.entity for s in raised], [s.entity for s in cleared]


def test_a_rank_that_the_topology_ended_makes_no_progress_and_need_not():
    """A job that shrinks loses ranks: their silence is over, or never begins; a node's silence stays."""
    standing = Standing()
    first = [silence("job", "rank:a/0"), silence("gpu", "node:n1")]
    assert step(standing, 2 * MINUTE, *first) == (["node:n1", "rank:a/0"], [])
    assert step(standing, 3 * MINUTE, gone={"rank:a/0", "node:n1"}) == ([], ["rank:a/0"])
    assert step(standing, 4 * MINUTE, silence("job", "rank:a/1"), gone={"rank:a/1"}) == ([], [])
    assert [signal.entity for signal in standing.signals] == ["node:n1"]


def test_a_job_that_sends_nothing_for_an_hour_is_over():
    standing = Standing()
    assert step(standing, 2 * MINUTE, silence("job", "job:a")) == (["job:a"], [])
    assert step(standing, MINUTE + HOUR) == ([], [])
    assert step(standing, 2 * MINUTE + HOUR) == ([], ["job:a"])
    assert step(standing, 3 * MINUTE + HOUR, silence("job", "job:a", "back")) == ([], [])
