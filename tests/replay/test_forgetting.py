"""A fleet in which jobs come and go for ever takes no more memory than one in which they do not."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from monitor.adapters.rules import load_rules
from monitor.ingest.frames import Header, read_header
from monitor.pipeline import Pipeline
from monitor.site import Setup
from monitor.topology import Topology
from monitor.units import DAY, HOUR, MINUTE
from tests.killed import killed_on_the_way
from tests.replay.conftest import Replayed, replay
from tests.replay.hard import T0

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.site import SiteOutput

DAYS = 4
STEP = 9 * MINUTE
LOST = range(20, 30)
"""The hours in which a node that stays is away."""

RULES = f"tick_ms: {STEP}\nlateness_ms: {MINUTE}\nforget_ms: {DAY}\n"


def frame(kind: str, ts: int, source: str, metrics: dict[str, list[float]], **more: Any) -> bytes:
    return json.dumps({"kind": kind, "ts": ts, "source": source, "metrics": metrics, **more}).encode()


def fleet() -> list[bytes]:
    """Nodes that stay, one that dies on the first day and comes back on the fourth, and a new job every three hours."""
    rng = random.Random(4)
    lines = []
    for at in range(T0, T0 + DAYS * DAY, STEP):
        hour = (at - T0) // HOUR
        for n in range(4):
            if n == 0 and hour in LOST:
                continue
            if n == 1 and 8 <= hour < 80:
                continue
            warm = [60 + rng.gauss(0, 1) for _ in range(2)]
            counted = [float(at // 1000 - T0 // 1000)] * 2
            metrics = {"temperature_celsius": warm, "pcie_replay_total": counted}
            lines.append(frame("gpu", at, f"node:n{n}", metrics, items=["0", "1"]))
        steps = {"step_seconds": [10 + rng.gauss(0, 0.2) for _ in range(2)]}
        lines.append(frame("job", at, f"job:j{hour // 3:04d}", steps, items=["0", "1"]))
    return lines


@pytest.fixture(scope="module")
def frames() -> list[bytes]:
    """The frames of the fleet."""
    return fleet()


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rules under which a day is long."""
    path = tmp_path_factory.mktemp("rules")
    (path / "settings.yaml").write_text(RULES)
    return path


