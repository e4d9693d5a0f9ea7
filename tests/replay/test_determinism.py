"""Same frames in, same bytes out (design: decision 2)."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.killed import killed_on_the_way
from tests.replay import hard
from tests.replay.conftest import Replayed, replay

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("stamped", "unstamped")
KILLS = 20
OUTPUTS = ("incidents", "anomalies", "dead")


@dataclass(frozen=True)
class Recorded:
    """A recording of one kind, what goes with it, and what an undisturbed replay of it gives."""

    lines: list[bytes]
    topology: Path
    rules: Path
    expected: Replayed

    def replay(self, frames: Path | list[Path], out: Path, **options: int) -> Replayed:
        """Replay something made of its lines."""
        return replay(frames, self.topology, out, rules=self.rules, **options)


@pytest.fixture(scope="module", params=KINDS)
def recording(
    request: pytest.FixtureRequest,
    hard_frames: list[hard.Frame],
    hard_topology: Path,
    quick_rules: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Recorded:
    """The hard recording of one kind, its topology, and what an undisturbed replay of it gives."""
    lines = hard.lines(hard_frames, received=request.param == "stamped")
    out = tmp_path_factory.mktemp(request.param)
    frames = _write(out / "frames.ndjson", lines)
    expected = replay(frames, hard_topology, out, rules=quick_rules)
    return Recorded(lines, hard_topology, quick_rules, expected)


def _write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def same(got: Replayed, expected: Replayed) -> None:
    assert got.incidents == expected.incidents
    assert got.anomalies == expected.anomalies


def test_the_recording_has_something_to_say(recording: Recorded) -> None:
    """The comparison below means something: there are incidents of the faults in the recording."""
    expected = recording.expected
    assert expected.incidents.count(b"\n") > 5
    assert b"gpu:n050/1" in expected.anomalies
    assert b"gpu:n060/0" in expected.incidents


def test_the_report_counts_what_was_written(recording: Recorded) -> None:
    """Incidents that opened, and calls of a person."""
    expected = recording.expected
    assert expected.report.incidents == expected.incidents.count(b'"transition":"opened"') > 0
    assert expected.report.pages == expected.incidents.count(b'"transition":"paged"') > 0
    assert expected.report.anomalies == expected.anomalies.count(b"\n")


def test_again(recording: Recorded, tmp_path: Path) -> None:
    """Run again, with a finished state directory there: the same bytes."""
    frames = _write(tmp_path / "frames.ndjson", recording.lines)
    for _ in range(2):
        got = recording.replay(frames, tmp_path / "out")
        same(got, recording.expected)
        assert got.dead == recording.expected.dead


@pytest.mark.parametrize("options", [{"batch_frames": 1}, {"batch_frames": 100}, {"batch_frames": 10_000},
                                     {"partitions": 2}, {"partitions": 4}, {"partitions": 8}], ids=str)  # fmt: skip
def test_batches_and_partitions(recording: Recorded, options: dict[str, int], tmp_path: Path) -> None:
    """Any batch size, any number of partitions."""
    frames = _write(tmp_path / "frames.ndjson", recording.lines)
    got = recording.replay(frames, tmp_path, **options)
    same(got, recording.expected)
    assert got.dead == recording.expected.dead


def _moved(lines: list[bytes], frames: list[hard.Frame]) -> list[bytes]:
    """Move lines by less than the lateness.

    Bills stay: their order is their meaning. So does a backlog: which of its frames are still in time depends
    on where they stand.
    """
    rng = random.Random(5)
    stay = {"service:serving", "node:backlog"}
    moves = [0 if frame["source"] in stay else rng.uniform(-14_500, 14_500) for _, frame in frames]
    order = sorted(range(1, len(lines)), key=lambda i: frames[i][0] + moves[i])
    return [lines[0], *(lines[i] for i in order)]


def _doubled(lines: list[bytes], frames: list[hard.Frame]) -> list[bytes]:
    """Repeat one line in four, up to 20 s later."""
    rng = random.Random(6)
    timed = [(taken, line) for (taken, _), line in zip(frames, lines, strict=True)]
    copies = [(taken + rng.uniform(0, 20_000), line) for taken, line in timed if rng.random() < 0.25]
    return [line for _, line in sorted([*timed, *copies], key=lambda item: item[0])]


@pytest.mark.parametrize("disturb", [_moved, _doubled])
def test_order_and_duplicates(
    recording: Recorded,
    hard_frames: list[hard.Frame],
    disturb: Callable[[list[bytes], list[hard.Frame]], list[bytes]],
    tmp_path: Path,
) -> None:
    """Lines moved by less than the lateness, and duplicates, change nothing."""
    frames = _write(tmp_path / "frames.ndjson", disturb(recording.lines, hard_frames))
    same(recording.replay(frames, tmp_path), recording.expected)


def test_several_files(recording: Recorded, tmp_path: Path) -> None:
    """One file or several, lines dealt out at random."""
    rng = random.Random(7)
    hands: list[list[bytes]] = [[], [], []]
    for line in recording.lines:
        hands[rng.randrange(3)].append(line)
    files = [_write(tmp_path / f"part{i}.ndjson", hand) for i, hand in enumerate(hands)]
    same(recording.replay(files, tmp_path), recording.expected)


GARBAGE = [
    b"{", b"null", b"[]", b"\xff\xfe\x00", b'{"kind":"gpu"}',
    b'{"kind":"fridge","ts":%(ts)d,"source":"node:n9"}',
    b'{"kind":"gpu","ts":1.5,"source":"node:n9"}',
    b'{"kind":"gpu","ts":12,"source":"node:n9"}',
    b'{"kind":"gpu","ts":4200000000000,"source":"node:n9"}',
    b'{"kind":"gpu","ts":%(ahead)d,"source":"node:n9","received":%(ts)d}',
    b'{"kind":"gpu","ts":%(ts)d,"source":"n9"}',
    b'{"kind":"gpu","ts":%(ts)d,"source":"node:n9","metrics":{"xid":[1,2]}}',
    b'{"kind":"gpu","ts":%(ts)d,"source":"node:n9","items":["0","0"],"metrics":{"xid":[1,2]}}',
    b'{"kind":"gpu","ts":%(ts)d,"source":"node:n9","metrics":{"xid":[true]}}',
    b'{"kind":"gpu","ts":%(ts)d,"source":"node:n9","metrics":{"xid":["x"]}}',
    b'{"kind":"gpu","ts":%(ts)d,"source":"node:n9","metrics":{"xid":[NaN]}}',
    b'{"kind":"gpu","ts":%(ts)d,"source":"node:n9","pad":"' + b"x" * (1 << 20) + b'"}',
]  # fmt: skip


def test_garbage(recording: Recorded, hard_frames: list[hard.Frame], tmp_path: Path) -> None:
    """Garbage of each kind, one line in twenty: the same incidents, every bad frame a dead letter with its place."""
    rng = random.Random(8)
    dirty: list[bytes] = []
    places = []
    for i, line in enumerate(recording.lines):
        if i % 20 == 10:
            ts = hard_frames[i][0]
            kind = rng.choice(GARBAGE if i % 1000 == 10 else GARBAGE[:-1])
            dirty.append(kind.replace(b"%(ts)d", b"%d" % ts).replace(b"%(ahead)d", b"%d" % (ts + 400_000)))
            places.append(b'"line":%d,' % len(dirty))
        dirty.append(line)
    got = recording.replay(_write(tmp_path / "frames.ndjson", dirty), tmp_path)
    same(got, recording.expected)
    letters = got.dead.splitlines()
    before = recording.expected.dead.count(b"\n")
    assert len(letters) == before + len(places)
    for place in places:
        assert any(place in letter.replace(b"}", b",") for letter in letters)
    assert all(b'"reason":"' in letter and b'"detail":"' in letter for letter in letters)


def test_killed_and_resumed(recording: Recorded, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """SIGKILL at random moments, twenty times a kind of recording, each life with its own number of partitions.

    A replay that comes to its end before it was killed that often is compared, and the next one is killed on.
    """
    frames = _write(tmp_path / "frames.ndjson", recording.lines)
    rng = random.Random(request.node.name)
    left = KILLS
    while left:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        command = [sys.executable, "-m", "monitor", "replay", str(frames), "--batch-frames", "200"]
        command += ["--topology", str(recording.topology), "--rules", str(recording.rules)]
        command += ["--state", str(folder / "state")]
        for name in OUTPUTS:
            command += [f"--{name}", str(folder / f"{name}.ndjson")]
        left = killed_on_the_way(command, rng, left, (0.3, 1.5))
        got = Replayed(**{name: (folder / f"{name}.ndjson").read_bytes() for name in OUTPUTS}, report=None)
        same(got, recording.expected)
        assert got.dead == recording.expected.dead


@pytest.mark.parametrize("name", sorted(hard.hardly_any()))
def test_hardly_any(name: str, tmp_path: Path) -> None:
    """Recordings that are hardly any: no frame lost, none late, the same bytes in any partitioning."""
    lines = hard.hardly_any()[name]
    frames = _write(tmp_path / "frames.ndjson", lines)
    one = replay(frames, None, tmp_path / "one")
    four = replay(frames, None, tmp_path / "four", partitions=4)
    same(four, one)
    assert one.report.lines == one.report.samples == len(lines)
    assert not one.report.dead
    assert "late" not in one.report.quality


def test_two_sources_of_one_name(tmp_path: Path) -> None:
    """What is measured by two is there as long as one of them sees it, whoever reads which of them."""
    lines = []
    for at in range(hard.T0, hard.T0 + hard.HOUR, hard.CADENCE):
        for source, items in (
            ("node:n2", 1 + (at < hard.T0 + hard.HOUR // 2)),
            ("host:n2", 2),
            ("node:n3", 2),
        ):
            metrics = {"gpu_temp_celsius": [60.0] * items, "pcie_replay_total": [at // 60_000] * items}
            frame = {
                "kind": "gpu",
                "ts": at,
                "source": source,
                "items": ["0", "1"][:items],
                "metrics": metrics,
            }
            lines.append(json.dumps(frame).encode())
    frames = _write(tmp_path / "frames.ndjson", lines)
    one = replay(frames, None, tmp_path / "one")
    assert b"silence" not in one.anomalies
    same(replay(frames, None, tmp_path / "four", partitions=4), one)
