"""The metric catalogue: what each metric is called, means, may read, and which way is bad.

The files are rules/metrics.yaml and rules/xid.yaml; docs/rules.md says how they are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from monitor.config.reading import (
    UNREADABLE,
    as_fields,
    as_mapping,
    as_record,
    as_value,
    joined,
    read_mapping,
    unknown_keys,
)
from monitor.errors import ConfigError
from monitor.types import Severity

MetricType = Literal["gauge", "counter", "event"]
BadDirection = Literal["up", "down", "both", "none"]
FrameKind = Literal["gpu", "network", "facility", "job", "model", "feature", "pipeline", "cost", "business"]
Family = Literal[
    "heat", "power", "clock", "activity", "throttle", "memory_errors", "hardware", "application",
    "interconnect", "fabric", "congestion", "throughput_net", "coolant_flow", "coolant_heat", "air",
    "facility_power", "benchmark", "capacity", "progress", "learning", "checkpoint", "failures", "latency",
    "errors", "traffic", "quality", "freshness", "drift", "data_quality", "pipeline_health", "cost",
    "revenue", "other",
]  # fmt: skip
Unit = Literal[
    "bitmask", "bytes", "bytes_per_second", "celsius", "code", "count", "flag", "generation", "hours",
    "joules", "kilowatts", "liters_per_minute", "megahertz", "milliseconds", "number", "per_second",
    "position", "ratio", "seconds", "teraflops", "ticks", "usd", "watts",
]  # fmt: skip
XidFamily = Literal["hardware", "application", "interconnect", "memory_errors"]

FRAME_KINDS: tuple[FrameKind, ...] = get_args(FrameKind)
PAGING_KINDS: frozenset[FrameKind] = frozenset({"gpu", "network", "facility", "job"})
"""Frame kinds whose statistics may page; the others raise and clear, which explains and makes tickets."""
FAMILIES: tuple[Family, ...] = get_args(Family)
SILENCE = "silence"
"""The signal family that no metric has: no data though expected."""

PEER_WORDS = ("sku", "job", "parent", "region", "model_type", "self")
_PEER = re.compile(r"sku|job|parent|region|model_type|self|tag:[a-z][a-z0-9_]*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another name of a metric on the wire: value = wire value x `scale`.

    `type` is the type under this name where it is not the metric's own: a gauge per second may come as the
    counter that it is the rate of.
    """

    name: str
    scale: float = 1.0
    type: MetricType | None = None


class Metric(msgspec.Struct, frozen=True):
    """One metric of one frame kind.

    `low` and `high` bound the valid readings, both included, in the metric's unit (of a counter: of the
    count itself, not of its rate); None is unbounded. `resolution` is the step of the readings. `bad` is the
    direction that harms, "none" where no direction does and charts only describe. `peers` are what two
    series must share, besides the entity kind and the metric, to be compared: `sku`, `job`, `parent`,
    `region`, `model_type`, `tag:NAME`; with `self` a series has no peers but its own past.
    `signal_nonfinite` says that NaN and the infinities are readings that mean something. Aliases stand in
    order of preference: where a frame carries several names of one metric, the canonical name counts, else
    the first alias.

    What may page: nothing statistical where `pages` is false (it explains, and makes tickets); else a
    deviation from the expected of at least `matters`, in the metric's unit, and of at least the share
    `matters_share` of what was expected. However sure a smaller one is, it harms nobody tonight. A fall must
    be at least `matters_down` where that is given: coolant that cools off with its load is no fault.
    """

    kind: FrameKind
    name: str
    type: MetricType
    unit: Unit
    bad: BadDirection
    family: Family
    low: float | None = None
    high: float | None = None
    resolution: float | None = None
    peers: tuple[str, ...] = ()
    signal_nonfinite: bool = False
    pages: bool = True
    matters: float = 0.0
    matters_share: float = 0.0
    matters_down: float | None = None
    aliases: tuple[Alias, ...] = ()


class XidCode(msgspec.Struct, frozen=True):
    """One NVIDIA XID error code. `hard` codes page by themselves; the others are evidence."""

    code: int
    mnemonic: str
    severity: Severity
    family: XidFamily
    hard: bool
    action: str
    description: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """All metrics and XID codes. Built by `parse`; immutable afterwards."""

    metrics: tuple[Metric, ...]
    sentinels: tuple[float, ...]
    xid: dict[int, XidCode]
    _by_name: dict[tuple[str, str], Metric]
    _by_wire_name: dict[tuple[str, str], tuple[Metric, float]]

    @classmethod
    def parse(
        cls, text: str, where: str = "metrics.yaml", xid_text: str = "", xid_where: str = "xid.yaml"
    ) -> Catalog:
        """Read the two catalogue files.

        Raises ConfigError with every problem of both files.
        """
        problems: list[str] = []
        metrics, sentinels = _parse_metrics(text, problems)
        xid_problems: list[str] = []
        xid = _parse_xid(xid_text, xid_problems)
        found = [ConfigError(w, p) for w, p in ((where, problems), (xid_where, xid_problems)) if p]
        if found:
            raise joined(found, f"{where}, {xid_where}")
        return cls(metrics, sentinels, xid, {(m.kind, m.name): m for m in metrics}, _wire_names(metrics))

    def get(self, kind: str, name: str) -> Metric | None:
        """Return the metric with this canonical name."""
        return self._by_name.get((kind, name))

    def resolve(self, kind: str, name: str) -> tuple[Metric, float] | None:
        """Return the metric that a frame means by `name`, and the scale from the wire to its unit.

        Under an alias of another type the metric returned has that type and that type's range, since a raw
        count is not bounded by what its rate may be. Sentinels are compared before the scale is applied.
        """
        return self._by_wire_name.get((kind, name))


