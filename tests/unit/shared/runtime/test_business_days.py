"""Business dates and moments as they are asked for."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime.business_days import as_of_moment, boundary, day_start_of, read_asked
from shared.runtime.clock import business_date, format_rfc3339

ZONES = st.sampled_from(
    ["UTC", "Asia/Beirut", "America/New_York", "Pacific/Apia", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/London"]
)


@given(st.dates(date(2001, 1, 1), date(2090, 1, 1)), ZONES, st.sampled_from([0, 90, 240, 360, 1_380]))
@example(date(2026, 10, 25), "Europe/London", 90)
def test_a_business_day_begins_at_the_first_moment_that_is_dated_so(day: date, zone: str, day_start: int) -> None:
    begin = day_start_of(day, ZoneInfo(zone), day_start)
    assert business_date(begin - 1, ZoneInfo(zone), day_start) < day <= business_date(begin, ZoneInfo(zone), day_start)
    assert as_of_moment(day, ZoneInfo(zone), day_start) + 1 == boundary(
        date.fromordinal(day.toordinal() + 1), ZoneInfo(zone), day_start
    )


def test_a_date_is_a_business_day_at_the_location_and_a_moment_is_itself() -> None:
    beirut = ZoneInfo("Asia/Beirut")
    assert format_rfc3339(boundary(read_asked("2026-01-31"), beirut, 240)) == "2026-01-31T02:00:00Z"
    assert format_rfc3339(as_of_moment(read_asked("2026-01-31"), beirut, 240)) == "2026-02-01T01:59:59.999999Z"
    moment = read_asked("2026-01-31T12:00:00+02:00")
    assert as_of_moment(moment, beirut, 240) == boundary(moment, beirut, 240) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-02-30", "1999-12-31", "2026-1-1", "2026-01-31T12:00", "20260131"]
)
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"not|no such|year"):
        read_asked(text)
