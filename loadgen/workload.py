"""What the jobs ask of the GPUs: activity, with the phases that the GPUs of a job share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.jobs import style_columns
from loadgen.layout import GPUS_PER_NODE
from loadgen.noise import AutoRegressive, daily, stream

if TYPE_CHECKING:
    from loadgen.course import Course
    from loadgen.noise import Bools, Floats, Ints

START_UP_S = 150.0
PEAK_HOUR = 15.0
SPIN_SHARE = 0.35  # of the activity stays while a GPU waits for a straggler: collectives spin


class Workload:
    """The jobs at one tick.

    job: of each node, -1 where idle. up: jobs that compute; since: when that last changed, ms. rate: of
    each job, 1 unless a straggler slows it down. waiting, writing: share of the interval that a job waits
    for data or writes a checkpoint. sm, dram: activity of each GPU, averaged over the interval. work: of
    each node, the share of full speed at which its job exchanges data. begun: nodes on which a job has just
    begun or restarted.
    """

    def __init__(self, course: Course) -> None:
        spec, layout, jobs = course.spec, course.layout, len(course.jobs)
        self._rng = stream(spec.seed, "workload")
        self._dt = float(spec.interval)
        self._turns, self._next = course.turns, 0
        self.style = style_columns(course.jobs)
        self.job: Ints = np.full(layout.nodes, -1)
        self._parallel: Bools = np.array([len(job.nodes) > 1 for job in course.jobs], bool)
        self.up: Bools = np.zeros(jobs, bool)
        self.since: Ints = np.zeros(jobs, np.int64)
        self.rate: Floats = np.ones(jobs)
        self.waiting: Floats = np.zeros(jobs)
        self.writing: Floats = np.zeros(jobs)
        self._wait_left: Floats = np.zeros(jobs)
        job_tau = self._rng.uniform(60, 400, jobs)
        self._job_noise = AutoRegressive(self._rng, (jobs,), self._dt, job_tau, 0.012)
        gpu_tau = self._rng.uniform(28, 195, (2, layout.gpus))
        self._gpu_noise = AutoRegressive(self._rng, (2, layout.gpus), self._dt, gpu_tau, 0.009, bursts=0.004)
        self._start = spec.start
        self.sm: Floats = np.zeros(layout.gpus)
        self.dram: Floats = np.zeros(layout.gpus)
        self.work: Floats = np.zeros(layout.nodes)
        self.begun: list[int] = []

    def step(self, ts: int, sampled: Ints, gpu_speed: Floats, net_speed: Floats) -> None:
        """Advance to the tick at `ts`.

        sampled: when each node samples, ms. gpu_speed, net_speed: of each node, 0 to 1: its slowest GPU, and
        its way to the others, which matters to jobs over several nodes.
        """
        self._turn(ts)
        busy = self.job >= 0
        job = np.maximum(self.job, 0)
        self.rate.fill(1.0)
        speed = gpu_speed * np.where(self._parallel[job], net_speed, 1.0)
        np.minimum.at(self.rate, job[busy], speed[busy])
        self._wait()
        at = (sampled - self._start) / 1000.0
        writing = np.where(busy, self._checkpoint_share(at, job), 0.0)
        self.writing.fill(0.0)
        np.maximum.at(self.writing, job, writing)
        loading = ts - self.since[job] < 1000 * START_UP_S
        share = (1 - 0.92 * writing) * (1 - 0.9 * self.waiting[job]) * np.where(loading, 0.15, 1.0)
        cycle = 1 + self.style["cycle"][job] * daily(ts, PEAK_HOUR)
        lag = np.minimum(1.0, self.rate[job] / np.maximum(speed, 1e-3))
        self.work = np.where(busy, share * cycle * self.rate[job], 0.0)
        share *= cycle * (1 + self._job_noise.step()[job]) * (SPIN_SHARE + (1 - SPIN_SHARE) * lag)
        self._activity(np.where(busy, share, 0.0), job)

    def _turn(self, ts: int) -> None:
        """Let jobs begin and cease."""
        self.begun = []
        while self._next < len(self._turns) and self._turns[self._next].ts <= ts:
            turn = self._turns[self._next]
            self.job[list(turn.nodes)] = turn.job if turn.up else -1
            self.up[turn.job] = turn.up
            self.since[turn.job] = turn.ts
            if turn.up and turn.ts >= self._start:
                self.begun += turn.nodes
            self._next += 1

    def _wait(self) -> None:
        """Let jobs wait for data: a Poisson process of waits of 15 s on average."""
        begins = self._rng.random(len(self.up)) < self._dt / self.style["wait_every_s"]
        count = int(begins.sum())
        if count:
            self._wait_left[begins] += self._rng.exponential(15.0, count)
        self.waiting = np.minimum(self._wait_left / self._dt, 1.0) * self.up
        self._wait_left = np.maximum(self._wait_left - self._dt, 0.0)

    def _checkpoint_share(self, at: Floats, job: Ints) -> Floats:
        """Return the share of the interval that ends at `at` (s) in which each node writes a checkpoint."""
        every, last = self.style["checkpoint_every_s"][job], self.style["checkpoint_s"][job]
        end = at + self.style["checkpoint_offset_s"][job]
        return (_written(end, every, last) - _written(end - self._dt, every, last)) / self._dt

    def _activity(self, share: Floats, job: Ints) -> None:
        noise = self._gpu_noise.step()
        level = np.repeat(self.style["sm"][job] * share, GPUS_PER_NODE)
        self.sm = np.clip(level * (1 + noise[0]), 0.0, 1.0)
        memory = np.repeat(self.style["dram"][job] * share, GPUS_PER_NODE)
        self.dram = np.clip(memory * (1 + 0.5 * noise[0] + noise[1]), 0.0, 1.0)


def _written(x: Floats, every: Floats, last: Floats) -> Floats:
    """Return the seconds of checkpoint writing until `x`, where each `every` seconds `last` are taken."""
    whole = np.floor(x / every)
    written: Floats = whole * last + np.minimum(x - whole * every, last)
    return written
