"""A seeded simulator of a GPU hall: telemetry frames, topology and truth in the forms of the public contract.

It knows the contract and nothing else: it never imports `monitor`, and nothing in `monitor` imports it.

    run = loadgen.simulate(loadgen.Spec(scenario="mini", gpus=64, seed=7))
    topology, truth = run.topology_lines(), run.truth()
    for line in run.frames():
        ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.spec import SCENARIOS, Scenario, Spec, SpecError

if TYPE_CHECKING:
    from loadgen.run import Run

__all__ = ["SCENARIOS", "Scenario", "Spec", "SpecError", "simulate"]


def simulate(spec: Spec) -> Run:
    """Plan the run that `spec` asks for; its frames are made while they are read.

    Raises SpecError where the fleet is too small or the time too short for the scenario.
    """
    from loadgen.run import Run

    return Run(spec)
