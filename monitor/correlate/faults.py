"""Fault kinds as data: what can fail, how likely, and who then shows what (rules/faults.yaml)."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from monitor.catalog import FAMILIES, SILENCE
from monitor.config.reading import as_fields, as_mapping, as_record, read_mapping, unknown_keys
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

SUMMARY_FIELDS: dict[str, object] = {"entity": "", "reason": ""}
QUERY_FIELDS: dict[str, object] = {**SUMMARY_FIELDS, "name": "", "start": 0, "end": 0}
"""What is filled in where a summary or a first query says `{entity}` and the like; times in ms.

`name` is the entity without its kind.
"""

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
        problems.extend(_text_problems(top, "first_query", QUERY_FIELDS))
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


def runbook_at(name: str) -> str:
    """Return where a runbook is: its path in the repository, or the address that it is.

    >>> runbook_at("cdu-flow"), runbook_at("https://wiki.example.com/power"), runbook_at("")
    ('docs/runbooks/cdu-flow.md', 'https://wiki.example.com/power', '')
    """
    return name if "://" in name or not name else f"docs/runbooks/{name}.md"


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
        found[name] = _terms(body, f"effects.{name}", families, problems, shared=True)
    return found


def _terms(
    raw: object, place: str, families: tuple[str, ...], problems: list[str], *, shared: bool = False
) -> tuple[Term, ...]:
    if not isinstance(raw, list):
        problems.append(f"{place}: expected a list of terms")
        return ()
    terms = []
    for i, body in enumerate(raw):
        before = len(problems)
        fields = as_fields(Term, body, f"{place}[{i}]", problems)
        if len(problems) == before:
            terms.append(Term(**fields))
        if shared and fields.get("role", "side") != "side":
            problems.append(f"{place}[{i}].role: shared effects are `side`")
        problems.extend(f"{place}[{i}].{problem}" for problem in _term_problems(fields, families))
    return tuple(terms)


def _term_problems(term: dict[str, Any], families: tuple[str, ...]) -> list[str]:
    """Say what is wrong with the fields of a term that could be read."""
    at, of, shows = term.get("at"), term.get("of"), term.get("shows", {})
    problems = [f"shows.{family}: unknown family" for family in shows if family not in {*families, ANY}]
    problems += [
        f"shows.{family}: `{sign}` is neither up, down nor any"
        for family, sign in shows.items()
        if sign not in _SIGNS
    ]
    problems += _kind_problems(term, "of")
    if at is not None and of is not None and (at in {"self", "workload"}) == bool(of):
        problems.append(f"of: `{at}` needs no kinds" if of else "of: missing")
    if "shows" in term and not shows:
        problems.append("shows: name at least one family")
    if "q" in term and not (term["q"] and all(0 < q < 1 for q in term["q"])):
        problems.append("q: write chances between 0 and 1")
    return problems + _duration_problems(term, "lag")


def _kind_problems(fields: dict[str, Any], name: str) -> list[str]:
    return [f"{name}: unknown kind `{kind}`" for kind in fields.get(name, ()) if kind not in KINDS]


def _duration_problems(fields: dict[str, Any], name: str, least: int = 0) -> list[str]:
    try:
        if duration_ms(fields.get(name, "1s") or "0s") < least:
            return [f"{name}: write a time above 0"]
    except ValueError as error:
        return [f"{name}: {error}"]
    return []


def _text_problems(fields: dict[str, Any], name: str, known: dict[str, object]) -> list[str]:
    """Say why a text cannot be filled in with what is `known`."""
    try:
        str(fields.get(name, "")).format(**known)
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        listed = ", ".join(f"`{{{word}}}`" for word in known)
        return [f"{name}: cannot be filled in ({error}); known are {listed}"]
    return []


def _faults(
    top: dict[str, Any], effects: dict[str, tuple[Term, ...]], families: tuple[str, ...], problems: list[str]
) -> list[FaultKind]:
    found = []
    for name, raw in as_mapping(top.get("faults"), "faults", problems).items():
        place, before = f"faults.{name}", len(problems)
        body = as_mapping(raw, place, problems)
        if len(problems) > before:
            continue
        written = body.pop("footprint", [])
        terms = _terms(written, f"{place}.footprint", families, problems)
        fields = as_fields(FaultKind, body, place, problems, known=("name", "footprint"))
        if isinstance(written, list) and len(written) == len(terms):
            fields["footprint"] = terms
        problems.extend(f"{place}.{problem}" for problem in _fault_problems(fields, effects, families))
        if len(problems) == before:
            extra = [term for effect in fields["effects"] for term in effects[effect]]
            fields["footprint"] = (*terms, *extra)
            if "first_query" not in body:
                fields["first_query"] = str(top.get("first_query", ""))
            found.append(FaultKind(name=name, **fields))
    return found


def _fault_problems(
    fault: dict[str, Any], effects: dict[str, tuple[Term, ...]], families: tuple[str, ...]
) -> list[str]:
    """Say what is wrong with the fields of a fault kind that could be read."""
    problems = ["cause: name at least one kind"] if fault.get("cause") == () else []
    problems += _kind_problems(fault, "cause")
    problems += [
        f"effects: unknown effect `{name}`" for name in fault.get("effects", ()) if name not in effects
    ]
    problems += [
        f"collective: unknown family `{name}`" for name in fault.get("collective", ()) if name not in families
    ]
    if "prior" in fault and not 0 < fault["prior"] < 1:
        problems.append(f"prior: {fault['prior']:g} is no chance; write a number between 0 and 1")
    if "footprint" in fault and not any(term.role == "core" for term in fault["footprint"]):
        problems.append("footprint: no core term, so nothing could ever show it")
    pages, severity = fault.get("pages"), fault.get("severity")
    if pages in {"page", "ticket"} and fault.get("runbook") == "":
        problems.append("runbook: missing; whoever is called needs one")
    wanted = {"page": ("critical", "error"), "ticket": ("warning",)}.get(str(pages), ("info",))
    if pages and severity and severity not in wanted:
        problems.append(f"severity: a {pages} is {' or '.join(wanted)}, not {severity}")
    problems += _duration_problems(fault, "change_fade", least=1) + _duration_problems(fault, "settle")
    problems += _text_problems(fault, "summary", SUMMARY_FIELDS)
    return problems + _text_problems(fault, "first_query", QUERY_FIELDS)
