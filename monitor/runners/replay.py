"""Recorded frames through the pipeline in event time, as fast as it goes, going on where it was cut short."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor.adapters.recording import Line, Recording
from monitor.runners.recorder import Outputs, Recorder, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from monitor.adapters.statedir import StateDir
    from monitor.pipeline import Pipeline
    from monitor.runners.storing import Stored
    from monitor.site import SiteOutput

SNAPSHOT_SHARE = 0.1
"""At most this share of the time goes into snapshots."""


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
        if kept is not None and not (outputs.hold(kept["lengths"]) and (not stored or stored.holds(kept))):
            kept = None
        self.report = Report(resumed=kept is not None)
        self._recording = Recording(files, kept["recording"] if kept else None)
        if kept:
            self._recording.clock = kept["clock"]
            pipeline.restore(kept["pipeline"])
            self.report.restore(kept["report"])
        self._stored = stored
        self._hear: Callable[[SiteOutput], None] | None = None
        writer = stored.begin(kept["store"] if kept else None) if stored else None
        self._recorder = Recorder(outputs, kept["lengths"] if kept else {}, writer, self.report)

    def run(
        self,
        batch_frames: int,
        watch: Callable[[float, Report], None],
        hear: Callable[[SiteOutput], None] | None = None,
    ) -> Report:
        """Read to the end. `watch` is told the share that is done, once a batch.

        `hear` gets what each closed tick gave.
        """
        self._hear = hear
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
            self._recorder.late(self._pipeline.take_late())
            self.report.lines += len(batch)
            self.report.clock = self._recording.clock
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
                where: dict[str, str | int] = {"file": line.file, "line": line.number}
                self._recorder.dead(where, line.data, getattr(line.header, "received", None), rejection)

    def _finish(self, began: float) -> Report:
        self._recorder.close()
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
            self._recorder.tick(output)
            if self._hear is not None:
                self._hear(output)

    def _save(self) -> None:
        if self._state is None:
            return
        self._state.save(
            {
                "lengths": self._recorder.sync(),
                "clock": self._recording.clock,
                "recording": self._recording.to_state(),
                "pipeline": self._pipeline.to_state(),
                "report": self.report.counts(),
                "store": None if self._stored is None else self._stored.sync(),
            }
        )
