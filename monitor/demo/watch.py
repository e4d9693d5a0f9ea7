"""How far the demo is, while it works: a live view on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from monitor.demo.picture import clock
from monitor.notify.words import ago
from monitor.runners.board import Board
from monitor.types import SEVERITIES
from monitor.units import MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import loadgen
    from loadgen.write import Written
    from monitor.runners.recorder import Report
    from monitor.site import SiteOutput
    from monitor.types import Incident

COLOURS = {"critical": "bold red", "error": "red", "warning": "yellow", "info": "dim"}
LISTED = 10
"""Open incidents that the live view shows."""

A_SECOND = 3
"""How often the live view is drawn anew."""

LINE_EVERY_S = 15.0
RATE_OVER_S = 5.0


class Watch:
    """What the run tells as it goes. `say` gets a line now and then, where nobody looks at the live view."""

    def __init__(self, spec: loadgen.Spec, say: Callable[[str], None] | None = None) -> None:
        self._spec, self._say = spec, say
        self._board = Board()
        self._open: list[Incident] = []
        self._ticks, self._written = 0, ""
        self._share, self._report = 0.0, None
        self._judged, self._pages = spec.start, 0
        self._began = self._watching = self._said = time.monotonic()
        self._simulated_s, self._ended_s = 0.0, 0.0
        self._rates: deque[tuple[float, int]] = deque()

    _report: Report | None

    def simulated(self) -> None:
        """Tell that one more tick of the hall is written."""
        self._ticks += 1

    def begin(self, written: Written) -> None:
        """Tell that the simulation is over and the replay begins."""
        self._watching = time.monotonic()
        self._simulated_s = self._watching - self._began
        self._written = f"{written.frames:,} frames, {written.bytes / 1e6:,.0f} MB"
        self._tell(f"simulated {self._spec.gpus:,} GPUs: {self._written} in {self._simulated_s:.0f} s")

    def replayed(self, share: float, report: Report) -> None:
        """Tell how much of the recording is read."""
        now = time.monotonic()
        self._share, self._report = share, report
        self._rates.append((now, report.samples))
        while len(self._rates) > 2 and now - self._rates[0][0] > RATE_OVER_S:
            self._rates.popleft()
        if now - self._said >= LINE_EVERY_S:
            self._tell(f"watching, {share:.0%}: {self.pace()}; {self.times()}; {self.found()}")

    def closed(self, output: SiteOutput, pages: int) -> None:
        """Take what a closed tick gave, and how many alerts the receiver has."""
        self._judged, self._pages = output.end, pages
        if output.incidents:
            self._board.take(output.incidents)
            standing = [i for i in self._board.standing() if i.state in {"open", "acknowledged"}]
            self._open = sorted(standing, key=_urgency)

    def end(self) -> None:
        """Tell that the replay is over."""
        self._share, self._ended_s = 1.0, time.monotonic() - self._watching
        self._tell(f"watched in {self._ended_s:.0f} s: {self.found()}")

    def pace(self) -> str:
        """Say how fast samples are taken lately, and how many there were."""
        if self._report is None or len(self._rates) < 2:
            return "0 samples"
        (then, before), (now, samples) = self._rates[0], self._rates[-1]
        rate = (samples - before) / max(now - then, 1e-9)
        return f"{rate:,.0f} samples/s, {self._report.samples / 1e6:.1f} M so far"

    def times(self) -> str:
        """Say what time it is in the hall, how far judgement is behind, and when the recording ends."""
        heard = max(self._report.clock if self._report else 0, self._judged)
        behind = (heard - self._judged) / MINUTE
        return (
            f"event time {clock(heard)}, judged up to {clock(self._judged)} ({behind:.1f} min behind), "
            f"the recording ends {clock(self._spec.end)}"
        )

    def found(self) -> str:
        """Say what was found so far."""
        anomalies = self._report.anomalies if self._report else 0
        return f"{anomalies:,} anomalies, {len(self._open)} open incidents, {self._pages} alerts paged"

    def view(self) -> Group:
        """Return the live view."""
        steps = Table.grid(padding=(0, 2))
        done = self._ticks / (self._spec.ticks + 1)
        spent = self._simulated_s or time.monotonic() - self._began
        steps.add_row("simulate", _bar(done), f"{done:4.0%}", f"{spent:4.0f} s", self._written)
        if self._simulated_s:
            spent = self._ended_s or time.monotonic() - self._watching
            steps.add_row("watch", _bar(self._share), f"{self._share:4.0%}", f"{spent:4.0f} s", self.pace())
        return Group(
            steps, Text(), Text(self.times()), Text(self.found(), style="bold"), Text(), self._incidents()
        )

    def _incidents(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("open incident", "why", "severity", "paged", "age", "affected"):
            table.add_column(column, justify="right" if column in {"age", "affected"} else "left")
        incidents = self._open
        for i in incidents[:LISTED]:
            table.add_row(
                i.cause.entity, i.cause.reason, f"[{COLOURS[i.severity]}]{i.severity}[/]",
                "-" if i.paged_at is None else clock(i.paged_at),
                ago(max(self._judged - i.opened_at, 0)), f"{i.affected.count:,}",
            )  # fmt: skip
        if len(incidents) > LISTED:
            table.add_row(f"[dim]and {len(incidents) - LISTED} more[/]")
        return table

    def _tell(self, line: str) -> None:
        self._said = time.monotonic()
        if self._say is not None:
            self._say(line)


def _urgency(incident: Incident) -> tuple[bool, int, int]:
    return incident.paged_at is None, -SEVERITIES.index(incident.severity), incident.detected_at


def _bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=min(share, 1.0), width=36)


@contextmanager
def watching(spec: loadgen.Spec, *, show: bool) -> Iterator[Watch]:
    """Show how far the demo is on standard error: live on a terminal, else a line now and then."""
    console = Console(stderr=True, highlight=False)
    if not show:
        yield Watch(spec)
    elif not console.is_terminal:
        yield Watch(spec, lambda line: console.print(line, soft_wrap=True))
    else:
        watch = Watch(spec)
        with Live(get_renderable=watch.view, console=console, refresh_per_second=A_SECOND, transient=True):
            yield watch
