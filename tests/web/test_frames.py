"""`POST /v1/frames`: what is taken, what is not and why; nothing that anybody sends hurts (contract: HTTP)."""

from __future__ import annotations

import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

if TYPE_CHECKING:
    import httpx2

    from tests.live.process import Process


def frame(source: str = "node:a", **more: Any) -> bytes:
    whole = {"kind": "gpu", "ts": time.time_ns() // 1_000_000, "source": source, "items": ["0"],
             "metrics": {"gpu_temp_celsius": [60]}, **more}  # fmt: skip
    return json.dumps(whole).encode()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def rss_mib(process: Process) -> float:
    assert process.running is not None
    status = Path(f"/proc/{process.running.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def still_takes(client: httpx2.Client) -> None:
    answer = client.post("/v1/frames", content=frame("node:still"))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [(None, bytes), ("identity", bytes), ("gzip", gzip.compress), ("zstd", zstd),
     ("gzip", lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:])),
     ("zstd", lambda data: zstd(data[:50]) + zstd(data[50:]))],
    ids=["none", "identity", "gzip", "zstd", "two members", "two frames"],
)  # fmt: skip
def test_plain_and_packed(client: httpx2.Client, process: Process, encoding: str | None, pack: Any) -> None:
    """Plain, gzip and zstd bodies; accepted means it stands in the journal, stamped."""
    lines = [frame(f"node:{encoding}{n}", received=5) for n in range(3)]
    headers = {"Content-Encoding": encoding} if encoding else {}
    before = time.time_ns() // 1_000_000
    answer = client.post("/v1/frames", content=pack(b"\n".join([*lines, b""])), headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "rejected": []})
    journal = b"".join(file.read_bytes() for file in sorted((process.state / "journal").iterdir()))
    found = [json.loads(line) for line in journal.splitlines() if b"node:%s" % str(encoding).encode() in line]
    for line in found[-3:]:
        assert before <= line["received"] <= time.time_ns() // 1_000_000
        assert journal.count(b'"received"') <= journal.count(b"\n")


def test_each_bad_line_is_told_and_becomes_a_dead_letter(client: httpx2.Client, process: Process) -> None:
    """Bad input loses nothing and stops nothing: its line and reason in the answer, whole in the dead letters."""
    now = time.time_ns() // 1_000_000
    bad = {
        1: (b"{", "malformed"),
        3: (frame(kind="fridge"), "unknown_kind"),
        4: (frame(metrics={"gpu_temp_celsius": [1, 2]}), "bad_length"),
        5: (frame(ts=now + 3_600_000), "ahead_of_received"),
        6: (frame(ts=5), "absurd_ts"),
        7: (frame(metrics={"gpu_temp_celsius": [True]}), "bad_type"),
        9: (b"\xff\xfe\x00", "malformed"),
        10: (frame(ts=str(now)), "bad_ts"),
    }
    lines = [bad[n][0] if n in bad else frame("node:good") if n == 2 else b" " for n in range(1, 11)]
    answer = client.post("/v1/frames", content=b"\n".join(lines))
    said = answer.json()
    assert (answer.status_code, said["accepted"]) == (202, 1)
    assert {r["line"]: r["reason"].partition(":")[0] for r in said["rejected"]} == {
        n: why for n, (_, why) in bad.items()
    }
    dead = process.state / "dead.ndjson"
    whole = {frame.decode("utf-8", "backslashreplace") for frame, _ in bad.values()}

    def letters() -> list[dict[str, Any]]:
        process_saved = process.state / "snapshot.bin"
        _ = process_saved
        return [json.loads(line) for line in dead.read_bytes().splitlines()]

    process.stop()
    process.start()
    found = letters()[-len(bad) :]
    assert [letter["reason"] for letter in found] == [bad[n][1] for n in sorted(bad)]
    journal = process.state / "journal"
    for letter in found:
        place = letter["position"]
        stood = (journal / place["file"]).read_bytes().split(b"\n")[place["line"] - 1]
        assert letter["frame"] == stood.decode("utf-8", "backslashreplace")
        unstamped = letter["frame"].partition(',"received"')[0]
        assert any(one.startswith(unstamped) for one in whole)


