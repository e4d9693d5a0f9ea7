"""The `notify` section of settings.yaml: channels, routes, and how patient delivery is.

A key never stands in a file: `key_from` names the environment variable that holds it. No problem that is
reported here repeats what stands in `key_from`, `url` or `url_from`, since a key may be there by mistake.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import Any, Literal

import msgspec

from monitor.config.reading import as_fields, as_mapping, as_record
from monitor.units import DAY, MINUTE, SECOND

ChannelType = Literal["pagerduty", "webhook", "file"]

LINK_FIELDS = ("entity", "kind", "name", "incident", "episode", "owner", "class", "start", "end")
"""What a link pattern may hold in braces."""

PAGERDUTY_URL = "https://events.pagerduty.com"
KEY_FROM = {"pagerduty": "MONITOR_PAGERDUTY_ROUTING_KEY", "webhook": "MONITOR_WEBHOOK_SECRET"}
URL_FROM = {"pagerduty": "MONITOR_PAGERDUTY_URL", "webhook": "MONITOR_WEBHOOK_URL"}

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_CHANNEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_URL = re.compile(r"https?://(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d{1,5})?(/[^\s?#@]*)?")
_LOOPBACK = re.compile(r"http://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d{1,5})?(/.*)?")


class ChannelSettings(msgspec.Struct, frozen=True):
    """One way to a person.

    type: `pagerduty`, `webhook` or `file`. key_from: the environment variable with the routing key or the
    signing secret. url: where to send; url_from: an environment variable that stands for it where it is set.
    path: the NDJSON file of a `file` channel.
    """

    type: ChannelType
    key_from: str = ""
    url: str = ""
    url_from: str = ""
    path: str = ""


class Route(msgspec.Struct, frozen=True):
    """Which incidents go to which channels. An empty list takes all; the first route that fits counts."""

    to: tuple[str, ...]
    owners: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    severities: tuple[str, ...] = ("critical", "error")


class LinkPattern(msgspec.Struct, frozen=True):
    """A link of each page: `href` with `{entity}`, `{start}` and the like in it."""

    text: str
    href: str


class NotifySettings(msgspec.Struct, frozen=True):
    """How incidents reach people.

    stale_ms: evidence older than this is never sent as if live.
    late_wait_ms: how long what is stale waits for news that it is over, before it is sent as late.
    repeat_ms: a page that nobody acknowledged is sent again after this long; 0 is never.
    send_resolved: whether the end of an incident is sent.
    per_minute: most events in any 60 seconds to one channel; PagerDuty takes about 120.
    burst: most events at once.
    retry_first_ms: wait after the first failed attempt; it doubles with each.
    throttled_first_ms: the same where the receiver said that we are too fast.
    retry_longest_ms: the longest wait.
    timeout_ms: how long one attempt may take.
    keep_ms: how long what was delivered is remembered.
    """

    channels: dict[str, ChannelSettings] = {}
    routes: tuple[Route, ...] = ()
    links: tuple[LinkPattern, ...] = ()
    runbook_url: str = ""
    stale_ms: int = 10 * MINUTE
    late_wait_ms: int = 30 * SECOND
    repeat_ms: int = 0
    send_resolved: bool = True
    per_minute: int = 100
    burst: int = 20
    retry_first_ms: int = 5 * SECOND
    throttled_first_ms: int = 30 * SECOND
    retry_longest_ms: int = 5 * MINUTE
    timeout_ms: int = 10 * SECOND
    keep_ms: int = 30 * DAY


NUMBERS = tuple(f.name for f in msgspec.structs.fields(NotifySettings) if f.type is int)

SEVERITIES = ("critical", "error", "warning")
CLASSES = ("data", "model", "infrastructure", "business", "cost")

_MAY_BE_ZERO = ("late_wait_ms", "repeat_ms")


def read_notify(raw: object, problems: list[str], place: str = "notify") -> NotifySettings:
    """Read the section; every problem goes to `problems` with its place.

    >>> found = []
    >>> read_notify({"channels": {"ops": {"type": "pagerduty"}}}, found).channels["ops"].key_from
    'MONITOR_PAGERDUTY_ROUTING_KEY'
    >>> _ = read_notify({"routes": [{"to": ["ops"]}]}, found)
    >>> found
    ['notify.routes[0].to: no channel is called `ops`; declare it under notify.channels']
    """
    before = len(problems)
    written = as_mapping(raw, place, problems)
    channels = _channels(written.pop("channels", None), f"{place}.channels", problems)
    routes = _records(Route, written.pop("routes", None), f"{place}.routes", problems)
    links = _records(LinkPattern, written.pop("links", None), f"{place}.links", problems)
    _check_routes(routes, channels, f"{place}.routes", problems)
    for i, link in enumerate(links):
        _check_pattern(link.href, LINK_FIELDS, f"{place}.links[{i}].href", problems)
    fields = as_fields(NotifySettings, written, place, problems, ("channels", "routes", "links"))
    _check_pattern(fields.get("runbook_url", ""), ("runbook",), f"{place}.runbook_url", problems)
    _check_numbers(fields, place, problems)
    if len(problems) > before:
        return NotifySettings()
    return NotifySettings(channels=channels, routes=tuple(routes), links=tuple(links), **fields)


def is_loopback(url: str) -> bool:
    """Tell whether a plain http address is this machine's own.

    >>> is_loopback("http://127.0.0.1:8080"), is_loopback("http://127.0.0.1.example.org")
    (True, False)
    """
    return _LOOPBACK.fullmatch(url) is not None


def url_problem(url: str, of: ChannelType) -> str:
    """Say what is wrong with an address, without repeating it; "" for nothing."""
    if not _URL.fullmatch(url):
        return "is no plain http(s) address; one with a user, a query or a fragment belongs into url_from"
    if of == "pagerduty" and url.startswith("http://") and not is_loopback(url):
        return "a routing key does not travel in clear text; write https"
    return ""


def _channels(raw: object, place: str, problems: list[str]) -> dict[str, ChannelSettings]:
    found = {}
    for name, settings in as_mapping(raw, place, problems).items():
        if not _CHANNEL.fullmatch(name):
            problems.append(f"{place}: a channel's name is small letters, digits, - and _")
            continue
        channel = as_record(ChannelSettings, settings, f"{place}.{name}", problems)
        if channel is not None:
            problems.extend(f"{place}.{name}.{problem}" for problem in _channel_problems(channel))
            found[name] = msgspec.structs.replace(
                channel,
                key_from=channel.key_from or KEY_FROM.get(channel.type, ""),
                url_from=channel.url_from or URL_FROM.get(channel.type, ""),
                url=channel.url or (PAGERDUTY_URL if channel.type == "pagerduty" else ""),
            )
    return found


def _channel_problems(channel: ChannelSettings) -> list[str]:
    problems = []
    for name in ("key_from", "url_from"):
        value = getattr(channel, name)
        if value and not _VARIABLE.fullmatch(value):
            example = (KEY_FROM if name == "key_from" else URL_FROM).get(channel.type, "MONITOR_KEY")
            problems.append(f"{name}: write the name of an environment variable, such as {example}; "
                            "what it holds never stands in a file")  # fmt: skip
    if channel.url and (problem := url_problem(channel.url, channel.type)):
        problems.append(f"url: {problem}")
    if channel.type == "file":
        problems += [f"{name}: a file has none" for name in ("key_from", "url", "url_from")
                     if getattr(channel, name)]  # fmt: skip
        problems += [] if channel.path else ["path: missing; name the file to write pages to"]
    elif channel.path:
        problems.append("path: only a channel of type `file` has one")
    return problems


def _records(record: Any, raw: object, place: str, problems: list[str]) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        problems.append(f"{place}: expected a list")
        return []
    found = [as_record(record, item, f"{place}[{i}]", problems) for i, item in enumerate(raw)]
    return [item for item in found if item is not None]


def _check_routes(
    routes: list[Route], channels: dict[str, ChannelSettings], place: str, problems: list[str]
) -> None:
    for i, route in enumerate(routes):
        for key, words, known in (
            ("severities", route.severities, SEVERITIES),
            ("classes", route.classes, CLASSES),
        ):
            listed = ", ".join(f"`{word}`" for word in known)
            unknown = [word for word in words if word not in known]
            problems.extend(
                f"{place}[{i}].{key}: unknown `{w}`; what can be sent is {listed}" for w in unknown
            )
        if not route.severities:
            problems.append(f"{place}[{i}].severities: empty; name what goes there, or leave the key out")
        problems.extend(
            f"{place}[{i}].to: no channel is called `{name}`; declare it under notify.channels"
            for name in route.to
            if name not in channels
        )


def _check_pattern(pattern: str, known: tuple[str, ...], place: str, problems: list[str]) -> None:
    if not pattern:
        return
    if not pattern.startswith(("https://", "http://")):
        problems.append(f"{place}: is no http(s) address")
    try:
        names = [name for _, name, _, _ in Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        problems.append(f"{place}: {error}")
        return
    listed = ", ".join(f"`{{{name}}}`" for name in known)
    problems.extend(f"{place}: unknown `{{{n}}}`; known are {listed}" for n in names if n not in known)


def _check_numbers(fields: dict[str, Any], place: str, problems: list[str]) -> None:
    for name in NUMBERS:
        least = 0 if name in _MAY_BE_ZERO else 1
        if name in fields and fields[name] < least:
            problems.append(f"{place}.{name}: {fields[name]:,} is less than {least}")
    number = {name: fields.get(name, getattr(NotifySettings(), name)) for name in NUMBERS}
    for low, high in (
        ("retry_first_ms", "retry_longest_ms"),
        ("throttled_first_ms", "retry_longest_ms"),
    ):
        if number[low] > number[high]:
            problems.append(f"{place}.{low}: {number[low]:,} is more than {high}, {number[high]:,}")
    if number["burst"] >= number["per_minute"]:
        problems.append(
            f"{place}.burst: {number['burst']:,} is not below per_minute, {number['per_minute']:,}"
        )
