"""The machine temperature series of the Numenta Anomaly Benchmark, as a site would bring it: a CSV file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.cli.import_ import import_group
from tests.replay.conftest import replay

NAB = Path(__file__).parents[2].parent / "shared" / "data" / "nab"
SERIES = NAB / "realKnownCause" / "machine_temperature_system_failure.csv"
FAILURE = (datetime(2014, 2, 7, 14, 55, tzinfo=UTC), datetime(2014, 2, 9, 14, 5, tzinfo=UTC))
"""The last labelled window: the system failure."""

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.slow,
    pytest.mark.skipif(not SERIES.exists(), reason=f"{SERIES} is not there"),
]


@pytest.mark.parametrize("metric", ["coolant_return_celsius", "machine_temperature"])
def test_the_system_failure_is_an_incident(metric: str, tmp_path: Path) -> None:
    """It pages once within its window; in eleven weeks nothing pages twice and at most one other thing pages.

    The other one, on 3 February, is a fall of 19 degrees for half a day that is not labelled.
    """
    frames = tmp_path / "frames.ndjson"
    options = ["--kind", "facility", "--source", "cdu:machine", "--time", "timestamp"]
    options += ["--value", f"value={metric}", "--out", str(frames)]
    done = CliRunner().invoke(import_group, ["csv", str(SERIES), *options])
    assert done.exit_code == 0, done.stderr
    got = replay(frames, None, tmp_path / "out")
    last = {i["id"]: i for i in map(json.loads, got.incidents.splitlines())}
    paged = [i for i in last.values() if i["paged_at"]]
    start, end = (moment.timestamp() * 1000 for moment in FAILURE)
    assert [i["pages"] for i in paged if start <= i["paged_at"] <= end] == [1]
    assert all(i["pages"] == 1 for i in paged)
    assert len(paged) <= 2
