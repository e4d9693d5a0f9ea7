"""The site's series in canonical order, with the entity and the metric of each as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView, Sequence

    from numpy.typing import NDArray

    from monitor.types import Ints, SeriesKey


class SeriesTable:
    """S series, sorted by (kind, entity, metric); new ones are merged in and move the others.

    keys: the series. entities, metrics: the distinct entities and (kind, metric) pairs, sorted.
    entity, metric: for each series its index into those, int32, shape (S,).

    >>> from monitor.types import SeriesKey
    >>> table = SeriesTable()
    >>> table.merge([SeriesKey("gpu", "gpu:n1/1", "power_watts")])
    array([], dtype=int64)
    >>> table.merge([SeriesKey("gpu", "gpu:n1/0", "power_watts")])
    array([1])
    >>> table.entities, table.entity
    (['gpu:n1/0', 'gpu:n1/1'], array([0, 1], dtype=int32))
    """

    def __init__(self, keys: Iterable[SeriesKey] = ()) -> None:
        self.keys: list[SeriesKey] = []
        self.entities: list[str] = []
        self.metrics: list[tuple[str, str]] = []
        self.entity: NDArray[np.int32] = np.empty(0, np.int32)
        self.metric: NDArray[np.int32] = np.empty(0, np.int32)
        self._position: dict[SeriesKey, int] = {}
        self.merge(keys)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def known(self) -> KeysView[SeriesKey]:
        """The series as a set."""
        return self._position.keys()

    def position(self, key: SeriesKey) -> int | None:
        """Return where a series stands, None if there is no such series."""
        return self._position.get(key)

    def rows_of(self, keys: Sequence[SeriesKey]) -> Ints:
        """Return where known series stand, in their order; KeyError for one that is not known."""
        return np.array([self._position[key] for key in keys], np.int64)

    def merge(self, new_keys: Iterable[SeriesKey]) -> Ints | None:
        """Add the series that are not there yet.

        Returns where each of the old series stands now, ascending, or None when nothing was added.
        """
        added = {key for key in new_keys if key not in self._position}
        if not added:
            return None
        old = self.keys
        self.keys = sorted([*old, *added])
        self._position = {key: place for place, key in enumerate(self.keys)}
        self._number()
        return np.array([self._position[key] for key in old], np.int64)

    def _number(self) -> None:
        self.entities = sorted({key.entity for key in self.keys})
        self.metrics = sorted({(key.kind, key.metric) for key in self.keys})
        entity = {name: number for number, name in enumerate(self.entities)}
        metric = {pair: number for number, pair in enumerate(self.metrics)}
        self.entity = np.array([entity[key.entity] for key in self.keys], np.int32)
        self.metric = np.array([metric[key.kind, key.metric] for key in self.keys], np.int32)
