"""The demo's pager: everything goes out in the time of the ticks, also what the pace holds back."""

import pytest

from monitor.config.notify import NotifySettings
from monitor.demo.pager import Pager
from monitor.site import SiteOutput
from tests.notify.lines import START, line


def output(end, *incidents):
    return SiteOutput(end, 0, (), incidents, ())


@pytest.fixture
def pager(tmp_path):
    with Pager(tmp_path / "outbox.db", NotifySettings(burst=5, per_minute=60), START) as pager:
        yield pager


def test_a_page_and_its_end_are_one_alert_with_a_log_in_event_time(pager):
    """The event is the last that said what is wrong; the end says nothing."""
    pager.take(output(START, line(id="a")))
    pager.take(output(START + 60_000, line("resolved", "resolved", START + 60_000, id="a")))
    (page,) = pager.pages()
    assert page.alert.state == "resolved"
    assert page.alert.events == 2
    assert page.event["payload"]["source"] == "cdu:c01"
    assert page.log == ((START, "trigger"), (START + 60_000, "resolve"))


def test_more_pages_than_the_channel_takes_at_once_go_out_later(pager):
    """Thirty at once: five in their tick, more in the next, the rest at the end; none is lost."""
    pager.take(output(START, *(line(id=f"i{n:02d}") for n in range(30))))
    assert pager.sent == 5
    pager.take(output(START + 10_000))
    assert 5 < pager.sent < 30
    pager.finish()
    assert pager.sent == 30
    assert len(pager.pages()) == 30


def test_what_does_not_page_goes_nowhere(pager):
    """A ticket is no page."""
    pager.take(output(START, line(id="a", severity="warning", paged_at=None, pages=0)))
    pager.finish()
    assert pager.pages() == []
