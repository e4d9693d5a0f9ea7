"""What a pipeline does not see, or does not judge yet, and what to do about each: `monitor doctor`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from monitor.catalog import FRAME_KINDS
from monitor.detect.readiness import LEARNING, OWN, PEERS, UNJUDGED
from monitor.ingest.rhythm import GAPS
from monitor.topology import container_of
from monitor.types import kind_of
from monitor.units import HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitor.catalog import Catalog
    from monitor.ingest.exposition.tally import LeftOut
    from monitor.pipeline import Pipeline
    from monitor.topology import Graph
    from monitor.types import Ints, SeriesKey, SourceLife

Topic = Literal[
    "blind", "failed_scrapes", "dead_letters", "silent", "wrong_clock", "unmapped", "labels_missing",
    "doubled", "uncatalogued", "unplaced", "unheard", "late", "data_quality", "learning",
]  # fmt: skip
MOST = 1_000
"""Names that a finding lists at most."""

ADVICE: dict[Topic, str] = {
    "blind": "look at the way here (network, bus, this process); nobody is called silent meanwhile",
    "failed_scrapes": "open each in a browser; mend it, or take it out of the scrape file",
    "dead_letters": "mend their producers; `monitor dead list` shows each frame with its reason",
    "silent": "see whether they live; where they were taken away, end them in the topology (`until`)",
    "wrong_clock": "set their clocks (NTP); frames that come too late are stored and judged no more",
    "unmapped": "names worth judging: aliases in metrics.yaml, and a label map; leave the rest",
    "labels_missing": "give the label map a template for the labels they have (docs/sources.md)",
    "doubled": "name the label that tells them apart in `item`, or add the metric up with `sum`",
    "uncatalogued": "charted as gauges; write them into metrics.yaml with their unit and bad side",
    "unplaced": "add them to the topology; until then their name alone places them",
    "unheard": "point a source at them, or take them out of the topology",
    "late": "kept and judged no more: look at the way here; what is of the past is for `monitor replay`",
    "data_quality": "taken as not measured; see the ranges in metrics.yaml and the exporter's own words",
    "learning": "wait: peers count from 30 min of telemetry on, their own past from 2 h (settings.yaml)",
}
ODD: dict[Topic, tuple[str, ...]] = {
    "late": ("late",), "data_quality": ("out_of_range", "not_finite", "conflict"),
}  # fmt: skip
LEAD_MS = 30 * SECOND


class Named(msgspec.Struct, frozen=True):
    """One thing that a finding is about."""

    name: str
    detail: str


class Finding(msgspec.Struct, frozen=True):
    """Something to know: how many, which (the first ones), and what to do about it."""

    topic: Topic
    count: int
    advice: str
    items: tuple[Named, ...]


class Readiness(msgspec.Struct, frozen=True):
    """How many entities of a kind are judged by nothing yet, by their peers, by their own history."""

    learning: int
    peers: int
    ready: int


class Diagnosis(msgspec.Struct, frozen=True):
    """The whole report. `at` is the event time up to which all is decided."""

    at: int
    sources: int
    series: int
    entities: dict[str, Readiness]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Outside:
    """What the pipeline does not know: what never became a frame.

    dead: dead letters by reason. left: series in no frame. doubled: samples that fell on one place, by
    metric. failed: targets whose last scrape failed, with why.
    """

    dead: Mapping[str, int] = field(default_factory=dict)
    left: Sequence[LeftOut] = ()
    doubled: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteStanding:
    """How a site stands. ready: of each series, as detect/readiness.py says; blind_since: 0 = it sees."""

    series: tuple[SeriesKey, ...]
    ready: Ints
    graph: Graph
    blind_since: int


def diagnose(pipeline: Pipeline, catalog: Catalog, outside: Outside) -> Diagnosis:
    """Say how a pipeline stands. It is only read."""
    site, lives, at = pipeline.standing(), pipeline.lives(), pipeline.closed
    states = _states(site)
    found: dict[Topic, list[Named]] = {
        "blind": [Named("all sources", f"since {_ago(at - site.blind_since)}")] if site.blind_since else [],
        "failed_scrapes": [Named(target, why) for target, why in sorted(outside.failed.items())],
        "silent": [*_silent_sources(lives, at), *(
            Named(item.entity, f"{item.kind}: last heard {_ago(at - item.since)} ago")
            for item in pipeline.silent_items()
        )],
        "wrong_clock": _wrong_clocks(lives),
        "uncatalogued": _uncatalogued(site, catalog),
        "unplaced": _unplaced(site),
        "unheard": _unheard(site),
        "learning": _learning(states, lives),
    }  # fmt: skip
    findings = [_finding(topic, len(items), items) for topic, items in found.items()]
    findings += _counted(outside, {str(reason): n for reason, n in pipeline.quality.items()})
    order = list(ADVICE)
    return Diagnosis(
        at=at,
        sources=len(lives),
        series=len(site.series),
        entities=_by_kind(states),
        findings=tuple(sorted((f for f in findings if f.count), key=lambda f: order.index(f.topic))),
    )


def _finding(topic: Topic, count: int, items: Iterable[Named]) -> Finding:
    return Finding(topic, count, ADVICE[topic], tuple(items)[:MOST])


def _counted(outside: Outside, quality: Mapping[str, int]) -> Iterable[Finding]:
    """Yield the findings that count readings or series instead of entities."""
    counts: dict[Topic, list[tuple[str, int, str]]] = {
        "dead_letters": [(reason, n, "frames") for reason, n in outside.dead.items()],
        "doubled": [(name, n, "samples") for name, n in outside.doubled.items()],
        **{
            topic: [(reason, quality[reason], "times") for reason in reasons if quality.get(reason)]
            for topic, reasons in ODD.items()
        },
    }
    by_name: tuple[Topic, ...] = ("unmapped", "labels_missing")
    for topic in by_name:
        of_it = [row for row in outside.left if row.reason == topic]
        counts[topic] = [(row.name, row.series, f"series of {_several(row.targets)}") for row in of_it]
    for topic, rows in counts.items():
        rows.sort(key=lambda row: (-row[1], row[0]))
        count = len(rows) if topic in by_name else sum(n for _, n, _ in rows)
        yield _finding(topic, count, (Named(name, f"{n:,} {what}") for name, n, what in rows))


def _several(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} targets, {names[0]} first"


def _silent_sources(lives: Sequence[SourceLife], at: int) -> list[Named]:
    return [
        Named(
            life.source,
            f"{life.kind}: last heard {_ago(at - life.last)} ago; one each {_ago(life.rhythm_ms)}",
        )
        for life in lives
        if life.silent
    ]


def _wrong_clocks(lives: Sequence[SourceLife]) -> list[Named]:
    late = [Named(life.source, f"{life.kind}: its frames come too late") for life in lives if life.late]
    ahead = [
        Named(life.source, f"{life.kind}: stamps are {_ago(life.lead_ms)} ahead of when they come in")
        for life in lives
        if life.lead_ms >= LEAD_MS
    ]
    return late + ahead


def _uncatalogued(site: SiteStanding, catalog: Catalog) -> list[Named]:
    counts = Counter((key.kind, key.metric) for key in site.series)
    strange = {pair: n for pair, n in counts.items() if catalog.get(*pair) is None}
    return [Named(f"{kind}.{name}", f"{n:,} series") for (kind, name), n in sorted(strange.items())]


def _heard(site: SiteStanding) -> set[str]:
    names = {key.entity for key in site.series}
    return names | {box for name in names if (box := container_of(name))}


def _unplaced(site: SiteStanding) -> list[Named]:
    graph = site.graph
    heard = sorted(_heard(site), key=lambda name: (kind_of(name), name))
    return [
        Named(name, "not in the topology")
        for name in heard
        if name in graph.index and not graph.registered[graph.index[name]]
    ]


def _unheard(site: SiteStanding) -> list[Named]:
    """Return what is registered and was never heard, of the kinds of which others are heard."""
    heard, graph = _heard(site), site.graph
    kinds = {kind_of(name) for name in heard}
    return [
        Named(name, "in the topology, never heard")
        for name, known in zip(graph.ids, graph.registered.tolist(), strict=True)
        if known and kind_of(name) in kinds and name not in heard
    ]


def _states(site: SiteStanding) -> dict[str, list[int]]:
    """Return by what each series of an entity is judged, in order, of those that ever will be."""
    states: dict[str, list[int]] = {}
    for key, state in zip(site.series, site.ready.tolist(), strict=True):
        if state != UNJUDGED:
            states.setdefault(key.entity, []).append(state)
    return {entity: sorted(found) for entity, found in sorted(states.items())}


def _middle(states: Sequence[int]) -> int:
    """Return by what an entity is judged: as half of its series, or more, are at least."""
    return states[len(states) // 2]


def _by_kind(states: Mapping[str, Sequence[int]]) -> dict[str, Readiness]:
    counts: dict[str, Counter[int]] = {}
    for entity, found in states.items():
        counts.setdefault(kind_of(entity), Counter())[_middle(found)] += 1
    return {kind: Readiness(n[LEARNING], n[PEERS], n[OWN]) for kind, n in sorted(counts.items())}


def _learning(states: Mapping[str, Sequence[int]], lives: Sequence[SourceLife]) -> list[Named]:
    found = [
        Named(entity, f"{series.count(LEARNING)} of {len(series)} series have learnt nothing yet")
        for entity, series in states.items()
        if _middle(series) == LEARNING
    ]
    needed = f"of {GAPS} gaps, by which its silence is judged"
    young = (life for life in lives if not life.rhythm_ms and life.kind in FRAME_KINDS)
    return found + [Named(life.source, f"{life.kind}: {life.gaps} {needed}") for life in young]


def _ago(ms: int) -> str:
    """Return a duration in words.

    >>> _ago(15_000), _ago(600_000), _ago(9_000_000)
    ('15 s', '10 min', '2.5 h')
    """
    for unit, name, upto in ((SECOND, "s", 2 * MINUTE), (MINUTE, "min", 2 * HOUR), (HOUR, "h", 72 * HOUR)):
        if ms < upto:
            return f"{max(ms, 0) / unit:.3g} {name}"
    return f"{ms / (24 * HOUR):.3g} d"
