"""One life of the live pipeline: from a snapshot on, line by line of the journal, until it ends or fails.

Whatever fails (a full disk, a store that went away) ends the life; the next one begins at the last snapshot,
cuts the outputs to where they were then, and reads the journal again from there. So nothing is lost and
nothing is written twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.adapters.journal import Place
from monitor.adapters.outbox import read_events
from monitor.adapters.records import transitions
from monitor.adapters.rotation import take_back
from monitor.errors import StateError
from monitor.ingest.frames import Header, read_header
from monitor.runners.crashes import CrashError, Crashes
from monitor.runners.recorder import Recorder, Report
from monitor.types import Incident

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from monitor.adapters.clickhouse import Store
    from monitor.adapters.journal import Journal
    from monitor.adapters.meters import Meters
    from monitor.adapters.statedir import StateDir
    from monitor.config.settings import Settings
    from monitor.ingest.frames import Rejection
    from monitor.pipeline import Pipeline
    from monitor.runners.board import Board
    from monitor.runners.delivery import Delivery
    from monitor.runners.recorder import Outputs
    from monitor.runners.storing import Stored
    from monitor.site import SiteOutput

SNAPSHOT_SHARE = 0.1
"""At most this share of the time goes into snapshots."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every life of a live pipeline works with. `clock` gives the time in ms since the epoch."""

    settings: Settings
    journal: Journal
    state: StateDir
    outputs: Outputs
    build: Callable[[], Pipeline]
    open_store: Callable[[], Stored] | None
    delivery: Delivery
    outbox: Path
    board: Board
    meters: Meters
    clock: Callable[[], int]
    crashes: Crashes = field(default_factory=Crashes)


