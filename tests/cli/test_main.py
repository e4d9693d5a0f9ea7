"""The program as a whole: what goes wrong with files is a line on standard error, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.run import Run
from loadgen.spec import Spec
from loadgen.write import write_run
from monitor.cli import main


@pytest.fixture
def monitor(monkeypatch, capsys):
    """The program in this process: arguments to its exit code and what it said on standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["monitor", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """An hour of a small hall."""
    return write_run(Run(Spec("clean", 16, hours=1, interval=300)), tmp_path_factory.mktemp("run")).path


@pytest.mark.parametrize("arguments", [["--help"], ["rules", "show"]])
def test_output_that_has_no_room_is_said(arguments):
    """Also where it is so short that it fails only when the process ends."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "monitor", *arguments]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == "monitor: standard output: No space left on device\n"
    assert result.returncode == 1


@pytest.mark.parametrize("option", ["--incidents", "--anomalies", "--dead", "--state"])
@pytest.mark.parametrize("place", ["/proc/none", "/dev/null"])
def test_outputs_that_cannot_be_written_are_said(monitor, frames, tmp_path, option, place):
    """The file and the reason, on one line."""
    more = ["--incidents", tmp_path / "incidents.ndjson"] if option == "--state" else []
    code, said = monitor("replay", frames, option, place, *more)
    assert said.splitlines()[-1].startswith(("monitor: /", "Error: "))
    assert place in said
    assert code in {1, 2}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["demo", "--out", "/proc/none", "--gpus", "512"],
            "monitor: /proc/none: No such file or directory\n",
        ),
        (["demo", "--hours", "nan"], "nan hours is no length of a run"),
        (["demo", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["store", "stats", "chdb:///"], "monitor: chdb:///: name a directory"),
        (
            ["store", "stats", "clickhouse://host:99999"],
            "monitor: clickhouse://host:99999: Port out of range",
        ),
    ],
)
def test_bad_values_are_said(monitor, arguments, why):
    """What cannot be done is said with its reason."""
    code, said = monitor(*arguments)
    assert why in said
    assert code in {1, 2}
