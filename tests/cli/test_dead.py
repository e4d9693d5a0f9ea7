"""`monitor dead`: frames that could not be read, shown to a person."""

from __future__ import annotations

import msgspec
from click.testing import CliRunner

from monitor.cli.dead import dead_group
from monitor.types import DeadLetter


def run(*arguments: object) -> str:
    result = CliRunner().invoke(dead_group, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_that_there_are_none_is_said(tmp_path):
    """An empty list is an answer; where records are asked for, it is none of them."""
    (tmp_path / "dead.ndjson").touch()
    assert run("list", "--from", tmp_path / "dead.ndjson") == "no dead letters\n"
    assert (
        run("list", "--from", tmp_path / "dead.ndjson", "--reason", "late")
        == "no dead letters with the reason late\n"
    )
    assert run("list", "--from", tmp_path / "dead.ndjson", "--json") == ""


def test_a_frame_gives_the_terminal_no_orders(tmp_path):
    """A frame is anybody's: escapes and other controls are written out."""
    letter = DeadLetter({"file": "f", "line": 7}, "malformed", "bad \x07", None, "\x1b]0;owned\x07{\u202e}")
    (tmp_path / "dead.ndjson").write_bytes(msgspec.json.encode(letter) + b"\n")
    assert run("list", "--from", tmp_path / "dead.ndjson") == (
        "file f, line 7: malformed: bad \\x07\n    \\x1b]0;owned\\x07{\\u202e}\n"
    )
