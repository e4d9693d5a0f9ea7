"""Partitions: frames in any order, one TickPart for each tick (contract: Telemetry frames; design: ticks)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import snapshot
from monitor.catalog import Catalog
from monitor.ingest.frames import Rejection
from monitor.ingest.partition import Partition
from monitor.ingest.verdict import Placed, TimeRules, Timing
from monitor.reasons import Quality

if TYPE_CHECKING:
    from monitor.types import TickPart

T0 = 1_795_500_000_000
RULES = TimeRules(10_000, 30_000, 300_000)
SHIPPED = Path(__file__).parents[2] / "rules"
CATALOG = Catalog.parse((SHIPPED / "metrics.yaml").read_text())


def fresh() -> Partition:
    return Partition(0, CATALOG, RULES)


def line(ts: int, source: str = "node:n1", kind: str = "gpu", **fields: Any) -> bytes:
    whole = {"kind": kind, "ts": ts, "source": source, "metrics": {"gpu_temp_celsius": [60.0]}, **fields}
    return json.dumps(whole).encode()


def put(partition: Partition, *lines: bytes, timing: Timing = Timing.IN_TIME, arrival: int = T0) -> None:
    for one in lines:
        assert not isinstance(partition.accept(one, Placed(timing, arrival, True), 0, 0), Rejection)


def cells(part: TickPart, keys: list[Any]) -> list[tuple[str, str, int, float]]:
    keys.extend(part.new_series)
    return sorted(
        (keys[s].entity, keys[s].metric, int(t), float(v))
        for s, t, v in zip(part.series, part.ts, part.value, strict=True)
    )


def close(partition: Partition, end: int) -> list[tuple[str, str, int, float]]:
    return cells(partition.close(end, judge=True), [])


def test_items_become_series_of_their_entities() -> None:
    """An item inside a source is `itemkind:name-of-source/item`; null is no cell."""
    partition = fresh()
    put(
        partition,
        line(T0, items=["0", "1"], metrics={"gpu_temp_celsius": [61, None], "power_watts": [500, 510]}),
    )
    assert close(partition, T0) == [
        ("gpu:n1/0", "gpu_temp_celsius", T0, 61.0),
        ("gpu:n1/0", "power_watts", T0, 500.0),
        ("gpu:n1/1", "power_watts", T0, 510.0),
    ]


def test_exporter_names_mean_our_metrics_with_their_scale_and_the_canonical_name_counts() -> None:
    """A frame may carry DCGM's names, in either naming; where both are there, ours counts."""
    partition = fresh()
    put(partition, line(T0, metrics={"DCGM_FI_DEV_GPU_TEMP": [70.0], "DCGM_FI_DEV_FB_USED": [2.0]}))
    put(
        partition,
        line(T0, "node:n2", metrics={"DCGM_FI_DEV_GPU_TEMP_CELSIUS": [1.0], "gpu_temp_celsius": [71.0]}),
    )
    assert close(partition, T0) == [
        ("node:n1", "fb_used_bytes", T0, 2.0 * 2**20),
        ("node:n1", "gpu_temp_celsius", T0, 70.0),
        ("node:n2", "gpu_temp_celsius", T0, 71.0),
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(9223372036854775794, Quality.SENTINEL), (-300.0, Quality.OUT_OF_RANGE), ("NaN", Quality.NOT_FINITE)],
)
def test_what_is_no_measurement_is_no_cell_and_is_counted(value: object, reason: Quality) -> None:
    """A cell out of range, a sentinel, a non-finite string is taken as null; the rest of the frame stands."""
    partition = fresh()
    put(partition, line(T0, metrics={"gpu_temp_celsius": [value], "power_watts": [300]}))
    assert close(partition, T0) == [("node:n1", "power_watts", T0, 300.0)]
    assert partition.quality[reason] == 1


def test_a_loss_that_is_not_finite_is_a_signal() -> None:
    """Where the catalogue says so, a non-finite value is a reading."""
    partition = fresh()
    put(partition, line(T0, "job:a", "job", metrics={"loss": ["NaN"]}))
    assert close(partition, T0) == [("job:a", "loss", T0, float("inf"))]


