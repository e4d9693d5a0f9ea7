"""The small parts: words, the bucket, waits, ages."""

from __future__ import annotations

import doctest
import importlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.notify import LinkPattern, NotifySettings
from monitor.notify.bucket import Bucket
from monitor.notify.outcomes import JITTER, RETRIED, wait_ms
from monitor.notify.pagerduty import event
from monitor.notify.records import Action, Notice
from monitor.notify.words import details, filled, links, shortened, summary
from monitor.reasons import Outcome
from monitor.types import Cause
from tests.notify.lines import START, line

MODULES = ["notify.bucket", "notify.intake", "notify.outcomes", "notify.pagerduty", "notify.records",
           "notify.webhook", "notify.words", "config.notify"]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    """What the docstrings show is what happens."""
    result = doctest.testmod(importlib.import_module(f"monitor.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def notice(late_ms=0, repeat=0, **changes):
    return Notice("pd-1", Action.TRIGGER, "k", line(**changes), START, late_ms, repeat)


def test_the_summary_says_what_where_how_wide_and_how_sure():
    """The line that wakes somebody can be acted upon."""
    assert summary(notice()) == (
        "cdu:c01: coolant flow low; 74 affected (1 rack, 1 cdu, 8 node, 64 gpu); 97% sure; owner facility-team"
    )
    assert "; 99% sure; " in summary(notice(cause=Cause("cdu:c01", "coolant_flow_low", 1.0, "")))
    assert summary(notice(late_ms=5_400_000)).startswith("[90 min late] cdu:c01: ")


def test_what_is_late_says_so_in_its_details_too():
    """Nobody takes an old page for a new one."""
    assert "late" not in details(notice())
    assert details(notice(late_ms=9_000_000))["late"].startswith("sent 2.5 h after it was decided")
    assert details(notice(repeat=3))["repeat"] == 3


def test_the_event_holds_what_on_call_needs():
    """Owner, cause, evidence, candidates, breadth, runbook, first query."""
    payload = event(notice(), NotifySettings())["payload"]
    assert {k: payload[k] for k in ("source", "severity", "component", "group", "class")} == {
        "source": "cdu:c01", "severity": "critical", "component": "cdu", "group": "infrastructure",
        "class": "coolant_flow_low",
    }  # fmt: skip
    told = payload["custom_details"]
    assert (told["owner"], told["runbook"], told["first_query"]) == (
        "facility-team", "docs/runbooks/cdu.md", "SELECT 1",
    )  # fmt: skip
    assert told["evidence"] == ["flow of cdu:c01 down", "64 of 64 GPUs beneath cdu:c01 hot"]
    assert [c["entity"] for c in told["other_candidates"]] == ["chiller:ch1"]
    assert told["affected"]["by_kind"] == {"rack": 1, "cdu": 1, "node": 8, "gpu": 64}
    assert told["affected"]["entities"][-1] == "and 54 more"


def test_links_lead_to_the_runbook_and_the_panel():
    """The operator's patterns are filled; what an entity's name holds does not break the address."""
    rules = NotifySettings(
        runbook_url="https://git.example/fleet/{runbook}",
        links=(LinkPattern("Panel", "https://g.example/d/x?e={entity}&from={start}&to={end}"),),
    )
    found = links(line(cause=Cause("gpu:a b&c=1#/0", "heat", 0.9, "")), rules)
    assert found == [
        {"href": "https://git.example/fleet/docs/runbooks/cdu.md", "text": "Runbook"},
        {
            "href": f"https://g.example/d/x?e=gpu:a%20b%26c%3D1%23/0&from={START - 1_860_000}&to={START + 1_800_000}",
            "text": "Panel",
        },
    ]
    assert links(line(), NotifySettings()) == [], "a path in a checkout is no link"


@given(st.text(), st.integers(40, 200))
def test_shortened_texts_fit_and_say_what_is_missing(text, most):
    """At most so long, no control characters; the count of what is cut off is right."""
    short = shortened(text, most)
    assert len(short) <= most
    assert all(c.isprintable() or c in "\n\t" for c in short)
    if len(text) > most:
        kept, _, count = short.rpartition("... (")
        assert int(count.split(" ")[0].replace(",", "")) == len(text) - len(kept)


@given(st.text())
def test_filled_addresses_hold_no_stray_characters(name):
    """An entity's name cannot add a parameter or a fragment."""
    href = filled("https://g.example/?e={entity}", {"entity": name})
    assert href.isascii()
    assert not set(href.removeprefix("https://g.example/?e=")) & set("&#?= <>\"'")


@given(st.integers(2, 200), st.data(), st.lists(st.integers(0, 5_000), min_size=1, max_size=300))
def test_no_window_of_a_minute_holds_more_than_the_limit(per_minute, data, gaps):
    """Against a count by brute force, whatever the rhythm of the asking."""
    bucket = Bucket(per_minute, data.draw(st.integers(1, per_minute - 1)))
    now, sent = START, []
    for gap in gaps:
        now += gap
        wait = bucket.wait_ms(now)
        if bucket.take(now):
            assert wait == 0
            sent.append(now)
        else:
            assert not msgspec.structs.replace(bucket).take(now + wait - 1)
            assert msgspec.structs.replace(bucket).take(now + wait)
    for at in sent:
        assert sum(at <= other < at + 60_000 for other in sent) <= per_minute


@given(
    st.sampled_from(sorted(RETRIED)),
    st.integers(1, 200),
    st.text(max_size=5),
    st.none() | st.integers(0, 10**9),
)
def test_waits_double_up_to_the_longest(outcome, attempts, seed, asked):
    """first x 2^(n-1), at most the longest, less the jitter; never shorter than asked for, within the longest."""
    rules = NotifySettings()
    first = rules.throttled_first_ms if outcome is Outcome.RATE_LIMITED else rules.retry_first_ms
    whole = min(first * 2 ** (attempts - 1), rules.retry_longest_ms)
    wait = wait_ms(outcome, attempts, seed, rules, asked)
    least = max(whole * (1 - JITTER) - 1, min(asked or 0, rules.retry_longest_ms))
    assert least <= wait <= rules.retry_longest_ms
