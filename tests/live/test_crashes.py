"""A bug of ours that some frame meets: the frame is set aside, whole and said aloud, and the work goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from monitor.pipeline import Pipeline
from monitor.runners.crashes import CrashError, Crashes
from monitor.runners.engine import Engine
from monitor.runners.live import Live
from monitor.site import Site
from monitor.units import tick_end
from tests.live.conftest import Clock, plan, put_all, replay_journal, written
from tests.live.test_lives import wait
from tests.replay import hard

if TYPE_CHECKING:
    from pathlib import Path

    from tests.replay.conftest import Replayed

TICK_MS = 30_000
POISON = "node:poison"


class Bug:
    """Crashes a method when it is given what it cannot take; counts how often."""

    def __init__(self, patch: pytest.MonkeyPatch, of: type, method: str, meets: Any) -> None:
        self.times, sound = 0, getattr(of, method)

        def buggy(this: Any, *arguments: Any, **more: Any) -> Any:
            if meets(*arguments):
                self.times += 1
                raise ZeroDivisionError("a bug")
            return sound(this, *arguments, **more)

        patch.setattr(of, method, buggy)


def poisoned(frames: list[hard.Frame], *at: int) -> list[hard.Frame]:
    """Return the frames with some of the poisonous source among them."""
    found = list(frames)
    for number in at:
        taken, _ = frames[number]
        frame = {"kind": "gpu", "ts": taken - 50, "source": POISON, "items": ["0"], "metrics": {"xid": [0]}}
        found.insert(number, (taken, frame))
    return found


def work_through(live: Live, clock: Clock, frames: list[hard.Frame]) -> None:
    live.start()
    put_all(live, clock, frames)
    live.drain()
    wait(lambda: not live.engine.alive)
    assert live.stop()


def replay_without(
    state: Path, dead: list[dict[str, Any]], out: Path, topology: Path, rules: Path
) -> Replayed:
    """Replay the journal without the frames that were set aside."""
    gone = {letter["frame"].encode() for letter in dead}
    for segment in (state / "journal").iterdir():
        kept = [line for line in segment.read_bytes().splitlines() if line not in gone]
        segment.write_bytes(b"".join(line + b"\n" for line in kept))
    return replay_journal(state, out, topology, rules=rules)


def crashed(state: Path) -> list[dict[str, Any]]:
    letters = [json.loads(line) for line in written(state)["dead"].splitlines()]
    return [letter for letter in letters if letter["reason"] == "crashed"]


@pytest.fixture
def live(tmp_path: Path, hard_topology: Path, quick_rules: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    made = Live(plan(tmp_path / "state", hard_topology, quick_rules, drain=True), {}, Clock(hard.T0))
    monkeypatch.setattr(made.engine._stopping, "wait", lambda _seconds: None)
    return made


def test_a_line_that_crashes_the_pipeline_is_set_aside(
    live: Live, hard_frames: list[hard.Frame], hard_topology: Path, quick_rules: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """After its second crash; everything else is as if it had never come, and it is kept as it came."""
    frames = poisoned(hard_frames[:20_000], 3_000, 11_000)
    bug = Bug(monkeypatch, Pipeline, "accept", lambda line, *_: POISON.encode() in line)
    clock = live.clock
    assert isinstance(clock, Clock)
    assert live.warnings() == {}
    work_through(live, clock, frames)
    dead = crashed(tmp_path / "state")
    assert bug.times == 4
    assert [json.loads(letter["frame"])["source"] for letter in dead] == [POISON, POISON]
    for letter in dead:
        segment = tmp_path / "state" / "journal" / letter["position"]["file"]
        assert segment.read_text().splitlines()[letter["position"]["line"] - 1] == letter["frame"]
        assert letter["detail"] == "ZeroDivisionError('a bug')"
    assert "line 1" in live.warnings()["crashed"]
    assert "monitor dead list --reason crashed" in live.warnings()["crashed"]
    assert caplog.text.count("set aside: a bug of ours: the pipeline crashed on frames-0000000001") == 2
    sample = live.meters.registry.get_sample_value
    assert sample("monitor_crashes_total", {"at": "line"}) == 4
    got = written(tmp_path / "state")
    expected = replay_without(tmp_path / "state", dead, tmp_path / "out", hard_topology, quick_rules)
    assert got["incidents"] == expected.incidents != b""
    assert got["anomalies"] == expected.anomalies


def test_a_tick_that_crashes_is_set_aside_with_its_frames(
    live: Live, hard_frames: list[hard.Frame], hard_topology: Path, quick_rules: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Also where a snapshot holds some of them; each is a dead letter, and nobody is called silent for it."""
    frames = poisoned(hard_frames[:20_000], 11_000)
    bug = Bug(
        monkeypatch, Site, "close",
        lambda _end, parts: any("poison" in key.entity for part in parts for key in part.new_series),
    )  # fmt: skip
    clock = live.clock
    assert isinstance(clock, Clock)
    work_through(live, clock, frames)
    dead = crashed(tmp_path / "state")
    assert bug.times == 2
    (end,) = {letter["position"]["tick"] for letter in dead}
    bodies = [json.loads(letter["frame"]) for letter in dead]
    assert POISON in {body["source"] for body in bodies}
    assert {tick_end(body["ts"], TICK_MS) for body in bodies} == {end}
    journal = (tmp_path / "state" / "journal" / "frames-0000000001.ndjson").read_bytes().splitlines()
    of_tick = [line for line in map(json.loads, journal) if tick_end(line["ts"], TICK_MS) == end]
    known = {(body["source"], body["ts"]) for body in bodies}
    in_time = [f for f in of_tick if f["received"] - end <= 30_000 and f["ts"] - f["received"] <= 300_000]
    assert {(f["source"], f["ts"]) for f in in_time} == known
    assert len(known) > 50
    sample = live.meters.registry.get_sample_value
    assert sample("monitor_crashes_total", {"at": "tick"}) == 2
    got = written(tmp_path / "state")
    monkeypatch.undo()
    expected = replay_without(tmp_path / "state", dead, tmp_path / "out", hard_topology, quick_rules)
    assert got["incidents"] == expected.incidents != b""


