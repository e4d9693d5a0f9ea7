"""The site's series in canonical order, with the entity and the metric of each as numbers."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from monitor.cells import SeriesNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from monitor.types import Bools, Ints, SeriesKey

Name = TypeVar("Name", "SeriesKey", str, tuple[str, str])


class SeriesTable:
    """S series, sorted by (kind, entity, metric); new ones are merged in, old ones dropped; both move others.

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
        self._known: set[SeriesKey] = set()
        self.merge(keys)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def known(self) -> AbstractSet[SeriesKey]:
        """The series as a set."""
        return self._known

    @property
    def names(self) -> SeriesNames:
        """What the series are called; the parts are not changed in place."""
        return SeriesNames(self.entities, self.metrics, self.entity, self.metric)

    def position(self, key: SeriesKey) -> int | None:
        """Return where a series stands, None if there is no such series."""
        return bisect_left(self.keys, key) if key in self._known else None

    def rows_of(self, keys: Sequence[SeriesKey]) -> Ints:
        """Return where known series stand, in their order; KeyError for one that is not known."""
        unknown = next((key for key in keys if key not in self._known), None)
        if unknown is not None:
            raise KeyError(unknown)
        return np.array([bisect_left(self.keys, key) for key in keys], np.int64)

    def merge(self, new_keys: Iterable[SeriesKey]) -> Ints | None:
        """Add the series that are not there yet.

        Returns where each of the old series stands now, ascending, or None when nothing was added.
        """
        added = sorted({key for key in new_keys if key not in self._known})
        if not added:
            return None
        self._known.update(added)
        self.keys, moved, places = _merged(self.keys, added)
        new_entities = sorted({key.entity for key in added}.difference(self.entities))
        new_metrics = sorted({(key.kind, key.metric) for key in added}.difference(self.metrics))
        self.entities, entity_moved, _ = _merged(self.entities, new_entities)
        self.metrics, metric_moved, _ = _merged(self.metrics, new_metrics)
        entity, metric = np.empty((2, len(self.keys)), np.int32)
        entity[moved], metric[moved] = entity_moved[self.entity], metric_moved[self.metric]
        entity[places] = [bisect_left(self.entities, key.entity) for key in added]
        metric[places] = [bisect_left(self.metrics, (key.kind, key.metric)) for key in added]
        self.entity, self.metric = entity, metric
        return moved

    def drop(self, gone: Bools) -> Ints:
        """Let go of some series, (S,). Returns where each of the old ones stands now, -1 for gone.

        >>> from monitor.types import SeriesKey
        >>> table = SeriesTable([SeriesKey("gpu", f"gpu:n1/{i}", "power_watts") for i in range(3)])
        >>> table.drop(np.array([False, True, False])), table.entities
        (array([ 0, -1,  1]), ['gpu:n1/0', 'gpu:n1/2'])
        """
        kept = np.flatnonzero(~gone)
        self.keys = [self.keys[i] for i in kept.tolist()]
        self._known = set(self.keys)
        names = self.names.some(kept)
        self.entities, self.metrics = names.entities, names.metrics
        self.entity, self.metric = names.entity, names.metric
        moved = np.full(len(gone), -1, np.int64)
        moved[kept] = np.arange(len(kept))
        return moved


def _merged(old: list[Name], added: list[Name]) -> tuple[list[Name], Ints, Ints]:
    """Merge two sorted lists without a common element; return where the old and the added ones stand.

    The old list itself is returned where nothing is added, so that others can tell that it is the same.
    """
    if not added:
        return old, np.arange(len(old)), np.empty(0, np.int64)
    before = [bisect_left(old, name) for name in added]
    merged: list[Name] = []
    done = 0
    for place, name in zip(before, added, strict=True):
        merged += old[done:place]
        merged.append(name)
        done = place
    merged += old[done:]
    at = np.arange(len(old))
    starts = np.array(before, np.int64)
    return merged, at + np.searchsorted(starts, at, side="right"), starts + np.arange(len(added))
