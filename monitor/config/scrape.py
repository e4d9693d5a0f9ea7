"""A scrape configuration in Prometheus's own form; docs/sources.md says which of its keys are read.

Sections that are about something other than scraping are passed over, so that a `prometheus.yml` will do.
No problem that is told here repeats a credential.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from monitor.config.quantities import interval_ms, size_bytes
from monitor.config.reading import (
    UNREADABLE,
    as_fields,
    as_mapping,
    as_record,
    as_value,
    read_mapping,
    unknown_keys,
)
from monitor.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

RelabelAction = Literal[
    "replace", "keep", "drop", "labelmap", "labeldrop", "labelkeep", "hashmod", "lowercase", "uppercase",
    "keepequal", "dropequal",
]  # fmt: skip

PASSED_OVER = (
    "rule_files", "alerting", "remote_write", "remote_read", "storage", "tracing", "otlp", "runtime",
    "scrape_config_files",
)  # fmt: skip
DISCOVERY = "no such discovery here; targets come from static_configs and file_sd_configs"
HIDDEN = "<secret>"
MAX_BODY_BYTES = 64 * 2**20


class BasicAuth(msgspec.Struct, frozen=True):
    """A user and a password, or the files that hold them."""

    username: str = ""
    username_file: str = ""
    password: str = ""
    password_file: str = ""

    def __repr__(self) -> str:
        return f"BasicAuth(username={self.username!r}, password={HIDDEN})"


class Authorization(msgspec.Struct, frozen=True):
    """What the header `Authorization` says, or the file that holds it."""

    type: str = "Bearer"
    credentials: str = ""
    credentials_file: str = ""

    def __repr__(self) -> str:
        return f"Authorization(type={self.type!r}, credentials={HIDDEN})"


class TlsConfig(msgspec.Struct, frozen=True):
    """Whom to trust, and who we are."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False


class StaticConfig(msgspec.Struct, frozen=True):
    """Targets, and labels that all of them have."""

    targets: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class FileSd(msgspec.Struct, frozen=True):
    """Files (globs) that list targets; they are read again when they change."""

    files: tuple[str, ...]
    refresh_interval: str = "5m"


class RelabelRule(msgspec.Struct, frozen=True):
    """One step of relabelling, with Prometheus's defaults."""

    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = "(.*)"
    modulus: int = 0
    target_label: str = ""
    replacement: str = "$1"
    action: RelabelAction = "replace"


class ScrapeJob(msgspec.Struct, frozen=True):
    """One entry of `scrape_configs`. Times in ms. `labelmap` is ours: which label map alone to use."""

    job_name: str
    interval_ms: int
    timeout_ms: int
    metrics_path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    params: dict[str, tuple[str, ...]] = {}
    static_configs: tuple[StaticConfig, ...] = ()
    file_sd_configs: tuple[FileSd, ...] = ()
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    tls_config: TlsConfig = TlsConfig()
    honor_labels: bool = False
    honor_timestamps: bool = True
    follow_redirects: bool = True
    relabel_configs: tuple[RelabelRule, ...] = ()
    metric_relabel_configs: tuple[RelabelRule, ...] = ()
    sample_limit: int = 0
    max_body_bytes: int = MAX_BODY_BYTES
    labelmap: str | None = None


class _Plain(msgspec.Struct, frozen=True):
    """The keys of a job that are values, as they are written."""

    job_name: str
    scrape_interval: str = ""
    scrape_timeout: str = ""
    metrics_path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    params: dict[str, tuple[str, ...]] = {}
    honor_labels: bool = False
    honor_timestamps: bool = True
    follow_redirects: bool = True
    enable_http2: bool = True
    sample_limit: int = 0
    body_size_limit: str | int = 0
    bearer_token: str = ""
    bearer_token_file: str = ""
    labelmap: str | None = None


class _Global(msgspec.Struct, frozen=True):
    scrape_interval: str = "1m"
    scrape_timeout: str = "10s"
    evaluation_interval: str = "1m"
    external_labels: dict[str, str] = {}
    query_log_file: str = ""
    body_size_limit: str | int = 0
    sample_limit: int = 0


_LISTS: dict[str, type[msgspec.Struct]] = {
    "static_configs": StaticConfig,
    "file_sd_configs": FileSd,
    "relabel_configs": RelabelRule,
    "metric_relabel_configs": RelabelRule,
}
_PARTS: dict[str, type[msgspec.Struct]] = {
    "basic_auth": BasicAuth,
    "authorization": Authorization,
    "tls_config": TlsConfig,
}


def parse_scrape(text: str, where: str, labelmaps: Iterable[str] = ()) -> tuple[ScrapeJob, ...]:
    """Read the jobs of a file. Raises ConfigError with every problem.

    >>> parse_scrape("scrape_configs: [{job_name: a, metrics_path: /m}]", "p.yml")[0].interval_ms
    60000
    """
    problems: list[str] = []
    top = read_mapping(text, problems)
    problems += unknown_keys(top, ["global", "scrape_configs", *PASSED_OVER], "")
    defaults = as_record(_Global, top.get("global"), "global", problems) or _Global()
    raw = as_value(list[Any], top.get("scrape_configs") or [], "scrape_configs", problems)
    listed = [] if raw is UNREADABLE else raw
    if not listed and not problems:
        problems.append("scrape_configs: missing; there is nothing to scrape")
    jobs = [_job(item, f"scrape_configs[{i}]", defaults, problems) for i, item in enumerate(listed)]
    problems += _between(jobs, tuple(labelmaps))
    if problems:
        raise ConfigError(where, problems)
    return tuple(job for job in jobs if job is not None)


