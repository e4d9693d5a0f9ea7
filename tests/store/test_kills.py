"""A replay into a store, killed: every accepted sample is counted once in every tier, the incidents are the same."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.killed import killed_on_the_way
from tests.store import fleet

if TYPE_CHECKING:
    from tests.store.conftest import Recorded


def _killed(recorded: Recorded, tmp_path: Path, kills: int, seed: int) -> None:
    """Kill replays at random moments until there were so many kills; at the end of each replay, all is there."""
    rng = random.Random(seed)
    left = kills
    while left:
        out = Path(tempfile.mkdtemp(dir=tmp_path))
        left = killed_on_the_way(_command(recorded, out), rng, left, (0.5, 2.0))
        _all_is_there(recorded, out)


def _command(recorded: Recorded, out: Path) -> list[str]:
    where = ["--rules", str(recorded.rules), "--incidents", str(out / "incidents.ndjson")]
    return fleet.command(recorded.frames, f"chdb://{out}/store", *where, "--batch-frames", "50")


def _all_is_there(recorded: Recorded, out: Path) -> None:
    assert (out / "incidents.ndjson").read_bytes() == recorded.incidents
    fleet.all_tiers_equal(f"chdb://{out}/store", recorded.truth)
    assert fleet.everything(f"chdb://{out}/store") == fleet.everything(recorded.dsn)


def test_killed_at_random_moments(recorded: Recorded, tmp_path: Path) -> None:
    """SIGKILL three times, resumed under another number of partitions each time."""
    _killed(recorded, tmp_path, 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_killed_over_and_over(recorded: Recorded, tmp_path: Path, seed: int) -> None:
    """Eight times six kills."""
    _killed(recorded, tmp_path, 6, seed)


def test_a_lost_store_is_begun_anew(recorded: Recorded, tmp_path: Path) -> None:
    """Where the store is gone but the snapshots are not, nothing is taken as stored."""
    process = subprocess.Popen(_command(recorded, tmp_path), stdout=subprocess.DEVNULL)
    while not (tmp_path / "store.state" / "snapshot.bin").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    shutil.rmtree(tmp_path / "store")
    incidents = tmp_path / "incidents.ndjson"
    report = fleet.replay(
        recorded.frames, f"chdb://{tmp_path}/store", rules=recorded.rules, incidents=incidents
    )
    assert not report.resumed
    _all_is_there(recorded, tmp_path)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(recorded: Recorded, tmp_path: Path) -> None:
    """The replay says that the disk is full; with more room it goes on and all is there."""
    replay = " ".join(_command(recorded, tmp_path / "small"))
    script = f"""
        mkdir {tmp_path}/small && mount -t tmpfs -o size=1m tmpfs {tmp_path}/small || exit 77
        {replay}; echo "exit code $?" >&2
        mount -o remount,size=200m {tmp_path}/small
        {replay} && cp -a {tmp_path}/small {tmp_path}/copy
    """
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    try:
        result = subprocess.run(own_mounts, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here to mount a small disk with")
    if result.returncode == 77 or "unshare failed" in result.stderr:
        pytest.skip("this system lets nobody mount a small disk")
    assert result.returncode == 0, result.stderr
    assert "the disk is full; what was written stays: free some space and start again" in result.stderr
    assert "exit code 1" in result.stderr
    _all_is_there(recorded, tmp_path / "copy")
