"""Groups when series appear that are nobody's members."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from monitor.aggregate.groups import eligible, find_groups
from monitor.catalog import Catalog
from monitor.detect.table import SeriesTable
from monitor.topology import Topology
from monitor.types import SeriesKey

CATALOG = Catalog.parse((Path(__file__).parents[2] / "rules/metrics.yaml").read_text())
METRICS = ("gpu_temp_celsius", "power_watts", "xid")


def test_groups_over_a_table_with_more_series_are_those_found_anew() -> None:
    """Series of jobs and codes move the members and change nothing else."""
    nodes = [f"n{i}" for i in range(6)]
    lines = [{"id": "rack:r1"}, *({"id": f"node:{n}", "parent": "rack:r1"} for n in nodes)]
    lines += [{"id": f"gpu:{n}/{i}", "parent": f"node:{n}"} for n in nodes for i in range(4)]
    graph = Topology.parse([json.dumps(line) for line in lines]).at(0)
    gpus = [f"gpu:{n}/{i}" for n in nodes for i in range(4)]
    table = SeriesTable(SeriesKey("gpu", gpu, metric) for gpu in gpus for metric in METRICS)
    before = find_groups(table, graph, CATALOG)
    able = eligible(table, CATALOG).sum()
    moved = table.merge([SeriesKey("facility", "rack:r1", "power_kw"), SeriesKey("gpu", "node:n1", "xid")])
    assert moved is not None
    assert eligible(table, CATALOG).sum() == able == 48
    carried, found = before.moved(moved, len(table)), find_groups(table, graph, CATALOG)
    assert (carried.names, carried.pools) == (found.names, found.pools)
    assert len(found.names) == 14
    np.testing.assert_array_equal(carried.pool, found.pool)
    np.testing.assert_array_equal(carried.members.toarray(), found.members.toarray())
