"""docs/sources.md against the code: every key, reason, topic and map is in it, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from monitor.adapters.rules import load_rules
from monitor.config.scrape import RelabelAction, TlsConfig, _Plain, parse_scrape
from monitor.doctor import Topic
from monitor.ingest.exposition.labelmap import Block, Derived, parse_labelmap
from monitor.runners.scrapes import ScrapeReason

MANUAL = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
SCRAPE, WRITE, LABELMAP = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
RULES = load_rules()
QUIET = {"enable_http2"}  # read, and without effect


def keys(record) -> list[str]:
    return [field.name for field in msgspec.structs.fields(record)]


@pytest.mark.parametrize(
    "words",
    [
        [k for k in keys(_Plain) if not k.endswith("_file") and k not in QUIET],
        keys(TlsConfig), keys(Block), keys(Derived), list(ScrapeReason), [m.name for m in RULES.labelmaps],
        ["static_configs", "file_sd_configs", "relabel_configs", "metric_relabel_configs", "basic_auth"],
    ],
    ids=["job", "tls", "block", "derived", "reasons", "maps", "lists"],
)  # fmt: skip
def test_every_word_is_in_the_manual(words):
    """In backticks, or as a key of an example."""
    assert [w for w in words if not re.search(rf"[`\s{{]{re.escape(str(w))}[`:]", MANUAL)] == []


def test_every_topic_of_doctor_has_its_row():
    """What doctor says is explained."""
    rows = re.findall(r"^\| ([a-z ]+) \| ", MANUAL, re.MULTILINE)
    assert [t for t in get_args(Topic) if t.replace("_", " ") not in rows] == []
    assert len(get_args(RelabelAction)) == 11


def test_the_examples_work():
    """The scrape file, the label map, and a prometheus.yml beside."""
    jobs = parse_scrape(SCRAPE, "scrape.yml", [m.name for m in RULES.labelmaps])
    assert [job.job_name for job in jobs] == ["dcgm", "vllm", "triton"]
    blocks = parse_labelmap("acme.yaml", LABELMAP, RULES.catalog).blocks
    assert blocks[0].derive.keys() == {"latency_p99_ms", "error_ratio", "quality_score"}
    assert len(parse_scrape(SCRAPE + WRITE, "prometheus.yml")) == 3
