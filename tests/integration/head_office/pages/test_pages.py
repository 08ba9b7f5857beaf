"""Head office's pages over a real database, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from httpx2 import Response
from sqlalchemy import Engine

from head_office.catalogue import items, locations
from head_office.database.schema import CONTACT
from head_office.transfers import instructions
from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.runtime.business_days import day_start_of
from shared.runtime.clock import MINUTE, business_date
from shared.runtime.pages.words import clock_text, local_field
from tests.integration.head_office.conftest import Api
from tests.support.consolidation import Branch, OldVersion
from tests.support.events import an_event
from tests.support.html import Element, faults, form_fields, parse, rows

HOUR = 60 * MINUTE
BEIRUT = ZoneInfo("Asia/Beirut")
NOW = time.time_ns() // 1_000
HOSTILE = "<script>alert(1)</script>"
MINUS = "\N{MINUS SIGN}"
"""Events here occurred in the hours before the tests run."""


@dataclass
class Visitor:
    """Somebody at head office's pages."""

    api: Api
    last: Response = field(init=False)

    def open(self, address: str, **query: str) -> Element:
        self.last = self.api.client.get(address + (f"?{urlencode(query)}" if query else ""))
        assert self.last.headers["content-type"] == "text/html; charset=utf-8", self.last.text
        assert faults(self.last.text) == []
        return parse(self.last.text)

    def sign_in(self, who: str = "manager") -> None:
        page = self.open("/")
        self.api.client.post("/sign-in", data={**form_fields(page.first("form")), "key": self.api.keys[who]})

    def stock(self, **query: str) -> list[list[str]]:
        return rows(self.open("/stock", **query).first("table"))


@pytest.fixture
def visitor(api: Api, office: Engine) -> Visitor:
    with office.begin() as connection:
        items.put(
            connection,
            [
                CatalogueItem(item_id="milk", name="Whole milk", unit="l", category="Dairy"),
                CatalogueItem(item_id="beans", name="Coffee beans", unit="kg"),
                CatalogueItem(item_id="odd", name=HOSTILE, unit="pcs"),
                CatalogueItem(item_id="halloumi", name="حلوم بلدي", unit="kg"),
            ],
        )
    found = Visitor(api)
    found.sign_in()
    return found


def hours_ago(hours: float) -> int:
    return NOW - int(hours * HOUR)


def moment(hours: float) -> str:
    """What a person types for a moment so long ago, on the clock of Beirut."""
    return local_field(hours_ago(hours), BEIRUT)


class Story:
    """Events of one branch, each with an id of its own."""

    def __init__(self, location_id: str) -> None:
        self.log = Branch(location_id)
        self._first_seed = 1_000 * ord(location_id[-1])

    def record(self, kind: str, hours: float, **fields: Any) -> Story:
        seed = self._first_seed + len(self.log.lines)
        self.log.record([an_event(kind, seed=seed, occurred_at=hours_ago(hours), **fields)])
        return self

    def event_id(self, sequence: int) -> str:
        return an_event(seed=self._first_seed + sequence - 1).event_id


@pytest.fixture
def told(visitor: Visitor, office: Engine) -> Visitor:
    """Two branches have shipped a story each; the warehouse was never heard."""
    hamra = Story("BEY-01")
    hamra.record("PURCHASE_RECEIVED", 50, quantity=48_000).record("ORDER_DEDUCTION", 49, quantity=3_250)
    hamra.record("STOCKTAKE", 40, counted=40_000, expected=44_750, reason="opening")
    hamra.record("ORDER_DEDUCTION", 30, quantity=1_500)
    hamra.record("WASTE_RECORDED", 29, reason="spoiled", note=HOSTILE)
    void = {"reason": "mistake", "voided_event_id": hamra.event_id(5), "voided_sequence": 5}
    hamra.record("EVENT_VOIDED", 28, **void).record("ORDER_DEDUCTION", 45, quantity=2_000)
    hamra.record("TRANSFER_OUT", 3, quantity=5_000, transfer_id="t-1", transfer_line=1)
    hamra.record("PURCHASE_RECEIVED", 20, item_id="beans", unit="kg", quantity=20_500)
    hamra.record("ORDER_DEDUCTION", 2, item_id="odd", unit="pcs", quantity=3_000)
    hamra.log.ship(office)
    mina = Story("BEY-02").record("PURCHASE_RECEIVED", 30, quantity=10_000)
    mina.record("PURCHASE_RECEIVED", 20, item_id="beans", unit="g", quantity=500_000)
    mina.record("TRANSFER_IN", 2, item_id="odd", unit="pcs", quantity=7_000, transfer_id="t-2", transfer_line=1)
    mina.record("PURCHASE_RECEIVED", 2, item_id="local-1", unit="pcs", quantity=1_000)
    mina.log.ship(office)
    return visitor


