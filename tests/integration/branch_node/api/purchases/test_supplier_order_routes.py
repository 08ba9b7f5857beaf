"""Orders to suppliers over HTTP: what is answered, what is recorded, and every refusal."""

from __future__ import annotations

from typing import Any

import pytest

from branch_node.model import Item
from shared.catalogue_messages import CatalogueSupplier
from shared.events import Cost
from tests.support.branch import PutItems
from tests.support.branch_api import Caller
from tests.support.pulled_orders import FARM, pulled, purchase_order

ORDER = "/v1/purchase-orders/PO-000001"
RECEIVE = f"{ORDER}/receive"


def pull(caller: Caller, *stated: Any) -> None:
    caller.node.writer.submit(pulled(*stated)).result(10)


def line(caller: Caller, number: int = 1, order: str = ORDER) -> dict[str, Any]:
    found: dict[str, Any] = caller.get(order).json()["lines"][number - 1]
    return found


def test_an_order_is_received_in_part_over_and_in_two_lots(any_caller: Caller) -> None:
    caller = any_caller
    pull(caller, FARM, purchase_order(cost=Cost(amount="30.00", currency="USD")))
    before = caller.get(ORDER).json()
    assert before["state"] == "OPEN"
    assert before["due"] == "2026-12-01"
    assert before["lines"][0] == {
        "line": 1, "item_id": "milk", "unit": "l", "quantity": 10, "received": 0, "returned": 0, "open": 10, "over": 0,
        "closed": False, "cost": {"amount": "30.00", "currency": "USD"},
    }  # fmt: skip
    body = {
        "lines": [
            {"line": 1, "quantity": "4.5", "lot": "A", "cost": {"amount": "11.25", "currency": "USD"}},
            {"line": 1, "quantity": 2, "lot": "B", "expires_on": "2026-12-24", "note": "box open"},
            {"line": 2, "quantity": 6},
        ],
        "actor": "mona",
        "source": "till-1",
    }
    answer = caller.post(RECEIVE, body, key="delivery-1", role="staff")
    assert answer.status_code == 201
    first, second, third = answer.json()["recorded"]
    assert first["type"] == "PURCHASE_RECEIVED"
    assert first["reference"] == {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    assert (first["supplier_id"], first["lot"], first["quantity"]) == ("farm", "A", 4.5)
    assert first["cost"] == {"amount": "11.25", "currency": "USD"}
    assert (second["expires_on"], second["note"]) == ("2026-12-24", "box open")
    assert (third["item_id"], third["reference"]["line"]) == ("beans", 2)
    assert {each["actor"].split("/")[1] for each in (first, second, third)} == {"mona"}
    assert [(each["line"], each["lines"]) for each in (first, second, third)] == [(1, 3), (2, 3), (3, 3)]
    assert (line(caller)["received"], line(caller)["open"]) == (6.5, 3.5)
    assert (line(caller, 2)["open"], line(caller, 2)["over"]) == (0, 1)
    again = caller.post(RECEIVE, body, key="delivery-1", role="staff")
    assert again.json() == answer.json()
    assert line(caller)["received"] == 6.5
    other = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 1}]}, key="delivery-1", role="staff")
    assert (other.status_code, other.json()["code"]) == (409, "key-reused")


def test_a_void_opens_the_line_again_and_a_return_does_not(any_caller: Caller) -> None:
    caller = any_caller
    pull(caller, purchase_order(lines=(("milk", "l", 10_000),)))
    (event,) = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 10}]}).json()["recorded"]
    assert caller.get(ORDER).json()["state"] == "RECEIVED"
    reference = {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    returned = {"type": "PURCHASE_RETURNED", "item_id": "milk", "quantity": 3, "reference": reference}
    answer = caller.post("/v1/events", returned)
    assert (answer.status_code, answer.json()["supplier_id"]) == (201, "farm")
    assert (line(caller)["returned"], line(caller)["open"]) == (3, 0)
    assert caller.post(f"/v1/events/{event['event_id']}/void", {"reason": "mistake"}).status_code == 201
    assert (line(caller)["received"], line(caller)["returned"], line(caller)["open"]) == (0, 3, 10)
    assert caller.get(ORDER).json()["state"] == "OPEN"


def test_a_closed_line_may_still_be_received(any_caller: Caller) -> None:
    caller = any_caller
    pull(caller, purchase_order(closed=(1, 2)))
    assert caller.get(ORDER).json()["state"] == "CLOSED"
    assert caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 1}]}).status_code == 201
    assert (line(caller)["received"], line(caller)["open"]) == (1, 0)
    both = {"lines": [{"line": 1, "quantity": 9}, {"line": 2, "quantity": 5}]}
    assert caller.post(RECEIVE, both).status_code == 201
    assert caller.get(ORDER).json()["state"] == "RECEIVED"


