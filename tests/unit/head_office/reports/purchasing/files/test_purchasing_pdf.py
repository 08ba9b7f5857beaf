"""The purchasing report as PDF, read back with pypdf."""

from __future__ import annotations

import io
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from pypdf.generic import ContentStream, DictionaryObject, PdfObject, StreamObject

from head_office.reports.purchasing.files.rendered_report import FileFormat, render
from head_office.reports.purchasing.purchasing_records import LocationState, PurchasingReport
from tests.unit.head_office.reports.purchasing.files.sample_reports import (
    ARABIC,
    FORMULAS,
    LONG,
    changed,
    large,
    location,
    report,
    row,
)


def opened(made: PurchasingReport) -> PdfReader:
    return PdfReader(io.BytesIO(b"".join(render(made, FileFormat.PDF).content)))


def dictionary(found: PdfObject) -> DictionaryObject:
    value = found.get_object()
    assert isinstance(value, DictionaryObject)
    return value


def pages(made: PurchasingReport) -> list[str]:
    return [page.extract_text() for page in opened(made).pages]


def test_a_row_shows_what_to_order_and_why() -> None:
    (page,) = pages(report([row()]))
    lines = page.splitlines()
    assert lines[:4] == [
        "Purchasing report",
        "As of 2026-11-29 05:00 UTC, known at 2026-11-29 05:00 UTC.",
        "Days left by the usage of the 28 business dates before.",
        "To order: 1 line for 1 location from 1 supplier.",
    ]
    assert "ACME · Acme Foods" in lines
    assert "Item Code Location Unit On hand Available In transit On order To order Packs Days left" in lines
    assert "Tomatoes tomato BEY-01 · Beirut, Hamra kg 1,234,567.5 -4.635 3 12.5 42 7 12.5" in lines
    assert lines[-1].endswith("Page 1 of 1")


def test_locations_to_worry_about_come_first() -> None:
    places = [
        location("BEY-02", "Beirut, Port", LocationState.BLIND),
        location("TRI-01", None, LocationState.INCOMPLETE),
        location("BEY-01", "Hamra"),
    ]
    (page,) = pages(report([row(location_id="BEY-02", location_state=LocationState.BLIND)], places))
    blind = "BEY-02 · Beirut, Port Blind: head office has heard nothing of it for 24 hours 2026-11-29 05:00 UTC"
    assert f"{blind} 2026-11-29 04:00 UTC 0" in page
    assert "TRI-01 Incomplete: not everything that it recorded is in its figures" in page
    assert "The figures of the other 1 location are fresh." in page
    assert page.index("Locations to worry about") < page.index("Incomplete") < page.index("ACME · Acme Foods")
    assert "blind: BEY-02 · Beirut, Port" in page


def test_suppliers_and_headings_come_again_on_each_page() -> None:
    made = large(200)
    found = pages(made)
    assert len(found) > 4
    for number, page in enumerate(found, 1):
        assert f"Page {number} of {len(found)}" in page
        assert "Item Code Location Unit On hand" in page
    text = "\n".join(found)
    for supplier in ("ACME · Acme Foods", "FRUIT · الخضار والفواكه الطازجة", "ÉPI · Épicerie =1+1", "No supplier"):
        assert supplier in text
        # Beside Arabic, pypdf takes the blank for one of the other side.
        assert f"{supplier}(continued)".replace(" ", "") in text.replace(" ", "")
    assert all(f"item-{number:06d}" in text for number in range(200))


def test_names_are_shown_as_people_read_them() -> None:
    names = (ARABIC, "Crème fraîche", "Labneh لبنة", "Jalapeño & Ñandú", "_x0041_", "{nb}", "<b>")
    (page,) = pages(report([row(name=name) for name in names]))
    for name in names:
        assert name in page


