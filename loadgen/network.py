"""The switch ports: traffic of the jobs, errors by chance, links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadgen.noise import AutoRegressive, RareCounts, stream

if TYPE_CHECKING:
    from loadgen.conditions import Conditions
    from loadgen.course import Course
    from loadgen.noise import Bools, Floats, Ints
    from loadgen.workload import Workload

COUNTERS = (
    "rx_bytes_total",
    "tx_bytes_total",
    "packet_retries_total",
    "symbol_errors_total",
    "link_downed_total",
    "rx_errors_total",
    "tx_discards_total",
    "xmit_wait_total",
)
RX, TX, RETRIES, SYMBOLS, DOWNED, RX_ERRORS, DISCARDS, WAIT = range(len(COUNTERS))
LINE_RATE = 50e9


class Ports:
    """All ports at one tick: `link_up`, and `counters` of shape (counters, ports), in order of COUNTERS."""

    def __init__(self, course: Course) -> None:
        spec, layout = course.spec, course.layout
        rng = stream(spec.seed, "network")
        n = len(layout.port_switch)
        self._rng, self._dt, self._layout = rng, float(spec.interval), layout
        self._noise = AutoRegressive(rng, (2, n), self._dt, rng.uniform(28, 120, (2, n)), 0.04, bursts=0.01)
        rates = self._healthy_rates(n)
        self._events = RareCounts(rng, rates.ravel())
        self.counters: Ints = np.zeros((len(COUNTERS), n), np.int64)
        self.counters[[RETRIES, SYMBOLS, RX_ERRORS, DISCARDS]] = rng.poisson(rates * 20 * 86_400)
        self.counters[[RX, TX]] = rng.integers(10**13, 10**15, (2, n))
        self.counters[WAIT] = rng.integers(10**7, 10**10, n)
        self.counters[DOWNED] = rng.poisson(0.4, n)
        self.link_up: Bools = np.ones(n, bool)

    def _healthy_rates(self, n: int) -> Floats:
        """Return events a second of retries, symbol errors, receive errors and discards of each port."""
        rng = self._rng
        rates: Floats = np.array([[2e-3], [2e-5], [5e-6], [3e-4]]) * rng.lognormal(0.0, 0.5, (4, n))
        worse = rng.choice(n, max(1, n // 80), replace=False)
        rates[1, worse] = rng.uniform(2, 12, len(worse)) / 3600
        return rates

    def step(self, load: Workload, down: Bools, now: Conditions) -> None:
        """Advance one tick; down: of each node."""
        traffic = self._traffic(load)
        up = ~now.link_down
        up[self._layout.node_port[down]] = False
        self.counters[DOWNED] += self.link_up & ~up
        self.link_up = up
        moved = np.maximum(traffic * (1 + self._noise.step()) * up * self._dt, 0.0)
        self.counters[[RX, TX]] += moved.astype(np.int64)
        load_share = np.minimum(moved[1] / self._dt / LINE_RATE, 1.0)
        waits = 2e6 * load_share**2 * self._rng.lognormal(0.0, 0.4, len(up)) * self._dt
        self.counters[WAIT] += waits.astype(np.int64)
        rows = np.array([RETRIES, SYMBOLS, RX_ERRORS, DISCARDS])
        kind, port = np.divmod(self._events.hits(self._dt), len(up))
        np.add.at(self.counters, (rows[kind], port), 1)
        if now.symbol_rate.any():
            self._err(now.symbol_rate)

    def _err(self, symbol_rate: Floats) -> None:
        """Let bad ports err: each symbol error costs retries, some a packet."""
        rate = symbol_rate * self._dt
        self.counters[SYMBOLS] += self._rng.poisson(rate)
        self.counters[RETRIES] += self._rng.poisson(3 * rate)
        self.counters[RX_ERRORS] += self._rng.poisson(0.1 * rate)
        self.counters[WAIT] += self._rng.poisson(2e4 * rate)

    def _traffic(self, load: Workload) -> Floats:
        """Return bytes a second of each port, half of a node's traffic leaving its leaf."""
        layout = self._layout
        traffic = np.full(len(layout.port_switch), 2e5)
        node = load.style["network"][np.maximum(load.job, 0)] * load.work
        traffic[layout.node_port] += node
        up = np.bincount(layout.node_leaf, weights=node, minlength=layout.leaves) * 0.5 / layout.spines
        traffic[layout.uplink_port] += up[:, None]
        traffic[layout.spine_port] += up[:, None]
        return traffic
