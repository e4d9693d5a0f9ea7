"""Relabelling, by the cases of Prometheus's own tests (model/relabel/relabel_test.go)."""

from __future__ import annotations

import pytest

from monitor.config.scrape import RelabelRule as Rule
from monitor.ingest.exposition.relabel import relabel

A = {"a": "foo", "b": "bar", "c": "baz"}
CASES = [
    (A, [Rule(("a",), regex="f(.*)", target_label="d", separator=";", replacement="ch${1}-ch${1}")], {**A, "d": "choo-choo"}),
    (A, [Rule(("a", "b"), regex="f(.*);(.*)r", target_label="a", replacement="b${1}${2}m"),
         Rule(("c", "a"), regex="(b).*b(.*)ba(.*)", target_label="d", replacement="$1$2$2$3")],
     {"a": "boobam", "b": "bar", "c": "baz", "d": "boooom"}),
    ({"a": "foo"}, [Rule(("a",), regex=".*o.*", action="drop"), Rule(("a",), regex="f(.*)", target_label="d")], None),
    ({"a": "abc"}, [Rule(("a",), regex=".*(b).*", target_label="d", replacement="$1")], {"a": "abc", "d": "b"}),
    ({"a": "foo"}, [Rule(("a",), regex="no-match", action="drop")], {"a": "foo"}),
    ({"a": "foo"}, [Rule(("a",), regex="f|o", action="drop")], {"a": "foo"}),
    ({"a": "foo"}, [Rule(("a",), regex="no-match", action="keep")], None),
    ({"a": "foo"}, [Rule(("a",), regex="f.*", action="keep")], {"a": "foo"}),
    ({"a": "boo"}, [Rule(("a",), regex="f", target_label="b", replacement="bar")], {"a": "boo"}),
    (A, [Rule(("c",), target_label="d", action="hashmod", modulus=1000)], {**A, "d": "976"}),
    ({"a": "foo\nbar"}, [Rule(("a",), target_label="b", action="hashmod", modulus=1000)], {"a": "foo\nbar", "b": "734"}),
    ({"a": "foo", "b1": "bar", "b2": "baz"}, [Rule(regex="(b.*)", replacement="bar_${1}", action="labelmap")],
     {"a": "foo", "b1": "bar", "b2": "baz", "bar_b1": "bar", "bar_b2": "baz"}),
    ({"a": "foo", "__meta_my_bar": "aaa", "__meta_other_foo": "b"}, [Rule(regex="__meta_(my.*)", action="labelmap")],
     {"a": "foo", "__meta_my_bar": "aaa", "__meta_other_foo": "b", "my_bar": "aaa"}),
    ({"a": "some-name-value"}, [Rule(("a",), regex="some-([^-]+)-([^,]+)", replacement="${2}", target_label="${1}")],
     {"a": "some-name-value", "name": "value"}),
    ({"a": "some-name-0"}, [Rule(("a",), regex="some-([^-]+)-([^,]+)", replacement="${2}", target_label="${3}")],
     {"a": "some-name-0"}),
    (A, [Rule(regex="(b|c)", action="labeldrop")], {"a": "foo"}),
    (A, [Rule(regex="(b|c)", action="labelkeep")], {"b": "bar", "c": "baz"}),
    ({"foo": "bAr123Foo"}, [Rule(("foo",), action="uppercase", target_label="up"), Rule(("foo",), action="lowercase", target_label="low")],
     {"foo": "bAr123Foo", "up": "BAR123FOO", "low": "bar123foo"}),
    ({"p": "1", "q": "1"}, [Rule(("p",), action="keepequal", target_label="q")], {"p": "1", "q": "1"}),
    ({"p": "1", "q": "2"}, [Rule(("p",), action="keepequal", target_label="q")], None),
    ({"p": "1", "q": "1"}, [Rule(("p",), action="dropequal", target_label="q")], None),
    ({"a": "foo"}, [Rule(("a",), target_label="a", replacement="")], {}),
]  # fmt: skip


@pytest.mark.parametrize(("labels", "rules", "expected"), CASES)
def test_labels_come_out_as_prometheus_gives_them(labels, rules, expected):
    """Matches are anchored; an empty value removes a label; the input stays as it was."""
    before = dict(labels)
    assert relabel(rules, labels) == expected
    assert labels == before
