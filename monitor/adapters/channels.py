"""The channels that settings declare, with the keys that the environment holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from monitor.adapters.pagefile import PageFile
from monitor.adapters.pagerduty import PagerDuty
from monitor.adapters.webhook import Webhook
from monitor.config.notify import KEY_FROM, PAGERDUTY_URL, URL_FROM, ChannelSettings, url_problem
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.config.notify import NotifySettings

    AnyChannel = PagerDuty | Webhook | PageFile

ROUTING_KEY_LENGTH = 32
SECRET_LEAST = 16


def build_channels(settings: NotifySettings, environ: Mapping[str, str]) -> dict[str, AnyChannel]:
    """Build the declared channels. Raises ConfigError with every key that is missing, never with a key.

    Where none is declared but PagerDuty's key is set, there is one, `pagerduty`.
    """
    problems: list[str] = []
    channels: dict[str, AnyChannel] = {}
    for name, channel in declared(settings, environ).items():
        built = _build(channel, settings, environ, f"notify.channels.{name}", problems)
        if built is not None:
            channels[name] = built
    if problems:
        for built in channels.values():
            built.close()
        raise ConfigError("channels", problems)
    return channels


def declared(settings: NotifySettings, environ: Mapping[str, str]) -> dict[str, ChannelSettings]:
    """Return the channels of the settings, or the one that a key in the environment asks for."""
    if settings.channels or not environ.get(KEY_FROM["pagerduty"]):
        return dict(settings.channels)
    return {
        "pagerduty": ChannelSettings("pagerduty", KEY_FROM["pagerduty"], PAGERDUTY_URL, URL_FROM["pagerduty"])
    }


def _build(
    channel: ChannelSettings,
    settings: NotifySettings,
    environ: Mapping[str, str],
    place: str,
    problems: list[str],
) -> AnyChannel | None:
    if channel.type == "file":
        return PageFile(Path(channel.path), settings)
    before = len(problems)
    key = environ.get(channel.key_from, "").strip()
    given = environ.get(channel.url_from, "").strip()
    url = given or channel.url
    if problem := _key_problem(channel, key):
        problems.append(f"{place}: {channel.key_from} {problem}")
    if not url:
        problems.append(f"{place}: no address; write `url`, or set {channel.url_from}")
    elif problem := _url_problem(channel, url, from_environment=bool(given)):
        problems.append(f"{place}: {channel.url_from if given else 'url'} {problem}")
    if len(problems) > before:
        return None
    match channel.type:
        case "pagerduty":
            return PagerDuty(key, settings, url)
        case "webhook":
            return Webhook(url, key, settings)
    assert_never(channel.type)


def _key_problem(channel: ChannelSettings, key: str) -> str:
    if not key:
        return "is not set; nothing is sent without a key"
    if channel.type == "pagerduty" and not (
        len(key) == ROUTING_KEY_LENGTH and key.isalnum() and key.isascii()
    ):
        return f"holds {len(key)} characters; a routing key is {ROUTING_KEY_LENGTH} letters and digits"
    if channel.type == "webhook" and len(key) < SECRET_LEAST:
        return f"holds {len(key)} characters; a signing secret has at least {SECRET_LEAST}"
    return ""


def _url_problem(channel: ChannelSettings, url: str, *, from_environment: bool) -> str:
    """Say what is wrong with an address. A webhook's own in the environment may hold a query."""
    if from_environment and channel.type == "webhook":
        plain = url.startswith(("https://", "http://")) and not any(c.isspace() for c in url)
        return "" if plain else "is no http(s) address"
    return url_problem(url, channel.type)
