"""Exposition text to samples, against prometheus_client's own parsers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.ingest.exposition.text import Series, TextReader

VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


def registry(labels: list[str], number: float) -> CollectorRegistry:
    """Return one metric of each type, with the label values in it."""
    found = CollectorRegistry()
    gauge = Gauge("temp_celsius", "a \\ gauge", ["host", "gpu"], registry=found)
    counter = Counter("errors_total", "a counter", ["host"], registry=found)
    histogram = Histogram("latency_seconds", "", ["host"], buckets=(0.1, 1.0), registry=found)
    for i, label in enumerate(labels):
        gauge.labels(label, str(i)).set(number)
        counter.labels(label).inc(3)
        histogram.labels(label).observe(0.5)
    return found


def told(families) -> list:
    rows = [(s.name, dict(s.labels), s.value) for family in families for s in family.samples]
    return sorted(rows, key=repr)


def read(text: str, *, openmetrics: bool = False) -> list:
    scrape = TextReader(Series).read(text, openmetrics=openmetrics)
    assert scrape.problems == []
    assert scrape.complete
    return sorted(((s.name, dict(s.labels), value) for s, value, _ in scrape.samples), key=repr)


@given(st.lists(VALUES, min_size=1, max_size=3, unique=True), st.floats(allow_nan=False))
def test_both_formats_are_read_as_the_official_parsers_read_them(labels, number):
    """Any label value, braces, quotes and backslashes among them; any number, the infinities too."""
    held = registry(labels, number)
    plain = generate_latest(held).decode()
    assert read(plain) == told(parse_text(plain))
    open_text = generate_openmetrics(held).decode()
    assert read(open_text, openmetrics=True) == told(parse_openmetrics(open_text))


def test_a_series_is_parsed_once():
    """The second scrape gives the same series objects, and forgets what is gone."""
    reader = TextReader(Series)
    first = reader.read('a{x="1"} 1\nb 2\n').samples
    second = reader.read('a{x="1"} 5\n').samples
    assert second[0][0] is first[0][0]
    assert second[0][1] == 5
    assert reader.read("b 2\n").samples[0][0] is not first[1][0]


def test_times_of_samples():
    """The text format has milliseconds, OpenMetrics seconds; exemplars are passed over."""
    assert TextReader(Series).read("a 1 1795500000123").samples[0][2] == 1795500000123
    text = 'a_bucket{le="1"} 1 1795500000.123 # {trace="}"} 0.5 1795500000\n# EOF\n'
    series, value, ts = TextReader(Series).read(text, openmetrics=True).samples[0]
    assert (ts, value, series.labels) == (1795500000123, 1.0, {"le": "1"})


@pytest.mark.parametrize(
    "line", ["a", "a b", "a{x=1} 2", 'a{x="1" 2', "a 1 2 3", "1a 2", "a 1_0", "{} 1", 'a{x="1"}{y="2"} 1']
)
def test_a_bad_line_costs_itself_only(line):
    """It is counted and told with its number; the rest of the scrape counts."""
    scrape = TextReader(Series).read(f"good 1\n{line}\nalso 2\n")
    assert [s.name for s, _, _ in scrape.samples] == ["good", "also"]
    assert scrape.bad_lines == 1
    assert scrape.problems[0].startswith("line 2: not a ")


def test_openmetrics_that_was_cut_short_is_known():
    """Without `# EOF` nobody knows what is missing."""
    assert not TextReader(Series).read("a 1\n", openmetrics=True).complete
    assert TextReader(Series).read("a 1\n# EOF\n", openmetrics=True).complete
    assert TextReader(Series).read("a 1\n").complete


def test_not_a_number_is_a_reading():
    """NaN, +Inf and -Inf are read as they are."""
    a, b, c = (value for _, value, _ in TextReader(Series).read("a NaN\nb +Inf\nc -Inf\n").samples)
    assert math.isnan(a)
    assert (b, c) == (math.inf, -math.inf)


def test_odd_lines_among_new_ones_change_nothing_for_the_others():
    """New series are parsed together; exemplars, quoted names and nonsense among them cost no one else."""
    lines = [
        'a{x="1"} 1',
        'b_bucket{le="1"} 2 # {t="}"} 0.5',
        '{"c.d",y="2"} 3',
        "1e 4",
        'f{z="} "} 5',
        "g\t6",
    ]
    scrape = TextReader(Series).read("\n".join(lines) + "\n# EOF\n", openmetrics=True)
    got = [(s.name, s.labels, value) for s, value, _ in scrape.samples]
    assert got == [
        ("a", {"x": "1"}, 1), ("b_bucket", {"le": "1"}, 2), ("c.d", {"y": "2"}, 3), ("f", {"z": "} "}, 5), ("g", {}, 6),
    ]  # fmt: skip
    assert scrape.problems == ["line 4: not a sample: `1e 4`"]
