"""Runs a live process behind its web server until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from aiohttp import web

from monitor.adapters.livefiles import write_address
from monitor.errors import UsageError
from monitor.runners.door import DoorFullError, DoorShutError
from monitor.web.app import build_app
from monitor.web.sources import add_sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase

    from monitor.adapters.meters import Meters
    from monitor.runners.live import Live

LOG = logging.getLogger("monitor.web")

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
READ_BYTES = 1 << 18
LONGEST_LINE = 2 << 20
SHUTDOWN_S = 5.0


def read_listen(text: str) -> tuple[str, int]:
    """Read HOST:PORT. Raises UsageError.

    >>> read_listen("127.0.0.1:8720"), read_listen("[::1]:0")
    (('127.0.0.1', 8720), ('::1', 0))
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.path:
        raise UsageError(f"--listen {text}: write HOST:PORT, as 127.0.0.1:8720")
    return host, port


def bind(listen: str) -> socket.socket:
    """Return a socket that listens. Raises UsageError."""
    host, port = read_listen(listen)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        busy = error.errno == errno.EADDRINUSE
        why = (
            "address already in use; stop what listens there, or name another port"
            if busy
            else error.strerror
        )
        raise UsageError(f"--listen {listen}: {why or error}") from error
    listening.setblocking(False)
    return listening


async def serve(
    live: Live, listening: socket.socket, stdin: BufferedIOBase | None, ready: Callable[[str], None]
) -> bool:
    """Serve until SIGTERM or SIGINT, or to the end of standard input where the plan says drain.

    `ready` is told the address when everything runs. Returns whether all ended in time.
    """
    host, port = listening.getsockname()[:2]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = build_app(live, open_ingest=ipaddress.ip_address(host).is_loopback)
    scraper = add_sources(app)
    settings = live.rules.settings
    runner = web.AppRunner(
        app, auto_decompress=False, keepalive_timeout=settings.client_timeout_ms / 1000, access_log=None,
        shutdown_timeout=SHUTDOWN_S, lingering_time=1.0,
    )  # fmt: skip
    await runner.setup()
    http = runner.server
    assert http is not None
    live.start()
    accepting = asyncio.create_task(_accept(listening, http, settings.connections, live.meters))
    scraping = asyncio.create_task(scraper.run(stop)) if scraper else None
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    write_address(live.plan.state, url)
    ended = _start_reading(live, stdin, loop, stop)
    ready(url)
    await stop.wait()
    accepting.cancel()
    if scraping is not None:
        scraping.cancel()
        await asyncio.gather(scraping, return_exceptions=True)
    listening.close()
    await runner.cleanup()
    return await asyncio.to_thread(_stop, live, drained=ended.is_set() and live.plan.drain)


async def _accept(listening: socket.socket, http: web.Server, most: int, meters: Meters) -> None:
    """Accept connections one by one, so that there are never more than `most`."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
        except OSError as error:  # too many open files, of others too
            LOG.warning("a connection could not be accepted: %s", error.strerror)
            await asyncio.sleep(0.1)
            continue
        meters.connections.set(len(http.connections) + 1)
        if len(http.connections) >= most:
            with suppress(OSError):
                connection.send(BUSY)
            connection.close()
        else:
            await loop.connect_accepted_socket(http, connection)


def _stop(live: Live, *, drained: bool) -> bool:
    if drained:
        live.drain()
    return live.stop()


def _start_reading(
    live: Live, stdin: BufferedIOBase | None, loop: asyncio.AbstractEventLoop, stop: asyncio.Event
) -> threading.Event:
    """Read standard input on a thread. Where the plan says drain, its end (or having none) is the end."""
    ended = threading.Event()

    def work() -> None:
        if stdin is not None:
            read_lines(live, stdin)
        if live.plan.drain:
            ended.set()
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=work, name="stdin", daemon=True).start()
    return ended


def read_lines(live: Live, stream: BufferedIOBase) -> None:
    """Put the lines of a stream through the door, waiting where it is full."""
    tail = b""
    while data := stream.read1(READ_BYTES):
        *lines, tail = (tail + data).split(b"\n")
        if len(tail) > LONGEST_LINE:
            lines, tail = [*lines, tail], b""
        if not _put(live, lines):
            return
    _put(live, [tail])


def _put(live: Live, lines: list[bytes]) -> bool:
    """Put lines, again and again while there is no room; return False where the process stops."""
    pause = threading.Event()
    while lines:
        try:
            live.door.put(lines, "stdin", commands=True, stamped=live.plan.drain)
        except DoorFullError as error:
            pause.wait(error.retry_after_s)
        except DoorShutError as error:
            if not live.door.problem:
                return False
            LOG.warning("standard input waits: %s", error)
            pause.wait(5.0)
        else:
            return True
    return True


def standard_input() -> BufferedIOBase:
    """Return standard input as bytes."""
    return cast("BufferedIOBase", sys.stdin.buffer)
