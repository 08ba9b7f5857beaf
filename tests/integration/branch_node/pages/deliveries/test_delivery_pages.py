"""The pages of orders to suppliers over a real node: which are open, receiving, and every refusal told in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from branch_node.database.purchases.pulled_order_lists import MOST_OPEN
from branch_node.model import Item
from branch_node.sync.catalogue_update import CatalogueIds
from branch_node.writer.writer import Writer
from shared.events import Cost
from shared.runtime.http.scopes import Role
from shared.runtime.problems import DATABASE_BUSY, Recorded
from tests.support.branch_person import Person, somebody
from tests.support.html import Element, filled_form, form_fields, parse, rows
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


def faults_told(page: Element) -> dict[str, str]:
    """What is told beside fields, by field."""
    wrong = [each for each in page.all("p") if each.attributes.get("class") == "error" and "id" in each.attributes]
    return {each["id"].removesuffix("-error"): each.text for each in wrong}


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
    page = person.send(link["href"], reason="mistake", scope="whole")
    assert told(page).text.startswith("Voided: a delivery of order PO-000001 Nothing of it counts any more.")
    assert "Still open of the order: Whole milk: 10 of 10 l Coffee beans: 5 of 5 kg" in told(page).text
    assert "Whole milk: on hand 0 l Coffee beans: on hand 0 kg" in told(page).text
    assert lines(person) == [(0, 10, 0), (0, 5, 0)]
    page = person.open(ORDER)
    assert [row[1].partition("voided")[2][:9] for row in tables(page)[1]] == [" by event"] * 2
    assert form(person)["quantity-1-1"] == "10"
    # One line alone: what came with it still counts, and is told.
    page = receive(person)
    link = next(each for each in told(page).all("a") if each.text == "A mistake? Void it")
    person.open(link["href"])
    page = person.send(link["href"], reason="mistake", scope="one")
    assert "Of what was recorded with it, this still counts: 5 kg of Coffee beans" in told(page).text
    assert lines(person) == [(0, 10, 0), (5, 0, 0)]


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


def test_a_line_that_is_not_open_any_more_may_still_come(person: Person) -> None:
    pull(person, FARM, purchase_order(closed=(2,)))
    person.sign_in(Role.STAFF)
    page = receive(person, quantity_1_1="4", quantity_2_1="1")
    assert [each.text for each in told(page).first("ul").all("li")] == ["4 l of Whole milk", "1 kg of Coffee beans"]
    assert lines(person) == [(4, 6, 0), (1, 0, 0)]
    page = receive(person, quantity_1_1="", quantity_2_1="x")
    details = next(each for each in page.all("details") if "not open" in each.first("summary").text)
    assert "open" in details.attributes, "what is wrong in it is shown"


# Faults


def test_what_is_wrong_is_told_beside_its_field_and_nothing_is_lost(person: Person) -> None:
    pull(person, FARM, purchase_order(), purchase_order("PO-2", (("milk", "l", 10_000),)))
    person.sign_in(Role.STAFF)
    person.open(ORDER)
    person.send(ORDER, again="2")
    typed = {
        "quantity-1-1": "1,250",
        "lot-1-1": "a\u200bb",
        "quantity-2-1": "2",
        "cost-2-1": "dear",
        "expires-2-1": "31.12.2026",
        "lot-2-2": "B",
        "note": "kept",
        "when": "2026-03-29T00:30",
    }
    page = person.send(ORDER, **typed)
    assert person.last.status_code == 422
    assert form(person).items() >= typed.items()
    wrong = {
        each["id"].removesuffix("-error"): each.text
        for each in page.all("p")
        if each.attributes.get("class") == "error" and "id" in each.attributes
    }
    assert wrong.keys() == {"quantity-1-1", "quantity-2-2", "currency", "when"}
    assert wrong["quantity-1-1"] == "1,250 can be read in two ways. Write 1250 or 1.250."
    assert wrong["quantity-2-2"].startswith("How much of it came?")
    assert "autofocus" in page.by_id("quantity-1-1").attributes
    page = person.send(ORDER, **{"quantity-1-1": "1.25", "quantity-2-2": "3", "currency": "usd", "when": ""})
    wrong = {
        each["id"].removesuffix("-error"): each.text
        for each in page.all("p")
        if each.attributes.get("class") == "error" and "id" in each.attributes
    }
    assert wrong.keys() == {"lot-1-1", "cost-2-1", "expires-2-1"}
    assert wrong["cost-2-1"].startswith("That is no amount of money.")
    assert wrong["expires-2-1"].startswith("That is no date.")
    assert deliveries(person) == []
    page = person.send(ORDER, **{"lot-1-1": "A", "cost-2-1": "12,5", "expires-2-1": "2026-12-31"})
    assert lines(person) == [(1.25, 8.75, 0), (5, 0, 0)]
    assert [each.get("cost") for each in deliveries(person)] == [None, {"amount": "12.5", "currency": "USD"}, None]

    page = receive(person, quantity_1_1="")
    assert page.by_id("quantity-1-1-error").text.startswith("What came?")
    page = receive(person, "/deliveries/PO-2", when="2199-01-01T12:00")
    assert page.by_id("when-error").text


def test_an_item_that_is_kept_in_another_unit_now_is_told_at_its_line(person: Person) -> None:
    pull(person, FARM, purchase_order(lines=(("milk", "kg", 1_000), ("tea", "kg", 1_000))))
    person.sign_in(Role.STAFF)
    page = receive(person, quantity_2_1="")
    assert person.last.status_code == 422
    assert page.by_id("quantity-1-1-error").text.startswith("Milk is kept in l here, and was ordered in kg.")
    page = send(person, quantity_1_1="", quantity_2_1="1")
    assert page.by_id("quantity-2-1-error").text.startswith("No code stands for the item 'tea' here.")
    assert deliveries(person) == []


def test_an_order_that_is_gone_meanwhile_keeps_what_was_typed(person: Person) -> None:
    pull(person, FARM, purchase_order())
    person.sign_in(Role.STAFF)
    person.open(ORDER)
    sent = filled_form(parse(person.last.text), ORDER, **{"quantity-1-1": "3.25"})
    pull(person, keep=CatalogueIds())
    person.last = person.client.post(ORDER, data=sent)
    assert person.last.status_code == 404
    page = person.look()
    assert page.first("h1").text == "This is not recorded yet"
    assert "3.25" in page.text
    pull(person, FARM, purchase_order())
    person.send(ORDER)
    assert lines(person) == [(3.25, 6.75, 0), (5, 0, 0)]


def test_an_order_that_is_not_there(person: Person) -> None:
    person.sign_in()
    for order in ("PO-9", "a%2Fb", "é", "0" * 500, "%20"):
        assert person.client.get(f"/deliveries/{order}").status_code in {400, 404}
    for odd in ("done=x", "done=%E2%80%8B", "q=%F0%9F%A5%9B", f"q={'9' * 500}", "before=%20x", "before=PO-9"):
        assert person.open(f"/deliveries?{odd}").first("h1").text == "Deliveries"
    pull(person, FARM, purchase_order())
    for odd in ("from=0", "from=99", "from=x", "again=9", "again=x", "quantity-999-99=1", "quantity-1-99=1", "key=x"):
        assert person.open(f"{ORDER}?{odd}").first("h1").text == "Order PO-000001"
    csrf = form_fields(person.look().first("form"))["csrf"]
    key = {"csrf": csrf, "key": "page-" + "a" * 24}
    for fields, status in (({}, 422), ({"quantity-9-1": "1"}, 422), ({"quantity-1-1": "1", "key": "x"}, 400)):
        assert person.client.post(ORDER, data=key | fields).status_code == status
    assert deliveries(person) == []


# Large orders


def test_an_order_of_many_lines_is_received_in_parts(person: Person) -> None:
    many = tuple(("milk" if number % 2 else "beans", "l" if number % 2 else "kg", 1_000) for number in range(1, 201))
    pull(person, FARM, purchase_order(lines=many))
    person.sign_in(Role.STAFF)
    page = person.open(ORDER)
    assert "The form is of lines 1 to 40 of 200." in page.text
    receive(person)
    assert sum(received for received, *_ in lines(person)) == 40
    page = person.open(ORDER)
    after = next(each for each in page.all("a") if each.text == "The lines after")
    page = person.open(after["href"])
    assert form(person).keys() >= {"quantity-41-1", "quantity-80-1"}
    for _ in range(25):
        page = send(person, again="41")
    assert form(person).keys() >= {"quantity-41-21", "quantity-80-1"}
    assert "The form has no more rows." in page.text
    assert form(person)["from"] == "41"
    send(person, quantity_41_21="3")
    assert lines(person)[40] == (4, 0, 3)
    assert sum(received for received, *_ in lines(person)) == 83


# The list


def test_orders_are_found_by_id_supplier_and_item(person: Person) -> None:
    pull(
        person,
        FARM,
        purchase_order("PO-1", (("milk", "l", 1_000),), due=None),
        purchase_order("PO-2", (("beans", "kg", 1_000),), due="2199-01-02"),
        purchase_order("PO-3", (('a&b"c', "pcs", 1_000),), supplier_id="gone", due="2199-01-01"),
        *(purchase_order(f"OLD-{number:02}", closed=(1, 2)) for number in range(30)),
    )
    person.sign_in(Role.STAFF)
    opened, ended = tables(person.open("/deliveries"))
    assert [row[0] for row in opened] == ["PO-3gone", "PO-2Farm of the valley", "PO-1Farm of the valley"]
    assert [row[0][:6] for row in ended] == [f"OLD-{number:02}" for number in range(29, 4, -1)]
    older = next(each for each in person.look().all("a") if each.text == "Older")
    (ended,) = tables(person.open(older["href"]))
    assert [row[0][:6] for row in ended] == [f"OLD-{number:02}" for number in range(4, -1, -1)]
    for searched, found in (("po-2", ["PO-2"]), ("whole", ["PO-1"]), ("valley", ["PO-2", "PO-1"]), ("حلوم", ["PO-3"])):
        assert [row[0][:4] for row in tables(person.open(f"/deliveries?q={searched}"))[0]] == found
    page = person.open("/deliveries?q=OLD-07")
    assert tables(page)[0] == [["Nothing of this order is open any more. " + ALONE]]
    assert [row[0][:6] for row in tables(page)[1]] == ["OLD-07"]


def test_an_order_beyond_those_that_the_page_lists_is_found_by_its_id(person: Person) -> None:
    pull(person, FARM, *(purchase_order(f"PO-{number:03}", (("milk", "l", 1_000),)) for number in range(MOST_OPEN + 5)))
    person.sign_in(Role.STAFF)
    page = person.open("/deliveries")
    assert f"the first {MOST_OPEN}, what is due first in front" in page.first("caption").text
    assert len(tables(page)[0]) == MOST_OPEN
    last = f"PO-{MOST_OPEN + 4}"
    assert [row[0][:6] for row in tables(person.open(f"/deliveries?q={last}"))[0]] == [last]


ALONE = "Orders come from head office, and this branch works by itself."


# An order that was not pulled yet


def test_a_delivery_of_an_order_that_is_not_here_yet_counts_once_it_is(person: Person) -> None:
    person.sign_in(Role.STAFF)
    page = person.open("/deliveries?q=PO-000001")
    link = next(each for each in page.all("a") if each.text == "Record a delivery")
    person.open(link["href"])
    page = person.send("/record/delivery", item="beans", quantity="2")
    assert page.by_id("line-error").text.startswith("Which line of the order?")
    for line in ("x", "0", "1001", "1.5", "-1"):
        page = person.send("/record/delivery", line=line)
        assert page.by_id("line-error").text.startswith("A line is a whole number from 1 to 1000.")
    page = person.send("/record/delivery", order="", line="2")
    assert page.by_id("order-error").text.startswith("Of which order?")
    page = person.send("/record/delivery", order="PO-000001")
    assert "This order has not come from head office yet." in told(page).text
    pull(person, FARM, purchase_order())
    assert lines(person) == [(0, 10, 0), (2, 3, 0)]
    # Once it is here, the line's item is held to.
    person.open("/record/delivery")
    page = person.send("/record/delivery", item="milk", quantity="1", order="PO-000001", line="2")
    assert page.by_id("item-error").text.startswith("The order's line is of beans.")
    page = person.send("/record/delivery", line="9", item="beans")
    assert page.by_id("line-error").text.startswith("PO-000001 has no line 9")
    assert lines(person) == [(0, 10, 0), (2, 3, 0)]
    assert person.record("delivery", item="milk", quantity="1").first("h2").text.startswith("Recorded: 1 l")


# Who looks


def test_a_viewer_sees_all_and_has_no_form(person: Person) -> None:
    pull(person, FARM, purchase_order())
    person.sign_in(Role.VIEWER)
    for path in ("/deliveries", ORDER):
        page = person.open(path)
        assert {each["action"] for each in page.all("form")} <= {"/sign-out", "/deliveries"}
        assert "record no delivery" in page.text
    csrf = form_fields(page.first("form"))["csrf"]
    answer = person.client.post(ORDER, data={"csrf": csrf, "key": "page-" + "a" * 24, "quantity-1-1": "1"})
    assert answer.status_code == 403
    assert deliveries(person) == []


def test_a_key_that_may_not_read_orders_is_not_shown_the_section(person: Person) -> None:
    person.sign_in(Role.INTEGRATION)
    page = person.open("/stock")
    assert "Deliveries" not in [each.text for each in page.all("a")]
    assert person.client.get("/deliveries").status_code == 403


# Sessions and answers that are lost


def test_what_was_typed_survives_a_session_that_ended_and_is_recorded_once(person: Person) -> None:
    pull(person, FARM, purchase_order())
    person.sign_in(Role.STAFF)
    person.open(ORDER)
    typed = person.last
    for expected in ("recorded", "known"):
        person.client.cookies.clear()
        person.last = typed
        send(person, quantity_1_1="2", lot_1_1="A", quantity_2_1="", quantity_1_2="")
        page = person.send("/sign-in", key=person.keys[Role.STAFF])
        if expected == "recorded":
            held = {"quantity-1-1": "2", "lot-1-1": "A", "quantity-2-1": ""}
            assert form(person).items() >= held.items(), "what was emptied is not filled in again"
            page = send(person)
        assert "2 l of Whole milk, lot A" in told(page).text
    assert lines(person) == [(2, 8, 0), (0, 5, 0)]


def test_a_form_with_every_row_filled_in_survives_a_session_that_ended(person: Person) -> None:
    pull(person, FARM, purchase_order(lines=(("milk", "l", 1_000),) * 40))
    person.sign_in(Role.STAFF)
    page = person.open(ORDER)
    for _ in range(20):
        page = send(person, again="40")
    row = {"quantity": "1234.567", "lot": "L-2026-11-29", "expires": "2026-12-31", "cost": "1234.50"}
    typed = {name: row[kind] for name in form(person) if (kind := name.partition("-")[0]) in row}
    typed |= {"currency": "USD", "note": "ملاحظة" * 33}
    assert len(typed) == 4 * 60 + 2
    person.client.cookies.clear()
    person.send(ORDER, **typed)
    page = person.send("/sign-in", key=person.keys[Role.STAFF])
    assert form(person).items() >= typed.items()
    page = send(person)
    assert len(list(told(page).first("ul").all("li"))) == 60
    assert len(deliveries(person)) == 60


def test_a_form_that_is_sent_twice_counts_once_and_another_one_with_its_key_is_told(person: Person) -> None:
    pull(person, FARM, purchase_order())
    person.sign_in(Role.STAFF)
    person.open(ORDER)
    sent = filled_form(parse(person.last.text), ORDER)
    for _ in range(2):
        person.last = person.client.post(ORDER, data=sent)
        assert "10 l of Whole milk" in told(person.look()).text
    person.last = person.client.post(ORDER, data=sent | {"quantity-1-1": "1"})
    page = person.look()
    assert person.last.status_code == 409
    assert "This form recorded something else before, which stands." in page.text
    assert form(person)["quantity-1-1"] == "1"
    assert lines(person) == [(10, 0, 0), (5, 0, 0)]
    send(person, quantity_2_1="")
    assert lines(person) == [(11, 0, 1), (5, 0, 0)]


def test_a_form_in_doubt_comes_back_with_its_key(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    pull(person, FARM, purchase_order())
    person.sign_in(Role.STAFF)
    person.open(ORDER)
    submit = Writer.submit

    def lost(writer: Writer, command: Any) -> Any:
        submit(writer, command).result(20)
        raise DATABASE_BUSY("the answer is lost", recorded=Recorded.UNKNOWN)

    monkeypatch.setattr(Writer, "submit", lost)
    page = send(person, quantity_2_1="")
    assert page.first("h1").text == "It is not known whether this was recorded"
    monkeypatch.setattr(Writer, "submit", submit)
    assert "10 l of Whole milk" in told(person.send(ORDER)).text
    assert lines(person) == [(10, 0, 0), (0, 5, 0)]


@pytest.mark.parametrize("order", ["2026/44", 'a b?c#d&e"f<b>', "طلب-1", "a/receive", "x+y", "/a"])
def test_whatever_an_order_is_called_it_is_received_also_after_its_session_ended(person: Person, order: str) -> None:
    pull(person, FARM, purchase_order(order))
    person.sign_in(Role.STAFF)
    page = person.open("/deliveries")
    page = person.open(next(page.first("tbody").all("a"))["href"])
    assert page.first("h1").text == f"Order {order}"
    action = next(each["action"] for each in page.all("form") if each["action"].startswith("/deliveries/"))
    person.client.cookies.clear()
    person.send(action, **{"quantity-1-1": "3"})
    page = person.send("/sign-in", key=person.keys[Role.STAFF])
    assert page.by_id("quantity-1-1")["value"] == "3"
    page = person.send(action)
    assert "3 l of Whole milk" in told(page).text
    assert person.open(next(told(page).all("a"))["href"]).first("h1").text == f"Order {order}"
