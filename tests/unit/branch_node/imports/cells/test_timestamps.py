"""Times as tills write them, and what moment a wall clock means."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.imports.cells.memo import Memo
from branch_node.imports.cells.timestamps import FormatError, TimeFormat
from branch_node.imports.cells.wall_clock import WallClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

ZONES = [
    "UTC", "America/New_York", "Europe/London", "Asia/Beirut", "Australia/Lord_Howe", "America/St_Johns",
    "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia", "Asia/Gaza",
]  # fmt: skip


def reading(shown: datetime) -> int:
    """What a clock shows, whatever its zone, as microseconds since its 1970."""
    return (shown.replace(tzinfo=UTC) - EPOCH) // MICROSECOND


def at(*parts: int) -> int:
    return reading(datetime(*parts, tzinfo=UTC))  # type: ignore[misc, arg-type]


def moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Moments in UTC from early in one year to the end of another."""
    return st.integers(at(first, 1, 3), at(last, 12, 31)).map(lambda micros: EPOCH + timedelta(microseconds=micros))


@settings(deadline=None)
@given(
    moments(2000, 2068),
    st.sampled_from(["%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%y %I:%M:%S %p", "%Y%m%d%H%M%S", "%d.%m.%Y, %H h"]),
)
def test_what_strftime_wrote_is_read(moment: datetime, said: str) -> None:
    text = moment.strftime(said)
    expected = datetime.strptime(f"{text} +0000", f"{said} %z")
    assert TimeFormat(said).read(text) == reading(expected)


@settings(deadline=None)
@given(moments(2000, 2199))
def test_microseconds(moment: datetime) -> None:
    assert TimeFormat("%Y-%m-%dT%H:%M:%S.%f").read(moment.strftime("%Y-%m-%dT%H:%M:%S.%f")) == reading(moment)


@settings(deadline=None)
@given(moments(2000, 2199), st.integers(-14 * 60, 14 * 60))
def test_a_time_with_its_offset(moment: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    for text in (f"{sign}{hours:02d}:{rest:02d}", f"{sign}{hours:02d}{rest:02d}"):
        found = TimeFormat("%Y-%m-%d %H:%M:%S.%f%z").read(moment.strftime("%Y-%m-%d %H:%M:%S.%f") + text)
        assert found == reading(moment) - minutes * 60_000_000


def test_single_digits_and_seconds_of_the_epoch() -> None:
    assert TimeFormat("%m/%d/%Y %H:%M").read("1/2/2011 8:05") == at(2011, 1, 2, 8, 5)
    assert TimeFormat("unix").read("1700000000") == 1_700_000_000_000_000
    assert TimeFormat("unix-milliseconds").read("1700000000123") == 1_700_000_000_123_000
    assert TimeFormat("%H:%M").read("00:00") == 0
    assert TimeFormat("%I %p").read("12 am") == 0
    assert TimeFormat("%I %p").read("12 P.M.") == 12 * 3_600_000_000


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("%Y-%m-%d", "2011-02-29"), ("%Y-%m-%d", "2011-2-30"), ("%Y-%m-%d", "11-02-03"), ("%Y-%m-%d", "2011-02-03 "),
        ("%Y-%m-%d", "٢٠١١-٠٢-٠٣"), ("%Y-%m-%d", "2011-02-03\n"), ("%Y%m%d", "2011123"), ("%H:%M", "24:00"), ("%H:%M",
            "12:60"),
        ("%H:%M:%S", "12:00:60"), ("%I:%M %p", "13:00 PM"), ("%I:%M %p", "0:00 AM"), ("unix", "1.5"), ("unix", "-1"),
        ("unix", ""),
        ("%H:%M%z", "12:00+25:00"), ("%Y-%m-%d", ""),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(said: str, text: str) -> None:
    with pytest.raises(ValueError):
        TimeFormat(said).read(text)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "noon",
        "%Y",
        "%Y-%m",
        "%y-%Y-%m-%d",
        "%H:%S",
        "%H.%f",
        "%I:%M",
        "%H:%M %p",
        "%M",
        "%z",
        "%Y-%m-%d %b",
        "%d.%m.",
        "%B %b %d %Y",
        "%A",
        "%",
        "%d %d",
        "%%",
    ],
)
def test_formats_that_cannot_be(said: str) -> None:
    with pytest.raises(FormatError):
        TimeFormat(said)


