"""Small halls made by hand, for what draws them."""

import numpy as np

from monitor.demo.hall import Hall
from monitor.demo.picture import Mark

START = 1_795_500_000_000
MINUTE = 60_000


def hall(rows=3, deep=2, columns=90):
    """Rows of racks at 60 °C; r002 is 25 °C hotter from minute 70 to 80, r003 silent from minute 75 to 78."""
    racks = tuple(f"rack:r{i + 1:03d}" for i in range(rows * deep))
    row = tuple(f"row:row{i // deep + 1}" for i in range(rows * deep))
    hottest = np.full((len(racks), columns), 60.0)
    hottest[1, 70:80] = 85.0
    hottest[2, 75:78] = np.nan
    nodes = {f"node:n{i + 1:04d}": rack for i, rack in enumerate(racks)}
    return Hall(racks, row, nodes, START, MINUTE, hottest)


def mark(what, begin, end, *racks, named="", paged=None):
    """A fault from minute `begin` to minute `end`."""
    paged_at = None if paged is None else START + paged * MINUTE
    return Mark(what, START + begin * MINUTE, START + end * MINUTE, frozenset(racks), paged_at, named)