def test_nobody_sees_anything_without_a_key(api: Api, told: Visitor) -> None:
    api.client.cookies.clear()
    for address in ("/", "/stock", "/explain?location_id=BEY-01&item_id=milk", "/transfers"):
        assert told.open(address).first("h1").text == "Sign in"


@pytest.mark.parametrize("who", ["branch", "coordinator"])
def test_a_machines_key_is_not_for_pages(api: Api, visitor: Visitor, who: str) -> None:
    api.client.cookies.clear()
    visitor.sign_in(who)
    assert visitor.open("/stock").first("h1").text == "Sign in"


def test_the_matrix_of_the_group(told: Visitor) -> None:
    page = told.open("/")
    assert told.last.url.path == "/stock"
    (table,) = page.all("table")
    heads = [each.text for each in table.first("thead").first("tr").all("th")]
    assert heads == ["Item", "Unit", "Place BEY-01BEY-01", "Place BEY-02BEY-02", "Place WH-1WH-1", "All"]
    assert rows(table) == [
        ["Coffee beansbeansunits differ", "", "20.5 kg, Coffee beans at Place BEY-01",
         "500 g, Coffee beans at Place BEY-02", "–", "500 g20.5 kgnot added"],
        ["local-1", "pcs", "–", "1, local-1 at Place BEY-02", "–", "1"],
        ["Whole milkmilk", "l", "33.5, Whole milk at Place BEY-01", "10, Whole milk at Place BEY-02", "–", "43.5"],
        [f"{HOSTILE}odd", "pcs", f"{MINUS}3, {HOSTILE} at Place BEY-01below zero",
         f"7, {HOSTILE} at Place BEY-02", "–", "4"],
    ]  # fmt: skip
    assert "<script" not in told.last.text


def test_a_figure_says_what_of_it_is_available(told: Visitor, office: Engine) -> None:
    assert not any("reserved" in cell for row in told.stock() for cell in row)
    log = Branch("WH-1").record(
        [
            an_event("PURCHASE_RECEIVED", seed=900_001, quantity=9_000),
            an_event("STOCK_RESERVED", seed=900_002, quantity=2_500, reservation_id="r", expires_at=NOW + HOUR),
            an_event("STOCK_RESERVED", seed=900_003, quantity=1_000, reservation_id="s", expires_at=NOW - HOUR),
        ]
    )
    log.ship(office)
    cell = next(cell for row in told.stock() for cell in row if "reserved" in cell)
    assert "2.5 reserved, 6.5 available" in cell


def test_each_location_says_how_fresh_it_is(told: Visitor, office: Engine) -> None:
    with office.begin() as connection:
        connection.exec_driver_sql(f"UPDATE head SET received_at = {NOW - 2 * HOUR} WHERE location_id = 'BEY-01'")
        for place, hours, sequence, verdict in (("BEY-01", 3, 12, "OK"), ("WH-1", 49, 1, "FORKED")):
            connection.execute(
                CONTACT.insert().values(
                    location_id=place, contacted_at=hours_ago(hours), epoch=1, sequence=sequence, verdict=verdict,
                    protocol=1, schema=1, software="test",
                )
            )  # fmt: skip
    fresh = list(told.open("/stock").first("thead").all("tr"))[1]
    hamra, mina, warehouse = [cell.text for cell in fresh.all("td")][1:4]
    exact = clock_text(NOW - 2 * HOUR, BEIRUT, seconds=True, now=NOW)
    assert hamra == f"2 hours ago{exact} up to event 102 events behind"
    assert mina.startswith("just now")
    assert warehouse.startswith("2 days ago")
    assert "1 event behind" in warehouse
    assert "forked; must be recovered" in warehouse


def test_a_location_never_heard_says_so(told: Visitor) -> None:
    assert [cell.text for cell in list(told.open("/stock").first("thead").all("tr"))[1].all("td")][3] == "none yet"


