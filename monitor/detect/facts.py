"""Hard facts: readings that mean a fault by themselves. They need no learning and count at once.

A fact is met when `need` of the last `of` readings show it. What sets in for a single reading and may be a
blip (a thermal slowdown while a load starts) is raised at the first and is hard only when sustained: 3 of 6
readings, as long as a shortest-scale mean. A fact clears after `hold_ms` of readings that do not show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monitor.kernels.coding import through
from monitor.kernels.columns import Column, Columns
from monitor.kernels.medians import GroupedMedian
from monitor.reasons import SignalReason
from monitor.types import Signal, kind_of
from monitor.units import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.catalog import Catalog
    from monitor.detect.table import SeriesTable
    from monitor.types import Bools, Floats, Ints, Panel

HARDWARE_THERMAL, HARDWARE_POWER_BRAKE = 0x40, 0x80
DARK_KW = 0.05


@dataclass(frozen=True, slots=True)
class Reading:
    """Readings of a fact's series: now, the one before (NaN for none), and the median of the peers."""

    now: Floats
    before: Floats
    median: Floats


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about one metric. `seen` is raised at the first reading, though not hard until it is met.

    fallen: a reading of 0, which is a fact only where there once was more. kinds: the entities that it is
    about, all if none is named.
    """

    name: str
    metrics: tuple[tuple[str, str], ...]
    reason: SignalReason
    shows: Callable[[Reading], Bools]
    need: int = 1
    of: int = 1
    hold_ms: int = 10 * MINUTE
    hard: bool = True
    seen: bool = False
    down: bool = False
    fallen: bool = False
    kinds: tuple[str, ...] = ()


def _slowdown(r: Reading) -> Bools:
    bits = np.nan_to_num(r.now).astype(np.int64)
    slowed: Bools = (bits & (HARDWARE_THERMAL | HARDWARE_POWER_BRAKE)) != 0
    return slowed


def _above_zero(r: Reading) -> Bools:
    return np.greater(r.now, 0)


def _zero(r: Reading) -> Bools:
    return np.equal(r.now, 0)


def _dark(r: Reading) -> Bools:
    return np.less_equal(r.now, DARK_KW)


def _new_code(r: Reading) -> Bools:
    """Tell a new code; the same one standing on, as exporters' gauges do, is one event."""
    return np.greater(r.now, 0) & np.isfinite(r.before) & np.not_equal(r.now, r.before)


def _below(share: float) -> Callable[[Reading], Bools]:
    return lambda r: r.now < share * r.median


FACTS: tuple[Fact, ...] = (
    Fact("xid", (("gpu", "xid"),), SignalReason.XID, _new_code, hold_ms=30 * MINUTE),
    Fact(
        "double_bit_error",
        (("gpu", "ecc_dbe_total"), ("gpu", "row_remap_uncorrectable_total")),
        SignalReason.DOUBLE_BIT_ERROR,
        _above_zero,
        hold_ms=HOUR,
    ),
    Fact(
        "hardware_slowdown",
        (("gpu", "throttle_reasons"),),
        SignalReason.HARDWARE_SLOWDOWN,
        _slowdown,
        need=3,
        of=6,
        seen=True,
    ),
    Fact("row_remap_failed", (("gpu", "row_remap_failed"),), SignalReason.ROW_REMAP_FAILED, _above_zero),
    Fact(
        "row_remap_pending",
        (("gpu", "row_remap_pending"), ("gpu", "page_retired_pending")),
        SignalReason.ROW_REMAP_PENDING,
        _above_zero,
        hard=False,
        seen=True,
    ),
    Fact(
        "link_down",
        (("network", "link_up"),),
        SignalReason.LINK_DOWN,
        _zero,
        need=2,
        of=2,
        hold_ms=MINUTE,
        down=True,
        fallen=True,
    ),
    Fact(  # a chiller or a pump that draws nothing may stand by
        "power_lost",
        (("facility", "power_kw"),),
        SignalReason.POWER_LOST,
        _dark,
        need=2,
        of=2,
        hold_ms=MINUTE,
        hard=False,
        down=True,
        fallen=True,
        kinds=("rack", "pdu"),
    ),
    Fact(
        "memory_test_failed", (("gpu", "memory_test_failed"),), SignalReason.MEMORY_TEST_FAILED, _above_zero
    ),
    Fact(
        "slow_benchmark",
        (("gpu", "gemm_tflops"), ("gpu", "hbm_bandwidth_bytes"), ("gpu", "allreduce_bandwidth_bytes")),
        SignalReason.SLOW_BESIDE_FLEET,
        _below(0.90),
        need=2,
        of=2,
        hold_ms=HOUR,
        down=True,
    ),
    Fact(
        "slow_nvlink",
        (("gpu", "nvlink_bandwidth_bytes"),),
        SignalReason.SLOW_BESIDE_FLEET,
        _below(0.85),
        need=6,
        of=6,
        down=True,
    ),
)
"""Thresholds are the product's: GEMM below 0.90 and NVLink below 0.85 of the fleet's median (an HBM stack at
0.75 of its bandwidth falls under the 0.90 as well)."""

