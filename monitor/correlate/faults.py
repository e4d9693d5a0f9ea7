"""Fault kinds as data: what can fail, how likely, and who then shows what (rules/faults.yaml)."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from monitor.catalog import FAMILIES, SILENCE
from monitor.config.reading import as_mapping, as_record, read_mapping, unknown_keys
from monitor.errors import ConfigError
from monitor.topology import KINDS
from monitor.types import IncidentClass, Severity, Signal
from monitor.units import duration_ms

Relation = Literal[
    "self",
    "children",
    "descendants",
    "beneath",
    "members",
    "ports",
    "leaves",
    "victims",
    "workload",
    "workload_members",
    "carriers",
    "workload_carriers",
]
"""Where an effect shows, seen from the cause.

self, children, descendants   the entity and its containment
beneath    everything inside it or depending on it, at any depth: racks on a CDU, their nodes and GPUs
members    what a job or service runs on: its nodes, their GPUs and ports; its ranks
ports      the ports through which its nodes talk
leaves     the switches that serve it: those of whose nodes more than half are beneath it
victims    who suffers when it fails: jobs, services, models, portfolios that depend on anything beneath
workload   the members of those jobs, where they move together
workload_members   the same members one by one
carriers   what carries it: its containers and what they depend on, whose load it is part of
workload_carriers   what carries the members of those jobs
"""

Role = Literal["core", "expected", "side"]
"""core: a signature, of which one must show, and then its quiet entities speak against; expected: quiet
entities always speak against; side: it may show or not."""

Paging = Literal["page", "ticket", "record", "none"]
"""What becomes of a fault of this kind; none: it explains signals and is no incident."""

ANY = "any"
DEFAULT_Q = (0.3, 0.6, 0.95)
_SIGNS = {"up": 1, "down": -1, ANY: 0}


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of a footprint: entities `of` these kinds, `at` this relation, show these families.

    q: chances that a touched entity shows it; the score is averaged over them. lag: effects begin at most
    this long after the last core sign, and the silence of an expected effect counts from then on.
    """

    at: Relation
    shows: dict[str, str]
    of: tuple[str, ...] = ()
    role: Role = "core"
    q: tuple[float, ...] = DEFAULT_Q
    lag: str = ""

    @property
    def lag_ms(self) -> int | None:
        """The lag in ms, None where effects may begin at any time."""
        return duration_ms(self.lag) if self.lag else None

    @property
    def signs(self) -> tuple[tuple[str, int], ...]:
        """(family, sign) that it shows; the sign is 1 up, -1 down, 0 any."""
        return tuple([(family, _SIGNS[sign]) for family, sign in self.shows.items()])


class FaultKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of fault. `prior` is the chance that a given entity has it when something is amiss.

    reason: what is wrong, empty where the strongest signal says it. collective: signal families whose joint
    appearance on most members is page evidence though no single one is. only: patterns of the ids that may
    be the cause. change_nats: how much a change at the cause just before speaks for it, fading over
    change_fade. needs_change: it exists only beside such a change. settle: a page waits this long for what
    may turn out to be the cause behind it. gross: it does something to others only where a core or expected
    sign stands at page level: warmth that matters to nobody slows no job.
    """

    name: str
    cause: tuple[str, ...]
    incident_class: IncidentClass
    severity: Severity
    prior: float
    pages: Paging
    summary: str
    footprint: tuple[Term, ...]
    reason: str = ""
    runbook: str = ""
    first_query: str = ""
    effects: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    collective: tuple[str, ...] = ()
    change_nats: float = 4.0
    change_fade: str = "2h"
    needs_change: bool = False
    settle: str = ""
    gross: bool = False

    @property
    def core_families(self) -> frozenset[str]:
        """The families that its core may show; ANY among them means every family."""
        return frozenset(family for term in self.footprint if term.role == "core" for family in term.shows)

    @property
    def log_prior(self) -> float:
        """The prior in nats."""
        return math.log(self.prior)


class Gathering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A family of our own: signals whose metric or reason matches one of these patterns."""

    metrics: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def takes(self, metric: str, reason: str) -> bool:
        """Tell whether a signal belongs here."""
        return any(fnmatch.fnmatchcase(metric, p) for p in self.metrics) or any(
            fnmatch.fnmatchcase(reason, p) for p in self.reasons
        )


@dataclass(frozen=True)
class FaultBook:
    """All fault kinds, in the order of the file, with their effects written out."""

    faults: tuple[FaultKind, ...]
    gatherings: dict[str, Gathering]
    families: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, where: str = "faults.yaml") -> FaultBook:
        """Read the fault kinds. Raises ConfigError with every problem."""
        problems: list[str] = []
        top = read_mapping(text, problems)
        problems.extend(unknown_keys(top, ["families", "effects", "first_query", "faults"], ""))
        gatherings = _gatherings(top.get("families"), problems)
        families = (*FAMILIES, SILENCE, *gatherings)
        effects = _effects(top.get("effects"), families, problems)
        faults = tuple(_faults(top, effects, families, problems))
        if not faults and not problems:
            problems.append("faults: none; without fault kinds nothing becomes an incident")
        if problems:
            raise ConfigError(where, problems)
        return cls(faults, gatherings, families)

    @property
    def runbooks(self) -> tuple[str, ...]:
        """The names of all runbooks, sorted."""
        return tuple(sorted({fault.runbook for fault in self.faults if fault.runbook}))

    def family_of(self, signal: Signal) -> str:
        """Return the family under which a signal is evidence; `other` for one that nobody declared."""
        for name, gathering in self.gatherings.items():
            if gathering.takes(signal.metric, signal.reason):
                return name
        return signal.family if signal.family in self.families else "other"


