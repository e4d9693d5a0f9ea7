"""docs/rules.md against the code: the words that a rules file may hold are in it, its examples are rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from monitor.catalog import (
    FAMILIES,
    FRAME_KINDS,
    PEER_WORDS,
    SILENCE,
    Alias,
    BadDirection,
    Catalog,
    Metric,
    MetricType,
    Unit,
    XidCode,
    XidFamily,
)
from monitor.correlate.faults import DEFAULT_Q, FaultBook, FaultKind, Gathering, Paging, Relation, Role, Term
from monitor.topology import KINDS
from monitor.types import SEVERITIES, IncidentClass

MANUAL = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
RECORDS = (Metric, Alias, XidCode, Gathering, FaultKind, Term)
KEYS = [f for record in RECORDS for f in record.__struct_fields__ if f not in {"kind", "code"}]


WORDS = {
    "kinds": FRAME_KINDS,
    "families": (*FAMILIES, SILENCE, *get_args(XidFamily)),
    "units": get_args(Unit),
    "peers": PEER_WORDS,
    "types": get_args(MetricType),
    "directions": get_args(BadDirection),
    "severities": SEVERITIES,
    "keys": KEYS,
    "relations": get_args(Relation),
    "roles": get_args(Role),
    "entities": sorted(KINDS),
    "pagings": get_args(Paging),
    "classes": get_args(IncidentClass),
}


@pytest.mark.parametrize("words", list(WORDS.values()), ids=list(WORDS))
def test_every_word_is_in_the_manual(words):
    """Kinds, families, units, peers, types, directions, severities and keys are listed."""
    missing = [w for w in words if not re.search(rf"[`\s{{]{re.escape(w)}[`:]", MANUAL)]
    assert missing == []


def test_the_manuals_examples_are_rules():
    """What the manual shows can be copied."""
    metrics, codes, faults = EXAMPLES
    catalog = Catalog.parse(metrics, "docs/rules.md", codes)
    assert catalog.resolve("gpu", "my_exporter_temp_millicelsius")[1] == 0.001
    assert catalog.xid[79].hard
    (fault,) = FaultBook.parse(faults, "docs/rules.md").faults
    assert [term.role for term in fault.footprint] == ["core", "expected", "side", "side"]


@pytest.mark.parametrize("record", [FaultKind, Term], ids=["kind", "term"])
def test_every_key_of_a_fault_kind_has_its_row(record):
    """Its section says what each key means, which are needed, and what the others default to."""
    section = MANUAL.partition("## faults.yaml")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"\| `(\w+)` \| (.*?) \|", section))
    fields = [field for field in msgspec.structs.fields(record) if field.name != "name"]
    assert {field.name for field in fields} <= rows.keys()
    assert {field.name for field in fields if field.required} <= {
        k for k, needed in rows.items() if needed == "yes"
    }
    defaults = {field.name: field.default for field in fields}
    for key, told in (("change_nats", "{:g}"), ("change_fade", "`{}`")):
        assert key not in defaults or f"Default {told.format(defaults[key])} |" in section
    assert "q" not in defaults or f"Default {', '.join(map(str, DEFAULT_Q))} |" in section


def test_records_are_immutable():
    """A catalogue is shared by all stages."""
    metric = Metric("gpu", "a", "gauge", "ratio", "up", "heat")
    with pytest.raises(AttributeError):
        metric.low = 3
    assert msgspec.structs.replace(metric, low=3.0) != metric