def test_an_unknown_metric_is_kept_as_a_gauge() -> None:
    """An unknown metric is no error: it is kept and counted as uncatalogued."""
    partition = fresh()
    put(partition, line(T0, metrics={"hum_decibels": [12.0]}))
    assert close(partition, T0) == [("node:n1", "hum_decibels", T0, 12.0)]
    assert partition.quality[Quality.UNCATALOGUED] == 1


def test_counters_become_rates_and_a_reset_is_no_event() -> None:
    """Counters are turned into rates; after a counter was set back there is no rate for one interval."""
    partition = fresh()
    got = []
    keys: list[Any] = []
    for i, count in enumerate([100, 150, 7, 27]):
        ts = T0 + 10_000 * i
        put(partition, line(ts, metrics={"ecc_sbe_total": [count]}))
        got += cells(partition.close(ts, judge=True), keys)
    assert [(t - T0, v) for _, _, t, v in got] == [(10_000, 5.0), (30_000, 2.0)]
    assert partition.quality[Quality.COUNTER_RESET] == 1


FRAMES = [
    line(T0, seq=1, metrics={"power_watts": [1]}),
    line(T0, seq=2, metrics={"power_watts": [2]}),
    line(T0, "node:n2", metrics={"power_watts": [8]}),
    line(T0, "node:n2", metrics={"power_watts": [9]}),
    line(T0, "node:n3", seq=5),
    line(T0 - 5_000, "node:n3", seq=4),
]


@settings(max_examples=60, deadline=None)
@given(st.permutations(FRAMES), st.integers(0, len(FRAMES)))
def test_order_and_duplicates_change_nothing(order: list[bytes], repeated: int) -> None:
    """The higher `seq` counts, whole; without it the bytes that sort last; whatever order they came in."""
    partition = fresh()
    put(partition, *order, *order[:repeated])
    assert close(partition, T0) == [
        ("node:n1", "power_watts", T0, 2.0),
        ("node:n2", "power_watts", T0, 9.0),
        ("node:n3", "gpu_temp_celsius", T0 - 5_000, 60.0),
        ("node:n3", "gpu_temp_celsius", T0, 60.0),
    ]


def test_a_late_frame_is_counted_and_changes_nothing() -> None:
    """Late frames are counted; they are never detected on."""
    partition = fresh()
    put(partition, line(T0), timing=Timing.LATE)
    assert partition.next_due() is None or partition.first_held() is None
    assert partition.quality[Quality.LATE] == 1


def test_a_bill_is_never_late_and_its_exact_repeat_is_ignored() -> None:
    """A bill whose tick is closed joins the tick in which it arrived; a correction counts, a repeat does not."""
    partition = fresh()
    arrival = T0 + 3_600_000
    bill = line(T0, "service:a", "cost", metrics={"cost_usd": [100]})
    for one in (bill, bill, line(T0, "service:a", "cost", metrics={"cost_usd": [120]}), bill):
        assert partition.accept(one, Placed(Timing.LATE, arrival, True), T0 + 60_000, T0) is None
    assert partition.first_held() == arrival
    assert close(partition, arrival) == [("service:a", "cost_usd", T0, 120.0)]
    assert partition.quality[Quality.DUPLICATE] == 2


def test_an_item_that_vanishes_while_its_source_reports_is_silent() -> None:
    """An item that turns null throughout, or vanishes, is silent by its own rhythm and its source's."""
    partition = fresh()
    found = []
    for i in range(30):
        ts = T0 + 10_000 * i
        second = 60 if i < 20 else None
        put(partition, line(ts, items=["0", "1"], metrics={"gpu_temp_celsius": [61, second]}))
        found += [(i, s.entity, s.state, s.since - T0) for s in partition.close(ts, judge=True).silences]
    assert found == [(23, "gpu:n1/1", "silent", 190_000)]


