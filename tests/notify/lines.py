"""Lines of the incidents output, and random histories of them as correlation writes them."""

from __future__ import annotations

import random
from dataclasses import dataclass

import msgspec

from monitor.types import Affected, Candidate, Cause, Incident, SignalCount

START = 1_795_500_000_000
TICK = 10_000


def line(transition="paged", state="open", at=START, **changes) -> Incident:
    """A line of one incident: a coolant pump, 74 affected."""
    plain = Incident(
        id="b7a37938f05d79e8",
        episode=1,
        state=state,
        severity="critical",
        class_="infrastructure",
        scope="cdu",
        opened_at=START - 60_000,
        detected_at=START,
        paged_at=START,
        updated_at=at,
        resolved_at=at if state == "resolved" else None,
        cause=Cause(
            "cdu:c01", "coolant_flow_low", 0.97, "the pump of cdu:c01 stands: flow down; 64 GPUs hot."
        ),
        candidates=(
            Candidate("cdu:c01", 0.97, ("flow of cdu:c01 down", "64 of 64 GPUs beneath cdu:c01 hot")),
            Candidate("chiller:ch1", 0.02, ("against: coolant of chiller:ch1 is normal",)),
        ),
        affected=Affected(
            74, {"rack": 1, "cdu": 1, "node": 8, "gpu": 64}, tuple(f"gpu:n0001/{i}" for i in range(64))
        ),
        anomalies=512,
        signals=(SignalCount("gpu_temp_celsius", "shewhart", 64),),
        changes=(),
        owner="facility-team",
        runbook="docs/runbooks/cdu.md",
        first_query="SELECT 1",
        pages=1,
        merged_into=None,
        cost_impact_usd=None,
        transition=transition,
    )
    return msgspec.structs.replace(plain, **changes)


@dataclass
class _Alive:
    id: str
    episode: int
    state: str = "open"
    pages: int = 0
    severity: str = "error"
    owner: str = "platform"
    affected: int = 1
    entity: str = "node:n1"
    paged_at: int | None = None


def history(seed: int, steps: int = 40, incidents: int = 4, tick: int = TICK) -> list[Incident]:
    """A random history: incidents open, page or not, grow, are acknowledged, merge, end and come again."""
    return _History(seed, incidents, tick).run(steps)


class _History:
    def __init__(self, seed: int, incidents: int, tick: int) -> None:
        self._random = random.Random(seed)
        self._tick, self._now = tick, START
        self._names = [f"{seed:08x}{i:08x}" for i in range(incidents)]
        self._episodes = dict.fromkeys(self._names, 0)
        self._merged: set[str] = set()
        self._alive: dict[str, _Alive] = {}
        self._lines: list[Incident] = []

    def run(self, steps: int) -> list[Incident]:
        for _ in range(steps):
            self._now += self._tick * self._random.choice((0, 1, 1, 3))
            self._step(self._random.choice(self._names))
        return self._lines

    def _step(self, name: str) -> None:
        alive = self._alive.get(name)
        if alive is None:
            if name not in self._merged:
                self._open(name)
            return
        steps = ["page", "grow", "cause", "severity", "owner", "end"] * 2 + ["ack", "merge"]
        step = self._random.choice(steps)
        getattr(self, f"_{step}")(alive)

    def _open(self, name: str) -> None:
        self._episodes[name] += 1
        severity = self._random.choice(("critical", *["error"] * 4, "critical", "warning", "info"))
        alive = _Alive(
            name, self._episodes[name], severity=severity, owner=self._random.choice(("platform", "network"))
        )
        self._alive[name] = alive
        self._write(alive, "opened")
        if severity in {"critical", "error"} and self._random.random() < 0.7:
            self._page(alive)

    def _page(self, alive: _Alive) -> None:
        if alive.severity in {"critical", "error"} and alive.pages < 2:
            alive.pages += 1
            alive.paged_at = alive.paged_at or self._now
            self._write(alive, "paged")

    def _grow(self, alive: _Alive) -> None:
        alive.affected *= 2
        self._write(alive, "grown")

    def _cause(self, alive: _Alive) -> None:
        alive.entity = f"rack:r{self._random.randrange(3)}"
        self._write(alive, "cause changed")

    def _severity(self, alive: _Alive) -> None:
        if alive.pages:
            alive.severity = "critical" if alive.severity == "error" else "error"
        self._write(alive, "severity changed")

    def _owner(self, alive: _Alive) -> None:
        alive.owner = self._random.choice(("platform", "network"))
        self._write(alive, "cause changed")

    def _ack(self, alive: _Alive) -> None:
        alive.state = "acknowledged"
        self._write(alive, "acknowledged")

    def _merge(self, alive: _Alive) -> None:
        others = [name for name in self._alive if name != alive.id]
        if others:
            alive.state = "merged"
            del self._alive[alive.id]
            self._merged.add(alive.id)
            self._write(alive, "merged", into=self._random.choice(others))

    def _end(self, alive: _Alive) -> None:
        alive.state = "resolved"
        del self._alive[alive.id]
        self._write(alive, "resolved")

    def _write(self, alive: _Alive, transition: str, into: str | None = None) -> None:
        self._lines.append(
            line(
                transition,
                alive.state,
                self._now,
                id=alive.id,
                episode=alive.episode,
                severity=alive.severity,
                owner=alive.owner,
                cause=Cause(alive.entity, "heat", 0.9, "hot"),
                candidates=(),
                affected=Affected(alive.affected, {"gpu": alive.affected}, ()),
                pages=alive.pages,
                paged_at=alive.paged_at,
                merged_into=into,
            )
        )
