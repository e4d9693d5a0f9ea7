"""The metric catalogue: what each metric is called, means, may read, and which way is bad.

The files are rules/metrics.yaml and rules/xid.yaml; docs/rules.md says how they are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from monitor.config.reading import as_mapping, as_record, joined, read_mapping, unknown_keys
from monitor.errors import ConfigError
from monitor.types import Severity  # noqa: TC001 (msgspec reads the annotations)

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
    found = []
    for kind in FRAME_KINDS:
        entries = as_mapping(kinds.get(kind), f"metrics.{kind}", problems)
        for name, raw in entries.items():
            metric = _parse_metric(kind, name, raw, problems)
            if metric is not None:
                found.append(metric)
    problems.extend(_clashes(found))
    metrics = tuple(sorted(found, key=lambda m: (m.kind, m.name)))
    return metrics, _parse_sentinels(top.get("sentinels"), problems)


def _parse_metric(kind: FrameKind, name: str, raw: object, problems: list[str]) -> Metric | None:
    place = f"metrics.{kind}.{name}"
    body = as_mapping(raw, place, problems)
    if isinstance(body.get("aliases"), list):
        body["aliases"] = [{"name": a} if isinstance(a, str) else a for a in body["aliases"]]
    metric = as_record(Metric, body, place, problems, kind=kind, name=name)
    if not _NAME.fullmatch(name):
        problems.append(f"{place}: a metric name is lower-case words joined by `_`")
    if metric is not None:
        problems.extend(f"{place}.{problem}" for problem in _metric_problems(metric))
    return metric


def _metric_problems(metric: Metric) -> list[str]:
    problems = []
    if metric.low is not None and metric.high is not None and metric.low >= metric.high:
        problems.append(f"low: {metric.low:g} is not below high, {metric.high:g}")
    if metric.resolution is not None and metric.resolution <= 0:
        problems.append(f"resolution: {metric.resolution:g} is no step; write a number above 0")
    if metric.type == "counter" and metric.low is None:
        problems.append("low: a counter needs one (0)")
    problems.extend(
        f"peers[{i}]: `{word}` is neither {', '.join(PEER_WORDS)} nor tag:NAME"
        for i, word in enumerate(metric.peers)
        if not _PEER.fullmatch(word)
    )
    if "self" in metric.peers and len(metric.peers) > 1:
        problems.append("peers: `self` stands alone")
    problems.extend(
        f"aliases[{i}].scale: {alias.scale:g} is no scale; write a number above 0"
        for i, alias in enumerate(metric.aliases)
        if not 0 < alias.scale < float("inf")
    )
    return problems


def _clashes(metrics: list[Metric]) -> list[str]:
    """Names that would mean two metrics of one kind."""
    owner = {(m.kind, m.name): f"metrics.{m.kind}.{m.name}" for m in metrics}
    problems = []
    for metric in metrics:
        for i, alias in enumerate(metric.aliases):
            place = f"metrics.{metric.kind}.{metric.name}.aliases[{i}]"
            first = owner.setdefault((metric.kind, alias.name), place)
            if first != place:
                problems.append(f"{place}: `{alias.name}` is already {first}")
    return problems


def _parse_sentinels(raw: Any, problems: list[str]) -> tuple[float, ...]:  # noqa: ANN401
    try:
        values = msgspec.convert(raw if raw is not None else [], tuple[float, ...])
    except msgspec.ValidationError as error:
        problems.append(f"sentinels: {error}")
        return ()
    return tuple(sorted(set(values)))


def _parse_xid(text: str, problems: list[str]) -> dict[int, XidCode]:
    top = read_mapping(text, problems)
    problems.extend(unknown_keys(top, ["xid"], ""))
    found = {}
    for key, raw in as_mapping(top.get("xid"), "xid", problems).items():
        if not key.isdigit() or int(key) == 0:
            problems.append(f"xid.{key}: an XID is a whole number above 0")
            continue
        code = as_record(XidCode, raw, f"xid.{key}", problems, code=int(key))
        if code is None:
            continue
        if code.hard and code.severity not in {"critical", "error"}:
            problems.append(f"xid.{key}.severity: a hard code pages, so it is critical or error")
        found[code.code] = code
    return dict(sorted(found.items()))
