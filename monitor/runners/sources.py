"""What all Prometheus sources of a process share: places, assembly, and what was left out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from monitor.ingest.exposition.assembly import Assembly
from monitor.ingest.exposition.placing import Placer
from monitor.ingest.exposition.tally import Tally, merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.adapters.rules import Rules
    from monitor.ingest.exposition.placing import Left, Slot
    from monitor.ingest.exposition.tally import LeftOut
    from monitor.topology import Graph


class Sources:
    """One for a process, since several targets may speak of one source. Safe from any thread."""

    def __init__(self, rules: Rules, graph: Graph | None = None) -> None:
        self.placer = Placer(rules.labelmaps, rules.catalog, {} if graph is None else gpus_by_uuid(graph))
        self._assembly, self._tally = Assembly(), Tally()
        self._others: list[Callable[[], tuple[LeftOut, ...]]] = []
        self._lock = threading.Lock()

    def frames(
        self,
        origin: str,
        placed: Iterable[tuple[Slot, int, float]],
        left: Iterable[tuple[Left, str]],
        now: int,
    ) -> list[bytes]:
        """Return the frames that some samples belong to; note what of `origin` was left out."""
        with self._lock:
            self._tally.replace(origin, left)
        return self.assemble(placed, now)

    def assemble(self, placed: Iterable[tuple[Slot, int, float]], now: int) -> list[bytes]:
        """Return the frames that some samples belong to, each as far as it is known."""
        with self._lock:
            return self._assembly.put(placed, now)

    def also(self, left_out: Callable[[], tuple[LeftOut, ...]]) -> None:
        """Ask somebody else too what goes into no frame."""
        self._others.append(left_out)

    def forget(self, origin: str) -> None:
        """Forget what was left out of an origin that is no more."""
        with self._lock:
            self._tally.forget(origin)

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what goes into no frame now, by reason and name."""
        with self._lock:
            own = self._tally.report()
        return merged(own, *(ask() for ask in self._others))

    def doubled(self) -> dict[str, int]:
        """Return, by metric, how many samples fell on the place of another series."""
        with self._lock:
            return dict(self._assembly.doubled)


def gpus_by_uuid(graph: Graph) -> dict[str, tuple[str, str]]:
    """Return (source, item) of the GPUs whose tag `uuid` the topology gives."""
    found = {}
    for entity in graph.entities:
        node, slash, item = entity.id.partition(":")[2].rpartition("/")
        if entity.id.startswith("gpu:") and slash and (uuid := entity.tags.get("uuid")):
            found[uuid] = (f"node:{node}", item)
    return found
