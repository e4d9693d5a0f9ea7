"""Standing signals: built from latched rows, kept while a row has no new point, told apart by their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from monitor.types import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.types import Floats


class Key(NamedTuple):
    """What makes two signals the same one."""

    entity: str
    metric: str
    detector: str


class Standing:
    """The signals that stand, and what a round changed."""

    def __init__(self) -> None:
        self._signals: dict[Key, Signal] = {}

    def get(self, key: Key) -> Signal | None:
        """Return the signal with this key as it stood last."""
        return self._signals.get(key)

    def replace(
        self, signals: Iterable[Signal]
    ) -> tuple[tuple[Signal, ...], tuple[Signal, ...], tuple[Signal, ...]]:
        """Take all signals that stand now; return (all, raised, cleared), each sorted."""
        now = {Key(s.entity, s.metric, s.detector): s for s in sorted(signals)}
        raised = tuple(s for key, s in now.items() if key not in self._signals)
        cleared = tuple(s for key, s in self._signals.items() if key not in now)
        self._signals = now
        return tuple(now.values()), raised, cleared

    def to_state(self) -> dict[str, Any]:
        """Return the signals as lists of their fields."""
        return {"signals": [list(msgspec.structs.astuple(s)) for s in self._signals.values()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave."""
        signals = [Signal(*fields) for fields in state["signals"]]
        self._signals = {Key(s.entity, s.metric, s.detector): s for s in signals}


def number(value: float) -> float | None:
    """Return a number as records show it: six significant digits, None for NaN.

    >>> number(0.1 + 0.2), number(float("nan"))
    (0.3, None)
    """
    return float(f"{value:.6g}") if np.isfinite(value) else None


def limits(expected: Floats, sigma: Floats, sigmas: float) -> tuple[Floats, Floats]:
    """Return the chart's LCL and UCL."""
    return expected - sigmas * sigma, expected + sigmas * sigma
