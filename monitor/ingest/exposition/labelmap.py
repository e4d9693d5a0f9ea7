"""Label maps: how an exporter's labels name our entities. The files are rules/labelmaps/*.yaml.

docs/sources.md says how they are written. A map is a list of blocks; the first block of all maps whose
`names` match a sample's name places it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.catalog import FrameKind
from monitor.config.reading import (
    UNREADABLE,
    as_fields,
    as_mapping,
    as_record,
    as_value,
    read_mapping,
    unknown_keys,
)
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.catalog import Catalog

_PLACE = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(\|host)?\}")
_MAP_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Derived(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric that no single sample says. Exactly one of `quantile`, `ratio` and `of` with `where`.

    quantile: of the histogram `of`, over the time between two scrapes. ratio: growth of the counters named,
    over the growth of those in `to`. of alone: the sample of that name whose labels are as in `where`. The
    result is multiplied by `scale`.
    """

    of: str | None = None
    quantile: float | None = None
    ratio: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    where: dict[str, str] = {}
    scale: float = 1.0

    @property
    def inputs(self) -> tuple[str, ...]:
        """The samples that it is worked out from."""
        if self.quantile is not None:
            return (f"{self.of}_bucket",)
        return tuple(dict.fromkeys((*self.ratio, *self.to)))


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Samples of one kind of entity: which they are, whose they are, and what becomes of them.

    names: globs. source, item: templates in order of preference; the first counts whose labels are all
    there. Every name that the catalogue knows is carried; `sum` names counters of which an item may have
    several series.
    """

    names: tuple[str, ...]
    kind: FrameKind
    source: tuple[str, ...]
    item: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    sum: tuple[str, ...] = ()
    derive: dict[str, Derived] = {}


@dataclass(frozen=True, slots=True)
class LabelMap:
    """One label map: what it is called, and its blocks."""

    name: str
    blocks: tuple[Block, ...]


def parse_labelmap(file: str, text: str, catalog: Catalog | None) -> LabelMap:
    """Read a label map; it is called as its file. Raises ConfigError with every problem.

    Without a catalogue (it could not be read) what a metric is called is not checked.
    """
    problems: list[str] = []
    name = file.removesuffix(".yaml")
    if not _MAP_NAME.fullmatch(name):
        problems.append(f"a label map's name is lower-case words joined by `_`, not `{name}`")
    blocks = _parse_map(text, catalog, problems)
    if problems:
        raise ConfigError(f"labelmaps/{file}", problems)
    return LabelMap(name, tuple(blocks))


def _parse_map(text: str, catalog: Catalog | None, problems: list[str]) -> list[Block]:
    top = read_mapping(text, problems)
    problems.extend(unknown_keys(top, ["series"], ""))
    raw = as_value(list[Any], top.get("series", []), "series", problems)
    if raw is UNREADABLE:
        return []
    if not raw and not problems:
        problems.append("series: missing; a label map is a list of blocks")
    blocks = [_parse_block(item, f"series[{i}]", catalog, problems) for i, item in enumerate(raw)]
    return [block for block in blocks if block is not None]


def _parse_block(raw: object, place: str, catalog: Catalog | None, problems: list[str]) -> Block | None:
    before = len(problems)
    body = as_mapping(raw, place, problems)
    if len(problems) > before:
        return None
    derive = {
        metric: derived
        for metric, item in as_mapping(body.pop("derive", None), f"{place}.derive", problems).items()
        if (derived := as_record(Derived, item, f"{place}.derive.{metric}", problems)) is not None
    }
    fields = as_fields(Block, {**body, "derive": {}}, place, problems)
    if len(problems) > before:
        return None
    block = Block(**{**fields, "derive": derive})
    problems.extend(f"{place}.{problem}" for problem in _block_problems(block, catalog))
    return block


def _block_problems(block: Block, catalog: Catalog | None) -> Iterable[str]:
    if not block.names:
        yield "names: none; write globs such as `DCGM_*`"
    if not block.source:
        yield "source: none; write templates such as `node:{Hostname}`"
    for i, template in enumerate(block.source):
        if not re.match(r"[a-z_]+:.", template):
            yield f"source[{i}]: `{template}` is not of the form kind:name"
    groups = (("source", block.source), ("item", block.item), ("tags", tuple(block.tags.values())))
    for where, templates in groups:
        for i, template in enumerate(templates):
            if bad := _template_problem(template):
                yield f"{where}[{i}]: {bad}"
    for metric, derived in block.derive.items():
        yield from _derived_problems(f"derive.{metric}", block.kind, metric, derived, catalog)
    for i, name in enumerate(block.sum):
        if catalog is not None and catalog.resolve(block.kind, name) is None:
            yield f"sum[{i}]: `{name}` is no metric of kind {block.kind}; give it as an alias in metrics.yaml"


def _derived_problems(
    place: str, kind: str, metric: str, derived: Derived, catalog: Catalog | None
) -> Iterable[str]:
    if catalog is not None and catalog.get(kind, metric) is None:
        yield f"{place}: no metric of kind {kind} is called `{metric}`"
    forms = (derived.quantile is not None, bool(derived.ratio), bool(derived.where))
    if sum(forms) != 1:
        yield f"{place}: write one of `quantile` and `of`, `ratio` and `to`, `of` and `where`"
    elif bool(derived.ratio) != bool(derived.to):
        yield f"{place}: `ratio` and `to` go together"
    elif not derived.ratio and derived.of is None:
        yield f"{place}.of: missing"
    if derived.quantile is not None and not 0 < derived.quantile < 1:
        yield f"{place}.quantile: {derived.quantile:g} is not between 0 and 1"
    if derived.scale <= 0:
        yield f"{place}.scale: {derived.scale:g} is no scale; write a number above 0"


def _template_problem(template: str) -> str:
    rest = _PLACE.sub("", template)
    if "{" in rest or "}" in rest:
        return f"`{template}`: write labels as {{label}}, or {{label|host}} for what stands before its port"
    return "" if template.strip() else "an empty template"


def pattern_of(globs: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of names that any of the globs matches."""
    return re.compile("|".join(translate(glob) for glob in globs))


def fill(template: str, labels: Mapping[str, str]) -> str | None:
    """Return a template with the labels in it, None where one of them is missing or empty.

    >>> fill("node:{instance|host}", {"instance": "n0001:9400"})
    'node:n0001'
    >>> fill("node:{Hostname}", {"instance": "n0001:9400"})
    """
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        text = labels.get(match[1], "").strip()
        missing = missing or not text
        return host_of(text) if match[2] else text

    text = _PLACE.sub(value, template)
    return None if missing else text


def host_of(address: str) -> str:
    """Return the host of an address, without scheme, port and brackets.

    >>> host_of("n0001:9400"), host_of("[::1]:9400"), host_of("n0001")
    ('n0001', '::1', 'n0001')
    """
    address = address.partition("://")[2] or address
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
