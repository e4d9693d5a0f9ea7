"""A fleet to put faults into: halls in the contract's shape, and timelines of signals over it."""

import json
from pathlib import Path

import numpy as np

from monitor.config.settings import Settings
from monitor.correlate import CorrelateStage, FaultBook, Observation
from monitor.topology import Topology
from monitor.types import Signal

TICK = 10_000
T0 = 1_795_500_000_000
RULES = Path(__file__).parents[2] / "rules" / "faults.yaml"
BOOK = FaultBook.parse(RULES.read_text())

# Families that the entities of a kind are measured and judged in.
MEASURED = {
    "gpu": "heat power clock activity throttle memory_errors hardware application interconnect benchmark",
    "port": "fabric congestion throughput_net",
    "cdu": "coolant_flow coolant_heat",
    "chiller": "coolant_heat",
    "rack": "air facility_power",
    "pdu": "facility_power",
    "job": "progress learning failures checkpoint",
}
SOURCES = {"gpu", "node", "port", "switch", "cdu", "chiller", "rack", "pdu", "job"}


def entity(name, parent=None, owner=None, depends_on=()):
    """Return one topology line."""
    fields = {"id": name, "parent": parent, "owner": owner, "depends_on": list(depends_on)}
    return {key: value for key, value in fields.items() if value}


def hall(nodes=32, per_rack=4, racks_per_cdu=2, gpus=8, jobs=(), ports=True):
    """Return the lines of a hall; `jobs` are (name, node numbers)."""
    racks = range(-(-nodes // per_rack))
    lines = [
        entity("facility:dc1", owner="facilities"),
        entity("row:row1", "facility:dc1", "facilities"),
        entity("chiller:ch1", "facility:dc1", "facilities"),
        entity("fabric:ib1", owner="network"),
        entity("switch:spine01", "fabric:ib1", "network"),
    ]
    lines += [
        entity(f"cdu:c{c:02d}", "facility:dc1", "facilities", ["chiller:ch1"])
        for c in range(-(-len(racks) // racks_per_cdu))
    ]
    for r in racks:
        supply = [f"cdu:c{r // racks_per_cdu:02d}", f"pdu:p{r:03d}"]
        lines += [
            entity(f"pdu:p{r:03d}", "row:row1", "facilities"),
            entity(f"rack:r{r:03d}", "row:row1", "facilities", supply),
            entity(f"switch:leaf{r:02d}", "fabric:ib1", "network", ["switch:spine01"]),
        ]
    for n in range(nodes):
        leaf, port = f"switch:leaf{n // per_rack:02d}", f"port:leaf{n // per_rack:02d}/{n % per_rack}"
        wires = [leaf, port] if ports else [leaf]
        lines += [entity(f"node:n{n:04d}", f"rack:r{n // per_rack:03d}", "platform", wires)]
        lines += [entity(port, leaf, "network")] * ports
        lines += [entity(f"gpu:n{n:04d}/{g}", f"node:n{n:04d}") for g in range(gpus)]
    members = {name: [f"node:n{n:04d}" for n in numbers] for name, numbers in jobs}
    return lines + [entity(f"job:{name}", None, "training", nodes) for name, nodes in members.items()]


def graph_of(lines):
    """Return the graph of topology lines."""
    return Topology.parse([json.dumps(line) for line in lines]).at(T0)


def gpus_of(*nodes, count=8):
    """Return the GPUs of nodes, by number."""
    return [f"gpu:n{n:04d}/{g}" for n in nodes for g in range(count)]


def signal(entity, family, at, **fields):
    """Return a signal that stands since `at`, a tick number; at page level unless told otherwise."""
    values = {
        "metric": family,
        "detector": "shift",
        "reason": f"{family}_off",
        "direction": "none",
        "since": T0 + at * TICK,
        "raised_at": T0 + (at + 1) * TICK,
        "value": None,
        "expected": None,
        "lower": None,
        "upper": None,
        "score": 30.0,
        "page": True,
        "hard": False,
    }
    return Signal(entity=entity, family=family, **{**values, **fields})


def hot(entities, family, at, direction="up", **fields):
    """Return one signal for each entity."""
    return [signal(entity, family, at, direction=direction, **fields) for entity in entities]


def silent(entities, at, **fields):
    """Return the silences of entities whose last sign of life was in tick `at`."""
    since = {"since": T0 + at * TICK, "raised_at": T0 + (at + 3) * TICK, "detector": "absence"}
    return [
        signal(entity, "silence", at, **{"hard": True, "reason": "silent", **since, **fields})
        for entity in entities
    ]


class World:
    """A stage over a graph, fed tick by tick with the signals that stand."""

    def __init__(self, lines=None, settings=None, stage=None):
        self.graph = graph_of(lines if lines is not None else hall())
        self.settings = settings or Settings()
        self.stage = stage or CorrelateStage(BOOK, self.settings)
        self.tick = 0
        self.lines = []

    def judged(self):
        kinds = np.array(self.graph.kinds)
        families = sorted({family for text in MEASURED.values() for family in text.split()})
        return {
            family: np.isin(kinds, [kind for kind, text in MEASURED.items() if family in text.split()])
            for family in families
        }

    def observation(self, signals=(), changes=(), commands=()):
        reporting = np.isin(np.array(self.graph.kinds), sorted(SOURCES))
        return Observation(
            T0 + (self.tick + 1) * TICK,
            tuple(signals),
            self.judged(),
            reporting,
            tuple(changes),
            tuple(commands),
        )

    def step(self, signals=(), changes=(), commands=(), ticks=1):
        """Let signals stand for some ticks; return the lines that this made."""
        made = []
        for number in range(ticks):
            first = number == 0
            observation = self.observation(signals, changes if first else (), commands if first else ())
            made += self.stage.step(observation, self.graph).incidents
            self.tick += 1
        self.lines += made
        return made

    def last(self):
        """Return how each incident stands: its last line, by (id, episode)."""
        return {(line.id, line.episode): line for line in self.lines}

    def paged(self):
        """Return the incidents that paged and were not merged, as they stand."""
        return [line for line in self.last().values() if line.pages and line.state != "merged"]

    def causes(self):
        """Return the causes of those that paged, sorted."""
        return sorted(line.cause.entity for line in self.paged())
