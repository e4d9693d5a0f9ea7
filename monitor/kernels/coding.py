"""Numbers for names and for combinations of numbers, and where names have moved to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from monitor.types import Ints

Name = TypeVar("Name", str, tuple[str, str])

_DENSE = 8
"""Up to so many possible codes for each row are numbered through a table of them all, else by sorting."""


def number(*columns: NDArray[np.integer[Any]]) -> tuple[Ints, Ints]:
    """Return the number of each tuple of the columns, ascending, and where each number stands first.

    columns: not negative, all of shape (n,). The cost is O(n) where the codes are dense.

    >>> number(np.array([3, 1, 3]), np.array([0, 5, 0]))
    (array([1, 0, 1]), array([1, 0]))
    """
    n = len(columns[0])
    code = np.zeros(n, np.int64)
    size = 1
    for column in columns:
        span = int(column.max(initial=0)) + 1
        code, size = code * span + column, size * span
    if size > _DENSE * (n + 1024):
        _, first, found = np.unique(code, return_index=True, return_inverse=True)
        return found.astype(np.int64), first.astype(np.int64)
    place = np.full(size, n, np.int64)
    place[code[::-1]] = np.arange(n - 1, -1, -1)  # the first of each code is written last, and stays
    known = np.flatnonzero(place < n)
    first = place[known]
    place[known] = np.arange(len(known))
    return place[code], first


def coded(names: Sequence[Name]) -> tuple[Ints, list[Name]]:
    """Return the code of each name, and the distinct names, sorted.

    >>> coded(["b", "a", "b"])
    (array([1, 0, 1]), ['a', 'b'])
    """
    distinct = sorted(set(names))
    place = {name: code for code, name in enumerate(distinct)}
    return np.array([place[name] for name in names], np.int64), distinct


def moved_to(old: Sequence[Hashable], new: Sequence[Hashable]) -> Ints:
    """Return where each old name stands among the new ones, -1 for gone.

    >>> moved_to(["a", "b"], ["b", "c"])
    array([-1,  0])
    """
    if old == new:
        return np.arange(len(new))
    place = {name: number for number, name in enumerate(new)}
    return np.array([place.get(name, -1) for name in old], np.int64)


def carried(old: NDArray[Any], moved: Ints, size: int, fill: float = 0) -> NDArray[Any]:
    """Return a column of `size` rows in which row i of the old one stands at `moved[i]` (-1: nowhere).

    >>> carried(np.array([5, 6]), np.array([-1, 2]), 3)
    array([0, 0, 6])
    """
    fresh = np.full((size, *old.shape[1:]), fill, old.dtype)
    kept = moved >= 0
    fresh[moved[kept]] = old[kept]
    return fresh


def through(moved: Ints, places: Ints) -> Ints:
    """Return where things get to that stand at `places` (-1: nowhere) when these move to `moved`.

    >>> through(np.array([3, -1, 4]), np.array([2, -1, 1, 0]))
    array([ 4, -1, -1,  3])
    """
    return np.where(places >= 0, np.append(moved, -1)[places], -1)