def _between(jobs: list[ScrapeJob | None], labelmaps: tuple[str, ...]) -> Iterable[str]:
    names = [None if job is None else job.job_name for job in jobs]
    for i, job in enumerate(jobs):
        if job is None:
            continue
        if names.index(job.job_name) < i:
            yield f"scrape_configs[{i}].job_name: another job is called `{job.job_name}`"
        if labelmaps and job.labelmap is not None and job.labelmap not in labelmaps:
            known = ", ".join(labelmaps)
            yield f"scrape_configs[{i}].labelmap: no label map `{job.labelmap}`; there are {known}"


def _job(raw: object, place: str, defaults: _Global, problems: list[str]) -> ScrapeJob | None:
    before = len(problems)
    body = as_mapping(raw, place, problems)
    for key in [key for key in body if key.endswith("_sd_configs") and key != "file_sd_configs"]:
        problems.append(f"{place}.{key}: {DISCOVERY}")
        del body[key]
    nested = {key: body.pop(key) for key in (*_LISTS, *_PARTS) if key in body}
    allowed = [field.name for field in msgspec.structs.fields(_Plain)]
    problems += unknown_keys(body, [*allowed, *_LISTS, *_PARTS], place)
    fields = as_fields(_Plain, {k: v for k, v in body.items() if k in allowed}, place, problems)
    parts: dict[str, Any] = {
        key: _records(_LISTS[key], value, f"{place}.{key}", problems)
        if key in _LISTS
        else as_record(_PARTS[key], value, f"{place}.{key}", problems)
        for key, value in nested.items()
    }
    if len(problems) > before:
        return None
    plain = _Plain(**fields)
    times = _times(plain, defaults, place, problems)
    problems += [f"{place}.{problem}" for problem in _job_problems(plain, parts)]
    if len(problems) > before:
        return None
    return _built(plain, parts, defaults, times)


def _built(plain: _Plain, parts: dict[str, Any], defaults: _Global, times: tuple[int, int]) -> ScrapeJob:
    bearer = Authorization(credentials=plain.bearer_token, credentials_file=plain.bearer_token_file)
    if plain.bearer_token or plain.bearer_token_file:
        parts = {**parts, "authorization": bearer}
    names = ("job_name", "metrics_path", "scheme", "params", "honor_labels", "honor_timestamps")
    most = size_bytes(plain.body_size_limit) or size_bytes(defaults.body_size_limit) or MAX_BODY_BYTES
    return ScrapeJob(
        **{name: getattr(plain, name) for name in (*names, "follow_redirects", "labelmap")},
        interval_ms=times[0],
        timeout_ms=times[1],
        sample_limit=plain.sample_limit or defaults.sample_limit,
        max_body_bytes=most,
        **parts,
    )


def _records(record: type[msgspec.Struct], raw: object, place: str, problems: list[str]) -> tuple[Any, ...]:
    items = as_value(list[Any], raw, place, problems)
    found = [
        as_record(record, item, f"{place}[{i}]", problems)
        for i, item in enumerate([] if items is UNREADABLE else items)
    ]
    return tuple(item for item in found if item is not None)


def _times(plain: _Plain, defaults: _Global, place: str, problems: list[str]) -> tuple[int, int]:
    """Return interval and timeout; a timeout that only the defaults give is cut to the interval."""
    texts = {"scrape_interval": plain.scrape_interval or defaults.scrape_interval}
    texts["scrape_timeout"] = plain.scrape_timeout or defaults.scrape_timeout
    times = {}
    for name, text in texts.items():
        try:
            times[name] = interval_ms(text)
        except ValueError as error:
            problems.append(f"{place}.{name}: {error}")
    if len(times) < 2:
        return 0, 0
    interval, timeout = times["scrape_interval"], times["scrape_timeout"]
    if plain.scrape_timeout and timeout > interval:
        problems.append(f"{place}.scrape_timeout: longer than scrape_interval, {texts['scrape_interval']}")
    return interval, min(interval, timeout)


def _job_problems(plain: _Plain, parts: dict[str, Any]) -> Iterable[str]:
    ways = [key for key in ("basic_auth", "authorization") if parts.get(key) is not None]
    ways += [key for key in ("bearer_token", "bearer_token_file") if getattr(plain, key)]
    if len(ways) > 1:
        yield f"{ways[1]}: there is {ways[0]} already; write one of them"
    for key, pairs in (("basic_auth", ("username", "password")), ("authorization", ("credentials",))):
        for name in pairs if parts.get(key) is not None else ():
            if getattr(parts[key], name) and getattr(parts[key], f"{name}_file"):
                yield f"{key}.{name}: {name}_file is there too; write one of them"
    for key in ("relabel_configs", "metric_relabel_configs"):
        for i, rule in enumerate(parts.get(key, ())):
            if problem := _rule_problem(rule):
                yield f"{key}[{i}].{problem}"
    for i, listed in enumerate(parts.get("static_configs", ())):
        for target in listed.targets:
            if "/" in target:
                yield f"static_configs[{i}].targets: `{target}`: write host:port; scheme and path have keys"
    try:
        size_bytes(plain.body_size_limit)
    except ValueError as error:
        yield f"body_size_limit: {error}"
    if plain.sample_limit < 0:
        yield "sample_limit: less than 0"


def _rule_problem(rule: RelabelRule) -> str:
    try:
        re.compile(rule.regex)
    except re.error as error:
        return f"regex: `{rule.regex}`: {error}"
    needs_target = {"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"}
    if rule.action in needs_target and not rule.target_label:
        return f"target_label: missing; `{rule.action}` needs one"
    if rule.action == "hashmod" and rule.modulus < 1:
        return "modulus: missing; `hashmod` needs one above 0"
    return ""
