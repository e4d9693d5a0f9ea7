"""The hall: which node stands in which rack, on which CDU, PDU and leaf switch port.

Everything is an index into arrays; names are made from indices in one place each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loadgen.noise import stream

if TYPE_CHECKING:
    from loadgen.noise import Ints
    from loadgen.spec import Spec

GPUS_PER_NODE = 8
RACKS_PER_ROW = 8


@dataclass(frozen=True, slots=True)
class Sku:
    """A kind of GPU. Watts, MHz, bytes, bytes a second, teraflops, kelvin a watt."""

    name: str
    tdp: float
    idle_watts: float
    clock: float
    idle_clock: float
    memory: int
    pcie_gen: int
    nvlink: float
    gemm: float
    hbm_bandwidth: float
    resistance: float


SKUS = (
    Sku("H100", 700.0, 88.0, 1980.0, 345.0, 85_520_809_984, 5, 450e9, 660.0, 2.9e12, 0.047),
    Sku("A100", 400.0, 58.0, 1410.0, 210.0, 85_899_345_920, 4, 300e9, 255.0, 1.75e12, 0.081),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is.

    node_port: the leaf port of each node. uplink_port, spine_port: the two ends of the cable between each
    leaf and each spine, of shape (leaves, spines).
    """

    node_rack: Ints
    node_sku: Ints
    node_leaf: Ints
    node_port: Ints
    rack_row: Ints
    rack_cdu: Ints
    rack_pdu: Ints
    cdu_chiller: Ints
    port_switch: Ints
    port_item: Ints
    uplink_port: Ints
    spine_port: Ints
    leaves: int
    spines: int

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return len(self.node_rack)

    @property
    def gpus(self) -> int:
        """The number of GPUs."""
        return self.nodes * GPUS_PER_NODE

    @property
    def racks(self) -> int:
        """The number of racks."""
        return len(self.rack_row)

    @property
    def cdus(self) -> int:
        """The number of coolant distribution units."""
        return len(self.cdu_chiller)

    @property
    def pdus(self) -> int:
        """The number of power distribution units."""
        return int(self.rack_pdu[-1]) + 1

    @property
    def chillers(self) -> int:
        """The number of chillers."""
        return int(self.cdu_chiller[-1]) + 1

    @property
    def switches(self) -> int:
        """Leaves first, then spines."""
        return self.leaves + self.spines

    def nodes_of_rack(self, rack: int) -> Ints:
        """Return the nodes in a rack."""
        return np.flatnonzero(self.node_rack == rack)

    def racks_of_cdu(self, cdu: int) -> Ints:
        """Return the racks that a CDU cools."""
        return np.flatnonzero(self.rack_cdu == cdu)

    def nodes_of_cdu(self, cdu: int) -> Ints:
        """Return the nodes that a CDU cools."""
        return np.flatnonzero(self.rack_cdu[self.node_rack] == cdu)

    def nodes_of_leaf(self, leaf: int) -> Ints:
        """Return the nodes on a leaf switch."""
        return np.flatnonzero(self.node_leaf == leaf)

    def ports_of_switch(self, switch: int) -> Ints:
        """Return the ports of a switch."""
        return np.flatnonzero(self.port_switch == switch)

    def gpus_of_node(self, node: int) -> range:
        """Return the GPUs of a node."""
        return range(node * GPUS_PER_NODE, (node + 1) * GPUS_PER_NODE)

    def gpu_id(self, gpu: int) -> str:
        """Return `gpu:n0001/3`."""
        return f"gpu:{node_name(gpu // GPUS_PER_NODE)}/{gpu % GPUS_PER_NODE}"

    def port_id(self, port: int) -> str:
        """Return `port:leaf01/17`."""
        return f"port:{self.switch_name(int(self.port_switch[port]))}/{self.port_item[port]}"

    def switch_name(self, switch: int) -> str:
        """Return `leaf01` or `spine01`."""
        return f"leaf{switch + 1:02d}" if switch < self.leaves else f"spine{switch - self.leaves + 1:02d}"


def node_name(node: int) -> str:
    """Return `n0001` for node 0."""
    return f"n{node + 1:04d}"


def node_id(node: int) -> str:
    """Return `node:n0001` for node 0."""
    return f"node:{node_name(node)}"