def test_a_figure_opens_its_explanation_which_adds_up(told: Visitor) -> None:
    page = told.open("/stock", q="whole")
    link = next(each for each in page.first("tbody").all("a"))
    page = told.open(link["href"])
    assert page.first("h1").text == "Whole milk at Place BEY-01"
    assert page.by_id("figure").text == "33.5"
    counted = rows(page.by_id("counts"))
    assert [(row[1], row[2], row[3]) for row in counted] == [
        (
            "Starts from the last countStocktake, opening; the book said 42.75, variance \N{MINUS SIGN}2.75",
            "= 40",
            "40",
        ),
        ("Order deduction", f"{MINUS}1.5", "38.5"),
        ("Transfer outtransfer t-1", f"{MINUS}5", "33.5"),
        ("On hand", "", "33.5 l"),
    ]
    passed = [(row[1], row[2], row[3]) for row in rows(page.by_id("passed"))]
    assert passed == [
        ("Purchase received", "+48", "Happened before the count of event 3, which saw what was there."),
        ("Order deduction", f"{MINUS}3.25", "Happened before the count of event 3, which saw what was there."),
        ("Order deduction", f"{MINUS}2", "Happened before the count of event 3, which saw what was there."),
        (f"Waste recordedspoiled, {HOSTILE}", f"{MINUS}1", "Voided or reversed by event 6."),
        ("Event voidedmistake", "", "Takes event 5 out, and has no figure of its own."),
    ]


def test_every_figure_of_the_matrix_is_the_one_that_its_explanation_ends_with(told: Visitor) -> None:
    for query in ({}, {"as_of": moment(25), "zone": "Asia/Beirut"}, {"as_of": moment(48)}):
        for link in list(told.open("/stock", **query).first("tbody").all("a")):
            page = told.open(link["href"])
            shown = link.text.partition(",")[0].partition(" ")[0]
            assert page.by_id("figure").text == shown
            assert rows(page.by_id("counts"))[-1][3].partition(" ")[0] == shown


def test_as_of_and_known_at(told: Visitor, office: Engine) -> None:
    before = told.stock(q="whole", as_of=moment(25))
    assert [row[2].partition(",")[0] for row in before] == ["38.5"]
    page = told.open("/stock", as_of=moment(25))
    assert page.first("caption").text.startswith("On hand, 1 item × 3 locations As of ")
    link = next(page.first("tbody").all("a"))
    assert told.open(link["href"]).by_id("as_of")["value"] == moment(25)
    # Nothing had arrived an hour ago: the branches shipped when the test began.
    page = told.open("/stock", known_at=moment(1))
    assert "No branch has recorded anything yet, as of then." in page.text
    assert "as known here at" in page.first("caption").text
    page = told.open("/explain", location_id="BEY-01", item_id="milk", as_of=moment(3.5))
    assert "Happened after the moment shown." in [row[3] for row in rows(page.by_id("passed"))]


def test_a_date_is_the_end_of_that_business_day(told: Visitor) -> None:
    day = business_date(hours_ago(30), BEIRUT, 240)
    page = told.open("/stock", as_of=day.isoformat(), q="whole")
    assert f"At the end of the business day {day.isoformat()}" in page.first("caption").text
    ended = day_start_of(day + timedelta(days=1), BEIRUT, 240) - 1
    row = rows(page.first("table"))[0]
    assert row == told.stock(q="whole", as_of=local_field(ended, BEIRUT), zone="Asia/Beirut")[0]
    link = next(page.first("tbody").all("a"))["href"]
    assert f"as_of={day.isoformat()}" in link
    assert told.open(link).by_id("figure").text == row[2].partition(",")[0]


def test_a_moment_is_on_the_clock_of_the_zone_beside_it(told: Visitor, office: Engine) -> None:
    with office.begin() as connection:
        paris = CatalogueLocation(location_id="WH-1", name="Dépôt", timezone="Europe/Paris", day_start=240)
        locations.change(connection, paris)
    typed = local_field(hours_ago(2.5), ZoneInfo("Europe/Paris"))
    row = told.stock(q="whole", as_of=typed, zone="Europe/Paris")[0]
    assert row[2].startswith("33.5")
    page = told.open("/stock", as_of=typed, zone="nonsense")
    assert [each["value"] for each in page.by_id("zone").all("option")] == ["Asia/Beirut", "Europe/Paris", "UTC"]
    assert "(Asia/Beirut)" in page.first("caption").text


@pytest.mark.parametrize("typed", ["yesterday", "2026-13-01T00:00", "1999-01-01T00:00", "2026-01-01T00:00Z"])
def test_what_is_no_moment_is_told_beside_its_field(told: Visitor, typed: str) -> None:
    page = told.open("/stock", as_of=typed)
    assert told.last.status_code == 422
    assert page.by_id("as_of-error").text.startswith("Passed over: ")
    assert "open" in page.first("details").attributes
    assert "Now, " in page.first("caption").text


def test_items_are_found_by_every_word(told: Visitor) -> None:
    assert [row[0] for row in told.stock(q="DAIRY milk")] == ["Whole milkmilk"]
    assert [row[0] for row in told.stock(q="local-1")] == ["local-1"]
    assert "fits “nothing <b>”" in told.open("/stock", q="nothing <b>").text


