"""Depth-first numbering of a forest, so that everything below a node is one slice."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from monitor.types import Ints


@dataclass(frozen=True, slots=True)
class Forest:
    """A forest of n nodes, numbered depth first; siblings follow each other by index.

    order: node indices in depth-first order, shape (n,). start: each node's place in `order`, (n,).
    size: how many nodes are in its subtree with itself, (n,). depth: steps up to its root, (n,).
    """

    order: Ints
    start: Ints
    size: Ints
    depth: Ints

    def below(self, node: int) -> Ints:
        """Return the descendants of a node, without it, sorted."""
        first = self.start[node]
        return np.sort(self.order[first + 1 : first + self.size[node]])


def grow(parent: Ints) -> Forest:
    """Return the numbering of a forest, given by each node's parent (-1 at a root); it must have no cycle.

    A few passes over arrays for each level: O(n log n), with no Python loop over nodes.

    >>> grow(np.array([-1, 0, 0, 1])).below(0)
    array([1, 2, 3])
    """
    depth = _depths(parent)
    by_level = np.lexsort((parent, depth))  # stable: level, then parent, then index
    bounds = np.searchsorted(depth[by_level], np.arange(int(depth.max(initial=-1)) + 2))
    levels = [by_level[a:b] for a, b in pairwise(bounds.tolist())]
    size = np.ones(len(parent), np.int64)
    for level in reversed(levels[1:]):
        np.add.at(size, parent[level], size[level])
    start = np.zeros(len(parent), np.int64)
    for number, level in enumerate(levels):
        above = parent[level]
        start[level] = _offsets(above, size[level]) + (start[above] + 1 if number else 0)
    order = np.empty(len(parent), np.int64)
    order[start] = np.arange(len(parent))
    return Forest(order, start, size, depth)


def _depths(parent: Ints) -> Ints:
    """Count the steps to the root of every node by doubling the stride: O(n log depth)."""
    depth = (parent >= 0).astype(np.int64)
    above = parent.copy()
    while (climbing := np.flatnonzero(above >= 0)).size:
        depth[climbing] += depth[above[climbing]]
        above[climbing] = above[above[climbing]]
    return depth


def _offsets(group: Ints, size: Ints) -> Ints:
    """Return the sum of the sizes before each element within its run of equal groups."""
    before = np.cumsum(size) - size
    first = np.flatnonzero(np.diff(group, prepend=-2))
    return before - np.repeat(before[first], np.diff(first, append=len(group)))
