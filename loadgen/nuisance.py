"""What happens in a healthy hall: restarts of exporters, maintenance, errors of users' programs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from loadgen.faults.job import APPLICATION_XIDS
from loadgen.layout import node_id
from loadgen.noise import stream
from loadgen.schedule import MINUTE_MS, Outage, XidEvent, gpus_of
from loadgen.spec import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from loadgen.schedule import Scheduler
    from loadgen.spec import Spec

RESTARTS_PER_NODE_HOUR = 1 / 240
DRAINS_PER_NODE_HOUR = 1 / 1500
PROGRAM_ERRORS_PER_HOUR = 0.25
MASS_RESTART_SHARE = 0.7


class Maintenance(NamedTuple):
    """A node is drained as announced, from `start` until `end` (ms)."""

    start: int
    end: int
    node: str
    version: str

    def frame(self, received: int | None) -> bytes:
        """Return the change frame that announces it."""
        frame: dict[str, object] = {
            "kind": "change",
            "ts": self.start,
            "source": self.node,
            "change": "maintenance",
            "version": self.version,
            "summary": "drained for new firmware, one reboot",
            "until": self.end,
        }
        return msgspec.json.encode(frame if received is None else {**frame, "received": received})


def plan_restarts(spec: Spec, nodes: int) -> list[Outage]:
    """Return the restarts of node exporters: one or two frames are missing, the counters begin at zero."""
    rng = stream(spec.seed, "restarts")
    hours = (spec.end - spec.start) / HOUR_MS
    times = [(int(node), _within(rng, spec)) for node in _often(rng, nodes, RESTARTS_PER_NODE_HOUR * hours)]
    if spec.plot.restarts:
        healthy = min(spec.plot.healthy_hours * HOUR_MS, 0.5 * (spec.end - spec.start))
        wave = spec.start + round(healthy + rng.uniform(0, 20) * MINUTE_MS)
        struck = rng.choice(nodes, max(1, round(MASS_RESTART_SHARE * nodes)), replace=False)
        times += [(int(node), wave + round(rng.uniform(0, 10 * MINUTE_MS))) for node in struck]
    missing = rng.integers(1, 3, len(times)) * spec.interval_ms
    return [Outage(ts, ts + int(gone), node) for (node, ts), gone in zip(times, missing, strict=True)]


def plan_maintenance(hall: Scheduler, announced: list[Maintenance]) -> None:
    """Let idle nodes be drained and rebooted now and then; what was announced is added to `announced`."""
    rng = stream(hall.spec.seed, "maintenance")
    hours = (hall.spec.end - hall.spec.start) / HOUR_MS
    for _ in range(rng.poisson(DRAINS_PER_NODE_HOUR * hours * hall.layout.nodes)):
        hall.at(_within(rng, hall.spec), partial(_drain, hall, announced, float(rng.random())))


def plan_program_errors(hall: Scheduler) -> None:
    """Let programs of small jobs fail on one GPU now and then: XID 13, 31 or 43, and the job goes on."""
    rng = stream(hall.spec.seed, "programs")
    hours = (hall.spec.end - hall.spec.start) / HOUR_MS
    for _ in range(rng.poisson(PROGRAM_ERRORS_PER_HOUR * hours)):
        hall.at(_within(rng, hall.spec), partial(_program_error, hall, rng.random(3).tolist()))


def _within(rng: np.random.Generator, spec: Spec) -> int:
    return int(rng.integers(spec.start + spec.interval_ms, spec.end))


def _often(rng: np.random.Generator, parts: int, mean: float) -> Iterator[int]:
    for part, count in enumerate(rng.poisson(mean, parts)):
        yield from [part] * int(count)


def _drain(hall: Scheduler, announced: list[Maintenance], roll: float) -> None:
    idle = hall.idle_nodes()
    if not idle:
        return
    node = idle[int(roll * len(idle))]
    end = hall.now + 30 * MINUTE_MS
    announced.append(Maintenance(hall.now, end, node_id(node), "firmware-96.00.9F"))
    hall.outages.append(Outage(hall.now + 4 * MINUTE_MS, hall.now + 14 * MINUTE_MS, node))
    hall.take_out([node], end)


def _program_error(hall: Scheduler, rolls: list[float]) -> None:
    which, where, code = rolls
    small = [job for job in hall.running_jobs() if len(job.nodes) < 4]
    if not small:
        return
    gpus = gpus_of(small[int(which * len(small))].nodes)
    gpu = gpus[int(where * len(gpus))]
    xid = APPLICATION_XIDS[int(code * len(APPLICATION_XIDS))]
    hall.xids.append(XidEvent(hall.now, gpu, xid, hall.now + round((5 + 55 * code) * MINUTE_MS)))
