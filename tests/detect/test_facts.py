"""When a fact began."""

from pathlib import Path

import numpy as np
import pytest

from monitor.catalog import Catalog
from monitor.detect.facts import Facts
from monitor.detect.table import SeriesTable
from monitor.types import Panel, SeriesKey
from monitor.units import MINUTE

RULES = Path(__file__).parents[2] / "rules"
CATALOG = Catalog.parse((RULES / "metrics.yaml").read_text(), "", (RULES / "xid.yaml").read_text())


def since(metric, every, readings):
    """Return since when the first of eight GPUs shows a fact, in readings, the others being as it began."""
    table = SeriesTable([SeriesKey("gpu", f"gpu:n1/{i}", metric) for i in range(8)])
    facts = Facts(CATALOG)
    facts.resize(table, np.zeros(8, np.int64), np.empty(0, np.int64))
    for number, value in enumerate(readings):
        x = np.full(8, float(readings[0]))
        x[0] = value
        ts = number * every
        facts.step(Panel(ts, x, np.full(8, ts)), x, 5)
    assert facts.on.tolist() == [True] + [False] * 7
    return facts.signal(0, table, 8.0, 20.0).since / every


@pytest.mark.parametrize(
    ("metric", "every", "readings", "expected"),
    [
        ("gemm_tflops", 15 * MINUTE, [680, 681, 520, 518], 1),
        ("gemm_tflops", 15 * MINUTE, [680, 520, 681, 520, 518], 2),
        ("throttle_reasons", 10_000, [0, 0, 0x40, 0x40, 0x40], 1),
        ("xid", 10_000, [0, 0, 79], 2),
    ],
)
def test_what_takes_several_readings_began_after_the_last_clean_one(metric, every, readings, expected):
    """A benchmark that is slow twice was slow before the first time; an event is dated by itself."""
    assert since(metric, every, readings) == expected
