"""A replay's side of a store: which replay it is, whether the store takes it, and the writer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.adapters.clickhouse import Store
from monitor.adapters.storewriter import StoreWriter
from monitor.errors import StoreRefusedError
from monitor.store.queries import REPLAYS_HELD

if TYPE_CHECKING:
    from monitor.pipeline import Pipeline
    from monitor.topology import Topology

BEGUN, FINISHED = 1, 2


@dataclass(frozen=True, slots=True)
class Identity:
    """What a replay is: the digest of its inputs, topology and rules, and what else its rows depend on."""

    name: str
    files: list[str]
    topology: Topology
    window_ms: int


class Stored:
    """One replay into one store. Raises StoreRefusedError where the store holds another, unless `append`."""

    def __init__(self, name: str, what: Identity, *, append: bool) -> None:
        self._store = Store.open(name, create=True)
        self._what = what
        try:
            self._refuse_another(append=append)
        except BaseException:
            self._store.close()
            raise
        self.writer: StoreWriter | None = None

    def _refuse_another(self, *, append: bool) -> None:
        others = [row for row in self._store.rows(REPLAYS_HELD.sql) if row[0] != self._what.name]
        if others and not append:
            held = ", ".join(sorted({file for row in others for file in row[2]})[:5])
            raise StoreRefusedError(
                f"{self._store.dsn}: holds another replay (of {held}); name another store, or add to it "
                "with --append"
            )

    def holds(self, kept: dict[str, Any]) -> bool:
        """Whether a snapshot was taken of a run into this very store."""
        return bool(kept.get("store") and kept["store"]["token"] == self._store.token)

    def begin(self, kept: dict[str, Any] | None) -> StoreWriter:
        """Start the writer, from what `sync` gave or anew."""
        self.writer = StoreWriter(self._store, self._what.window_ms, kept)
        self.writer.topology(self._what.topology)
        self.writer.replay(self._what.name, BEGUN, self._what.files, (0, 0, 0))
        return self.writer

    def another(self) -> Store:
        """Return the store with a client of its own, for another thread."""
        return self._store.another()

    def sync(self) -> dict[str, Any]:
        """Make all durable; return what a snapshot keeps."""
        assert self.writer is not None, "begin comes first"
        return {"token": self._store.token, **self.writer.sync()}

    def finish(self, pipeline: Pipeline, done: tuple[int, int, int]) -> None:
        """Write what is left, roll all windows, and note that the replay has finished."""
        assert self.writer is not None, "begin comes first"
        for late in pipeline.take_late(final=True):
            self.writer.late(late)
        self.writer.finish()
        self.writer.replay(self._what.name, FINISHED, self._what.files, done)
        self.writer.sync()

    def close(self) -> None:
        """Let go of the store."""
        if self.writer is not None:
            self.writer.close()
        self._store.close()
