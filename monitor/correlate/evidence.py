"""States of entities: hot, quiet, silent or unknown; and what of the evidence is one observation.

Three things would otherwise be counted twice. A mean over members that its own hot members account for, and
the silence of what is inside something silent, are *derived*: they follow the cell that they repeat. The
members of a job move together, so their load is one observation, a *block*, however many they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from monitor.catalog import SILENCE
from monitor.correlate.groups import Grouped, derived_groups

if TYPE_CHECKING:
    from monitor.correlate.cells import Cells
    from monitor.correlate.faults import FaultBook
    from monitor.correlate.observe import Observation
    from monitor.correlate.relations import Relations
    from monitor.types import Bools, Floats, Ints

CLIP = (-3.0, 7.0)
"""Least and greatest evidence of one cell, in nats."""

UNEXPLAINED_NATS = 25.0
"""What it costs to leave a cell at page level without a cause; more than any prior."""

MEAN_Q = (0.3 + 0.6 + 0.95) / 3
RATE_FLOOR = 1e-4
PROGRESS = "progress"

BLOCK_FAMILIES = frozenset(
    {
        "activity", "power", "clock", "throughput_net", "congestion", "capacity", "application", "progress",
        "learning", "interconnect", "heat",
    }
)  # fmt: skip
ECHO_FAMILIES = (BLOCK_FAMILIES - {"application"}) | {"facility_power", "coolant_heat", "coolant_flow", "air"}
_BLOCK_SIGNS = {"heat": (-1,), "interconnect": (-1, 0)}
_BLOCK_LEAST = 4
_BLOCK_SHARE = 0.25


def weight(rate: Floats) -> Floats:
    """Return ln(q / f), clipped, at the mean q: the nats of a hot cell whose family is hot at `rate`."""
    return np.clip(np.log(MEAN_Q / np.maximum(rate, RATE_FLOOR)), *CLIP)


@dataclass
class Evidence:
    """The evidence of a tick over n entities, C cells and U units (what a cause must explain).

    live: not derived, (C,). follows: the cell that a derived one repeats, -1 for none, (C,). page,
    matters: of it or of what repeats it, (C,). unit: (C,), -1 for derived cells. unit_*: (U,); `block` is the
    workload whose block it is, -1 for a single cell; `weight` in nats, and `must` what of it is for standing
    at page level. hidden: in a silent source or itself silent, (n,). groups: the means that no member
    accounts for.
    """

    cells: Cells
    relations: Relations
    families: tuple[str, ...]
    observation: Observation
    live: Bools
    follows: Ints
    page: Bools
    matters: Bools
    hidden: Bools
    groups: Grouped
    unit: Ints
    block: Ints
    unit_size: Ints
    unit_since: Ints
    unit_weight: Floats
    unit_must: Floats
    _quiet: dict[int, Floats] = field(default_factory=dict)

    @cached_property
    def echoes(self) -> Bools:
        """Which cells may begin after their cause is over: weak ones, of what moves with the load, (C,)."""
        moving = np.array([name in ECHO_FAMILIES for name in self.families])[self.cells.family]
        return moving & ~self.page & ~self.cells.hard

    @cached_property
    def unit_echoes(self) -> Bools:
        """Which units are made of such cells alone, (U,)."""
        able = np.ones(len(self.block), bool)
        able[self.unit[self.live & ~self.echoes]] = False
        return able

    @cached_property
    def counts(self) -> Floats:
        """How many observations each cell is: one of n in a block is (1 + ln n) / n of one, (C,)."""
        size = np.ones(len(self.cells))
        size[self.live] = np.where(self.block >= 0, self.unit_size, 1)[self.unit[self.live]]
        counts: Floats = (1.0 + np.log(size)) / size
        return counts

    @cached_property
    def ended(self) -> Ints:
        """Since when no progress of a job is heard any more, ms; the end of time where it is, (n,)."""
        ended = np.full(self.relations.n, np.iinfo(np.int64).max)
        over = (self.cells.family == self.families.index(PROGRESS)) & (self.cells.sign == 0)
        ended[self.cells.entity[over]] = self.cells.since[over]
        return ended

    def quiet(self, family: int) -> Floats:
        """Return 1 where an entity is judged in a family and shows nothing, else 0, shape (n,)."""
        if family not in self._quiet:
            self._quiet[family] = self._find_quiet(family).astype(np.float64)
        return self._quiet[family]

    def _find_quiet(self, family: int) -> Bools:
        name = self.families[family]
        if name == SILENCE:
            return self.observation.reporting & ~self.hidden
        judged = self.observation.judged.get(name)
        if judged is None:
            return np.zeros(self.relations.n, bool)
        quiet = judged & ~self.hidden
        quiet[self.cells.entity[self.cells.family == family]] = False
        quiet[self.groups.covered(family)] = False
        return quiet


def weigh(
    cells: Cells, relations: Relations, book: FaultBook, observation: Observation, rates: Floats
) -> Evidence:
    """Turn cells into evidence. `rates`: share of hot ones in healthy time for each family of the book."""
    silence = book.families.index(SILENCE)
    live = np.ones(len(cells), bool)
    follows = np.full(len(cells), -1, np.int64)
    hidden = _hide(cells, relations, silence, live, follows)
    groups = derived_groups(cells, relations, book.families, observation.judged, live, follows)
    page = _with_repeats(cells.strong, live, follows)
    unit, block = _units(cells, relations, book.families, observation, live)
    size = np.bincount(unit[live], minlength=len(block))
    must = np.zeros(len(block))
    np.maximum.at(must, unit[live], UNEXPLAINED_NATS * page[live])
    return Evidence(
        cells=cells,
        relations=relations,
        families=book.families,
        observation=observation,
        live=live,
        follows=follows,
        page=page,
        matters=_with_repeats(cells.matters, live, follows),
        hidden=hidden,
        groups=groups,
        unit=unit,
        block=block,
        unit_size=size,
        unit_since=_medians(cells.since[live], unit[live], len(block)),
        unit_weight=_weights(cells, live, unit, len(block), rates) + must,
        unit_must=must,
    )


def _hide(cells: Cells, relations: Relations, silence: int, live: Bools, follows: Ints) -> Bools:
    """Find what is silent or in a silent source; mark silences in silent sources as derived.

    What has a voice of its own is silent on its own account, whatever is silent around it.
    """
    silent = np.flatnonzero(cells.family == silence)
    cell_of = np.full(relations.n, -1, np.int64)
    cell_of[cells.entity[silent]] = silent
    of_source = np.where(relations.source >= 0, cell_of[relations.source], -1)
    derived = silent[of_source[cells.entity[silent]] >= 0]
    live[derived] = False
    follows[derived] = of_source[cells.entity[derived]]
    hidden: Bools = (cell_of >= 0) | (of_source >= 0)
    return hidden


def _with_repeats(which: Bools, live: Bools, follows: Ints) -> Bools:
    """Return which cells are so (at page level, say), or are repeated by a derived one that is."""
    handed = ~live & which & (follows >= 0)
    found = which.copy()
    found[follows[handed]] = True
    return found


def _units(
    cells: Cells, relations: Relations, families: tuple[str, ...], observation: Observation, live: Bools
) -> tuple[Ints, Ints]:
    """Return the unit of each cell, (C,), and the workload of each unit that is its block, (U,)."""
    unit = np.full(len(cells), -1, np.int64)
    unit[live] = np.arange(int(live.sum()))
    owner = relations.workload_of[cells.entity]
    moving = np.array([name in BLOCK_FAMILIES for name in families])[cells.family]
    for name, signs in _BLOCK_SIGNS.items():
        moving &= (cells.family != families.index(name)) | np.isin(cells.sign, signs)
    able = np.flatnonzero(live & moving & ~cells.group & (owner >= 0))
    codes = relations.kind_codes[cells.entity[able]]
    rows = np.stack([owner[able], cells.family[able], cells.sign[able], codes], axis=1)
    found, group = np.unique(rows, axis=0, return_inverse=True)
    workload: dict[int, int] = {}
    for number, (job, family, _, code) in enumerate(found.tolist()):
        members = able[group.reshape(-1) == number]
        if len(members) >= _block_size(relations, families[family], observation, job, code):
            unit[members] = unit[members].min()
            workload[int(unit[members[0]])] = job
    kept, unit[live] = np.unique(unit[live], return_inverse=True)
    return unit, np.array([workload.get(number, -1) for number in kept.tolist()], np.int64)


def _block_size(relations: Relations, family: str, observation: Observation, job: int, code: int) -> float:
    """Return how many members of a kind must show a family together to be one observation."""
    members = relations.reach(job)
    members = members[relations.kind_codes[members] == code]
    judged = observation.judged.get(family, observation.reporting)
    return max(_BLOCK_LEAST, _BLOCK_SHARE * int(judged[members].sum()))


def _weights(cells: Cells, live: Bools, unit: Ints, size: int, rates: Floats) -> Floats:
    """Return the weight of each unit in nats; n cells that move together are worth 1 + ln n of them."""
    weights = np.zeros(size)
    np.maximum.at(weights, unit[live], weight(rates)[cells.family[live]])
    count = np.bincount(unit[live], minlength=size)
    return weights * (1.0 + np.log(np.maximum(count, 1)))


def _medians(values: Ints, group: Ints, size: int) -> Ints:
    """Return the lower median of the values of each group; every group has some."""
    order = np.lexsort((values, group))
    counts = np.bincount(group, minlength=size)
    first = np.cumsum(counts) - counts
    return values[order][first + (counts - 1) // 2] if size else np.empty(0, np.int64)
