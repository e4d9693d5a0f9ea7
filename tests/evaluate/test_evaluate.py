"""Incidents against truth (contract: `monitor evaluate`, Truth)."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import UsageError
from monitor.evaluate import Report, evaluate, judge, pool
from monitor.units import DAY, MINUTE

START, END = 1_000_000_000, 1_000_600_000
_numbers = itertools.count()


def fault(entity="rack:r1", **fields):
    return {
        "id": f"fault-{entity}",
        "scenario": "rack-power",
        "entity": entity,
        "class": "infrastructure",
        "start": START,
        "end": END,
        "affected": [entity, "node:n1", "gpu:n1/0"],
        "pages": True,
    } | fields


def incident(cause="rack:r1", paged_at=START + MINUTE, **fields):
    at = START + MINUTE if paged_at is None else paged_at
    return {
        "id": f"i{next(_numbers):03d}",
        "episode": 1,
        "state": "open",
        "severity": "error",
        "class": "infrastructure",
        "opened_at": at - 20_000,
        "detected_at": at - 10_000,
        "paged_at": paged_at,
        "updated_at": at,
        "cause": {"entity": cause, "reason": "x", "confidence": 0.9, "explanation": ""},
        "candidates": [{"entity": cause, "score": 0.9, "evidence": []}],
        "anomalies": 10,
        "pages": 0 if paged_at is None else 1,
        "merged_into": None,
    } | fields


def score(faults, incidents, **truth):
    return evaluate({"faults": faults, **truth}, incidents)


def test_one_fault_found_by_its_own_name():
    """A page in time on the fault's entity finds it, with delays from the fault's start."""
    page = incident()
    report = score([fault()], [page])
    (row,) = report.faults
    assert (row.found, row.incident, row.cause, row.rank, row.class_right) == (
        True,
        page["id"],
        "rack:r1",
        1,
        True,
    )
    assert (row.detect_ms, row.page_ms, row.pages) == (50_000, 60_000, 1)
    figures = report.figures
    assert figures.recall == figures.precision == figures.cause_top1 == figures.cause_top3 == 1.0
    assert figures.page_delay_median_ms == figures.page_delay_p90_ms == 60_000
    assert figures.detect_delay_median_ms == 50_000
    assert (figures.pages_per_fault, figures.false_pages, figures.compression) == (1.0, 0, 10.0)
    assert report.false == ()


@pytest.mark.parametrize(
    ("paged_at", "found"),
    [
        (START - 1, False),
        (START, True),
        (END, True),
        (END + 30 * MINUTE, True),
        (END + 30 * MINUTE + 1, False),
        (None, False),
    ],
)
def test_a_page_counts_from_the_start_to_30_minutes_after_the_end(paged_at, found):
    """The borders of the window belong to it; a page outside is false, no page is none."""
    report = score([fault()], [incident(paged_at=paged_at)])
    assert report.faults[0].found is found
    assert report.figures.false_pages == (not found and paged_at is not None)


def test_the_truth_may_say_how_long_a_fault_settles_or_that_it_never_ended():
    """`settle_ms` replaces the 30 minutes; without an end every later page is in time."""
    late = incident(paged_at=END + 6 * MINUTE)
    assert not score([fault(settle_ms=5 * MINUTE)], [late]).faults[0].found
    assert score([fault(end=None)], [incident(paged_at=END + 100 * DAY)]).faults[0].found


def test_naming_an_affected_entity_finds_the_fault_but_not_its_cause():
    """An affected entity finds it; the cause is right among the first three where a candidate is."""
    three = [{"entity": name} for name in ("node:n1", "gpu:n1/0", "rack:r1")]
    report = score([fault()], [incident("node:n1", candidates=three)])
    assert (report.figures.recall, report.figures.cause_top1, report.figures.cause_top3) == (1.0, 0.0, 1.0)
    assert report.faults[0].rank == 3
    fourth = [{"entity": name} for name in ("node:n1", "gpu:n1/0", "gpu:n1/1", "rack:r1")]
    assert score([fault()], [incident("node:n1", candidates=fourth)]).figures.cause_top3 == 0.0
    assert score([fault()], [incident("node:n1", candidates=[])]).faults[0].rank is None


def test_the_named_cause_stands_before_the_candidates():
    """A cause that is not the first candidate still counts as the first answer."""
    others = [{"entity": name} for name in ("node:n1", "gpu:n1/0", "rack:r1")]
    assert score([fault()], [incident("rack:r1", candidates=others)]).faults[0].rank == 1


def test_other_right_answers_and_classes_are_right():
    """`also_accept` and `also_class` are as good as the fault's own entity and class."""
    truth = fault(also_accept=["pdu:p1"], also_class=["data"])
    row = score([truth], [incident("pdu:p1", **{"class": "data"})]).faults[0]
    assert (row.found, row.rank, row.class_right) == (True, 1, True)
    row = score([truth], [incident("rack:r1", **{"class": "cost"})]).faults[0]
    assert (row.found, row.class_right) == (True, False)


