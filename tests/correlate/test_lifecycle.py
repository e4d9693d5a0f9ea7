"""An incident over its life: one id, one page, and episodes, merges and commands as the contract says."""

import json
import random
from types import SimpleNamespace

import msgspec
import pytest

from monitor.correlate import CorrelateStage
from monitor.correlate.cases import Case
from monitor.correlate.decide import PageRules, decide
from monitor.correlate.explain import Explanation
from monitor.correlate.matching import Matches, match
from monitor.types import Change, Command
from monitor.units import HOUR, MINUTE
from tests.correlate.fleet import BOOK, T0, TICK, World, gpus_of, hall, hot, signal, silent

FAN = "gpu:n0003/4"


def transitions(lines):
    return [line.transition for line in lines]


def skip(world, ticks, signals=()):
    """Step only the last of some ticks."""
    world.tick += ticks - 1
    return world.step(signals)


def test_an_incident_resolves_when_nothing_of_it_stood_for_a_while_and_not_before():
    """Ten minutes of quiet resolve; a break shorter than that is nothing."""
    world = World()
    world.step(hot([FAN], "heat", 0), ticks=3)
    assert world.step(ticks=59) == []
    assert world.step(hot([FAN], "heat", 0)) == []
    assert world.step(ticks=60) == []
    (line,) = world.step()
    assert (line.transition, line.state, line.resolved_at) == ("resolved", "resolved", T0 + world.tick * TICK)


def test_the_same_cause_within_a_day_is_the_next_episode_and_later_a_new_incident():
    """Episodes keep the id and count up; after a day it is another incident."""
    world = World()
    for at in (0, 1_000, 12_000):
        world.tick = at
        world.step(hot([FAN], "heat", at), ticks=3)
        world.step()
        skip(world, 200)
    first, second, third = [line for line in world.lines if line.transition == "resolved"]
    assert (first.id, first.episode, second.episode) == (second.id, 1, 2)
    assert (third.episode, third.id == first.id) == (1, False)
    assert [i.pages for i in (first, second, third)] == [1, 1, 1]


def test_what_flaps_settles_into_few_episodes():
    """Each episode needs twice the quiet of the one before, so that flapping calls less and less."""
    world = World()
    for _ in range(12):
        world.step(hot([FAN], "heat", world.tick), ticks=6)
        world.step()
        skip(world, 90)
    assert len(world.last()) == 2
    assert sum(line.pages for line in world.last().values()) == 2


def test_silence_resolves_nothing():
    """A hot GPU whose node falls silent stays an incident for as long as nothing is known of it."""
    world = World()
    world.step(hot([FAN], "heat", 0), ticks=3)
    dark = silent(["node:n0003"], 3)
    lines = world.step(dark)
    for _ in range(4):
        world.tick += 90
        lines += world.step(dark)
    assert [line for line in lines if line.cause.entity == FAN and line.state == "resolved"] == []
    assert "resolved" in transitions(world.step() + skip(world, 70))


def test_a_cause_is_refined_and_keeps_its_id_and_its_page():
    """What begins as a GPU and turns out to be its CDU is one incident; the refinement is an update."""
    world = World()
    world.step(hot([FAN], "heat", 0), ticks=3)
    world.step(hot(gpus_of(*range(8)), "heat", 3) + hot([FAN], "heat", 0), ticks=3)
    assert transitions(world.lines)[:3] == ["opened", "paged", "cause changed"]
    (incident,) = world.last().values()
    assert (incident.cause.entity, incident.pages) == ("cdu:c00", 1)


def test_a_cause_that_stands_and_belongs_to_another_owner_calls_that_owner():
    """A page moves to another owner once, and only when the new cause has stood."""
    world = World()
    world.step(hot([FAN], "heat", 0), ticks=3)
    world.step(hot(gpus_of(0, 1, 2, 3), "heat", 3), ticks=60)
    (incident,) = world.last().values()
    assert (incident.owner, incident.pages) == ("facilities", 2)


