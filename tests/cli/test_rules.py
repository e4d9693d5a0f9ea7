"""`monitor rules`: what is wrong with rules files, and what is in force."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitor.adapters.rules import RULES_FILES, load_rules, read_rules
from monitor.cli.rules import rules_group
from monitor.config.settings import Settings
from monitor.errors import ConfigError, UsageError

ROOT = Path(__file__).parents[2]
BAD = Path(__file__).parent / "bad_rules"
CASES = sorted(path.name for path in BAD.iterdir() if path.is_dir())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(rules_group, [str(argument) for argument in arguments])


@pytest.fixture
def own(tmp_path):
    """An operator's directory with one file of each kind."""
    for name in ("faults.yaml", "metrics.yaml", "xid.yaml"):
        shutil.copy(ROOT / "rules" / name, tmp_path / name)
    (tmp_path / "settings.yaml").write_text("tick_ms: 20000\n")
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_bad_rules_are_told_exactly(case):
    """Every problem, each with file, place and what to do; exit code 1."""
    result = run("check", "--rules", BAD / case)
    assert result.stdout.replace(str(BAD / case), "DIR") == (BAD / case / "expected.txt").read_text()
    assert result.exit_code == 1


@pytest.mark.parametrize("case", CASES)
def test_bad_rules_as_records(case):
    """`--json` prints the same problems for programs."""
    result = run("check", "--json", "--rules", BAD / case)
    record = json.loads(result.stdout)
    told = (BAD / case / "expected.txt").read_text().splitlines()[:-1]
    assert record["ok"] is False
    assert [problem.replace(str(BAD / case), "DIR") for problem in record["problems"]] == told
    assert result.exit_code == 1


@pytest.mark.parametrize("case", [case for case in CASES if case != "runbooks"])
def test_nothing_starts_with_bad_rules(case):
    """What `check` finds wrong with the files, loading refuses."""
    with pytest.raises(ConfigError):
        load_rules(BAD / case)


def test_the_shipped_rules_are_fine():
    """What ships passes its own check, runbooks included."""
    result = run("check")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("The rules are fine: ")


def test_good_rules_say_what_they_hold(own):
    """A short answer, and exit code 0."""
    result = run("check", "--rules", own)
    assert result.exit_code == 0
    assert f"172 XID codes, {len(load_rules().faults.faults)} fault kinds; digest " in result.stdout
    assert json.loads(run("check", "--json", "--rules", own).stdout) == {"ok": True, "problems": []}


def test_own_files_stand_for_the_shipped_ones(own):
    """A file in the directory counts whole; what it lacks is read from the shipped rules."""
    (own / "xid.yaml").unlink()
    rules = load_rules(own)
    assert rules.settings == Settings(tick_ms=20_000)
    assert 79 in rules.catalog.xid
    assert rules.faults == load_rules().faults
    assert sorted(read_rules(own)) == sorted(RULES_FILES)


def test_the_digest_tells_rules_apart(own):
    """The same texts have one digest wherever they lie; a changed comment has another."""
    before = load_rules(own).digest
    assert before == load_rules(own).digest
    (own / "settings.yaml").write_text("tick_ms: 20000 # a comment\n")
    assert before != load_rules(own).digest


def test_a_directory_that_is_not_there_is_bad_usage(tmp_path):
    """Exit code 2: nothing was looked at."""
    for directory in (tmp_path / "none", tmp_path):
        result = run("check", "--rules", directory)
        assert isinstance(result.exception, UsageError)
        assert str(directory) in str(result.exception)
        assert result.exception.exit_code == 2


def test_empty_runbooks_are_problems(own, monkeypatch):
    """A runbook without words helps nobody at night."""
    shutil.copytree(ROOT / "docs" / "runbooks", own / "docs" / "runbooks")
    (own / "docs" / "runbooks" / "chiller.md").write_text("\n")
    monkeypatch.setattr("monitor.adapters.rules._checkout", lambda: own)
    assert run("check", "--rules", own).stdout.splitlines()[:-1] == [
        f"faults.yaml: faults.{name}.runbook: docs/runbooks/chiller.md is empty; write it"
        for name in ("chiller", "hall_cooling")
    ]


