"""The moment of a morning against a wall clock watched minute by minute, in zones whose clocks do odd things."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from head_office.reports.mornings.morning_moments import MOST_CAUGHT_UP, due_mornings, report_moment
from shared.runtime.clock import MINUTE, SECOND

# A day on or beside which the clock of the zone changes, or which its calendar leaves out.
CHANGES = {
    "Asia/Beirut": (date(2026, 3, 29), date(2026, 10, 25)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "America/Santiago": (date(2026, 4, 5), date(2026, 9, 6)),
    "Pacific/Apia": (date(2011, 12, 30), date(2011, 9, 24)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "America/St_Johns": (date(2010, 3, 14), date(2010, 11, 7)),
    "Africa/Cairo": (date(2026, 4, 24), date(2026, 10, 30)),
    "Antarctica/Troll": (date(2026, 3, 29), date(2026, 10, 25)),
    "Asia/Kathmandu": (date(2026, 5, 1),),
}
TIMES = st.integers(0, 1_439)


@st.composite
def places(draw: st.DrawFn) -> tuple[ZoneInfo, date]:
    name = draw(st.sampled_from(sorted(CHANGES)))
    near = draw(st.sampled_from(CHANGES[name]))
    return ZoneInfo(name), near + timedelta(days=draw(st.integers(-2, 2)))


def watched(day: date, zone: ZoneInfo, report_time: int) -> int | None:
    """The first minute at which somebody who watches the wall clock sees the time, or one later, on that date."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    wanted = midnight.replace(tzinfo=None) + timedelta(minutes=report_time)
    seen = False
    for minute in range(-27 * 60, 51 * 60):
        moment = midnight + timedelta(minutes=minute)
        wall = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        seen = seen or wall.date() == day
        if wall >= wanted:
            return int(moment.timestamp()) * SECOND if seen else None
    raise AssertionError("the time never came")


@given(places(), TIMES)
@settings(max_examples=150)
def test_a_morning_is_when_the_clock_shows_it_first(place: tuple[ZoneInfo, date], report_time: int) -> None:
    zone, day = place
    assert report_moment(day, zone, report_time) == watched(day, zone, report_time)


@pytest.mark.parametrize(
    ("zone", "day", "time", "utc"),
    [
        ("America/New_York", "2026-03-08", "02:30", "2026-03-08T07:00"),  # missing: the first after the gap
        ("America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30"),  # twice: the first
        ("Asia/Beirut", "2026-03-29", "00:15", "2026-03-28T22:00"),
        ("Asia/Beirut", "2026-10-24", "23:30", "2026-10-24T20:30"),
        ("Australia/Lord_Howe", "2026-10-04", "02:10", "2026-10-03T15:30"),
        ("Pacific/Apia", "2011-12-31", "00:00", "2011-12-30T10:00"),
    ],
)
def test_both_nights_of_a_clock_change(zone: str, day: str, time: str, utc: str) -> None:
    hours, minutes = time.split(":")
    found = report_moment(date.fromisoformat(day), ZoneInfo(zone), int(hours) * 60 + int(minutes))
    assert found == int(datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize("report_time", [0, 360, 1_439])
def test_a_date_that_the_calendar_leaves_out_has_no_morning(report_time: int) -> None:
    assert report_moment(date(2011, 12, 30), ZoneInfo("Pacific/Apia"), report_time) is None


@given(places(), TIMES, st.integers(0, 24 * 60 - 1), st.none() | st.integers(-12, 1), st.integers(0, 12 * 24 * 60))
@settings(max_examples=150)
def test_what_is_due(place: tuple[ZoneInfo, date], report_time: int, minute: int, made: int | None, age: int) -> None:
    zone, day = place
    now = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND + minute * MINUTE
    last_made = None if made is None else day + timedelta(days=made)
    added_at = now - age * MINUTE
    expected = []
    for back in range(-3, 20):
        each = day - timedelta(days=back)
        moment = report_moment(each, zone, report_time)
        if moment is not None and added_at <= moment <= now and (last_made is None or each > last_made):
            expected.append(each)
    assert due_mornings(now, last_made, zone, report_time, added_at) == sorted(expected)[-MOST_CAUGHT_UP:]


def test_made_one_after_the_other_every_date_comes_once() -> None:
    """Whoever looks each hour through both nights of a change makes each date once, and none twice."""
    zone, made = ZoneInfo("Asia/Beirut"), []
    begin = int(datetime(2026, 3, 20, tzinfo=UTC).timestamp()) * SECOND
    last: date | None = None
    for hour in range(24 * 240):
        for day in due_mornings(begin + hour * 60 * MINUTE, last, zone, 10, begin):
            made.append(day)
            last = day
    assert made == [date(2026, 3, 21) + timedelta(days=number) for number in range(len(made))]
    assert len(made) >= 239
