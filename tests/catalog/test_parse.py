"""Reading a catalogue: names, aliases, scales, types, and every problem at once."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.catalog import Catalog, Unit
from monitor.errors import ConfigError

GAUGE = (
    "type: gauge, unit: bytes_per_second, bad: down, low: 0, high: 100, resolution: 1, family: interconnect"
)
COUNTER = "type: counter, unit: count, bad: up, low: 0, family: fabric"


def one(name: str, body: str, kind: str = "gpu") -> Catalog:
    return Catalog.parse(f"metrics: {{{kind}: {{{name}: {{{body}}}}}}}")


def problems(text: str, xid_text: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Catalog.parse(text, "metrics.yaml", xid_text)
    return caught.value.problems


def test_a_metric_is_found_by_its_own_name_and_by_its_aliases():
    """An alias leads to the canonical metric and the scale to its unit; another kind's name to nothing."""
    catalog = one("speed", f"{GAUGE}, aliases: [A, {{name: B, scale: 1024}}]")
    metric = catalog.get("gpu", "speed")
    assert catalog.resolve("gpu", "speed") == (metric, 1.0)
    assert catalog.resolve("gpu", "A") == (metric, 1.0)
    assert catalog.resolve("gpu", "B") == (metric, 1024.0)
    assert catalog.get("gpu", "A") is None
    assert catalog.resolve("network", "speed") is None
    assert catalog.resolve("gpu", "C") is None


def test_an_alias_may_have_another_type():
    """A gauge per second that comes as a counter is judged by a counter's range, not by its rate's."""
    catalog = one(
        "speed", f"{GAUGE}, aliases: [{{name: C, type: counter, scale: 2}}, {{name: G, type: gauge}}]"
    )
    metric, scale = catalog.resolve("gpu", "C")
    assert (metric.kind, metric.name, metric.type, scale) == ("gpu", "speed", "counter", 2.0)
    assert (metric.low, metric.high, metric.resolution) == (0.0, None, None)
    assert (metric.unit, metric.bad, metric.family) == ("bytes_per_second", "down", "interconnect")
    assert catalog.resolve("gpu", "G")[0] is catalog.get("gpu", "speed")


def test_one_name_may_mean_different_metrics_in_different_kinds():
    """Names are looked up within a frame's kind."""
    text = (
        f"metrics: {{gpu: {{a: {{{COUNTER}, aliases: [X]}}}}, network: {{b: {{{COUNTER}, aliases: [X]}}}}}}"
    )
    catalog = Catalog.parse(text)
    assert [catalog.resolve(kind, "X")[0].name for kind in ("gpu", "network")] == ["a", "b"]


def test_defaults_are_the_widest():
    """What is not written is not bounded, and compared with all of its entity kind."""
    metric = one("speed", "type: gauge, unit: number, bad: none, family: other").get("gpu", "speed")
    assert (metric.low, metric.high, metric.resolution, metric.peers) == (None, None, None, ())
    assert (metric.signal_nonfinite, metric.aliases) == (False, ())


def test_an_empty_catalogue_is_a_catalogue():
    """A fleet may bring only its own metrics, all of them uncatalogued."""
    assert Catalog.parse("").metrics == ()


