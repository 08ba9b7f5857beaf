"""The page of the purchasing report: of now, of a morning, by what is known since; its files."""

from __future__ import annotations

import csv
import io

import pytest
from sqlalchemy import Engine

from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.pages.purchasing import purchasing_views
from shared.levels.reorder_levels import ReorderLevel
from tests.integration.head_office.conftest import Api
from tests.support.html import Element
from tests.support.morning_rig import MorningRig, there_since
from tests.support.office_visitor import FARM, HOSTILE, OfficeVisitor

DAYS = 86_400_000_000
TODAY = "2087-03-20"


def ordered(page: Element) -> dict[str, str]:
    """What is to be ordered, by item, of every supplier's table."""
    found = {}
    for table in page.all("table"):
        if table.attributes.get("class") == "purchase":
            for row in table.all("tr"):
                if any(True for _ in row.all("th")) and any(True for _ in row.all("td")):
                    found[row.first("th").text] = row.first("td").text
    return found


def addresses(page: Element) -> list[str]:
    return [each["href"] for each in page.all("a")]


def test_of_now_by_supplier_with_what_cannot_be_trusted_on_top(visitor: OfficeVisitor) -> None:
    page = visitor.open("/purchasing")
    assert visitor.last.status_code == 200
    assert "No report of this morning was made" in page.text
    assert ordered(page) == {
        "Whole milkmilk": "18 l3 packs of 6",
        f"{HOSTILE}odd": "2.5 pcs",
        "حلوم بلديhalloumi": "2 kg",
    }
    # By supplier, those without one last.
    assert [each.text for each in page.all("h2")] == ["Not all of it can be trusted", FARM, "Without a supplier"]
    worry = page.first("main").first("section").text
    assert "Place BEY-02 (BEY-02) blind no call of its branch for 24 hours" in worry
    assert "BEY-01" not in worry
    assert "1 of 3 locations fresh" in page.text


def test_of_this_morning_where_one_was_made(visitor: OfficeVisitor, low: MorningRig, office: Engine) -> None:
    there_since(office, 2 * DAYS)
    assert low.make() > 0
    page = visitor.open("/purchasing")
    assert "The report of the morning of 20 Mar 2087" in page.text
    assert ordered(page)["Whole milkmilk"] == "18 l3 packs of 6"
    dates = [each["value"] for each in page.by_id("date").all("option")]
    assert dates[:2] == ["now", TODAY]
    assert len(dates) > 2
    # Two days later it is that of a morning that is asked for, and nobody is told that it is this morning's.
    low.clock("2087-03-22T02:00")
    assert "No report of this morning was made yet" in visitor.open("/purchasing").text
    # What is known since then changes nothing of it, and is shown beside it where it is asked for.
    low.record("BEY-01", "PURCHASE_RECEIVED", 30_000, "2087-03-20T02:30")
    page = visitor.open("/purchasing", date=TODAY)
    assert ordered(page)["Whole milkmilk"] == "18 l3 packs of 6"
    page = visitor.open("/purchasing", date=TODAY, figures="since")
    assert "Whole milkmilk" not in ordered(page)
    changes = next(each for each in page.all("table") if each.attributes.get("id") == "changes")
    assert changes.text.endswith("milk Place BEY-01listedyesno")


def test_a_morning_that_was_not_made(visitor: OfficeVisitor) -> None:
    page = visitor.open("/purchasing", date="2086-01-01")
    assert visitor.last.status_code == 404
    assert page.by_id("date-error").text.startswith("No report of 2086-01-01 was made.")
    page = visitor.open("/purchasing", date="tomorrow")
    assert visitor.last.status_code == 422
    assert "not a date such as 2026-01-31" in page.text


