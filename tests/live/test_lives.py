"""A pipeline that stops, fails, or loses its store goes on as if nothing had been."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import loadgen
from monitor.adapters.rotation import parts
from monitor.errors import StoreError, WorkError
from monitor.runners.engine import Engine
from monitor.runners.life import Life
from monitor.runners.live import Live
from tests.live.conftest import RECORDS, Clock, plan, put_all, replay_journal, written
from tests.replay import hard
from tests.store import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.runners.storing import Stored


def test_stopped_over_and_over_under_any_number_of_partitions(
    hard_frames: list[hard.Frame], hard_topology: Path, quick_rules: Path, tmp_path: Path
) -> None:
    """Eight processes, one after the other, write what one replay of their journal writes."""
    clock, rng, at = Clock(hard.T0), random.Random(3), 0
    frames = hard_frames[: len(hard_frames) // 2]
    cuts = sorted(rng.sample(range(len(frames)), 7))
    for number, cut in enumerate([*cuts, len(frames)]):
        last = cut == len(frames)
        this = plan(tmp_path / "state", hard_topology, quick_rules, partitions=number % 3 + 1, drain=last)
        live = Live(this, {}, clock)
        live.start()
        put_all(live, clock, frames[at:cut])
        if last:
            live.drain()
        assert live.stop()
        at = cut
    got = written(tmp_path / "state")
    expected = replay_journal(tmp_path / "state", tmp_path / "out", hard_topology, rules=quick_rules)
    assert got["anomalies"] == expected.anomalies != b""
    assert got["incidents"] == expected.incidents
    assert got["dead"] == expected.dead


def test_records_are_kept_up_to_a_size_through_failures(
    hard_frames: list[hard.Frame], hard_topology: Path, quick_rules: Path, tmp_path: Path
) -> None:
    """Work that fails at every third snapshot writes the end of what one replay writes, and no more than it may.

    An incident that is open stays on the board when the files have let go of its lines.
    """
    rules = tmp_path / "rules"
    rules.mkdir()
    few = "\nrecords_keep_bytes: 65536\nsnapshot_ticks: 1\njournal_segment_bytes: 65536"
    (rules / "settings.yaml").write_text((quick_rules / "settings.yaml").read_text() + few)
    clock, state = Clock(hard.T0), tmp_path / "state"
    this = plan(state, hard_topology, rules, drain=True)
    live = Live(this, {}, clock)
    saves, save = itertools.count(), Life.save

    def unsafe(life: Life) -> None:
        if next(saves) % 3 == 2:
            raise WorkError("it stops here")
        save(life)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Life, "save", unsafe)
        patch.setattr("monitor.runners.life.SNAPSHOT_SHARE", 1e9)
        patch.setattr("monitor.runners.engine.READ_BYTES", 1 << 16)
        patch.setattr(live.engine._stopping, "wait", lambda _seconds: None)
        live.start()
        put_all(live, clock, hard_frames)
        wait(lambda: live.engine.behind() == 0)
    assert next(saves) > 20
    assert len(parts(state / "dead.ndjson")) > 10
    live.drain()
    assert live.stop()
    got = written(state)
    expected = replay_journal(state, tmp_path / "out", hard_topology, rules=rules)
    assert len(expected.dead) > 90_000
    for name in ("incidents", "anomalies", "dead"):
        everything = getattr(expected, name)
        assert everything.endswith(got[name])
        assert min(len(everything), 60_000) <= len(got[name]) <= 80_000
    open_before = live.board.unfinished()
    assert open_before
    for path in [p for name in RECORDS for p in parts(state / f"{name}.ndjson")]:
        path.unlink()
    live = Live(this, {}, clock)
    live.start()
    wait(lambda: live.board.unfinished() == open_before)
    assert live.stop()


class Store:
    """A store that is away, then there, then lost in the middle of a life, then there again."""

    def __init__(self, opens: object) -> None:
        self._opens, self.calls = opens, 0
        self.now: Stored | None = None

    def __call__(self) -> Stored:
        self.calls += 1
        if self.calls in {1, 3}:
            raise StoreError("the store is away")
        self.now = self._opens()  # type: ignore[operator]
        return self.now  # type: ignore[return-value]

    def lose(self) -> None:
        assert self.now is not None
        assert self.now.writer is not None
        self.now.writer._failed = StoreError("the store went away")


def test_a_store_that_comes_and_goes(tmp_path: Path) -> None:
    """Pages do not wait for it, and when it is back it lacks nothing."""
    rules = fleet.rules(tmp_path)
    spec = loadgen.Spec("clean", gpus=16, hours=0.16, interval=5, seed=5, received=True, start=hard.T0)
    frames = fleet.record(tmp_path, spec)
    lines = frames.read_bytes().splitlines()
    this = replace(plan(tmp_path / "state", tmp_path / "topology.ndjson", rules, drain=True),
                   store=f"chdb://{tmp_path}/store")  # fmt: skip
    live = Live(this, {}, Clock(hard.T0))
    parts = live.engine._parts
    assert parts.open_store is not None
    assert live.engine._stored is not None
    live.engine._stored.close()
    store = Store(parts.open_store)
    live.engine = Engine(replace(parts, open_store=store), None, drain=True, store_again_s=0.05)
    live.door._behind = live.engine.behind
    live.start()
    third = len(lines) // 3
    live.door.put(lines[:third], "stdin", stamped=True)
    wait(lambda: store.calls >= 2 and live.engine.behind() == 0)
    live.door.put(lines[third : 2 * third], "stdin", stamped=True)
    wait(lambda: live.engine.behind() == 0)
    store.lose()
    live.door.put(lines[2 * third :], "stdin", stamped=True)
    wait(lambda: store.calls >= 4 and live.engine.behind() == 0)
    live.drain()
    assert live.stop()
    expected = tmp_path / "incidents.ndjson"
    fleet.replay(frames, None, rules=rules, incidents=expected, topology=tmp_path / "topology.ndjson")
    assert written(tmp_path / "state")["incidents"] == expected.read_bytes() != b""
    fleet.all_tiers_equal(f"chdb://{tmp_path}/store", fleet.Truth.of(frames))


def wait(what: object, timeout_s: float = 60.0) -> None:
    import time

    deadline = time.monotonic() + timeout_s
    while not what():  # type: ignore[operator]
        if time.monotonic() > deadline:
            pytest.fail("it did not come about")
        time.sleep(0.02)
