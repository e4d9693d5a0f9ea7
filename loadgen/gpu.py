"""The GPUs: power follows activity, temperature follows power with inertia, clocks follow temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.layout import GPUS_PER_NODE, SKUS
from loadgen.noise import AutoRegressive, RareCounts, sparse_picks, stream

if TYPE_CHECKING:
    from loadgen.conditions import Conditions
    from loadgen.course import Course
    from loadgen.noise import Bools, Floats, Ints
    from loadgen.workload import Workload

SLOWDOWN_C = 87.0
HARDWARE_SLOWDOWN_C = 89.0
SPIKES_PER_GPU_HOUR = 1e-3
IDLE, POWER_CAP, SOFTWARE_THERMAL, HARDWARE_THERMAL = 0x1, 0x4, 0x20, 0x40
COUNTERS = ("ecc_sbe_total", "ecc_dbe_total", "nvlink_errors_total", "pcie_replay_total")


def of_skus(attribute: str, sku: Ints) -> Floats:
    """Return an attribute of the SKU of each entry."""
    return np.array([float(getattr(kind, attribute)) for kind in SKUS])[sku]


class Gpus:
    """The physics of all GPUs at one tick. Temperatures in Celsius, power in watts, clocks in MHz.

    speed: of each GPU, its clock over its healthy clock. counters: by the order of COUNTERS, since the
    exporter began.
    """

    def __init__(self, course: Course) -> None:
        spec, layout = course.spec, course.layout
        n, rng = layout.gpus, stream(spec.seed, "gpu")
        self._rng, self._dt = rng, float(spec.interval)
        sku = np.repeat(layout.node_sku, GPUS_PER_NODE)
        self._tdp, self._idle = of_skus("tdp", sku), of_skus("idle_watts", sku)
        self.clock_max, self._clock_idle = of_skus("clock", sku), of_skus("idle_clock", sku)
        self._resistance = of_skus("resistance", sku) * (1 + 0.03 * rng.standard_normal(n))
        self._offset = np.clip(1.3 * rng.standard_normal(n), -3, 3)
        self._hbm_offset = 7.0 + np.clip(1.5 * rng.standard_normal(n), -3, 3)
        self._efficiency = 1 + 0.02 * rng.standard_normal(n)
        self._pace = 1 - np.exp(-self._dt / rng.uniform(35, 75, n))
        self._hbm_pace = 1 - np.exp(-self._dt / rng.uniform(60, 130, n))
        self._node_offset = np.repeat(0.8 * rng.standard_normal(layout.nodes), GPUS_PER_NODE)
        tau = rng.uniform(28, 195, (4, n))
        sd = np.array([[0.012], [0.35], [0.35], [6.0]])
        self._noise = AutoRegressive(rng, (4, n), self._dt, tau, sd, bursts=0.004)
        self._cdu = np.repeat(layout.rack_cdu[layout.node_rack], GPUS_PER_NODE)
        self.power: Floats = self._idle.copy()
        self._temp: Floats = 34.0 + self._offset
        self._hbm: Floats = self._temp + self._hbm_offset
        self.speed: Floats = np.ones(n)
        self._capped: Bools = np.zeros(n, bool)
        self._sm: Floats = np.zeros(n)
        self._begin_counters(n)

    def _begin_counters(self, n: int) -> None:
        """Most parts hardly ever err; a few are steadily worse."""
        rng = self._rng
        rates = np.array([[2e-7], [0.0], [5e-7], [5e-6]]) * rng.lognormal(0.0, 1.0, (4, n))
        for row, per_hour in ((0, (0.3, 4.0)), (2, (0.1, 0.5)), (3, (0.2, 1.0))):
            worse = rng.choice(n, max(1, n // 250), replace=False)
            rates[row, worse] = rng.uniform(*per_hour, len(worse)) / 3600
        self._events = RareCounts(rng, rates.ravel())
        self.counters: Ints = rng.poisson(rates * 30 * 86_400)

    def settle(self, load: Workload, coolant: Floats) -> None:
        """Begin in equilibrium with the load."""
        self.power = power = self._idle + self._demand(load)
        self._temp = coolant[self._cdu] + self._node_offset + self._resistance * power + self._offset
        self._hbm = self._temp + self._hbm_offset

    def step(self, load: Workload, coolant: Floats, flow: Floats, down: Bools, now: Conditions) -> None:
        """Advance one tick. coolant (Celsius) and flow (times healthy) of each CDU; down: of each node."""
        noise = self._noise.step()
        off = np.repeat(down, GPUS_PER_NODE) | (now.lost > 0)
        around = coolant[self._cdu] + self._node_offset
        resistance = self._resistance * now.resistance * (flow**-0.35)[self._cdu]
        idle = self._idle * (1 + noise[0])
        wanted = np.maximum(self._demand(load) * (1 + noise[0]), 1e-3)
        self._capped = wanted > self._tdp - idle
        coolest = (SLOWDOWN_C - around - self._offset) / resistance - idle
        granted = np.minimum(self._granted(wanted, coolest), self._tdp - idle)
        self.speed = np.where(off, 1.0, np.sqrt(np.clip(granted / wanted, 0.05, 1.0)))
        self.power = np.where(off, 0.0, idle + wanted * self.speed**2)
        self._warm(around + self._offset + resistance * self.power)
        self._sm = load.sm
        np.add.at(self.counters.reshape(-1), self._events.hits(self._dt), 1)

    def _demand(self, load: Workload) -> Floats:
        """Return the power above idle that the activity asks for at full clock."""
        span = (self._tdp - self._idle) * self._efficiency
        demand: Floats = span * (0.72 * load.sm + 0.5 * load.dram)
        return demand

    def _granted(self, wanted: Floats, coolest: Floats) -> Floats:
        """Return the power above idle that the temperature allows.

        From 87 C on software slows down, by 4 % of the power a kelvin; from 89 C on the hardware falls to
        `coolest`, the power at which the GPU would settle at 87 C.
        """
        soft = wanted * (1 - 0.04 * np.maximum(self._temp - SLOWDOWN_C, 0.0))
        return np.where(self._temp >= HARDWARE_SLOWDOWN_C, np.minimum(soft, coolest), soft)

    def _warm(self, target: Floats) -> None:
        self._temp += self._pace * (target - self._temp)
        self._hbm += self._hbm_pace * (target + self._hbm_offset - self._hbm)

    def readings(self) -> dict[str, Floats | Ints]:
        """Return what the sensors say, quantised: 1 C, 0.1 W, 15 MHz, 0.001, the throttle bits."""
        noise = self._noise.x
        temp = np.rint(self._temp + noise[1])
        hbm = np.rint(self._hbm + noise[2])
        power = np.round(self.power, 1)
        for reading, height in ((temp, 9.0), (hbm, 9.0), (power, 90.0)):
            self._spike(reading, height)
        idle = self._sm < 0.01
        clock = np.where(idle, self._clock_idle, self.clock_max * self.speed - np.abs(noise[3]))
        return {
            "gpu_temp_celsius": temp.astype(np.int64),
            "hbm_temp_celsius": hbm.astype(np.int64),
            "power_watts": power,
            "sm_clock_mhz": 15 * np.rint(clock / 15).astype(np.int64),
            "throttle_reasons": self._throttle_bits(idle),
        }

    def _spike(self, reading: Floats, height: float) -> None:
        """Let a sensor be wrong for one sample now and then."""
        hit = sparse_picks(self._rng, len(reading), SPIKES_PER_GPU_HOUR / 3 * self._dt / 3600)
        if len(hit):
            reading[hit] += np.rint(height * self._rng.uniform(1, 3, len(hit)))

    def _throttle_bits(self, idle: Bools) -> Ints:
        slowed = (self._temp >= SLOWDOWN_C) & ~idle
        bits: Ints = IDLE * idle + POWER_CAP * (self._capped & ~idle)
        bits += SOFTWARE_THERMAL * slowed + HARDWARE_THERMAL * (slowed & (self._temp >= HARDWARE_SLOWDOWN_C))
        return bits

    def restart(self, gpus: list[int]) -> None:
        """Begin the counters of some GPUs at zero."""
        self.counters[:, gpus] = 0