@pytest.mark.parametrize(
    ("content", "headers", "status", "why"),
    [
        (b"x" * 100_001, {}, 413, "100,001 bytes"),
        (gzip.compress(b"\n" * 900_000, mtime=0), {"Content-Encoding": "gzip"}, 413, "900,000 lines"),
        (b"abc", {"Content-Encoding": "gzip"}, 400, "is no gzip"),
        (gzip.compress(b"x" * 5000, mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400, "ends in the middle"),
        (zstd(b"x" * 5000)[:-3], {"Content-Encoding": "zstd"}, 400, "is no zstd"),
        (b"abc", {"Content-Encoding": "zstd"}, 400, "is no zstd"),
        (b"abc", {"Content-Encoding": "br"}, 415, "send one of identity, gzip, zstd"),
        (gzip.compress(b"{}", mtime=0), {}, 415, "send `Content-Encoding: gzip`"),
        (zstd(b"{}"), {}, 415, "send `Content-Encoding: zstd`"),
        (b"abc", {"Origin": "http://evil.example"}, 403, "web pages"),
    ],
)  # fmt: skip
def test_what_is_not_taken(
    client: httpx2.Client, content: bytes, headers: dict[str, str], status: int, why: str
) -> None:
    """Too large, packed badly, packed otherwise: said so, and nothing of it is taken."""
    answer = client.post("/v1/frames", content=content, headers=headers)
    assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.text
    still_takes(client)


def test_a_body_of_unknown_length_is_cut_off(client: httpx2.Client) -> None:
    """A chunked body is counted as it comes."""

    def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 1000

    assert client.post("/v1/frames", content=endless()).status_code == 413
    still_takes(client)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_bombs_burst_outside(client: httpx2.Client, process: Process, encoding: str, pack: Any) -> None:
    """A body that unpacks to a gigabyte is refused at the limit; memory stays flat."""
    bomb = pack(b"\0" * (1 << 20)) * (90_000 // len(pack(b"\0" * (1 << 20))))
    assert len(bomb) <= 100_000
    before = rss_mib(process)
    for _ in range(20):
        answer = client.post("/v1/frames", content=bomb, headers={"Content-Encoding": encoding})
        assert answer.status_code == 413
        assert "unpacks to more" in answer.json()["error"]
    assert rss_mib(process) - before < 60
    still_takes(client)


def test_slow_clients_are_cut_off(client: httpx2.Client, process: Process) -> None:
    """Who sends half a header, or half a body, and waits, is let go; others do not notice."""
    halves = [b"POST /v1/fra", b"POST /v1/frames HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc", b""]
    slow = []
    for half in halves * 30:
        one = socket.create_connection(("127.0.0.1", process.port))
        one.sendall(half)
        slow.append(one)
    still_takes(client)
    for one in slow:
        one.settimeout(15)
        while one.recv(4096):
            pass
        one.close()


def test_two_hundred_connections(client: httpx2.Client, process: Process) -> None:
    """200 connections at once, each with its frames: all are taken, memory stays flat."""
    import httpx2 as http

    def send(number: int) -> int:
        with http.Client(base_url=process.url, timeout=60) as mine:
            sent = [
                mine.post("/v1/frames", content=frame(f"node:c{number}", n=n)).status_code for n in range(3)
            ]
        return sent.count(202)

    before = rss_mib(process)
    with ThreadPoolExecutor(200) as pool:
        assert sum(pool.map(send, range(200))) == 600
    assert rss_mib(process) - before < 60


def test_more_connections_than_are_allowed(client: httpx2.Client, process: Process) -> None:
    """Connections beyond the limit are told so at once; the others go on."""
    still_takes(client)
    many = [socket.create_connection(("127.0.0.1", process.port)) for _ in range(320)]
    many[-1].settimeout(5)
    assert many[-1].recv(100).startswith(b"HTTP/1.1 503")
    still_takes(client)
    for one in many:
        one.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/frames HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
     b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00",
     b"POST /v1/frames HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_garbage_on_the_wire(client: httpx2.Client, process: Process, garbage: bytes) -> None:
    """What is no HTTP is answered with 400 or not at all."""
    with socket.create_connection(("127.0.0.1", process.port)) as one:
        one.sendall(garbage)
        one.settimeout(10)
        said = one.recv(4096)
    assert not said or b" 400 " in said.split(b"\r\n")[0], said
    still_takes(client)
