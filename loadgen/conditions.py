"""What faults do to the hall at one moment; healthy unless a fault presses on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from loadgen.layout import Layout


PRESENT, XID_ONLY, NULL, GONE = range(4)


class Conditions:
    """Factors and rates that the physics reads, set anew at each tick.

    resistance: thermal resistance of each GPU, times healthy. lost: how a GPU off the bus looks, one of
    PRESENT, XID_ONLY, NULL and GONE. flow, pump: of each CDU, times healthy. powered: racks with power.
    symbol_rate: extra symbol errors a second of each port. link_down: ports without a link. net_speed: of
    each node, 0 to 1.
    """

    def __init__(self, layout: Layout) -> None:
        self.resistance = np.ones(layout.gpus)
        self.lost = np.zeros(layout.gpus, np.int64)
        self.flow = np.ones(layout.cdus)
        self.pump = np.ones(layout.cdus)
        self.powered = np.ones(layout.racks, bool)
        self.symbol_rate = np.zeros(len(layout.port_switch))
        self.link_down = np.zeros(len(layout.port_switch), bool)
        self.net_speed = np.ones(layout.nodes)

    def heal(self) -> None:
        """Go back to healthy."""
        for factor in (self.resistance, self.flow, self.pump, self.net_speed):
            factor.fill(1.0)
        self.powered.fill(True)
        self.lost.fill(0)
        self.symbol_rate.fill(0.0)
        self.link_down.fill(False)