def test_a_page_on_a_side_effect_is_an_extra_page_and_not_a_false_one():
    """A page on a related entity during a fault finds nothing and counts to the fault's pages."""
    truth = fault(related=["job:j"])
    report = score([truth], [incident(), incident("job:j")])
    assert (report.figures.pages_per_fault, report.figures.false_pages) == (2.0, 0)
    assert report.figures.precision == 0.5
    alone = score([truth], [incident("job:j")])
    assert (alone.figures.recall, alone.figures.pages_per_fault, alone.figures.false_pages) == (0.0, 1.0, 0)
    after = score([truth], [incident("job:j", paged_at=END + 31 * MINUTE)])
    assert after.figures.false_pages == 1


def test_the_last_line_of_an_incident_is_how_it_stands():
    """A cause that was changed after the page is judged as it became; episodes stand apart."""
    first = incident("node:n1")
    refined = first | {"cause": {"entity": "rack:r1"}, "updated_at": END}
    assert score([fault()], [first, refined]).figures.cause_top1 == 1.0
    assert score([fault()], [refined, first]).figures.cause_top1 == 0.0
    again = first | {"episode": 2, "paged_at": START + DAY}
    report = score([fault()], [first, again])
    assert (report.counts.incidents, report.figures.false_pages) == (2, 1)


def test_pages_are_counted_as_often_as_a_person_was_called():
    """An incident that paged twice is two pages, for a fault or for nothing."""
    report = score([fault()], [incident(pages=2), incident("row:x", pages=3)])
    assert (report.figures.pages_per_fault, report.figures.false_pages) == (2.0, 3)
    assert (report.counts.pages, report.counts.paged) == (5, 2)


def test_the_first_page_is_the_one_that_found_it():
    """Of several that find a fault the first counts, whatever the order of the lines."""
    early, late = (
        incident("node:n1", paged_at=START + MINUTE),
        incident("rack:r1", paged_at=START + 5 * MINUTE),
    )
    for lines in ([early, late], [late, early]):
        (row,) = score([fault()], lines).faults
        assert (row.incident, row.page_ms, row.pages) == (early["id"], MINUTE, 2)


def test_a_page_belongs_to_the_nearest_fault():
    """Where faults overlap, a page is counted once: to the fault that it names, then to the narrower one."""
    wide = fault("cdu:c1", affected=["cdu:c1", "rack:r1", "node:n1", "gpu:n1/0", "gpu:n2/0"], start=START + 1)
    narrow = fault("rack:r1")
    report = score([wide, narrow], [incident("rack:r1"), incident("cdu:c1", paged_at=START + 2 * MINUTE)])
    cdu, rack = report.faults
    assert (cdu.cause, cdu.pages, rack.cause, rack.pages) == ("cdu:c1", 1, "rack:r1", 1)
    on_both = score([wide, narrow], [incident("node:n1")])
    assert [row.pages for row in on_both.faults] == [0, 1]
    assert on_both.figures.recall == 1.0, "it names an affected entity of either"


def test_of_two_faults_in_one_place_a_page_belongs_to_the_later():
    """While an earlier fault of the same place settles, a page is the later one's."""
    second = fault(id="again", start=END + MINUTE, end=END + 20 * MINUTE)
    for order in ([fault(), second], [second, fault()]):
        report = score(order, [incident(), incident(paged_at=END + 2 * MINUTE)])
        assert [row.pages for row in report.faults] == [1, 1]