def test_show_tells_what_a_fault_kind_is(own):
    """What becomes of it, and who shows what, with the shared effects written out."""
    first, *terms = run("show", "cdu_flow", "--rules", own).stdout.splitlines()
    assert first.startswith("fault cdu_flow of cdu: page, critical, class infrastructure, prior 2e-05; ")
    assert first.endswith("; docs/runbooks/cdu-flow.md")
    assert terms[:2] == ["    core, beneath gpu: heat up", "    expected, self: coolant_flow; within 5m"]
    assert any(term.startswith("    side, victims job: progress, ") for term in terms)


def test_show_answers_for_any_name(own):
    """A metric by an exporter's name, an XID code, a setting."""
    result = run("show", "DCGM_FI_DEV_FB_USED", "79", "tick_ms", "--rules", own)
    assert result.exit_code == 0
    setting, metric, code = result.stdout.splitlines()
    assert setting == "tick_ms: 20000"
    assert metric.startswith(
        "gpu.fb_used_bytes: gauge, bytes, range 0..1e+14, bad up, family capacity; also DCGM_FI_"
    )
    assert "DCGM_FI_DEV_FB_USED x 1048576," in metric
    assert code.startswith(
        "xid 79 ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS: critical, hardware, pages by itself; "
    )


def test_show_tells_what_a_label_map_does(own):
    """Whose samples they are, and what is made of them; the operator's map stands for the shipped one."""
    assert (
        "nv_inference_* are model of model:{model}, item {instance}; makes " in run("show", "triton").stdout
    )
    (own / "labelmaps").mkdir()
    block = '{names: ["x_*"], kind: model, source: ["model:{m}"]}'
    (own / "labelmaps" / "triton.yaml").write_text(f"series: [{block}]\n")
    shown = run("show", "triton", "--rules", own).stdout
    assert shown == "label map triton: x_* are model of model:{m}\n"
    assert [m.name for m in load_rules(own).labelmaps] == [m.name for m in load_rules().labelmaps]


def test_a_directory_may_hold_label_maps_alone(tmp_path):
    """What it lacks is shipped; what is no label map is a problem, not silence."""
    (tmp_path / "labelmaps").mkdir()
    assert run("check", "--rules", tmp_path).exit_code == 0
    (tmp_path / "labelmaps" / "acme.yml").write_text("series: []")
    assert "acme.yml: no label map; they end in `.yaml`" in run("check", "--rules", tmp_path).stdout


def test_show_prints_everything_as_records(own):
    """`--json` without names is the whole of the rules in force."""
    record = json.loads(run("show", "--json", "--rules", own).stdout)
    rules = load_rules(own)
    assert (len(record["metrics"]), len(record["xid"])) == (len(rules.catalog.metrics), 172)
    assert record["settings"]["tick_ms"] == 20_000
    assert [fault["name"] for fault in record["faults"]] == [fault.name for fault in rules.faults.faults]
    assert record["digest"] == rules.digest


def test_show_says_no_to_a_name_that_means_nothing(own):
    """Exit code 1, and which name it was."""
    result = run("show", "tick_ms", "nonsense", "--rules", own)
    assert result.exit_code == 1
    assert result.stdout == "tick_ms: 20000\n"
    assert result.stderr == "No metric, XID code, setting, fault kind or label map is called nonsense.\n"


def test_the_manuals_session_is_real(tmp_path):
    """docs/rules.md shows what `check` prints."""
    manual = (ROOT / "docs" / "rules.md").read_text()
    command, *told = manual.partition("```console\n$ monitor ")[2].partition("```")[0].splitlines()
    assert command == "rules check --rules etc/rules"
    metrics = (ROOT / "rules" / "metrics.yaml").read_text().replace("unit: celsius", "unit: celcius", 1)
    (tmp_path / "metrics.yaml").write_text(metrics)
    (tmp_path / "settings.yaml").write_text("skew_ms: 10000\n")
    assert run("check", "--rules", tmp_path).stdout.splitlines() == told
