"""The frames of switches and of the building."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.frames import Channel, Clock, encode_rows
from loadgen.layout import cdu_id, chiller_id, pdu_id, rack_id
from loadgen.network import COUNTERS
from loadgen.noise import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadgen.course import Course
    from loadgen.facility import Facility
    from loadgen.frames import Line
    from loadgen.network import Ports
    from loadgen.noise import Floats, Ints

FACILITY_METRICS = {
    "cdu": ("coolant_supply_celsius", "coolant_return_celsius", "coolant_flow_lpm", "pump_speed_ratio"),
    "chiller": ("coolant_supply_celsius", "coolant_return_celsius", "power_kw"),
    "rack": ("inlet_air_celsius", "power_kw"),
    "pdu": ("power_kw",),
}


def _cells(values: Floats) -> Sequence[bytes]:
    return encode_rows(values[:, None].tolist())


class SwitchFrames:
    """Makes the network frames of all switches."""

    def __init__(self, course: Course, switch_ports: Ports) -> None:
        spec, layout = course.spec, course.layout
        clock = Clock(stream(spec.seed, "switches"), layout.switches, spec.start, spec.interval_ms)
        sources = [f"switch:{layout.switch_name(s)}" for s in range(layout.switches)]
        ports = [layout.ports_of_switch(s) for s in range(layout.switches)]
        items = [[str(layout.port_item[port]) for port in of] for of in ports]
        names = [*COUNTERS, "link_up"]
        self._slices = [slice(int(of[0]), int(of[-1]) + 1) for of in ports]
        self._channel = Channel("network", sources, names, clock, items=items, received=spec.received)
        self._ports = switch_ports
        self._alive = np.ones(layout.switches, bool)

    def lines(self, tick: int) -> list[Line]:
        """Return the frames of a tick."""
        rows = [self._rows(counter) for counter in self._ports.counters]
        rows.append(self._rows(self._ports.link_up.astype(np.int64)))
        return self._channel.lines(self._channel.clock.sent(tick), rows, self._alive)

    def _rows(self, values: Ints) -> list[bytes]:
        flat = values.tolist()
        return encode_rows([flat[of] for of in self._slices])


class FacilityFrames:
    """Makes the facility frames of CDUs, chillers, racks and PDUs."""

    def __init__(self, course: Course, facility: Facility) -> None:
        layout = course.layout
        self._sensors: list[tuple[Channel, Callable[[], list[Floats]]]] = [
            (_facility_channel(course, "cdu", list(map(cdu_id, range(layout.cdus)))), facility.cdu_readings),
            (
                _facility_channel(course, "chiller", list(map(chiller_id, range(layout.chillers)))),
                facility.chiller_readings,
            ),
            (
                _facility_channel(course, "rack", list(map(rack_id, range(layout.racks)))),
                facility.rack_readings,
            ),
            (_facility_channel(course, "pdu", list(map(pdu_id, range(layout.pdus)))), facility.pdu_readings),
        ]

    def lines(self, tick: int) -> list[Line]:
        """Return the frames of a tick."""
        out: list[Line] = []
        for channel, read in self._sensors:
            columns = [_cells(values) for values in read()]
            alive = np.ones(len(columns[0]), bool)
            out += channel.lines(channel.clock.sent(tick), columns, alive)
        return out


def _facility_channel(course: Course, kind: str, sources: list[str]) -> Channel:
    spec = course.spec
    clock = Clock(stream(spec.seed, kind), len(sources), spec.start, spec.interval_ms)
    return Channel("facility", sources, FACILITY_METRICS[kind], clock, received=spec.received)