@settings(deadline=None)
@given(st.text(alphabet="%YymdHIMSfpz-/: T", max_size=12), st.text(alphabet="0123456789-/: TAPMapm+Zz", max_size=20))
def test_any_format_reads_or_refuses(said: str, text: str) -> None:
    with suppress(ValueError):
        TimeFormat(said).read(text)


@settings(deadline=None)
@given(moments(2000, 2037), st.sampled_from(ZONES))
def test_a_wall_clock_agrees_with_the_zone(moment: datetime, name: str) -> None:
    """What a zone's clocks showed at a moment means that moment, under one of the two rules of the repeated hour."""
    shown = moment.astimezone(ZoneInfo(name))
    local = reading(shown)
    rule = "later" if shown.fold else "earlier"
    assert WallClock(name, rule).moment(local) == reading(moment)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.integers(2000, 2037), st.integers(1, 365 * 24 * 4), st.sampled_from(ZONES))
def test_the_rules_differ_only_where_clocks_went_back(year: int, quarters: int, name: str) -> None:
    local = at(year, 1, 3) + 15 * quarters * 60_000_000
    found = []
    for rule in (None, "earlier", "later"):
        try:
            found.append(WallClock(name, rule).moment(local))
        except ValueError:
            found.append(None)  # type: ignore[arg-type]
    strict, earlier, later = found
    if strict is not None:
        assert strict == earlier == later
    elif earlier is not None:
        assert later is not None
        assert earlier < later


def test_clock_changes_by_name() -> None:
    new_york = WallClock("America/New_York", "earlier")
    with pytest.raises(ValueError, match="went forward over 2023-03-12 02:30:00"):
        new_york.moment(at(2023, 3, 12, 2, 30))
    with pytest.raises(ValueError, match='fold = "earlier" or "later"'):
        WallClock("America/New_York", None).moment(at(2023, 11, 5, 1, 30))
    first = new_york.moment(at(2023, 11, 5, 1, 30))
    second = WallClock("America/New_York", "later").moment(at(2023, 11, 5, 1, 30))
    assert (first, second) == (at(2023, 11, 5, 5, 30), at(2023, 11, 5, 6, 30))
    # Lord Howe's clocks change by half an hour, so half of an hour of theirs never was.
    howe = WallClock("Australia/Lord_Howe", None)
    with pytest.raises(ValueError, match="went forward"):
        howe.moment(at(2023, 10, 1, 2, 10))
    assert howe.moment(at(2023, 10, 1, 2, 40)) == at(2023, 9, 30, 15, 40)


@pytest.mark.parametrize("year", [1, 1999, 2200, 9999])
@pytest.mark.parametrize("zone", [None, "Europe/London"])
def test_years_out_of_range(year: int, zone: str | None) -> None:
    with pytest.raises(ValueError, match="between 2000 and 2199"):
        WallClock(zone, None).moment(reading(datetime(year, 6, 1, tzinfo=UTC)))


def test_a_memo_is_bounded_and_computes_once() -> None:
    asked: list[int] = []

    def double(number: int) -> int:
        asked.append(number)
        return number * 2

    memo = Memo(double)
    assert [memo[3], memo[3], memo[4]] == [6, 6, 8]
    assert asked == [3, 4]
    small = Memo(double, 10)
    for number in range(100):
        assert small[number] == number * 2
        assert len(small) <= 10


@pytest.mark.parametrize(
    ("format_text", "text"),
    [
        ("%H:%M:%S", "18:05"),
        ("%H:%M:%S", "18:05:5x"),
        ("%H:%M", "18:05:00"),
        ("%H:%M", "24:00"),
        ("%Y-%m-%d %H:%M:%S", "2026-01-31 18:05"),
        ("%Y-%m-%d %H:%M", "2026-01-31 18:05:00"),
        ("%Y-%m-%dT%H:%M:%S", "2026-01-31 18:05:00"),
        ("%d.%m.%Y %H:%M", "31.02.2026 18:05"),
    ],
)
def test_a_clock_of_another_form_is_refused_whatever_the_fast_way_says(format_text: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        TimeFormat(format_text).read(text)
