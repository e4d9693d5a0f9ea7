"""The scraper at work: real HTTP on loopback, frames at a door."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import shutil
import ssl
import subprocess

import pytest
from aiohttp import web

from monitor.adapters.meters import Meters
from monitor.adapters.rules import load_rules
from monitor.adapters.scrapefile import load_scrape
from monitor.errors import UsageError
from monitor.runners.scraper import Scraper, next_time
from monitor.runners.sources import Sources

from .serving import FullError, RememberingDoor, ShutError, serving, until

TEXT = 'DCGM_FI_DEV_GPU_TEMP{gpu="0",Hostname="n1"} 61\nacme 1\n'
RULES = load_rules()


def text(body: str, **headers: str):
    async def handler(request):
        return web.Response(text=body, headers=headers)

    return handler


def scraping(tmp_path, config: str, door) -> Scraper:
    (tmp_path / "scrape.yml").write_text(config)
    file = load_scrape(tmp_path / "scrape.yml", [m.name for m in RULES.labelmaps])
    return Scraper(file, Sources(RULES), door, meters=Meters())


def measured(scraper: Scraper, name: str, **labels: str) -> float | None:
    """Return what /metrics says."""
    return scraper._meters.registry.get_sample_value(name, labels)


def job(address: str, more: str = "", name: str = "dcgm") -> str:
    return (
        f"scrape_configs:\n  - job_name: {name}\n    scrape_interval: 700ms\n    scrape_timeout: 600ms\n"
        f"    static_configs: [{{targets: ['{address}']}}]\n    {more}\n"
    )


async def watched(scraper: Scraper, condition, then=None) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(scraper.run(stop))
    try:
        await until(condition)
        if then is not None:
            await then()
    finally:
        stop.set()
        await task


def reasons(scraper: Scraper) -> set[str]:
    return {str(reason) for one in scraper.report() for reason in one.failures}


def test_a_target_becomes_frames(tmp_path):
    """Again and again, at its own time, with what was left out told."""
    door = RememberingDoor()

    async def run():
        async with serving({"/metrics": text(TEXT)}) as address:
            scraper = scraping(tmp_path, job(address), door)
            await watched(scraper, lambda: len(door.frames) >= 3)
            return scraper

    scraper = asyncio.run(run())
    stamps = [frame["ts"] for frame in door.frames]
    assert stamps == sorted(set(stamps))
    assert {f["source"] for f in door.frames} == {"node:n1"}
    (seen,) = scraper.report()
    assert (seen.failures_in_row, seen.samples, seen.last_error) == (0, 2, "")
    assert seen.frames == len(door.frames)
    assert [(row.name, row.targets) for row in scraper._sources.left_out()] == [("acme", (seen.target,))]


def test_a_target_that_fails_costs_nobody_else(tmp_path):
    """Each way to fail is counted by its reason; the others go on; no frame is made up."""
    door = RememberingDoor()

    async def slow(request):
        await asyncio.sleep(3)
        return web.Response(text=TEXT)

    async def nonsense(request):
        return web.Response(body=b"\xff\xfe")

    async def cut(request):
        kind = "application/openmetrics-text; version=1.0.0"
        return web.Response(body=TEXT.encode(), headers={"Content-Type": kind})

    async def bomb(request):
        body = gzip.compress(b"a 1\n" * 100_000)
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    routes = {
        "/good": text(TEXT), "/slow": slow, "/bytes": nonsense, "/cut": cut, "/bomb": bomb,
        "/page": text("<html>hello</html>"),
    }  # fmt: skip

    async def run():
        async with serving(routes) as address:
            config = "scrape_configs:\n"
            for path in (*routes, "/none"):
                config += job(address, f"metrics_path: {path}", path[1:]).partition("\n")[2]
                config += "    body_size_limit: 100KB\n"
            config += job("127.0.0.1:1", name="nobody").partition("\n")[2]
            scraper = scraping(tmp_path, config, door)
            wanted = {
                "timeout",
                "not_exposition_text",
                "cut_short",
                "too_large",
                "http_status",
                "unreachable",
            }
            await watched(scraper, lambda: reasons(scraper) == wanted and len(door.frames) > 5)
            return scraper

    scraper = asyncio.run(run())
    by_job = {seen.target.split()[0]: seen for seen in scraper.report()}
    assert by_job["good"].failures == {}
    assert set(door.origins) == {f"scrape:{by_job['good'].target}"}
    assert by_job["none"].last_error == "http_status: HTTP 404"
    assert "100,000" not in by_job["bomb"].last_error
    assert by_job["bomb"].last_error == "too_large: more than 102,400 bytes"
    for name, seen in by_job.items():
        assert measured(scraper, "monitor_scrape_targets", job=name) == 1
        assert measured(scraper, "monitor_scrape_targets_up", job=name) == (name == "good")
        finished = measured(scraper, "monitor_scrape_seconds_count", job=name)
        assert finished in {seen.scrapes, seen.scrapes - 1}, "the last may have been cancelled"
        for reason, count in seen.failures.items():
            assert measured(scraper, "monitor_scrape_failures_total", job=name, reason=reason) == count
    assert measured(scraper, "monitor_scrape_seconds_sum", job="slow") >= 0.6


def test_targets_come_and_go_with_their_file(tmp_path, monkeypatch):
    """JSON and YAML; a file that is half written leaves what was known."""
    monkeypatch.setattr("monitor.runners.scraper.REREAD_S", 0.05)
    door = RememberingDoor()
    listed = tmp_path / "targets.json"
    more = tmp_path / "more.yaml"

    async def run():
        async with serving({"/metrics": text(TEXT), "/m2": text(TEXT.replace("n1", "n2"))}) as address:
            config = job(address, "file_sd_configs: [{files: ['*.json', more.yaml]}]").replace(
                f"static_configs: [{{targets: ['{address}']}}]", "honor_labels: true"
            )
            listed.write_text('[{"targets": ["127.0.0.1:1"]}]')
            scraper = scraping(tmp_path, config, door)

            async def change():
                listed.write_text(json.dumps([{"targets": [address], "labels": {"rack": "r1"}}]))
                await until(lambda: {f["source"] for f in door.frames} == {"node:n1"})
                more.write_text(f"- targets: ['{address}']\n  labels: {{__metrics_path__: /m2}}\n")
                await until(lambda: {f["source"] for f in door.frames} == {"node:n1", "node:n2"})
                listed.write_text('[{"targets": [')
                await until(lambda: scraper._file.problems)
                assert len(scraper.report()) == 2
                assert str(listed) in scraper.failed()
                assert measured(scraper, "monitor_scrape_target_files_unreadable") == 1
                assert measured(scraper, "monitor_scrape_targets", job="dcgm") == 2
                listed.write_text("[]")
                await until(lambda: len(scraper.report()) == 1)
                assert not scraper.failed()
                assert measured(scraper, "monitor_scrape_target_files_unreadable") == 0
                assert measured(scraper, "monitor_scrape_targets", job="dcgm") == 1

            await watched(scraper, scraper.report, change)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ("basic_auth: {username: u, password: hush}", "Basic dTpodXNo"),
        ("basic_auth: {username: u, password_file: secret}", "Basic dTpodXNo"),
        ("authorization: {credentials_file: secret}", "Bearer hush"),
        ("bearer_token: hush", "Bearer hush"),
        ("authorization: {type: Token, credentials: hush}", "Token hush"),
    ],
)
def test_credentials_are_sent_and_never_shown(tmp_path, caplog, keys, header):
    """From the file or beside it; not in logs, not in the report."""
    (tmp_path / "secret").write_text("hush\n")
    caplog.set_level(logging.DEBUG)
    door, got = RememberingDoor(), []

    async def handler(request):
        got.append((request.headers["Authorization"], request.headers["Accept"]))
        return web.Response(text=TEXT) if len(got) % 2 else web.Response(status=500)

    async def run():
        async with serving({"/metrics": handler}) as address:
            scraper = scraping(tmp_path, job(address, keys), door)
            await watched(scraper, lambda: len(got) > 2)
            return scraper.report()

    report = asyncio.run(run())
    assert {one[0] for one in got} == {header}
    assert "hush" not in repr(report) + caplog.text
    assert "dTpodXNo" not in repr(report) + caplog.text


def test_a_missing_secret_is_told_by_its_file(tmp_path):
    """The target fails; the reason names the file."""

    async def run():
        async with serving({"/metrics": text(TEXT)}) as address:
            scraper = scraping(tmp_path, job(address, "bearer_token_file: none"), RememberingDoor())
            await watched(scraper, lambda: reasons(scraper) == {"credentials"})
            return scraper.report()[0].last_error

    assert asyncio.run(run()).endswith("none: cannot be read: FileNotFoundError")


def test_a_full_door_is_asked_again_and_a_shut_one_counted(tmp_path):
    """Frames that cannot be taken are counted, not kept for ever."""
    door = RememberingDoor()
    door.raises = [FullError(0.01), ShutError("going down"), FullError(0.01), FullError(0.01)]

    async def run():
        async with serving({"/metrics": text(TEXT)}) as address:
            scraper = scraping(tmp_path, job(address), door)
            await watched(scraper, lambda: len(door.frames) >= 2)
            return scraper.report()[0]

    seen = asyncio.run(run())
    assert seen.refused == 2
    assert seen.failures == {"refused_by_the_door": 2}


def test_metric_relabelling_and_the_label_map_of_a_target(tmp_path):
    """Names can be changed into known ones, samples dropped, another label map chosen."""
    door = RememberingDoor()
    rules = (
        "metric_relabel_configs: [{source_labels: [__name__], regex: acme, target_label: __name__, "
        "replacement: DCGM_FI_DEV_POWER_USAGE}, {source_labels: [__name__], regex: DCGM_FI_DEV_GPU_TEMP, "
        "action: drop}, {source_labels: [instance], target_label: gpu, replacement: '7'}]"
    )

    async def run():
        async with serving({"/metrics": text(TEXT)}) as address:
            scraper = scraping(tmp_path, job(address, rules), door)
            await watched(scraper, lambda: door.frames)
            other = scraping(tmp_path, job(address, "labelmap: vllm"), RememberingDoor())
            await watched(other, other._sources.left_out)
            return other._sources.left_out()

    left = asyncio.run(run())
    assert door.frames[0]["items"] == ["7"]
    assert door.frames[0]["metrics"] == {"DCGM_FI_DEV_POWER_USAGE": [1.0]}
    assert [row.name for row in left] == ["DCGM_FI_DEV_GPU_TEMP", "acme"]


def test_targets_are_spread_over_their_interval():
    """Evenly enough, and at the same place after a restart."""
    due = [next_time(f"http://n{i:04}:9400/metrics", 10_000, 1_000_000) for i in range(1000)]
    counts = [sum(1 for d in due if (d % 10_000) // 1000 == k) for k in range(10)]
    assert all(1_000_000 < d <= 1_010_000 for d in due)
    assert max(counts) < 150
    assert next_time("a", 10_000, next_time("a", 10_000, 5)) - next_time("a", 10_000, 5) == 10_000


def test_certificates_that_cannot_be_used_are_told_at_once(tmp_path):
    """Not at the first scrape."""
    with pytest.raises(UsageError, match="tls_config of job dcgm"):
        scraping(tmp_path, job("n1:9400", "tls_config: {ca_file: none.pem}"), RememberingDoor())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate of 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("no `openssl` on this machine")
    path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=exporter",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path / "key.pem", "-out", path / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("tls", "works"), [("ca_file: cert.pem", True), ("insecure_skip_verify: true", True), ("{}", False)]
)
def test_https_is_checked_unless_told_otherwise(tmp_path, certificate, tls, works):
    """A certificate that nobody vouches for is no answer."""
    shutil.copy(certificate / "cert.pem", tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    door = RememberingDoor()

    async def run():
        async with serving({"/metrics": text(TEXT)}, context) as address:
            keys = f"scheme: https\n    tls_config: {tls if tls == '{}' else '{' + tls + '}'}"
            scraper = scraping(tmp_path, job(address, keys), door)
            await watched(scraper, lambda: door.frames or reasons(scraper))
            return scraper

    scraper = asyncio.run(run())
    assert bool(door.frames) is works
    assert reasons(scraper) == (set() if works else {"unreachable"})
    assert scraper.failed().keys() == (set() if works else {scraper.report()[0].target})
