"""Samples on their way to the store: cells of a tick, windows over them, and what came late.

Times are integer milliseconds. A sample at `ts` belongs to the window that holds
ts - 1: [start, start + width).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from monitor.kernels.coding import coded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.types import Bools, Floats, Ints, SeriesKey


@dataclass(frozen=True, slots=True)
class SeriesNames:
    """What S series are called, as numbers into lists of names.

    entity: for each series its index into `entities`, metric: into `metrics`, which are (kind, metric) pairs;
    int32, shape (S,).
    """

    entities: list[str]
    metrics: list[tuple[str, str]]
    entity: NDArray[np.int32]
    metric: NDArray[np.int32]

    @classmethod
    def of(cls, keys: Sequence[SeriesKey]) -> SeriesNames:
        """Return the names of series, numbered.

        >>> from monitor.types import SeriesKey
        >>> SeriesNames.of([SeriesKey("gpu", "gpu:a/1", "xid"), SeriesKey("gpu", "gpu:a/0", "xid")]).entity
        array([1, 0], dtype=int32)
        """
        entity, entities = coded([key.entity for key in keys])
        metric, metrics = coded([(key.kind, key.metric) for key in keys])
        return cls(entities, metrics, entity.astype(np.int32), metric.astype(np.int32))

    def some(self, rows: Ints) -> SeriesNames:
        """Return the names of some of the series, in the order of `rows`, without those that nobody has.

        >>> from monitor.types import SeriesKey
        >>> names = SeriesNames.of([SeriesKey("gpu", f"gpu:a/{i}", "xid") for i in range(3)])
        >>> names.some(np.array([2])).entities
        ['gpu:a/2']
        """
        entities, entity = np.unique(self.entity[rows], return_inverse=True)
        metrics, metric = np.unique(self.metric[rows], return_inverse=True)
        return SeriesNames(
            [self.entities[i] for i in entities.tolist()],
            [self.metrics[i] for i in metrics.tolist()],
            entity.astype(np.int32),
            metric.astype(np.int32),
        )


@dataclass(frozen=True, slots=True)
class Cells:
    """The samples of one closed tick, or late ones that are known when it has closed.

    row: for each sample the number of its series. ts, value: the sample. anomalous: it is beyond its chart's
    limits or ends a run on one side. All of shape (n,).
    """

    end: int
    names: SeriesNames
    row: Ints
    ts: Ints
    value: Floats
    anomalous: Bools
    late: bool = False


@dataclass(frozen=True, slots=True)
class Windows:
    """Closed windows: each row is all that is known of one series in one window. Arrays of shape (n,).

    start: the window's start. mean, m2: mean and sum of squared deviations from it. last: the sample with the
    highest ts. anomalous: how many samples are beyond the limits of their chart or end a run.
    """

    names: SeriesNames
    row: Ints
    start: Ints
    count: Ints
    mean: Floats
    m2: Floats
    min: Floats
    max: Floats
    last: Floats
    anomalous: Ints
    late: bool = False


class LateFrame(msgspec.Struct, frozen=True):
    """A frame that came after its tick: it is kept, and nothing is detected on it."""

    kind: str
    source: str
    ts: int
    arrival: int
    frame: str


@dataclass(frozen=True, slots=True)
class Late:
    """What came late since the last time: the frames, and all late samples of the windows they touch."""

    frames: tuple[LateFrame, ...]
    cells: Cells | None
