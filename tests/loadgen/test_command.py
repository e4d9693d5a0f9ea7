"""`python -m loadgen`: help, list, files, refusals."""

import doctest
import subprocess
import sys
import time

import msgspec
import pytest
from click.testing import CliRunner

import loadgen.frames
import loadgen.noise
from loadgen.cli import main
from loadgen.spec import SCENARIOS


def test_help_answers_at_once_and_shows_examples():
    """In under half a second, since nothing heavy is imported for it."""
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        answer = subprocess.run(
            [sys.executable, "-m", "loadgen", "--help"], capture_output=True, text=True, check=True
        )
        spent.append(time.perf_counter() - began)
    assert min(spent) < 0.5
    assert "python -m loadgen --scenario" in answer.stdout


def test_list_names_every_scenario():
    """Each with what happens in it."""
    answer = CliRunner().invoke(main, ["--list"])
    assert answer.exit_code == 0
    for scenario in SCENARIOS.values():
        assert scenario.name in answer.output
        assert scenario.about in answer.output


def test_a_run_is_written_and_summed_up(tmp_path):
    """frames.ndjson.zst, topology.ndjson and truth.json; the faults are named."""
    options = ["--scenario", "node-crash", "--gpus", "64", "--interval", "60", "--out", str(tmp_path / "run")]
    answer = CliRunner().invoke(main, options)
    assert answer.exit_code == 0, answer.output
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "frames.ndjson.zst",
        "topology.ndjson",
        "truth.json",
    ]
    truth = msgspec.json.decode((tmp_path / "run/truth.json").read_bytes())
    assert truth["faults"][0]["entity"] in answer.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "100"], "multiple of 8"),
        (["--hours", "1", "--days", "1"], "not both"),
        (["--scenario", "all", "--hours", "4"], "hours or more"),
        (["--interval", "0"], "outside 1 to 300"),
        (["--scenario", "nope"], "nope"),
    ],
)
def test_what_cannot_be_simulated_is_bad_usage(options, message, tmp_path):
    """Exit code 2 and a sentence that says what to change; nothing is written."""
    answer = CliRunner().invoke(main, [*options, "--out", str(tmp_path / "run")])
    assert answer.exit_code == 2
    assert message in answer.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("module", [loadgen.frames, loadgen.noise])
def test_examples_in_the_docstrings_run(module):
    """Doctests."""
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
