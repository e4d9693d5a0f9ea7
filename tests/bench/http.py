"""The door: samples a second over HTTP until they are safe on disk, and how long an answer takes.

    python -m tests.bench.http [--rate 300000] [--seconds 30] [--clients 4] [--store]

A real `monitor run` with the shipped rules; clients in processes of their own send frames of 8 GPUs x 16 metrics,
100 a request, each node once a second. First at the given rate, then as fast as answers come. Every answer is
checked, and at the end the process must be caught up with every sample counted.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from loadgen.nodes import METRICS

GPUS, FRAMES = 8, 100
SAMPLES = GPUS * len(METRICS)
NOW = b"1111111111111"
LEVELS = dict(zip(METRICS, (60, 70, 500, 1900, 0.9, 0.5, 6e10, 0, 0, 0, 0, 2e11, 0, 0, 5, 0), strict=True))


def body(client: int, first: int) -> bytes:
    """Return 100 frames of as many nodes."""
    rng = np.random.default_rng(first)
    lines = []
    for node in range(first, first + FRAMES):
        metrics = {
            name: [round(level * (1 + rng.normal() / 100), 3) if level > 10 else level for _ in range(GPUS)]
            for name, level in LEVELS.items()
        }
        frame = {"kind": "gpu", "ts": int(NOW), "source": f"node:c{client}n{node}",
                 "items": [str(gpu) for gpu in range(GPUS)], "metrics": metrics}  # fmt: skip
        lines.append(json.dumps(frame, separators=(",", ":")).encode())
    return b"\n".join(lines)


def send(port: int, client: int, rate: float, seconds: float, out: Any) -> None:
    """Send one client's share: its nodes one after the other, at `rate` requests a second (0: at once)."""
    bodies = [body(client, first) for first in range(0, FRAMES * max(1, round(rate or 6)), FRAMES)]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took, refused, n = [], 0, 0
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        if rate and now < began + n / rate:
            time.sleep(began + n / rate - now)
        sent = bodies[n % len(bodies)].replace(NOW, b"%d" % (time.time_ns() // 1_000_000))
        at = time.perf_counter()
        connection.request("POST", "/v1/frames", sent)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status == 429:
            refused += 1
            time.sleep(0.2)
            continue
        assert (answer.status, said["accepted"], said["rejected"]) == (202, FRAMES, []), said
        took.append(time.perf_counter() - at)
        n += 1
    out.put((took, refused, time.perf_counter() - began))


def run(port: int, clients: int, rate: float, seconds: float) -> int:
    """Send at a rate of samples a second (0: as fast as answers come); print and return how many."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    share = rate / SAMPLES / FRAMES / clients
    workers = [context.Process(target=send, args=(port, c, share, seconds, out)) for c in range(clients)]
    for worker in workers:
        worker.start()
    found = [out.get() for _ in workers]
    for worker in workers:
        worker.join()
    took = np.concatenate([one[0] for one in found]) * 1000
    samples = len(took) * FRAMES * SAMPLES
    p50, p99 = np.percentile(took, [50, 99])
    what = f"at {rate / 1000:.0f} k a second" if rate else "as fast as answers come"
    print(f"{what}: {samples / max(one[2] for one in found) / 1000:.0f} k samples/s, "
          f"answer p50 {p50:.1f} ms, p99 {p99:.1f} ms, {sum(one[1] for one in found)} times told to wait")  # fmt: skip
    return samples


def metric(port: int, name: str) -> float:
    """Return a metric of the process."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return float(re.search(rf"^{name} (\S+)", text, re.MULTILINE)[1])  # type: ignore[index]


def settle(port: int) -> float:
    """Wait until nothing waits; return how long that took."""
    began = time.perf_counter()
    while metric(port, "monitor_backlog_bytes"):
        time.sleep(0.2)
    return time.perf_counter() - began


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=300_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as out:
        more = ["--store", f"chdb://{out}/store"] if options.store else []
        command = [
            sys.executable,
            "-m",
            "monitor",
            "run",
            "--state",
            f"{out}/state",
            "--listen",
            f"127.0.0.1:{port}",
        ]
        process = subprocess.Popen([*command, *more], stderr=subprocess.DEVNULL)
        while not Path(out, "state", "address.json").exists():
            time.sleep(0.1)
        sent = 0
        for rate in (options.rate, 0.0):
            sent += run(port, options.clients, rate, options.seconds)
            print(f"  caught up {settle(port):.1f} s later; resident {metric(port, 'process_resident_memory_bytes') / 2**20:.0f} MiB, "
                  f"CPU {metric(port, 'process_cpu_seconds_total'):.0f} s")  # fmt: skip
        assert metric(port, r'monitor_frames_total\{origin="http"\}') == sent / SAMPLES
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        print(f"  stopped in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
