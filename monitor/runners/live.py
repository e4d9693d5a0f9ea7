"""The live process without its web server: journal, door, engine, outbox, built and taken down in order."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.adapters.channels import build_channels
from monitor.adapters.dsn import read_dsn
from monitor.adapters.journal import Journal
from monitor.adapters.livefiles import forget_address, hold, make_token
from monitor.adapters.meters import Meters
from monitor.adapters.outbox import DurableOutbox
from monitor.adapters.rules import load_rules
from monitor.adapters.scrapefile import load_scrape
from monitor.adapters.statedir import StateDir
from monitor.errors import UsageError
from monitor.ingest.rollups import window_ms
from monitor.pipeline import Pipeline
from monitor.runners.board import Board
from monitor.runners.build import DECISIONS, read_topology
from monitor.runners.delivery import Delivery, wall_clock
from monitor.runners.door import Door
from monitor.runners.engine import Engine
from monitor.runners.life import Parts
from monitor.runners.recorder import Outputs
from monitor.runners.storing import Identity, Stored
from monitor.site import Setup
from monitor.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from monitor.adapters.rules import Rules

LOG = logging.getLogger("monitor.live")

JOURNAL, OUTBOX, DEAD = "journal", "outbox.db", "dead.ndjson"
LAG_MS = 60_000
"""Work that is further behind than this is not caught up."""


@dataclass(frozen=True, slots=True)
class LivePlan:
    """What the operator asked for."""

    state: Path
    store: str | None = None
    topology: Path | None = None
    rules: Path | None = None
    partitions: int = 1
    drain: bool = False
    scrape: Path | None = None


def default_state(store: str | None) -> Path | None:
    """Return where state is kept unless told otherwise: beside the store's directory."""
    return read_dsn(store).live_dir if store else None


class Live:
    """A live process: `start`, put lines through its `door`, `stop`. `clock`: ms since the epoch."""

    def __init__(
        self,
        plan: LivePlan,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self.plan, self.clock = plan, clock
        self._closers: list[Callable[[], object]] = []
        self._turn, self._commanded = threading.Lock(), 0
        self.rules = load_rules(plan.rules)
        self.topology = Topology.empty() if plan.topology is None else read_topology(plan.topology)
        maps = [labelmap.name for labelmap in self.rules.labelmaps]
        self.scrape = None if plan.scrape is None else load_scrape(plan.scrape, maps)
        lock = hold(plan.state)
        self._closers.append(lock.close)
        try:
            self._build(self.topology, environ)
        except BaseException:
            self._close()
            raise

    def _build(self, topology: Topology, environ: Mapping[str, str]) -> None:
        clock, plan, settings = self.clock, self.plan, self.rules.settings
        self.token = make_token(plan.state, environ)
        self.meters, self.board = Meters(), Board()
        self.journal = Journal(plan.state / JOURNAL, settings.journal_segment_bytes)
        self._closers.append(self.journal.close)
        self._build_delivery(environ)
        setup = _setup(self.rules, topology, plan)
        open_store = _store_of(plan.store, topology, window_ms(settings.tick_ms))
        stored = open_store() if open_store else None
        parts = Parts(
            settings, self.journal, StateDir(plan.state, f"live {settings.tick_ms}"), _outputs(plan.state),
            lambda: Pipeline(setup, live=True), open_store, self.delivery, plan.state / OUTBOX, self.board,
            self.meters, clock,
        )  # fmt: skip
        self.engine = Engine(parts, stored, drain=plan.drain)
        self.door = Door(self.journal, settings, self.meters, self.clock, self.engine.behind)

    def _build_delivery(self, environ: Mapping[str, str]) -> None:
        notify = self.rules.settings.notify
        channels = build_channels(notify, environ)
        for channel in channels.values():
            self._closers.append(channel.close)
        outbox = DurableOutbox(self.plan.state / OUTBOX, notify, list(channels), self.clock())
        self._closers.append(outbox.close)
        self.delivery = Delivery(outbox, channels, self.clock, self.meters.page)

    def start(self) -> None:
        """Begin to work and to deliver."""
        self.delivery.start()
        self.engine.start()

    def drain(self, timeout_s: float = 60.0) -> bool:
        """Work off what there is, close every tick, deliver; return whether all pages went out in time."""
        self.door.shut("the process drains and stops")
        self.engine.drain()
        return self.delivery.drain(timeout_s)

    def stop(self) -> bool:
        """Take nothing more, take a snapshot, let go of everything; return whether all ended in time."""
        self.door.shut("the process stops")
        ended = self.engine.stop()
        if not ended:
            LOG.warning("the work did not stop in time; it is done again from the last snapshot")
        ended = self.delivery.stop() and ended
        self._close()
        return ended

    def _close(self) -> None:
        while self._closers:
            self._closers.pop()()
        forget_address(self.plan.state)

    def command_time(self) -> int:
        """Return the time for a command: now, but never the same twice, since frames are known by it."""
        with self._turn:
            self._commanded = max(self.clock(), self._commanded + 1)
            return self._commanded

    def problems(self) -> dict[str, str]:
        """Say why the process is not caught up: a reason for each part that is not well."""
        found = dict(self.engine.problems)
        lag = self.engine.lag_ms()
        if lag > LAG_MS:
            found["lag"] = f"work is {lag / 1000:.0f} s behind"
        behind, most = self.engine.behind(), self.rules.settings.backlog_bytes
        if behind > most // 2:
            found["queue"] = f"{behind:,} bytes wait; at {most:,} clients are told to wait"
        if self.door.problem:
            found["journal"] = self.door.problem
        if not self.engine.alive:
            found["work"] = found.get("work", "the pipeline does not run")
        if self.delivery.problem:
            found["outbox"] = self.delivery.problem
        return found

    def warnings(self) -> dict[str, str]:
        """Say what somebody should see to although the process is caught up."""
        told = self.engine.crashes.told
        return {"crashed": told} if told else {}

    def measure(self) -> None:
        """Set the gauges that nobody else sets."""
        self.meters.lag.set(self.engine.lag_ms() / 1000)
        self.meters.backlog.set(self.engine.behind())
        self.meters.journal.set(self.journal.size)
        self.meters.outbox.set(self.delivery.pending())


def _setup(rules: Rules, topology: Topology, plan: LivePlan) -> Setup:
    return Setup(
        rules.catalog, rules.settings, rules.faults, topology, plan.partitions, rollups=bool(plan.store)
    )  # fmt: skip


def _outputs(state: Path) -> Outputs:
    return Outputs(
        state / "incidents.ndjson", state / "anomalies.ndjson", state / DEAD, state / DECISIONS
    )  # fmt: skip


def _store_of(name: str | None, topology: Topology, window: int) -> Callable[[], Stored] | None:
    if name is None:
        return None
    what = Identity("live", ["journal"], topology, window)
    return lambda: Stored(name, what, append=True)


def refuse_bus(bus: str) -> None:
    """Raise UsageError for a bus that there is not."""
    if bus.startswith("kafka://"):
        raise UsageError(f"--bus {bus}: Kafka is not built yet; leave --bus out, and send frames over HTTP")
    if bus != "memory://":
        raise UsageError(f"--bus {bus}: is no bus; write memory://")
