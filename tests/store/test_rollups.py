"""What a replay leaves in a store: every tier against numpy, and the records against the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitor.adapters.clickhouse import Store
from monitor.errors import StoreRefusedError
from tests.store import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.store.conftest import Recorded


def test_the_recording_has_something_to_say(recorded: Recorded) -> None:
    """Frames, samples, more than one hour, more than one sample in a window; nobody is late."""
    assert recorded.report.samples == recorded.truth.samples > 5_000
    assert "late" not in recorded.report.quality
    hours = recorded.truth.rows(3_600_000)
    assert len({key[3] for key in hours}) == 2
    assert max(row[0] for row in recorded.truth.rows(10_000).values()) == 2


def test_every_tier_is_what_numpy_says(recorded: Recorded) -> None:
    """Every accepted sample is counted once in every tier, with its mean, deviation, extremes and last."""
    fleet.all_tiers_equal(recorded.dsn, recorded.truth)


def test_the_store_changes_no_incident(recorded: Recorded, tmp_path: Path) -> None:
    """With or without a store, on any number of partitions: the same bytes, and the same rows."""
    plain = tmp_path / "incidents.ndjson"
    fleet.replay(recorded.frames, None, rules=recorded.rules, incidents=plain)
    assert plain.read_bytes() == recorded.incidents
    dsn = f"chdb://{tmp_path}/store"
    fleet.replay(recorded.frames, dsn, rules=recorded.rules, partitions=4, batch_frames=77)
    assert fleet.everything(dsn) == fleet.everything(recorded.dsn)


def test_a_finished_replay_writes_the_same_again(recorded: Recorded) -> None:
    """Run again into its store: the rows are as they were."""
    before = fleet.everything(recorded.dsn)
    again = fleet.replay(recorded.frames, recorded.dsn, rules=recorded.rules)
    assert again.lines == recorded.report.lines
    assert not again.resumed
    assert fleet.everything(recorded.dsn) == before


def test_another_replay_is_refused_unless_it_may_append(recorded: Recorded, tmp_path: Path) -> None:
    """A store of one recording takes no other by mistake."""
    dsn = f"chdb://{tmp_path}/store"
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    lines = recorded.frames.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:500]))
    second.write_bytes(b"".join(lines[500:900]))
    fleet.replay(first, dsn)
    with pytest.raises(StoreRefusedError, match=r"holds another replay \(of first.ndjson\).*--append"):
        fleet.replay(second, dsn)
    fleet.replay(second, dsn, append=True)
    fleet.replay(second, dsn, append=True)
    with Store.open(dsn) as store:
        held = store.rows("SELECT files, rank, frames FROM replays FINAL ORDER BY files")
    assert held == [(["first.ndjson"], 2, 500), (["second.ndjson"], 2, 400)]


def test_the_topology_names_the_places(recorded: Recorded) -> None:
    """Each GPU's node and rack stand beside it, and what supplies them."""
    with Store.open(recorded.dsn) as store:
        found = store.rows("SELECT id, within['node'], within['rack'], supplied_by['cdu'] FROM topology FINAL "
                           "WHERE kind = 'gpu'")  # fmt: skip
    assert len(found) == 16
    for gpu, node, rack, cdu in found:
        assert node == "node:" + gpu.removeprefix("gpu:").partition("/")[0]
        assert rack.startswith("rack:")
        assert cdu.startswith("cdu:")