def test_locations_where_that_morning_was_not_made_are_named(
    visitor: OfficeVisitor, low: MorningRig, office: Engine
) -> None:
    there_since(office, DAYS)
    low.make()
    with office.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE purchasing_morning DISABLE TRIGGER USER")
        connection.exec_driver_sql("DELETE FROM purchasing_morning WHERE location_id = 'WH-1'")
    page = visitor.open("/purchasing", date=TODAY)
    assert "Place WH-1: no report of that morning was made there" in page.text


@pytest.mark.parametrize(
    ("form", "media_type"), [("csv", "text/csv"), ("xlsx", "application/vnd."), ("pdf", "application/pdf")]
)
def test_files_have_the_figures_of_the_page(
    visitor: OfficeVisitor, low: MorningRig, api: Api, form: str, media_type: str
) -> None:
    page = visitor.open("/purchasing", location_id="BEY-01")
    address = next(each for each in addresses(page) if f"format={form}" in each)
    first = api.client.get(address)
    assert first.status_code == 200, first.text
    assert first.headers["content-type"].startswith(media_type)
    assert f".{form}" in first.headers["content-disposition"]
    # Later, by the same address, equal to the byte.
    low.clock("2087-03-20T18:00")
    low.record("BEY-01", "PURCHASE_RECEIVED", 30_000, "2087-03-20T09:00")
    assert api.client.get(address).content == first.content
    if form == "csv":
        lines = list(csv.DictReader(io.StringIO(first.content.decode("utf-8-sig"))))
        assert {each["item_id"]: each["to_order"] for each in lines} == {"milk": "18", "odd": "2.5", "halloumi": "2"}


def test_a_file_of_no_format(visitor: OfficeVisitor) -> None:
    visitor.open("/purchasing/file", format="doc")
    assert visitor.last.status_code == 422


def test_all_items_of_one_location(visitor: OfficeVisitor, office: Engine) -> None:
    with office.begin() as connection:
        put_levels(connection, [LevelChange("BEY-02", "milk", ReorderLevel(reorder_point=0, order_up_to=1_000))])
        put_levels(connection, [LevelChange("BEY-01", "milk", ReorderLevel(reorder_point=1_000, order_up_to=2_000))])
    assert set(ordered(visitor.open("/purchasing", location_id="BEY-01"))) == {f"{HOSTILE}odd", "حلوم بلديhalloumi"}
    page = visitor.open("/purchasing", location_id="BEY-01", rows="all")
    assert ordered(page)["Whole milkmilk"] == "0 l"
    page = visitor.open("/purchasing", location_id="BEY-09")
    assert visitor.last.status_code == 422


def test_long_reports_come_in_pages(visitor: OfficeVisitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchasing_views, "ROWS_SHOWN", 2)
    page = visitor.open("/purchasing")
    assert len(ordered(page)) == 2
    page = visitor.open(next(each for each in addresses(page) if "page=2" in each))
    assert list(ordered(page)) == ["حلوم بلديhalloumi"]
    assert "Page 2 of 2" in page.text
    visitor.open("/purchasing", page="0")
    assert visitor.last.status_code == 422


def test_viewers_read_and_order_nothing(visitor: OfficeVisitor) -> None:
    visitor.sign_in("viewer")
    page = visitor.open("/purchasing")
    assert ordered(page)
    assert not [each for each in addresses(page) if each.startswith("/new-order")]
    visitor.open("/new-order")
    assert visitor.last.status_code == 403
    visitor.sign_in("staff")
    visitor.open("/purchasing")
    assert visitor.last.status_code == 403


def test_a_key_of_one_location_sees_that_one(visitor: OfficeVisitor) -> None:
    visitor.sign_in("viewer of BEY-01")
    page = visitor.open("/purchasing")
    assert [each["value"] for each in page.by_id("location_id").all("option")] == ["", "BEY-01"]
    assert "BEY-02" not in page.text
    visitor.open("/purchasing", location_id="BEY-02")
    assert visitor.last.status_code == 403
    assert visitor.client.get("/purchasing/file?format=csv&location_id=BEY-02").status_code == 403
