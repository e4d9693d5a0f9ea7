"""Topology lines to entities. Nothing stops at the first problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.topology.entity import Entity, is_entity_id

if TYPE_CHECKING:
    from collections.abc import Iterable

_decoder = msgspec.json.Decoder(Entity)


@dataclass(slots=True)
class Reading:
    """What a file said: good lines with their numbers, problems by line, ids that only bad lines name."""

    lines: list[tuple[int, Entity]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)


def read(lines: Iterable[bytes | str]) -> Reading:
    """Read NDJSON; empty lines say nothing, null is a field left out, unknown fields are ignored."""
    reading = Reading()
    for number, line in enumerate(lines, 1):
        if line.strip():
            _read_line(reading, number, line)
    return reading


def _read_line(reading: Reading, number: int, line: bytes | str) -> None:
    entity = _decoded(line) or _read_carefully(reading, number, line)
    if entity is None:
        return
    problems = _misfits(entity)
    reading.problems += [(number, problem) for problem in problems]
    if problems:
        reading.excused.add(entity.id)
    else:
        reading.lines.append((number, entity))


def _decoded(line: bytes | str) -> Entity | None:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _read_carefully(reading: Reading, number: int, line: bytes | str) -> Entity | None:
    """Read a line that the typed decoder refused, field by field, so that every problem of it is told."""
    try:
        raw = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        reading.problems.append((number, f"not JSON ({error})"))
        return None
    if not isinstance(raw, dict):
        reading.problems.append((number, f"must be an object, not {_called(raw)}"))
        return None
    known = {name: raw[name] for name in _EXPECTED if raw.get(name) is not None}
    problems = [text for name, value in known.items() if (text := _mistyped(name, value))]
    if "id" not in known:
        problems.append("`id` is missing")
    if problems:
        reading.problems += [(number, problem) for problem in problems]
        reading.excused.add(str(known.get("id")))
        return None
    return msgspec.convert(known, Entity)


def _misfits(entity: Entity) -> list[str]:
    named = [("id", entity.id), *[("depends_on", name) for name in entity.depends_on]]
    if entity.parent is not None:
        named.insert(1, ("parent", entity.parent))
    problems = [
        f"`{name}` must be `kind:name`, not `{value}`" for name, value in named if not is_entity_id(value)
    ]
    if entity.from_ is not None and entity.until is not None and entity.from_ >= entity.until:
        problems.append(f"`until` ({entity.until}) must be later than `from` ({entity.from_})")
    return problems


_EXPECTED: dict[str, tuple[Any, str]] = {
    "id": (str, "text"),
    "parent": (str, "text"),
    "depends_on": (tuple[str, ...], "a list of texts"),
    "owner": (str, "text"),
    "tags": (dict[str, str], "an object of texts"),
    "from": (int, "a whole number of milliseconds"),
    "until": (int, "a whole number of milliseconds"),
}


def _mistyped(name: str, value: object) -> str | None:
    wanted, words = _EXPECTED[name]
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        return f"`{name}` must be {words}, not {_called(value)}"
    return None


def _called(value: object) -> str:
    return msgspec.json.encode(value).decode()[:60]
