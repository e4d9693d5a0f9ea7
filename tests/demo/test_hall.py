"""The racks in time: what is usual, what is far from it, and which moment is the worst."""

import numpy as np
import pytest

from monitor.demo.hall import natural
from tests.demo.halls import MINUTE, START, hall


def test_the_worst_minute_is_that_with_most_racks_hot_or_dark():
    """One rack is hot for ten minutes; in three of them another is dark as well."""
    here = hall()
    assert here.worst() in {75, 76, 77}
    assert here.far.sum(axis=0)[[0, 70, 71, 76, 79, 80]].tolist() == [0, 0, 1, 2, 1, 0]


def test_one_wrong_reading_is_no_heat():
    """A sensor that says 99 °C once makes no moment the worst."""
    here = hall()
    here.hottest[3:, 30] = 99.0
    assert not here.far[:, 30:32].any()
    assert here.worst() in {75, 76, 77}


def test_of_minutes_with_as_many_racks_the_hottest_is_the_worst():
    """A tie is broken by the degrees above the usual."""
    here = hall()
    here.hottest[1, 76] = 93.0
    assert here.worst() == 76


def test_what_is_usual_is_the_median_of_the_first_hour():
    """What comes later changes nothing of it."""
    here = hall()
    assert here.usual == pytest.approx([60.0] * 6)
    assert here.excess[1, 75] == pytest.approx(25.0)


def test_a_rack_is_dark_only_after_it_was_heard_and_while_others_are():
    """Before its first word nobody misses it, and when nobody is heard the recording has ended."""
    here = hall()
    here.hottest[0, :5] = np.nan
    here.hottest[:, 88:] = np.nan
    assert not here.dark[0].any()
    assert list(np.flatnonzero(here.dark[2])) == [75, 76, 77]


def test_a_column_ends_where_the_next_begins():
    """Times are of the ends, as `ts` is."""
    assert hall().ends(0) == START + MINUTE


def test_entities_stand_in_the_racks_of_their_nodes():
    """GPUs by their node, racks as they are; what stands in no rack is left out."""
    found = hall().racks_of(["gpu:n0002/7", "node:n0003", "rack:r006", "switch:leaf01", "rank:train-001/3"])
    assert found == {"rack:r002", "rack:r003", "rack:r006"}


def test_numbers_in_names_sort_as_numbers():
    """Row 10 comes after row 2."""
    assert sorted(["row:row10", "row:row2", "row:row1"], key=natural) == ["row:row1", "row:row2", "row:row10"]


def test_a_rack_that_was_not_heard_in_the_first_hour_has_nothing_usual():
    """It is never hot, and no warning of numpy's is printed."""
    here = hall()
    here.hottest[4, :60] = np.nan
    assert np.isnan(here.usual[4])
    assert not here.far[4].any()
    assert here.worst() in {75, 76, 77}
