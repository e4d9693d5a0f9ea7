"""The frames of the jobs: progress, learning, failures, and the step time of each rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from loadgen.layout import GPUS_PER_NODE, SKUS
from loadgen.noise import AutoRegressive, stream
from loadgen.workload import START_UP_S

if TYPE_CHECKING:
    from loadgen.course import Course
    from loadgen.frames import Line
    from loadgen.gpu import Gpus
    from loadgen.jobs import Job
    from loadgen.noise import Floats
    from loadgen.workload import Workload

    Metrics = dict[str, list[float | None]]

FRAME_S = 30
RECOVERY_SHOWN_MS = 90_000
PACE, LOSS, GRADIENT = range(3)


class JobFrames:
    """Makes the job frames: one of the whole job each 30 s or interval, one of its ranks half as often."""

    def __init__(self, course: Course, load: Workload, gpus: Gpus) -> None:
        spec, jobs = course.spec, course.jobs
        rng = stream(spec.seed, "training")
        self._rng, self._spec, self._jobs = rng, spec, jobs
        self._load, self._gpus = load, gpus
        self._every = max(1, FRAME_S // spec.interval)
        self._offset = rng.integers(0, 2 * self._every, len(jobs))
        self._phase = np.sort(rng.uniform(0.05, 0.9, (2, len(jobs))), axis=0) * spec.interval_ms
        self._phase[1] += 0.05 * spec.interval_ms
        self._seq = np.zeros(len(jobs), np.int64)
        tau = rng.uniform(60, 300, (3, len(jobs)))
        sd = np.array([[0.008], [0.012], [0.15]])
        self._noise = AutoRegressive(rng, (3, len(jobs)), float(spec.interval), tau, sd, bursts=0.005)
        self._start = np.array([job.start for job in jobs])
        self._end = np.array([job.end for job in jobs])
        self._step_s: Floats = np.array([job.style.step_s for job in jobs])
        self._steps: Floats = 0.93 * np.maximum(0, spec.start - self._start) / 1000 / self._step_s
        self._waited: Floats = np.zeros(len(jobs))
        self._writing = np.zeros(len(jobs), bool)
        self._written = np.zeros(len(jobs), bool)
        self._lost = [self._draw_losses(job) for job in jobs]

    def _draw_losses(self, job: Job) -> list[float]:
        """Draw how long ago the last checkpoint was at each failure of a job, s."""
        ago: list[float] = (self._rng.random(len(job.downs)) * job.style.checkpoint_every_s).tolist()
        return ago

    def lines(self, tick: int, ts: int) -> list[Line]:
        """Advance to the tick at `ts` and return its frames."""
        self._advance(ts)
        live = np.flatnonzero((self._start <= ts) & (ts < self._end))
        turns = (tick + self._offset[live]) % (2 * self._every)
        out: list[Line] = []
        for index in live[turns % self._every == 0].tolist():
            out += self._send(index, ts, 0, self._whole(self._jobs[index], ts))
        for index in live[(turns == self._every // 2) & self._load.up[live]].tolist():
            out += self._send(index, ts, 1, self._ranks(self._jobs[index], ts))
        return out

    def _advance(self, ts: int) -> None:
        load, noise = self._load, self._noise.step()
        dt = float(self._spec.interval)
        writing = load.writing > 0
        self._written |= self._writing & ~writing
        self._writing = writing
        self._waited += load.waiting * dt
        computing = load.up & (ts - load.since >= 1000 * START_UP_S)
        useful = computing * (1 - load.writing) * (1 - load.waiting)
        self._steps += useful * load.rate * dt / (self._step_s * (1 + noise[PACE]))

    def _send(self, index: int, ts: int, phase: int, metrics: Metrics) -> list[Line]:
        """Return the frame of a job, none where it would come after the job's end."""
        jitter = float(np.clip(self._rng.normal(0, 0.002), -0.008, 0.008)) * self._spec.interval_ms
        stamp = ts + int(self._phase[phase, index] + jitter)
        arrival = stamp + 1 + int(self._rng.exponential(60.0))
        if stamp >= self._end[index]:
            return []
        job = self._jobs[index]
        self._seq[index] += 1
        frame: dict[str, object] = {
            "kind": "job",
            "ts": stamp,
            "source": job.id,
            "seq": int(self._seq[index]),
        }
        if phase == 1:
            frame["items"] = [str(i) for i in range(len(metrics["step_seconds"]))]
        frame["metrics"] = metrics
        if self._spec.received:
            frame["received"] = arrival
        return [(arrival, msgspec.json.encode(frame))]

    def _whole(self, job: Job, ts: int) -> Metrics:
        """Return the metrics of a job as a whole."""
        j, load = job.index, self._load
        computing = bool(load.up[j]) and ts - load.since[j] >= 1000 * START_UP_S
        step_s = job.style.step_s * (1 + float(self._noise.x[PACE, j])) / float(load.rate[j])
        written, self._written[j] = bool(self._written[j]), False
        waited, self._waited[j] = float(self._waited[j]), 0.0
        failures = sum(down <= ts for down, _ in job.downs)
        resumed = [(down, up) for down, up in job.downs if up <= ts]
        recovered = bool(resumed) and ts - resumed[-1][1] < RECOVERY_SHOWN_MS
        values: dict[str, float | None] = {
            "steps_total": int(self._steps[j]),
            "step_seconds": round(step_s, 3) if computing else None,
            "tokens_per_second": round(job.style.tokens / step_s) if computing else 0,
            "loss": self._loss(job) if computing else None,
            "grad_norm": self._grad_norm(j) if computing else None,
            "checkpoint_write_seconds": self._write_seconds(job) if written else None,
            "data_wait_seconds": round(waited + 0.2 * float(self._rng.random()), 2) if computing else None,
            "failures_total": failures,
            "restarts_total": len(resumed),
            "recovery_seconds": (resumed[-1][1] - resumed[-1][0]) / 1000 if recovered else None,
            "lost_seconds_total": round(sum(self._lost[j][:failures]), 1),
            "queue_wait_seconds": job.queue_s,
            "memory_used_bytes": int(job.style.fb * SKUS[job.sku].memory) if load.up[j] else 0,
        }
        return {name: [value] for name, value in values.items()}

    def _loss(self, job: Job) -> float:
        steps, noise = float(self._steps[job.index]), float(self._noise.x[LOSS, job.index])
        learnt: float = (1 + steps / 200) ** -0.08
        return round(job.style.loss * learnt * (1 + noise), 4)

    def _grad_norm(self, j: int) -> float:
        return round(0.8 * float(np.exp(self._noise.x[GRADIENT, j])), 4)

    def _write_seconds(self, job: Job) -> float:
        return round(job.style.checkpoint_s * (1 + 0.05 * float(self._rng.standard_normal())), 2)

    def _ranks(self, job: Job, ts: int) -> Metrics:
        """Return the step time of each rank: a straggler needs longest, the others wait for it in part."""
        nodes = np.array(job.nodes_at(ts))
        ranks = len(nodes) * GPUS_PER_NODE
        if ts - self._load.since[job.index] < 1000 * START_UP_S:
            return {"step_seconds": [None] * ranks}
        own = self._gpus.speed.reshape(-1, GPUS_PER_NODE)[nodes].ravel()
        pace = np.minimum(own, 1.0 - 0.5 * (1.0 - float(self._load.rate[job.index])))
        noise = 1 + 0.006 * self._rng.standard_normal(ranks)
        step_s = self._step_s[job.index] * (1 + float(self._noise.x[PACE, job.index])) * noise / pace
        return {"step_seconds": np.round(step_s, 3).tolist()}