def test_a_delivery_by_hand_counts_also_before_its_order_is_pulled(any_caller: Caller) -> None:
    caller = any_caller
    reference = {"kind": "purchase-order", "id": "PO-000001", "line": 2}
    body = {"type": "PURCHASE_RECEIVED", "item_id": "beans", "quantity": 2, "reference": reference}
    early = caller.post("/v1/events", body)
    assert early.status_code == 201
    assert "supplier_id" not in early.json()
    assert caller.get(ORDER).status_code == 404
    pull(caller, purchase_order())
    assert line(caller, 2)["received"] == 2
    late = caller.post("/v1/events", body)
    assert late.json()["supplier_id"] == "farm"
    assert line(caller, 2)["received"] == 4
    batch = caller.post("/v1/events/batch", {"events": [body, body | {"item_id": "milk"}]}).json()["items"]
    assert [each["status"] for each in batch] == [201, 422]
    assert batch[1]["problem"]["code"] == "purchase-order-line-differs"
    assert line(caller, 2)["received"] == 6


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"item_id": "beans"}, "purchase-order-line-differs", "line 1 of PO-000001 is of milk, not of beans"),
        ({"reference": {"line": 3}}, "invalid-request", "PO-000001 has no line 3: its lines are 1 to 2"),
        ({"reference": {"line": None}}, "invalid-request", "names the line of the order"),
        ({"item_id": "nothing"}, "unknown-item", "there is no item"),
    ],
)
@pytest.mark.parametrize("kind", ["PURCHASE_RECEIVED", "PURCHASE_RETURNED"])
def test_a_delivery_by_hand_that_names_a_wrong_line_is_refused(
    caller: Caller, kind: str, changed: dict[str, Any], code: str, said: str
) -> None:
    pull(caller, purchase_order())
    reference = {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    body: dict[str, Any] = {"type": kind, "item_id": "milk", "quantity": 1, "reference": reference}
    body |= {name: (reference | value if name == "reference" else value) for name, value in changed.items()}
    answer = caller.post("/v1/events", body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert said in problem["detail"]
    assert problem["recorded"] == "no"
    if code == "purchase-order-line-differs":
        assert problem["line_item_id"] == "milk"
    assert caller.get("/v1/events").json()["items"] == []


def test_only_a_delivery_is_held_to_the_order(caller: Caller) -> None:
    pull(caller, purchase_order())
    reference = {"kind": "purchase-order", "id": "PO-000001"}
    waste = {"type": "WASTE_RECORDED", "item_id": "beans", "quantity": 1, "reason": "spoiled", "reference": reference}
    assert caller.post("/v1/events", waste).status_code == 201
    paper = {
        "type": "PURCHASE_RECEIVED",
        "item_id": "beans",
        "quantity": 1,
        "reference": {"kind": "delivery", "id": "7"},
    }
    assert caller.post("/v1/events", paper).status_code == 201
    assert line(caller, 2)["received"] == 0


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"lines": []}, "invalid-request", "lines"),
        ({}, "invalid-request", "body"),
        ({"lines": [{"line": 3, "quantity": 1}]}, "invalid-request", "lines[0].line"),
        ({"lines": [{"line": 1, "quantity": 1}, {"line": 9, "quantity": 1}]}, "invalid-request", "lines[1].line"),
        ({"lines": [{"line": 0, "quantity": 1}]}, "invalid-request", "lines[0].line"),
        ({"lines": [{"line": 1, "quantity": 0}]}, "invalid-quantity", "lines[0].quantity"),
        ({"lines": [{"line": 1, "quantity": -1}]}, "invalid-quantity", "lines[0].quantity"),
        ({"lines": [{"line": 1, "quantity": 1.2345}]}, "invalid-quantity", "lines[0].quantity"),
        ({"lines": [{"line": 1}]}, "invalid-request", "lines[0]"),
        ({"lines": [{"line": 1, "quantity": 1, "item_id": "milk"}]}, "invalid-request", "lines[0]"),
        ({"lines": [{"line": 1, "quantity": 1, "lot": " a"}]}, "invalid-request", "lines[0].lot"),
        ({"lines": [{"line": 1, "quantity": 1, "expires_on": "soon"}]}, "invalid-request", "lines[0].expires_on"),
        (
            {"lines": [{"line": 1, "quantity": 1, "cost": {"amount": "-1", "currency": "USD"}}]},
            "invalid-request",
            "lines[0].cost.amount",
        ),
        ({"lines": [{"line": 1, "quantity": 1}], "occurred_at": "yesterday"}, "invalid-time", "occurred_at"),
    ],
)
def test_a_wrong_delivery_is_refused_whole(caller: Caller, body: dict[str, Any], code: str, field: str) -> None:
    pull(caller, purchase_order())
    answer = caller.post(RECEIVE, body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert problem["errors"][0]["field"] == field
    assert caller.get("/v1/events").json()["items"] == []


def test_a_delivery_of_tomorrow_is_refused(caller: Caller) -> None:
    pull(caller, purchase_order())
    answer = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 1}], "occurred_at": "2199-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["code"]) == (422, "future-date")


