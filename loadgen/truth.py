"""What really happened, in the form of truth.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadgen.course import Course
    from loadgen.faults import Fault

SETTLE_MS = 30 * 60_000


def truth(course: Course) -> dict[str, object]:
    """Return the faults, the clean times between them (30 min after each they have settled), and the run.

    Beside what the contract asks for, a fault lists as `related` who shows a side effect of it, and `run`
    says what was simulated.
    """
    spec = course.spec
    return {
        "faults": [_record(fault) for fault in course.faults],
        "clean": clean_times(course),
        "run": {
            "scenario": spec.scenario,
            "seed": spec.seed,
            "gpus": spec.gpus,
            "interval": spec.interval,
            "start": spec.start,
            "end": spec.end,
        },
    }


def _record(fault: Fault) -> dict[str, object]:
    return {
        "id": fault.id,
        "scenario": fault.kind,
        "entity": fault.entity,
        "class": "infrastructure",
        "start": fault.start,
        "end": fault.end,
        "affected": fault.affected,
        "pages": True,
        "related": fault.related,
    }


def clean_times(course: Course) -> list[list[int]]:
    """Return the times [start, end) in which nothing is wrong."""
    clean, at = [], course.spec.start
    for fault in sorted(course.faults, key=lambda fault: fault.start):
        if fault.start > at:
            clean.append([at, fault.start])
        at = max(at, fault.end + SETTLE_MS)
    if at < course.spec.end:
        clean.append([at, course.spec.end])
    return clean
