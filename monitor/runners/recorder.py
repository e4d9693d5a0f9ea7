"""Where records go as ticks close: files, a store, and counts of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from monitor.adapters.lines import LinesOut
from monitor.adapters.rotation import put_aside
from monitor.types import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from monitor.adapters.storewriter import StoreWriter
    from monitor.cells import Late
    from monitor.ingest.frames import Rejection
    from monitor.site import SiteOutput

PARTS = 16
"""A file of records is put aside in parts of this share of what is kept."""

COUNTED = ("lines", "samples", "ticks", "anomalies", "incidents", "pages", "dead")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the records of a run go; None is nowhere."""

    incidents: Path | None = None
    anomalies: Path | None = None
    dead: Path | None = None
    decisions: Path | None = None

    def asked(self) -> dict[str, Path]:
        """Return the files that were asked for, by name."""
        files = {name: getattr(self, name) for name in self.__slots__}
        return {name: path for name, path in files.items() if path is not None}

    def hold(self, lengths: dict[str, int]) -> bool:
        """Whether the files still hold what a snapshot counts on, and no other was asked for."""
        asked = self.asked()
        return asked.keys() == lengths.keys() and all(
            path.exists() and path.stat().st_size >= lengths[name] for name, path in asked.items()
        )


@dataclass(slots=True)
class Report:
    """What a run did. anomalies: their records; incidents: those that opened; pages: calls of a person."""

    lines: int = 0
    samples: int = 0
    ticks: int = 0
    anomalies: int = 0
    incidents: int = 0
    pages: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    quality: dict[str, int] = field(default_factory=dict)
    clock: int = 0
    seconds: float = 0.0
    resumed: bool = False

    def counts(self) -> dict[str, Any]:
        """Return what a snapshot keeps of it."""
        return {name: getattr(self, name) for name in COUNTED}

    def restore(self, kept: dict[str, Any]) -> None:
        """Take back what `counts` gave."""
        for name, value in kept.items():
            setattr(self, name, Counter(value) if name == "dead" else value)


class Recorder:
    """Writes what a run gives. Files are cut to the lengths that the run goes on from.

    aside: how many parts of each file had been put aside by then.
    """

    def __init__(
        self,
        outputs: Outputs,
        lengths: dict[str, int],
        writer: StoreWriter | None,
        report: Report,
        aside: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._files: dict[str, LinesOut] = {}
        self.aside = dict(aside)
        self._writer = writer
        self.report = report
        try:
            for name, path in outputs.asked().items():
                self._files[name] = LinesOut(path, lengths.get(name, 0))
        except BaseException:
            self.drop()
            raise

    def tick(self, output: SiteOutput) -> None:
        """Take what a closed tick gave."""
        self.report.ticks += 1
        self.report.samples += output.samples
        self.report.anomalies += len(output.anomalies)
        for line in output.incidents:
            self.report.incidents += line.transition == "opened"
            self.report.pages += line.transition == "paged"
        if self._writer is not None:
            self._writer.tick(output)
        for name in ("anomalies", "incidents", "decisions"):
            if name in self._files:
                self._files[name].write(getattr(output, name))

    def late(self, parts: Iterable[Late]) -> None:
        """Take what came late."""
        if self._writer is not None:
            for late in parts:
                self._writer.late(late)

    def dead(
        self, position: dict[str, str | int], line: bytes, received: int | None, rejection: Rejection
    ) -> None:
        """Take a line that could not be read, from where it stood."""
        self.report.dead[str(rejection.reason)] += 1
        if "dead" not in self._files and self._writer is None:
            return
        frame = line.decode("utf-8", "backslashreplace")
        letter = DeadLetter(position, str(rejection.reason), rejection.detail, received, frame)
        if "dead" in self._files:
            self._files["dead"].write([letter])
        if self._writer is not None:
            self._writer.dead(letter)

    def show(self) -> None:
        """Let others read the files as they stand."""
        for file in self._files.values():
            file.show()

    def sync(self) -> dict[str, int]:
        """Make the files durable; return their lengths."""
        return {name: file.sync() for name, file in self._files.items()}

    def rotate(self, keep_bytes: int) -> None:
        """Put aside each file that is full, and keep so much of what was put aside."""
        for name, file in self._files.items():
            if file.sync() >= keep_bytes // PARTS:
                file.close()
                self.aside[name] = self.aside.get(name, 0) + 1
                put_aside(file.path, self.aside[name], keep_bytes)
                self._files[name] = LinesOut(file.path)

    def close(self) -> None:
        """Make the files durable and close them."""
        for file in self._files.values():
            file.close()

    def drop(self) -> None:
        """Close the files after a failure; what was not synced may be lost."""
        for file in self._files.values():
            file.drop()
