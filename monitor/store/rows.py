"""Records as columns of their tables: a list for each column, in the table's order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.store import tables
from monitor.types import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from monitor.cells import LateFrame
    from monitor.topology import Graph, Topology
    from monitor.topology.entity import Entity
    from monitor.types import Anomaly, Change, DeadLetter, Incident

Columns = list[list[Any]]
Numbered = tuple[int, "Incident"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(ts: int) -> datetime:
    """Return a time as the client writes it.

    >>> moment(1_795_500_000_250).isoformat()
    '2026-11-24T06:00:00.250000+00:00'
    """
    return EPOCH + timedelta(milliseconds=ts)


def _maybe(ts: int | None) -> datetime | None:
    return None if ts is None else moment(ts)


def _columns(table: tables.Table, records: Iterable[Any], row: Callable[[Any], Sequence[Any]]) -> Columns:
    found = [row(record) for record in records]
    if not found:
        return [[] for _ in table.columns]
    assert len(found[0]) == len(table.columns), table.name
    return [list(column) for column in zip(*found, strict=True)]


def anomalies(records: Iterable[Anomaly]) -> Columns:
    """Return the columns of anomaly records."""
    return _columns(
        tables.ANOMALIES,
        records,
        lambda a: (
            moment(a.ts), a.id, a.state, a.entity, a.metric, a.detector, a.reason, a.direction, a.value,
            a.expected, a.lower, a.upper, a.score,
        ),
    )  # fmt: skip


def incidents(records: Iterable[Numbered]) -> Columns:
    """Return the columns of transitions, each with the number of its line; `record` is the line itself."""
    encode = msgspec.json.Encoder().encode
    return _columns(
        tables.INCIDENTS,
        records,
        lambda numbered: (*_transition(*numbered), encode(numbered[1]).decode()),
    )


def _transition(line: int, i: Incident) -> tuple[Any, ...]:
    return (
        moment(i.updated_at), line, i.id, i.episode, i.transition, i.state, i.severity, i.class_, i.scope,
        moment(i.opened_at), moment(i.detected_at), _maybe(i.paged_at), _maybe(i.resolved_at), i.cause.entity,
        i.cause.reason, i.cause.confidence, i.cause.explanation, i.affected.count, list(i.affected.entities),
        i.anomalies, list(i.changes), i.owner, i.runbook, i.pages, i.merged_into, i.cost_impact_usd,
    )  # fmt: skip


def candidates(records: Iterable[Numbered]) -> Columns:
    """Return the columns of the candidate causes of transitions, the first with rank 1."""
    ranked = [
        (line, incident, rank, candidate)
        for line, incident in records
        for rank, candidate in enumerate(incident.candidates, 1)
    ]
    return _columns(
        tables.CANDIDATES,
        ranked,
        lambda r: (
            moment(r[1].updated_at), r[0], r[1].id, r[1].episode, r[2], r[3].entity, r[3].score,
            list(r[3].evidence),
        ),
    )  # fmt: skip


def decisions(records: Iterable[Any]) -> Columns:
    """Return the columns of decisions to page or not."""
    return _columns(
        tables.DECISIONS, records, lambda d: (moment(d.ts), d.incident, d.entity, str(d.reason), d.detail)
    )


def changes(records: Iterable[Change]) -> Columns:
    """Return the columns of changes."""
    return _columns(
        tables.CHANGES,
        records,
        lambda c: (moment(c.ts), c.entity, c.change, c.version, c.summary, _maybe(c.until)),
    )


def dead_letters(records: Iterable[DeadLetter]) -> Columns:
    """Return the columns of dead letters; a position is JSON with sorted names."""
    return _columns(
        tables.DEAD_LETTERS,
        records,
        lambda d: (d.reason, d.detail, position_text(d.position), _maybe(d.received), d.frame),
    )


def position_text(position: dict[str, str | int]) -> str:
    """Return a position as text.

    >>> position_text({"line": 3, "file": "a.ndjson"})
    '{"file":"a.ndjson","line":3}'
    """
    return msgspec.json.encode(position, order="sorted").decode()


def late_frames(records: Iterable[LateFrame]) -> Columns:
    """Return the columns of late frames."""
    return _columns(
        tables.LATE_FRAMES,
        records,
        lambda f: (f.kind, f.source, moment(f.ts), moment(f.arrival), f.frame),
    )


def topology(known: Topology) -> Columns:
    """Return the columns of a topology: each line with what contains and supplies it when it begins.

    `within` and `supplied_by` name the nearest of each kind: its containers, and what it or they depend on.
    """
    return _columns(tables.TOPOLOGY, known.entities, lambda entity: _place(entity, known))


def _place(entity: Entity, known: Topology) -> tuple[Any, ...]:
    begins = entity.from_ or 0
    graph = known.at(begins)
    i = graph.index[entity.id]
    above = [int(a) for a in graph.ancestors(i)]
    supply = [int(d) for place in (i, *above) for d in graph.dependencies(place)]
    return (
        entity.id, kind_of(entity.id), entity.parent or "", list(entity.depends_on), graph.owner(i),
        entity.tags, _nearest(graph, above), _nearest(graph, supply), moment(begins), _maybe(entity.until),
    )  # fmt: skip


def _nearest(graph: Graph, places: list[int]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place in places:
        found.setdefault(graph.kinds[place], graph.ids[place])
    return found


def replay(identity: str, rank: int, files: list[str], done: tuple[int, int, int]) -> Columns:
    """Return the columns of one replay: `rank` 1 begun, 2 finished; frames, samples and clock so far."""
    frames, samples, clock = done
    return [[identity], [rank], [files], [frames], [samples], [moment(clock)]]