def test_every_problem_is_named_with_its_place_at_once():
    """Nobody mends a file one error at a time."""
    found = problems("""
sentinals: [1]
sentinels: [a, .nan]
metrics:
  gpus: {}
  gpu:
    temp: {type: guage, unit: k, bad: up, family: heatt, low: x, high: 1e9,
           aliases: [A, {nam: B}, 3, {name: C, type: count}]}
    T: {type: gauge, unit: ratio, bad: up, family: heat, low: 3, high: 2, peers: [skuu, self]}
    other: {type: counter, unit: count, bad: up, family: heat, resolution: 0, aliases: [D, more]}
    more: {type: counter, unit: count, bad: up, low: 0, family: heat, aliases: [D, {name: E, scale: -1}]}
    three: 3
    none:
""")
    assert found == [
        "sentinals: unknown key; did you mean `sentinels`?",
        "metrics.gpus: unknown key; did you mean `gpu`?",
        "metrics.gpu.temp.aliases[1].nam: unknown key; did you mean `name`?",
        "metrics.gpu.temp.aliases[1].name: missing",
        "metrics.gpu.temp.aliases[2]: expected a mapping, got a number",
        "metrics.gpu.temp.aliases[3].type: unknown value `count`; did you mean `counter`?",
        "metrics.gpu.temp.type: unknown value `guage`; did you mean `gauge`?",
        f"metrics.gpu.temp.unit: unknown value `k`; known are {', '.join(f'`{u}`' for u in get_args(Unit))}",
        "metrics.gpu.temp.family: unknown value `heatt`; did you mean `heat`?",
        "metrics.gpu.temp.low: expected `float | null`, got `str`",
        "metrics.gpu.temp.high: `1e9` is a text in YAML; write 1.0e+09",
        "metrics.gpu.T: a metric name is lower-case words joined by `_`",
        "metrics.gpu.T.low: 3 is not below high, 2",
        "metrics.gpu.T.peers[0]: `skuu` is neither sku, job, parent, region, model_type, self nor tag:NAME",
        "metrics.gpu.T.peers: `self` stands alone",
        "metrics.gpu.other.resolution: 0 is no step; write a number above 0",
        "metrics.gpu.other.low: a counter needs one (0)",
        "metrics.gpu.more.aliases[1].scale: -1 is no scale; write a number above 0",
        "metrics.gpu.three: expected a mapping, got a number",
        "metrics.gpu.none.type: missing",
        "metrics.gpu.none.unit: missing",
        "metrics.gpu.none.bad: missing",
        "metrics.gpu.none.family: missing",
        "metrics.gpu.other.aliases[1]: `more` already means metrics.gpu.more; take one of them out",
        "metrics.gpu.more.aliases[0]: `D` already means metrics.gpu.other.aliases[0]; take one of them out",
        "sentinels[0]: expected `float`, got `str`",
        "sentinels[1]: nan is no number to use; write a finite one, or leave the key out",
    ]


def test_a_key_written_twice_is_a_problem():
    """YAML readers keep the last of two and say nothing."""
    assert problems("metrics:\n  gpu: {}\n  gpu: {}\n") == ["line 3: key `gpu` stands twice"]


def test_a_file_that_is_no_yaml_names_its_line():
    """The reader's own words and place are kept."""
    assert problems("metrics:\n  gpu: [1\n") == ["line 3: not YAML: did not find expected ',' or ']'"]
    assert problems("- a\n") == ["expected a mapping, got a list"]


def test_problems_of_both_files_are_named_with_their_file():
    """The XID table is read even where the metrics are wrong."""
    assert problems("metric: {}", "xids: {}") == [
        "metrics.yaml: metric: unknown key; did you mean `metrics`?",
        "xid.yaml: xids: unknown key; did you mean `xid`?",
    ]


def test_xid_problems():
    """Codes are whole numbers; what pages by itself is grave; every field is there."""
    complete = "mnemonic: M, family: application, action: a, description: d"
    text = f"xid: {{0: {{}}, x: {{}}, ¹: {{}}, 7: {{severity: info}}, 8: {{severity: info, hard: true, {complete}}}}}"
    assert problems("", text) == [
        "xid.0: an XID is a whole number above 0",
        "xid.x: an XID is a whole number above 0",
        "xid.¹: an XID is a whole number above 0",
        "xid.7.mnemonic: missing",
        "xid.7.family: missing",
        "xid.7.hard: missing",
        "xid.7.action: missing",
        "xid.7.description: missing",
        "xid.8.severity: a hard code pages, so it is critical or error",
    ]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["gauge", "ratio", "up", "1e9"])
)
WORDS = st.one_of(
    st.sampled_from(
        ["metrics", "sentinels", "gpu", "xid", "type", "unit", "bad", "low", "aliases", "peers", "7"]
    ),
    st.text(max_size=4),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)


@given(ANYTHING, ANYTHING)
def test_any_document_is_a_catalogue_or_a_list_of_problems(metrics, codes):
    """Whatever stands in the files, the answer is never a traceback."""
    texts = [msgspec.yaml.encode(raw).decode() for raw in ({"metrics": {"gpu": metrics}}, {"xid": codes})]
    try:
        catalog, found = Catalog.parse(texts[0], xid_text=texts[1]), []
    except ConfigError as error:
        catalog, found = None, error.problems
    assert (catalog is None) == bool(found)