def _wire_names(metrics: tuple[Metric, ...]) -> dict[tuple[str, str], tuple[Metric, float]]:
    names: dict[tuple[str, str], tuple[Metric, float]] = {(m.kind, m.name): (m, 1.0) for m in metrics}
    for metric in metrics:
        for alias in metric.aliases:
            names[metric.kind, alias.name] = (_typed(metric, alias.type), alias.scale)
    return names


def _typed(metric: Metric, type_: MetricType | None) -> Metric:
    if type_ is None or type_ == metric.type:
        return metric
    return msgspec.structs.replace(metric, type=type_, low=0.0, high=None, resolution=None)


def _parse_metrics(text: str, problems: list[str]) -> tuple[tuple[Metric, ...], tuple[float, ...]]:
    top = read_mapping(text, problems)
    problems.extend(unknown_keys(top, ["metrics", "sentinels"], ""))
    kinds = as_mapping(top.get("metrics"), "metrics", problems)
    problems.extend(unknown_keys(kinds, list(FRAME_KINDS), "metrics"))
    metrics: list[Metric] = []
    places: list[tuple[str, str, str]] = []
    for kind in FRAME_KINDS:
        for name, raw in as_mapping(kinds.get(kind), f"metrics.{kind}", problems).items():
            fields, aliases = _metric_parts(name, raw, f"metrics.{kind}.{name}", problems)
            places.append((kind, name, f"metrics.{kind}.{name}"))
            places.extend((kind, alias.name, place) for place, alias in aliases.items())
            if not problems:
                metrics.append(Metric(kind=kind, name=name, aliases=tuple(aliases.values()), **fields))
    problems.extend(_clashes(places))
    sentinels = _parse_sentinels(top.get("sentinels"), problems)
    return tuple(sorted(metrics, key=lambda m: (m.kind, m.name))), sentinels


def _metric_parts(
    name: str, raw: object, place: str, problems: list[str]
) -> tuple[dict[str, Any], dict[str, Alias]]:
    """Read the fields of a metric, and its aliases by their place."""
    if not _NAME.fullmatch(name):
        problems.append(f"{place}: a metric name is lower-case words joined by `_`")
    before = len(problems)
    body = as_mapping(raw, place, problems)
    if len(problems) > before:
        return {}, {}
    aliases = _parse_aliases(body.pop("aliases", []), f"{place}.aliases", problems)
    fields = as_fields(Metric, body, place, problems, known=("kind", "name", "aliases"))
    problems.extend(f"{place}.{problem}" for problem in _metric_problems(fields))
    return fields, aliases


def _parse_aliases(raw: object, place: str, problems: list[str]) -> dict[str, Alias]:
    items = as_value(list[Any], raw, place, problems)
    aliases = {}
    for i, item in enumerate([] if items is UNREADABLE else items):
        body = {"name": item} if isinstance(item, str) else item
        alias = as_record(Alias, body, f"{place}[{i}]", problems)
        if alias is None:
            continue
        if alias.scale <= 0:
            problems.append(f"{place}[{i}].scale: {alias.scale:g} is no scale; write a number above 0")
        aliases[f"{place}[{i}]"] = alias
    return aliases


def _metric_problems(fields: dict[str, Any]) -> list[str]:
    problems = []
    low, high, resolution = fields.get("low"), fields.get("high"), fields.get("resolution")
    if low is not None and high is not None and low >= high:
        problems.append(f"low: {low:g} is not below high, {high:g}")
    if resolution is not None and resolution <= 0:
        problems.append(f"resolution: {resolution:g} is no step; write a number above 0")
    problems += [
        f"{name}: {fields[name]:g} is no size; write a number from 0 on"
        for name in ("matters", "matters_share", "matters_down")
        if (fields.get(name) or 0.0) < 0
    ]
    if fields.get("type") == "counter" and low is None:
        problems.append("low: a counter needs one (0)")
    peers = fields.get("peers", ())
    problems.extend(
        f"peers[{i}]: `{word}` is neither {', '.join(PEER_WORDS)} nor tag:NAME"
        for i, word in enumerate(peers)
        if not _PEER.fullmatch(word)
    )
    if "self" in peers and len(peers) > 1:
        problems.append("peers: `self` stands alone")
    return problems


def _clashes(places: list[tuple[str, str, str]]) -> list[str]:
    """Names that would mean two metrics of one kind. A metric's own name goes before any alias."""
    owners = {(kind, name): place for kind, name, place in places if not place.endswith("]")}
    problems = []
    for kind, name, place in places:
        first = owners.setdefault((kind, name), place)
        if first != place:
            problems.append(f"{place}: `{name}` already means {first}; take one of them out")
    return problems


def _parse_sentinels(raw: object, problems: list[str]) -> tuple[float, ...]:
    items = as_value(list[Any], [] if raw is None else raw, "sentinels", problems)
    if items is UNREADABLE:
        return ()
    values = [as_value(float, item, f"sentinels[{i}]", problems) for i, item in enumerate(items)]
    return tuple(sorted({value for value in values if value is not UNREADABLE}))


def _parse_xid(text: str, problems: list[str]) -> dict[int, XidCode]:
    top = read_mapping(text, problems)
    problems.extend(unknown_keys(top, ["xid"], ""))
    found = {}
    for key, raw in as_mapping(top.get("xid"), "xid", problems).items():
        if not key.isdecimal() or int(key) == 0:
            problems.append(f"xid.{key}: an XID is a whole number above 0")
            continue
        code = as_record(XidCode, raw, f"xid.{key}", problems, code=int(key))
        if code is None:
            continue
        if code.hard and code.severity not in {"critical", "error"}:
            problems.append(f"xid.{key}.severity: a hard code pages, so it is critical or error")
        found[code.code] = code
    return dict(sorted(found.items()))