_POPCOUNT = np.array([i.bit_count() for i in range(256)], np.int64)
_OF = np.array([fact.of for fact in FACTS], np.int64)
_NEED = np.array([fact.need for fact in FACTS], np.int64)
_HOLD = np.array([fact.hold_ms for fact in FACTS], np.int64)
_SEEN = np.array([fact.seen for fact in FACTS], bool)
_BESIDE = np.array([fact.reason is SignalReason.SLOW_BESIDE_FLEET for fact in FACTS], bool)
_HARD = np.array([fact.hard for fact in FACTS], bool)
_FALLEN = np.array([fact.fallen for fact in FACTS], bool)
_CHOOSY = np.array([bool(fact.kinds) for fact in FACTS], bool)


class Facts:
    """The facts about the series of a table that have one. 53 bytes for each of those.

    A fact that is met by several readings began after the last one that did not show it: with a benchmark
    every quarter of an hour that is long before it is met.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._columns = Columns(
            {
                "before": Column("f8", np.nan),
                "usual": Column("i1", 0),
                "hits": Column("u1", 0),
                "on": Column("i1", 0),
                "hard": Column("i1", 0),
                "value": Column("f8", np.nan),
                "since": Column("i8", -1),
                "raised_at": Column("i8", -1),
                "last": Column("i8", -1),
                "clean": Column("i8", -1),
            }
        )
        self.rows: Ints = np.empty(0, np.int64)
        self._fact: Ints = np.empty(0, np.int64)
        self._group: Ints = np.empty(0, np.int64)
        self._beside = GroupedMedian(self._group, 0)
        self.to_state = self._columns.to_state

    @property
    def nbytes(self) -> int:
        """How many bytes the state takes."""
        return self._columns.nbytes

    def resize(self, table: SeriesTable, group: Ints, moved: Ints) -> None:
        """Take the series of a new table, where the old ones are now, and their peer groups (-1: none)."""
        of_metric = {pair: number for number, fact in enumerate(FACTS) for pair in fact.metrics}
        fact = np.array([of_metric.get(pair, -1) for pair in table.metrics], np.int64)[table.metric]
        rows = np.flatnonzero(fact >= 0)
        about = np.ones(len(rows), bool)
        for k in np.flatnonzero(_CHOOSY[fact[rows]]).tolist():
            about[k] = kind_of(table.entities[table.entity[rows[k]]]) in FACTS[fact[rows[k]]].kinds
        rows = rows[about]
        place = np.full(len(table), -1, np.int64)
        place[rows] = np.arange(len(rows))
        self._columns.resize(through(place, moved[self.rows]), len(rows))
        self.rows, self._fact = rows, fact[rows]
        self._group = np.where(_BESIDE[self._fact], group[rows], -1)
        self._beside = GroupedMedian(self._group, int(group.max(initial=0)) + 1)

    @property
    def on(self) -> Bools:
        """Which of `rows` stand."""
        return self._columns["on"] > 0

    def step(self, panel: Panel, held: Floats, min_peers: int) -> None:
        """Take a round. held: the readings that count now, (S,). Medians are of `min_peers` at least."""
        now, ts = panel.x[self.rows], panel.ts[self.rows]
        present = np.isfinite(now)
        median, count = (of[self._group] for of in self._beside(held[self.rows]))
        enough = (self._group >= 0) & (count >= min_peers)
        shows = self._shows(now, np.where(enough, median, np.nan)) & present
        self._remember(present, shows, now)
        hits = _POPCOUNT[self._columns["hits"] & ((1 << _OF[self._fact]) - 1)]
        met = shows & (hits >= _NEED[self._fact])
        start = np.flatnonzero(~self.on & (met | (shows & _SEEN[self._fact])))
        self._raise(start, panel.end, ts)
        clean = present & ~shows
        self._columns["clean"][clean] = ts[clean]
        again = np.flatnonzero(shows & self.on)
        self._columns["last"][again] = ts[again]
        self._harden(np.flatnonzero(met & self.on), now)
        done = np.flatnonzero(self.on & present & (ts - self._columns["last"] >= _HOLD[self._fact]))
        for name in ("on", "hard"):
            self._columns[name][done] = 0

    def _shows(self, now: Floats, median: Floats) -> Bools:
        shows = np.zeros(len(now), bool)
        for number, fact in enumerate(FACTS):
            rows = np.flatnonzero(self._fact == number)
            if len(rows):
                shows[rows] = fact.shows(Reading(now[rows], self._columns["before"][rows], median[rows]))
        return shows & (~_FALLEN[self._fact] | (self._columns["usual"] > 0))

    def _remember(self, present: Bools, shows: Bools, now: Floats) -> None:
        rows = np.flatnonzero(present)
        self._columns["hits"][rows] = (self._columns["hits"][rows].astype(np.int64) << 1 | shows[rows]) & 0xFF
        self._columns["before"][rows] = now[rows]
        self._columns["usual"][rows] |= (now[rows] > 0).astype(np.int8)

    def _raise(self, rows: Ints, end: int, ts: Ints) -> None:
        self._columns["on"][rows] = 1
        clean = self._columns["clean"][rows]
        self._columns["since"][rows] = np.where((clean >= 0) & (_NEED[self._fact[rows]] > 1), clean, ts[rows])
        self._columns["last"][rows] = ts[rows]
        self._columns["raised_at"][rows] = end
        self._columns["value"][rows] = self._columns["before"][rows]
        self._columns["hard"][rows] = 0

    def _harden(self, rows: Ints, now: Floats) -> None:
        """Mark what is met as hard; of several XIDs on one GPU a hard one is the one that stands."""
        hard = _HARD[self._fact[rows]].copy()
        for k in np.flatnonzero(self._fact[rows] == 0).tolist():
            code = self._catalog.xid.get(int(now[rows[k]]))
            hard[k] = code is not None and code.hard
        take = hard | (self._columns["hard"][rows] == 0)
        self._columns["value"][rows[take]] = now[rows[take]]
        self._columns["hard"][rows] |= hard.astype(np.int8)

    def signal(self, position: int, table: SeriesTable, floor_nats: float, page_nats: float) -> Signal:
        """Return the signal of a standing fact. A hard one scores the page level, another the raise level."""
        column = self._columns
        key = table.keys[self.rows[position]]
        fact = FACTS[self._fact[position]]
        hard = bool(column["hard"][position])
        metric = self._catalog.get(key.kind, key.metric)
        family: str = metric.family if metric else "other"
        if fact.reason is SignalReason.XID:
            code = self._catalog.xid.get(int(column["value"][position]))
            family = code.family if code else family
        return Signal(
            key.entity, key.metric, fact.name, family, fact.reason, "down" if fact.down else "up",
            int(column["since"][position]), int(column["raised_at"][position]),
            float(column["value"][position]), None, None, None, page_nats if hard else floor_nats, hard, hard,
        )  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `to_state` gave, for the table it was taken with."""
        self._columns.restore(state)
