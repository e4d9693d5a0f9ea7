"""Faults of a job itself, with nothing wrong below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from loadgen.faults.base import Fault, gpu_ids, job_side_effects, node_ids
from loadgen.schedule import XidEvent, gpus_of
from loadgen.spec import SpecError

if TYPE_CHECKING:
    from loadgen.jobs import Job
    from loadgen.schedule import Scheduler

CHANNEL_REMOVED = 45
APPLICATION_XIDS = (13, 31, 43)


def _racks(hall: Scheduler, job: Job) -> int:
    return len({int(hall.layout.node_rack[node]) for node in job.nodes})


@dataclass(slots=True)
class JobCrash(Fault):
    """One rank's program fails, the whole job is torn down: XID 45 on nearly all its nodes."""

    kind: ClassVar[str] = "job-crash"

    def strike(self, hall: Scheduler) -> None:
        """Strike a job over several racks; it restarts on the same nodes at the end."""
        jobs = [job for job in hall.running_jobs() if len(job.nodes) >= 2]
        if not jobs:
            raise SpecError("the fleet is too small for this scenario: no job runs on two nodes or more")
        widest = max(_racks(hall, job) for job in jobs)
        jobs = [job for job in jobs if 2 * _racks(hall, job) >= widest]
        job = jobs[int(hall.rng.integers(len(jobs)))]
        self._log_xids(hall, job)
        shown = [*node_ids(job.nodes), *gpu_ids(hall.layout, job.nodes)]
        self.blame(job.id, shown, job_side_effects(hall.layout, [job]))
        hall.fail(job, self.end)

    def _log_xids(self, hall: Scheduler, job: Job) -> None:
        """Let one rank log an application error, then 88 to 100 % of the GPUs a removed channel."""
        gpus = gpus_of(job.nodes)
        first = gpus[int(self.rolls[0] * len(gpus))]
        code = APPLICATION_XIDS[int(self.rolls[1] * len(APPLICATION_XIDS))]
        hall.xids.append(XidEvent(self.start, first, code, self.end))
        share = self.between(0.88, 1.0)
        for gpu in gpus:
            late = self.start + round(hall.rng.uniform(1_000, 25_000))
            if gpu != first and hall.rng.random() < share:
                hall.xids.append(XidEvent(late, gpu, CHANNEL_REMOVED, self.end))
