"""How the scrapes of a target went."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

TOO_LARGE = "more than {:,} bytes"


class ScrapeReason(StrEnum):
    """Why a scrape gave nothing."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    STATUS = "http_status"
    TOO_LARGE = "too_large"
    CUT_SHORT = "cut_short"
    NOT_TEXT = "not_exposition_text"
    CREDENTIALS = "credentials"
    REFUSED = "refused_by_the_door"
    ERROR = "error"


class ScrapeFailed(Exception):  # noqa: N818 - it is an outcome, not a fault of ours
    """A scrape that gave nothing."""

    def __init__(self, reason: ScrapeReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(slots=True)
class Scraped:
    """How a target does: since the start, and last time.

    samples, bad_lines: of the last scrape that worked. frames: taken by the door; refused: not taken.
    """

    target: str
    scrapes: int = 0
    failures: Counter[ScrapeReason] = field(default_factory=Counter)
    failures_in_row: int = 0
    last_error: str = ""
    last_at: int = 0
    seconds: float = 0.0
    samples: int = 0
    bad_lines: int = 0
    frames: int = 0
    refused: int = 0

    @property
    def up(self) -> bool:
        """Whether it was scraped, and the last time it worked."""
        return self.last_at > 0 and self.failures_in_row == 0

    def succeeded(self, samples: int, bad_lines: int) -> None:
        """Note a scrape that was read."""
        self.samples, self.bad_lines = samples, bad_lines
        self.failures_in_row, self.last_error = 0, ""

    def failed(self, reason: ScrapeReason, detail: str) -> None:
        """Note one that gave nothing."""
        self.failures[reason] += 1
        self.failures_in_row += 1
        self.last_error = f"{reason}: {detail}"