def test_two_incidents_that_turn_out_to_be_one_are_merged_into_the_older():
    """What an incident swallows is `merged_into` it."""
    world = World()
    world.step(hot(gpus_of(0), "heat", 0), ticks=2)
    world.step(hot(gpus_of(0), "heat", 0) + hot(gpus_of(5), "heat", 2), ticks=2)
    assert world.causes() == ["node:n0000", "node:n0005"]
    world.step(hot(gpus_of(*range(8)), "heat", 2), ticks=2)
    merged = [line for line in world.lines if line.transition == "merged"]
    assert [(line.state, line.merged_into) for line in merged] == [("merged", world.lines[0].id)]
    assert world.causes() == ["cdu:c00"]


def some(entity, *cells, waning=False, paged_at=None, onset=0):
    """Return what matching looks at of an incident or an explanation."""
    return SimpleNamespace(
        entity=entity, reason="r", cause=(entity, "r"), cells=cells, held=cells,
        waning=waning, paged_at=paged_at, called=paged_at is not None, onset=onset, opened_at=onset,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cases", "explanations", "continued", "merged"),
    [
        ([some("a", 1, 2, 3)], [some("b", 1), some("c", 2, 3)], {0: 1}, {}),  # a split: the majority
        ([some("a", 1, 2, 3)], [some("a", 1), some("c", 2, 3)], {0: 0}, {}),  # ... but its own cause first
        ([some("a", 1), some("b", 2, 3)], [some("c", 1, 2, 3)], {0: 0}, {1: 0}),  # the oldest wins
        ([some("a", 1, 2), some("b", 3)], [some("c", 1, 3), some("d", 2, 3)], {0: 0, 1: 1}, {}),
        ([some("a", 1)], [some("b", 2)], {}, {}),  # nothing in common
        ([some("a", 1)], [some("a", 2)], {0: 0}, {}),  # the same cause by other signs
        ([some("a", 1, waning=True)], [some("b", 1, 2)], {0: 0}, {}),  # what is left of it, mostly
        ([some("a", 1, waning=True)], [some("b", 1, 2, 3)], {}, {}),  # ... and what is mostly new is not it
        ([some("a", 1, waning=True)], [some("a", 1, 2, 3)], {0: 0}, {}),  # but its own cause that grows again
        ([some("a", 1, paged_at=0)], [some("b", 1, 2, 3, onset=HOUR)], {}, {}),  # it paged before b began
        ([some("a", 1, paged_at=0)], [some("b", 1, 2, 3, onset=MINUTE)], {0: 0}, {}),
        ([some("a", 1), some("b", 2, paged_at=0)], [some("b", 1, 2)], {1: 0}, {0: 1}),  # who called goes on
        ([some("a", 1, paged_at=0), some("b", 2)], [some("b", 1, 2)], {0: 0}, {1: 0}),
    ],
)
def test_which_explanation_continues_which_incident(cases, explanations, continued, merged):
    """The oldest wins, a split goes with the majority, what is swallowed is merged."""
    assert match(cases, explanations, 2 * MINUTE) == Matches(continued, merged)


@pytest.mark.parametrize(("now", "merged"), [(10 * MINUTE, {1: 0}), (16 * MINUTE, {})])
def test_two_that_called_stay_two_once_that_is_settled(now, merged):
    """A switch and the older CDU that could explain what is left of it, before and after a quarter of an hour."""
    cases = [some("a", 1, paged_at=0), some("b", 2, paged_at=0, onset=MINUTE)]
    assert match(cases, [some("a", 1, 2)], now) == Matches({0: 0}, merged)


def test_what_was_there_before_and_is_found_late_is_still_the_cause():
    """A slow job paged long ago; a benchmark only now finds the GPU that was slow before it."""
    case = some("job", 1, paged_at=0, onset=MINUTE)
    assert match([case], [some("gpu", 1, 2)], HOUR) == Matches({0: 0}, {})


