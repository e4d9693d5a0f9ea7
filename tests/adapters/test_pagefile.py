"""Pages as lines of a file."""

from __future__ import annotations

import msgspec

from monitor.adapters.pagefile import PageFile
from monitor.config.notify import NotifySettings
from monitor.notify.pagerduty import event
from monitor.notify.records import Action, Notice
from monitor.reasons import Outcome
from tests.notify.lines import START, line


def test_each_page_is_a_line_with_the_event_that_pagerduty_would_get(tmp_path):
    """Directories are made; a line that a kill left torn ends before the next."""
    file = tmp_path / "new" / "pages.ndjson"
    channel = PageFile(file, NotifySettings())
    notice = Notice("file-1", Action.TRIGGER, "k", line(), START)
    assert channel.send(notice).outcome == Outcome.OK
    with file.open("ab") as stream:
        stream.write(b'{"at": "torn')
    assert channel.send(notice).outcome == Outcome.OK
    first, torn, last = file.read_bytes().splitlines()
    assert first == last
    assert torn == b'{"at": "torn'
    written = msgspec.json.decode(first)
    assert written["event"] == msgspec.json.decode(msgspec.json.encode(event(notice, NotifySettings())))
    assert (written["at"], written["action"]) == ("2026-11-24T06:00:00.000Z", "trigger")


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path):
    """What is in the way may be taken out of it."""
    (tmp_path / "pages").mkdir()
    answer = PageFile(tmp_path / "pages", NotifySettings()).send(
        Notice("f-1", Action.TRIGGER, "k", line(), START)
    )
    assert answer.outcome == Outcome.UNREACHABLE
    assert "Is a directory" in answer.detail
