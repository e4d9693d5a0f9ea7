"""State as a struct of arrays: named columns, one entry a row, that can be permuted and written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from monitor.types import Ints


class Column(NamedTuple):
    """A column's layout: its type, what a new row holds, and how many values a row has."""

    dtype: str
    fill: float
    width: int = 1


class Columns:
    """Arrays of shape (n,), or (width, n), under names.

    >>> columns = Columns({"mean": Column("f4", 0.0), "ring": Column("f4", 0.0, 6)}, 3)
    >>> columns["ring"].shape
    (6, 3)
    """

    def __init__(self, layout: Mapping[str, Column], n: int = 0) -> None:
        self.layout = dict(layout)
        self._arrays = {name: _filled(column, n) for name, column in self.layout.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __setitem__(self, name: str, values: NDArray[Any]) -> None:
        self._arrays[name][...] = values

    def __len__(self) -> int:
        rows: int = next(iter(self._arrays.values())).shape[-1]
        return rows

    @property
    def nbytes(self) -> int:
        """How many bytes all rows take."""
        return sum(array.nbytes for array in self._arrays.values())

    def resize(self, moved: Ints, n: int) -> None:
        """Move row i to `moved[i]` of n rows (-1 drops it); the other rows are new."""
        if n == len(self) == len(moved) and np.array_equal(moved, np.arange(n)):
            return
        kept = np.flatnonzero(moved >= 0)
        if not len(kept):
            self._arrays = {name: _filled(column, n) for name, column in self.layout.items()}
            return
        source = np.full(n, -1, np.int64)
        source[moved[kept]] = kept
        new = np.flatnonzero(source < 0)
        for name, column in self.layout.items():
            carried = np.take(self._arrays[name], source, axis=-1, mode="wrap")
            carried[..., new] = column.fill
            self._arrays[name] = carried

    def restart(self, rows: NDArray[np.bool_]) -> None:
        """Make some rows new."""
        for name, column in self.layout.items():
            self._arrays[name][..., rows] = column.fill

    def to_state(self) -> dict[str, Any]:
        """Return a copy of all columns."""
        return {name: array.copy() for name, array in self._arrays.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        for name, column in self.layout.items():
            self._arrays[name] = np.array(state[name], dtype=column.dtype)


def _filled(column: Column, n: int) -> NDArray[Any]:
    shape = (n,) if column.width == 1 else (column.width, n)
    return np.full(shape, column.fill, column.dtype)
