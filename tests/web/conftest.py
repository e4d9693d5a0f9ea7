"""One live process for all tests of its door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.live.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = """
tick_ms: 1000
lateness_ms: 1000
body_bytes: 100000
unpacked_bytes: 1000000
client_timeout_ms: 4000
connections: 300
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A process with small limits and ticks of a second."""
    out = tmp_path_factory.mktemp("live")
    (out / "rules").mkdir()
    (out / "rules" / "settings.yaml").write_text(SETTINGS)
    started = Process(out, "--rules", str(out / "rules"))
    started.start()
    yield started
    assert started.stop() == 0


@pytest.fixture
def client(process: Process) -> Iterator[httpx2.Client]:
    """A client without a token."""
    with httpx2.Client(base_url=process.url, timeout=20) as opened:
        yield opened
