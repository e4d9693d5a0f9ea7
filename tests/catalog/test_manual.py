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
from monitor.types import SEVERITIES

MANUAL = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
KEYS = [
    f for record in (Metric, Alias, XidCode) for f in record.__struct_fields__ if f not in {"kind", "code"}
]


WORDS = {
    "kinds": FRAME_KINDS,
    "families": (*FAMILIES, SILENCE, *get_args(XidFamily)),
    "units": get_args(Unit),
    "peers": PEER_WORDS,
    "types": get_args(MetricType),
    "directions": get_args(BadDirection),
    "severities": SEVERITIES,
    "keys": KEYS,
}


@pytest.mark.parametrize("words", list(WORDS.values()), ids=list(WORDS))
def test_every_word_is_in_the_manual(words):
    """Kinds, families, units, peers, types, directions, severities and keys are listed."""
    missing = [w for w in words if not re.search(rf"[`\s{{]{re.escape(w)}[`:]", MANUAL)]
    assert missing == []


def test_the_manuals_examples_are_rules():
    """What the manual shows can be copied."""
    metrics, codes = EXAMPLES
    catalog = Catalog.parse(metrics, "docs/rules.md", codes)
    assert catalog.resolve("gpu", "my_exporter_temp_millicelsius")[1] == 0.001
    assert catalog.xid[79].hard


def test_records_are_immutable():
    """A catalogue is shared by all stages."""
    metric = Metric("gpu", "a", "gauge", "ratio", "up", "heat")
    with pytest.raises(AttributeError):
        metric.low = 3
    assert msgspec.structs.replace(metric, low=3.0) != metric