def _gatherings(raw: object, problems: list[str]) -> dict[str, Gathering]:
    found = {}
    for name, body in as_mapping(raw, "families", problems).items():
        gathering = as_record(Gathering, body, f"families.{name}", problems)
        if name in FAMILIES:
            problems.append(f"families.{name}: is a family of the catalogue already")
        elif gathering is not None:
            found[name] = gathering
    return found


def _effects(raw: object, families: tuple[str, ...], problems: list[str]) -> dict[str, tuple[Term, ...]]:
    found = {}
    for name, body in as_mapping(raw, "effects", problems).items():
        terms = _terms(body, f"effects.{name}", families, problems)
        problems.extend(
            f"effects.{name}[{i}].role: shared effects are `side`"
            for i, term in enumerate(terms)
            if term.role != "side"
        )
        found[name] = terms
    return found


def _terms(raw: object, place: str, families: tuple[str, ...], problems: list[str]) -> tuple[Term, ...]:
    if not isinstance(raw, list):
        problems.append(f"{place}: expected a list of terms")
        return ()
    terms = [as_record(Term, body, f"{place}[{i}]", problems) for i, body in enumerate(raw)]
    for i, term in enumerate(terms):
        if term is not None:
            problems.extend(f"{place}[{i}].{problem}" for problem in _term_problems(term, families))
    return tuple([term for term in terms if term is not None])


def _term_problems(term: Term, families: tuple[str, ...]) -> list[str]:
    known = {*families, ANY}
    problems = [f"shows.{family}: unknown family" for family in term.shows if family not in known]
    problems += [
        f"shows.{family}: `{sign}` is neither up, down nor any"
        for family, sign in term.shows.items()
        if sign not in _SIGNS
    ]
    problems += [f"of: unknown kind `{kind}`" for kind in term.of if kind not in KINDS]
    if (term.at in {"self", "workload"}) == bool(term.of):
        problems.append("of: missing" if not term.of else f"of: `{term.at}` needs no kinds")
    if not term.shows:
        problems.append("shows: name at least one family")
    if not term.q or not all(0 < q < 1 for q in term.q):
        problems.append("q: write chances between 0 and 1")
    try:
        term.lag_ms  # noqa: B018 (reading it checks it)
    except ValueError as error:
        problems.append(f"lag: {error}")
    return problems


def _faults(
    top: dict[str, Any], effects: dict[str, tuple[Term, ...]], families: tuple[str, ...], problems: list[str]
) -> list[FaultKind]:
    default_query = str(top.get("first_query", ""))
    found = []
    for name, raw in as_mapping(top.get("faults"), "faults", problems).items():
        place = f"faults.{name}"
        body = {"first_query": default_query, **as_mapping(raw, place, problems)}
        body["footprint"] = list(_terms(body.get("footprint", []), f"{place}.footprint", families, problems))
        fault = as_record(FaultKind, body, place, problems, name=name)
        if fault is None:
            continue
        problems.extend(f"{place}.{problem}" for problem in _fault_problems(fault, effects, families))
        extra = [term for effect in fault.effects for term in effects.get(effect, ())]
        found.append(msgspec.structs.replace(fault, footprint=(*fault.footprint, *extra)))
    return found


def _fault_problems(
    fault: FaultKind, effects: dict[str, tuple[Term, ...]], families: tuple[str, ...]
) -> list[str]:
    problems = [f"cause: unknown kind `{kind}`" for kind in fault.cause if kind not in KINDS]
    problems += [f"effects: unknown effect `{name}`" for name in fault.effects if name not in effects]
    problems += [f"collective: unknown family `{name}`" for name in fault.collective if name not in families]
    if not 0 < fault.prior < 1:
        problems.append(f"prior: {fault.prior:g} is no chance; write a number between 0 and 1")
    if not any(term.role == "core" for term in fault.footprint):
        problems.append("footprint: no core term, so nothing could ever show it")
    if not fault.runbook and fault.pages in {"page", "ticket"}:
        problems.append("runbook: missing; whoever is called needs one")
    wanted = {"page": ("critical", "error"), "ticket": ("warning",)}.get(fault.pages, ("info",))
    if fault.severity not in wanted:
        problems.append(f"severity: a {fault.pages} is {' or '.join(wanted)}, not {fault.severity}")
    for name, text in (("change_fade", fault.change_fade), ("settle", fault.settle)):
        try:
            duration_ms(text or "0s")
        except ValueError as error:
            problems.append(f"{name}: {error}")
    try:
        (fault.summary + fault.first_query).format(entity="", name="", start=0, end=0, reason="")
    except (KeyError, IndexError, ValueError) as error:
        problems.append(f"summary, first_query: cannot be filled in: {error}")
    return problems
