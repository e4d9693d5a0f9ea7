"""What to simulate: the specification of a run, and the scenarios by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

HOUR_MS = 3_600_000
DEFAULT_START = 1_795_500_000_000  # 2026-11-24 06:00 UTC

FAULTS = {
    "gpu-fan": "one GPU is no longer cooled well: it and its memory heat up over minutes",
    "node-cooling": "all 8 GPUs of one node heat up together",
    "cdu-flow": "the coolant flow of one CDU falls: the return warms, all its racks heat",
    "node-crash": "one node falls silent; its job fails and restarts on a spare",
    "rack-power": "one rack loses power: its nodes fall silent, its jobs fail",
    "gpu-lost": "one GPU falls off the bus (XID 79); its job fails and restarts elsewhere",
    "leaf-switch": "a leaf switch fails slowly: symbol errors, retries, links going down",
    "job-crash": "one job crashes: XID 45 on nearly all its nodes, in several racks",
}
"""Every kind of fault, and what it does; each is a scenario by itself."""

EIGHT = (
    "gpu-fan",
    "node-cooling",
    "cdu-flow",
    "node-crash",
    "rack-power",
    "gpu-lost",
    "leaf-switch",
    "job-crash",
)
"""The kinds of fault in `all` and `shift`, whose recordings a further kind must not change."""


class SpecError(ValueError):
    """A specification that cannot be simulated; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named course of events.

    `faults` are the kinds of fault that strike. `hours` is how long the run takes unless told otherwise,
    `healthy_hours` how long it is healthy first. `gap` and `duration` are ranges in minutes. `together`
    makes all faults strike within a minute of each other. `overlapping` counts gaps from the start of the
    fault before, so that several are on at once.
    """

    name: str
    about: str
    faults: tuple[str, ...] = ()
    hours: float = 6.0
    healthy_hours: float = 3.0
    gap: tuple[float, float] = (60.0, 180.0)
    duration: tuple[float, float] = (30.0, 120.0)
    nodes_per_rack: int = 8
    together: bool = False
    overlapping: bool = False
    restarts: bool = False


def _scenarios() -> dict[str, Scenario]:
    listed = [
        Scenario("clean", "healthy telemetry with job churn; nothing is wrong", hours=48.0),
        Scenario("all", "two days with all eight kinds of fault, apart in place and time", EIGHT, 48.0),
        Scenario(
            "shift",
            "three hours of a large hall with all eight kinds of fault, several at once, apart in place",
            EIGHT,
            hours=3.0,
            healthy_hours=1.2,
            gap=(6.0, 10.0),
            duration=(15.0, 30.0),
            overlapping=True,
        ),
        *(Scenario(kind, about, (kind,)) for kind, about in FAULTS.items()),
        Scenario(
            "two-racks",
            "two unrelated racks under one chiller lose power within a minute",
            ("rack-power", "rack-power"),
            together=True,
        ),
        Scenario(
            "exporter-restart", "most exporters restart, counters fall to zero; no fault", restarts=True
        ),
        Scenario(
            "mini",
            "a small fleet and a few short faults, for fast tests",
            ("gpu-fan", "gpu-lost", "node-crash", "cdu-flow"),
            hours=6.0,
            gap=(15.0, 25.0),
            duration=(15.0, 25.0),
            nodes_per_rack=2,
        ),
    ]
    return {scenario.name: scenario for scenario in listed}


SCENARIOS = _scenarios()


@dataclass(frozen=True, slots=True)
class Spec:
    """A run to simulate. The same specification gives the same bytes.

    gpus: a multiple of 8. models: accepted for later, nothing is made of it yet. hours: None takes the
    scenario's own. interval: seconds between two frames of a source. received: whether frames carry
    `received`, the time a recorder took them in. start: event time of the first tick, ms.
    """

    scenario: str = "all"
    gpus: int = 512
    models: int = 0
    seed: int = 1
    hours: float | None = None
    interval: int = 10
    received: bool = False
    start: int = DEFAULT_START

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise SpecError(f"no scenario `{self.scenario}`: choose one of {', '.join(SCENARIOS)}")
        if self.gpus < 8 or self.gpus % 8 != 0:
            raise SpecError(f"{self.gpus} GPUs do not fill nodes of 8: choose a multiple of 8")
        if not 1 <= self.interval <= 300:
            raise SpecError(f"an interval of {self.interval} s is outside 1 to 300 s")
        if self.hours is not None and not (math.isfinite(self.hours) and self.hours > 0):
            raise SpecError(f"{self.hours} hours is no length of a run")

    @property
    def plot(self) -> Scenario:
        """The scenario that `scenario` names."""
        return SCENARIOS[self.scenario]

    @property
    def interval_ms(self) -> int:
        """The interval in milliseconds."""
        return self.interval * 1000

    @property
    def ticks(self) -> int:
        """How many frames each source sends, those lost not counted."""
        hours = self.plot.hours if self.hours is None else self.hours
        return max(1, round(hours * HOUR_MS / self.interval_ms))

    @property
    def end(self) -> int:
        """The end of the run, ms."""
        return self.start + self.ticks * self.interval_ms
