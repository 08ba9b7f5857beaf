"""Head office's pages over a period, and known at a moment: what is asked for is answered or said at its field."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Engine

from head_office.catalogue.item_proposals import map_to
from head_office.database.schema import CONTACT
from shared.messages import OpenCount
from shared.runtime.business_days import day_start_of
from shared.runtime.clock import business_date
from tests.integration.head_office.pages import test_pages as pages
from tests.integration.head_office.pages.test_pages import BEIRUT, MINUS, Story, Visitor, hours_ago, moment
from tests.support.html import Element, rows

visitor, told = pages.visitor, pages.told

MILK = {"location_id": "BEY-01", "item_id": "milk"}


def field(page: Element, name: str) -> tuple[str, str]:
    found = page.by_id(name)
    return found["type"], found["value"]


def test_stock_over_a_period_shows_before_change_and_after(told: Visitor) -> None:
    # In it: the deduction of 1.5 after the count of 40; the waste in it is voided.
    page = told.open("/stock", q="whole", **{"from": moment(35), "to": moment(25)})
    assert told.last.status_code == 200
    assert "Over the period from " in page.first("caption").text
    row = rows(page.first("table"))[0]
    assert row[2] == f"38.5before 40, change {MINUS}1.5, Whole milk at Place BEY-01"
    assert row[3] == "10before 0, change +10, Whole milk at Place BEY-02"
    assert row[5] == "48.5before 40, change +8.5"
    assert field(page, "from") == ("datetime-local", moment(35))
    page = told.open(next(page.first("tbody").all("a"))["href"])
    assert page.by_id("figure").text == "38.5"
    assert [(row[1], row[3]) for row in rows(page.by_id("counts"))] == [
        ("Before the periodon hand when it begins", "40"),
        ("Order deduction", "38.5"),
        ("On hand", "38.5 l"),
    ]
    assert field(page, "to") == ("datetime-local", moment(25))


def test_a_period_of_dates_is_of_business_days(told: Visitor) -> None:
    day = business_date(hours_ago(30), BEIRUT, 240)
    asked = {"from": day.isoformat(), "to": (day + timedelta(days=1)).isoformat()}
    page = told.open("/stock", q="whole", **asked)
    assert f"from the start of the business day {asked['from']} to" in page.first("caption").text
    begins = day_start_of(day, BEIRUT, 240)
    known = [(50, 48.0), (49, 44.75), (45, 42.75), (40, 40.0), (30, 38.5)]
    opening = next((figure for hours, figure in reversed(known) if hours_ago(hours) < begins), 0.0)
    assert rows(page.first("table"))[0][2].partition("before ")[2].startswith(f"{opening:g}, ")
    assert field(page, "from") == ("date", asked["from"])
    link = next(page.first("tbody").all("a"))["href"]
    assert f"from={asked['from']}" in link
    shown = rows(page.first("table"))[0][2].partition("before")[0]
    assert told.open(link).by_id("figure").text == shown


@pytest.mark.parametrize("address", ["/stock", "/explain"])
@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ({"from": "2026-11-28", "to": "2026-11-20"}, "to"),
        ({"from": "2026-11-28T10:00", "to": "2026-11-28T09:00"}, "to"),
        ({"from": "2026-11-28T10:00", "to": "2026-11-28"}, "to"),
        ({"from": "2026-11-20", "to": "2026-11-28", "as_of": "2026-11-25"}, "as_of"),
        ({"from": "last week"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"as_of": "1999-01-01"}, "as_of"),
        ({"known_at": "2026-11-28"}, "known_at"),
        ({"known_at": "20261128"}, "known_at"),
    ],
)
def test_what_is_no_period_is_said_at_its_field_and_stays_there(
    told: Visitor, address: str, asked: dict[str, str], at: str
) -> None:
    page = told.open(address, **asked, **({} if address == "/stock" else MILK))
    assert told.last.status_code == 422
    assert page.by_id(f"{at}-error").text.startswith("Passed over: ")
    assert page.by_id(at)["type"] == "text"
    for name, typed in asked.items():
        assert page.by_id(name)["value"] == typed
        assert name == at or f'id="{name}-error"' not in told.last.text


def test_the_page_of_transfers_says_that_it_is_of_no_period(told: Visitor) -> None:
    page = told.open("/transfers")
    assert told.last.status_code == 200
    assert 'id="from"' not in told.last.text
    for asked in ({"from": "2026-11-20"}, {"from": "last week", "to": "2026-11-28T10:00", "as_of": moment(4)}):
        page = told.open("/transfers", **asked)
        assert told.last.status_code == 422
        for name in {"from", "to"} & set(asked):
            assert "is of a moment" in page.by_id(f"{name}-error").text
            assert field(page, name) == ("text", asked[name])
        assert 'id="as_of-error"' not in told.last.text
        assert page.by_id("as_of")["value"] == asked.get("as_of", "")


def test_a_date_is_no_moment_at_which_something_was_known(told: Visitor) -> None:
    page = told.open("/stock", known_at="2026-11-28")
    assert "write the time too, such as 2026-11-28T23:59" in page.by_id("known_at-error").text


def test_what_was_not_known_at_a_moment_is_not_shown(visitor: Visitor, office: Engine) -> None:
    Story("BEY-01").record("PURCHASE_RECEIVED", 50, quantity=48_000).log.ship(office)
    counts = msgspec.json.encode([OpenCount(count_id="c-1", opened_at=hours_ago(9), areas=[])]).decode()
    with office.begin() as connection:
        for name in ("head", "ingest_batch"):
            if name == "ingest_batch":
                connection.exec_driver_sql("SET session_replication_role = replica")
            connection.exec_driver_sql(f"UPDATE {name} SET received_at = {hours_ago(8)} WHERE location_id = 'BEY-01'")
        connection.exec_driver_sql("SET session_replication_role = origin")
        connection.execute(
            CONTACT.insert().values(
                location_id="BEY-01", contacted_at=hours_ago(3), epoch=1, sequence=9, verdict="FORKED", protocol=1,
                schema=1, software="test", skew=600_000_000, open_counts=counts,
            )
        )  # fmt: skip

    def fresh(at: float) -> str:
        page = visitor.open("/stock", known_at=moment(at))
        row = list(page.first("thead").all("tr"))[1]
        return [cell.text for cell in row.all("td")][1]

    # The hello came three hours ago; what it said was known from then on.
    assert fresh(5).startswith(("3 hours ago", "2 hours ago"))
    for words in ("open", "forked", "its clock"):
        assert words not in fresh(5)
        assert words in fresh(2)
    page = visitor.open("/explain", known_at=moment(5), **MILK)
    assert "3 hours ago" in page.text or "2 hours ago" in page.text


def test_a_code_that_stands_for_an_item_leads_to_its_explanation(told: Visitor, office: Engine) -> None:
    story = Story("WH-1").record("PURCHASE_RECEIVED", 5, item_id="leche", unit="l", quantity=2_000)
    story.record("PURCHASE_RECEIVED", 4, item_id="milk", unit="l", quantity=1_000).log.ship(office)
    with office.begin() as connection:
        map_to(connection, "WH-1", "leche", "milk")
    page = told.open("/explain", location_id="WH-1", item_id="leche")
    assert told.last.status_code == 200
    assert page.first("h1").text == "Whole milk at Place WH-1"
    assert page.by_id("figure").text == "3"
    assert "leche stands for it there" in page.text
    assert "Purchase received" in page.text
    assert "recorded as leche" in page.text
    assert "never counted" not in page.text
    answer = told.api.call("manager", "GET", "/v1/stock/leche/explain?location_id=WH-1")
    assert (answer.status_code, answer.json()["item_id"]) == (200, "milk")