def test_an_order_that_was_not_pulled_is_not_found(caller: Caller) -> None:
    for answer in (
        caller.get("/v1/purchase-orders/PO-9"),
        caller.post("/v1/purchase-orders/PO-9/receive", {"lines": [{"line": 1, "quantity": 1}]}),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (404, "purchase-order-not-found")
        assert problem["purchase_order_id"] == "PO-9"


def test_the_unit_must_be_the_one_it_was_ordered_in(caller: Caller) -> None:
    pull(caller, purchase_order(lines=(("milk", "ml", 10_000),)))
    received = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 1}]})
    reference = {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    body = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1, "reference": reference}
    for answer in (received, caller.post("/v1/events", body)):
        assert (answer.status_code, answer.json()["code"]) == (422, "unit-differs")
        assert "ordered in ml" in answer.json()["detail"]


def test_a_code_that_stands_for_the_ordered_item_is_as_good(any_caller: Caller) -> None:
    caller = any_caller
    own = Item(item_id="leche", name="Leche", unit="l", stands_for="milk")
    caller.node.writer.submit(PutItems((own,))).result(10)
    pull(caller, purchase_order())
    # Nothing of either code is in the log: it is recorded as ordered.
    (event,) = caller.post(RECEIVE, {"lines": [{"line": 2, "quantity": 1}]}).json()["recorded"]
    assert event["item_id"] == "beans"
    reference = {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    body = {"type": "PURCHASE_RECEIVED", "item_id": "leche", "quantity": 1, "reference": reference}
    assert caller.post("/v1/events", body).status_code == 201
    # The branch has its milk as leche from here on.
    (event,) = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 2}]}).json()["recorded"]
    assert event["item_id"] == "leche"
    assert line(caller)["received"] == 3
    listed = caller.get("/v1/purchase-orders", item_id="leche").json()["items"]
    assert [each["purchase_order_id"] for each in listed] == ["PO-000001"]


def test_a_delivery_of_another_item_before_its_order_is_pulled_counts_nowhere(any_caller: Caller) -> None:
    caller = any_caller
    own = Item(item_id="leche", name="Leche", unit="l", stands_for="milk")
    caller.node.writer.submit(PutItems((own,))).result(10)
    reference = {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    for kind, item, quantity in (
        ("PURCHASE_RECEIVED", "beans", 10),
        ("PURCHASE_RETURNED", "beans", 1),
        ("PURCHASE_RECEIVED", "leche", 4),
        ("PURCHASE_RECEIVED", "milk", 2),
    ):
        body = {"type": kind, "item_id": item, "quantity": quantity, "reference": reference}
        assert caller.post("/v1/events", body).status_code == 201
    pull(caller, purchase_order(lines=(("milk", "l", 10_000),)))
    assert (line(caller)["received"], line(caller)["returned"], line(caller)["open"]) == (6, 0, 4)
    for state, listed in (("OPEN", 1), ("RECEIVED", 0), ("CLOSED", 0)):
        assert len(caller.get("/v1/purchase-orders", state=state).json()["items"]) == listed
    # Nor does what stood for the item and stands for another one now.
    caller.node.writer.submit(PutItems((Item(item_id="leche", name="Leche", unit="l", stands_for="cream"),))).result(10)
    assert (line(caller)["received"], line(caller)["open"]) == (2, 8)


def test_a_code_of_an_order_that_stands_for_another_item_here_is_not_the_ordered_one(any_caller: Caller) -> None:
    caller = any_caller
    pull(caller, purchase_order(lines=(("milk", "l", 10_000),)))
    items = (
        Item(item_id="milk", name="Oat drink", unit="l", stands_for="oat"),
        Item(item_id="leche", name="Leche", unit="l", stands_for="milk"),
    )
    caller.node.writer.submit(PutItems(items[:1])).result(10)
    refused = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 1}]})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown-item")
    reference = {"kind": "purchase-order", "id": "PO-000001", "line": 1}
    body = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1, "reference": reference}
    assert caller.post("/v1/events", body).json()["code"] == "purchase-order-line-differs"
    caller.node.writer.submit(PutItems(items)).result(10)
    (event,) = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 1}]}).json()["recorded"]
    assert event["item_id"] == "leche"
    assert line(caller)["received"] == 1


