"""What crosses the borders between stages: one frozen record for each.

Times are integer milliseconds of event time. Arrays are numpy; `S` is the number of series in a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

Direction = Literal["up", "down", "none"]
Severity = Literal["critical", "error", "warning", "info"]
IncidentClass = Literal["data", "model", "infrastructure", "business", "cost"]
IncidentState = Literal["open", "acknowledged", "resolved", "merged"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")


def kind_of(entity: str) -> str:
    """Return the kind in an entity id.

    >>> kind_of("gpu:n0001/3")
    'gpu'
    """
    return entity.partition(":")[0]


class SeriesKey(NamedTuple):
    """What a series is called. Tuples of it sort in canonical order."""

    kind: str
    entity: str
    metric: str


class Silence(msgspec.Struct, frozen=True, order=True):
    """A source, or one item of it, stopped sending or came back.

    `since` is its last frame in time (when it fell silent) or the end of the tick in which it came back;
    `rhythm_ms` the learnt gap between its frames, `patience_ms` how long it may be quiet.
    """

    entity: str
    kind: str
    since: int
    state: Literal["silent", "back"]
    rhythm_ms: int
    patience_ms: int


class SourceLife(msgspec.Struct, frozen=True, order=True):
    """What is known of how a source sends (monitor doctor).

    gaps: between its frames, so far. rhythm_ms: the usual one, 0 while it is not learnt. last: its last frame
    in time. silent: it is overdue. lead_ms: how far its stamps are ahead of when its frames are taken in.
    late: its frames keep coming too late.
    """

    kind: str
    source: str
    gaps: int
    rhythm_ms: int
    last: int
    silent: bool
    lead_ms: int
    late: bool


class Lag(msgspec.Struct, frozen=True, order=True):
    """A source's frames began to come late all the time, by `behind_ms` or so, or come in time again."""

    entity: str
    kind: str
    at: int
    behind_ms: int
    state: Literal["late", "in_time"]


class Change(msgspec.Struct, frozen=True, order=True):
    """Something that people or automation did to an entity."""

    ts: int
    entity: str
    change: str
    version: str
    summary: str
    until: int | None = None


class Command(msgspec.Struct, frozen=True, order=True):
    """What a person told the pipeline: ack, resolve, mark, silence, rebaseline."""

    ts: int
    user: str
    action: str
    target: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TickPart:
    """What one partition says about one closed tick.

    `series` holds the partition's own series numbers; `new_series` announces the numbers that are used
    here for the first time, in order. The cells of one series stand together, by ts. `heard` is the latest ts
    of any frame in time, ever, less what its source's clock is ahead; `patience` how long the most frequent
    source may be quiet (0: not known yet).
    """

    partition: int
    end: int
    new_series: tuple[SeriesKey, ...]
    series: Ints
    ts: Ints
    value: Floats
    silences: tuple[Silence, ...] = ()
    lags: tuple[Lag, ...] = ()
    heard: int = 0
    patience: int = 0
    changes: tuple[Change, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One round of one tick over a site's series table, in canonical order.

    A tick that holds several points of one series is several rounds.

    x: the points, NaN where a series has none. ts: their times, -1 where there is none. Both of shape (S,).
    """

    end: int
    x: Floats
    ts: Ints


class Signal(msgspec.Struct, frozen=True, order=True):
    """An anomaly that stands: raised, not cleared yet.

    `score` is the greatest evidence so far, in nats against the null. `page` says that the evidence passed
    the page level, `hard` that it is a fact which needs no statistics. `since` is when it began as far as
    the evidence tells; `raised_at` the end of the tick that raised it. `matters`: it was off by as much as is
    of consequence to somebody.
    """

    entity: str
    metric: str
    detector: str
    family: str
    reason: str
    direction: Direction
    since: int
    raised_at: int
    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    score: float
    page: bool
    hard: bool
    matters: bool = True


class Anomaly(msgspec.Struct, frozen=True):
    """One line of the anomalies output: a signal was raised, or it cleared (contract: Records)."""

    id: str
    state: Literal["raised", "cleared"]
    ts: int
    entity: str
    metric: str
    detector: str
    reason: str
    direction: Direction
    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    score: float


class Cause(msgspec.Struct, frozen=True):
    """The entity (and what is wrong with it) that explains an incident."""

    entity: str
    reason: str
    confidence: float
    explanation: str


class Candidate(msgspec.Struct, frozen=True):
    """One possible cause with its share of the belief, and what speaks for and against it."""

    entity: str
    score: float
    evidence: tuple[str, ...]


class Affected(msgspec.Struct, frozen=True):
    """Who shows an incident; at most 100 entities are listed, the biggest scales first."""

    count: int
    by_kind: dict[str, int]
    entities: tuple[str, ...]


class SignalCount(msgspec.Struct, frozen=True):
    """How many entities show one metric by one detector."""

    metric: str
    detector: str
    count: int


class Incident(msgspec.Struct, frozen=True):
    """One line of the incidents output: how an incident stands after a transition (contract: Records)."""

    id: str
    episode: int
    state: IncidentState
    severity: Severity
    class_: IncidentClass = msgspec.field(name="class")
    scope: str
    opened_at: int
    detected_at: int
    paged_at: int | None
    updated_at: int
    resolved_at: int | None
    cause: Cause
    candidates: tuple[Candidate, ...]
    affected: Affected
    anomalies: int
    signals: tuple[SignalCount, ...]
    changes: tuple[str, ...]
    owner: str
    runbook: str
    first_query: str
    pages: int
    merged_into: str | None
    cost_impact_usd: float | None
    transition: str


class DeadLetter(msgspec.Struct, frozen=True):
    """A frame that could not be read, whole, with its reason and place."""

    position: dict[str, str | int]
    reason: str
    detail: str
    received: int | None
    frame: str
