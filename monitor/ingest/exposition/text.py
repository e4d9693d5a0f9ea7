"""Exposition text to samples: the text format 0.0.4 and OpenMetrics 1.0.

A series says the same labels at every scrape, so its name and labels are parsed (by prometheus_client) when
it is new and then known by its text; only the number is read each time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE = re.compile(
    r'[ \t]*((?:[a-zA-Z_:][a-zA-Z0-9_:]*)?[ \t]*(?:\{[^"}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"}]*)*\})?)'
    r"[ \t]+(\S+)(?:[ \t]+([-+0-9.eE]+))?[ \t]*(#.*)?"
)
MAX_PROBLEMS = 5


class Series(NamedTuple):
    """A sample's name and labels; `text` is how they stood, by which the series is known."""

    name: str
    labels: Mapping[str, str]
    text: str


class Sample(NamedTuple):
    """One reading. `ts` is the sample's own time in ms, None where it has none."""

    series: Series
    value: float
    ts: int | None


class Scrape(NamedTuple):
    """What a body says: its samples, and the lines that could not be read (`problems`: the first few)."""

    samples: list[Sample]
    bad_lines: int
    problems: list[str]
    complete: bool


class TextReader:
    """Reads the bodies of one target, one after the other."""

    def __init__(self) -> None:
        self._known: dict[str, Series] = {}

    def read(self, text: str, *, openmetrics: bool = False) -> Scrape:
        """Return the samples of a body. OpenMetrics that does not end in `# EOF` was cut short.

        >>> TextReader().read('up{job="a"} 1').samples[0].series.labels
        {'job': 'a'}
        """
        samples: list[Sample] = []
        problems: list[str] = []
        bad, known, ended = 0, {}, False
        lines = text.split("\n")
        self._meet(lines)
        for number, line in enumerate(lines, 1):
            if not line or line[0] == "#" or line.isspace():
                ended = ended or line.rstrip() == "# EOF"
                continue
            try:
                sample = self._sample(line, 1000 if openmetrics else 1)
            except ValueError as error:
                bad += 1
                if len(problems) < MAX_PROBLEMS:
                    problems.append(f"line {number}: {error}")
                continue
            known[sample.series.text] = sample.series
            samples.append(sample)
        self._known = known
        return Scrape(samples, bad, problems, ended or not openmetrics)

    def _meet(self, lines: list[str]) -> None:
        """Parse all series that are new at once, which is many times faster than one by one.

        Where any of them is odd nothing is gained, nothing lost: each is then parsed when its line is read.
        """
        texts = (_parts(line)[0] for line in lines if line and line[0] != "#")
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        new = [text for text in new if (line := _LINE.fullmatch(f"{text} 1")) and line[1] == text]
        try:
            families = list(text_string_to_metric_families("".join(f"{text} 1\n" for text in new)))
        except Exception:  # noqa: BLE001 - the parser raises whatever its slicing runs into
            return
        parsed = [sample for family in families for sample in family.samples]
        if len(parsed) == len(new):
            pairs = zip(new, parsed, strict=True)
            self._known.update({text: Series(s.name, s.labels, text) for text, s in pairs})

    def _sample(self, line: str, unit: int) -> Sample:
        text, value, ts = _parts(line)
        series = self._known.get(text)
        if series is not None and value:
            return Sample(series, _number(value), None if not ts else round(_number(ts) * unit))
        match = _LINE.fullmatch(line.rstrip("\r"))
        if match is None:
            raise ValueError(f"not a sample: `{line[:120]}`")
        text, value, ts, _ = match.groups()
        series = self._known.get(text)
        if series is None:
            series = self._known[text] = _series(text)
        return Sample(series, _number(value), None if ts is None else round(_number(ts) * unit))


def _parts(line: str) -> tuple[str, str, str]:
    """Split a line of the usual form; what comes out of another is no series that is known."""
    end = line.rfind("}") + 1 or line.find(" ")
    value, _, ts = line[end:].strip().partition(" ")
    return line[:end], value, ts.strip()


def _series(text: str) -> Series:
    try:
        parsed = [s for family in text_string_to_metric_families(f"{text} 1\n") for s in family.samples]
    except Exception as error:  # the parser raises whatever its slicing runs into
        raise ValueError(f"not a sample: `{text[:120]}`: {error}") from error
    if len(parsed) != 1:
        raise ValueError(f"not a sample: `{text[:120]}`")
    return Series(parsed[0].name, parsed[0].labels, text)


def _number(text: str) -> float:
    if "_" in text:
        raise ValueError(f"not a number: `{text}`")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"not a number: `{text[:40]}`") from None
