"""Cells of a tick: compiled and plain say the same (monitor/ingest/cells.py)."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.catalog import Catalog
from monitor.ingest.frames import Rejection
from monitor.ingest.partition import Partition
from monitor.ingest.verdict import Placed, TimeRules, Timing
from monitor.kernels import compiled

T0, TICK = 1_795_500_000_000, 10_000
CATALOG = Catalog.parse((Path(__file__).parents[2] / "rules/metrics.yaml").read_text())
NAMES = ("gpu_temp_celsius", "power_watts", "ecc_sbe_total", "DCGM_FI_DEV_FB_USED", "loss", "unheard_of")


def frames(seed: int) -> list[bytes]:
    """Frames of a tick or two, some twice in one tick, with all that a value can be."""
    rng = random.Random(seed)
    odd: list[Any] = [None, "NaN", "-Infinity", 9223372036854775807, 18446744073709551614, -5.0, 1e9]
    lines = []
    for number in range(60):
        names = NAMES if number % 7 else NAMES[:2]
        metrics = {name: [rng.choice([*odd, *range(30, 90)]) for _ in range(4)] for name in names}
        frame = {"kind": "gpu", "source": f"node:n{number % 40}", "seq": number, "items": list("0123")}
        lines.append(json.dumps(frame | {"ts": T0 + rng.randrange(1, 3 * TICK), "metrics": metrics}).encode())
    return lines


def parts_of(seed: int) -> list[Any]:
    """What a partition says of three ticks, and the quality that it counted."""
    partition = Partition(0, CATALOG, TimeRules(TICK, 30_000, 300_000))
    for line in frames(seed):
        assert not isinstance(partition.accept(line, Placed(Timing.IN_TIME, T0, True), 0, 0), Rejection)
    parts = [partition.close(T0 + k * TICK, judge=True) for k in (1, 2, 3)]
    columns = [[part.series, part.ts, part.value] for part in parts]
    return [
        columns,
        [part.new_series for part in parts],
        dict(+partition.quality),
        partition.to_state()["presence"],
    ]


@pytest.mark.parametrize("seed", range(4))
def test_compiled_cells_are_the_plain_ones(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Series, times, values, what was odd and who was seen are equal."""
    plain = parts_of(seed)
    assert sum(plain[2].values()) > 100
    monkeypatch.setattr(compiled, "LEAST", 1)
    assert compiled.loops(1) is not None
    fast = parts_of(seed)
    for one, other in zip(fast[0], plain[0], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert fast[1:3] == plain[1:3]
    assert repr(fast[3]) == repr(plain[3])
