"""A live process and a replay of its journal give the same bytes (contract: a replay gives the same id)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.runners.live import Live
from tests.live.conftest import Clock, plan, put_all, replay_journal, written
from tests.replay import hard

if TYPE_CHECKING:
    from pathlib import Path


def test_a_live_run_and_a_replay_of_its_journal(
    hard_frames: list[hard.Frame], hard_topology: Path, quick_rules: Path, tmp_path: Path
) -> None:
    """The hard recording, brought as it happened: odd clocks, silences, a backlog, a hole, garbage."""
    clock = Clock(hard.T0)
    live = Live(plan(tmp_path / "state", hard_topology, quick_rules, drain=True), {}, clock)
    live.start()
    put_all(live, clock, hard_frames[:20_000])
    taken = live.door.put([b"{", b"", b'{"kind":"gpu","ts":1,"source":"node:n1"}'], "http")
    assert (taken.accepted, [number for number, _ in taken.rejected]) == (0, [1, 3])
    put_all(live, clock, hard_frames[20_000:])
    live.drain()
    assert live.stop()
    got = written(tmp_path / "state")
    expected = replay_journal(tmp_path / "state", tmp_path / "out", hard_topology, rules=quick_rules)
    assert got["incidents"].count(b"\n") > 5
    assert got["incidents"] == expected.incidents
    assert got["anomalies"] == expected.anomalies
    assert got["dead"] == expected.dead
