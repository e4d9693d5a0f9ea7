"""What one tick brings to correlation, and what correlation gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.types import Bools, Change, Command, Incident, Signal

GROUP_DETECTOR = "group_mean"
"""The detector whose signals are about the mean of an entity's members, not about the entity's own meter."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known at the end of a tick, over the n entities of a graph.

    end: end of the tick, ms. signals: all that stand now, in any order; silences are signals of the family
    `silence`. judged: for each family, True where an entity is measured and judged now, so that no signal
    means quiet, shape (n,); a family that is missing is judged nowhere. reporting: True where an entity has
    telemetry at all, (n,). changes, commands: those that are new in this tick.
    """

    end: int
    signals: tuple[Signal, ...]
    judged: Mapping[str, Bools]
    reporting: Bools
    changes: tuple[Change, ...] = ()
    commands: tuple[Command, ...] = ()


class PageReason(StrEnum):
    """Why an incident pages, or does not."""

    PAGED = "paged"
    PAGED_CRITICAL = "paged_rose_to_critical"
    PAGED_OWNER = "paged_moved_to_another_owner"
    ALREADY_PAGED = "already_paged"
    TICKET = "kind_makes_a_ticket"
    RECORD = "kind_is_only_recorded"
    WEAK = "evidence_below_page_level"
    WAITING = "waiting_for_a_clearer_cause"
    SETTLING = "waiting_for_what_may_follow"
    MAINTENANCE = "announced_maintenance"
    MUTED = "silenced_by_a_person"
    TOLD = "another_incident_paged_for_it"
    CLOSED = "resolved_by_a_person"
    UNSURE = "ticket_with_an_unclear_cause"
    MARKED = "marked_by_a_person"
    NO_CAUSE = "too_weak_for_any_cause"
    EXPLAINED = "explained_without_a_fault"


class Decision(msgspec.Struct, frozen=True, order=True):
    """Why something paged, or did not: one line of `monitor incidents why`. `incident` is "" for none."""

    ts: int
    incident: str
    entity: str
    reason: PageReason
    detail: str

    def is_about(self, target: str) -> bool:
        """Tell whether it concerns an entity, or an incident given by its id or the beginning of it."""
        return self.entity == target or bool(self.incident and self.incident.startswith(target))


@dataclass(frozen=True, slots=True)
class CorrelateResult:
    """The transitions of a tick in order, the decisions that changed, and when to be called again at last."""

    incidents: tuple[Incident, ...] = ()
    decisions: tuple[Decision, ...] = field(default=())
    wake_at: int | None = None