def rack_id(rack: int) -> str:
    """Return `rack:r001` for rack 0."""
    return f"rack:r{rack + 1:03d}"


def cdu_id(cdu: int) -> str:
    """Return `cdu:c01` for CDU 0."""
    return f"cdu:c{cdu + 1:02d}"


def pdu_id(pdu: int) -> str:
    """Return `pdu:p001` for PDU 0."""
    return f"pdu:p{pdu + 1:03d}"


def chiller_id(chiller: int) -> str:
    """Return `chiller:ch1` for chiller 0."""
    return f"chiller:ch{chiller + 1}"


def row_id(row: int) -> str:
    """Return `row:row1` for row 0."""
    return f"row:row{row + 1}"


def build_layout(spec: Spec) -> Layout:
    """Lay out the hall of a run: its shape varies with the seed, within what halls look like."""
    rng = stream(spec.seed, "layout")
    nodes = spec.gpus // GPUS_PER_NODE
    node_rack = np.arange(nodes) // spec.plot.nodes_per_rack
    racks = int(node_rack[-1]) + 1
    rack_row = np.arange(racks) // RACKS_PER_ROW
    rack_cdu = _groups_in_rows(rng, rack_row, 2, 4 if racks > 4 else 2)
    cdus = int(rack_cdu[-1]) + 1
    chillers = max(1, round(cdus / 6))
    fabric = _fabric(nodes, spec.plot.nodes_per_rack)
    cdu_sku = np.arange(cdus) >= (cdus if racks < 8 else cdus - max(1, cdus // 4))
    return Layout(
        node_rack=node_rack,
        node_sku=cdu_sku.astype(np.int64)[rack_cdu][node_rack],
        rack_row=rack_row,
        rack_cdu=rack_cdu,
        rack_pdu=_groups_in_rows(rng, rack_row, 1, 2),
        cdu_chiller=np.arange(cdus) * chillers // cdus,
        node_leaf=fabric.node_leaf,
        node_port=fabric.node_port,
        port_switch=fabric.port_switch,
        port_item=fabric.port_item,
        uplink_port=fabric.uplink_port,
        spine_port=fabric.spine_port,
        leaves=fabric.leaves,
        spines=fabric.spines,
    )


def _groups_in_rows(rng: np.random.Generator, rack_row: Ints, least: int, most: int) -> Ints:
    """Group neighbouring racks of a row, `least` to `most` in a group where the row allows."""
    groups, group = np.zeros(len(rack_row), np.int64), 0
    for row in range(int(rack_row[-1]) + 1):
        at, left = int(np.searchsorted(rack_row, row)), int((rack_row == row).sum())
        while left:
            size = min(left, int(rng.integers(least, most + 1)))
            if 0 < left - size < least:
                size = left if left <= most else left - least
            groups[at : at + size] = group
            at, left, group = at + size, left - size, group + 1
    return groups


class _Fabric(NamedTuple):
    """The part of a layout that concerns the network; the fields are those of Layout."""

    node_leaf: Ints
    node_port: Ints
    port_switch: Ints
    port_item: Ints
    uplink_port: Ints
    spine_port: Ints
    leaves: int
    spines: int


def _fabric(nodes: int, nodes_per_rack: int) -> _Fabric:
    """Hang the nodes on leaf switches and those on spines.

    A leaf serves two racks, offset by one against the pairs of a row, so that a leaf's nodes are not
    simply those of a CDU. Each leaf has one port up to each spine.
    """
    node_leaf = (np.arange(nodes) // nodes_per_rack + 1) // 2
    leaves = int(node_leaf[-1]) + 1
    spines = 2 if leaves <= 4 else 4
    below = np.bincount(node_leaf, minlength=leaves)
    sizes = np.concatenate([below + spines, np.full(spines, leaves)])
    first = np.cumsum(sizes) - sizes
    return _Fabric(
        node_leaf=node_leaf,
        node_port=first[node_leaf] + np.arange(nodes) - (np.cumsum(below) - below)[node_leaf],
        port_switch=np.repeat(np.arange(len(sizes)), sizes),
        port_item=np.arange(sizes.sum()) - np.repeat(first, sizes) + 1,
        uplink_port=(first[:leaves] + below)[:, None] + np.arange(spines),
        spine_port=first[leaves:] + np.arange(leaves)[:, None],
        leaves=leaves,
        spines=spines,
    )
