"""A hall that is scraped gives the incidents of the hall that sends frames."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from monitor.adapters.rules import load_rules
from monitor.ingest.exposition.placing import Placer
from monitor.ingest.exposition.target import Target
from monitor.runners.sources import Sources
from tests.replay.conftest import replay

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

RULES = load_rules()
WIRE = {
    metric.name: next((a for a in metric.aliases if a.name.startswith("DCGM_")), None)
    for metric in RULES.catalog.metrics
    if metric.kind == "gpu"
}


def exposition(frame: dict) -> str:
    """Return a node's frame as its dcgm-exporter shows it: names, units and labels of that."""
    lines = []
    for name, values in frame["metrics"].items():
        alias = WIRE[name]
        if alias is None:
            continue
        lines += [
            f'{alias.name}{{gpu="{gpu}",Hostname="{frame["source"].partition(":")[2]}"}} {value / alias.scale!r}'
            for gpu, value in zip(frame["items"], values, strict=True)
            if value is not None
        ]
    return "\n".join(lines) + "\n"


def scraped(lines: list[str], pieces: int) -> list[str]:
    """Return the recording with each GPU frame read from exposition text, in so many parts, shuffled."""
    sources, targets, out, rng = Sources(RULES), {}, [], random.Random(1)
    for line in lines:
        frame = json.loads(line)
        if frame["kind"] != "gpu":
            out.append(line)
            continue
        target = targets.setdefault(
            frame["source"], Target(Placer(RULES.labelmaps, RULES.catalog), {"instance": "x:1", "job": "d"})
        )
        scrape, placed = target.read(exposition(frame), frame["ts"])
        assert not scrape.bad_lines
        rng.shuffle(placed)
        size = -(-len(placed) // pieces)
        for i in range(0, len(placed), size):
            out += [found.decode() for found in sources.assemble(placed[i : i + size], frame["ts"])]
    return out


def said(incidents: bytes) -> list[tuple]:
    return [
        (
            i["id"],
            i["state"],
            i["severity"],
            i["cause"]["entity"],
            i["cause"]["reason"],
            i["opened_at"],
            i["paged_at"],
        )
        for i in map(json.loads, incidents.splitlines())
    ]


def test_scraped_or_sent_the_incidents_are_the_same(tmp_path: Path):
    """In parts too, in any order, as a push cuts them."""
    out = tmp_path / "run"
    arguments = ["--scenario", "gpu-lost", "--gpus", "64", "--seed", "3", "--out", str(out), "--compress", "none",
                 "--interval", "30"]  # fmt: skip
    assert CliRunner().invoke(main, arguments).exit_code == 0
    lines = (out / "frames.ndjson").read_text().splitlines()
    unknown = {name for name, alias in WIRE.items() if alias is None}
    known = []
    for line in lines:  # what no exporter has is taken out of both
        frame = json.loads(line)
        if frame["kind"] == "gpu":
            frame["metrics"] = {k: v for k, v in frame["metrics"].items() if k not in unknown}
        known.append(json.dumps(frame))
    (tmp_path / "sent.ndjson").write_text("\n".join(known) + "\n")
    (tmp_path / "scraped.ndjson").write_text("\n".join(scraped(known, 3)) + "\n")
    sent, got = (
        replay(tmp_path / f"{name}.ndjson", out / "topology.ndjson", tmp_path / f"{name}-out")
        for name in ("sent", "scraped")
    )
    assert sum(1 for line in said(sent.incidents) if line[-1]) > 0
    assert said(got.incidents) == said(sent.incidents)
