"""The truth of a simulator that is not ours is read as it is."""

import json
from pathlib import Path

import pytest

from monitor.evaluate import evaluate

FLEETS = Path(__file__).parents[3] / "shared" / "data" / "foreign_fleet"

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not FLEETS.exists(), reason="the shared data is not here: foreign_fleet"),
]


def page(cause, at):
    times = dict.fromkeys(["opened_at", "detected_at", "paged_at", "updated_at"], at)
    named = {"cause": {"entity": cause}, "severity": "error", "class": "infrastructure"}
    return {"id": cause, "pages": 1, **times, **named}


def test_right_pages_find_every_fault_and_pages_on_side_effects_are_not_false():
    """A page on each fault's entity scores in full; on a side effect it is extra, in clean time false."""
    truths = [json.loads(path.read_text()) for path in sorted(FLEETS.glob("*/truth.json"))]
    assert len(truths) >= 5
    for truth in truths:
        right = [page(fault["entity"], fault["start"] + 1) for fault in truth["faults"]]
        extra = [page(fault["related"][0], fault["start"] + 1) for fault in truth["faults"]]
        wrong = page("row:nowhere", truth["clean"][0][0])
        report = evaluate(truth, [*right, *extra, wrong])
        share = 1.0 if right else None
        assert report.figures.recall == report.figures.cause_top1 == report.figures.class_right == share
        assert report.figures.pages_per_fault == (2.0 if right else None)
        assert [false.incident for false in report.false] == ["row:nowhere"]
