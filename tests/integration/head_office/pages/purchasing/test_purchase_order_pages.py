"""The pages of orders to suppliers: made from the report, listed, received by the log, changed and closed."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine

from head_office.catalogue import items
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.pages.purchasing import purchase_order_pages
from shared.catalogue_messages import CatalogueItem
from shared.events import Reference
from shared.levels.reorder_levels import ReorderLevel
from shared.purchases.purchase_orders import MAX_ORDER_LINES
from tests.integration.head_office.conftest import Api
from tests.support.html import Element, filled_form, parse, rows
from tests.support.morning_rig import MorningRig, utc
from tests.support.office_visitor import HOSTILE, OfficeVisitor


def order_these(visitor: OfficeVisitor) -> Element:
    """The form that the report leads to."""
    page = visitor.open("/purchasing")
    address = next(each["href"] for each in page.all("a") if each["href"].startswith("/new-order"))
    return visitor.open(address)


def made(visitor: OfficeVisitor, **changed: str) -> tuple[str, Element]:
    page = visitor.send(order_these(visitor), "/new-order", **changed)
    assert visitor.last.status_code == 200, page.text
    address = urlsplit(str(visitor.last.url))
    assert parse_qs(address.query) == {"done": ["made"]}
    return address.path, page


def api_orders(api: Api) -> list[Any]:
    found: list[Any] = api.call("viewer", "GET", "/v1/purchase-orders").json()["items"]
    return found


def lines(page: Element) -> list[list[str]]:
    return rows(page.by_id("lines"))


def test_what_the_report_says_is_ordered(visitor: OfficeVisitor, api: Api) -> None:
    form = filled_form(order_these(visitor), "/new-order")
    assert {name: form[name] for name in ("location_id", "supplier_id", "item-1", "quantity-1", "quantity-2")} == {
        "location_id": "BEY-01",
        "supplier_id": "farm",
        "item-1": "milk",
        "quantity-1": "18",
        "quantity-2": "2.5",
    }
    address, page = made(visitor, due="2087-03-23", note="at the back door", **{"cost-1": "12,5", "currency": "eur"})
    assert "The order is made." in page.text
    (order,) = api_orders(api)
    assert address == f"/orders/{order['purchase_order_id']}"
    assert (order["due"], order["note"]) == ("2087-03-23", "at the back door")
    assert [(each["item_id"], each["quantity"], each["cost"]) for each in order["lines"]] == [
        ("milk", 18, {"amount": "12.5", "currency": "EUR"}),
        ("odd", 2.5, None),
    ]
    # The report counts on it now.
    assert "milk" not in visitor.open("/purchasing").text
    assert rows(visitor.open("/orders").by_id("orders"))[0][:5] == [
        order["purchase_order_id"], "Ferme d’Été", "Place BEY-01", "open", "23 Mar 2087",
    ]  # fmt: skip


def test_a_form_sent_twice_orders_once(visitor: OfficeVisitor, api: Api) -> None:
    sent = filled_form(order_these(visitor), "/new-order")
    first, second = (api.client.post("/new-order", data=sent) for _ in range(2))
    assert first.url == second.url
    assert len(api_orders(api)) == 1
    # Changed, and sent with the key of an order that is made: nothing is made, and the form has a new key.
    again = api.client.post("/new-order", data={**sent, "quantity-1": "1"})
    assert again.status_code == 409
    assert len(api_orders(api)) == 1
    assert filled_form(parse(again.text), "/new-order")["key"] != sent["key"]


def test_what_is_wrong_stands_beside_its_field(visitor: OfficeVisitor, api: Api) -> None:
    wrong = {
        "location_id": "BEY-01",
        "supplier_id": "farm",
        "item-1": "milc",
        "quantity-1": "3",
        "item-2": "whole MILK",
        "quantity-2": "1.2345",
        "item-3": "odd",
        "quantity-3": "1,250",
        "item-4": HOSTILE,
        "cost-4": "x",
    }
    page = visitor.send(visitor.open("/new-order"), "/new-order", **wrong)
    assert visitor.last.status_code == 422
    told = {each["id"] for each in page.all("p") if each.attributes.get("id", "").endswith("-error")}
    assert told == {"item-1-error", "quantity-3-error", "quantity-4-error", "currency-error"}
    assert page.by_id("item-1-error").text.endswith("Did you mean milk?")
    page = visitor.send(page, "/new-order", **{"item-1": "milk", "quantity-3": "1.25", "quantity-4": "2", "cost-4": ""})
    assert page.by_id("quantity-2-error").text.startswith("4 decimals")
    page = visitor.send(page, "/new-order", **{"quantity-2": "1,5"})
    assert visitor.last.status_code == 200
    assert [row[2] for row in lines(page)] == ["3 l", "1.5 l", "1.25 pcs", "2 pcs"]
    assert len(api_orders(api)) == 1


@pytest.mark.parametrize("missing", ["location_id", "supplier_id", "item-1"])
def test_an_order_lacks_something(visitor: OfficeVisitor, api: Api, missing: str) -> None:
    filled = {"location_id": "BEY-01", "supplier_id": "farm", "item-1": "milk", "quantity-1": "1"}
    left_out = {missing: "", **({"quantity-1": ""} if missing == "item-1" else {})}
    page = visitor.send(visitor.open("/new-order"), "/new-order", **filled | left_out)
    assert visitor.last.status_code == 422
    assert page.by_id(f"{missing}-error")
    assert api_orders(api) == []


def test_more_lines_keep_what_was_typed(visitor: OfficeVisitor, api: Api) -> None:
    page = visitor.open("/new-order")
    for _ in range(20):
        page = visitor.send(page, "/new-order", more="1", **{"item-1": "milk", "quantity-1": "1"})
    form = filled_form(page, "/new-order")
    assert form["item-1"] == "milk"
    assert "item-200" in form
    assert "item-201" not in form
    many = {
        f"{name}-{number}": text for number in range(1, 201) for name, text in (("item", "milk"), ("quantity", "1"))
    }
    page = visitor.send(page, "/new-order", location_id="BEY-01", supplier_id="farm", **many)
    assert len(lines(page)) == 200
    assert len(api_orders(api)[0]["lines"]) == 200


def test_of_a_longer_report_the_rest_is_told_of(visitor: OfficeVisitor, office: Engine) -> None:
    codes = [f"item-{number:03d}" for number in range(MAX_ORDER_LINES)]
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id=each, name=each, unit="pcs") for each in codes])
        level = ReorderLevel(reorder_point=0, order_up_to=1_000, supplier_id="farm")
        put_levels(connection, [LevelChange("BEY-01", each, level) for each in codes])
    page = order_these(visitor)
    form = filled_form(page, "/new-order")
    assert form["item-200"]
    assert "2 more items of the report are not among these" in page.text
    visitor.send(page, "/new-order")
    assert visitor.last.status_code == 200
    # What is ordered is projected now, so the rest is what the report leads to.
    rest = filled_form(order_these(visitor), "/new-order")
    assert {name: rest[name] for name in ("item-1", "item-2", "item-3")} == {
        "item-1": "milk",
        "item-2": "odd",
        "item-3": "",
    }


def test_received_in_part_over_and_returned(visitor: OfficeVisitor, low: MorningRig) -> None:
    address, _ = made(visitor)
    order_id = address.rpartition("/")[2]
    for line, kind, quantity, item_id, unit in (
        (1, "PURCHASE_RECEIVED", 5_000, "milk", "l"),
        (2, "PURCHASE_RECEIVED", 4_000, "odd", "pcs"),
        (2, "PURCHASE_RETURNED", 1_000, "odd", "pcs"),
    ):
        low.logs["BEY-01"].record(
            kind,
            item_id=item_id,
            unit=unit,
            quantity=quantity,
            occurred_at=utc("2087-03-20T09:00"),
            business_date="2087-03-20",
            reference=Reference(kind="purchase-order", id=order_id, line=line),
            **({"reason": "damaged"} if kind == "PURCHASE_RETURNED" else {}),
        )
    low.logs["BEY-01"].ship_now(low.engine)
    page = visitor.open(address)
    assert [row[2:7] for row in lines(page)] == [
        ["18 l", "5", "13", "0", "0"],
        ["2.5 pcs", "4", "0", "1.5", "1"],
    ]
    listed = rows(visitor.open("/orders").by_id("orders"))
    assert listed[0][3] == "open more arrived than ordered"
    assert listed[0][5].startswith("21 open")
    page = visitor.send(visitor.open(address), address, do="close", which="all", reason="too late")
    assert "Nothing more of it is waited for." in page.text
    assert "Closed because too late" in page.text.replace("because", "because ").replace("  ", " ")


def test_changed_and_closed_line_by_line(visitor: OfficeVisitor, low: MorningRig) -> None:
    address, page = made(visitor)
    page = visitor.send(page, address, due="2087-03-19", note="Ring twice")
    assert "The order is changed." in page.text
    assert "overdue" in page.text
    assert "Ring twice" in page.text
    page = visitor.send(page, address, due="never")
    assert visitor.last.status_code == 422
    assert page.by_id("due-error").text == "Not a date such as 2026-01-31."
    closing = {"do": "close", "csrf": filled_form(page, address)["csrf"]}
    for which, status in (("9", 422), ("x", 422), ("2", 200)):
        answer = visitor.client.post(address, data={**closing, "which": which})
        assert answer.status_code == status, which
    page = visitor.open(address)
    assert [row[1] for row in lines(page)] == ["Whole milkmilk", f"{HOSTILE}oddclosed"]
    assert page.first("h2").text == "Open overdue"
    visitor.client.post(address, data={**closing, "which": "all", "reason": "x"})
    assert rows(visitor.open("/orders").by_id("orders")) == [["There is no such order."]]
    assert rows(visitor.open("/orders", state="CLOSED").by_id("orders"))[0][3] == "closed"
    assert rows(visitor.open("/orders", state="ANY", supplier_id="dairy").by_id("orders")) == [
        ["There is no such order."]
    ]


def test_the_list_in_pages(visitor: OfficeVisitor, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchase_order_pages, "ORDERS_SHOWN", 2)
    line = {"item_id": "milk", "quantity": 1}
    for place, code in (("BEY-01", "a b&c"), ("BEY-02", "b"), ("BEY-01", "c")):
        body = {"purchase_order_id": code, "location_id": place, "supplier_id": "farm", "lines": [line]}
        assert api.call("purchasing", "POST", "/v1/purchase-orders", body).status_code == 201
    page = visitor.open("/orders")
    assert [row[0] for row in rows(page.by_id("orders"))] == ["a b&c", "b"]
    further = next(each["href"] for each in page.all("a") if "after=" in each["href"])
    assert [row[0] for row in rows(visitor.open(further).by_id("orders"))] == ["c"]
    assert [row[0] for row in rows(visitor.open("/orders", location_id="BEY-02").by_id("orders"))] == ["b"]
    link = next(each["href"] for each in page.all("a") if each.text == "a b&c")
    assert visitor.open(link).first("h1").text == "Order a b&c"
    visitor.open("/orders/nothing")
    assert visitor.last.status_code == 404


def test_who_may_act(visitor: OfficeVisitor, api: Api) -> None:
    address, page = made(visitor)
    visitor.sign_in("viewer")
    page = visitor.open(address)
    assert [each["action"] for each in page.all("form")] == ["/sign-out"]
    token = filled_form(page, "/sign-out")["csrf"]
    for path, data in ((address, {"do": "close", "which": "all"}), ("/new-order", {"item-1": "milk"})):
        assert api.client.post(path, data={**data, "csrf": token}).status_code == 403
    visitor.sign_in()
    assert api.client.post(address, data={"do": "close", "which": "all"}).status_code == 403  # no token
    assert api_orders(api)[0]["state"] == "OPEN"
    visitor.sign_in("manager of BEY-01")
    page = visitor.open("/new-order")
    sent = filled_form(page, "/new-order", supplier_id="farm", **{"item-1": "milk", "quantity-1": "1"})
    assert sent["location_id"] == "BEY-01"
    assert api.client.post("/new-order", data={**sent, "location_id": "BEY-02"}).status_code == 403
    assert len(api_orders(api)) == 1
    visitor.sign_in("viewer of BEY-01")
    assert visitor.open(address)
    body = {"location_id": "BEY-02", "supplier_id": "farm", "lines": [{"item_id": "milk", "quantity": 1}]}
    other = api.call("purchasing", "POST", "/v1/purchase-orders", body).json()["purchase_order_id"]
    visitor.open(f"/orders/{other}")
    assert visitor.last.status_code == 403
    visitor.sign_in("staff")
    visitor.open("/orders")
    assert visitor.last.status_code == 403


def test_signed_out_in_the_middle_nothing_typed_is_lost(visitor: OfficeVisitor, api: Api) -> None:
    sent = filled_form(order_these(visitor), "/new-order", note="by hand")
    api.client.cookies.clear()
    page = parse(api.client.post("/new-order", data=sent).text)
    back = {**filled_form(page, "/sign-in"), "key": api.keys["purchasing"]}
    again = parse(api.client.post("/sign-in", data=back).text)
    form = filled_form(again, "/new-order")
    assert {name: form[name] for name in ("note", "item-1", "quantity-1", "key")} == {
        name: sent[name] for name in ("note", "item-1", "quantity-1", "key")
    }
