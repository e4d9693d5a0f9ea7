"""YAML text to checked records, with every problem and its place.

A place is the path of keys from the top of the file, as in `metrics.gpu.gpu_temp_celsius.low`.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec
import yaml

from monitor.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

T = TypeVar("T", bound=msgspec.Struct)

UNREADABLE: Final = object()
"""What a value is that could not be read."""

_BaseLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BaseLoader):  # type: ignore[misc,valid-type]
    """A safe loader that notes keys written twice, of which YAML readers keep the last in silence."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                self.problems.append(f"line {key.start_mark.line + 1}: key `{key.value}` stands twice")
            seen.add(key.value)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


def read_mapping(text: str, problems: list[str]) -> dict[str, Any]:
    """Return the mapping at the top of a YAML text; what is wrong with its form goes to `problems`."""
    loader = _Loader(text)
    try:
        document = loader.get_single_data()
    except yaml.YAMLError as error:
        problems.append(_yaml_problem(error))
        return {}
    finally:
        loader.dispose()
    problems.extend(loader.problems)
    return as_mapping(document, "", problems)


def as_mapping(raw: object, place: str, problems: list[str]) -> dict[str, Any]:
    """Return `raw` as a mapping with text keys, or an empty one and a problem."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.append(f"{_at(place)}expected a mapping, got {_name(raw)}")
        return {}
    return {str(key): value for key, value in raw.items()}


def as_record(record: type[T], raw: object, place: str, problems: list[str], **known: object) -> T | None:
    """Build a `record` from a mapping; None where a problem was found. `known` are fields beside it."""
    before = len(problems)
    fields = as_fields(record, raw, place, problems, known)
    return record(**known, **fields) if len(problems) == before else None


def as_fields(
    record: type[T], raw: object, place: str, problems: list[str], known: Iterable[str] = ()
) -> dict[str, Any]:
    """Read the fields of a `record` one by one, so that each wrong one is a problem of its own.

    Returns those that could be read, and the defaults of those that are not written. `known` are fields
    that the mapping does not hold.
    """
    before = len(problems)
    written = as_mapping(raw, place, problems)
    if len(problems) > before:
        return {}
    fields = {field.name: field for field in msgspec.structs.fields(record) if field.name not in known}
    problems.extend(unknown_keys(written, list(fields), place))
    values = {}
    for name, field in fields.items():
        if name in written:
            values[name] = as_value(field.type, written[name], f"{_dot(place)}{name}", problems)
        elif field.required:
            problems.append(f"{_dot(place)}{name}: missing")
        else:
            values[name] = (
                field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            )
    return {name: value for name, value in values.items() if value is not UNREADABLE}


def as_value(type_: Any, raw: object, place: str, problems: list[str]) -> Any:
    """Return `raw` as a value of `type_`, or UNREADABLE and a problem."""
    try:
        value = msgspec.convert(raw, type_)
    except msgspec.ValidationError as error:
        detail, _, inner = str(error).partition(" - at `$")
        problems.append(f"{place}{inner.removesuffix('`')}: {_advice(detail, raw, type_)}")
        return UNREADABLE
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(f"{place}: {value} is no number to use; write a finite one, or leave the key out")
        return UNREADABLE
    return value


def unknown_keys(written: Iterable[str], allowed: list[str], place: str) -> list[str]:
    """Name the keys that mean nothing here, with what was likely meant."""
    return [f"{_dot(place)}{key}: unknown key{_hint(key, allowed)}" for key in written if key not in allowed]


def joined(errors: list[ConfigError], where: str) -> ConfigError:
    """Make one error of those of several files."""
    if len(errors) == 1:
        return errors[0]
    return ConfigError(where, [f"{error.where}: {problem}" for error in errors for problem in error.problems])


def _advice(detail: str, raw: object, type_: Any) -> str:
    choice = next((part for part in (type_, *get_args(type_)) if get_origin(part) is Literal), None)
    if choice is not None and isinstance(raw, str):
        return f"unknown value `{raw}`{_hint(raw, list(get_args(choice)))}"
    if isinstance(raw, str) and re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", raw):
        return f"`{raw}` is a text in YAML; write {float(raw):.1e}"
    return detail[:1].lower() + detail[1:]


def _hint(key: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(key, allowed, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known are {', '.join(f'`{name}`' for name in allowed)}"


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: not YAML: {error.problem}"
    return f"not YAML: {error}"


def _name(raw: object) -> str:
    return {list: "a list", str: "a text", bool: "a truth value"}.get(type(raw), "a number")


def _dot(place: str) -> str:
    return f"{place}." if place else ""


def _at(place: str) -> str:
    return f"{place}: " if place else ""
