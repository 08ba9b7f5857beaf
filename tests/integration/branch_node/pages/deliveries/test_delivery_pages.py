"""The pages of orders to suppliers over a real node: which are open, receiving, and every refusal told in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from branch_node.model import Item
from branch_node.sync.catalogue_update import CatalogueIds
from shared.events import Cost
from shared.runtime.http.scopes import Role
from tests.support.branch_person import Person, somebody
from tests.support.html import Element, filled_form, parse, rows
from tests.support.pulled_orders import FARM, pulled, purchase_order

HOSTILE = "<b>حلوم</b> & co"
ITEMS = (
    Item(item_id="milk", name="Whole milk", unit="l"),
    Item(item_id="beans", name="Coffee beans", unit="kg"),
    Item(item_id='a&b"c', name=HOSTILE, unit="pcs"),
)
ORDER = "/deliveries/PO-000001"
USD_30 = Cost(amount="30.00", currency="USD")


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with somebody(tmp_path, ITEMS) as found:
        yield found


def pull(person: Person, *stated: Any, keep: CatalogueIds | None = None) -> None:
    person.node.writer.submit(pulled(*stated, keep=keep)).result(10)


def ask(person: Person, path: str, role: Role = Role.STAFF) -> dict[str, Any]:
    answer = person.client.get(path, headers={"Authorization": f"Bearer {person.keys[role]}"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def post(person: Person, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What another client of the node does; its answer."""
    headers = {"Authorization": f"Bearer {person.keys[Role.MANAGER]}", "Idempotency-Key": str(uuid4())}
    answer = person.client.post(path, json=body, headers=headers)
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


def lines(person: Person, order: str = "PO-000001") -> list[tuple[float, float, float]]:
    """What was received of each line of an order, what is open, and what came beyond it."""
    found = ask(person, f"/v1/purchase-orders/{order}")["lines"]
    return [(each["received"], each["open"], each["over"]) for each in found]


