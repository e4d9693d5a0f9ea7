"""Remote write 1.0 and 2.0: bytes by hand, round trips, HTTP, a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import struct
import subprocess
from contextlib import contextmanager
from itertools import pairwise

import httpx2
import pytest
from aiohttp import web
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.rules import load_rules
from monitor.ingest.exposition.placing import Placer
from monitor.ingest.exposition.remote import MAX_DECOMPRESSED, V2, Push, Refusal, RemoteWrite
from monitor.runners.sources import Sources
from monitor.web.body import Budget
from monitor.web.remote_write import RemoteWriteReceiver, remote_write_handler

from .requests import field, packed, request1, request2, sample, varint
from .serving import FullError, RememberingDoor, ShutError, serving, until

RULES = load_rules()
T0 = 1_795_500_000_000
HEADERS = {
    "content-encoding": "snappy", "content-type": "application/x-protobuf",
    "x-prometheus-remote-write-version": "0.1.0",
}  # fmt: skip
HEADERS2 = HEADERS | {"content-type": f"application/x-protobuf;proto={V2}"}
STALE = struct.unpack(">d", struct.pack(">Q", 0x7FF0000000000002))[0]
GPU = {"__name__": "DCGM_FI_DEV_GPU_TEMP", "Hostname": "n1", "gpu": "0", "instance": "n1:9400", "job": "dcgm"}


def reader() -> RemoteWrite:
    return RemoteWrite(Placer(RULES.labelmaps, RULES.catalog))


VERSIONS = pytest.mark.parametrize(
    ("build", "headers"), [(request1, HEADERS), (request2, HEADERS2)], ids=["1.0", "2.0"]
)


@VERSIONS
def test_a_push_is_read(build, headers):
    """Samples of one series at several times, and what no map knows."""
    other = {**GPU, "__name__": "acme"}
    push = reader().read(
        headers, packed(build([(GPU, [(61.0, T0), (62.0, T0 + 15_000)]), (other, [(1.0, T0)])])), T0
    )
    assert [(slot.place, ts, value) for slot, ts, value in push.placed] == [
        (("gpu", "node:n1", "0"), T0, 61.0),
        (("gpu", "node:n1", "0"), T0 + 15_000, 62.0),
    ]
    assert (push.samples, push.problems) == (3, [])


def test_a_push_by_the_specifications_own_example_bytes():
    """Bytes written down, not built: one series `up` with job=a, value 1 at 1."""
    raw = bytes.fromhex(
        "0a27 0a0e 0a085f5f6e616d655f5f 12027570 0a08 0a036a6f62 120161 120b 09000000000000f03f 1001"
    )
    push = reader().read(HEADERS, packed(raw), T0)
    assert (push.samples, push.problems, push.placed) == (1, [], [])


@VERSIONS
def test_stale_markers_are_no_readings(build, headers):
    """The series ended: nothing was measured. Any other NaN is a reading."""
    push = reader().read(headers, packed(build([(GPU, [(STALE, T0), (math.nan, T0 + 1)])])), T0)
    ((_, ts, value),) = push.placed
    assert ts == T0 + 1
    assert math.isnan(value)
    assert push.samples == 2


@VERSIONS
@given(values=st.lists(st.tuples(st.floats(), st.integers(0, 2**53)), max_size=20),
       more=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=8).filter(bool), max_size=4))  # fmt: skip
def test_what_was_sent_is_what_is_read(build, headers, values, more):
    """Any finite or infinite value, any time, any labels."""
    labels = {**{k: v for k, v in more.items() if v < "\ud800"}, **GPU}
    push = reader().read(headers, packed(build([(labels, values)])), T0)
    assert isinstance(push, Push)
    got = [(struct.pack(">d", value), ts) for _, ts, value in push.placed]
    assert got == [
        (b, ts) for b, ts in ((struct.pack(">d", v), ts) for v, ts in values) if b != struct.pack(">d", STALE)
    ]


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(body):
    """Whatever comes is read or refused."""
    for headers in (HEADERS, HEADERS2):
        for raw in (body, packed(body)):
            answer = reader().read(headers, raw, T0)
            assert isinstance(answer, Push) or answer.status in {400, 413}


def test_what_is_refused_and_how():
    """Guessing the message would read one version as the other and lose it."""
    good = packed(request1([(GPU, [(1.0, T0)])]))
    refused = {
        ("content-encoding", ""): 415, ("content-encoding", "gzip"): 415, ("content-type", "text/plain"): 415,
        ("content-type", "application/x-protobuf;proto=io.prometheus.write.v3.Request"): 415,
    }  # fmt: skip
    for (name, value), status in refused.items():
        answer = reader().read({**HEADERS, name: value}, good, T0)
        assert isinstance(answer, Refusal)
        assert answer.status == status
    assert isinstance(
        reader().read(
            {**HEADERS, "content-type": "application/x-protobuf;proto=prometheus.WriteRequest"}, good, T0
        ),
        Push,
    )
    assert reader().read(HEADERS, b"\x05abc", T0).status == 400
    assert reader().read(HEADERS, packed(b"\x0a\xff"), T0).status == 400
    assert reader().read(HEADERS, varint(MAX_DECOMPRESSED + 1) + b"abc", T0).status == 413
    assert reader().read(HEADERS, b"\xff" * 9, T0).status == 400


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({k: v for k, v in GPU.items() if k != "__name__"}, "needs a __name__"),
        ({**GPU, "": "x"}, "not empty"),
    ],
)
@VERSIONS
def test_a_bad_series_is_told_and_the_good_ones_are_kept(build, headers, labels, words):
    """The sender will not send them again."""
    push = reader().read(headers, packed(build([(labels, [(1.0, T0)]), (GPU, [(61.0, T0)])])), T0)
    assert len(push.placed) == 1
    assert words in push.problems[0]


def test_references_to_no_symbol_are_told():
    """Of a series of 2.0."""
    raw = field(4, b"") + field(5, field(1, b"\x01\x02") + field(2, sample(1.0, T0)))
    assert reader().read(HEADERS2, packed(raw), T0).problems == [
        "labels_refs do not come in pairs of symbols"
    ]


def test_our_declaration_agrees_with_the_official_one():
    """Field numbers and types of prompb, as published, against bytes that are made by a declaration of those."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="prometheus", syntax="proto3")
    kinds = {"Label": [("name", 1, 9), ("value", 2, 9)], "Sample": [("value", 1, 1), ("timestamp", 2, 3)]}
    for name, fields in kinds.items():
        message = file.message_type.add(name=name)
        for one, number, kind in fields:
            message.field.add(name=one, number=number, type=kind, label=1)
    for name, fields in {"TimeSeries": [("labels", 1, "Label"), ("samples", 2, "Sample")],
                         "WriteRequest": [("timeseries", 1, "TimeSeries")]}.items():  # fmt: skip
        message = file.message_type.add(name=name)
        for one, number, kind in fields:
            message.field.add(name=one, number=number, type=11, label=3, type_name=f".prometheus.{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    request = message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))()
    series = request.timeseries.add()
    for key, value in sorted(GPU.items()):
        series.labels.add(name=key, value=value)
    series.samples.add(value=61.0, timestamp=T0)
    assert (
        request.SerializeToString(deterministic=True)
        == request1([(GPU, [(61.0, T0)])]).partition(field(3, b""))[0][: request.ByteSize()]
    )
    push = reader().read(HEADERS, packed(request.SerializeToString()), T0)
    assert [(ts, value) for _, ts, value in push.placed] == [(T0, 61.0)]


def test_what_was_not_seen_for_long_is_forgotten():
    """Series that ended neither fill the memory nor the report."""
    remote = reader()
    remote.read(HEADERS, packed(request1([({**GPU, "__name__": "acme"}, [(1.0, T0)])])), T0)
    (row,) = remote.left_out()
    assert (row.name, row.reason, row.series, row.targets) == ("acme", "unmapped", 1, ("dcgm n1:9400",))
    for minutes in (11, 22):
        remote.read(HEADERS, packed(request1([(GPU, [(1.0, T0)])])), T0 + minutes * 60_000)
    assert remote.left_out() == ()


def receiver(door) -> RemoteWriteReceiver:
    return RemoteWriteReceiver(Sources(RULES), door, lambda: T0)


async def posted(door, body: bytes, headers=HEADERS) -> httpx2.Response:
    routes = {"/api/v1/write": remote_write_handler(receiver(door), Budget(), 10.0)}
    async with serving(routes) as address, httpx2.AsyncClient() as client:
        return await client.post(f"http://{address}/api/v1/write", content=body, headers=headers)


@pytest.mark.parametrize(
    ("error", "status", "after"),
    [
        (None, 204, None),
        (FullError(7.4), 429, "7"),
        (FullError(0.1), 429, "1"),
        (ShutError("going down"), 503, None),
    ],
)
def test_answers_over_http(error, status, after):
    """204 when it is safe, and what the sender shall do where it is not."""
    door = RememberingDoor()
    door.raises = [error] if error else []
    response = asyncio.run(posted(door, packed(request2([(GPU, [(61.0, T0)])])), HEADERS2))
    assert (response.status_code, response.headers.get("retry-after")) == (status, after)
    if status == 204:
        written = {
            w: response.headers[f"x-prometheus-remote-write-{w}-written"]
            for w in ("samples", "histograms", "exemplars")
        }
        assert written == {"samples": "1", "histograms": "0", "exemplars": "0"}
        assert door.frames[0]["metrics"] == {"DCGM_FI_DEV_GPU_TEMP": [61.0]}


def test_refusals_over_http():
    """Words for the sender's log."""
    door = RememberingDoor()
    response = asyncio.run(posted(door, b"x", {**HEADERS, "content-encoding": "identity"}))
    assert (response.status_code, response.text) == (415, "write Content-Encoding: snappy\n")
    body = packed(request1([({"a": "b"}, [(1.0, T0)]), (GPU, [(61.0, T0)])]))
    response = asyncio.run(posted(door, body))
    assert response.status_code == 400
    assert "needs a __name__" in response.text
    assert len(door.frames) == 1
    response = asyncio.run(posted(door, b"\xff" * (33 << 20)))
    assert response.status_code == 413


def test_a_scrape_that_comes_in_parts_is_whole_in_the_end():
    """Prometheus cuts at any sample and sends over several connections."""
    door = RememberingDoor()
    to = receiver(door)
    for gpu in range(8):
        for name in ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE"):
            labels = {**GPU, "gpu": str(gpu), "__name__": name}
            assert to.write(HEADERS, packed(request1([(labels, [(50.0 + gpu, T0)])]))).status == 204
    last = door.frames[-1]
    assert last["items"] == [str(gpu) for gpu in range(8)]
    assert last["metrics"]["DCGM_FI_DEV_POWER_USAGE"] == [50.0 + gpu for gpu in range(8)]
    assert [frame.get("seq", 0) for frame in door.frames] == list(range(16))


@contextmanager
def prometheus(tmp_path, target: str, write: str):
    """Run a real Prometheus as an agent: it scrapes a target each second and pushes what it gets."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("no `prometheus` on this machine; Debian and Ubuntu have a package of that name")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
        "scrape_configs": [{"job_name": "dcgm", "static_configs": [{"targets": [target]}]}],
        "remote_write": [{"url": f"http://{write}/api/v1/write", "queue_config": {"batch_send_deadline": "200ms",
                          "max_samples_per_send": 7, "min_shards": 3}}],
    }  # fmt: skip
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    command = [binary, "--enable-feature=agent", f"--config.file={tmp_path}/prometheus.yml",
               f"--storage.agent.path={tmp_path}/data", "--web.listen-address=127.0.0.1:0"]  # fmt: skip
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.kill()  # it would wait a minute for answers that this thread cannot give


def test_a_real_prometheus_pushes_what_we_would_scrape(tmp_path):
    """It scrapes an exporter and pushes over several connections, a few samples each; frames come out whole."""
    names = ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_SM_CLOCK"]
    text = "".join(
        f'{n}{{gpu="{g}",Hostname="n1",modelName="H100"}} {50 + g}\n' for n in names for g in range(4)
    )
    door = RememberingDoor()
    alive = [True]

    async def exporter(request):
        return web.Response(text=text) if alive[0] else web.Response(status=500)

    def whole() -> list[dict]:
        best = {}
        for frame in door.frames:
            there = best.get(frame["ts"])
            if there is None or frame.get("seq", -1) > there.get("seq", -1):
                best[frame["ts"]] = frame
        return [best[ts] for ts in sorted(best)]

    async def run():
        to = RemoteWriteReceiver(Sources(RULES), door)
        async with (
            serving({"/metrics": exporter}) as target,
            serving({"/api/v1/write": remote_write_handler(to, Budget(), 10.0)}) as write,
        ):
            with prometheus(tmp_path, target, write):
                await until(lambda: len(whole()) >= 4, 60)
                alive[0] = False
                await asyncio.sleep(2.5)
                seen = len(whole())
                await asyncio.sleep(2.5)
        return seen, target, to

    seen, target, to = asyncio.run(run())
    frames = whole()
    assert len(frames) == seen, "a target that is gone gives no frames"
    for frame in frames[1:-1]:
        assert (frame["source"], frame["items"], frame["tags"]) == (
            "node:n1",
            ["0", "1", "2", "3"],
            {"sku": "H100"},
        )
        assert frame["metrics"] == {name: [50.0, 51.0, 52.0, 53.0] for name in names}
    gaps = {b["ts"] - a["ts"] for a, b in pairwise(frames)}
    assert all(900 <= gap <= 1100 for gap in gaps), gaps
    assert {(row.name, row.targets) for row in to._sources.left_out()} >= {("up", (f"dcgm {target}",))}