@pytest.fixture(scope="module")
def recording(frames: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frames in a file."""
    path = tmp_path_factory.mktemp("fleet") / "frames.ndjson"
    path.write_bytes(b"\n".join(frames) + b"\n")
    return path


@pytest.fixture(scope="module")
def expected(recording: Path, rules: Path, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """What an undisturbed replay gives."""
    return replay(recording, None, tmp_path_factory.mktemp("out"), rules=rules)


def fed(frames: list[bytes], rules: Path) -> Iterator[tuple[int, Pipeline, list[SiteOutput]]]:
    """Feed the frames to a pipeline; yield when each is taken, the pipeline before, and what closed until then."""
    read = load_rules(rules)
    pipeline = Pipeline(Setup(read.catalog, read.settings, read.faults, Topology.empty(), partitions=2))
    for line in frames:
        header = read_header(line)
        assert isinstance(header, Header)
        clock = header.received or header.ts
        closed = list(pipeline.advance(clock))
        yield clock, pipeline, closed
        assert pipeline.accept(line, header, clock) is None


def sizes(frames: list[bytes], rules: Path) -> list[dict[str, int]]:
    """Feed the frames to a pipeline; return how much it holds at the end of each day."""
    found, day = [], T0 + DAY
    for clock, pipeline, _ in fed(frames, rules):
        if clock >= day:
            found.append(held(pipeline.to_state()))
            day += DAY
    return found


def told(frames: list[bytes], rules: Path) -> list[tuple[str, str, str, float]]:
    """Feed the frames to a pipeline; return what was raised and cleared: state, entity, metric, hours."""
    closed = [output for _, _, outputs in fed(frames, rules) for output in outputs]
    return [(a.state, a.entity, a.metric, (a.ts - T0) / HOUR) for o in closed for a in o.anomalies]


def held(state: dict[str, Any]) -> dict[str, int]:
    return {
        "series": len(state["site"]["series"]),
        "sources": sum(len(p["presence"]) for p in state["partitions"]),
        "counters": sum(len(s["entities"]) for p in state["partitions"] for s in p["counters"]),
        "late": sum(len(p["late"]) for p in state["partitions"]),
        "seen": sum(len(p["seen"]) for p in state["partitions"]),
        "notes": sum(len(notes) for p in state["partitions"] for notes in p["notes"].values()),
        "silent": len(state["site"]["absence"]["silent"]),
        "strangers": len(state["site"]["strangers"]),
    }


def test_what_is_held_does_not_grow(frames: list[bytes], rules: Path) -> None:
    """From the second day on as many go as come; the node that comes back is all that is more."""
    days = sizes(frames, rules)
    assert days[1]["sources"] >= 3 + 8
    for what, count in days[-1].items():
        assert count <= days[1][what] + 5, what


@pytest.mark.parametrize("options", [{"partitions": 4, "batch_frames": 1}, {"batch_frames": 997}], ids=str)
def test_the_same_bytes(
    options: dict[str, int], recording: Path, rules: Path, expected: Replayed, tmp_path: Path
) -> None:
    """How the work is divided does not change what is forgotten when."""
    got = replay(recording, None, tmp_path, rules=rules, **options)
    assert (got.incidents, got.anomalies, got.dead) == (expected.incidents, expected.anomalies, expected.dead)


def test_killed(recording: Path, rules: Path, expected: Replayed, tmp_path: Path) -> None:
    """A snapshot before or after something was forgotten goes on as if it had not been taken."""
    rng = random.Random(5)
    left = 4
    while left:
        out = Path(tempfile.mkdtemp(dir=tmp_path))
        command = [sys.executable, "-m", "monitor", "replay", str(recording), "--rules", str(rules)]
        command += [
            "--incidents",
            str(out / "incidents.ndjson"),
            "--anomalies",
            str(out / "anomalies.ndjson"),
        ]
        command += ["--state", str(out / "state"), "--batch-frames", "50"]
        left = killed_on_the_way(command, rng, left, (0.5, 1.5))
        assert (out / "incidents.ndjson").read_bytes() == expected.incidents
        assert (out / "anomalies.ndjson").read_bytes() == expected.anomalies


def test_the_lost_node_is_let_go_of_and_begins_anew(expected: Replayed) -> None:
    """Its silence ends with the day in which it was away for a whole one; so does the incident."""
    told = [a for a in map(json.loads, expected.anomalies.splitlines()) if a["metric"].startswith("silence")]
    lost = [(a["state"], (a["ts"] - T0) / HOUR) for a in told if a["entity"] == "node:n1"]
    (first, began), (second, ended), *more = lost
    assert (first, second) == ("raised", "cleared")
    assert 8 <= began < 9.5
    assert 32 < ended <= 56
    assert not more
    back = [(a["state"], (a["ts"] - T0) / HOUR) for a in told if a["entity"] == "node:n0"]
    assert [state for state, _ in back] == ["raised", "cleared"]
    assert 30 <= back[1][1] < 30.5


def steady(days: int) -> list[bytes]:
    """Two nodes that send all the time, stamped."""
    ends = range(T0, T0 + days * DAY, STEP)
    warm = {"temperature_celsius": [60.0]}
    return [frame("gpu", at, f"node:n{n}", warm, items=["0"], received=at) for at in ends for n in range(2)]


def in_order(lines: list[bytes]) -> list[bytes]:
    return sorted(lines, key=lambda line: read_header(line).received)


def test_who_is_only_named_or_late_is_let_go_of_too(rules: Path) -> None:
    """Deployments of ever new services, and ever new hosts whose clocks are wrong, beside a fleet that stays."""
    lines = steady(DAYS)
    for at in range(T0, T0 + DAYS * DAY, HOUR):
        hour = (at - T0) // HOUR
        lines.append(frame("change", at, f"service:s{hour}", {}, change="deployment", received=at))
        lines.append(frame("gpu", at - HOUR, f"node:late{hour}", {"xid": [0]}, items=["0"], received=at))
    days = sizes(in_order(lines), rules)
    assert days[0]["strangers"] >= 5
    for what, count in days[-1].items():
        assert count <= days[1][what] + 5, what


@pytest.mark.parametrize("mended", [True, False])
def test_a_wrong_clock_is_over_when_it_is_mended_or_not_heard_any_more(rules: Path, *, mended: bool) -> None:
    """It sent nothing in time before, nor anything at all over a midnight."""
    late = [frame("gpu", at - HOUR, "node:x", {"xid": [0]}, items=["0"], received=at)
            for at in range(T0, T0 + 5 * HOUR, STEP)]  # fmt: skip
    late += [frame("gpu", at, "node:x", {"xid": [0]}, items=["0"], received=at)
             for at in range(T0 + 20 * HOUR, T0 + 22 * HOUR, STEP) if mended]  # fmt: skip
    (raised, cleared) = told(in_order(steady(3) + late), rules)
    assert (raised[:3], cleared[:3]) == (("raised", "node:x", "lateness"), ("cleared", "node:x", "lateness"))
    assert (20 < cleared[3] < 22) if mended else (5 + 24 < cleared[3] <= 5 + 48)


def test_labels_of_long_ago_are_heard_when_they_come(rules: Path) -> None:
    """A model whose labels are two days late is not silent nor forgotten each day, and what deviates stands."""
    rng = random.Random(7)
    lines = steady(4)
    for at in range(T0, T0 + 4 * DAY, STEP):
        precision = rng.gauss(0.95, 0.003) - (0.25 if at > T0 + 3.5 * DAY else 0.0)
        metrics = {"precision": [precision], "labelled": [1000.0]}
        lines.append(frame("model", at - 2 * DAY, "model:fraud", metrics, received=at))
    (raised,) = told(in_order(lines), rules)
    assert raised[:3] == ("raised", "model:fraud", "precision")
    assert 84 < raised[3] < 90


def test_we_see_again_at_the_second_tick_even_when_everybody_was_let_go_of(rules: Path) -> None:
    """Three days without anything: nobody is known any more, yet it is not waited until rhythms are learnt anew."""
    before = steady(1)
    since = [line for line in steady(4) if read_header(line).received >= T0 + 4 * DAY - 3 * HOUR]
    (blind, sighted) = told(before + since, rules)
    assert (blind[:2], sighted[:2]) == (("raised", "service:monitor"), ("cleared", "service:monitor"))
    assert sighted[3] <= 4 * 24 - 3 + 0.35


def test_a_recording_may_begin_with_a_change(rules: Path) -> None:
    """Nothing is measured yet."""
    change = frame("change", T0, "service:a", {}, change="deployment", received=T0)
    closed = [output for _, _, outputs in fed([change, *steady(1)[2:]], rules) for output in outputs]
    assert closed[0].changes[0].entity == "service:a"
