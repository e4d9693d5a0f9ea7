"""Composition: rules, topology and files become a pipeline that is ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.adapters.dsn import read_dsn
from monitor.adapters.lines import LineFile, recordings
from monitor.adapters.rules import load_rules
from monitor.adapters.statedir import StateDir, identity
from monitor.errors import UsageError
from monitor.ingest.rollups import window_ms
from monitor.pipeline import Pipeline
from monitor.runners.recorder import Outputs
from monitor.runners.replay import Replay
from monitor.runners.storing import Identity, Stored
from monitor.site import Setup
from monitor.topology import Topology

if TYPE_CHECKING:
    from pathlib import Path

DECISIONS = "decisions.ndjson"


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What the operator asked for."""

    paths: tuple[Path, ...]
    topology: Path | None = None
    rules: Path | None = None
    incidents: Path | None = None
    anomalies: Path | None = None
    dead: Path | None = None
    partitions: int = 1
    batch_frames: int = 1000
    state: Path | None = None
    store: str | None = None
    append: bool = False

    @property
    def state_dir(self) -> Path | None:
        """Where snapshots and decisions are kept."""
        beside = read_dsn(self.store).state_dir if self.store else None
        return self.state or beside or (default_state(self.incidents) if self.incidents else None)

    @property
    def outputs(self) -> Outputs:
        """The files that records go to."""
        decisions = self.state_dir / DECISIONS if self.state_dir else None
        return Outputs(self.incidents, self.anomalies, self.dead, decisions)


def default_state(incidents: Path) -> Path:
    """Return where the state of a replay is kept unless told otherwise: beside its incidents."""
    return incidents.with_name(incidents.name + ".state")


def build_replay(plan: ReplayPlan) -> Replay:
    """Build a replay. Raises UsageError (with every problem) before anything is written."""
    files = recordings(plan.paths)
    _refuse_overwriting(plan, files)
    rules = load_rules(plan.rules)
    topology_file = plan.topology or beside(files)
    topology = Topology.empty() if topology_file is None else read_topology(topology_file)
    settings = rules.settings
    setup = Setup(
        rules.catalog, settings, rules.faults, topology, plan.partitions, rollups=plan.store is not None
    )  # fmt: skip
    who = identity([*files, *([topology_file] if topology_file else [])], [rules.digest])
    state = StateDir(plan.state_dir, who + (" stored" if plan.store else "")) if plan.state_dir else None
    stored = None
    if plan.store is not None:
        what = Identity(who, [file.name for file in files], topology, window_ms(settings.tick_ms))
        stored = Stored(plan.store, what, append=plan.append)
    return Replay(files, Pipeline(setup), plan.outputs, state, settings.snapshot_ticks, stored)


def read_topology(path: Path) -> Topology:
    """Read a topology file. Raises TopologyError with every problem and its line."""
    return Topology.parse((line for _, _, line in LineFile(path).read()), str(path))


def beside(files: list[Path]) -> Path | None:
    """Return the topology that lies beside the frames, if there is one."""
    found = sorted(
        {file.parent / "topology.ndjson" for file in files if (file.parent / "topology.ndjson").exists()}
    )
    return found[0] if len(found) == 1 else None


def _refuse_overwriting(plan: ReplayPlan, files: list[Path]) -> None:
    inputs = {file.resolve() for file in [*files, *([plan.topology] if plan.topology else [])]}
    asked = [path for path in (plan.incidents, plan.anomalies, plan.dead) if path is not None]
    for path in asked:
        if path.resolve() in inputs:
            raise UsageError(f"{path}: is an input of this replay and would be overwritten")
    if len({path.resolve() for path in asked}) != len(asked):
        raise UsageError("two outputs go to one file; give each its own")
