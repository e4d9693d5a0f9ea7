"""`monitor doctor`: each thing that can be amiss is found and named, and nothing else is."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from click.testing import CliRunner

from monitor.adapters.rules import load_rules
from monitor.cli.doctor import doctor_command
from monitor.doctor import ADVICE, Diagnosis, Outside, diagnose
from monitor.ingest.exposition.tally import LeftOut
from monitor.pipeline import Pipeline
from monitor.runners.doctor import examine_frames
from monitor.site import Setup
from monitor.topology import Topology
from monitor.web.doctor import doctor_handler
from tests.scrape.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

T0, TICK, MINUTE = 1_795_500_000_000, 10_000, 60_000
END = T0 + 50 * MINUTE
RULES = "peer_learning_ms: 600000\nown_learning_ms: 1200000\nfreeze_ms: 1500000\n"


def frame(node: str, ts: int, temps: list, received: int | None = None, **more) -> str:
    noise = (ts // TICK * 7919 + int(node[1:]) * 104729) % 13 / 10
    metrics = {"gpu_temp_celsius": [t if t is None else t + noise for t in temps], **more}
    whole = {"kind": "gpu", "ts": ts, "source": f"node:{node}", "items": ["0", "1"], "metrics": metrics}
    return json.dumps({**whole, "received": ts + 500 if received is None else received})


def frames() -> list[str]:
    """Twelve nodes for 50 minutes; each of some has its own trouble."""
    told: list[tuple[int, str]] = []
    for ts in range(T0 + TICK, END + 1, TICK):
        for n in range(12):
            node, late = f"n{n}", 0
            if node == "n3" and ts > T0 + 30 * MINUTE:
                continue  # fell silent
            if node == "n8" and ts < END - MINUTE:
                continue  # just arrived
            second = None if node == "n4" and ts > T0 + 30 * MINUTE else 61.0
            more = {"acme_widgets": [1.0, 2.0]} if node == "n7" else {}
            stamp = ts + 60_000 if node == "n5" else ts
            late = 120_000 if node == "n6" and ts > T0 + 25 * MINUTE else 500
            if ts + late <= END + 500:
                told.append((ts + late, frame(node, stamp, [60.0, second], ts + late, **more)))
    told += [(T0 + MINUTE, "{"), (T0 + MINUTE, '{"kind":"gpus","ts":1,"source":"a:b"}')]
    return [line for _, line in sorted(told, key=lambda pair: pair[0])]


def topology() -> list[str]:
    nodes = [f"n{n}" for n in range(11)]
    lines = [json.dumps({"id": f"node:{n}"}) for n in [*nodes, "n99"]]
    gpus = [(n, g) for n in nodes for g in "01" if (n, g) != ("n9", "1")]
    return lines + [json.dumps({"id": f"gpu:{n}/{g}", "parent": f"node:{n}"}) for n, g in gpus]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recorded")
    (path / "frames.ndjson").write_text("\n".join(frames()) + "\n")
    (path / "topology.ndjson").write_text("\n".join(topology()) + "\n")
    (path / "rules").mkdir()
    (path / "rules" / "settings.yaml").write_text(RULES)
    return path


@pytest.fixture(scope="module")
def report(recorded) -> Diagnosis:
    return examine_frames([recorded / "frames.ndjson"], None, recorded / "rules", lambda _s, _r: None)


def names(report: Diagnosis, topic: str) -> list[str]:
    return [item.name for f in report.findings if f.topic == topic for item in f.items]


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("silent", ["node:n3", "gpu:n4/1"]),
        ("wrong_clock", ["node:n6", "node:n5"]),
        ("uncatalogued", ["gpu.acme_widgets"]),
        ("unplaced", ["gpu:n11/0", "gpu:n11/1", "gpu:n9/1", "node:n11"]),
        ("unheard", ["node:n99"]),
        ("dead_letters", ["malformed", "unknown_kind"]),
        ("learning", ["gpu:n8/0", "gpu:n8/1", "node:n8"]),
        ("late", ["late"]),
        ("data_quality", []),
        ("blind", []),
    ],
)
def test_what_is_amiss_is_found_and_nothing_else(report, topic, expected):
    """Who, by name."""
    assert names(report, topic) == expected


def test_who_is_judged_by_what(report):
    """Of the GPUs those that came last have learnt nothing, the others all."""
    gpu = report.entities["gpu"]
    assert gpu.learning == 2
    assert (gpu.peers, gpu.ready) == (0, 22)
    assert report.sources == 12


def test_a_fleet_that_is_well_has_nothing_to_tell():
    """No topology is no fault of the frames; everything else is silent."""
    rules = load_rules()
    known = Topology.parse((line.encode() for line in topology()), "t")
    pipeline = Pipeline(Setup(rules.catalog, rules.settings, rules.faults, known))
    report = diagnose(pipeline, rules.catalog, Outside())
    assert report.findings == ()
    assert report.at == 0


def test_what_never_became_a_frame_is_told():
    """From the sources: unmapped names, missing labels, targets that fail."""
    rules = load_rules()
    pipeline = Pipeline(Setup(rules.catalog, rules.settings, rules.faults, Topology.empty()))
    left = (
        LeftOut("unmapped", "acme", 3, ("a",)),
        LeftOut("unmapped", "zeta", 9, ("a", "b")),
        LeftOut("labels_missing", "DCGM_FI_DEV_GPU_TEMP", 1, ("a",)),
    )
    outside = Outside(left=left, doubled={"x": 2}, failed={"dcgm http://n1/metrics": "timeout: 10 s"})
    report = diagnose(pipeline, rules.catalog, outside)
    assert [(f.topic, f.count, f.items[0].name) for f in report.findings] == [
        ("failed_scrapes", 1, "dcgm http://n1/metrics"),
        ("unmapped", 2, "zeta"),
        ("labels_missing", 1, "DCGM_FI_DEV_GPU_TEMP"),
        ("doubled", 2, "x"),
    ]
    assert report.findings[1].items[0].detail == "9 series of 2 targets, a first"
    assert all(f.advice == ADVICE[f.topic] for f in report.findings)


def test_a_person_sees_one_screen(recorded):
    """At most 40 lines of 150 columns, with what to do."""
    arguments = [str(recorded / "frames.ndjson"), "--rules", str(recorded / "rules")]
    result = CliRunner().invoke(doctor_command, arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 150
    assert lines[0].startswith("12 sources, ")
    for words in ("wrong clock", "set their clocks (NTP)", "node:n3", "judged by their own past"):
        assert words in result.stdout


def test_a_live_process_is_asked_by_its_address(report):
    """The report travels as JSON and is the same at the other end."""

    async def ask():
        return report

    async def run():
        async with serving({"/v1/doctor": doctor_handler(ask)}) as address:
            return await asyncio.to_thread(
                CliRunner().invoke, doctor_command, ["--url", f"http://{address}", "--json"]
            )

    result = asyncio.run(run())
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [f["topic"] for f in told["findings"]] == [f.topic for f in report.findings]
    assert told["entities"]["gpu"]["learning"] == 2


def test_nobody_there_is_told():
    """Not a traceback."""
    from monitor.errors import WorkError

    result = CliRunner().invoke(doctor_command, ["--url", "http://127.0.0.1:1"])
    assert isinstance(result.exception, WorkError)
    assert "is a `monitor run` listening there?" in str(result.exception)
    assert CliRunner().invoke(doctor_command, []).exit_code == 2


def test_a_scrape_on_disk_is_examined(tmp_path):
    """As the target of the name given, at the times at which the files were written."""
    texts = ['DCGM_FI_DEV_GPU_TEMP{gpu="0"} 60\nacme 1\n', 'DCGM_FI_DEV_GPU_TEMP{gpu="0"} 61\nacme 1\nbad\n']
    for i, text in enumerate(texts):
        path = tmp_path / f"{i}.prom"
        path.write_text(text)
        os.utime(path, (T0 / 1000 + 15 * i, T0 / 1000 + 15 * i))
    (tmp_path / "t.ndjson").write_text('{"id": "node:n1"}\n')
    arguments = [str(p) for p in sorted(tmp_path.glob("*.prom"))]
    arguments += ["--exposition", "n1:9400", "--topology", str(tmp_path / "t.ndjson"), "--json"]
    result = CliRunner().invoke(doctor_command, arguments)
    told = {f["topic"]: [i["name"] for i in f["items"]] for f in json.loads(result.stdout)["findings"]}
    assert told == {
        "unmapped": ["acme"], "unplaced": ["gpu:n1/0"], "dead_letters": ["line_not_readable"],
        "learning": ["gpu:n1/0", "node:n1"],
    }  # fmt: skip


def test_a_file_that_is_no_scrape_is_refused(tmp_path):
    """With what is wrong with it."""
    from monitor.errors import UsageError

    (tmp_path / "x.html").write_text("<html>\n")
    result = CliRunner().invoke(doctor_command, [str(tmp_path / "x.html"), "--exposition", "n1"])
    assert isinstance(result.exception, UsageError)
    assert "holds no samples; line 1: not a sample: `<html>`" in str(result.exception)


def test_a_scrape_file_is_tried(tmp_path):
    """Each target is asked once: what comes, what fails."""

    async def exporter(request):
        return web.Response(text='DCGM_FI_DEV_GPU_TEMP{gpu="0",Hostname="n1"} 60\nacme 1\n')

    async def run():
        async with serving({"/metrics": exporter}) as address:
            targets = f"static_configs: [{{targets: ['{address}', '127.0.0.1:1']}}]"
            (tmp_path / "scrape.yml").write_text(f"scrape_configs: [{{job_name: dcgm, {targets}}}]")
            arguments = ["--scrape", str(tmp_path / "scrape.yml"), "--json"]
            return await asyncio.to_thread(CliRunner().invoke, doctor_command, arguments)

    result = asyncio.run(run())
    assert result.exit_code == 0, result.output
    told = {f["topic"]: [i["name"] for i in f["items"]] for f in json.loads(result.stdout)["findings"]}
    assert told.pop("failed_scrapes") == ["dcgm http://127.0.0.1:1/metrics"]
    assert told == {
        "unmapped": ["acme"],
        "unplaced": ["gpu:n1/0", "node:n1"],
        "learning": ["gpu:n1/0", "node:n1"],
    }
