"""A run: the plan, and the simulation that turns it into frames tick by tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.conditions import Conditions
from loadgen.course import plan
from loadgen.facility import Facility
from loadgen.frames import Recorder
from loadgen.gpu import Gpus
from loadgen.layout import GPUS_PER_NODE
from loadgen.network import Ports
from loadgen.nodes import NodeFrames
from loadgen.plant import FacilityFrames, SwitchFrames
from loadgen.schedule import gpus_of
from loadgen.topology import topology_lines
from loadgen.training import JobFrames
from loadgen.truth import truth
from loadgen.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadgen.course import Course
    from loadgen.frames import Line
    from loadgen.noise import Bools, Floats, Ints
    from loadgen.schedule import Outage
    from loadgen.spec import Spec


class Run:
    """What `loadgen.simulate` returns: the topology, the truth, and the frames as often as they are read."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.course = plan(spec)

    def topology_lines(self) -> list[bytes]:
        """Return the lines of topology.ndjson, without line ends."""
        return list(topology_lines(self.course))

    def truth(self) -> dict[str, object]:
        """Return what truth.json holds."""
        return truth(self.course)

    def frames(self) -> Iterator[bytes]:
        """Yield the frames in the order in which a recorder would write them, without line ends."""
        for lines in self.ticks():
            yield from lines

    def ticks(self) -> Iterator[list[bytes]]:
        """Yield the frames that arrive in each tick of the run; the last list holds the stragglers."""
        simulation = Simulation(self.course)
        for tick in range(self.spec.ticks):
            yield simulation.step(tick)
        yield simulation.recorder.rest()


class Absences:
    """Which nodes send nothing, and which have just come back."""

    def __init__(self, outages: list[Outage], nodes: int) -> None:
        self._outages, self._next = outages, 0
        self._active: list[Outage] = []
        self.absent: Bools = np.zeros(nodes, bool)

    def step(self, sent: Ints) -> list[int]:
        """Judge each node at the time it would send; return the nodes that came back."""
        latest = int(sent.max())
        while self._next < len(self._outages) and self._outages[self._next].start <= latest:
            self._active.append(self._outages[self._next])
            self._next += 1
        over = [outage.node for outage in self._active if outage.end <= sent[outage.node]]
        self._active = [outage for outage in self._active if outage.end > sent[outage.node]]
        self.absent.fill(False)
        self.absent[[o.node for o in self._active if o.start <= sent[o.node]]] = True
        return [node for node in over if not self.absent[node]]


class Simulation:
    """The hall in motion."""

    def __init__(self, course: Course) -> None:
        nodes = course.layout.nodes
        self._course = course
        self._now = Conditions(course.layout)
        self._load = Workload(course)
        self._gpus = Gpus(course)
        self._ports = Ports(course)
        self._facility = Facility(course)
        self._nodes = NodeFrames(course, self._load, self._gpus, self._now)
        self._switches = SwitchFrames(course, self._ports)
        self._building = FacilityFrames(course, self._facility)
        self._jobs = JobFrames(course, self._load, self._gpus)
        self._down, self._restarting = Absences(course.outages, nodes), Absences(course.restarts, nodes)
        self.recorder = Recorder()

    def step(self, tick: int) -> list[bytes]:
        """Advance one tick; return the frames that arrived in it, in order."""
        ts = self._course.spec.start + tick * self._course.spec.interval_ms
        sent = self._nodes.channel.clock.sent(tick)
        self._advance(ts, sent)
        alive = ~(self._down.absent | self._restarting.absent)
        lines = self._nodes.lines(ts, sent, alive)
        lines += self._switches.lines(tick)
        lines += self._building.lines(tick)
        lines += self._jobs.lines(tick, ts)
        lines += self._announcements(ts)
        return self.recorder.take(lines, ts + self._course.spec.interval_ms)

    def _advance(self, ts: int, sent: Ints) -> None:
        """Let the physics of one tick happen: faults, load, GPUs, network, building."""
        self._press(ts)
        self._come_and_go(sent)
        gpus, facility, down = self._gpus, self._facility, self._down.absent
        node_speed = gpus.speed.reshape(-1, GPUS_PER_NODE).min(axis=1)
        self._load.step(ts, sent, node_speed, self._now.net_speed)
        if ts == self._course.spec.start:
            self._settle()
        gpus.step(self._load, facility.coolant, facility.flow, down, self._now)
        self._ports.step(self._load, down, self._now)
        facility.step(ts, self._node_kw(), down, self._now)

    def _press(self, ts: int) -> None:
        self._now.heal()
        for fault in self._course.faults:
            if fault.start <= ts < fault.end:
                fault.press(ts, self._now)

    def _come_and_go(self, sent: Ints) -> None:
        """Let nodes fall silent and return: after a reboot no XID stands, counters begin at zero."""
        rebooted, restarted = self._down.step(sent), self._restarting.step(sent)
        for node in rebooted:
            self._nodes.reboot(node)
        back = sorted({*rebooted, *restarted})
        if back:
            self._gpus.restart(gpus_of(back))
            self._nodes.channel.restart(back)

    def _settle(self) -> None:
        """Begin in equilibrium: nothing warms up because the simulation began."""
        self._gpus.settle(self._load, self._facility.coolant)
        self._facility.settle(self._node_kw())
        self._gpus.settle(self._load, self._facility.coolant)

    def _node_kw(self) -> Floats:
        watts = self._gpus.power.reshape(-1, GPUS_PER_NODE).sum(axis=1)
        kw: Floats = watts / 1000.0
        return kw

    def _announcements(self, ts: int) -> list[Line]:
        """Return the change frames of maintenance that is announced in this tick."""
        spec, out = self._course.spec, []
        for work in self._course.maintenance:
            if ts <= work.start < ts + spec.interval_ms:
                arrival = work.start + 40
                out.append((arrival, work.frame(arrival if spec.received else None)))
        return out
