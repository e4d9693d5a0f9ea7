"""The shipped XID table: which codes are known, how grave they are, which page by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.catalog import Catalog

RULES = Path(__file__).parents[2] / "rules"
XID = Catalog.parse("", xid_text=(RULES / "xid.yaml").read_text()).xid


def test_all_codes_of_nvidias_catalogue_are_there():
    """No code between 1 and 172 is unknown."""
    assert list(XID) == list(range(1, 173))
    assert [code for code, entry in XID.items() if not entry.action or not entry.description] == []


@pytest.mark.parametrize("code", [13, 31, 43, 44, 45, 68, 69, 94, 109])
def test_what_a_program_can_cause_never_pages_by_itself(code):
    """A crashing job logs these on all its GPUs; each alone is evidence, no fact about hardware."""
    assert not XID[code].hard


@pytest.mark.parametrize("code", [13, 31, 43, 45, 68, 69, 109])
def test_application_codes_are_of_their_own_family(code):
    """Correlation tells a faulty program from a faulty GPU by the family."""
    assert XID[code].family == "application"


@pytest.mark.parametrize("code", [46, 48, 62, 64, 79, 95, 119, 120, 140, 143, 158])
def test_a_gpu_that_is_lost_until_somebody_acts_pages_by_itself(code):
    """These need a reset, a restart or a replacement whatever else happens."""
    assert (XID[code].hard, XID[code].severity) == (True, "critical")


@pytest.mark.parametrize(
    ("code", "severity", "family"),
    [
        (13, "info", "application"),
        (31, "info", "application"),
        (43, "info", "application"),
        (48, "critical", "memory_errors"),
        (63, "warning", "memory_errors"),
        (64, "critical", "memory_errors"),
        (74, "error", "interconnect"),
        (79, "critical", "hardware"),
        (92, "warning", "memory_errors"),
        (94, "error", "memory_errors"),
        (95, "critical", "memory_errors"),
        (121, "warning", "interconnect"),
        (136, "error", "interconnect"),
        (144, "error", "interconnect"),
        (154, "warning", "hardware"),
    ],
)
def test_severities_and_families(code, severity, family):
    """A row remap is a ticket, a double-bit error is critical, a link is the interconnect's."""
    assert (XID[code].severity, XID[code].family) == (severity, family)


def test_codes_that_page_are_grave():
    """What pages by itself is critical or an error."""
    assert {entry.severity for entry in XID.values() if entry.hard} == {"critical", "error"}
