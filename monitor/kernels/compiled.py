"""Whether the compiled loops run: for many rows, where numba is installed; numpy says the same for few."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

LEAST = 5_000
"""Rows from which the compiled loops run. Loading numba takes 0.9 s, which fewer rows seldom earn."""


def loops(rows: int) -> ModuleType | None:
    """Return the compiled loops, or None where numpy does as well.

    >>> loops(100) is None
    True
    """
    return _load() if rows >= LEAST else None


@cache
def _load() -> ModuleType | None:
    return import_module("monitor.kernels.loops") if find_spec("numba") else None
