"""Restarts of exporters: counters at zero, a frame or two missing, no fault."""

import numpy as np
import pytest

from tests.loadgen.recording import record

COUNTERS = ("ecc_sbe_total", "nvlink_errors_total", "pcie_replay_total")


@pytest.fixture(scope="module")
def restarted():
    return record("exporter-restart", gpus=128, hours=1.5, interval=10, seed=9)


def test_most_exporters_restart(restarted):
    """At least two thirds of the nodes, within a quarter of an hour."""
    nodes = [outage.node for outage in restarted.run.course.restarts]
    assert len(set(nodes)) >= 0.65 * restarted.run.course.layout.nodes


def test_counters_begin_again_at_zero(restarted):
    """After a restart each counter of the node's GPUs stands at zero or little above, and seq at 0."""
    for outage in restarted.run.course.restarts:
        for gpu in restarted.run.course.layout.gpus_of_node(outage.node):
            name = restarted.run.course.layout.gpu_id(gpu)
            for counter in COUNTERS:
                after = restarted.values(name, counter, outage.end + 25_000, outage.end + 60_000)
                assert after.max() <= 1
        source = f"node:n{outage.node + 1:04d}"
        seqs = [f.seq for f in restarted.frames if f.source == source and 0 <= f.ts - outage.end < 120_000]
        assert min(seqs) <= 3


def test_one_or_two_frames_are_missing(restarted):
    """No node is silent for longer."""
    for node in range(restarted.run.course.layout.nodes):
        ts, _ = restarted.series(f"gpu:n{node + 1:04d}/0", "xid")
        assert np.diff(ts).max() < 50_000


def test_gauges_do_not_notice(restarted):
    """Power and temperature go on as before."""
    outage = restarted.run.course.restarts[len(restarted.run.course.restarts) // 2]
    gpu = f"gpu:n{outage.node + 1:04d}/0"
    before = restarted.mean(gpu, "gpu_temp_celsius", outage.start - 600_000, outage.start)
    after = restarted.mean(gpu, "gpu_temp_celsius", outage.end, outage.end + 600_000)
    assert abs(before - after) < 4