def test_merged_incidents_are_judged_by_what_they_were_merged_into():
    """The page of a swallowed incident belongs to its survivor's cause and is no incident of its own."""
    survivor = incident("rack:r1", paged_at=None, opened_at=START - 30_000)
    swallowed = incident("gpu:x/0", state="merged", merged_into=survivor["id"])
    report = score([fault()], [survivor, swallowed])
    assert (report.figures.recall, report.figures.cause_top1, report.figures.false_pages) == (1.0, 1.0, 0)
    assert (report.faults[0].incident, report.counts.incidents) == (survivor["id"], 1)
    assert report.figures.compression == 10.0


def test_a_merge_leads_to_the_episode_that_was_open():
    """A merge names an id: the episode that had begun by then is meant."""
    early = incident("rack:r1", paged_at=None, id="s", opened_at=START)
    later = incident("row:x", paged_at=None, id="s", episode=2, opened_at=END)
    swallowed = incident("gpu:x/0", merged_into="s", updated_at=START + 2 * MINUTE)
    assert score([fault()], [early, later, swallowed]).figures.recall == 1.0


def test_merges_that_lead_nowhere_or_round_are_taken_as_they_stand():
    """An unknown heir, or two that swallowed each other, do no harm."""
    lost = incident("rack:r1", merged_into="i-none")
    a, b = incident("rack:r1", id="a", merged_into="b"), incident("rack:r1", id="b", merged_into="a")
    assert score([fault()], [lost]).figures.recall == 1.0
    assert score([fault()], [a, b]).figures.recall == 1.0


def test_a_fault_that_wants_no_page_makes_a_page_false():
    """`pages` false: a page on it is false, silence is right, and it is no part of recall."""
    quiet = fault(pages=False)
    report = score([quiet], [incident()])
    assert (report.figures.recall, report.figures.false_pages) == (None, 1)
    assert report.false[0].why == "no page was wanted for fault-rack:r1"
    assert score([quiet], []).figures.false_pages == 0


def test_a_page_that_is_optional_is_neither_asked_for_nor_false():
    """`page_optional`: found or not, it changes neither recall nor the false pages."""
    optional = fault(page_optional=True)
    for lines in ([], [incident()]):
        report = score([optional], lines)
        assert (report.figures.recall, report.figures.false_pages) == (None, 0)
        assert report.faults[0].found is bool(lines)
    assert report.figures.precision == 1.0
    assert report.figures.pages_per_fault is None


@pytest.mark.parametrize(("severity", "made"), [("warning", 1.0), ("error", 1.0), ("info", 0.0)])
def test_a_ticket_is_an_incident_of_severity_warning_or_above(severity, made):
    """`ticket`: an incident in time that names it and pages nobody is what is wanted."""
    wants = fault(pages=False, ticket=True)
    report = score([wants], [incident(paged_at=None, severity=severity)])
    assert (report.figures.ticket_recall, report.figures.recall) == (made, None)
    assert report.faults[0].page_ms is None
    assert score([wants], [incident(severity=severity)]).figures.false_pages == 1
    before = incident(paged_at=None, severity=severity, detected_at=START - 1)
    assert score([wants], [before]).figures.ticket_recall == 0.0


def test_false_pages_say_why():
    """A false page is told with what was going on."""
    pages = {
        "nothing was wrong then": incident("row:x", paged_at=START - DAY),
        "outside the time of fault-rack:r1": incident("node:n1", paged_at=START - MINUTE),
        "during fault-rack:r1, which does not touch it": incident("row:x"),
    }
    report = score([fault()], list(pages.values()))
    assert {page.why: page.incident for page in report.false} == {why: p["id"] for why, p in pages.items()}


def test_a_missed_fault_tells_what_named_it():
    """A fault that an incident named without paging is missed, and the row says so."""
    silent = incident(paged_at=None)
    (row,) = score([fault()], [silent]).faults
    assert (row.found, row.note) == (False, f"incident {silent['id']} names rack:r1 but did not page in time")
    assert score([fault()], []).faults[0].note == ""


def test_nothing_to_score_is_undefined_and_not_zero():
    """Without faults and incidents the shares are None."""
    report = score([], [])
    undefined = {name for name, value in msgspec.structs.asdict(report.figures).items() if value is None}
    assert undefined == set(report.figures.__struct_fields__) - {"false_pages"}
    assert report.figures.false_pages == 0


