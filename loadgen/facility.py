"""The building: coolant, air and power, with the day's cycle, following what the GPUs draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.noise import AutoRegressive, daily, stream

if TYPE_CHECKING:
    from loadgen.conditions import Conditions
    from loadgen.course import Course
    from loadgen.noise import Bools, Floats

WATER = 0.0698  # kW carried by 1 L/min warmed by 1 K
NODE_OVERHEAD_KW = 1.7
LIQUID_SHARE = 0.8
PEAK_HOUR = 15.0


class Facility:
    """CDUs, chillers, racks and PDUs at one tick. Celsius, kW, L/min.

    coolant: what the cold plates of a CDU feel, between its supply and its return.
    """

    def __init__(self, course: Course) -> None:
        spec, layout = course.spec, course.layout
        rng = stream(spec.seed, "facility")
        self._dt, self._layout = float(spec.interval), layout
        self._pace = 1 - np.exp(-self._dt / 90.0)
        cdus, chillers, racks = layout.cdus, layout.chillers, layout.racks
        self._chiller_noise = self._series(rng, (3, chillers), [[0.05], [0.05], [0.006]])
        self._cdu_noise = self._series(rng, (4, cdus), [[0.06], [0.06], [0.006], [0.004]])
        self._rack_noise = self._series(rng, (2, racks), [[0.18], [0.004]])
        self._wander = AutoRegressive(rng, (cdus + racks,), self._dt, 5400.0, 0.12)
        self._pdu_noise = self._series(rng, (1, layout.pdus), 0.003)
        self._setpoint = 30.0 + 0.4 * rng.standard_normal(cdus)
        self._air_offset = 0.6 * rng.standard_normal(racks)
        self._pump_offset = 0.7 + 0.02 * rng.standard_normal(cdus)
        share = np.bincount(layout.rack_cdu[layout.node_rack], minlength=cdus)
        self._flow_healthy = share * 6.4 * (1 + 0.04 * rng.standard_normal(cdus))
        primary = np.bincount(layout.cdu_chiller, weights=self._flow_healthy)
        self._capacity: Floats = np.asarray(0.1 * primary, np.float64)  # kW a kelvin, 9 K at a usual load
        self.rack_kw: Floats = np.zeros(racks)
        self._return: Floats = self._setpoint + 9.0
        self._chiller_return: Floats = np.full(chillers, 27.0)
        self._supply: Floats = self._setpoint.copy()
        self.flow: Floats = np.ones(cdus)
        self._chiller_supply: Floats = np.full(chillers, 18.0)
        self._chiller_kw: Floats = np.zeros(chillers)
        self._air: Floats = np.full(racks, 22.0)
        self._pump: Floats = self._pump_offset.copy()

    def _series(self, rng: np.random.Generator, shape: tuple[int, int], sd: object) -> AutoRegressive:
        tau = rng.uniform(40, 200, shape)
        return AutoRegressive(rng, shape, self._dt, tau, np.asarray(sd, float), bursts=0.004)

    @property
    def coolant(self) -> Floats:
        """What the cold plates of each CDU feel."""
        felt: Floats = self._supply + 0.4 * (self._return - self._supply)
        return felt

    def settle(self, node_kw: Floats) -> None:
        """Begin in equilibrium with the load."""
        layout = self._layout
        heat = np.bincount(layout.rack_cdu[layout.node_rack], weights=node_kw + NODE_OVERHEAD_KW)
        self._return = self._setpoint + LIQUID_SHARE * heat / (WATER * self._flow_healthy)
        cooled = np.bincount(layout.cdu_chiller, weights=heat)
        self._chiller_return = 18.0 + cooled / self._capacity

    def step(self, ts: int, node_kw: Floats, down: Bools, now: Conditions) -> None:
        """Advance one tick; node_kw: what the GPUs of each node draw, down: of each node."""
        layout = self._layout
        day = daily(ts, PEAK_HOUR)
        wander = self._wander.step()
        drawn = np.where(down, 0.05, node_kw + NODE_OVERHEAD_KW)
        rack_kw = np.bincount(layout.node_rack, weights=drawn, minlength=layout.racks) + 0.4
        noise = self._rack_noise.step()
        self.rack_kw = np.where(now.powered, rack_kw * (1 + noise[1]), 0.0)
        self._air = 22.0 + 0.7 * day + self._air_offset + noise[0] + wander[layout.cdus :] + 0.02 * rack_kw
        self._cool_racks(day, wander[: layout.cdus], now)
        self._chill(day)

    def _cool_racks(self, day: float, wander: Floats, now: Conditions) -> None:
        layout, noise = self._layout, self._cdu_noise.step()
        primary = self._chiller_supply[layout.cdu_chiller] - 18.0
        self._supply = self._setpoint + 0.35 * day + 0.6 * primary + noise[0] + wander
        self.flow = now.flow * (1 + noise[2])
        self._pump = np.minimum(self._pump_offset * now.pump * (1 + noise[3]), 1.0)
        heat = LIQUID_SHARE * np.bincount(layout.rack_cdu, weights=self.rack_kw, minlength=layout.cdus)
        target = self._supply + heat / (WATER * self._flow_healthy * np.maximum(self.flow, 0.05))
        self._return = self._return + self._pace * (target - self._return)

    def _chill(self, day: float) -> None:
        layout, noise = self._layout, self._chiller_noise.step()
        cooled = np.bincount(layout.rack_cdu, weights=self.rack_kw, minlength=layout.cdus)
        heat = np.bincount(layout.cdu_chiller, weights=cooled, minlength=layout.chillers)
        self._chiller_supply = 18.0 + 0.3 * day + noise[0]
        target = self._chiller_supply + heat / self._capacity
        self._chiller_return = self._chiller_return + self._pace * (target - self._chiller_return)
        self._chiller_kw = heat * (0.21 + 0.02 * day) * (1 + noise[2])

    def cdu_readings(self) -> list[Floats]:
        """Return supply, return, flow and pump speed of each CDU."""
        noise = self._cdu_noise.x
        flow = np.round(self._flow_healthy * self.flow, 1)
        returned = np.round(self._return + noise[1], 2)
        return [np.round(self._supply, 2), returned, flow, np.round(self._pump, 3)]

    def chiller_readings(self) -> list[Floats]:
        """Return supply, return and power of each chiller."""
        returned = np.round(self._chiller_return + self._chiller_noise.x[1], 2)
        return [np.round(self._chiller_supply, 2), returned, np.round(self._chiller_kw, 1)]

    def rack_readings(self) -> list[Floats]:
        """Return inlet air and power of each rack."""
        return [np.round(self._air, 1), np.round(self.rack_kw, 2)]

    def pdu_readings(self) -> list[Floats]:
        """Return the power of each PDU: its racks and 3 % of loss."""
        layout = self._layout
        power = 1.03 * np.bincount(layout.rack_pdu, weights=self.rack_kw, minlength=layout.pdus)
        return [np.round(power * (1 + self._pdu_noise.step()[0]), 2)]
