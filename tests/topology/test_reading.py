import re

import pytest

from monitor.errors import TopologyError
from monitor.topology import Topology


def problems(*lines):
    with pytest.raises(TopologyError) as caught:
        Topology.parse(lines, "t.ndjson")
    assert caught.value.where == "t.ndjson"
    return caught.value.problems


def line(entity, **fields):
    pairs = [f'"id": "{entity}"', *[f'"{name.rstrip("_")}": {value}' for name, value in fields.items()]]
    return "{" + ", ".join(pairs) + "}"


def test_every_problem_is_told_at_once_with_its_line_in_order():
    """A topology is refused with all its problems, each with its line, in the order of the lines."""
    found = problems(
        line("node:n1", parent='"rack:r9"'),
        "{",
        "",
        "[1]",
        '{"parent": "rack:r1"}',
        line(
            "rack:r1",
            parent="7",
            depends_on='"cdu:c1"',
            owner="[]",
            tags='{"a": 1}',
            from_='"x"',
            until="1.5",
        ),
        line("gpu", parent='"node"', depends_on='["cdu", "cdu:c2"]'),
        line("cdu:c1", from_="5", until="5"),
        line("node:n1"),
        line("row:a", parent='"row:b"'),
        line("row:b", parent='"row:a"'),
    )
    assert [re.sub(r" \(JSON is .*\)", "", text) for text in found] == [
        "line 1: `parent` `rack:r9` is not in the topology",
        "line 2: not JSON (Input data was truncated)",
        "line 4: must be an object, not [1]",
        "line 5: `id` is missing",
        'line 6: `depends_on` must be a list of texts, not "cdu:c1"',
        'line 6: `from` must be a whole number of milliseconds, not "x"',
        "line 6: `owner` must be text, not []",
        "line 6: `parent` must be text, not 7",
        'line 6: `tags` must be an object of texts, not {"a":1}',
        "line 6: `until` must be a whole number of milliseconds, not 1.5",
        "line 7: `depends_on` must be `kind:name`, not `cdu`",
        "line 7: `id` must be `kind:name`, not `gpu`",
        "line 7: `parent` must be `kind:name`, not `node`",
        "line 8: `until` (5) must be later than `from` (5)",
        "line 9: `node:n1` is on line 1 too, for a time that overlaps",
        "line 10: `parent` goes in a circle: row:a -> row:b -> row:a",
    ]


def test_one_broken_line_does_not_break_those_that_refer_to_it():
    """A reference to an entity whose own line is bad is not told as unknown."""
    node = line("node:n1", parent='"rack:r1"', depends_on='["rack:r1", "rack:r2", "cdu:c1"]')
    assert problems(line("rack:r1", owner="7"), node, line("rack:r2", parent='"row"')) == [
        "line 1: `owner` must be text, not 7",
        "line 2: `depends_on` `cdu:c1` is not in the topology",
        "line 3: `parent` must be `kind:name`, not `row`",
    ]


@pytest.mark.parametrize("bad", ["true", "1.5", '"1"', "1e400"])
def test_times_are_whole_numbers(bad):
    """A time that is no whole number is refused."""
    assert len(problems(line("node:n1", from_=bad))) == 1


@pytest.mark.parametrize(
    "bad", [b"\xff", b'{"id": "node:\xff"}', b"{'id': 'a:b'}", b'{"id": "a:b"} x', b'"a:b"', b"null", b"NaN"]
)
def test_what_is_no_json_object_is_refused(bad):
    """Bytes that are no JSON object in UTF-8 are one problem on their line."""
    (problem,) = problems(b'{"id": "node:n1"}', bad)
    assert problem.startswith("line 2: ")


@pytest.mark.parametrize("bad", ["", "n1", ":n1", "node:", "no de:n1", "a/b:n1", "node: n1", "node:n1 "])
def test_an_id_is_kind_and_name(bad):
    """An id without a kind or a name, or with blanks where none belong, is refused."""
    assert problems(line(bad)) == [f"line 1: `id` must be `kind:name`, not `{bad}`"]


def test_text_bytes_blank_lines_nulls_and_unknown_fields_are_read():
    """Lines may be text or bytes; blank ones, nulls and fields that are not ours say nothing."""
    topology = Topology.parse(
        [
            "\n",
            '{"id": "node:n1", "parent": null, "depends_on": null, "tags": null, "until": null}\n',
            b'{"id": "gpu:n1/0", "parent": "node:n1", "colour": 3}\r\n',
        ]
    )
    assert topology.at(0).ids == ("gpu:n1/0", "node:n1")


def test_a_dependency_named_twice_counts_once():
    """A repeated dependency is one edge."""
    graph = Topology.parse([line("cdu:c"), line("rack:r", depends_on='["cdu:c", "cdu:c"]')]).at(0)
    assert graph.dependencies(1).tolist() == [0]
    assert graph.depends.nnz == 1


def test_references_must_share_some_time():
    """A parent or dependency that exists only at other times is refused; a shared moment will do."""
    rack = [line("rack:r", until="10"), line("rack:r", from_="20", until="30")]
    for from_, until in [("10", "20"), ("30", "40"), ("30", "null"), ("15", "16")]:
        child = {"from_": from_, "until": until}
        assert problems(*rack, line("node:n", parent='"rack:r"', depends_on='["rack:r"]', **child)) == [
            "line 3: `depends_on` `rack:r` exists only at other times",
            "line 3: `parent` `rack:r` exists only at other times",
        ]
    for from_, until in [("9", "20"), ("10", "21"), ("29", "null"), ("null", "null")]:
        Topology.parse([*rack, line("node:n", parent='"rack:r"', from_=from_, until=until)])


def test_one_id_may_stand_more_than_once_while_its_times_do_not_overlap():
    """Lines of one id may touch but not overlap; each that overlaps an earlier one is told."""
    Topology.parse([line("job:a", from_="10"), line("job:a", until="10")])
    assert problems(
        line("job:a", from_="30"),
        line("job:a", until="10"),
        line("job:a", from_="9", until="20"),
        line("job:a", from_="12", until="15"),
        line("job:a", from_="15", until="31"),
    ) == [
        "line 3: `job:a` is on line 2 too, for a time that overlaps",
        "line 4: `job:a` is on line 3 too, for a time that overlaps",
        "line 5: `job:a` is on line 1 too, for a time that overlaps",
        "line 5: `job:a` is on line 3 too, for a time that overlaps",
    ]
