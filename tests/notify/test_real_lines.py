"""Lines as correlation writes them, through the outbox: what on-call gets for real courses of incidents."""

from __future__ import annotations

import msgspec

from monitor.config.notify import Route
from monitor.types import Command
from tests.correlate.fleet import T0, World, gpus_of, hot, silent
from tests.notify.test_outbox import QUICK, Driver, expected_pages

FAN = "gpu:n0003/4"


def skip(world, ticks, signals=()):
    """Let time pass, and step its last tick only."""
    world.tick += ticks - 1
    world.step(signals)


def told(lines, rules=QUICK, channels=("pd",)):
    """Deliver each line as it comes; return what each channel was told, as (action, cause, owner)."""
    box, heard = Driver(rules, channels), {channel: [] for channel in channels}
    for line in lines:
        box.take(line)
        for channel in channels:
            heard[channel] += [
                (n.action.value, n.incident.cause.entity, n.incident.owner) for n in box.send_all(channel)
            ]
        box.now += 1_000
    return heard


def test_a_fan_that_is_a_cdu_is_one_page_with_news_and_an_end():
    """One call, the better cause as an update of it, an acknowledgement, an end."""
    world = World()
    world.step(hot([FAN], "heat", 0), ticks=3)
    both = hot(gpus_of(*range(8)), "heat", 3) + hot([FAN], "heat", 0)
    world.step(both, ticks=3)
    world.step(both, commands=[Command(T0, "user:ann", "ack", world.lines[0].id, ())])
    world.step()
    skip(world, 70)
    heard = told(world.lines)["pd"]
    assert [action for action, *_ in heard] == ["trigger", "update", "acknowledge", "resolve"]
    assert [cause for _, cause, _ in heard[:2]] == [FAN, "cdu:c00"]


def test_a_page_that_moves_to_another_owner_rings_there():
    """The first owner hears that it is not theirs, the second is called."""
    world = World()
    world.step(hot([FAN], "heat", 0), ticks=3)
    world.step(hot(gpus_of(0, 1, 2, 3), "heat", 3), ticks=20)
    owners = list(dict.fromkeys(line.owner for line in world.lines))
    routes = (Route(to=("first",), owners=(owners[0],)), Route(to=("second",)))
    heard = told(world.lines, msgspec.structs.replace(QUICK, routes=routes), ("first", "second"))
    assert heard["first"][0] == ("trigger", FAN, owners[0])
    assert [(action, owner) for action, _, owner in heard["second"]][:1] == [("trigger", "facilities")]
    assert {action for action, *_ in heard["first"][1:]} == {"update"}


def test_two_pages_that_turn_out_to_be_one_leave_one_open():
    """What is merged is closed at the pager, since what swallowed it is paged."""
    world = World()
    world.step(hot(gpus_of(0), "heat", 0), ticks=2)
    world.step(hot(gpus_of(0), "heat", 0) + hot(gpus_of(5), "heat", 2), ticks=2)
    world.step(hot(gpus_of(*range(8)), "heat", 2), ticks=2)
    actions = [action for action, *_ in told(world.lines)["pd"]]
    assert (actions.count("trigger"), actions.count("resolve")) == (2, 1)


def test_a_long_story_leaves_the_pager_as_the_incidents_stand():
    """Heat, silence, merges and ends: at the end the open alerts are the open paged incidents."""
    world = World()
    for tick in range(45):
        signals = hot([FAN], "heat", 5) if 5 <= tick < 20 else []
        signals += hot(gpus_of(*range(8, 16)), "heat", 10) if 10 <= tick < 40 else []
        signals += silent([f"node:n{n:04d}" for n in range(20, 24)][: tick - 24], 22) if tick >= 25 else []
        world.step(signals)
    skip(world, 70, silent([f"node:n{n:04d}" for n in range(20, 24)], 22))
    box, shown = Driver(), {}
    for line in world.lines:
        box.take(line)
        for n in box.send_all():
            shown[n.incident.id, n.incident.episode] = "over" if n.action == "resolve" else "open"
    assert shown == expected_pages(world.lines)
    assert set(shown.values()) == {"open", "over"}
