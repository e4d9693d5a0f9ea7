"""The words of a page: what, where, how wide, how sure; and all that stands behind it."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Any

from monitor.types import kind_of
from monitor.units import HOUR, MINUTE, iso

if TYPE_CHECKING:
    from monitor.config.notify import NotifySettings
    from monitor.notify.records import Notice
    from monitor.types import Candidate, Incident

SUMMARY_MOST = 1024
"""Characters that PagerDuty takes; one more, and it refuses the page."""

LISTED = 20
"""Affected entities, signals and changes that a page names; it says how many there are."""

LONGEST_TEXT = 4000
"""Characters of any one text in the details."""

MOST_SURE = 0.99
"""Nobody is told that a cause is certain: beyond this, the model is less sure than its number."""

LOOK_AROUND_MS = 30 * MINUTE


def summary(notice: Notice) -> str:
    """Return the one line that wakes somebody, at most 1024 characters."""
    line = notice.incident
    parts = [
        f"{line.cause.entity}: {line.cause.reason.replace('_', ' ')}",
        _wide(line),
        f"{min(line.cause.confidence, MOST_SURE):.0%} sure",
        *([f"owner {line.owner}"] if line.owner else []),
    ]
    late = f"[{ago(notice.late_ms)} late] " if notice.late_ms else ""
    return shortened(late + "; ".join(parts), SUMMARY_MOST)


def details(notice: Notice) -> dict[str, Any]:
    """Return all that a page tells beside its summary: owner, cause, evidence, candidates, breadth, times."""
    line = notice.incident
    told: dict[str, Any] = {
        "incident": line.id,
        "episode": line.episode,
        "state": line.state,
        "owner": line.owner,
        "cause": {
            "entity": line.cause.entity,
            "reason": line.cause.reason,
            "confidence": line.cause.confidence,
            "explanation": shortened(line.cause.explanation, LONGEST_TEXT),
        },
        "evidence": _evidence(line),
        "other_candidates": [_candidate(c) for c in line.candidates if c.entity != line.cause.entity],
        "affected": {
            "count": line.affected.count,
            "by_kind": line.affected.by_kind,
            "entities": listed(line.affected.entities, line.affected.count),
        },
        "signals": listed(
            [f"{s.metric} ({s.detector}): {s.count}" for s in sorted(line.signals, key=lambda s: -s.count)],
            len(line.signals),
        ),
        "changes": listed([shortened(c, LONGEST_TEXT) for c in line.changes], len(line.changes)),
        "runbook": line.runbook,
        "first_query": shortened(line.first_query, LONGEST_TEXT),
        "times": _times(line),
        "pages": line.pages,
    }
    if line.cost_impact_usd is not None:
        told["cost_impact_usd"] = line.cost_impact_usd
    if notice.late_ms:
        told["late"] = f"sent {ago(notice.late_ms)} after it was decided; as far as is known it still stands"
    if notice.repeat:
        told["repeat"] = notice.repeat
    return told


def links(line: Incident, settings: NotifySettings) -> list[dict[str, str]]:
    """Return the runbook and what the operator's patterns make of an incident."""
    found = []
    if line.runbook:
        href = (
            line.runbook if "://" in line.runbook else filled(settings.runbook_url, {"runbook": line.runbook})
        )
        found += [{"href": href, "text": "Runbook"}] if href else []
    values = {
        "entity": line.cause.entity,
        "kind": kind_of(line.cause.entity),
        "name": line.cause.entity.partition(":")[2],
        "incident": line.id,
        "episode": str(line.episode),
        "owner": line.owner,
        "class": line.class_,
        "start": str(line.opened_at - LOOK_AROUND_MS),
        "end": str((line.resolved_at or line.updated_at) + LOOK_AROUND_MS),
    }
    return found + [{"href": filled(p.href, values), "text": p.text} for p in settings.links]


def filled(pattern: str, values: dict[str, str]) -> str:
    """Fill a link pattern; what is not plain in an address is percent-encoded, except `:` and `/`.

    >>> filled("https://g.example/d/gpu?var-e={entity}", {"entity": "gpu:n1/3 a&b"})
    'https://g.example/d/gpu?var-e=gpu:n1/3%20a%26b'
    """
    parts = []
    for text, name, _, _ in Formatter().parse(pattern):
        parts.append(text)
        if name is not None:
            parts.append("".join(_encoded(c) for c in values[name]))
    return "".join(parts)


def shortened(text: str, most: int) -> str:
    """Return a text in at most `most` characters, without control characters; what is cut off is counted.

    >>> shortened("a" * 30, 24)
    'aa... (28 more left out)'
    """
    clean = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    if len(clean) <= most:
        return clean
    kept = most
    while kept and len(cut := _cut(clean, kept)) > most:
        kept -= 1
    return cut


def listed(items: tuple[str, ...] | list[str], count: int) -> list[str]:
    """Return the first items, and how many more there are.

    >>> listed(["a", "b"], 5)
    ['a', 'b', 'and 3 more']
    """
    first = list(items[:LISTED])
    return first + ([f"and {count - len(first):,} more"] if count > len(first) else [])


def ago(ms: int) -> str:
    """Return an age in words.

    >>> ago(90_000), ago(5_400_000 * 3)
    ('1 min', '4.5 h')
    """
    return f"{ms // MINUTE} min" if ms < 2 * HOUR else f"{ms / HOUR:.1f} h"


def _cut(text: str, kept: int) -> str:
    return f"{text[:kept]}... ({len(text) - kept:,} more left out)"


def _wide(line: Incident) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in list(line.affected.by_kind.items())[:6])
    return f"{line.affected.count:,} affected" + (f" ({kinds})" if kinds else "")


def _evidence(line: Incident) -> list[str]:
    chosen = next((c for c in line.candidates if c.entity == line.cause.entity), None)
    return [] if chosen is None else _lines(chosen)


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {"entity": candidate.entity, "score": candidate.score, "evidence": _lines(candidate)}


def _lines(candidate: Candidate) -> list[str]:
    return listed([shortened(text, LONGEST_TEXT) for text in candidate.evidence], len(candidate.evidence))


def _times(line: Incident) -> dict[str, str]:
    names = ("opened_at", "detected_at", "paged_at", "updated_at", "resolved_at")
    return {name: iso(at) for name in names if (at := getattr(line, name)) is not None}


def _encoded(char: str) -> str:
    plain = char.isascii() and (char.isalnum() or char in "-._~:/")
    return char if plain else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))
