"""One target: its bodies to samples that have their places, its labels beside the scraped ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.ingest.exposition.placing import Left, Slot
from monitor.ingest.exposition.text import Scrape, TextReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.ingest.exposition.placing import Placer

NAME = "__name__"
Placed = Slot | Left | None
"""Where a series goes, or why nowhere; None where relabelling dropped it."""


class Target:
    """Reads the scrapes of one target. Series are placed once and known again by their text.

    labels: the target's own, `instance` and `job` among them. Where the exporter has one of them too the
    target's wins and the exporter's is called `exported_NAME`, the other way round with `honor_labels`.
    relabel: changes the labels of a sample (its name is `__name__`), or drops it with None.
    """

    def __init__(
        self,
        placer: Placer,
        labels: Mapping[str, str],
        labelmap: str | None = None,
        *,
        honor_labels: bool = False,
        honor_timestamps: bool = True,
        relabel: Callable[[dict[str, str]], dict[str, str] | None] | None = None,
    ) -> None:
        self._placer, self._labels, self._labelmap = placer, dict(labels), labelmap
        self._honor_labels, self._honor_timestamps, self._relabel = honor_labels, honor_timestamps, relabel
        self._reader = TextReader(self._slot)
        self.left: list[tuple[Left, str]] = []

    def read(
        self, text: str, ts: int, *, openmetrics: bool = False
    ) -> tuple[Scrape[tuple[str, Placed]], list[tuple[Slot, int, float]]]:
        """Return what a scrape at `ts` says, and its samples by their places.

        What is in no frame is in `left`, until the next scrape.
        """
        scrape = self._reader.read(text, openmetrics=openmetrics)
        placed: list[tuple[Slot, int, float]] = []
        left: list[tuple[Left, str]] = []
        for (name, slot), value, own in scrape.samples:
            if isinstance(slot, Slot):
                placed.append((slot, ts if own is None or not self._honor_timestamps else own, value))
            elif slot is not None and slot is not Left.IDLE:
                left.append((slot, name))
        self.left = left
        return scrape, placed

    def _slot(self, name: str, scraped: Mapping[str, str]) -> tuple[str, Placed]:
        labels = self._merged(scraped)
        if self._relabel is not None:
            changed = self._relabel({NAME: name, **labels})
            if changed is None:
                return name, None
            name = changed.pop(NAME, name)
            labels = changed
        return name, self._placer.place(name, labels, self._labelmap)

    def _merged(self, scraped: Mapping[str, str]) -> dict[str, str]:
        if self._honor_labels:
            return {**self._labels, **{key: value for key, value in scraped.items() if value}}
        moved = {f"exported_{key}" if key in self._labels else key: value for key, value in scraped.items()}
        return {**moved, **self._labels}
