"""`monitor evaluate`: the figures shown and judged."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.cli.evaluate import evaluate_command
from monitor.errors import UsageError

START = 1_795_500_000_000
FAULT = {
    "id": "f1",
    "scenario": "rack-power",
    "entity": "rack:r1",
    "class": "infrastructure",
    "start": START,
    "end": START + 600_000,
    "affected": ["rack:r1", "node:n1"],
    "pages": True,
}


FOUND = (
    "Of those found, the cause is right for 100.0%, among the first three for 100.0%; "
    "the class is right for 100.0%."
)
PAGES = (
    "2 pages, 1 of them false; 1.00 a fault that paged; 50.0% of the incidents that paged found a fault; "
    "0 in 10 d of clean time."
)


def incident(number, cause, delay):
    at = START + delay
    return {
        "id": f"i{number}",
        "episode": 1,
        "severity": "critical",
        "class": "infrastructure",
        "opened_at": at,
        "detected_at": at,
        "paged_at": at,
        "updated_at": at,
        "cause": {"entity": cause},
        "candidates": [],
        "anomalies": 5,
        "pages": 1,
    }


def write(directory, faults, incidents):
    directory.mkdir(exist_ok=True)
    truth, lines = directory / "truth.json", directory / "incidents.ndjson"
    truth.write_text(json.dumps({"faults": faults, "clean": [[START - 864_000_000, START]]}))
    lines.write_text("".join(json.dumps(line) + "\n" for line in incidents))
    return str(truth), str(lines)


@pytest.fixture
def files(tmp_path):
    return write(tmp_path, [FAULT], [incident(1, "rack:r1", 40_000), incident(2, "row:x", 60_000)])


def run(*arguments):
    return CliRunner().invoke(evaluate_command, arguments)


def test_the_figures_are_told_in_plain_words_and_a_table(files):
    """A newcomer reads what was found, how soon, with which cause, and what was false."""
    result = run(*files)
    assert result.exit_code == 0
    words = [line.rstrip() for line in result.stdout.splitlines()]
    assert words[:5] == [
        "1 run, 10 anomalies in 2 incidents, merged ones left out.",
        "Found 1 of 1 fault that should page (recall 1.000).",
        FOUND,
        "A page comes 40 s after the start (median), 40 s at the 90th percentile.",
        PAGES,
    ]
    assert ["f1", "rack:r1", "page", "yes", "rack:r1", "1.", "40", "s", "1"] in [
        line.split() for line in words
    ]
    assert words[-1] == "False page: incident i2 on row:x, during f1, which does not touch it."


def test_needs_decide_the_exit_code(files):
    """Every need met is 0; one that is not is told and is 1."""
    assert run(*files, "--need", "recall=1", "--need", "false_pages=1").exit_code == 0
    result = run(*files, "--need", "recall=1", "--need", "false_pages=0", "--need", "precision=0.9")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "not met: false_pages is 1, needed at most 0",
        "not met: precision is 0.5, needed at least 0.9",
    ]


def test_json_is_one_object_with_figures_and_rows(files):
    """--json prints the whole report, and needs still decide."""
    result = run(*files, "--json", "--need", "recall=2")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["figures"]["recall"] == 1.0
    assert report["faults"][0]["incident"] == "i1"
    assert report["false"][0]["incident"] == "i2"


def test_all_runs_of_a_directory_are_pooled(tmp_path):
    """--all takes each sub-directory with both files, by name, and says what it left out."""
    write(tmp_path / "b", [FAULT], [])
    write(tmp_path / "a", [FAULT], [incident(1, "node:n1", 40_000)])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "truth.json").write_text("{}")
    (tmp_path / "d").mkdir()
    result = run("--all", str(tmp_path), "--json")
    report = json.loads(result.stdout)
    assert [(row["run"], row["found"]) for row in report["faults"]] == [("a", True), ("b", False)]
    assert (report["counts"]["runs"], report["figures"]["recall"]) == (2, 0.5)
    assert result.stderr == "left out, without incidents.ndjson: c\n"
    table = [line.split() for line in run("--all", str(tmp_path)).stdout.splitlines()]
    assert ["a", "f1", "rack:r1", "page", "yes", "node:n1", "none", "40", "s", "1"] in table
    assert ["b", "f1", "rack:r1", "page", "no", "-", "-", "-", "0"] in table


def test_a_missed_fault_that_was_named_is_told(tmp_path):
    """What named a fault without paging is shown beside it."""
    quiet = incident(1, "rack:r1", 40_000) | {"paged_at": None, "pages": 0}
    shown = run(*write(tmp_path, [FAULT], [quiet])).stdout
    assert "Missed f1: incident i1 names rack:r1 but did not page in time." in shown


def test_a_run_without_faults_shows_its_pages(tmp_path):
    """Nothing to find leaves out what is undefined."""
    result = run(*write(tmp_path, [], []))
    assert (
        result.stdout
        == "1 run, 0 anomalies in 0 incidents, merged ones left out.\n0 pages, 0 of them false; 0 in 10 d of clean time.\n"
    )


@pytest.mark.parametrize("arguments", [[], ["truth"], ["truth", "incidents", "--all"], ["truth", "--all"]])
def test_either_two_files_or_a_directory(files, tmp_path, arguments):
    """Neither, half or both is bad usage."""
    named = {"truth": files[0], "incidents": files[1], "--all": f"--all={tmp_path}"}
    result = run(*[named[name] for name in arguments])
    assert result.exit_code == 2
    assert "give either TRUTH and INCIDENTS, or --all DIR" in result.stderr


@pytest.mark.parametrize("need", ["recall", "recall=much", "=1"])
def test_a_need_is_a_figure_and_a_number(files, need):
    """--need without both is bad usage, and so is a figure that is none."""
    result = run(*files, "--need", need)
    assert result.exit_code == 2 or isinstance(result.exception, UsageError)


def test_files_that_cannot_be_read_are_told_with_their_place(tmp_path):
    """Bad JSON, records that lack fields, and a directory without runs are bad usage, each with its place."""
    truth, incidents = write(tmp_path, [FAULT], [incident(1, "rack:r1", 0)])
    Path(incidents).write_text(Path(incidents).read_text() + "\n{\n")
    assert str(run(truth, incidents).exception).startswith(f"{incidents}, line 3: ")
    truth, incidents = write(tmp_path, [{"id": "x"}], [])
    result = run(truth, incidents)
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith(f"{truth}: Object missing required field `entity`")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no sub-directory holds both"):
        CliRunner().invoke(evaluate_command, ["--all", str(tmp_path / "empty")], catch_exceptions=False)


def test_help_has_an_example_and_names_every_figure():
    """The figures that can be needed are all in the help."""
    from monitor.evaluate import Figures

    shown = " ".join(run("--help").stdout.split())
    assert "monitor evaluate truth.json incidents.ndjson" in shown
    assert [name for name in Figures.__struct_fields__ if name not in shown] == []
