"""A diagnosis of recorded files: frames, or exposition text as if it had been scraped."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.adapters.lines import recordings
from monitor.adapters.rules import load_rules
from monitor.adapters.scrapefile import load_scrape
from monitor.doctor import Diagnosis, Outside, diagnose
from monitor.errors import UsageError
from monitor.ingest.exposition.target import Target
from monitor.ingest.frames import read_header
from monitor.pipeline import Pipeline
from monitor.runners.build import beside, read_topology
from monitor.runners.recorder import Outputs
from monitor.runners.replay import Replay
from monitor.runners.sources import Sources
from monitor.site import Setup
from monitor.topology import Topology
from monitor.units import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from monitor.adapters.rules import Rules
    from monitor.runners.recorder import Report

BATCH = 1_000


def examine_frames(
    paths: Sequence[Path], topology: Path | None, rules: Path | None, watch: Callable[[float, Report], None]
) -> Diagnosis:
    """Run recorded frames through the pipeline and say how it stands at their end. Nothing is written."""
    files = recordings(paths)
    read = load_rules(rules)
    pipeline = _pipeline(read, topology or beside(files))
    replay = Replay(files, pipeline, Outputs(), None, read.settings.snapshot_ticks)
    report = replay.run(BATCH, watch)
    return diagnose(pipeline, read.catalog, Outside(dead=report.dead))


def examine_exposition(
    paths: Sequence[Path], instance: str, topology: Path | None, rules: Path | None
) -> Diagnosis:
    """Read files as scrapes of one target called `instance`, each at the time at which it was written."""
    read = load_rules(rules)
    graph_of = Topology.empty() if topology is None else read_topology(topology)
    pipeline = _pipeline(read, topology)
    sources = Sources(read, graph_of.at(0))
    target = Target(sources.placer, {"instance": instance, "job": "file"})
    dead: Counter[str] = Counter()
    ts = 0
    for path in sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name)):
        ts = max(path.stat().st_mtime_ns // 1_000_000, ts + SECOND)
        lines, bad = _scrape(path, target, sources, ts)
        dead["line_not_readable"] += bad
        for line in lines:
            rejection = pipeline.accept(line, read_header(line), ts)
            if rejection is not None:
                dead[str(rejection.reason)] += 1
    for _ in pipeline.finish(ts):
        pass
    return diagnose(pipeline, read.catalog, outside(+dead, sources, {}))


def examine_scrape(path: Path, topology: Path | None, rules: Path | None) -> Diagnosis:
    """Scrape each target of a configuration once. Raises UsageError, ConfigError with every problem of it."""
    from monitor.runners.scraper import Scraper

    read = load_rules(rules)
    file = load_scrape(path, [labelmap.name for labelmap in read.labelmaps])
    known = Topology.empty() if topology is None else read_topology(topology)
    sources, door = Sources(read, known.at(0)), _Kept()

    scraper = Scraper(file, sources, door)
    asyncio.run(scraper.once())
    pipeline, dead, last = _pipeline(read, topology), Counter[str](), 0
    for line in door.lines:
        header = read_header(line)
        last = max(last, getattr(header, "ts", 0))
        rejection = pipeline.accept(line, header, last)
        if rejection is not None:
            dead[str(rejection.reason)] += 1
    for _ in pipeline.finish(last):
        pass
    return diagnose(pipeline, read.catalog, outside(dead, sources, scraper.failed()))


class _Kept:
    """A door that keeps lines in memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def put(self, lines: Sequence[bytes], origin: str) -> _Taken:
        del origin
        self.lines += lines
        return _Taken(len(lines))


@dataclass(frozen=True, slots=True)
class _Taken:
    accepted: int
    rejected: Sequence[object] = ()


def outside(dead: Mapping[str, int], sources: Sources, failed: Mapping[str, str]) -> Outside:
    """Return what never became a frame, of a process with sources. failed: why a scrape gave nothing."""
    return Outside(dead, sources.left_out(), sources.doubled(), failed)


def _pipeline(rules: Rules, topology: Path | None) -> Pipeline:
    known = Topology.empty() if topology is None else read_topology(topology)
    return Pipeline(Setup(rules.catalog, rules.settings, rules.faults, known))


def _scrape(path: Path, target: Target, sources: Sources, ts: int) -> tuple[list[bytes], int]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start}: not UTF-8, so no exposition text") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    openmetrics = text.rstrip().endswith("# EOF")
    scrape, placed = target.read(text, ts, openmetrics=openmetrics)
    if not scrape.samples:
        why = f"; {scrape.problems[0]}" if scrape.problems else ""
        raise UsageError(f"{path}: holds no samples{why}")
    return sources.frames(path.name, placed, target.left, ts), scrape.bad_lines
