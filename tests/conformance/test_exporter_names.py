"""Real exporters' lists and scrapes: every name is known, every healthy reading is within its range."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from monitor.catalog import Catalog

pytestmark = pytest.mark.conformance

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
CATALOG = Catalog.parse(
    (ROOT / "rules" / "metrics.yaml").read_text(), xid_text=(ROOT / "rules" / "xid.yaml").read_text()
)

# Listed by the exporter, and not telemetry that this product judges.
LEFT_OUT = re.compile(
    r"DCGM_EXP_\w+|\w+_VIOLATION|dcgm_\w+_violation|\w+_PIPE_FP\d+_ACTIVE|\w+_VGPU_LICENSE_STATUS|\w+BANDWIDTH_L0"
    # Percentages in the shell exporter, ratios in the one that took its names over: no scale fits both.
    r"|dcgm_fi_prof_(gr_engine|sm|pipe_tensor|dram)_active|dcgm_fi_prof_sm_occupancy"
)


def text_of(path: Path) -> str:
    if not path.exists():
        pytest.skip(f"{path.relative_to(DATA)} is not on this machine")
    return path.read_text()


@pytest.mark.parametrize(
    "name", ["default-counters.csv", "dcp-metrics-included.csv", "1.x-compatibility-metrics.csv"]
)
def test_the_exporters_counters_are_known(name):
    """Whatever an operator switches on in the counter lists arrives under one of our names."""
    rows = csv.reader(
        line.lstrip("# ") for line in text_of(DATA / "dcgm_exporter" / "etc" / name).splitlines()
    )
    listed = [row[0].strip() for row in rows if len(row) > 2 and row[1].strip() in {"gauge", "counter"}]
    assert len(listed) > 30
    assert [f for f in listed if CATALOG.resolve("gpu", f) is None and not LEFT_OUT.fullmatch(f)] == []


@pytest.mark.parametrize(
    "name", ["dcgm_exporter_t4_a10g.prom", "dcgm_exporter_v100_readme_blank_sentinel.prom"]
)
def test_scraped_readings_are_in_range_or_sentinels(name):
    """A real scrape holds no reading that the catalogue would refuse, except DCGM's blanks."""
    samples = re.findall(
        r"^(DCGM_\w+)(?:\{.*\})? (\S+)$", text_of(DATA / "exposition_samples" / name), re.MULTILINE
    )
    resolved = [(CATALOG.resolve("gpu", metric), float(value)) for metric, value in samples]
    known = [
        (metric, scale, value)
        for (metric, scale), value in ((r or (None, 0), v) for r, v in resolved)
        if metric
    ]
    assert len(known) >= 2
    readings = [(m, s * v) for m, s, v in known if v not in CATALOG.sentinels]
    assert [(m.name, v) for m, v in readings if v < m.low or (m.high is not None and v > m.high)] == []


def test_perfquery_counters_of_real_switches_are_known():
    """The counters that our network metrics stand for are found in real dumps under their own names."""
    folder = DATA / "infiniband" / "collectors" / "fixtures" / "perfquery"
    dumps = [path.read_text() for path in sorted(folder.glob("*.out"))] or [text_of(folder / "any.out")]
    names = set(re.findall(r"^(\w+):\.", "\n".join(dumps), re.MULTILINE))
    known = {CATALOG.resolve("network", name)[0].name for name in names if CATALOG.resolve("network", name)}
    assert known >= {
        "rx_bytes_total", "tx_bytes_total", "symbol_errors_total", "link_downed_total", "rx_errors_total",
        "tx_discards_total", "xmit_wait_total", "link_recovery_total",
    }  # fmt: skip


def test_xid_codes_are_nvidias():
    """Codes and mnemonics agree with NVIDIA's catalogue."""
    rows = list(csv.DictReader(text_of(DATA / "xid_catalog" / "xid_catalog.csv").splitlines()))
    ours = {str(code): entry.mnemonic for code, entry in CATALOG.xid.items()}
    assert ours == {row["code"]: row["mnemonic"].split(" / ")[0] for row in rows}


def test_what_nvidia_answers_with_a_reset_or_restart_is_no_mere_note():
    """A code whose immediate action resets the GPU or restarts the machine is at least a warning."""
    rows = csv.DictReader(text_of(DATA / "xid_catalog" / "xid_catalog.csv").splitlines())
    grave = [int(row["code"]) for row in rows if row["immediate_resolution"] in {"RESET_GPU", "RESTART_BM"}]
    assert len(grave) > 10
    assert [code for code in grave if CATALOG.xid[code].severity == "info"] == []
