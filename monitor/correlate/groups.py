"""Means over members: which are accounted for by hot members, and which are evidence of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.correlate.cells import Cells
    from monitor.correlate.relations import Relations
    from monitor.types import Bools, Floats, Ints

_ACCOUNTED = 0.5
"""A mean is accounted for when its hot members make up this share of its excess, or of its members."""


@dataclass(frozen=True, slots=True)
class Grouped:
    """G means that are evidence of their own: `cell` their cells, `family`, and `members`, CSR (G, n)."""

    cell: Ints
    family: Ints
    members: sparse.csr_array

    def covered(self, family: int) -> Ints:
        """Return the members of the means of a family: their own quiet says nothing."""
        return np.unique(self.members[np.flatnonzero(self.family == family)].indices)


def derived_groups(
    cells: Cells,
    relations: Relations,
    families: tuple[str, ...],
    judged: Mapping[str, Bools],
    live: Bools,
    follows: Ints,
) -> Grouped:
    """Mark the means that hot members account for as derived, and return the others.

    A mean is derived where the excess of its hot members, or of smaller means inside it, is at least half of
    its own excess times its members, or where half of its members are hot. Smaller groups are looked at
    first, so that a rack's mean speaks before that of its row.
    """
    found = np.flatnonzero(cells.group & live)
    reaches = [_members(cells, relations, families, judged, int(cell)) for cell in found.tolist()]
    sizes = np.array([len(reach) for reach in reaches], np.int64)
    order = np.lexsort((cells.entity[found], sizes))
    singles = np.flatnonzero(~cells.group & live)
    spoken: dict[tuple[int, int], Floats] = {}
    own: list[int] = []
    for k in order.tolist():
        cell, reach = int(found[k]), reaches[k]
        kind = (int(cells.family[cell]), int(cells.sign[cell]))
        if kind not in spoken:
            spoken[kind] = _excess_of_members(cells, singles, *kind, relations.n)
        told = spoken[kind]
        if _accounted(told[reach], float(cells.excess[cell])):
            live[cell] = False
            follows[cell] = strongest(cells, singles, own, reach, *kind)
        else:
            own.append(cell)
            told[reach] = np.maximum(told[reach], float(np.nan_to_num(cells.excess[cell], nan=np.inf)))
    own.sort()
    return Grouped(
        np.array(own, np.int64),
        cells.family[own],
        _stack([reaches[int(np.searchsorted(found, cell))] for cell in own], relations.n),
    )


def strongest(cells: Cells, singles: Ints, own: list[int], reach: Ints, family: int, sign: int) -> int:
    """Return the cell with the greatest excess among the members `reach`, else a mean inside it, else -1."""
    alike = singles[(cells.family[singles] == family) & (cells.sign[singles] == sign)]
    alike = alike[np.isin(cells.entity[alike], reach)]
    if alike.size:
        return int(alike[np.argmax(np.nan_to_num(cells.excess[alike], nan=0.0))])
    same = [cell for cell in own if cells.family[cell] == family and cells.sign[cell] == sign]
    return same[0] if same else -1


def _members(
    cells: Cells, relations: Relations, families: tuple[str, ...], judged: Mapping[str, Bools], cell: int
) -> Ints:
    """Return the measured members of a group; of one that contains nobody (a whole fleet), everybody."""
    family = families[cells.family[cell]]
    measured = judged.get(family, np.ones(relations.n, bool)).copy()
    alike = cells.family == cells.family[cell]
    measured[cells.entity[alike & ~cells.group]] = True
    reach = relations.reach(int(cells.entity[cell]))
    reach = reach if reach.size else np.arange(relations.n)
    kinds = relations.mask(("gpu",))
    inner = reach[measured[reach] & kinds[reach]]
    return inner if inner.size else reach[measured[reach]]


def _excess_of_members(cells: Cells, singles: Ints, family: int, sign: int, n: int) -> Floats:
    """Return what each entity exceeds by, infinite where that is unknown, 0 where it is not hot."""
    excess = np.zeros(n)
    hot = singles[(cells.family[singles] == family) & (cells.sign[singles] == sign)]
    excess[cells.entity[hot]] = np.nan_to_num(cells.excess[hot], nan=np.inf)
    return excess


def _accounted(told: Floats, excess: float) -> bool:
    if not told.size or not (told > 0).any():
        return False
    if np.isinf(told).any() or np.isnan(excess) or np.mean(told > 0) >= _ACCOUNTED:
        return True
    return bool(told.sum() >= _ACCOUNTED * excess * len(told))


def _stack(rows: list[Ints], n: int) -> sparse.csr_array:
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    columns = np.concatenate([np.empty(0, np.int64), *rows])
    return sparse.csr_array((np.ones(len(columns), np.int32), columns, bounds), shape=(len(rows), n))
