"""The demo's run: simulate a hall, watch it with store and outbox, hold what was said against the truth."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

import loadgen
from loadgen.write import write_run
from monitor.adapters.clickhouse import Store
from monitor.adapters.outbox import read_events
from monitor.adapters.records import standing, transitions
from monitor.adapters.rules import load_rules
from monitor.adapters.storewriter import StoreWriter
from monitor.demo.hall import read_hall
from monitor.demo.pager import Pager
from monitor.demo.picture import Mark, draw
from monitor.errors import UsageError
from monitor.evaluate import evaluate
from monitor.ingest.rollups import window_ms
from monitor.runners.build import ReplayPlan, build_replay, default_state

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.write import Written
    from monitor.demo.hall import Hall
    from monitor.demo.pager import Page
    from monitor.demo.watch import Watch
    from monitor.evaluate import Report as Score
    from monitor.runners.recorder import Report
    from monitor.site import SiteOutput
    from monitor.types import Incident


MADE = (
    "anomalies.ndjson", "frames.ndjson", "hall.svg", "incidents.ndjson", "outbox.db", "store",
    "topology.ndjson", "truth.json",
)  # fmt: skip
"""How the names of all begin that a demo leaves in its directory, which the next one makes anew."""


@dataclass(frozen=True, slots=True)
class Files:
    """What the demo leaves in its directory."""

    out: Path

    @property
    def frames(self) -> Path:
        """The telemetry."""
        return self.out / "frames.ndjson.zst"

    @property
    def topology(self) -> Path:
        """What there is in the hall."""
        return self.out / "topology.ndjson"

    @property
    def truth(self) -> Path:
        """What really broke."""
        return self.out / "truth.json"

    @property
    def incidents(self) -> Path:
        """Every transition of every incident."""
        return self.out / "incidents.ndjson"

    @property
    def anomalies(self) -> Path:
        """Every anomaly record."""
        return self.out / "anomalies.ndjson"

    @property
    def outbox(self) -> Path:
        """What was paged."""
        return self.out / "outbox.db"

    @property
    def store(self) -> Path:
        """The directory of the store."""
        return self.out / "store"

    @property
    def picture(self) -> Path:
        """The hall at its worst moment."""
        return self.out / "hall.svg"

    @property
    def dsn(self) -> str:
        """The store's name."""
        return f"chdb://{self.store.absolute()}"

    def clear(self) -> None:
        """Make the directory, empty. Raises UsageError where it holds what no demo made."""
        found = [item.name for item in self.out.iterdir()] if self.out.exists() else []
        if strange := sorted(name for name in found if not name.startswith(MADE)):
            raise UsageError(f"{self.out}: holds {strange[0]}, which no demo made; name another --out")
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)


@dataclass(frozen=True, slots=True)
class Demo:
    """Everything the demo has to tell."""

    spec: loadgen.Spec
    files: Files
    written: Written
    truth: dict[str, Any]
    hall: Hall
    report: Report
    incidents: list[Incident]
    score: Score
    pages: list[Page]

    def finder(self, number: int) -> Incident | None:
        """Return the incident that found a fault, by the fault's place in the truth."""
        row = self.score.faults[number]
        found = (i for i in self.incidents if row.found and (i.id, i.episode) == (row.incident, row.episode))
        return next(found, None)


def run_demo(spec: loadgen.Spec, out: Path, watch: Watch) -> Demo:
    """Simulate, replay, page, score, draw; `watch` is told how far it is.

    Raises loadgen.SpecError where the hall cannot be simulated, UsageError where the directory holds what no
    demo made.
    """
    files = Files(out)
    run = loadgen.simulate(spec)
    files.clear()
    written = write_run(run, out, progress=watch.simulated)
    watch.begin(written)
    report, pages = _replay(spec, files, watch)
    with Store.open(files.dsn) as store:
        _store_pages(store, files)
        hall = read_hall(store, spec.start, spec.end, spec.interval_ms)
    lines = [msgspec.json.decode(line) for line in files.incidents.read_bytes().splitlines()]
    truth: dict[str, Any] = msgspec.json.decode(files.truth.read_bytes())
    incidents = standing(transitions(files.incidents))
    demo = Demo(spec, files, written, truth, hall, report, incidents, evaluate(truth, lines), pages)
    files.picture.write_text(draw(hall, spec.gpus, marks(demo)), encoding="utf-8")
    return demo


def _replay(spec: loadgen.Spec, files: Files, watch: Watch) -> tuple[Report, list[Page]]:
    """Replay the recording into store and outbox; return what was done, and what the receiver has."""
    plan = ReplayPlan(
        paths=(files.frames,),
        topology=files.topology,
        incidents=files.incidents,
        anomalies=files.anomalies,
        state=default_state(files.incidents),
        store=files.dsn,
    )
    with Pager(files.outbox, load_rules().settings.notify, spec.start) as pager:

        def hear(output: SiteOutput) -> None:
            pager.take(output)
            watch.closed(output, pager.sent)

        report = build_replay(plan).run(plan.batch_frames, watch.replayed, hear)
        pager.finish()
        watch.end()
        return report, pager.pages()


def _store_pages(store: Store, files: Files) -> None:
    """Write what became of pages into the store, as a live process does."""
    writer = StoreWriter(store, window_ms(load_rules().settings.tick_ms))
    writer.pages([event for event in read_events(files.outbox) if event.finished_at is not None])
    writer.sync()
    writer.close()


def marks(demo: Demo) -> list[Mark]:
    """Return the faults as a picture shows them."""
    found = []
    for place, fault in enumerate(demo.truth["faults"]):
        incident = demo.finder(place)
        found.append(
            Mark(
                what=f"{fault['scenario']} at {fault['entity']}",
                start=fault["start"],
                end=fault["end"],
                racks=frozenset(demo.hall.racks_of(fault["affected"])),
                paged_at=incident.paged_at if incident else None,
                named=f"{incident.cause.entity} {incident.cause.reason}" if incident else "",
            )
        )
    return found
