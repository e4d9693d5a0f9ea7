"""Writes what the pipeline gives into a store, in a thread: inserts overlap with detection.

Records are gathered into batches; the thread writes a batch whole, and the coarser windows that it ends.
`sync` waits until all is durable. What fails in the thread is raised by the next call. Writing something
again changes nothing.
"""

from __future__ import annotations

import atexit
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.adapters.arrow import ArrowWindows
from monitor.adapters.rolling import Roller
from monitor.ingest.rollups import windows
from monitor.notify.records import dedup_key
from monitor.store import rows, tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.adapters.clickhouse import Store
    from monitor.cells import Cells, Late, LateFrame
    from monitor.correlate.observe import Decision
    from monitor.notify.records import Event
    from monitor.site import SiteOutput
    from monitor.topology import Topology
    from monitor.types import Anomaly, Change, DeadLetter, Incident

BATCH_SAMPLES = 900_000
BATCH_RECORDS = 20_000
BATCH_BYTES = 16 << 20
BATCHES_AHEAD = 2


@dataclass(slots=True)
class Batch:
    """What is written together."""

    cells: list[Cells] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    incidents: list[tuple[int, Incident]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    late: list[LateFrame] = field(default_factory=list)
    samples: int = 0
    records: int = 0
    bytes: int = 0
    closed: int | None = None

    @property
    def full(self) -> bool:
        """Whether it is time to write it."""
        return (
            self.samples >= BATCH_SAMPLES or self.records >= BATCH_RECORDS or self.bytes >= BATCH_BYTES
        )  # fmt: skip


class StoreWriter:
    """One writer of one store. `state` is what `sync` gave to the run that this one goes on from."""

    def __init__(self, store: Store, window_ms: int, state: dict[str, Any] | None = None) -> None:
        self._window_ms = window_ms
        self._store = store.another()
        self._arrow = ArrowWindows()
        self._roller = Roller(self._store, state.get("tiers") if state else None)
        self._line = state["line"] if state else 0
        self._batch = Batch()
        self._failed: BaseException | None = None
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(BATCHES_AHEAD)
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def tick(self, output: SiteOutput) -> None:
        """Take what a closed tick gave."""
        batch = self._batch
        batch.closed = output.end
        if output.cells is not None and len(output.cells.row):
            batch.cells.append(output.cells)
        batch.anomalies += output.anomalies
        for incident in output.incidents:
            self._line += 1
            batch.incidents.append((self._line, incident))
        batch.decisions += output.decisions
        batch.changes += output.changes
        batch.samples += output.samples
        batch.records += len(output.anomalies) + len(output.incidents) + len(output.decisions)
        self._pass_on(only_full=True)

    def late(self, late: Late) -> None:
        """Take what came late."""
        self._batch.late += late.frames
        self._batch.bytes += sum(len(frame.frame) for frame in late.frames)
        if late.cells is not None:
            self._batch.cells.append(late.cells)
            self._batch.samples += len(late.cells.row)
        self._pass_on(only_full=True)

    def dead(self, letter: DeadLetter) -> None:
        """Take a frame that could not be read."""
        self._batch.dead.append(letter)
        self._batch.bytes += len(letter.frame)
        self._pass_on(only_full=True)

    def pages(self, events: list[Event]) -> None:
        """Write what became of events of the outbox, by when they ended."""
        if events:
            columns = [list(column) for column in zip(*map(_page, events), strict=True)]
            self._put(lambda: self._store.insert(tables.PAGES, columns))

    def topology(self, known: Topology) -> None:
        """Write the topology."""
        self._put(lambda: self._store.insert(tables.TOPOLOGY, rows.topology(known)))

    def replay(self, identity: str, rank: int, files: list[str], done: tuple[int, int, int]) -> None:
        """Note that a replay has begun (rank 1) or finished (rank 2), behind all that was given so far."""
        self._pass_on(only_full=False)
        self._put(lambda: self._store.insert(tables.REPLAYS, rows.replay(identity, rank, files, done)))

    def sync(self) -> dict[str, Any]:
        """Wait until all that was given is durable; return what a later run goes on from."""
        self._pass_on(only_full=False)
        self._wait()
        return {"tiers": self._roller.to_state(), "line": self._line}

    def finish(self) -> None:
        """Write everything, also the windows that are still open, and wait until that is durable."""
        self._pass_on(only_full=False)
        self._put(lambda: self._roller.run(None))
        self._wait()

    def close(self) -> None:
        """Stop. What was not synced is dropped. The thread is waited for: the engine must not be in use."""
        atexit.unregister(self.close)
        if not self._thread.is_alive():
            return
        self._failed = self._failed or RuntimeError("closed")
        self._jobs.put(None)
        self._thread.join()
        self._store.close()

    def _pass_on(self, *, only_full: bool) -> None:
        if only_full and not self._batch.full:
            return
        batch, self._batch = self._batch, Batch()
        self._put(lambda: self._write(batch))

    def _put(self, job: Callable[[], None]) -> None:
        self._check()
        self._jobs.put(job)

    def _wait(self) -> None:
        self._jobs.join()
        self._check()

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._failed is None:
                    job()
            except BaseException as error:  # noqa: BLE001 - raised where the next record is given
                self._failed = error
            finally:
                self._jobs.task_done()

    def _write(self, batch: Batch) -> None:
        closed = [windows(cells, self._window_ms) for cells in batch.cells]
        if any(len(one.row) for one in closed):
            self._store.insert_arrow(tables.S10, self._arrow.table(closed, late=True))
        store = self._store
        store.insert(tables.ANOMALIES, rows.anomalies(batch.anomalies))
        store.insert(tables.INCIDENTS, rows.incidents(batch.incidents))
        store.insert(tables.CANDIDATES, rows.candidates(batch.incidents))
        store.insert(tables.DECISIONS, rows.decisions(batch.decisions))
        store.insert(tables.CHANGES, rows.changes(batch.changes))
        store.insert(tables.DEAD_LETTERS, rows.dead_letters(batch.dead))
        store.insert(tables.LATE_FRAMES, rows.late_frames(batch.late))
        for one in closed:
            self._roller.note(one)
        if batch.closed is not None:
            self._roller.run(batch.closed)


def _page(event: Event) -> tuple[Any, ...]:
    record = msgspec.to_builtins(event) | {"line": msgspec.json.decode(event.line)}
    return (
        rows.moment(event.finished_at or event.taken_at), dedup_key(event.incident, event.episode),
        event.action.value, event.incident, event.episode, event.status, event.reason, event.attempts,
        event.detail, msgspec.json.encode(record).decode(),
    )  # fmt: skip