def test_a_sign_that_stands_all_along_calls_once():
    """Evidence falls below the page level for an hour and rises again, and the sign never clears: one page."""
    world = World()
    odd = {"reason": "below_own_past", "direction": "down"}
    strong, weak = ([signal("cdu:c00", "other", 0, page=page, **odd)] for page in (True, False))
    world.step(strong, ticks=6)
    for signals in (weak, strong, weak):
        for _ in range(60):
            skip(world, 6, signals)
    assert [(i.episode, i.pages, i.state) for i in world.last().values()] == [(1, 1, "open")]
    skip(world, 600)
    assert [(i.episode, i.pages, i.state) for i in world.last().values()] == [(1, 1, "resolved")]


@pytest.mark.parametrize("minutes", [12, 30, 55])
def test_a_repair_is_not_the_cause_of_what_it_repairs(minutes):
    """A lost GPU is paged; later its node is rebooted and silent: nobody is called for that."""
    world = World()
    lost = hot([FAN], "hardware", 0, hard=True)
    world.step(lost, ticks=6)
    for _ in range(minutes):
        skip(world, 6, lost)
    link = hot(["port:leaf00/3"], "fabric", world.tick - 1, "down", hard=True)
    gone = silent(["node:n0003"], world.tick - 4) + link
    world.step(lost + gone, ticks=20)
    assert [(i.cause.entity, i.pages) for i in world.last().values() if i.pages] == [(FAN, 1)]


def test_effects_that_outlast_their_cause_do_not_change_it():
    """When a crashed node is back while its job still idles, the incident is still the node's."""
    world = World(hall(jobs=[("a", (1, 2, 6, 9))]))
    idle = hot(gpus_of(1, 6, 9), "activity", 0, "down") + hot(["job:a"], "progress", 0)
    world.step(silent(["node:n0002"], 0) + idle, ticks=6)
    for _ in range(5):
        skip(world, 6, idle)
    assert {line.cause.entity for line in world.lines} == {"node:n0002"}
    assert (world.step() + skip(world, 70))[-1].cause.entity == "node:n0002"


def test_evidence_may_come_in_any_order():
    """Whichever of the signals of a CDU come first, the end is the same cause with one page."""
    flow, gpus = hot(["cdu:c00"], "coolant_flow", 0, "down"), hot(gpus_of(*range(8)), "heat", 0)
    for first, second in ((flow, gpus), (gpus, flow)):
        world = World()
        world.step(first, ticks=3)
        world.step(first + second, ticks=3)
        (incident,) = world.last().values()
        assert incident.cause.entity == "cdu:c00"
        assert len([line for line in world.lines if line.transition == "opened"]) == 1


def test_a_page_waits_for_a_clearer_cause_but_not_for_long():
    """Below the confidence asked for, a page waits up to three ticks, then calls with what is known."""
    lines = [*hall(), {"id": "service:x"}, {"id": "service:y"}]
    lines += [{"id": f"model:m{k}", "depends_on": ["service:x", "service:y"]} for k in range(6)]
    world = World(lines)
    signals = hot([f"model:m{k}" for k in range(6)], "quality", 0, "down")
    assert transitions(world.step(signals, ticks=3)) == ["opened"]
    assert transitions(world.step(signals, ticks=3)) == ["paged"]
    assert [d.reason for d in world.stage.why(world.lines[0].id)][:2] == [
        "waiting_for_a_clearer_cause",
        "paged",
    ]


@pytest.mark.parametrize("confidence", [0.12, 0.6])
def test_what_pages_at_once_waits_a_moment_where_something_else_is_likelier(confidence):
    """A failing switch has waited its two minutes, but its rack is likelier by now: that is about to take its place."""
    fault = next(fault for fault in BOOK.faults if fault.name == "switch_failing")
    dead = silent([f"node:n000{k}" for k in range(4)], 0)
    candidates = sorted([("rack:r000", 0, 0.4), ("switch:leaf00", 1, confidence)], key=lambda c: -c[2])
    explanation = Explanation(
        entity="switch:leaf00", index=0, fault=fault, onset=T0, confidence=confidence,
        candidates=tuple(candidates), cells=(), strong=frozenset(), sure=True, matters=True,
        within=frozenset(), signals=tuple(dead), affected=(), nats=1.0,
    )  # fmt: skip
    case = Case(id="x", episode=1, opened_at=T0, detected_at=T0, ready_at=T0)
    rules = PageRules(TICK, 3, 0.9)
    reasons = [decide(case, explanation, T0 + k * TICK, rules, None)[0] for k in range(17)]
    waited = 0 if confidence > 0.5 else 3
    settling, waiting = (
        reasons.count("waiting_for_what_may_follow"),
        reasons.count("waiting_for_a_clearer_cause"),
    )
    assert (settling, waiting) == (12, waited)
    assert reasons[12 + waited :] == ["paged"] * (5 - waited)