def deliveries(person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(person, "/v1/events?type=PURCHASE_RECEIVED")["items"]
    return found


def receive(person: Person, order: str = ORDER, **fields: str) -> Element:
    """Fill the form of an order's page; fields are named as quantity_1_1."""
    person.open(order)
    return send(person, order, **fields)


def send(person: Person, order: str = ORDER, **fields: str) -> Element:
    return person.send(order, **{name.replace("_", "-"): text for name, text in fields.items()})


def form(person: Person, order: str = ORDER) -> dict[str, str]:
    """What the form on the page holds, but for its key and token."""
    held = filled_form(parse(person.last.text), order)
    return {name: text for name, text in held.items() if name not in {"csrf", "key"}}


def told(page: Element) -> Element:
    return next(each for each in page.all("div") if each.attributes.get("role") == "status")


def tables(page: Element) -> list[list[list[str]]]:
    return [rows(table) for table in page.all("table")]


# Receiving


def test_an_order_comes_in_two_parts_over_and_in_two_lots_and_is_told_at_each_step(person: Person) -> None:
    pull(person, FARM, purchase_order(cost=USD_30, due="2020-01-31"))
    person.sign_in(Role.STAFF)
    page = person.open("/deliveries")
    opened, ended = tables(page)
    assert opened[0][0] == "PO-000001Farm of the valley"
    assert opened[0][1] == "10 l Whole milk 5 kg Coffee beans"
    assert opened[0][2].startswith("31 Jan 2020")
    assert opened[0][2].endswith("days late")
    assert ended == [["No order has been received yet."]]

    person.open(ORDER)
    assert form(person) == {
        "from": "1", "note": "", "when": "", "currency": "USD",
        "quantity-1-1": "10", "lot-1-1": "", "expires-1-1": "", "cost-1-1": "",
        "quantity-2-1": "5", "lot-2-1": "", "expires-2-1": "", "cost-2-1": "",
    }  # fmt: skip
    page = send(person, again="1", quantity_1_1="4,5", lot_1_1="A", note="DN 77")
    assert (person.last.status_code, deliveries(person)) == (200, [])
    assert "autofocus" in page.by_id("quantity-1-2").attributes
    assert form(person).items() >= {"quantity-1-1": "4,5", "lot-1-1": "A", "quantity-1-2": "", "note": "DN 77"}.items()
    page = send(person, cost_1_1="11,25", quantity_1_2="2", lot_1_2="B", expires_1_2="2026-12-24", quantity_2_1="6")
    assert person.last.url.path == "/deliveries"
    done = told(page)
    assert done.first("h2").text == "Recorded: a delivery of order PO-000001"
    assert [each.text for each in done.first("ul").all("li")] == [
        "4.5 l of Whole milk, lot A, 11.25 USD",
        "2 l of Whole milk, lot B, expires 24 Dec 2026",
        "6 kg of Coffee beans",
    ]
    assert "More came than was ordered: Coffee beans, 6 of 5 kg, that is 1 kg too much." in done.text
    assert "Still open of the order: Whole milk: 3.5 of 10 l" in done.text
    assert "Whole milk: on hand 6.5 l" in done.text
    assert "A manager voids it" in done.text
    first, second, third = deliveries(person)
    assert first["reference"] == {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    assert (first["source"], first["supplier_id"], first["lot"], first["note"]) == ("page", "farm", "A", "DN 77")
    assert first["cost"] == {"amount": "11.25", "currency": "USD"}
    assert (second["expires_on"], second["lot"], third["quantity"]) == ("2026-12-24", "B", 6)
    assert {(each["lines"], each["sequence"] - each["line"]) for each in (first, second, third)} == {
        (3, first["sequence"] - 1)
    }
    assert lines(person) == [(6.5, 3.5, 0), (6, 0, 1)]
    assert tables(page)[0][0][1] == "3.5 l Whole milk of 10"

    # The rest, as it stands on the page.
    page = person.open(ORDER)
    assert form(person).items() >= {"quantity-1-1": "3.5", "quantity-2-1": ""}.items()
    assert "1 more than ordered" in page.text
    assert tables(page)[1][0][1:3] == ["Coffee beans of line 2: DN 77", "6 kg"]
    page = receive(person)
    assert "Nothing of the order is open any more." in told(page).text
    assert tables(page)[0] == [
        ["No order to a supplier is open. Orders come from head office, and this branch works by itself."]
    ]
    assert tables(page)[1][0][1] == "received 10 l Whole milk 6 kg Coffee beans of 5"


def test_a_line_that_did_not_come_stays_open(person: Person) -> None:
    pull(person, FARM, purchase_order())
    person.sign_in(Role.STAFF)
    person.open(ORDER)
    send(person, empty="1", note="kept")
    assert form(person).items() >= {"quantity-1-1": "", "quantity-2-1": "", "note": "kept"}.items()
    assert deliveries(person) == []
    send(person, quantity_2_1="1", quantity_1_1="0")
    assert lines(person) == [(0, 10, 0), (1, 4, 0)]


def test_a_void_opens_the_order_again_and_the_page_of_it_tells(person: Person) -> None:
    pull(person, FARM, purchase_order())
    person.sign_in(Role.MANAGER)
    page = receive(person)
    link = next(each for each in told(page).all("a") if each.text == "A mistake? Void it")
    person.open(link["href"])
    person.send(link["href"], reason="mistake", scope="whole")
    assert lines(person) == [(0, 10, 0), (0, 5, 0)]
    page = person.open(ORDER)
    assert [row[1].partition("voided")[2][:9] for row in tables(page)[1]] == [" by event"] * 2
    assert form(person)["quantity-1-1"] == "10"
    event_id = link["href"].rpartition("/")[2]
    page = person.open(f"/deliveries?done={event_id}")
    assert told(page).text.startswith("Voided: a delivery of order PO-000001 Nothing of it counts any more.")


def test_a_closed_order_says_why_and_is_received_all_the_same(person: Person) -> None:
    pull(person, FARM, msgspec.structs.replace(purchase_order(closed=(1, 2)), close_reason="the farm flooded"))
    person.sign_in(Role.STAFF)
    page = person.open("/deliveries")
    assert tables(page)[1][0][1].startswith("closed the farm flooded")
    page = person.open(ORDER)
    assert "closed Head office waits for nothing more of it: the farm flooded" in page.text
    assert form(person).items() >= {"quantity-1-1": "", "quantity-2-1": ""}.items()
    page = send(person, quantity_1_1="1")
    assert "Head office closed the rest: the farm flooded." in told(page).text
    assert lines(person)[0] == (1, 0, 0)
