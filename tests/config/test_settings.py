"""Settings: defaults, then the file, then rules across fields; every problem at once."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.settings import Settings
from monitor.errors import ConfigError

ROOT = Path(__file__).parents[2]
FIELDS = msgspec.structs.fields(Settings)
PLAIN = [field for field in FIELDS if field.name != "notify"]


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Settings.parse(text, "settings.yaml")
    return caught.value.problems


def test_what_is_not_written_keeps_its_default():
    """An empty file is the default pipeline."""
    assert Settings.parse("") == Settings()
    assert Settings.parse("tick_ms: 60000\nlateness_ms: 60000") == Settings(
        tick_ms=60_000, lateness_ms=60_000
    )


def test_the_shipped_file_changes_nothing_but_states_the_budget():
    """What ships is the default; the budget stands there because it is the one number to choose."""
    text = (ROOT / "rules" / "settings.yaml").read_text()
    assert Settings.parse(text) == Settings()
    assert "page_budget_per_30d: 1.0" in text


def test_the_defaults_are_the_contracts():
    """10 s ticks, 30 s lateness, 5 min skew, one false page in 30 days."""
    default = Settings()
    assert (default.tick_ms, default.lateness_ms, default.skew_ms) == (10_000, 30_000, 300_000)
    assert default.page_budget_per_30d == 1.0
    assert (default.chart_sigmas, default.chart_run, default.min_peers) == (3.0, 7, 5)
    assert (default.own_learning_ms, default.freeze_ms) == (7_200_000, 9_000_000)


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_read(name):
    """A screw that turns nothing is worse than none."""
    readers = [path for path in (ROOT / "monitor").rglob("*.py") if path.parent.name != "config"]
    assert any(re.search(rf"settings\.{name}\b", path.read_text()) for path in readers)


def test_settings_do_not_change_once_read():
    """Nobody turns a screw while the pipeline runs."""
    with pytest.raises(AttributeError):
        Settings().tick_ms = 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tick_msx: 1", ["tick_msx: unknown key; did you mean `tick_ms`?"]),
        (
            "colour: red",
            [f"colour: unknown key; known are {', '.join(f'`{field.name}`' for field in FIELDS)}"],
        ),
        ("tick_ms: ten", ["tick_ms: expected `int`, got `str`"]),
        ("tick_ms: true", ["tick_ms: expected `int`, got `bool`"]),
        ("tick_ms: 10000.5", ["tick_ms: expected `int`, got `float`"]),
        ("tick_ms:", ["tick_ms: expected `int`, got `null`"]),
        ("tick_ms: 100", ["tick_ms: 100 is less than 1,000, the least that makes sense"]),
        ("page_budget_per_30d: 0", ["page_budget_per_30d: 0.0 is not above 0"]),
        ("page_budget_per_30d: 1e-3", ["page_budget_per_30d: `1e-3` is a text in YAML; write 1.0e-03"]),
        (
            "raise_nats: .inf",
            ["raise_nats: inf is no number to use; write a finite one, or leave the key out"],
        ),
        ("page_confidence: 90", ["page_confidence: 90.0 is no probability; write at most 1"]),
        ("skew_ms: 10000", ["skew_ms: 10,000 is less than lateness_ms, 30,000"]),
        ("raise_nats: 2", ["raise_nats: 2.0 is less than clear_nats, 3.0"]),
        ("freeze_ms: 3600000", ["freeze_ms: 3,600,000 is less than own_learning_ms, 7,200,000"]),
        ("tick_ms: 1000\ntick_ms: 2000", ["line 2: key `tick_ms` stands twice"]),
        ("[", ["line 2: not YAML: did not find expected node content"]),
        ("- tick_ms", ["expected a mapping, got a list"]),
        (
            "tick_ms: 0\nskew_ms: 0\nchart_run: 1",
            [
                "tick_ms: 0 is less than 1,000, the least that makes sense",
                "skew_ms: 0 is not above 0",
                "chart_run: 1 is less than 2, the least that makes sense",
                "skew_ms: 0 is less than lateness_ms, 30,000",
            ],
        ),
    ],
)
def test_problems_are_named_with_their_place(text, expected):
    """Each problem says which setting, what is wrong and what would be right."""
    assert problems(text) == expected


def test_the_error_names_the_file():
    """An operator with several files sees which one."""
    with pytest.raises(ConfigError, match=r"^etc/settings\.yaml: 1 problem\n  tick_ms: "):
        Settings.parse("tick_ms: 0", "etc/settings.yaml")


KEYS = st.one_of(st.sampled_from([f.name for f in FIELDS]), st.text(max_size=8))
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-10, 10**13), st.floats(), st.text(max_size=5))


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_mapping_gives_settings_or_named_problems(raw):
    """Whatever stands in the file, the answer is settings or problems, never a traceback."""
    text = msgspec.yaml.encode(raw).decode()
    named = [f"{key}: " for key in raw]
    try:
        settings, found = Settings.parse(text), []
    except ConfigError as error:
        settings, found = None, error.problems
    if settings is None:
        assert found
        assert all(any(key in problem for key in [*named, "less than"]) for problem in found)
    else:
        assert set(raw) <= set(Settings.__struct_fields__)
        assert settings.skew_ms >= settings.lateness_ms


def test_every_setting_stands_in_the_manual_with_its_default():
    """The manual is the list of what may be set."""
    rows = dict(
        re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", (ROOT / "docs" / "rules.md").read_text(), re.MULTILINE)
    )
    assert rows == {field.name: f"{field.default:,}" for field in PLAIN}


def test_every_setting_is_explained_where_it_is_declared():
    """The docstring explains each field, and nothing that is none."""
    explained = re.findall(r"^ {8}(\w+): ", Settings.__doc__, re.MULTILINE)
    assert explained == [field.name for field in FIELDS]