def test_announced_maintenance_pages_nobody_until_it_is_over():
    """A node that is cycled on purpose is recorded; if it is still gone afterwards, it pages."""
    world = World()
    until = T0 + 60 * TICK
    change = Change(T0, "row:row1", "maintenance", "", "swap power shelf", until)
    world.step(silent(["node:n0001", "node:n0002"], -20), changes=[change])
    skip(world, 58, silent(["node:n0001", "node:n0002"], -20))
    assert world.paged() == []
    assert world.stage.why("node:n0001")[-1].reason == "announced_maintenance"
    world.step(silent(["node:n0001", "node:n0002"], -20), ticks=10)
    assert world.causes() == ["node:n0001", "node:n0002"]


def test_people_acknowledge_resolve_mark_and_silence():
    """Commands are inputs: they change the state, and what a person closed stays closed while it stands."""
    world = World()
    world.step(hot([FAN], "heat", 0), ticks=2)
    incident = world.lines[0].id

    def command(action, target=incident, **arguments):
        return [Command(T0, "user:ann", action, target, tuple(sorted(arguments.items())))]

    (line,) = world.step(hot([FAN], "heat", 0), commands=command("ack"))
    assert (line.transition, line.state) == ("acknowledged", "acknowledged")
    assert world.step(hot([FAN], "heat", 0), commands=command("mark", **{"as": "noise"})) == []
    assert world.step(hot([FAN], "heat", 0), commands=command("ack", target="nobody")) == []
    (line,) = world.step(hot([FAN], "heat", 0), commands=command("resolve"))
    assert (line.state, line.resolved_at) == ("resolved", T0 + world.tick * TICK)
    assert world.step(hot([FAN], "heat", 0), ticks=5) == []
    for odd in ("¹", "9" * 5000, "soon", ""):
        assert world.step(commands=command("silence", target="node:n0009", until=odd)) == []
    world.step()
    skip(world, 70)
    until = str(T0 + 10_000 * TICK)
    world.step(
        hot([FAN], "heat", world.tick), commands=command("silence", target="node:n0003", until=until), ticks=3
    )
    assert world.lines[-1].episode == 2
    assert world.lines[-1].pages == 0
    assert world.stage.why(FAN)[-1].reason == "silenced_by_a_person"


def story(world):
    """A timeline with everything in it, as (signals, changes, commands) for each tick."""
    jobs = gpus_of(1, 2, 6, 9)
    ticks = []
    for tick in range(45):
        signals = hot([FAN], "heat", 5) if 5 <= tick < 20 else []
        signals += hot(gpus_of(*range(8, 16)), "heat", 10) if 10 <= tick < 40 else []
        signals += hot(jobs, "application", 15, "none", reason="xid_45") if 15 <= tick < 30 else []
        signals += silent([f"node:n{n:04d}" for n in range(20, 24)][: tick - 24], 22) if tick >= 25 else []
        signals += [signal("model:m1", "quality", 30)] if tick > 30 else []
        changes = [Change(T0 + tick * TICK, "cdu:c01", "config", "v2", "valve")] if tick == 9 else []
        commands = [Command(T0, "user:ann", "ack", world.lines[0].id)] if tick == 12 and world.lines else []
        ticks.append((signals, changes, commands))
        world.step(*ticks[-1])
    return ticks


def encoded(lines):
    return [msgspec.json.encode(line) for line in lines]


def test_the_order_of_signals_changes_no_byte():
    """Any order within a tick gives the same lines."""
    one = World(hall(jobs=[("a", (1, 2, 6, 9))]))
    ticks = story(one)
    rng = random.Random(7)
    other = World(hall(jobs=[("a", (1, 2, 6, 9))]))
    for signals, changes, commands in ticks:
        other.step(rng.sample(signals, len(signals)), changes, commands)
    assert len(one.lines) > 10
    assert encoded(one.lines) == encoded(other.lines)


