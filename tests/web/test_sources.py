"""A live process that scrapes, is pushed to by Prometheus, and says what it does not see."""

from __future__ import annotations

import http.server
import threading
import time
from typing import TYPE_CHECKING

import httpx2
import msgspec
import pytest

from monitor.doctor import Diagnosis
from tests.live.process import Process
from tests.scrape.requests import packed, request1

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADERS = {"content-encoding": "snappy", "content-type": "application/x-protobuf"}

EXPOSITION = b"""# TYPE DCGM_FI_DEV_GPU_TEMP gauge
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1",Hostname="n0001"} 61
DCGM_FI_DEV_GPU_TEMP{gpu="1",UUID="GPU-2",Hostname="n0001"} 62
acme_widgets{gpu="0",Hostname="n0001"} 3
"""


class Target(http.server.BaseHTTPRequestHandler):
    """One exporter."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(EXPOSITION)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def target() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def doctor(process: Process) -> Diagnosis:
    return msgspec.json.decode(httpx2.get(f"{process.url}/v1/doctor").content, type=Diagnosis)


def test_targets_are_scraped_and_doctor_says_what_is_not_seen(tmp_path: Path, target: str) -> None:
    """Two GPUs come from a scrape, a metric that no map knows and a target that is not there are named."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "settings.yaml").write_text("tick_ms: 1000\nlateness_ms: 1000\n")
    scrape = tmp_path / "scrape.yml"
    scrape.write_text(
        "scrape_configs:\n  - job_name: dcgm\n    scrape_interval: 1s\n    scrape_timeout: 1s\n"
        f"    static_configs:\n      - targets: ['{target}', '127.0.0.1:1']\n"
    )
    process = Process(tmp_path, "--rules", str(tmp_path / "rules"), "--scrape", str(scrape))
    process.start()
    try:
        process.wait_for(lambda: doctor(process).series >= 2)
        found = {finding.topic: [item.name for item in finding.items] for finding in doctor(process).findings}
        assert any("acme_widgets" in name for name in found["unmapped"])
        assert any("127.0.0.1:1" in name for name in found["failed_scrapes"])
        metrics = httpx2.get(f"{process.url}/metrics").text
        assert 'monitor_scrape_targets_up{job="dcgm"} 1.0' in metrics
        assert 'monitor_scrape_failures_total{job="dcgm",reason="unreachable"}' in metrics
        journal = b"".join(part.read_bytes() for part in sorted((tmp_path / "state" / "journal").iterdir()))
        assert b'"source":"node:n0001"' in journal
    finally:
        assert process.stop() == 0


def test_prometheus_pushes_and_is_answered(process: Process, client: httpx2.Client) -> None:
    """A push of remote write is frames like any other; what is no push is refused with its reason."""
    now = int(time.time() * 1000)
    labels = {"__name__": "DCGM_FI_DEV_GPU_TEMP", "gpu": "0", "Hostname": "n0777", "instance": "n0777:9400"}
    body = packed(request1([(labels, [(64.0, now)])]))
    answer = client.post("/api/v1/write", content=body, headers=HEADERS)
    assert answer.status_code == 204, answer.text
    process.wait_for(lambda: "gpu:n0777/0" in client.get("/v1/doctor").text)
    assert client.post("/api/v1/write", content=b"nonsense", headers=HEADERS).status_code == 400
