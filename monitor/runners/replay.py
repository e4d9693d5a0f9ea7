"""Recorded frames through the pipeline in event time, as fast as it goes, going on where it was cut short."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.adapters.lines import LinesOut
from monitor.adapters.recording import Line, Recording
from monitor.types import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from monitor.adapters.statedir import StateDir
    from monitor.adapters.storewriter import StoreWriter
    from monitor.ingest.frames import Rejection
    from monitor.pipeline import Pipeline
    from monitor.runners.storing import Stored
    from monitor.site import SiteOutput

SNAPSHOT_SHARE = 0.1
"""At most this share of the time goes into snapshots."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the records of a replay go; None is nowhere."""

    incidents: Path | None = None
    anomalies: Path | None = None
    dead: Path | None = None
    decisions: Path | None = None

    def asked(self) -> dict[str, Path]:
        """Return the files that were asked for, by name."""
        files = {name: getattr(self, name) for name in self.__slots__}
        return {name: path for name, path in files.items() if path is not None}


@dataclass(slots=True)
class Report:
    """What a replay did."""

    lines: int = 0
    samples: int = 0
    ticks: int = 0
    anomalies: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    quality: dict[str, int] = field(default_factory=dict)
    clock: int = 0
    seconds: float = 0.0
    resumed: bool = False


class Replay:
    """One replay: a recording, a pipeline, outputs, and perhaps a state directory to go on from and a store.

    Of a `stored` the caller has begun nothing yet; the replay closes it.
    """

    def __init__(
        self,
        files: list[Path],
        pipeline: Pipeline,
        outputs: Outputs,
        state: StateDir | None,
        settle_ticks: int,
        stored: Stored | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._state = state
        self._settle_ticks = settle_ticks
        kept = state.load() if state is not None else None
        if kept is not None and not (
            _are_there(outputs, kept["lengths"]) and (not stored or stored.holds(kept))
        ):
            kept = None
        self.report = Report(resumed=kept is not None)
        self._recording = Recording(files, kept["recording"] if kept else None)
        if kept:
            self._recording.clock = kept["clock"]
            pipeline.restore(kept["pipeline"])
            self._restore_report(kept["report"])
        lengths = kept["lengths"] if kept else {}
        self._outputs = {name: LinesOut(path, lengths.get(name, 0)) for name, path in outputs.asked().items()}
        self._stored = stored
        self._writer: StoreWriter | None = stored.begin(kept) if stored else None

    def _restore_report(self, kept: dict[str, Any]) -> None:
        for name, value in kept.items():
            setattr(self.report, name, Counter(value) if name == "dead" else value)

    def run(self, batch_frames: int, watch: Callable[[float, Report], None]) -> Report:
        """Read to the end. `watch` is told the share that is done, once a batch."""
        try:
            return self._run(batch_frames, watch)
        finally:
            if self._stored is not None:
                self._stored.close()

    def _run(self, batch_frames: int, watch: Callable[[float, Report], None]) -> Report:
        began = saved = time.monotonic()
        cost, ticks = 0.0, self.report.ticks
        for batch in self._recording.batches(batch_frames):
            self._feed(batch)
            self._keep_late()
            self.report.lines += len(batch)
            watch(self._recording.progress, self.report)
            now = time.monotonic()
            if self.report.ticks - ticks >= self._settle_ticks and now - saved >= cost / SNAPSHOT_SHARE:
                self._save()
                ticks, saved = self.report.ticks, time.monotonic()
                cost = saved - now
        self._write(self._pipeline.finish(self._recording.clock))
        return self._finish(began)

    def _feed(self, batch: list[tuple[int, Line]]) -> None:
        accept, closes_at = self._pipeline.accept, self._pipeline.closes_at
        for clock, line in batch:
            if clock >= closes_at:
                self._write(self._pipeline.advance(clock))
                closes_at = self._pipeline.closes_at
            rejection = accept(line.data, line.header, clock)
            if rejection is not None:
                self._note(line, rejection)

    def _finish(self, began: float) -> Report:
        for output in self._outputs.values():
            output.close()
        if self._stored is not None:
            done = (self.report.lines, self.report.samples, self._recording.clock)
            self._stored.finish(self._pipeline, done)
        if self._state is not None:
            self._state.save({}, finished=True)
        self.report.clock = self._recording.clock
        self.report.quality = {str(r): n for r, n in sorted(self._pipeline.quality.items()) if n}
        self.report.seconds = time.monotonic() - began
        return self.report

    def _write(self, closed: Iterable[SiteOutput]) -> None:
        for output in closed:
            self.report.ticks += 1
            self.report.samples += output.samples
            self.report.anomalies += len(output.anomalies)
            if self._writer is not None:
                self._writer.tick(output)
            for name in ("anomalies", "incidents", "decisions"):
                if name in self._outputs:
                    self._outputs[name].write(getattr(output, name))

    def _keep_late(self) -> None:
        if self._writer is not None:
            for late in self._pipeline.take_late():
                self._writer.late(late)

    def _note(self, line: Line, rejection: Rejection) -> None:
        self.report.dead[str(rejection.reason)] += 1
        if "dead" not in self._outputs and self._writer is None:
            return
        received = getattr(line.header, "received", None)
        place: dict[str, str | int] = {"file": line.file, "line": line.number}
        frame = line.data.decode("utf-8", "backslashreplace")
        letter = DeadLetter(place, str(rejection.reason), rejection.detail, received, frame)
        if "dead" in self._outputs:
            self._outputs["dead"].write([letter])
        if self._writer is not None:
            self._writer.dead(letter)

    def _save(self) -> None:
        if self._state is None:
            return
        lengths = {name: output.sync() for name, output in self._outputs.items()}
        report = {
            name: getattr(self.report, name) for name in ("lines", "samples", "ticks", "anomalies", "dead")
        }
        self._state.save(
            {
                "lengths": lengths,
                "clock": self._recording.clock,
                "recording": self._recording.to_state(),
                "pipeline": self._pipeline.to_state(),
                "report": report,
                "store": None if self._stored is None else self._stored.sync(),
            }
        )


def _are_there(outputs: Outputs, lengths: dict[str, int]) -> bool:
    """Whether the outputs still hold what a snapshot counts on, and no other was asked for."""
    asked = outputs.asked()
    return asked.keys() == lengths.keys() and all(
        path.exists() and path.stat().st_size >= lengths[name] for name, path in asked.items()
    )