class Life:
    """A pipeline that goes on from the last snapshot. Closes the store that it is given."""

    def __init__(self, parts: Parts, stored: Stored | None) -> None:
        self._parts, self._stored = parts, stored
        self.pipeline = parts.build()
        kept = parts.state.load()
        self.place, self.clock = parts.journal.first, 0
        self._report = Report(resumed=kept is not None)
        if kept is not None:
            self._restore(kept)
        aside: dict[str, int] = kept.get("aside", {}) if kept else {}
        for name, path in parts.outputs.asked().items():
            take_back(path, aside.get(name, 0))
        lengths = _still_there(parts.outputs, kept["lengths"] if kept else {})
        state = kept["store"] if kept and stored and stored.holds(kept) else None
        writer = stored.begin(state) if stored else None
        self._recorder = Recorder(parts.outputs, lengths, writer, self._report, aside)
        assert parts.outputs.incidents is not None
        parts.board.reset(transitions(parts.outputs.incidents))
        if kept is not None and "open" in kept:
            parts.board.recall(msgspec.convert(kept["open"], list[Incident]))
        parts.meters.standing(parts.board.standing())
        self._paged = 0
        self._saved = (time.monotonic(), self._report.ticks, self.place, 0.0)

    def _restore(self, kept: dict[str, Any]) -> None:
        try:
            self.pipeline.restore(kept["pipeline"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise StateError(
                f"{self._parts.state.path}: cannot go on from the snapshot there ({error!r}); start with "
                "another --state, or with the rules it was taken under"
            ) from error
        self.place, self.clock = msgspec.convert(kept["place"], Place), kept["clock"]
        self.place = max(self.place, self._parts.journal.first)
        self._report.restore(kept["report"])

    @property
    def dead(self) -> Counter[str]:
        """Dead letters so far, by reason."""
        return self._report.dead

    def feed(self, lines: list[bytes], behind: Place) -> None:
        """Take lines of the journal up to the place behind them."""
        accept, aside = self.pipeline.accept, self._parts.crashes.lines
        closes_at, dead = self.pipeline.closes_at, self._report.dead.total()
        segment, number = behind.file, behind.line - len(lines)
        for data in lines:
            number += 1
            header = read_header(data)
            received = header.received if isinstance(header, Header) else None
            if received is not None and received > self.clock:
                self.clock = received
                if received >= closes_at:
                    self.advance(received)
                    closes_at = self.pipeline.closes_at
            rejection = aside.get((segment, number)) if aside else None
            if rejection is None:
                try:
                    rejection = accept(data, header, self.clock)
                except Exception as error:
                    raise CrashError((segment, number)) from error
            if rejection is not None:
                self._dead({"file": segment, "line": number}, data, received, rejection)
        self.place = behind
        self._report.lines += len(lines)
        if self._report.dead.total() > dead:
            self._recorder.show()
        self._recorder.late(self.pipeline.take_late())
        self._parts.meters.quality({str(reason): n for reason, n in self.pipeline.quality.items()})

    def _dead(
        self, position: dict[str, str | int], line: bytes, received: int | None, rejection: Rejection
    ) -> None:
        self._recorder.dead(position, line, received, rejection)
        self._parts.meters.dead.labels(str(rejection.reason)).inc()

    def advance(self, clock: int) -> None:
        """Close what the clock has closed."""
        self._set_aside()
        self._write(self._closing(self.pipeline.advance(clock)))

    def _set_aside(self) -> None:
        """Empty the ticks on which the pipeline crashed."""
        for end, rejection in self._parts.crashes.ticks.items():
            for line in self.pipeline.set_aside(end):
                header = read_header(line)
                received = header.received if isinstance(header, Header) else None
                self._dead({"tick": end}, line, received, rejection)

    def _closing(self, closed: Iterator[SiteOutput]) -> Iterator[SiteOutput]:
        try:
            yield from closed
        except Exception as error:
            raise CrashError(self.pipeline.closed) from error

    def finish(self) -> None:
        """Close every tick, as a replay does at its end."""
        self._set_aside()
        self._write(self._closing(self.pipeline.finish(self.clock)))
        self._recorder.late(self.pipeline.take_late(final=True))
        if self._stored is not None and self._stored.writer is not None:
            self._stored.writer.finish()

    def _write(self, closed: Iterator[SiteOutput]) -> None:
        for output, seconds in _timed(closed):
            self._recorder.tick(output)
            self._parts.meters.tick(output, seconds)
            if output.incidents or output.decisions:
                self._recorder.show()
            if output.incidents:
                self._parts.board.take(output.incidents)
                self._parts.meters.standing(self._parts.board.standing())
                self._parts.delivery.take(output.incidents)

    def another_store(self) -> Store | None:
        """Return the store with a client of its own, for another thread; None where it is away."""
        return None if self._stored is None else self._stored.another()

    @property
    def has_store(self) -> bool:
        """Whether records go into a store."""
        return self._stored is not None

    @property
    def save_due(self) -> bool:
        """Whether it is time for a snapshot: after some ticks, or much of the journal."""
        saved, ticks, place, cost = self._saved
        settings = self._parts.settings
        read = self._parts.journal.behind(place) - self._parts.journal.behind(self.place)
        enough = (
            self._report.ticks - ticks >= settings.snapshot_ticks or read >= settings.journal_segment_bytes
        )
        return enough and time.monotonic() - saved >= cost / SNAPSHOT_SHARE

    def save(self) -> None:
        """Take a snapshot, and let go of what nobody needs any more.

        None while the store is away: what came meanwhile is read again from the journal.
        """
        parts = self._parts
        if parts.open_store is not None and self._stored is None:
            return
        began = time.monotonic()
        self._write_pages()
        parts.state.save(
            {
                "lengths": self._recorder.sync(),
                "aside": self._recorder.aside,
                "open": msgspec.to_builtins(parts.board.unfinished()),
                "clock": self.clock,
                "place": self.place,
                "pipeline": self.pipeline.to_state(),
                "report": self._report.counts(),
                "store": None if self._stored is None else self._stored.sync(),
            }
        )
        now = time.monotonic()
        self._saved = (now, self._report.ticks, self.place, now - began)
        parts.meters.snapshot.set(parts.clock() / 1000)
        parts.crashes.forget(self.place, self.pipeline.closed)
        self._recorder.rotate(parts.settings.records_keep_bytes)
        parts.journal.forget(self.place, (parts.clock() - parts.settings.journal_keep_ms) / 1000)

    def _write_pages(self) -> None:
        """Tell the store what became of pages since the last time."""
        if self._stored is None or self._stored.writer is None:
            return
        events = [e for e in read_events(self._parts.outbox) if (e.finished_at or 0) > self._paged]
        self._stored.writer.pages(events)
        self._paged = max((e.finished_at or 0 for e in events), default=self._paged + 1) - 1

    def close(self) -> None:
        """Let go of the files and the store."""
        self._recorder.drop()
        if self._stored is not None:
            self._stored.close()


def _still_there(outputs: Outputs, lengths: dict[str, int]) -> dict[str, int]:
    """Return the lengths to go on from: somebody may have taken a file away."""
    return {
        name: min(lengths.get(name, 0), path.stat().st_size)
        for name, path in outputs.asked().items()
        if path.exists()
    }


def _timed(closed: Iterator[SiteOutput]) -> Iterator[tuple[SiteOutput, float]]:
    began = time.monotonic()
    for output in closed:
        yield output, time.monotonic() - began
        began = time.monotonic()
