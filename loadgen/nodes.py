"""The frames of the nodes: what their GPUs' exporter says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadgen.conditions import GONE, PRESENT, XID_ONLY
from loadgen.frames import Channel, Clock, RowCache, item_list, metric_fields
from loadgen.gpu import COUNTERS, of_skus
from loadgen.layout import GPUS_PER_NODE, node_id
from loadgen.noise import stream

if TYPE_CHECKING:
    from loadgen.conditions import Conditions
    from loadgen.course import Course
    from loadgen.frames import Line
    from loadgen.gpu import Gpus
    from loadgen.noise import Bools, Floats, Ints
    from loadgen.workload import Workload

METRICS = (
    "gpu_temp_celsius",
    "hbm_temp_celsius",
    "power_watts",
    "sm_clock_mhz",
    "sm_active_ratio",
    "dram_active_ratio",
    "fb_used_bytes",
    "ecc_sbe_total",
    "ecc_dbe_total",
    "row_remap_pending",
    "xid",
    "nvlink_bandwidth_bytes",
    "nvlink_errors_total",
    "pcie_replay_total",
    "pcie_link_gen",
    "throttle_reasons",
)
NVLINK = METRICS.index("nvlink_bandwidth_bytes")
IDLE_MEMORY = 476_053_504
MIB = 1 << 20
_NO_NVLINK = b",".join([b"null"] * GPUS_PER_NODE)
_ITEMS = [str(i) for i in range(GPUS_PER_NODE)]


class NodeFrames:
    """Makes the gpu frames of all nodes."""

    def __init__(self, course: Course, load: Workload, gpus: Gpus, now: Conditions) -> None:
        spec, layout = course.spec, course.layout
        rng = stream(spec.seed, "nodes")
        sources = [node_id(node) for node in range(layout.nodes)]
        clock = Clock(rng, layout.nodes, spec.start, spec.interval_ms)
        items = [_ITEMS] * layout.nodes
        self.channel = Channel("gpu", sources, METRICS, clock, items=items, received=spec.received)
        self._rng, self._cache = rng, RowCache()
        self._load, self._gpus, self._now = load, gpus, now
        self._sku = layout.node_sku
        self._xids, self._next = course.xids, 0
        self._xid: Ints = np.zeros(layout.gpus, np.int64)
        self._xid_until: Ints = np.zeros(layout.gpus, np.int64)
        self._memory_jitter = rng.integers(-300, 300, layout.gpus) * MIB
        self._nvlink = np.repeat(of_skus("nvlink", layout.node_sku), GPUS_PER_NODE)
        self._memory = of_skus("memory", layout.node_sku)
        self._bench = 1 + 0.008 * rng.standard_normal((3, layout.gpus))
        self._pcie_gen = np.repeat(of_skus("pcie_gen", layout.node_sku), GPUS_PER_NODE).astype(np.int64)
        self._remaps = np.zeros(layout.gpus, np.int64)

    def lines(self, ts: int, sent: Ints, alive: Bools) -> list[Line]:
        """Return the frames of the tick at `ts`; a node on which a job begins is tested first."""
        self._log(ts)
        values = self._values()
        rows = [self._cache.rows(name, values[name].reshape(-1, GPUS_PER_NODE)) for name in METRICS]
        for node in np.flatnonzero(self._load.job < 0).tolist():
            rows[NVLINK][node] = _NO_NVLINK
        extra = {node: self._preflight(node) for node in self._load.begun}
        items: dict[int, bytes] = {}
        for gpu in np.flatnonzero(self._now.lost != PRESENT).tolist():
            self._hide(rows, items, gpu)
        return self.channel.lines(sent, rows, alive, items, extra)

    def reboot(self, node: int) -> None:
        """Forget the XIDs of a node's GPUs."""
        self._xid[node * GPUS_PER_NODE : (node + 1) * GPUS_PER_NODE] = 0

    def _log(self, ts: int) -> None:
        """Let XIDs appear and go."""
        self._xid[self._xid_until <= ts] = 0
        while self._next < len(self._xids) and self._xids[self._next].ts <= ts:
            event = self._xids[self._next]
            self._xid[event.gpu], self._xid_until[event.gpu] = event.code, event.until
            self._next += 1

    def _values(self) -> dict[str, Floats | Ints]:
        load, gpus = self._load, self._gpus
        return {
            **gpus.readings(),
            **dict(zip(COUNTERS, gpus.counters, strict=True)),
            "sm_active_ratio": np.round(load.sm, 3),
            "dram_active_ratio": np.round(load.dram, 3),
            "fb_used_bytes": self._memory_used(load),
            "row_remap_pending": self._remaps,
            "xid": self._xid,
            "nvlink_bandwidth_bytes": self._nvlink_used(load),
            "pcie_link_gen": self._pcie_gen,
        }

    def _memory_used(self, load: Workload) -> Ints:
        job = np.maximum(load.job, 0)
        held = (load.style["fb"][job] * self._memory).astype(np.int64) // MIB * MIB
        return np.where(
            np.repeat(load.job < 0, GPUS_PER_NODE),
            IDLE_MEMORY,
            np.repeat(held, GPUS_PER_NODE) + self._memory_jitter,
        )

    def _nvlink_used(self, load: Workload) -> Ints:
        """Return NVLink traffic: it follows the activity, to 100 MB/s."""
        job = np.maximum(load.job, 0)
        share = load.style["nvlink"][job] / np.maximum(load.style["sm"][job], 0.1)
        noise = 1 + 0.006 * self._rng.standard_normal(len(load.sm), dtype=np.float32)
        used = self._nvlink * np.repeat(share, GPUS_PER_NODE) * load.sm * self._gpus.speed * noise
        return 100_000_000 * (used / 1e8).astype(np.int64)

    def _preflight(self, node: int) -> bytes:
        """Return the micro-benchmarks that run before a job begins."""
        bench = self._bench[:, node * GPUS_PER_NODE : (node + 1) * GPUS_PER_NODE]
        bench = bench * (1 + 0.003 * self._rng.standard_normal(bench.shape))
        sku = self._sku[node : node + 1]
        gemm = np.round(of_skus("gemm", sku) * bench[0], 1)
        hbm = np.round(of_skus("hbm_bandwidth", sku) * bench[1], -8)
        ring = np.round(0.8 * of_skus("nvlink", sku) * bench[2], -8)
        return metric_fields(
            {
                "gemm_tflops": gemm.tolist(),
                "hbm_bandwidth_bytes": hbm.tolist(),
                "allreduce_bandwidth_bytes": ring.tolist(),
                "memory_test_failed": [0] * GPUS_PER_NODE,
            }
        )

    def _hide(self, rows: list[list[bytes]], items: dict[int, bytes], gpu: int) -> None:
        """Make a lost GPU null, all but its XID or throughout, or leave its item out."""
        node, item = divmod(gpu, GPUS_PER_NODE)
        how = int(self._now.lost[gpu])
        for name, row in zip(METRICS, rows, strict=True):
            values = msgspec.json.decode(b"[" + row[node] + b"]")
            if how == GONE:
                del values[item]
            elif not (how == XID_ONLY and name == "xid"):
                values[item] = None
            row[node] = msgspec.json.encode(values)[1:-1]
        if how == GONE:
            items[node] = item_list(_ITEMS[:item] + _ITEMS[item + 1 :])
