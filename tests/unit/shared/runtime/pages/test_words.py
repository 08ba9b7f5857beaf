"""Times and figures in words."""

from zoneinfo import ZoneInfo

import pytest

from shared.runtime.clock import DAY, MINUTE, SECOND, parse_rfc3339
from shared.runtime.pages.words import (
    BadLocalTime,
    age,
    aged_time,
    clock_text,
    day_text,
    exact_time,
    figure,
    figure_filters,
    holds_words,
    in_words,
    local_field,
    local_moment,
    offset_text,
    reason_words,
)

BEIRUT = ZoneInfo("Asia/Beirut")
NOON = parse_rfc3339("2026-01-31T12:00:00+02:00")[0]


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (0, "just now"),
        (4 * SECOND, "just now"),
        (5 * SECOND, "5 seconds ago"),
        (MINUTE - 1, "59 seconds ago"),
        (MINUTE, "1 minute ago"),
        (90 * MINUTE, "1 hour ago"),
        (47 * 60 * MINUTE, "1 day ago"),
        (3 * DAY, "3 days ago"),
        (-4 * SECOND, "just now"),
        (-2 * MINUTE, "in 2 minutes"),
    ],
)
def test_age(passed: int, said: str) -> None:
    assert age(NOON - passed, NOON) == said


def test_times_show_the_zone_and_tell_utc() -> None:
    assert clock_text(NOON, BEIRUT) == "31 Jan 2026, 12:00"
    assert (
        exact_time(NOON, BEIRUT, seconds=True) == '<time datetime="2026-01-31T10:00:00Z">31 Jan 2026, 12:00:00</time>'
    )
    aged = aged_time(NOON - 2 * MINUTE, NOON, BEIRUT)
    assert aged == '<time datetime="2026-01-31T09:58:00Z" title="31 Jan 2026, 11:58:00">2 minutes ago</time>'
    assert offset_text(NOON, BEIRUT) == "UTC+02:00"
    assert offset_text(NOON, ZoneInfo("America/St_Johns")) == "UTC\N{MINUS SIGN}03:30"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0"),
        ("-0.5", "\N{MINUS SIGN}0.5"),
        ("1234", "1234"),
        ("12345.678", '12<span class="g">345</span>.678'),
        ("-123456", '\N{MINUS SIGN}123<span class="g">456</span>'),
        ("1000000", '1<span class="g">000</span><span class="g">000</span>'),
    ],
)
def test_a_figure_groups_its_digits_without_changing_them(text: str, shown: str) -> None:
    assert figure(text) == f'<data value="{text}">{shown}</data>'


@pytest.mark.parametrize(("text", "sign"), [("5", "+"), ("-5", "\N{MINUS SIGN}"), ("0", ""), ("0.001", "+")])
def test_a_change_has_its_sign(text: str, sign: str) -> None:
    assert figure(text, signed=True) == f'<data value="{text}">{sign}{text.removeprefix("-")}</data>'


def test_constants_as_words() -> None:
    assert in_words("PURCHASE_RECEIVED") == "Purchase received"


def test_a_local_time_is_read_on_the_zones_clock() -> None:
    assert local_moment("2026-01-31T12:00", BEIRUT) == NOON
    assert local_moment("2026-01-31T12:00:30", BEIRUT) == NOON + 30 * SECOND
    assert local_field(NOON, BEIRUT) == "2026-01-31T12:00"
    assert local_field(NOON + 30 * SECOND + 1, BEIRUT) == "2026-01-31T12:00:30"


def test_the_first_of_two_equal_times_is_meant() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert local_moment("2025-10-26T02:30", berlin) == parse_rfc3339("2025-10-26T02:30:00+02:00")[0]


@pytest.mark.parametrize(
    "text", ["", "noon", "2026-02-30T12:00", "2026-01-31T12:00+02:00", "1999-12-31T23:59", "9999-12-31T23:59"]
)
def test_what_is_no_local_time(text: str) -> None:
    with pytest.raises(BadLocalTime):
        local_moment(text, BEIRUT)


def test_a_time_that_the_clocks_leapt_over() -> None:
    with pytest.raises(BadLocalTime, match="put forward"):
        local_moment("2026-03-29T02:30", ZoneInfo("Europe/Berlin"))


def test_a_reason_in_words() -> None:
    assert reason_words("over-received") == "over received"
    assert reason_words("spoiled_by_heat") == "spoiled by heat"


@pytest.mark.parametrize(
    ("text", "found"), [("", True), ("MILK", True), ("fresh mil", True), ("l 47", True), ("milk oat", False)]
)
def test_every_word_of_a_search_is_looked_for(text: str, found: bool) -> None:
    assert holds_words(text, ("milk", "Fresh milk 1 l", None, "4711")) is found


def test_the_filters_of_quantities() -> None:
    filters = figure_filters(str)
    assert filters["quantity"](12) == figure("12")
    assert filters["change"](12) == figure("12", signed=True)


def test_a_date_is_read_as_words_and_kept_for_machines() -> None:
    assert day_text("2026-03-09") == '<time datetime="2026-03-09">9 Mar 2026</time>'