def test_what_crashes_without_frames_is_tried_again_as_before(
    live: Live, hard_frames: list[hard.Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be set aside the journal keeps everything until a program without the bug starts."""
    first = tick_end(hard.T0 + 300_000, TICK_MS)
    bug = Bug(monkeypatch, Site, "close", lambda end, _parts: end >= first)
    clock = live.clock
    assert isinstance(clock, Clock)
    monkeypatch.setattr(Engine, "drain", lambda _: None)
    live.start()
    put_all(live, clock, hard_frames[:8_000])
    wait(lambda: bug.times > 4)
    assert live.engine.alive
    assert "a bug of ours" in live.problems()["work"]
    assert live.stop()
    assert live.engine.behind() > 0


def test_crashes_are_forgotten_once_a_snapshot_is_beyond_them() -> None:
    """What was met once and is still ahead stays counted."""
    from monitor.adapters.journal import Place

    crashes = Crashes()
    culprits: list[tuple[str, int] | int] = [
        (Place(1).file, 7), (Place(2).file, 3), (Place(2).file, 4), 1_000, 2_000,
    ]  # fmt: skip
    assert not any(crashes.note(CrashError(culprit)) for culprit in culprits)
    assert all(crashes.note(CrashError(culprit)) for culprit in culprits if culprit != culprits[2])
    crashes.forget(Place(2, 999, 3), 1_000)
    assert (crashes.lines, list(crashes.ticks)) == ({}, [2_000])
    assert crashes.note(CrashError(culprits[2]))
    assert not crashes.note(CrashError(culprits[0]))
