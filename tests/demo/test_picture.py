"""The picture of the hall: valid, complete, and true to what it shows."""

import re
from xml.etree.ElementTree import fromstring

import pytest

from monitor.demo.picture import DARK, SHADES, WIDE, draw, shade
from tests.demo.halls import hall, mark

SVG = "{http://www.w3.org/2000/svg}"


def picture(here=None, marks=()):
    return fromstring(draw(here or hall(), 10_000, list(marks)))


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


def cells(root):
    return {g.get("data-rack"): g for g in root.iter(f"{SVG}g")}


def test_it_is_one_cell_a_rack_with_what_it_shows():
    """The hot rack is 85 °C in the colour of 25 degrees too many, the silent one is dark."""
    found = cells(picture())
    assert list(found) == [f"rack:r{i:03d}" for i in range(1, 7)]
    hot, dark, usual = found["rack:r002"], found["rack:r003"], found["rack:r001"]
    assert hot.find(f"{SVG}title").text == "rack:r002: 85 °C, usually 60 °C"
    assert hot.find(f"{SVG}rect").get("fill") == shade(25.0)
    assert [t.text for t in dark.iter(f"{SVG}text")] == ["r003", "dark"]
    assert dark.find(f"{SVG}rect").get("fill") == DARK
    assert usual.find(f"{SVG}rect").get("fill") == shade(0.0)


def test_it_says_when_where_and_in_which_unit():
    """Title with the time, why this moment, the scale in degrees."""
    said = texts(picture())
    assert said[0] == "10,000 GPUs at the worst moment: 24 Nov 2026, 07:18 UTC"
    assert "in which most racks, 2 of 6, were dark, or lastingly 10 °C or more above their usual" in said[1]
    assert {"usual", "+10 °C", "+15 °C", "+20 °C", "dark: nothing heard"} <= set(said)


def test_faults_that_are_on_are_framed_and_numbered_and_all_are_listed():
    """One is over, one is on, one not yet, one just over; the second and the last are on the floor."""
    marks = [
        mark("gpu-fan at gpu:n0001/1", 10, 20, "rack:r001", named="gpu:n0001/1 gpu_overheating", paged=12),
        mark("cdu-flow at cdu:c01", 65, 80, "rack:r002", "rack:r004", named="cdu:c01 coolant", paged=70),
        mark("rack-power at rack:r006", 85, 88, "rack:r006"),
        mark("node-cooling at node:n0004", 60, 70, "rack:r004"),
    ]
    root = picture(marks=marks)
    frames = [r for r in root.iter(f"{SVG}rect") if r.get("fill") == "none" and r.get("width") == "50"]
    assert len(frames) == 2  # r004 has two faults and one frame
    said = texts(root)
    assert said.count("2") == 3
    assert said.count("4") == 2
    assert said.count("1") == said.count("3") == 1
    assert [said[said.index(m.what) + 2] for m in marks] == ["over", "on", "not yet", "just over"]
    assert said[said.index(marks[1].what) + 3] == "07:10:00  cdu:c01 coolant"
    assert said[said.index(marks[2].what) + 3] == "nothing"


def test_a_fault_in_many_racks_is_a_dot_in_each():
    """Frames around half of the hall would show nothing."""
    here = hall(rows=WIDE, deep=2)
    root = picture(here, [mark("job-crash at job:train-001", 60, 80, *here.racks[: WIDE + 1])])
    dots = [c for c in root.iter(f"{SVG}circle") if c.get("r") == "3.5"]
    assert len(dots) == WIDE + 1 + 1  # and one in the legend


def test_nothing_lies_outside_of_it_or_on_another_rack():
    """Every cell has its own place within the picture, for halls of any shape."""
    for shape in ((1, 8), (3, 2), (20, 8)):
        root = picture(hall(*shape), [mark("x", 60, 80, "rack:r001")])
        width, height = float(root.get("width")), float(root.get("height"))
        places = {
            (g.find(f"{SVG}rect").get("x"), g.find(f"{SVG}rect").get("y")) for g in cells(root).values()
        }
        assert len(places) == shape[0] * shape[1]
        assert all(0 <= float(x) <= width - 50 and 0 <= float(y) <= height - 44 for x, y in places)
        assert all(0 < float(t.get("y")) < height for t in root.iter(f"{SVG}text"))


def test_names_are_escaped():
    """An entity may be called anything."""
    assert "job:<a & b>" in texts(picture(marks=[mark("job:<a & b>", 1, 2)]))


@pytest.mark.parametrize(("excess", "colour"), SHADES)
def test_shades_are_those_of_the_scale(excess, colour):
    """At its stops the scale has the colours that are named, beyond its ends the last ones."""
    assert shade(excess) == colour
    assert re.fullmatch(r"#[0-9a-f]{6}", shade(excess + 1.7))
