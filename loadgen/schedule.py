"""The scheduler: which job runs on which nodes when, as a discrete-event simulation.

The whole course is planned before any telemetry is made: jobs come and go, faults strike what is there
then, and the jobs they hit fail and restart on spares.
"""

from __future__ import annotations

import heapq
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loadgen.jobs import Job, draw_style
from loadgen.layout import GPUS_PER_NODE
from loadgen.noise import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loadgen.layout import Layout
    from loadgen.spec import Spec

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


class XidEvent(NamedTuple):
    """A GPU reports an XID from `ts`; the code stands until `until`."""

    ts: int
    gpu: int
    code: int
    until: int


class Outage(NamedTuple):
    """A node sends nothing from `start` until `end`; it comes back with its counters at zero."""

    start: int
    end: int
    node: int


class Scheduler:
    """The state of the hall at one time of the plan, and what was planned so far.

    strikes: how close earlier faults came to each node.
    """

    def __init__(self, spec: Spec, layout: Layout) -> None:
        self.spec = spec
        self.layout = layout
        self.rng = stream(spec.seed, f"schedule/{spec.scenario}")
        self.now = spec.start
        self.jobs: list[Job] = []
        self.xids: list[XidEvent] = []
        self.outages: list[Outage] = []
        self.strikes = np.zeros(layout.nodes, np.int64)
        self._holder = np.full(layout.nodes, -1)
        self._out = np.zeros(layout.nodes, np.int64)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._pushed = 0
        self._fill()

    def at(self, ts: int, action: Callable[[], None]) -> None:
        """Do `action` when the plan comes to `ts`."""
        heapq.heappush(self._events, (ts, self._pushed, action))
        self._pushed += 1

    def run(self) -> None:
        """Let everything happen until the end of the run."""
        while self._events and self._events[0][0] < self.spec.end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        for job in self._live():
            job.close(max(job.end, self.spec.end + 1))

    # What faults ask and do.

    def job_on(self, node: int) -> Job | None:
        """Return the job that holds a node now."""
        index = int(self._holder[node])
        return self.jobs[index] if index >= 0 else None

    def jobs_on(self, nodes: Iterable[int]) -> list[Job]:
        """Return the jobs that hold any of `nodes` now, in order."""
        held = {int(self._holder[node]) for node in nodes} - {-1}
        return [self.jobs[index] for index in sorted(held)]

    def busy(self, node: int) -> bool:
        """Tell whether the node computes now, and has for half an hour."""
        job = self.job_on(node)
        return job is not None and self._settled(job)

    def running_jobs(self) -> list[Job]:
        """Return the jobs that compute now, and have for half an hour."""
        return [job for job in self._live() if self._settled(job)]

    def idle_nodes(self) -> list[int]:
        """Return the nodes that no job holds and that are up."""
        return [int(node) for node in np.flatnonzero((self._holder < 0) & (self._out == 0))]

    def keep(self, jobs: Iterable[Job], until: int) -> None:
        """Let jobs live at least until `until`, so that what strikes them can be seen."""
        for job in jobs:
            job.end = max(job.end, until)

    def take_out(self, nodes: Iterable[int], until: int) -> None:
        """Let no job be placed on `nodes` until `until`."""
        nodes = list(nodes)
        self._out[nodes] += 1
        self.at(until, partial(self._bring_back, nodes))

    def silence(self, nodes: Iterable[int], until: int) -> None:
        """Take `nodes` out and let them send nothing until `until`."""
        nodes = list(nodes)
        self.outages += [Outage(self.now, until, node) for node in nodes]
        self.take_out(nodes, until + 5 * MINUTE_MS)

    def fail(self, job: Job, resume: int) -> None:
        """Let a job fail now; at `resume` it restarts, on spares for the nodes that are out."""
        job.downs.append((self.now, resume))
        self.keep([job], resume + HOUR_MS)
        self.at(resume, partial(self._restart, job))

    # Jobs come and go.

    def _live(self) -> list[Job]:
        return [self.jobs[index] for index in np.unique(self._holder) if index >= 0]

    def _settled(self, job: Job) -> bool:
        began = max([job.start, *(until for _, until in job.downs)])
        return began <= self.now - 30 * MINUTE_MS

    def _pool(self, sku: int) -> int:
        return int((self.layout.node_sku == sku).sum())

    def _free(self, sku: int) -> list[int]:
        return [node for node in self.idle_nodes() if self.layout.node_sku[node] == sku]

    def _reserve(self, sku: int) -> int:
        return max(1, round(0.05 * self._pool(sku)))

    def _fill(self) -> None:
        """Start with a full hall: one long job over a quarter of each pool, and others beside it."""
        for sku in sorted(set(self.layout.node_sku.tolist())):
            begun = self.now - int(self.rng.uniform(4, 40) * HOUR_MS)
            anchor = max(1, min(self._pool(sku) // 4, len(self._free(sku)) - 1))
            self._start(sku, anchor, begun, self.spec.end + HOUR_MS)
            while len(self._free(sku)) > self._reserve(sku):
                begun = self.now - int(self.rng.uniform(0.5, 24) * HOUR_MS)
                self._start(sku, self._draw_size(sku), begun, self.now + self._draw_rest())

    def _draw_size(self, sku: int) -> int:
        """Draw a size, uniform in powers of two up to a third of the pool, within what is free."""
        largest = max(1.0, self._pool(sku) / 3)
        size = 2 ** int(self.rng.integers(0, int(np.log2(largest)) + 1))
        return int(min(size, len(self._free(sku)) - self._reserve(sku)))

    def _draw_rest(self) -> int:
        return int(np.clip(self.rng.lognormal(np.log(10), 0.8), 1.5, 96) * HOUR_MS)

    def _start(self, sku: int, size: int, start: int, end: int) -> None:
        free = self._free(sku)
        nodes = tuple(sorted(self.rng.choice(free, min(size, len(free)), replace=False).tolist()))
        if not nodes:
            return
        index = len(self.jobs)
        name = f"{'train' if len(nodes) >= 4 else 'tune'}-{index + 1:03d}"
        style = draw_style(self.rng, len(nodes))
        queue_s = round(float(self.rng.lognormal(5.5, 1.0)), 1)
        job = Job(index, name, sku, style, start, end, queue_s, nodes, since=start)
        self.jobs.append(job)
        self._holder[list(nodes)] = index
        self.at(end, partial(self._finish, job))

    def _finish(self, job: Job) -> None:
        if job.end > self.now:
            self.at(job.end, partial(self._finish, job))
            return
        job.close(self.now)
        self._holder[self._holder == job.index] = -1
        gap = int(self.rng.uniform(2, 15) * MINUTE_MS)
        self.at(self.now + gap, partial(self._launch, job.sku))

    def _launch(self, sku: int) -> None:
        """Start new jobs until only the reserve is free."""
        while len(self._free(sku)) > self._reserve(sku):
            self._start(sku, self._draw_size(sku), self.now, self.now + self._draw_rest())

    def _restart(self, job: Job) -> None:
        left = [node for node in job.nodes if not self._out[node]]
        nodes = left + self._free(job.sku)[: len(job.nodes) - len(left)]
        if 2 * len(nodes) < len(job.nodes):
            resume = self.now + 10 * MINUTE_MS
            job.downs[-1] = (job.downs[-1][0], resume)
            self.keep([job], resume + HOUR_MS)
            self.at(resume, partial(self._restart, job))
            return
        self._holder[self._holder == job.index] = -1
        self._holder[nodes] = job.index
        job.move(self.now, tuple(sorted(nodes)))

    def _bring_back(self, nodes: list[int]) -> None:
        self._out[nodes] -= 1
        for sku in sorted({int(self.layout.node_sku[node]) for node in nodes}):
            self._launch(sku)


def gpus_of(nodes: Iterable[int]) -> list[int]:
    """Return the GPUs of some nodes."""
    return [node * GPUS_PER_NODE + i for node in nodes for i in range(GPUS_PER_NODE)]
