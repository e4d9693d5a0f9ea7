"""What no single line can tell: ids that stand twice, references to nothing, cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csgraph

from monitor.topology.columns import FIRST, UNKNOWN, Columns
from monitor.topology.graph import adjacency

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from monitor.topology.entity import Entity
    from monitor.types import Bools, Ints

Problem = tuple[int, str]


def check(
    columns: Columns, entities: Sequence[Entity], numbers: Sequence[int], excused: AbstractSet[str]
) -> list[Problem]:
    """Return every problem as (line number, text).

    `numbers` are the line numbers of the entities; a reference to an `excused` id is no problem, since the
    line that would have defined it has been reported already.
    """
    problems = list(_overlaps(columns, entities, numbers))
    problems += _dangling(columns, entities, numbers, excused)
    contained = np.flatnonzero(columns.parent >= 0)
    problems += _cycles(columns, numbers, "parent", contained, columns.parent[contained])
    known = columns.edge_to >= 0
    problems += _cycles(columns, numbers, "depends_on", columns.edge_line[known], columns.edge_to[known])
    return problems


def _overlaps(columns: Columns, entities: Sequence[Entity], numbers: Sequence[int]) -> Iterator[Problem]:
    """Find lines about one entity whose times overlap; each is told beside the one that lasts longest."""
    longest = 0
    for k in range(1, len(entities)):
        if columns.who[k] != columns.who[k - 1]:
            longest = k
            continue
        if columns.begin[k] < columns.end[longest]:
            first, second = sorted((numbers[longest], numbers[k]))
            yield second, f"`{entities[k].id}` is on line {first} too, for a time that overlaps"
        if columns.end[k] > columns.end[longest]:
            longest = k


def _dangling(
    columns: Columns, entities: Sequence[Entity], numbers: Sequence[int], excused: AbstractSet[str]
) -> Iterator[Problem]:
    for k in np.flatnonzero(columns.parent == UNKNOWN).tolist():
        if (name := entities[k].parent) not in excused:
            yield numbers[k], f"`parent` `{name}` is not in the topology"
    for k in np.unique(columns.edge_line[columns.edge_to == UNKNOWN]).tolist():
        for name in dict.fromkeys(entities[k].depends_on):
            if name not in columns.index and name not in excused:
                yield numbers[k], f"`depends_on` `{name}` is not in the topology"
    lines = np.flatnonzero(columns.parent >= 0)
    yield from _never_meet(columns, numbers, "parent", lines, columns.parent[lines])
    known = columns.edge_to >= 0
    yield from _never_meet(columns, numbers, "depends_on", columns.edge_line[known], columns.edge_to[known])


def _never_meet(
    columns: Columns, numbers: Sequence[int], name: str, line: Ints, to: Ints
) -> Iterator[Problem]:
    """Find references to entities that exist only at other times."""
    bounds = np.searchsorted(columns.who, np.arange(len(columns.names) + 1))
    begin, end = columns.begin[line], columns.end[line]
    first, last = bounds[to], bounds[to + 1] - 1  # one entity's lines, in order of time
    doubtful = (first < last) | (columns.begin[first] >= end) | (columns.end[last] <= begin)
    for k in np.flatnonzero(doubtful).tolist():
        lives = slice(first[k], last[k] + 1)
        if not np.any((columns.begin[lives] < end[k]) & (columns.end[lives] > begin[k])):
            yield numbers[line[k]], f"`{name}` `{columns.names[to[k]]}` exists only at other times"


def _cycles(columns: Columns, numbers: Sequence[int], name: str, line: Ints, to: Ints) -> Iterator[Problem]:
    """Find circles, each told once at its first line.

    Lines of all times are taken together first, which clears nearly every file at once; what is circular
    there is looked at again at each instant at which one of its lines begins.
    """
    told: set[tuple[str, ...]] = set()
    suspects = _circular(columns.who[line], to, len(columns.names))
    if not suspects.any():
        return
    line, to = line[suspects], to[suspects]
    for ts in np.unique(np.append(columns.begin[line], FIRST)).tolist():
        living = columns.alive(ts)[line]
        now, ahead = line[living], to[living]
        bad = _circular(columns.who[now], ahead, len(columns.names))
        for circle in _circles(columns.who[now[bad]], ahead[bad]):
            names = tuple([columns.names[k] for k in circle])
            if names not in told:
                told.add(names)
                at = min(numbers[k] for k in now[bad][np.isin(columns.who[now[bad]], circle)].tolist())
                yield at, f"`{name}` goes in a circle: {' -> '.join([*names, names[0]])}"


def _circular(source: Ints, to: Ints, n: int) -> Bools:
    """Tell which edges lie on a circle: both ends in one strongly connected component."""
    _, component = csgraph.connected_components(adjacency(source, to, n), directed=True, connection="strong")
    return np.asarray(component[source] == component[to])


def _circles(source: Ints, to: Ints) -> Iterator[list[int]]:
    """Yield one shortest circle for each component, from its least entity on."""
    ahead: dict[int, list[int]] = {}
    for a, b in sorted(zip(source.tolist(), to.tolist(), strict=True)):
        ahead.setdefault(a, []).append(b)
    seen: set[int] = set()
    for start in sorted(ahead):
        if start not in seen:
            came_from = _search(ahead, start)
            seen.update(came_from)
            yield _walk_back(came_from, start)


def _search(ahead: dict[int, list[int]], start: int) -> dict[int, int]:
    """Breadth first from a node to all it reaches: node -> the one before it."""
    came_from: dict[int, int] = {}
    queue = [start]
    for node in queue:
        for following in ahead[node]:
            if following not in came_from:
                came_from[following] = node
                queue.append(following)
    return came_from


def _walk_back(came_from: dict[int, int], start: int) -> list[int]:
    path = [came_from[start]]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]