def test_pages_in_clean_time_are_counted_for_30_days():
    """Two pages in ten clean days are six in thirty; the end of a stretch is outside."""
    clean = [[START, START + 4 * DAY], [START + 5 * DAY, START + 11 * DAY]]
    at = [START, START + 4 * DAY, START + 5 * DAY]
    report = score([], [incident("row:x", paged_at=ts) for ts in at], clean=clean)
    assert report.figures.clean_pages_per_30d == 6.0
    assert report.figures.false_pages == 3


def test_pooled_runs_are_scored_as_one():
    """Pooling adds what was counted and takes quantiles over all faults."""
    runs = [
        score([fault()], [incident(paged_at=START + MINUTE)]),
        score([fault()], [incident("node:n1", paged_at=START + 3 * MINUTE, anomalies=40), incident("row:x")]),
        score([fault()], []),
    ]
    whole = pool(runs)
    assert whole.counts.runs == 3
    assert whole.figures.recall == pytest.approx(2 / 3)
    assert whole.figures.cause_top1 == 0.5
    assert whole.figures.precision == pytest.approx(2 / 3)
    assert whole.figures.page_delay_median_ms == 2 * MINUTE
    assert whole.figures.page_delay_p90_ms == pytest.approx(2.8 * MINUTE)
    assert (whole.figures.false_pages, whole.figures.compression) == (1, 20.0)
    assert pool([runs[0]]) == runs[0]
    assert pool([]).figures.recall is None


def test_needs_are_judged_from_the_right_side():
    """More is better but for delays, pages a fault and false pages; what is undefined meets nothing."""
    report = score([fault()], [incident(pages=2), incident("row:x")])
    assert (
        judge(report, {"recall": 1.0, "false_pages": 1, "pages_per_fault": 2, "page_delay_p90_ms": 60_000})
        == []
    )
    assert judge(report, {"recall": 1.01, "precision": 0.51, "false_pages": 0, "ticket_recall": 0}) == [
        "recall is 1, needed at least 1.01",
        "precision is 0.5, needed at least 0.51",
        "false_pages is 1, needed at most 0",
        "ticket_recall is undefined, needed at least 0",
    ]
    with pytest.raises(UsageError, match="no such figure: recal; there are recall, "):
        judge(report, {"recal": 1.0})


def test_records_that_cannot_be_scored_are_refused():
    """A truth or an incident without what the score needs is told with its place."""
    with pytest.raises(UsageError, match=r"truth: .*`entity`.*faults\[0\]"):
        evaluate({"faults": [{"id": "x", "start": 1}]}, [])
    with pytest.raises(UsageError, match=r"incidents: .*`cause`.*\$\[1\]"):
        evaluate({}, [incident(), {"id": "x"}])


def test_a_report_can_be_written_and_read():
    """A report is a record: JSON and back."""
    report = score([fault(), fault("row:x")], [incident(), incident("job:x")])
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


ENTITIES = ["rack:r1", "node:n1", "job:j", "row:x"]


@given(
    st.lists(
        st.tuples(st.sampled_from(ENTITIES), st.integers(-2, 45), st.integers(1, 3), st.booleans()),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_every_page_is_counted_exactly_once(pages, random):
    """Each page belongs to one fault or is false, and the order of different incidents changes nothing."""
    faults = [fault(related=["job:j"]), fault("node:n1", start=START + 5 * MINUTE, affected=["gpu:n1/0"])]
    lines = [
        incident(
            cause, START + minute * MINUTE, pages=count, id=f"i{k}", severity="critical" if hot else "error"
        )
        for k, (cause, minute, count, hot) in enumerate(pages)
    ]
    report = score(faults, lines)
    assert sum(row.pages for row in report.faults) + report.figures.false_pages == report.counts.pages
    found = [
        any(
            line["cause"]["entity"] in {f["entity"], *f["affected"]}
            and f["start"] <= line["paged_at"] <= f["end"] + 30 * MINUTE
            for line in lines
        )
        for f in faults
    ]
    assert [row.found for row in report.faults] == found
    random.shuffle(lines)
    assert score(faults, lines) == report
