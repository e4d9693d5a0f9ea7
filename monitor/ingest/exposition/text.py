"""Exposition text to samples: the text format 0.0.4 and OpenMetrics 1.0.

A series says the same labels at every scrape, so its name and labels are parsed (by prometheus_client) when
it is new and then known by its text; only the number is read each time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LINE = re.compile(
    r'[ \t]*((?:[a-zA-Z_:][a-zA-Z0-9_:]*)?[ \t]*(?:\{[^"}]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"}]*)*\})?)'
    r"[ \t]+(\S+)(?:[ \t]+([-+0-9.eE]+))?[ \t]*(#.*)?"
)
MAX_PROBLEMS = 5


S = TypeVar("S")


class Series(NamedTuple):
    """A sample's name and labels."""

    name: str
    labels: Mapping[str, str]


class Scrape(NamedTuple, Generic[S]):
    """What a body says: its samples, and the lines that could not be read (`problems`: the first few).

    A sample is (its series, the reading, its own time in ms or None where it has none).
    """

    samples: list[tuple[S, float, int | None]]
    bad_lines: int
    problems: list[str]
    complete: bool


class TextReader(Generic[S]):
    """Reads the bodies of one target, one after the other.

    `make` turns a name and labels into what stands for the series; it is asked once, the labels not kept.
    """

    def __init__(self, make: Callable[[str, Mapping[str, str]], S]) -> None:
        self._make = make
        self._known: dict[str, S] = {}

    def read(self, text: str, *, openmetrics: bool = False) -> Scrape[S]:
        """Return the samples of a body. OpenMetrics that does not end in `# EOF` was cut short.

        >>> TextReader(Series).read('up{job="a"} 1').samples[0][0].labels
        {'job': 'a'}
        """
        samples: list[tuple[S, float, int | None]] = []
        problems: list[str] = []
        bad, known, ended = 0, {}, False
        lines = text.split("\n")
        self._meet(lines)
        for number, line in enumerate(lines, 1):
            if not line or line[0] == "#" or line.isspace():
                ended = ended or line.rstrip() == "# EOF"
                continue
            try:
                series, sample = self._sample(line, 1000 if openmetrics else 1)
            except ValueError as error:
                bad += 1
                if len(problems) < MAX_PROBLEMS:
                    problems.append(f"line {number}: {error}")
                continue
            known[series] = sample[0]
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
            self._known.update({text: self._make(s.name, s.labels) for text, s in pairs})

    def _sample(self, line: str, unit: int) -> tuple[str, tuple[S, float, int | None]]:
        text, value, ts = _parts(line)
        series = self._known.get(text)
        if series is not None and value:
            return text, (series, _number(value), None if not ts else round(_number(ts) * unit))
        match = _LINE.fullmatch(line.rstrip("\r"))
        if match is None:
            raise ValueError(f"not a sample: `{line[:120]}`")
        text, value, ts, _ = match.groups()
        series = self._known.get(text)
        if series is None:
            series = self._known[text] = self._make(*_series(text))
        return text, (series, _number(value), None if ts is None else round(_number(ts) * unit))


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
    return Series(parsed[0].name, parsed[0].labels)


def _number(text: str) -> float:
    if "_" in text:
        raise ValueError(f"not a number: `{text}`")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"not a number: `{text[:40]}`") from None
