"""Relabelling as Prometheus does it: labels through a list of rules, or out."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.config.scrape import RelabelRule

Labels = dict[str, str]
_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\}|(\$))")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def relabel(rules: Sequence[RelabelRule], labels: Labels) -> Labels | None:
    """Return the labels after all rules, None where one of them drops the target or the sample.

    >>> from monitor.config.scrape import RelabelRule
    >>> rule = RelabelRule(("__address__",), regex="([^:]+):.*", target_label="node")
    >>> relabel([rule], {"__address__": "n0001:9400"})["node"]
    'n0001'
    """
    found: Labels | None = dict(labels)
    for rule in rules:
        if found is None:
            return None
        found = _ACTIONS[rule.action](rule, found)
    return found


def _value(rule: RelabelRule, labels: Labels) -> str:
    return rule.separator.join(labels.get(name, "") for name in rule.source_labels)


def _match(rule: RelabelRule, text: str) -> re.Match[str] | None:
    return re.compile(rule.regex, re.DOTALL).fullmatch(text)


def _expand(template: str, match: re.Match[str]) -> str:
    """Fill in $1, ${1} and ${name}; what the regex does not have is empty, as in Go."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return match[int(name) if name.isdecimal() else name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(group, template)


def _set(labels: Labels, name: str, value: str) -> Labels:
    changed = {key: text for key, text in labels.items() if key != name}
    return {**changed, name: value} if value else changed


def _replace(rule: RelabelRule, labels: Labels) -> Labels:
    match = _match(rule, _value(rule, labels))
    if match is None:
        return labels
    name = _expand(rule.target_label, match)
    return _set(labels, name, _expand(rule.replacement, match)) if _LABEL.fullmatch(name) else labels


def _hashmod(rule: RelabelRule, labels: Labels) -> Labels:
    digest = hashlib.md5(_value(rule, labels).encode(), usedforsecurity=False).digest()
    return _set(labels, rule.target_label, str(int.from_bytes(digest[8:], "big") % rule.modulus))


def _labelmap(rule: RelabelRule, labels: Labels) -> Labels:
    found = dict(labels)
    for name, value in labels.items():
        if match := _match(rule, name):
            found[_expand(rule.replacement, match)] = value
    return found


def _keep(when: bool) -> Callable[[RelabelRule, Labels], Labels | None]:
    return lambda rule, labels: labels if (_match(rule, _value(rule, labels)) is not None) is when else None


def _equal(when: bool) -> Callable[[RelabelRule, Labels], Labels | None]:
    return lambda rule, labels: (
        labels if (_value(rule, labels) == labels.get(rule.target_label, "")) is when else None
    )


def _labels(when: bool) -> Callable[[RelabelRule, Labels], Labels]:
    return lambda rule, labels: {k: v for k, v in labels.items() if (_match(rule, k) is not None) is when}


_ACTIONS: dict[str, Callable[[RelabelRule, Labels], Labels | None]] = {
    "replace": _replace,
    "keep": _keep(True),
    "drop": _keep(False),
    "keepequal": _equal(True),
    "dropequal": _equal(False),
    "labelmap": _labelmap,
    "labelkeep": _labels(True),
    "labeldrop": _labels(False),
    "hashmod": _hashmod,
    "lowercase": lambda rule, labels: _set(labels, rule.target_label, _value(rule, labels).lower()),
    "uppercase": lambda rule, labels: _set(labels, rule.target_label, _value(rule, labels).upper()),
}