def arabic_glyphs(made: PurchasingReport) -> list[tuple[str, str]]:
    """The Arabic letters of the first page in the order in which they are drawn, each with the code of its glyph."""
    reader = opened(made)
    page = reader.pages[0]
    fonts = dictionary(dictionary(page["/Resources"])["/Font"])
    letters: dict[str, str] = {}
    found = []
    for operands, operator in ContentStream(page["/Contents"].get_object(), reader).operations:
        if operator == b"Tf":
            stream = dictionary(fonts[operands[0]])["/ToUnicode"].get_object()
            assert isinstance(stream, StreamObject)
            pairs = re.findall(rb"^<([0-9A-F]{4})> <([0-9A-F]{4})>$", stream.get_data(), re.MULTILINE)
            letters = {chr(int(code, 16)): chr(int(letter, 16)) for code, letter in pairs}
        elif operator == b"Tj":
            codes = operands[0].original_bytes.decode("utf-16-be")
            found += [(letters.get(code, ""), code) for code in codes]
    return [(letter, code) for letter, code in found if "\u0600" <= letter <= "\u06ff"]


def test_arabic_letters_are_joined_and_run_from_the_right() -> None:
    drawn = arabic_glyphs(report([row(name="بتم")]))
    assert [letter for letter, _ in drawn] == ["م", "ت", "ب"]
    same = arabic_glyphs(report([row(name="ببب")]))
    assert [letter for letter, _ in same] == ["ب"] * 3
    # At the beginning, in the middle and at the end a letter has another shape.
    assert len({code for _, code in same}) == 3


def test_what_the_font_lacks_is_replaced_and_what_is_long_is_cut() -> None:
    (page,) = pages(report([row(name="番茄 🍅 ketchup"), row(name=LONG), row(name=None)]))
    assert "�� � ketchup" in page
    assert "Tomatoes, peeled, in a tin of two and a half" in page
    assert "…" in page
    assert LONG[-20:] not in page


def test_a_code_and_a_figure_are_never_cut() -> None:
    code = "ABCDEFGH" * 8
    (page,) = pages(report([row(item_id=code, on_hand=-987_654_321_098_765_432)]))
    assert code in page.replace("\n", "")
    assert "-987,654,321,098,765.432" in page


@pytest.mark.parametrize("text", [each for each in FORMULAS if each.isprintable()])
def test_what_would_run_elsewhere_is_text(text: str) -> None:
    told = row(location_id=text, item_id=text, name=text, supplier_id=text, supplier_name=text)
    made = report([told], [location(text, text)])
    reader = opened(made)
    assert text in reader.pages[0].extract_text().replace("\n", "")
    assert "/Annots" not in reader.pages[0]
    assert not {"/Names", "/AA", "/AcroForm"} & set(dictionary(reader.trailer["/Root"]))


def test_a_morning_says_so_and_what_has_changed_since() -> None:
    (page,) = pages(changed(report([row()], [location("BEY-01", "Hamra")])))
    assert "Morning of 2026-11-29. Each location at its own time, the last one known at 2026-11-29 05:00 UTC." in page
    assert "Changed since that morning" in page
    assert "BEY-01 · Hamra tomato on_hand 12.5 -3" in page
    assert "BEY-01 · Hamra tomato listed yes no" in page


def test_a_report_without_rows_says_so() -> None:
    (page,) = pages(report([]))
    assert "Nothing to order: no item is at or below its reorder point." in page
    (page,) = pages(msgspec.structs.replace(report([], []), as_of=None, known_at=None))
    assert "Page 1 of 1" in page


def test_the_only_date_of_the_file_is_the_moment_the_report_is_known_at() -> None:
    written = b"".join(render(large(3), FileFormat.PDF).content)
    assert set(re.findall(rb"\(D:[^)]*\)", written)) == {b"(D:20261129050000Z)"}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=12))
def test_no_text_breaks_it(texts: list[str]) -> None:
    made = report(
        [row(name=text, item_id=text, location_id=text, unit=text, supplier_name=text) for text in texts],
        [location(text, text, LocationState.BLIND) for text in texts],
    )
    assert "Page 1 of" in pages(made)[0]
