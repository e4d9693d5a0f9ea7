"""What panels and commands ask, with parameters that the server binds.

Rollups are read with FINAL, and windows are weighed by their count. A range is [`from`, `to`) in Unix
seconds. Coarser tiers serve longer ranges: `tier_for` says which.
"""

from __future__ import annotations

from typing import NamedTuple

from monitor.units import DAY, HOUR


class Query(NamedTuple):
    """A question: its name, what it answers, and its SQL. `{tier}` stands for a rollup table."""

    name: str
    answers: str
    sql: str

    def on(self, tier: str) -> str:
        """Return the SQL over one tier."""
        return self.sql.replace("{tier}", tier)


def tier_for(range_ms: int) -> str:
    """Return the tier for a range: 10 s up to an hour, minutes up to two days, hours beyond.

    >>> tier_for(HOUR), tier_for(6 * HOUR), tier_for(30 * DAY)
    ('s10', 'm1', 'h1')
    """
    if range_ms <= HOUR:
        return "s10"
    return "m1" if range_ms <= 2 * DAY else "h1"


_RANGE = "ts >= toDateTime({from:UInt32}, 'UTC') AND ts < toDateTime({to:UInt32}, 'UTC')"
_MEAN = "sum(mean * count) / sum(count)"

BY_GROUP = Query(
    "by_group",
    "a metric over time, for each rack (or node, row, facility, switch, job, model)",
    f"""\
WITH (
  SELECT (groupArray(id), groupArray(place)) FROM (
    SELECT id, argMax(within[{{group:String}}], valid_from) AS place FROM topology FINAL GROUP BY id
  )
) AS known
SELECT toStartOfInterval(ts, toIntervalSecond({{step:UInt32}})) AS time,
  transform(entity, known.1, known.2, '') AS place,
  {_MEAN} AS value, min(r.min) AS low, max(r.max) AS high, sum(r.count) AS samples
FROM {{tier}} AS r FINAL WHERE metric = {{metric:String}} AND {_RANGE}
GROUP BY time, place ORDER BY time, place""",
)
"""A join would look up the place of every row; this looks up each entity once."""

LATEST = Query(
    "latest",
    "heat map: the latest value of a metric at each entity",
    f"""\
SELECT entity, argMax(last, ts) AS value, max(ts) AS time
FROM {{tier}} FINAL WHERE metric = {{metric:String}} AND {_RANGE}
GROUP BY entity ORDER BY entity""",
)

ONE_SERIES = Query(
    "one_series",
    "one metric of one entity over time",
    f"""\
SELECT ts AS time, {_MEAN} AS value, min(r.min) AS low, max(r.max) AS high, argMax(last, ts) AS latest,
  sqrt(sum(m2) / sum(count)) AS deviation, sum(r.anomalous) AS odd, sum(r.count) AS samples
FROM {{tier}} AS r FINAL WHERE metric = {{metric:String}} AND entity = {{entity:String}} AND {_RANGE}
GROUP BY time ORDER BY time""",
)

FLEET_MEAN = Query(
    "fleet_mean",
    "the mean of a metric over all entities of a kind over time",
    f"""\
SELECT toStartOfInterval(ts, toIntervalSecond({{step:UInt32}})) AS time, {_MEAN} AS value,
  uniqExact(entity) AS entities, sum(r.count) AS samples
FROM {{tier}} AS r FINAL WHERE metric = {{metric:String}} AND startsWith(entity, {{kind:String}}) AND {_RANGE}
GROUP BY time ORDER BY time""",
)

MOST_ANOMALOUS = Query(
    "most_anomalous",
    "the entities and metrics with the largest share of samples beyond their chart's limits",
    f"""\
SELECT entity, metric, sum(r.anomalous) AS odd, sum(r.count) AS samples, odd / samples AS share
FROM {{tier}} AS r FINAL PREWHERE (metric, entity) IN (
  SELECT metric, entity FROM (
    SELECT metric, entity, argMax(r.anomalous, r.count) AS odd FROM {{tier}} AS r
    WHERE {_RANGE} AND anomalous > 0 GROUP BY metric, entity, kind, ts
  ) GROUP BY metric, entity ORDER BY sum(odd) DESC, entity, metric LIMIT {{limit:UInt32}} * 2
) WHERE {_RANGE}
GROUP BY entity, metric HAVING odd > 0 ORDER BY odd DESC, entity, metric LIMIT {{limit:UInt32}}""",
)
"""The rows with odd samples are few: they find the candidates, twice as many as asked for since of a window's
rows the fullest may have none, and FINAL then reads these alone.
"""

QUERIES = (BY_GROUP, LATEST, ONE_SERIES, FLEET_MEAN, MOST_ANOMALOUS)

STANDS = Query(
    "stands",
    "which rack each node stands in, and which row each rack and node",
    "SELECT id, kind, argMax(within['rack'], valid_from), argMax(within['row'], valid_from) "
    "FROM topology FINAL WHERE kind IN ('rack', 'node') GROUP BY id, kind ORDER BY id",
)

HISTORY = Query(
    "history",
    "every transition of incidents, as the lines that were written",
    "SELECT record FROM incident_history FINAL WHERE startsWith(id, {id:String}) ORDER BY updated_at, line",
)

DECISIONS_MADE = Query(
    "decisions",
    "why something paged, or did not",
    "SELECT toUnixTimestamp64Milli(ts), incident, entity, reason, detail FROM decisions FINAL "
    "ORDER BY ts, incident, entity",
)

DEAD_LETTERS_HELD = Query(
    "dead_letters",
    "frames that could not be read, with reason and place",
    "SELECT position, reason, detail, toUnixTimestamp64Milli(received), frame FROM dead_letters FINAL "
    "ORDER BY reason, position",
)

REPLAYS_HELD = Query(
    "replays",
    "the replays that a store holds, finished or not",
    "SELECT identity, rank, files FROM replays FINAL ORDER BY identity",
)

STATS = Query(
    "stats",
    "rows, bytes on disk and parts of each table, and when it was last written",
    """\
SELECT t.name AS name, sum(p.rows) AS n, sum(p.bytes_on_disk) AS bytes, countIf(p.rows > 0) AS pieces
FROM system.tables AS t
LEFT JOIN (SELECT table, rows, bytes_on_disk FROM system.parts
  WHERE active AND database = {database:String}) AS p ON p.table = t.name
WHERE t.database = {database:String} AND t.engine LIKE '%MergeTree' GROUP BY name ORDER BY name""",
)
