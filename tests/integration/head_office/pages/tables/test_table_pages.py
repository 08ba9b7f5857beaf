"""The pages of variance, usage and unmet demand, and their files."""

from __future__ import annotations

import csv
import io

import pytest

from head_office.pages.tables import table_pages
from shared.events import Reference
from tests.integration.head_office.conftest import Api
from tests.support.html import Element, rows
from tests.support.morning_rig import MorningRig, utc
from tests.support.office_visitor import OfficeVisitor

MINUS = "\N{MINUS SIGN}"


def shown(page: Element) -> list[dict[str, str]]:
    table = page.by_id("rows")
    heads = [each.text for each in table.first("thead").all("th")]
    return [dict(zip(heads, row, strict=True)) for row in rows(table)]


def test_what_counts_found(visitor: OfficeVisitor, low: MorningRig) -> None:
    low.record("BEY-01", "STOCKTAKE", 3_500, "2087-03-20T05:00")
    row = shown(visitor.open("/reports/variance"))[-1]
    assert {name: row[name] for name in ("Location", "Item", "Counted", "Expected", "Variance", "Complete")} == {
        "Location": "Place BEY-01BEY-01",
        "Item": "Whole milkmilk",
        "Counted": "3.5",
        "Expected": "4",
        "Variance": f"{MINUS}0.5",
        "Complete": "yes",
    }
    for by in ("item", "location"):
        (row,) = shown(visitor.open("/reports/variance", by=by))
        assert row["Shrinkage"] == "0.5"


def test_what_was_used(visitor: OfficeVisitor) -> None:
    (row,) = shown(visitor.open("/reports/usage"))
    assert (row["Item"], row["Sold"], row["Total"]) == ("Whole milkmilk", "5", "5")
    for by in ("product", "order"):
        (row,) = shown(visitor.open("/reports/usage", by=by))
        assert row["Total"] == "5"


def test_what_was_not_there(visitor: OfficeVisitor, low: MorningRig) -> None:
    page = visitor.open("/reports/unmet-demand")
    assert rows(page.by_id("rows")) == [["Nothing that was asked for was missing."]]
    low.logs["BEY-01"].record(
        "RESERVATION_REFUSED",
        quantity=9_000,
        reason="unavailable",
        reservation_id="r-1",
        reference=Reference(kind="order", id="4711", revision=1),
        occurred_at=utc("2087-03-20T05:00"),
        business_date="2087-03-20",
        source="webshop",
    )
    low.logs["BEY-01"].ship_now(low.engine)
    (row,) = shown(visitor.open("/reports/unmet-demand"))
    assert [row[name] for name in ("When", "Order", "Source", "Asked", "Available", "Short")] == [
        "20 Mar 2087, 07:00", "4711", "webshop", "9", "4", "5",
    ]  # fmt: skip
    (row,) = shown(visitor.open("/reports/unmet-demand", by="item"))
    assert (row["Refusals"], row["Orders"], row["Short"]) == ("1", "1", "5")


@pytest.mark.parametrize("address", [each.address for each in table_pages.TABLES])
def test_the_file_has_every_row(visitor: OfficeVisitor, api: Api, address: str) -> None:
    page = visitor.open(address, location_id="BEY-01")
    link = next(each["href"] for each in page.all("a") if "/file?" in each["href"])
    file = api.client.get(link)
    assert file.status_code == 200
    assert file.headers["content-type"].startswith("text/csv")
    name = address.rpartition("/")[2]
    assert file.headers["content-disposition"] == f'attachment; filename="{name}.csv"'
    found = list(csv.DictReader(io.StringIO(file.content.decode("utf-8-sig"))))
    assert len(found) == (0 if name == "unmet-demand" else len(shown(page)))


def test_a_period_and_what_is_wrong_with_one(visitor: OfficeVisitor) -> None:
    page = visitor.open("/reports/usage", **{"from": "2087-03-01", "to": "2087-03-10"})
    assert rows(page.by_id("rows")) == [["Nothing was used."]]
    page = visitor.open("/reports/usage", **{"from": "2087-03-10", "to": "2087-03-01"})
    assert visitor.last.status_code == 422
    assert page.by_id("to-error").text == "The period ends before it begins."
    page = visitor.open("/reports/usage", by="product", **{"from": "", "to": ""})
    assert visitor.last.status_code == 422
    assert page.by_id("from-error")
    page = visitor.open("/reports/usage", **{"from": "<b>", "to": ""})
    assert page.by_id("from")["value"] == "<b>"
    assert page.by_id("from-error").text == "Not a date such as 2026-01-31."
    visitor.open("/reports/usage", by="colour")
    assert visitor.last.status_code == 422
    page = visitor.open("/reports/usage", item_id="\N{ZERO WIDTH SPACE}x")
    assert visitor.last.status_code == 422
    assert page.by_id("item_id-error")


def test_one_item_and_pages(visitor: OfficeVisitor, low: MorningRig, monkeypatch: pytest.MonkeyPatch) -> None:
    low.record("BEY-01", "ORDER_DEDUCTION", 1_000, "2087-03-20T05:00", item_id="halloumi")
    monkeypatch.setattr(table_pages, "ROWS_OF_A_PAGE", 1)
    page = visitor.open("/reports/usage")
    assert [each["Item"] for each in shown(page)] == ["حلوم بلديhalloumi"]
    page = visitor.open(next(each["href"] for each in page.all("a") if "after=" in each["href"]))
    assert [each["Item"] for each in shown(page)] == ["Whole milkmilk"]
    (row,) = shown(visitor.open("/reports/usage", item_id="milk"))
    assert row["Item"] == "Whole milkmilk"


def test_who_may_read(visitor: OfficeVisitor, api: Api) -> None:
    visitor.sign_in("viewer of BEY-01")
    for report in table_pages.TABLES:
        assert visitor.open(report.address)
        assert visitor.last.status_code == 200
        visitor.open(report.address, location_id="BEY-02")
        assert visitor.last.status_code == 403
        assert api.client.get(f"{report.address}/file?location_id=BEY-02").status_code == 403
    visitor.sign_in("staff")
    visitor.open(table_pages.TABLES[0].address)
    assert visitor.last.status_code == 403
