"""Channels are built from settings and the keys in the environment, or refused with every reason."""

from __future__ import annotations

import pytest

from monitor.adapters.channels import build_channels
from monitor.adapters.pagefile import PageFile
from monitor.adapters.pagerduty import PagerDuty
from monitor.adapters.webhook import Webhook
from monitor.config.notify import NotifySettings, read_notify
from monitor.errors import ConfigError

KEY = "r0ut1ngkey" + "x" * 22
SECRET = "a signing secret of the operator"


def settings(**section):
    problems = []
    read = read_notify(section, problems)
    assert problems == []
    return read


def test_nothing_is_sent_without_a_key_that_the_user_set():
    """No settings, no key: no channel."""
    assert build_channels(NotifySettings(), {}) == {}


def test_a_key_alone_is_enough():
    """Who sets PagerDuty's key and nothing else is paged."""
    built = build_channels(NotifySettings(), {"MONITOR_PAGERDUTY_ROUTING_KEY": f" {KEY}\n"})
    assert {name: type(c) for name, c in built.items()} == {"pagerduty": PagerDuty}
    built["pagerduty"].close()


def test_each_type_is_built():
    """Addresses in the environment stand for those of the file; one of a webhook may hold a query there."""
    rules = settings(
        channels={
            "pd": {"type": "pagerduty", "key_from": "OUR_KEY"},
            "hook": {"type": "webhook"},
            "log": {"type": "file", "path": "pages.ndjson"},
        }
    )
    built = build_channels(
        rules,
        {"OUR_KEY": KEY, "MONITOR_WEBHOOK_SECRET": SECRET, "MONITOR_WEBHOOK_URL": "https://x.example/?token=t",
         "MONITOR_PAGERDUTY_URL": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert {name: type(c) for name, c in built.items()} == {"pd": PagerDuty, "hook": Webhook, "log": PageFile}
    for channel in built.values():
        channel.close()


def test_all_that_is_missing_is_told_at_once_and_no_key_is():
    """Each problem names the channel and the variable."""
    rules = settings(
        channels={
            "a": {"type": "pagerduty", "key_from": "KEY_A"},
            "b": {"type": "pagerduty", "key_from": "KEY_B"},
            "c": {"type": "pagerduty", "key_from": "KEY_C", "url_from": "URL_C"},
            "d": {"type": "webhook", "key_from": "KEY_D"},
        }
    )
    environ = {
        "KEY_B": "tooshort",
        "KEY_C": KEY,
        "URL_C": f"http://{KEY}@events.example",
        "KEY_D": "short too",
    }
    plain = "is no plain http(s) address; one with a user, a query or a fragment belongs into url_from"
    with pytest.raises(ConfigError) as caught:
        build_channels(rules, environ)
    assert caught.value.problems == [
        "notify.channels.a: KEY_A is not set; nothing is sent without a key",
        "notify.channels.b: KEY_B holds 8 characters; a routing key is 32 letters and digits",
        f"notify.channels.c: URL_C {plain}",
        "notify.channels.d: KEY_D holds 9 characters; a signing secret has at least 16",
        "notify.channels.d: no address; write `url`, or set MONITOR_WEBHOOK_URL",
    ]
    assert not any(value in str(caught.value) for value in environ.values())
