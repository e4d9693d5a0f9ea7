"""The settings of the pipeline: defaults, then rules/settings.yaml, then rules across fields; then immutable.

Times are milliseconds of event time, as the suffix `_ms` says.
"""

from __future__ import annotations

import msgspec

from monitor.config.notify import NotifySettings, read_notify
from monitor.config.reading import as_fields, read_mapping
from monitor.errors import ConfigError
from monitor.units import DAY, HOUR, MINUTE, SECOND


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator may set, with its default.

    Time
        tick_ms: length of a tick, the step in which everything is decided.
        lateness_ms: how long after its tick's end a frame may be received and still count.
        skew_ms: how far a frame's `ts` may be ahead of the time it was received.
        late_rollup_ms: how long after its window's end a late frame still corrects the rollups.
        snapshot_ticks: ticks between two snapshots.

    Silence
        forget_ms: who was not heard for this long is no part of the fleet any more.

    Baselines
        min_peers: with fewer peers a series is judged by its own past.
        peer_learning_ms: comparison with peers begins this long after a series began.
        own_learning_ms: judging by a series' own history begins this long after it began ...
        own_learning_points: ... and not before this many points.
        freeze_ms: length of phase I; the baseline is frozen at its end.
        hold_rhythms: a peer's last value counts for this many times its rhythm.

    Evidence
        page_budget_per_30d: false pages in 30 days that the fleet may cost. The page level follows from it.
        raise_nats: evidence against the null, in nats (natural logarithms), that raises an anomaly.
        clear_nats: evidence below which a raised anomaly may clear.
        chart_sigmas: distance of `lower` and `upper` from the centre, in standard deviations.
        chart_run: points on one side of the centre that are a signal.

    Incidents
        page_wait_ticks: ticks that a page may wait for a clearer cause ...
        page_confidence: ... while the confidence in it is below this probability.
        change_lookback_ms: a change at most this long before the onset speaks for its target.
        resolve_after_ms: an incident is resolved when nothing of it was anomalous or silent for this long.
        episode_gap_ms: the same cause within this time of its resolution is the next episode.

    Live process
        journal_segment_bytes: a segment of the journal is closed at this size.
        journal_keep_ms: a segment is kept this long after it was last written, whether needed or not.
        records_keep_bytes: so much of each kind of record is kept in the state directory.
        backlog_bytes: frames on disk that are not worked on yet; with more, clients are told to wait.
        body_bytes: the most that one request may send ...
        unpacked_bytes: ... and the most that it may hold, unpacked.
        connections: open connections at a time.
        client_timeout_ms: how long a client may take to send a request.

    Pages
        notify: channels, routes and delivery; `config/notify.py` says what is in it.
    """

    tick_ms: int = 10 * SECOND
    lateness_ms: int = 30 * SECOND
    skew_ms: int = 5 * MINUTE
    late_rollup_ms: int = 10 * MINUTE
    snapshot_ticks: int = 6

    forget_ms: int = 45 * DAY

    min_peers: int = 5
    peer_learning_ms: int = 30 * MINUTE
    own_learning_ms: int = 2 * HOUR
    own_learning_points: int = 30
    freeze_ms: int = 150 * MINUTE
    hold_rhythms: float = 1.5

    page_budget_per_30d: float = 1.0
    raise_nats: float = 9.0
    clear_nats: float = 3.0
    chart_sigmas: float = 3.0
    chart_run: int = 7

    page_wait_ticks: int = 3
    page_confidence: float = 0.9
    change_lookback_ms: int = 4 * HOUR
    resolve_after_ms: int = 10 * MINUTE
    episode_gap_ms: int = DAY

    journal_segment_bytes: int = 64 << 20
    journal_keep_ms: int = 6 * HOUR
    records_keep_bytes: int = 256 << 20
    backlog_bytes: int = 256 << 20
    body_bytes: int = 8 << 20
    unpacked_bytes: int = 32 << 20
    connections: int = 512
    client_timeout_ms: int = 20 * SECOND

    notify: NotifySettings = NotifySettings()

    @classmethod
    def parse(cls, text: str, where: str = "settings.yaml") -> Settings:
        r"""Read settings from YAML; what is not written keeps its default.

        Raises ConfigError with every problem.

        >>> Settings.parse("tick_ms: 60000\nlateness_ms: 60000").tick_ms
        60000
        """
        problems: list[str] = []
        written = read_mapping(text, problems)
        notify = read_notify(written.pop("notify", None), problems)
        fields = as_fields(cls, written, "", problems)
        settings = cls(**{**fields, "notify": notify})
        problems.extend(_field_problems(settings))
        problems.extend(_cross_field_problems(settings, unreadable=set(written) - set(fields)))
        if problems:
            raise ConfigError(where, problems)
        return settings


# The least value of each field; of the others, anything above 0.
_LEAST: dict[str, float] = {
    "tick_ms": SECOND,
    "lateness_ms": 0,
    "forget_ms": DAY,
    "min_peers": 2,
    "own_learning_points": 2,
    "hold_rhythms": 1,
    "clear_nats": 0,
    "chart_run": 2,
    "page_wait_ticks": 0,
    "journal_segment_bytes": 1 << 16,
    "journal_keep_ms": 0,
    "records_keep_bytes": 1 << 14,
    "backlog_bytes": 1 << 20,
    "body_bytes": 1 << 10,
    "client_timeout_ms": 100,
}

# The first of each pair may not be less than the second.
_AT_LEAST = (
    ("skew_ms", "lateness_ms"),
    ("late_rollup_ms", "lateness_ms"),
    ("own_learning_ms", "tick_ms"),
    ("own_learning_ms", "peer_learning_ms"),
    ("freeze_ms", "own_learning_ms"),
    ("raise_nats", "clear_nats"),
    ("episode_gap_ms", "resolve_after_ms"),
    ("unpacked_bytes", "body_bytes"),
)


def _field_problems(settings: Settings) -> list[str]:
    problems = []
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if name == "notify":
            continue
        if name in _LEAST and not value >= _LEAST[name]:
            problems.append(f"{name}: {value:,} is less than {_LEAST[name]:,}, the least that makes sense")
        elif name not in _LEAST and not value > 0:
            problems.append(f"{name}: {value:,} is not above 0")
    if settings.page_confidence > 1:
        problems.append(f"page_confidence: {settings.page_confidence} is no probability; write at most 1")
    return problems


def _cross_field_problems(settings: Settings, unreadable: set[str]) -> list[str]:
    return [
        f"{name}: {getattr(settings, name):,} is less than {other}, {getattr(settings, other):,}"
        for name, other in _AT_LEAST
        if getattr(settings, name) < getattr(settings, other) and not unreadable & {name, other}
    ]
