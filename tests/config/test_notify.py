"""The `notify` section: what it may hold, and that a key never stands in it nor in what is said about it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.notify import NUMBERS, NotifySettings, Route, read_notify
from monitor.config.settings import Settings
from monitor.errors import ConfigError

ROOT = Path(__file__).parents[2]
SECRET = "5ecretf32characters" + "x" * 13


def test_a_whole_section_is_read():
    """Channels, routes, links and numbers as they were meant."""
    text = """
notify:
  channels:
    platform: {type: pagerduty, key_from: PLATFORM_KEY}
    ops: {type: webhook, url: https://ops.example/hook}
    log: {type: file, path: pages.ndjson}
  routes:
    - {owners: [platform], to: [platform, log]}
    - {severities: [critical, error, warning], to: [ops]}
  links: [{text: Panel, href: "https://g.example/d/x?e={entity}&from={start}"}]
  stale_ms: 60000
"""
    notify = Settings.parse(text).notify
    assert {name: (c.type, c.key_from, c.url) for name, c in notify.channels.items()} == {
        "platform": ("pagerduty", "PLATFORM_KEY", "https://events.pagerduty.com"),
        "ops": ("webhook", "MONITOR_WEBHOOK_SECRET", "https://ops.example/hook"),
        "log": ("file", "", ""),
    }
    assert notify.routes[0] == Route(to=("platform", "log"), owners=("platform",))
    assert (notify.stale_ms, notify.per_minute) == (60_000, 100)


def test_without_a_section_nothing_is_sent_anywhere():
    """The defaults name no channel."""
    assert Settings.parse("").notify == NotifySettings()
    assert NotifySettings().channels == {}


@pytest.mark.parametrize(
    "section",
    [
        {"channels": {"pd": {"type": "pagerduty", "key_from": SECRET}}},
        {"channels": {"pd": {"type": "pagerduty", "routing_key": SECRET}}},
        {"channels": {"pd": {"type": "pagerduty", "url": f"https://{SECRET}@events.example"}}},
        {"channels": {"hook": {"type": "webhook", "url": f"https://hooks.example/?token={SECRET}"}}},
        {"channels": {"hook": {"type": "webhook", "url_from": SECRET}}},
        {"channels": {"hook": {"type": "webhook", "path": SECRET, "url": "https://x.example"}}},
        {"channels": {"pd": SECRET}},
        {"channels": SECRET},
        {"routing_key": SECRET},
        {"stale_ms": SECRET},
        SECRET,
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(section):
    """Wherever somebody puts a key by mistake, the error names the place and not the key."""
    with pytest.raises(ConfigError) as caught:
        Settings.parse(msgspec.yaml.encode({"notify": section}).decode())
    assert SECRET not in str(caught.value)
    assert all(problem.startswith("notify") for problem in caught.value.problems)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.dictionaries(
    st.sampled_from(["channels", "routes", "links", "runbook_url", *NUMBERS]) | st.text(max_size=5),
    JUNK,
    max_size=5,
)


@given(SECTIONS)
def test_any_section_gives_settings_or_named_problems(section):
    """Whatever stands there, the answer is settings or problems with their place, never a traceback."""
    problems = []
    notify = read_notify(section, problems)
    assert isinstance(notify, NotifySettings)
    assert all(problem.startswith("notify") for problem in problems)


def test_every_number_stands_in_the_manual_with_its_default():
    """docs/pages.md lists what may be set."""
    text = (ROOT / "docs" / "pages.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, re.MULTILINE))
    assert rows == {name: f"{getattr(NotifySettings(), name):,}" for name in NUMBERS}
    for field in msgspec.structs.fields(NotifySettings):
        assert re.search(rf"\b{field.name}:|`{field.name}`", text), field.name
