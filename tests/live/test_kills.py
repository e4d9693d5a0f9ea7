"""SIGKILL under load: every accepted frame counts once, and the incidents are those of an undisturbed run."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import pytest

from monitor.adapters.clickhouse import Store
from monitor.adapters.rotation import parts
from tests.live.conftest import whole
from tests.live.process import Fleet, Process
from tests.replay.conftest import replay
from tests.store import fleet as stores

if TYPE_CHECKING:
    from pathlib import Path

RULES = """
tick_ms: 1000
lateness_ms: {lateness_ms}
snapshot_ticks: 2
journal_segment_bytes: 65536
journal_keep_ms: 3600000
records_keep_bytes: 16384
"""

WIDTHS = {"s10": 1_000, "m1": 60_000, "h1": 3_600_000}
"""Of the tiers; a window of the finest is a tick where ticks are no multiple of 10 s."""


def killed_under_load(out: Path, kills: int, seed: int, lateness_s: int) -> None:
    """Kill while ticks close; what could not be sent meanwhile must still come within the lateness."""
    rng = random.Random(seed)
    rules = out / "rules"
    rules.mkdir()
    (rules / "settings.yaml").write_text(RULES.format(lateness_ms=1000 * lateness_s))
    process = Process(out, "--rules", str(rules), "--store", f"chdb://{out}/store")
    process.start()
    fleet = Fleet(process.url)
    time.sleep(lateness_s + 2)
    for kill in range(kills):
        if kill == 1:
            fleet.lost.set()
        time.sleep(rng.uniform(0.2, 3.0))
        process.kill()
        process.start(ready=kill % 2 == 0)  # every other one is killed while it starts
    fleet.lost.set()
    time.sleep(3)
    fleet.finish()
    assert fleet.again > 0
    process.wait_for(lambda: process.health() is not None)
    began = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - began < 10
    process.start("--drain", ready=False)
    assert process.running is not None
    assert process.running.wait(60) == 0
    check(out, process, fleet, 1000 * lateness_s)


def check(out: Path, process: Process, fleet: Fleet, lateness_ms: int) -> None:
    """Compare with a replay of the journal, and with one of the frames as they were made, received at once."""
    rules = out / "rules"
    replayed = replay(process.state / "journal", None, out / "replayed", rules=rules)
    assert whole(process.state / "incidents.ndjson") == replayed.incidents
    assert late_frames(process, lateness_ms) == 0, "this machine is too busy for the lateness of this test"
    frames = out / "frames.ndjson"
    stamped = [json.loads(line) for line in fleet.frames]
    frames.write_text("".join(json.dumps({**frame, "received": frame["ts"] + 5}) + "\n" for frame in stamped))
    expected = replay(frames, None, out / "expected", rules=rules)
    assert expected.incidents.count(b"\n") >= 2
    assert whole(process.state / "incidents.ndjson") == expected.incidents
    assert whole(process.state / "anomalies.ndjson") == expected.anomalies
    assert len(parts(process.state / "incidents.ndjson")) > 1, "they were put aside under kills, too"
    assert (process.state / "dead.ndjson").read_bytes() == b""
    truth = stores.Truth.of(frames)
    with Store.open(f"chdb://{out}/store") as store:
        for name, width in WIDTHS.items():
            stores.same(stores.tier(store, name), truth.rows(width))


def late_frames(process: Process, lateness_ms: int) -> int:
    """Return how many frames came too late to count."""
    lines = [
        json.loads(line)
        for file in (process.state / "journal").iterdir()
        for line in file.read_bytes().splitlines()
    ]
    return sum(frame["received"] + frame["ts"] // -1000 * 1000 > lateness_ms for frame in lines)


@pytest.mark.alone
def test_a_few_kills(tmp_path: Path) -> None:
    """Three kills while four clients send and send again."""
    killed_under_load(tmp_path, 3, seed=1, lateness_s=12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_kills(tmp_path: Path, seed: int) -> None:
    """Forty kills in four runs."""
    killed_under_load(tmp_path, 10, seed, lateness_s=60)
