"""The shipped rules, and scrapes through them."""

from __future__ import annotations

import json

import pytest

from monitor.adapters.rules import load_rules
from monitor.ingest.exposition.assembly import Assembly
from monitor.ingest.exposition.placing import Placer
from monitor.ingest.exposition.target import Target

T0 = 1_795_500_000_000


class Scraped:
    """One target, scraped again and again; `frames` and `left` are of the last scrape."""

    def __init__(self, rules, instance="n0001:9400", **options):
        self.placer = Placer(rules.labelmaps, rules.catalog, options.pop("gpus", None))
        self.target = Target(self.placer, {"instance": instance, "job": "x"}, **options)
        self.assembly = Assembly()

    def scrape(self, text: str, ts: int = T0, **options) -> list[dict]:
        self.last, placed = self.target.read(text, ts, **options)
        return [json.loads(line) for line in self.assembly.put(placed, ts)]

    @property
    def left(self) -> list[tuple[str, str]]:
        return sorted({(str(reason), name) for reason, name in self.target.left})


@pytest.fixture(scope="session")
def rules():
    return load_rules()


@pytest.fixture
def scraped(rules):
    return Scraped(rules)