@pytest.mark.parametrize("cut", [11, 16, 27])
def test_a_snapshot_in_the_middle_of_an_incident_changes_no_byte(cut):
    """State goes to JSON and back at any tick, and the next lines and the next state are the same."""
    one = World(hall(jobs=[("a", (1, 2, 6, 9))]))
    ticks = story(one)
    other = World(hall(jobs=[("a", (1, 2, 6, 9))]))
    for number, (signals, changes, commands) in enumerate(ticks):
        if number == cut:
            state = json.loads(json.dumps(other.stage.to_state()))
            other.stage = CorrelateStage(BOOK, other.settings)
            other.stage.from_state(state)
        other.step(signals, changes, commands)
    assert encoded(one.lines) == encoded(other.lines)
    assert json.dumps(one.stage.to_state()) == json.dumps(other.stage.to_state())


def test_memory_is_bounded():
    """A day after the last incident nothing of it is kept, and changes go after 14 days."""
    world = World()
    empty = len(json.dumps(world.stage.to_state()))
    world.step(hot(gpus_of(*range(8)), "heat", 0), [Change(T0, "cdu:c00", "config", "v2", "valve")], ticks=3)
    world.tick = 20_000
    world.step(ticks=1)
    world.tick += 7 * 8_640
    world.step(ticks=2)
    world.tick += 14 * 8_640
    world.step(ticks=2)
    state = world.stage.to_state()
    assert (state["cases"]["closed"], state["cases"]["open"], state["changes"]) == ([], [], [])
    assert len(json.dumps(state)) < 3 * empty


def test_an_idle_book_has_nothing_due():
    """Without incidents there is nothing to wake for; with one that rests, there is."""
    world = World()
    assert world.stage.step(world.observation(), world.graph).wake_at is None
    world.step(hot([FAN], "heat", 0), ticks=3)
    result = world.stage.step(world.observation(), world.graph)
    assert result.wake_at == world.observation().end + world.settings.resolve_after_ms


def test_the_echoes_of_a_fault_are_not_its_cause():
    """A node is back while its rack draws less and its job idles: the incident stays the node's, as sure."""
    world = World(hall(jobs=[("a", (1, 2, 6, 9))]))
    idle = hot(gpus_of(1, 2, 6, 9), "activity", 1, "down", page=False)
    world.step(silent(["node:n0002"], 0) + idle, ticks=20)
    (sure,) = [line.cause.confidence for line in world.last().values()]
    for _ in range(5):
        skip(world, 6, idle + hot(["rack:r000", "pdu:p000"], "facility_power", 22, page=False))
    (incident,) = world.last().values()
    assert (incident.cause.entity, incident.pages) == ("node:n0002", 1)
    assert incident.cause.confidence >= sure


def test_what_begins_long_after_a_fault_is_a_fault_of_its_own():
    """An hour after a node is back, while its job still idles, that job hangs: that is another incident."""
    world = World(hall(jobs=[("a", (1, 2, 6, 9))]))
    idle = hot(gpus_of(1, 2, 6, 9), "activity", 1, "down", page=False)
    world.step(silent(["node:n0002"], 0) + idle, ticks=20)
    for _ in range(60):
        skip(world, 6, idle)
    world.step(idle + hot(["job:a"], "progress", world.tick), ticks=40)
    assert world.causes() == ["job:a", "node:n0002"]


@pytest.mark.parametrize(("page", "cause"), [(True, FAN), (False, "job:a")])
def test_only_heat_that_matters_slows_a_job(page, cause):
    """A job is slow while one of its GPUs is a degree warm: that GPU is not why, as it is where it is hot."""
    world = World(hall(jobs=[("a", (1, 2, 3, 9))]))
    world.step(hot([FAN], "heat", 0, page=page) + hot(["job:a"], "progress", 2), ticks=40)
    assert [line.cause.entity for line in world.last().values() if line.pages] == [cause]