def test_many_items_come_page_by_page_and_none_is_lost(told: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("head_office.pages.page_routes.ROWS", 3)
    seen, address = [], "/stock"
    for _ in range(5):
        page = told.open(address)
        seen += [row[0] for row in rows(page.first("table"))]
        following = [each["href"] for each in page.all("a") if each.text == "Next items"]
        if not following:
            break
        (address,) = following
    assert seen == ["Coffee beansbeansunits differ", "local-1", "Whole milkmilk", f"{HOSTILE}odd"]


def test_a_key_for_one_location_sees_that_one(api: Api, told: Visitor) -> None:
    api.client.cookies.clear()
    told.sign_in("viewer of BEY-01")
    page = told.open("/stock")
    assert "BEY-02" not in page.text
    assert rows(page.first("table"))[1][-1] == "33.5"
    assert told.open("/explain", location_id="BEY-02", item_id="milk").first("h1").text == (
        "This key belongs to another location"
    )
    assert [row[1] for row in rows(told.open("/transfers").by_id("transit"))] == ["Whole milkt-1"]


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ({}, 422, "location_id: a figure is explained of one item at one location"),
        ({"location_id": "BEY-01"}, 422, "item_id: a figure is explained of one item at one location"),
        ({"location_id": "BEY-01", "item_id": "nothing"}, 404, "nothing is known of nothing at BEY-01"),
        ({"location_id": "nowhere", "item_id": "milk"}, 422, "larder head-office locations add"),
        ({"location_id": "WH-1", "item_id": "milk"}, 404, "nothing is known of milk at WH-1"),
        ({"location_id": "x" * 5_000, "item_id": "\ud7ff"}, 422, "There is no such location"),
    ],
)
def test_what_cannot_be_explained_is_said(told: Visitor, query: dict[str, str], status: int, text: str) -> None:
    page = told.open("/explain", **query)
    assert told.last.status_code == status
    assert text in told.last.text.replace("&#39;", "'"), page


def test_a_wrong_cursor_is_refused(told: Visitor) -> None:
    told.open("/stock", after="nonsense")
    assert told.last.status_code == 400


def test_what_is_in_transit_and_who_is_waited_for(told: Visitor, office: Engine) -> None:
    def asked(step: InstructionStep, at: str, transfer_id: str, *lines: InstructionLine) -> Instruction:
        return Instruction(
            transfer_id=transfer_id,
            step=step,
            token=1,
            location_id=at,
            source="BEY-01",
            destination="WH-1",
            lines=lines,
        )

    with office.begin() as connection:
        instructions.put(
            connection,
            [
                asked(InstructionStep.IN, "WH-1", "t-1", InstructionLine(1, "milk", 5_000, "l")),
                asked(
                    InstructionStep.OUT,
                    "BEY-01",
                    "t-3",
                    InstructionLine(1, "odd", 2_000, "pcs"),
                    InstructionLine(2, "halloumi", 500, "kg"),
                ),
            ],
        )
    page = told.open("/transfers")
    transit = rows(page.by_id("transit"))
    assert [row[1:] for row in transit] == [
        ["Whole milkt-1", "BEY-01", "WH-1", "5", "0", "0", "5 l"],
        [
            f"{HOSTILE}t-2",
            "not known yet",
            "BEY-02",
            "0",
            "7",
            "0",
            f"{MINUS}7 pcsreceived before the sender’s log arrived",
        ],
    ]
    assert transit[0][0].startswith("3 hours ago")
    assert rows(page.by_id("open")) == [
        ["BEY-01", "to send", f"2 pcs {HOSTILE}0.5 kg حلوم بلديt-3", "BEY-01", "WH-1"],
        ["WH-1", "to receive", "5 l Whole milkt-1", "BEY-01", "WH-1"],
    ]
    page = told.open("/transfers", as_of=moment(4))
    assert rows(page.by_id("transit")) == [["Nothing is in transit."]]


def test_events_in_quarantine_make_a_figure_incomplete(
    visitor: Visitor, office: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("head_office.log.decoder.understand", OldVersion.understand)
    Story("BEY-01").record("PURCHASE_RECEIVED", 2).record("ORDER_DEDUCTION", 1, note="new kind").log.ship(office)
    page = visitor.open("/stock")
    assert "incomplete: an event is in quarantine" in rows(page.first("table"))[0][2]
    assert "1 in quarantine" in page.first("thead").text
    page = visitor.open("/explain", location_id="BEY-01", item_id="milk")
    assert "Event 2" in page.by_id("held-title").text or "Event 2" in page.text


def test_an_empty_group_says_what_to_do(visitor: Visitor) -> None:
    page = visitor.open("/stock")
    assert "No branch has recorded anything yet." in page.text
    assert rows(visitor.open("/transfers").by_id("open")) == [["No branch has anything to do for a transfer."]]
