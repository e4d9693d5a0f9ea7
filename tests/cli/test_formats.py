"""docs/formats.md against the code: every field and word is in it, its examples are read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from monitor.correlate.observe import Decision
from monitor.evaluate import evaluate
from monitor.ingest.frames import ITEM_KINDS, MARK, Body, read_body
from monitor.reasons import DeadReason
from monitor.topology import KINDS, Topology
from monitor.topology.entity import Entity
from monitor.types import (
    Affected,
    Anomaly,
    Candidate,
    Cause,
    DeadLetter,
    Incident,
    IncidentState,
    SignalCount,
)

MANUAL = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", MANUAL, re.DOTALL)
RECORDS = (Affected, Anomaly, Candidate, Cause, DeadLetter, Decision, Entity, Incident, SignalCount)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([w for w in ITEM_KINDS if w != MARK], id="kinds of frames"),
        pytest.param(list(DeadReason), id="dead letters"),
        pytest.param(sorted(KINDS), id="kinds of entities"),
        pytest.param(get_args(IncidentState), id="states"),
        *[pytest.param(record.__struct_encode_fields__, id=record.__name__) for record in RECORDS],
    ],
)
def test_every_field_and_word_is_in_the_manual(words):
    """In backquotes, so that it can be found."""
    assert [word for word in words if f"`{word}`" not in MANUAL] == []


def objects(text):
    """Return the JSON values of an example, which may stand on several lines each."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def test_the_examples_are_read():
    """Frames as frames, the topology as one (of entities that are all there), truth as truth."""
    frames, change, command, topology, truth = map(objects, EXAMPLES)
    for frame in (*frames, *change, *command):
        assert isinstance(read_body(json.dumps(frame).encode()), Body)
    named = {one["id"] for one in topology}
    others = {other for one in topology for other in [one.get("parent"), *one.get("depends_on", [])] if other}
    lines = [*topology, *({"id": name} for name in sorted(others - named))]
    assert len(Topology.parse(map(json.dumps, lines)).entities) == len(lines)
    assert evaluate(truth[0], []).figures.recall == 0.0
