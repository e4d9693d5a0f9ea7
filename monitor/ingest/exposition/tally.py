"""What was left out of the frames, by target and name: for `monitor doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from monitor.ingest.exposition.placing import base_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.ingest.exposition.placing import Left

MAX_NAMES = 2_000
"""Names that are kept of one target; more are counted together."""
MANY = "(more names)"


class LeftOut(msgspec.Struct, frozen=True, order=True):
    """How many series of one name a target last had that went into no frame, and why."""

    reason: str
    name: str
    series: int
    targets: tuple[str, ...]


class Tally:
    """For each target the series of its last scrape, or of its last push, that were left out."""

    def __init__(self) -> None:
        self._left: dict[str, dict[tuple[str, str], int]] = {}

    def replace(self, target: str, left: Iterable[tuple[Left, str]]) -> None:
        """Take what the last scrape of a target left out."""
        counts: dict[tuple[str, str], int] = {}
        for reason, name in left:
            key = (str(reason), name)
            if key not in counts and len(counts) >= MAX_NAMES:
                key = (str(reason), MANY)
            counts[key] = counts.get(key, 0) + 1
        self._left[target] = _folded(counts)

    def forget(self, target: str) -> None:
        """Forget a target that is watched no more."""
        self._left.pop(target, None)

    def report(self) -> tuple[LeftOut, ...]:
        """Return what is left out now, by reason, the most series first."""
        found: dict[tuple[str, str], tuple[int, list[str]]] = {}
        for target, counts in sorted(self._left.items()):
            for key, count in counts.items():
                series, targets = found.setdefault(key, (0, []))
                targets.append(target)
                found[key] = (series + count, targets)
        return merged(tuple(LeftOut(*key, n, tuple(t)) for key, (n, t) in found.items()))


def merged(*reports: tuple[LeftOut, ...]) -> tuple[LeftOut, ...]:
    """Return several reports as one, by reason, the most series first."""
    found: dict[tuple[str, str], LeftOut] = {}
    for row in (row for rows in reports for row in rows):
        there = found.get((row.reason, row.name), LeftOut(row.reason, row.name, 0, ()))
        targets = tuple(sorted({*there.targets, *row.targets}))
        found[row.reason, row.name] = LeftOut(row.reason, row.name, there.series + row.series, targets)
    return tuple(sorted(found.values(), key=lambda row: (row.reason, -row.series, row.name)))


def _folded(counts: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """Count the parts of a histogram or summary as the one metric that they are."""
    folded: dict[tuple[str, str], int] = {}
    for (reason, name), count in counts.items():
        base = base_name(name)
        whole = name.endswith("_bucket") or (reason, base) in counts or (reason, f"{base}_bucket") in counts
        key = (reason, base if whole else name)
        folded[key] = folded.get(key, 0) + count
    return folded