def test_orders_are_listed_by_supplier_item_and_state_page_by_page(any_caller: Caller) -> None:
    caller = any_caller
    orders = [
        purchase_order("PO-1", (("milk", "l", 1_000),)),
        purchase_order("PO-2", (("beans", "kg", 1_000),), supplier_id="roaster"),
        purchase_order("PO-3", (("milk", "l", 1_000), ("beans", "kg", 1_000)), closed=(2,)),
        purchase_order("PO-4", (("gin", "l", 1_000),), closed=(1,)),
        purchase_order("PO-5", location_id="TRI-01"),
    ]
    pull(caller, FARM, *orders, CatalogueSupplier(supplier_id="gone"))
    for order in ("PO-1", "PO-3"):
        assert caller.post(f"/v1/purchase-orders/{order}/receive", {"lines": [{"line": 1, "quantity": 1}]}).is_success

    def ids(**wanted: Any) -> list[str]:
        found = caller.get("/v1/purchase-orders", **wanted)
        assert found.status_code == 200, found.text
        return [each["purchase_order_id"] for each in found.json()["items"]]

    assert ids() == ["PO-1", "PO-2", "PO-3", "PO-4"]
    assert ids(state="OPEN") == ["PO-2"]
    assert ids(state="RECEIVED") == ["PO-1"]
    assert ids(state="CLOSED") == ["PO-3", "PO-4"]
    assert ids(supplier_id="roaster") == ["PO-2"]
    assert ids(item_id="milk") == ["PO-1", "PO-3"]
    assert ids(item_id="milk", state="CLOSED") == ["PO-3"]
    page = caller.get("/v1/purchase-orders", limit=3).json()
    assert len(page["items"]) == 3
    rest = caller.get("/v1/purchase-orders", limit=3, after=page["next"]).json()
    assert ([each["purchase_order_id"] for each in rest["items"]], rest["next"]) == (["PO-4"], None)
    assert caller.get("/v1/purchase-orders", after="nonsense").json()["code"] == "bad-cursor"
    assert caller.get("/v1/purchase-orders", state="open").json()["code"] == "invalid-request"


@pytest.mark.parametrize(
    ("role", "reads", "receives"),
    [
        ("manager", True, True),
        ("purchasing", True, True),
        ("staff", True, True),
        ("viewer", True, False),
        ("integration", False, False),
        ("other", False, False),
    ],
)
def test_who_may_read_and_receive(caller: Caller, role: str, *, reads: bool, receives: bool) -> None:
    pull(caller, purchase_order())
    for path in ("/v1/purchase-orders", ORDER):
        assert caller.send("GET", path, raw=b"", role=role).status_code == (200 if reads else 403)
    answer = caller.post(RECEIVE, {"lines": [{"line": 1, "quantity": 1}]}, role=role)
    assert answer.status_code == (201 if receives else 403)


def test_many_receive_one_line_at_once_and_none_is_lost(any_caller: Caller) -> None:
    caller = any_caller
    pull(caller, purchase_order(lines=(("milk", "l", 10_000),)))
    body = {"lines": [{"line": 1, "quantity": 0.5}]}
    requests: list[tuple[str, str, Any, dict[str, Any]]] = [
        ("POST", RECEIVE, body, {"key": f"receiver-{number}"}) for number in range(32)
    ]
    answers = caller.gather(requests + requests)
    assert {answer.status_code for answer in answers} == {201}
    assert [answer.json() for answer in answers[:32]] == [answer.json() for answer in answers[32:]]
    assert (line(caller)["received"], line(caller)["over"]) == (16, 6)