def test_a_source_that_keeps_coming_late_is_said_to_and_a_backlog_is_not() -> None:
    """New frames that keep coming late mean a wrong clock; a backlog flushed at once does not."""
    partition = fresh()
    start = -(-T0 // 1_800_000) * 1_800_000
    for i in range(1, 180):
        arrival = start + 10_000 * i
        put(partition, line(arrival - 360_000), timing=Timing.LATE, arrival=arrival)
        put(
            partition,
            line(start - 3_600_000 + 10_000 * i, "node:n2"),
            timing=Timing.LATE,
            arrival=start + 5_000,
        )
    assert partition.next_due() == start + 1_800_000
    lags = partition.close(start + 1_800_000, judge=True).lags
    assert [(lag.entity, lag.behind_ms, lag.state) for lag in lags] == [("node:n1", 360_000, "late")]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 39), st.integers(1, 5))
def test_state_is_kept_by_source_and_dealt_out_anew(cut: int, partitions: int) -> None:
    """A snapshot restored under any number of partitions goes on as if nothing had happened."""
    sources = [f"node:n{i}" for i in range(6)]

    def feed(parts: list[Partition], i: int, keys: list[list[Any]]) -> list[Any]:
        ts = T0 + 10_000 * i
        out: list[Any] = []
        for j, source in enumerate(sources):
            if source == "node:n3" and i > 25:
                continue
            metrics = {"ecc_sbe_total": [10 * i + j], "gpu_temp_celsius": [60 + j if i % 7 else None]}
            put(
                next(p for k, p in enumerate(parts) if j % len(parts) == k),
                line(ts + j, source, items=["0"], metrics=metrics),
            )
        closed = [p.close(ts, judge=True) for p in parts]
        for part, names in zip(closed, keys, strict=True):
            out += cells(part, names) + [(s.entity, s.state, s.since) for s in part.silences]
        return sorted(out, key=str)

    whole = [fresh()]
    keys: list[list[Any]] = [[]]
    expected = [feed(whole, i, keys) for i in range(40)]
    one, names = [fresh()], [[]]
    got = [feed(one, i, names) for i in range(cut)]
    state = snapshot.decode(snapshot.encode(one[0].to_state()))
    many = [Partition(k, CATALOG, RULES) for k in range(partitions)]
    for k, partition in enumerate(many):
        partition.restore(state, lambda source, k=k: (int(source[-1])) % partitions == k)
    names = [[] for _ in many]
    got += [feed(many, i, names) for i in range(cut, 40)]
    assert got == expected


def test_a_tick_part_holds_arrays_of_one_length() -> None:
    """A tick without frames is empty arrays, not an error."""
    part = fresh().close(T0, judge=True)
    assert (len(part.series), len(part.ts), len(part.value)) == (0, 0, 0)
    assert part.value.dtype == np.float64


def test_what_is_due_is_due_at_the_end_of_a_tick() -> None:
    """Half an hour after which lateness is judged ends within a tick where ticks do not divide it."""
    partition = Partition(0, CATALOG, TimeRules(420_000, 30_000, 300_000))
    put(partition, line(T0 - 3_600_000), timing=Timing.LATE, arrival=T0 + 1)
    assert partition.next_due() == T0 + 2_100_000


def test_a_later_word_is_no_contradiction() -> None:
    """Of two frames that differ the higher `seq` counts: superseded. Without a difference in it: a conflict."""
    partition = fresh()
    put(partition, line(T0, seq=1), line(T0, seq=2, metrics={"gpu_temp_celsius": [61.0]}))
    put(partition, line(T0, "node:n2"), line(T0, "node:n2", metrics={"gpu_temp_celsius": [61.0]}))
    put(partition, line(T0, "node:n3"), line(T0, "node:n3", seq=1, metrics={"gpu_temp_celsius": [61.0]}))
    assert (partition.quality[Quality.SUPERSEDED], partition.quality[Quality.CONFLICT]) == (2, 1)
    assert [value for _, _, _, value in close(partition, T0)][:1] == [61.0]
