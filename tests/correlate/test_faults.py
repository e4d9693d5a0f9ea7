"""Fault kinds are data: what is wrong with a file is told all at once, and the shipped one is whole."""

from pathlib import Path

import pytest

from monitor.correlate.faults import FaultBook
from monitor.errors import ConfigError
from monitor.topology import KINDS
from tests.correlate.fleet import BOOK, signal

ROOT = Path(__file__).parents[2]

BAD = """
families: {heat: {reasons: [x]}}
effects:
  e: [{at: victims, of: [job], shows: {progress: any}}]
faults:
  a:
    cause: [gpuu]
    incident_class: infrastructure
    severity: warning
    prior: 2
    pages: page
    summary: "{what} broke"
    effects: [nope]
    footprint:
      - {at: self, of: [gpu], role: side, shows: {heet: up, heat: upp}, q: [1.0], lag: soon}
"""


def test_every_problem_of_a_file_is_told_with_its_place():
    """One run tells all that is wrong."""
    with pytest.raises(ConfigError) as caught:
        FaultBook.parse(BAD, "bad.yaml")
    assert caught.value.problems == [
        "families.heat: is a family of the catalogue already",
        "effects.e[0].role: shared effects are `side`",
        "faults.a.footprint[0].shows.heet: unknown family",
        "faults.a.footprint[0].shows.heat: `upp` is neither up, down nor any",
        "faults.a.footprint[0].of: `self` needs no kinds",
        "faults.a.footprint[0].q: write chances between 0 and 1",
        "faults.a.footprint[0].lag: `soon` is no duration: write 80ms, 30s, 5m, 1h or 3d",
        "faults.a.cause: unknown kind `gpuu`",
        "faults.a.effects: unknown effect `nope`",
        "faults.a.prior: 2 is no chance; write a number between 0 and 1",
        "faults.a.footprint: no core term, so nothing could ever show it",
        "faults.a.runbook: missing; whoever is called needs one",
        "faults.a.severity: a page is critical or error, not warning",
        "faults.a.summary: cannot be filled in ('what'); known are `{entity}`, `{reason}`",
    ]


def test_a_field_that_cannot_be_read_hides_no_problem_of_the_others():
    """What is wrong with the form and what is wrong with the sense is told in one run, and nothing twice."""
    with pytest.raises(ConfigError) as caught:
        FaultBook.parse(
            """
            first_query: "{entity[x]}"
            effects:
              e: [{at: here}, {at: self, shows: {heat: up}}]
            faults:
              b: [gpu]
              a:
                cause: []
                incident_class: infrastructure
                severity: info
                prior: often
                pages: page
                runbook: 3
                change_fade: 0s
                summary: "{entity}"
                footprint:
                  - {at: nowhere, of: [gpuu], shows: {heet: up}}
                  - {at: victims, of: job, shows: {}, q: []}
            """
        )
    assert [problem.split(": ", 1)[0] for problem in caught.value.problems] == [
        "first_query",
        "effects.e[0].at",
        "effects.e[0].shows",
        "effects.e[0].role",
        "effects.e[1].role",
        "faults.b",
        "faults.a.footprint[0].at",
        "faults.a.footprint[0].shows.heet",
        "faults.a.footprint[0].of",
        "faults.a.footprint[1].of",
        "faults.a.footprint[1].shows",
        "faults.a.footprint[1].q",
        "faults.a.prior",
        "faults.a.runbook",
        "faults.a.cause",
        "faults.a.severity",
        "faults.a.change_fade",
    ]


def test_a_file_without_faults_is_refused():
    """Without fault kinds nothing could become an incident."""
    with pytest.raises(ConfigError, match="nothing becomes an incident"):
        FaultBook.parse("")


def test_every_kind_of_entity_has_a_fault_that_takes_any_signal():
    """Whatever stands at the page level becomes an incident, whatever it is about."""
    covered = {
        kind
        for fault in BOOK.faults
        for term in fault.footprint
        for kind in fault.cause
        if term.role == "core" and term.at == "self" and "any" in term.shows
    }
    assert covered == KINDS


def test_every_runbook_is_there_with_an_owner_and_first_checks():
    """A page points at a runbook that says who owns it and what to look at first."""
    for name in BOOK.runbooks:
        text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
        assert "**Owner:**" in text, name
        assert "## First checks" in text, name
        assert "SELECT" in text, name


def test_no_runbook_is_left_over():
    """Each runbook belongs to a fault kind."""
    files = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert files == set(BOOK.runbooks)


@pytest.mark.parametrize(
    ("metric", "reason", "family", "expected"),
    [
        ("row_remap_pending", "pending", "memory_errors", "row_remap"),
        ("xid", "xid_63", "memory_errors", "row_remap"),
        ("xid", "xid_48", "memory_errors", "memory_errors"),
        ("anything", "anything", "no_such_family", "other"),
    ],
)
def test_the_family_of_a_signal(metric, reason, family, expected):
    """Families of our own take their signals from those of the catalogue."""
    assert BOOK.family_of(signal("gpu:n1/0", family, 0, metric=metric, reason=reason)) == expected
