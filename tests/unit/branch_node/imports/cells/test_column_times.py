"""Times in several formats, with names of months, without years, and as workbooks keep them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from babel.dates import format_date
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.imports.cells.month_names import UnknownLanguage, folded, month_names
from branch_node.imports.cells.timestamps import ColumnTimes, FormatError, Role, TimeFormat, year_rule
from branch_node.imports.cells.wall_clock import WallClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(*parts: int) -> int:
    return (datetime(*parts, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("locale", "said", "text", "found"),
    [
        ("fr", "%d %b %Y", "31 janv. 2026", (2026, 1, 31)), ("fr", "%d %B %Y", "1 août 2026", (2026, 8, 1)),
        ("fr", "%d %b %Y", "1 AOÛT 2026", (2026, 8, 1)), ("de", "%d. %B %Y", "3. März 2026", (2026, 3, 3)),
        ("de", "%d.%b.%Y", "3.Okt.2026", (2026, 10, 3)), ("en", "%d%b%y", "3Oct26", (2026, 10, 3)),
        ("en", "%A, %B %d, %Y", "Saturday, January 31, 2026", (2026, 1, 31)),
        ("en", "%a %d %b %Y", "Sat 31 Jan 2026", (2026, 1, 31)), ("ru", "%d %B %Y", "31 января 2026", (2026, 1, 31)),
        ("fr", "%d %b %Y", "1 AOUT 2026", (2026, 8, 1)), ("tr", "%d %B %Y", "5 NİSAN 2026", (2026, 4, 5)),
        ("pt-BR", "%d/%b/%Y", "31/dez/2026", (2026, 12, 31)), ("el", "%d %B %Y", "5 Μαΐου 2026", (2026, 5, 5)),
    ],
)  # fmt: skip
def test_names_of_months(locale: str, said: str, text: str, found: tuple[int, ...]) -> None:
    assert TimeFormat(said, locale=locale).read(text) == at(*found)


def test_names_of_another_language_are_refused() -> None:
    with pytest.raises(ValueError, match="is not written"):
        TimeFormat("%d %b %Y", locale="fr").read("31 Dez 2026")
    with pytest.raises(FormatError, match="no language such as en, fr"):
        TimeFormat("%d %b %Y", locale="klingon")
    for wrong in ("", "../etc", "x" * 300, "xx"):
        with pytest.raises(UnknownLanguage):
            month_names(wrong)
    for locale in ("en", "fr", "de", "ar", "ja", "vi", "tr", "el"):
        assert set(month_names(locale).values()) == set(range(1, 13))
    assert folded("KASIM") == folded("kasım")
    assert folded("Μαΐου") == folded("ΜΑΪ́ΟΥ")


def test_the_first_format_that_fits() -> None:
    times = ColumnTimes(["%d.%m.%Y", "%Y-%m-%d"], "date")
    assert times.read(" 31.01.2026 ") == times.read("2026-01-31") == at(2026, 1, 31)
    with pytest.raises(ValueError, match=r"'31/1' is not written %d\.%m\.%Y or %Y-%m-%d"):
        times.read("31/1")
    with pytest.raises(FormatError, match="a file has one kind"):
        ColumnTimes(["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M%z"], "moment")
    with pytest.raises(FormatError, match="names no format"):
        ColumnTimes([], "moment")


@pytest.mark.parametrize(
    ("said", "role", "text", "found"),
    [
        ("excel", "moment", "46053.5", at(2026, 1, 31, 12)), ("excel", "moment", "46053,3368055556",
            at(2026, 1, 31, 8, 5)),
        ("excel", "date", "46053", at(2026, 1, 31)), ("excel", "date", "46053.99", at(2026, 1, 31)),
        ("excel", "time", "0.75", 18 * 3_600_000_000), ("excel", "time", "46053.75", 18 * 3_600_000_000),
        ("excel", "moment", "46053.999999999", at(2026, 2, 1)), ("excel-1904", "date", "44591", at(2026, 1, 31)),
    ],
)  # fmt: skip
def test_the_numbers_of_workbooks(said: str, role: Role, text: str, found: int) -> None:
    assert ColumnTimes([said], role).read(text) == found


@pytest.mark.parametrize("text", ["", "31.01.2026", "-1", "1e5", "4605312", "٤", "."])
def test_what_is_no_number_of_a_workbook(text: str) -> None:
    with pytest.raises(ValueError, match="no date as a workbook keeps it"):
        ColumnTimes(["excel"], "moment").read(text)


@pytest.mark.parametrize(
    ("role", "text", "found"),
    [
        ("moment", "2026-01-31T12:30:05", at(2026, 1, 31, 12, 30, 5)), ("moment", "2026-01-31", at(2026, 1, 31)),
        ("moment", "2026-01-31T12:30:05.25", at(2026, 1, 31, 12, 30, 5, 250_000)),
        ("date", "2026-01-31T12:30:05", at(2026, 1, 31)), ("date", "2026-01-31", at(2026, 1, 31)),
        ("time", "12:30:00", 45_000_000_000), ("time", "1899-12-30T12:30:00", 45_000_000_000),
        ("time", "2026-01-31", 0),
    ],
)  # fmt: skip
def test_cells_that_are_times_by_themselves(role: Role, text: str, found: int) -> None:
    """Whatever the format says."""
    said = {"moment": "%d.%m.%Y %H:%M", "date": "%d.%m.%Y", "time": "%H.%M"}[role]
    assert ColumnTimes([said], role).read(f"\x1d{text}") == found


@pytest.mark.parametrize("text", ["", "12:30:00", "soon", "2026-02-30", "2026-01-31T25:00:00", "T"])
def test_cells_that_only_seem_to_be_times(text: str) -> None:
    with pytest.raises(ValueError):
        ColumnTimes(["%d.%m.%Y %H:%M"], "moment").read(f"\x1d{text}")
    with pytest.raises(ValueError, match="needs a time_zone"):
        ColumnTimes(["%Y-%m-%dT%H:%M%z"], "moment").read("\x1d2026-01-31T12:30:00")


def test_years_by_rule() -> None:
    fixed = ColumnTimes(["%d/%m"], "date", year_of=year_rule(2025, date(2026, 1, 31)))
    assert fixed.read("1/12") == at(2025, 12, 1)
    newest = ColumnTimes(["%d %b"], "date", year_of=year_rule("latest", date(2026, 1, 31)))
    assert [newest.read(text) for text in ("31 Jan", "1 Feb", "29 Feb")] == [
        at(2026, 1, 31), at(2025, 2, 1), at(2024, 2, 29),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="there is no such day"):
        newest.read("31 Feb")
    with pytest.raises(FormatError, match='year = 2026 or year = "latest"'):
        ColumnTimes(["%d/%m"], "date")


def test_today_is_the_zones() -> None:
    midnight = at(2026, 1, 1)
    assert WallClock("Asia/Beirut", None).date_at(midnight) == date(2026, 1, 1)
    assert WallClock("America/New_York", None).date_at(midnight) == date(2025, 12, 31)
    assert WallClock(None, None).date_at(midnight) == date(2026, 1, 1)


@settings(deadline=None)
@given(st.dates(date(2000, 1, 1), date(2199, 12, 31)), st.sampled_from(["en", "fr", "de", "es", "el", "ja", "tr"]))
def test_every_name_is_read_back(day: date, locale: str) -> None:
    for pattern in ("d|MMMM|y", "d|MMM|y", "d|LLLL|y"):
        written = format_date(day, pattern, locale=locale)
        assert TimeFormat("%d|%B|%Y", locale=locale).read(written) == at(day.year, day.month, day.day)


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="%YymdbBaAHIMSfpz-/: excl1904", max_size=10), max_size=3),
    st.sampled_from(["moment", "date", "time"]),
    st.text(alphabet="\x1d0123456789-/:. TJanAPMZ+", max_size=20),
)
def test_any_formats_read_or_refuse(said: list[str], role: Role, text: str) -> None:
    try:
        ColumnTimes(said, role).read(text)
    except ValueError:
        return
