"""Silences, late sources and blindness as signals that stand until they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from monitor.types import Signal
from monitor.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.ingest.absence import Blindness
    from monitor.types import Lag, Silence

CERTAIN = 50.0
"""Nats of a fact that needs no statistics."""

LOST_KINDS = frozenset({"gpu", "network"})
"""Frame kinds whose silence is a lost node, GPU, switch or port. A sensor, a model or a bill that stays away
takes no capacity."""

FAMILY_OF_SILENCE = {"job": "progress"}
"""What the silence of a frame kind is evidence of: a job whose ranks report nothing makes no progress, which
is what a job that ended, hangs or lost a node looks like."""

OVER_MS = HOUR
"""A job that has sent nothing for this long is over, whatever ended it; its silence says no more."""

MONITOR = "service:monitor"

Key = tuple[str, str]


class Standing:
    """The signals about presence that stand, by (entity, metric)."""

    def __init__(self) -> None:
        self._signals: dict[Key, Signal] = {}

    @property
    def signals(self) -> tuple[Signal, ...]:
        """All that stand, in order."""
        return tuple(self._signals[key] for key in sorted(self._signals))

    def step(
        self,
        end: int,
        silences: Iterable[Silence],
        lags: Iterable[Lag],
        blindness: Iterable[Blindness],
        ended: Callable[[str], bool],
    ) -> tuple[list[Signal], list[Signal]]:
        """Take what began and ended in a tick; return the signals (raised, cleared), in order.

        ended: whether the topology says that an entity is no more. A job that has ended makes no progress
        and need not; what carries it stays silent until somebody says why.
        """
        raised: list[Signal] = []
        cleared = self._expire(end, ended)
        for silence in silences:
            signal = _silent(silence, end)
            begins = silence.state == "silent"
            if not (begins and signal.family == "progress" and ended(signal.entity)):
                self._move(signal, (raised, cleared), begins=begins)
        for lag in lags:
            self._move(_lagging(lag, end), (raised, cleared), begins=lag.state == "late")
        for blind in blindness:
            signal = _fact(MONITOR, "silence", "absence", ("silence", "blind"), (blind.since, end), page=True)
            self._move(signal, (raised, cleared), begins=blind.state == "blind")
        return sorted(raised), sorted(cleared)

    def _expire(self, end: int, ended: Callable[[str], bool]) -> list[Signal]:
        over = [
            key
            for key, signal in sorted(self._signals.items())
            if signal.family == "progress" and (end - signal.since > OVER_MS or ended(signal.entity))
        ]
        return [self._signals.pop(key) for key in over]

    def _move(self, signal: Signal, out: tuple[list[Signal], list[Signal]], *, begins: bool) -> None:
        key = (signal.entity, signal.metric)
        if begins and key not in self._signals:
            self._signals[key] = signal
            out[0].append(signal)
        elif not begins and key in self._signals:
            out[1].append(self._signals.pop(key))

    def to_state(self) -> list[Signal]:
        """Return what stands."""
        return list(self.signals)

    @classmethod
    def from_state(cls, state: Any) -> Standing:
        """Build from what `to_state` gave."""
        standing = cls()
        for signal in msgspec.convert(state, list[Signal]):
            standing._signals[signal.entity, signal.metric] = signal
        return standing


def _silent(silence: Silence, end: int) -> Signal:
    page = silence.kind in LOST_KINDS
    metric = "silence" if page else f"silence:{silence.kind}"
    family = FAMILY_OF_SILENCE.get(silence.kind, "silence")
    return _fact(silence.entity, metric, "absence", (family, "no_data"), (silence.since, end), page=page)


def _lagging(lag: Lag, end: int) -> Signal:
    minutes = lag.behind_ms / 60_000
    fact = _fact(lag.entity, "lateness", "lateness", ("other", "late_source"), (lag.at, end), page=False)
    return msgspec.structs.replace(fact, value=minutes, expected=0.0, direction="up", hard=False)


def _fact(
    entity: str, metric: str, detector: str, what: tuple[str, str], when: tuple[int, int], *, page: bool
) -> Signal:
    family, reason = what
    since, raised_at = when
    return Signal(
        entity=entity, metric=metric, detector=detector, family=family, reason=reason, direction="none",
        since=since, raised_at=raised_at, value=None, expected=None, lower=None, upper=None,
        score=CERTAIN, page=page, hard=page,
    )  # fmt: skip
