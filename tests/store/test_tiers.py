"""Minutes and hours merged in memory: the very rows that the engine makes of all that the finer tier holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import snapshot
from monitor.adapters.arrow import ArrowWindows
from monitor.adapters.clickhouse import Store
from monitor.adapters.rolling import Roller
from monitor.cells import Cells, SeriesNames
from monitor.ingest.rollups import windows
from monitor.store.rolls import Span, bound, roll
from monitor.store.tables import S10
from monitor.store.tiers import Numbering, OpenTiers
from monitor.types import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

START = 1_795_500_000_000 + 57 * 60_000  # 06:57
TICK = 10_000
KEYS = [
    SeriesKey(kind, f"{kind}:a/{i}", metric)
    for i in range(4)
    for kind in ("gpu", "port")
    for metric in ("power_watts", "loss")
]


def _cells(rng: np.random.Generator, end: int, known: int, *, late: bool = False, before: int = 0) -> Cells:
    """Some samples of the first series of those that there are, up to `before` ms before the tick."""
    names = SeriesNames.of(KEYS[:known])
    n = int(rng.integers(1, 3 * known))
    row, ts = rng.integers(0, known, n), end - before - rng.integers(0, TICK, n)
    _, first = np.unique(row * (1 << 42) + ts, return_index=True)
    value = rng.normal(0, 1, n) * 10.0 ** rng.integers(-3, 9, n)
    return Cells(end, names, row[first], ts[first], value[first], rng.random(len(first)) < 0.2, late)


class _Writer:
    """What a store's writer does with cells, without its thread."""

    def __init__(self, store: Store) -> None:
        self.store, self.arrow, self.roller = store, ArrowWindows(), Roller(store, None)

    def write(self, cells: Sequence[Cells], closed: int) -> None:
        parts = [windows(one, TICK) for one in cells]
        self.store.insert_arrow(S10, self.arrow.table(parts, late=True))
        for part in parts:
            self.roller.note(part)
        self.roller.run(closed)

    def resume(self) -> None:
        """Go on from a snapshot."""
        self.roller = Roller(self.store, snapshot.decode(snapshot.encode(self.roller.to_state())))

    def begin_anew(self) -> None:
        """Go on without one."""
        self.roller = Roller(self.store, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    with Store.open(f"chdb://{tmp_path}/store", create=True) as opened:
        yield opened


def _tiers(store: Store) -> dict[str, list[str]]:
    columns = "* EXCEPT (written_at)"
    return {
        tier: sorted(map(repr, store.rows(f"SELECT {columns} FROM {tier} FINAL"))) for tier in ("m1", "h1")
    }


def _rolled(store: Store) -> dict[str, list[str]]:
    """All tiers, made by the engine from all that there is."""
    for tier in ("m1", "h1"):
        store.command(f"TRUNCATE TABLE {tier}")
        store.command(roll(tier), **bound(Span(0, 4_000_000_000_000, 0)))
    return _tiers(store)


def test_memory_and_engine_make_the_same_bits(store: Store) -> None:
    """Over an hour's end, while series appear: nothing is rolled, and rolling all changes no bit."""
    rng, writer = np.random.default_rng(3), _Writer(store)
    for i in range(1, 40):
        end = START + i * TICK
        writer.write([_cells(rng, end, min(2 + i // 3, len(KEYS)))], end)
    writer.roller.run(None)
    made = _tiers(store)
    assert len(made["h1"]) > len(KEYS)
    assert made == _rolled(store)


@pytest.mark.parametrize("seed", range(3))
def test_every_tier_holds_all_whatever_comes_when(store: Store, seed: int) -> None:
    """Late, slow and corrected samples, gaps, batches, snapshots, writers that begin anew or finish early."""
    rng, writer = np.random.default_rng(seed), _Writer(store)
    end = START
    for _ in range(40):
        batch = []
        for _ in range(rng.integers(1, 4)):
            end += TICK * int(rng.choice([1, 1, 1, 7, 90]))
            batch.append(_cells(rng, end, len(KEYS)))
            for late in (False, True):
                if rng.random() < 0.3:
                    before = int(rng.choice([1, 5, 30, 400])) * TICK
                    batch.append(_cells(rng, end, 3, late=late, before=before))
        writer.write(batch, end)
        what = rng.random()
        if what < 0.15:
            writer.resume()
        elif what < 0.22:
            writer.begin_anew()
        elif what < 0.3:
            writer.roller.run(None)
    writer.roller.run(None)
    made = _tiers(store)
    assert len(made["h1"]) > 2 * len(KEYS)
    assert made == _rolled(store)


def test_a_writer_without_a_snapshot_knows_but_a_part(store: Store) -> None:
    """What a store holds of an open hour is counted, though the writer that closes it never saw it."""
    rng, writer = np.random.default_rng(1), _Writer(store)
    names = SeriesNames.of(KEYS)
    for i in range(1, 13):
        if i == 7:
            writer.begin_anew()
        end = START + i * 60_000
        rows = np.arange(len(KEYS))
        odd = np.zeros(len(KEYS), bool)
        writer.write([Cells(end, names, rows, np.full(len(KEYS), end), rng.random(len(KEYS)), odd)], end)
    writer.roller.run(None)
    found = store.rows("SELECT toHour(ts) AS hour, sum(count) FROM h1 FINAL GROUP BY hour ORDER BY hour")
    assert found == [(6, 3 * len(KEYS)), (7, 9 * len(KEYS))]
    assert _tiers(store) == _rolled(store)


def test_what_came_late_is_counted_after_an_early_end(store: Store) -> None:
    """A writer that finished and goes on writes the open hour again, with what had come late to it before."""
    writer = _Writer(store)
    names, row, odd = SeriesNames.of(KEYS[:1]), np.zeros(1, int), np.zeros(1, bool)
    for i in range(1, 7):
        end = START + i * 60_000
        batch = [Cells(end, names, row, np.array([end]), np.array([1.0]), odd)]
        if i == 2:
            batch.append(Cells(end, names, row, np.array([end - 40_000]), np.array([7.0]), odd, late=True))
        writer.write(batch, end)
        if i == 2:
            writer.roller.run(None)
    counted = store.rows(
        "SELECT toHour(ts) AS hour, sum(count), max(max) FROM h1 FINAL GROUP BY hour ORDER BY hour"
    )
    assert counted == [(6, 4, 7.0)]


@given(st.lists(st.lists(st.sampled_from(KEYS), unique=True), max_size=6))
def test_a_number_is_given_once(tables: list[list[SeriesKey]]) -> None:
    """Whatever names come in whatever order, a series keeps its number, and no two have the same."""
    numbering, given_out = Numbering(), dict[SeriesKey, int]()
    for keys in tables:
        for key, number in zip(keys, numbering.of(SeriesNames.of(keys)).tolist(), strict=True):
            assert given_out.setdefault(key, number) == number
    assert sorted(given_out.values()) == list(range(len(given_out)))
    names = numbering.names
    for key, number in given_out.items():
        assert names.entities[names.entity[number]] == key.entity
        assert names.metrics[names.metric[number]] == (key.kind, key.metric)


@pytest.mark.parametrize("at", [0, 1], ids=["on the minute", "never on the minute"])
def test_series_that_are_gone_take_no_room(at: int) -> None:
    """A job every ten minutes: what is kept is of two hours at most, and every hour of a job is written."""
    tiers, hours = OpenTiers(), 0
    for third in range(6 * 60 * 3):
        names = SeriesNames.of(
            [SeriesKey("job", f"job:j{third // 30:03d}", "loss"), SeriesKey("gpu", "gpu:a/0", "xid")]
        )
        end = START + (third + 1) * 20_000
        row, value = np.arange(2), np.ones(2)
        cells = Cells(end, names, row, np.full(2, end), value, np.zeros(2, bool))
        tiers.add(windows(cells, TICK), np.ones(2, bool))
        if (third + 1) % 3 == at:
            hours += sum(len(part.row) for part in tiers.take(end)["h1"])
        assert len(tiers.to_state()["entities"]) <= 2 + 2 * 6
    hours += sum(len(part.row) for part in tiers.take(START + 30 * 3_600_000)["h1"])
    assert hours == 7 + 6 * 6 + 6
