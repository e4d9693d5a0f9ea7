"""Random histories against a receiver that throttles, fails, dawdles, resets and loses replies, with real kills.

None lost; in order for each incident; the same twice only where a reply was lost or late, or where the process
was killed between sending and writing down.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import time

import msgspec
import pytest

from monitor.adapters.outbox import read_events
from monitor.notify.pagerduty import event as body_of
from monitor.notify.records import Notice, dedup_key
from monitor.runners.receiver import Receiver
from monitor.types import Incident
from tests.notify.deliverer import HASTY, KEY, deliver
from tests.notify.lines import history
from tests.notify.test_outbox import expected_pages

MOODS = ("take",) * 9 + ("refuse", "throttle", "fail", "slow", "reset", "lose_reply", "lose_reply")
KILLS = 4
SLOW_S = 0.12


class Chaos:
    """Treats each event at random, and kills the deliverer: as it sends, or some time after it began."""

    def __init__(self, seed):
        self._chance = random.Random(seed)
        self._calm = time.monotonic() + 8
        self._countdown = 0
        self.process = None
        self.killed_at = []

    def attack(self, process):
        """Choose how this process is killed; return after how many seconds, at the latest."""
        self.process = process
        self._countdown = self._chance.choice((0, 0, 1, 2, 3, 5))
        return 1.0 if self._countdown else self._chance.uniform(0, 0.06)

    def mood(self, _event):
        if self._countdown:
            self._countdown -= 1
            if not self._countdown:
                self.process.kill()
                return self._chance.choice(("lose_reply", "reset", "take"))
        return self._chance.choice(MOODS) if time.monotonic() < self._calm else "take"


def run(seed, tmp_path):
    """Deliver one history through kills; return its lines, the outbox, what was received, and where kills fell."""
    chaos = Chaos(seed)
    receiver = Receiver(mood=chaos.mood, slow_s=SLOW_S).start()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.notify.deliverer"])
    lines = [msgspec.json.encode(one) for one in history(seed, steps=70, incidents=6)]
    path = tmp_path / f"outbox-{seed}.db"
    try:
        for attempt in range(KILLS + 1):
            # A pipe: whoever is killed with a lock in hand would keep it for ever.
            heard, begun = context.Pipe(duplex=False)
            process = context.Process(
                target=deliver, args=(str(path), receiver.url, lines, seed, attempt, begun)
            )
            wait = chaos.attack(process) if attempt < KILLS else 90
            process.start()
            begun.close()
            assert heard.poll(30)
            heard.close()
            process.join(wait)
            if process.exitcode is None:
                assert attempt < KILLS, "a run that nobody killed did not end"
                process.kill()
                process.join()
            assert process.exitcode in ({0, -signal.SIGKILL} if attempt < KILLS else {0})
            if process.exitcode:
                time.sleep(0.01)
                chaos.killed_at.append(len(receiver.requests))
    finally:
        receiver.stop()
    return lines, read_events(path), receiver, chaos.killed_at


def check(lines, events, receiver, killed_at):
    requests = receiver.requests
    assert {e.status for e in events} <= {"sent", "dead", "held"}
    assert all(r.event and KEY not in str(r.event) for r in requests)
    check_each_incident(events, requests)
    check_repetitions(requests, killed_at)
    check_final(lines, events, receiver)


def check_each_incident(events, requests):
    """What was taken of each incident, repetitions aside, is what its outbox sent, in order, letter for letter."""
    for incident in {e.incident for e in events}:
        ours = [e for e in events if e.incident == incident]
        sent = [wire(e) for e in ours if e.status == "sent"]
        taken = []
        for r in requests:
            if r.taken and r.event["dedup_key"].split("-")[1] == incident and r.event not in taken[-1:]:
                taken.append(r.event)
        # An event may have been taken, its reply lost, and the next attempt refused for good.
        refused = [wire(e) for e in ours if e.status == "dead"]
        assert [t for t in taken if t in sent or t not in refused] == sent
        for e in ours:
            if e.status == "dead":
                assert e.reason == "bad_request"
                assert any(r.mood == "refuse" and r.event == wire(e) for r in requests)


def wire(e):
    line = msgspec.json.decode(e.line, type=Incident)
    notice = Notice("", e.action, dedup_key(e.incident, e.episode), line, 0)
    return msgspec.json.decode(msgspec.json.encode(body_of(notice, HASTY)))


def check_repetitions(requests, killed_at):
    """After an event was taken and answered in time, it does not come again, unless a kill fell there."""
    for i, r in enumerate(requests):
        again = any(later.event == r.event for later in requests[i + 1 :])
        excused = r.mood in {"lose_reply", "slow"} or any(abs(i + 1 - at) <= 1 for at in killed_at)
        assert not (r.taken and again) or excused, f"request {i} of {len(requests)} was repeated: {r}"


def check_final(lines, events, receiver):
    """Whoever should be paged was, and each alert stands as its incident does, refusals aside."""
    touched = {(e.incident, e.episode) for e in events if e.status == "dead"}
    decoded = [msgspec.json.decode(line, type=Incident) for line in lines]
    for key, state in expected_pages(decoded).items():
        alerts = [a for a in receiver.alerts if a.dedup_key == dedup_key(*key)]
        if key not in touched:
            assert alerts, f"{key} was never paged"
            assert (alerts[-1].state == "resolved") == (state == "over"), key


@pytest.mark.parametrize("seed", range(3))
def test_a_few_histories_with_kills(seed, tmp_path):
    """The promise of the page above, for a few histories."""
    check(*run(seed, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1320))
def test_many_histories_with_kills(seed, tmp_path):
    """The same for over 300."""
    check(*run(seed, tmp_path))
