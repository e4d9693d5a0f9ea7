"""A real live process, and a fleet that sends to it until every frame is acknowledged."""

from __future__ import annotations

import atexit
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Process:
    """`monitor run` on a port of its own, started and killed as often as one likes."""

    def __init__(
        self, out: Path, *more: str, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> None:
        self.out, self.state, self.port = out, out / "state", free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._prefix, self._env = prefix, env
        self._more = ["--state", str(self.state), "--listen", f"127.0.0.1:{self.port}", *more]
        self.log = out / "log.txt"
        self.running: subprocess.Popen[bytes] | None = None
        atexit.register(self._end)

    def _end(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.kill()

    def start(self, *more: str, ready: bool = True) -> None:
        command = [*self._prefix, sys.executable, "-m", "monitor", "run", *self._more, *more]
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                command, stderr=log, stdout=log, stdin=subprocess.DEVNULL, env=self._env
            )
        if ready:
            self.wait_for(lambda: self.health() is not None)

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running.wait()

    def stop(self) -> int:
        assert self.running is not None
        self.running.terminate()
        return self.running.wait(30)

    def wait_for(self, what: Any, timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not what():
            assert self.running is not None
            assert self.running.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def health(self) -> dict[str, Any] | None:
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=5).json()  # type: ignore[no-any-return]
        except httpx2.TransportError:
            return None

    def token(self) -> str:
        return (self.state / "token").read_text().strip()


class Fleet:
    """Nodes of two GPUs whose frames go out as they happen, on a few threads, again until acknowledged."""

    def __init__(self, url: str, nodes: int = 8, clients: int = 4) -> None:
        self._url, self._nodes = url, nodes
        self._out: queue.Queue[list[bytes] | None] = queue.Queue()
        self.frames: list[bytes] = []
        self.again = 0
        self.lost = threading.Event()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]
        self._maker = threading.Thread(target=self._make)
        for thread in (self._maker, *self._threads):
            thread.start()

    def _make(self) -> None:
        n = 0
        while not self._stop.wait(0.1):
            now = time.time_ns() // 1_000_000
            lines = [self._frame(node, now, n) for node in range(self._nodes) if (n + node) % 4 == 0]
            self.frames += lines
            self._out.put(lines)
            n += 1
        for _ in self._threads:
            self._out.put(None)

    def _frame(self, node: int, now: int, n: int) -> bytes:
        xid = 79 if node == 3 and self.lost.is_set() else 0
        metrics = {
            "gpu_temp_celsius": [60 + n % 3, 61.5 - node % 2],
            "power_watts": [400 + n % 7, 410],
            "xid": [xid, 0],
        }
        frame = {"kind": "gpu", "ts": now, "source": f"node:n{node}", "items": ["0", "1"], "metrics": metrics}
        return json.dumps(frame).encode()

    def _send(self) -> None:
        client = httpx2.Client(timeout=10)
        while (lines := self._out.get()) is not None:
            while not self._taken(client, lines):
                self.again += 1
                time.sleep(0.1)
        client.close()

    def _taken(self, client: httpx2.Client, lines: list[bytes]) -> bool:
        try:
            answer = client.post(f"{self._url}/v1/frames", content=b"\n".join(lines))
        except httpx2.TransportError:
            return False
        if answer.status_code != 202:
            return False
        assert answer.json() == {"accepted": len(lines), "rejected": []}
        return True

    def finish(self) -> None:
        """Stop, once all is acknowledged."""
        self._stop.set()
        for thread in (self._maker, *self._threads):
            thread.join()
