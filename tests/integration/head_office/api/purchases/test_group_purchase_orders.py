"""Orders to suppliers over HTTP: made once, read with what was delivered, changed and closed; and every refusal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select, text

from head_office.catalogue import catalogue_history, item_proposals
from head_office.database.purchase_tables import PURCHASE_ORDER_LINE
from shared.events import Definition
from shared.purchases.purchase_orders import PurchaseOrder
from tests.integration.head_office.api.purchases.conftest import LINES, ORDER, Deliveries, make
from tests.integration.head_office.catalogue.test_catalogue import pull
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog


def told(office: Engine, place: str) -> list[PurchaseOrder]:
    """Every order that a branch is told, each as it stood then; the chain of what it is told is verified."""
    entries, *_ = pull(office, place)
    return [each.purchase_order.order for each in entries if each.purchase_order is not None]


def ids(api: Api, query: str, who: str = "viewer") -> list[str]:
    answer = api.call(who, "GET", f"/v1/purchase-orders?{query}")
    assert answer.status_code == 200, answer.text
    return [each["purchase_order_id"] for each in answer.json()["items"]]


def test_an_order_is_made_read_and_told(api: Api, office: Engine) -> None:
    lines = [LINES[0] | {"cost": {"amount": 30, "currency": "USD"}}, LINES[1], LINES[0]]
    answer = api.call("purchasing", "POST", "/v1/purchase-orders", ORDER | {"lines": lines, "due": "2026-12-01"})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/purchase-orders/PO-000001"
    nothing = {"received": 0, "returned": 0, "over": 0, "closed": False}
    assert made == {
        "purchase_order_id": "PO-000001",
        "location_id": "BEY-01",
        "supplier_id": "farm",
        "state": "OPEN",
        "due": "2026-12-01",
        "note": None,
        "close_reason": None,
        "created_at": made["created_at"],
        "lines": [
            {
                **nothing,
                "line": 1,
                "item_id": "milk",
                "unit": "l",
                "quantity": 12,
                "open": 12,
                "cost": {"amount": "30", "currency": "USD"},
            },
            {**nothing, "line": 2, "item_id": "tomato", "unit": "kg", "quantity": 2.5, "open": 2.5, "cost": None},
            {**nothing, "line": 3, "item_id": "milk", "unit": "l", "quantity": 12, "open": 12, "cost": None},
        ],
    }
    assert api.call("viewer of BEY-01", "GET", "/v1/purchase-orders/PO-000001").json() == made
    (order,) = told(office, "BEY-01")
    assert order.purchase_order_id == "PO-000001"
    assert [(each.line, each.item_id, each.quantity) for each in order.lines] == [
        (1, "milk", 12_000),
        (2, "tomato", 2_500),
        (3, "milk", 12_000),
    ]
    assert told(office, "BEY-02") == []
    with office.connect() as connection:
        assert set(connection.execute(select(PURCHASE_ORDER_LINE.c.awaited)).scalars()) == {True}
        catalogue_history.verify(connection)


def test_an_order_with_an_id_is_made_once(api: Api, office: Engine) -> None:
    made = make(api, purchase_order_id="spring/7", note="x")
    assert make(api, purchase_order_id="spring/7", note="x", who="admin") == made
    # A quantity is the same however it is written.
    same = [{"quantity": "12.0", "item_id": "milk"}, {"item_id": "tomato", "quantity": 2.5}]
    assert make(api, purchase_order_id="spring/7", note="x", lines=same) == made
    for other in ({"note": "y"}, {"note": "x", "lines": LINES[:1]}, {"note": "x", "due": "2026-12-01"}):
        answer = api.call(
            "purchasing", "POST", "/v1/purchase-orders", ORDER | {"purchase_order_id": "spring/7"} | other
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "purchase-order-exists")
        assert answer.json()["recorded"] == "no"
    # What came of it since does not make it another one.
    changed = api.call("purchasing", "PATCH", "/v1/purchase-orders/spring%2F7", {"note": None}).json()
    assert changed["note"] is None
    assert make(api, purchase_order_id="spring/7", note="x") == changed
    assert len(told(office, "BEY-01")) == 2


def test_an_order_without_an_id_is_made_once_for_each_key(api: Api) -> None:
    def post(key: str | None, **fields: Any) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        return api.call("purchasing", "POST", "/v1/purchase-orders", ORDER | fields, headers=headers)

    first = post("desk 1: 42")
    assert post("desk 1: 42").json() == first.json()
    assert post("desk 1: 43").json()["purchase_order_id"] == "PO-000002"
    refused = post("desk 1: 42", note="other")
    assert (refused.status_code, refused.json()["code"]) == (409, "key-reused")
    assert {post(None).json()["purchase_order_id"] for _ in range(2)} == {"PO-000003", "PO-000004"}
    for key in ("", "x" * 201, "ä"):
        answer = post(key.encode() if not key.isascii() else key)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-idempotency-key")


def test_a_number_that_somebody_took_is_passed_over(api: Api) -> None:
    for taken in ("PO-000001", "PO-000003"):
        make(api, purchase_order_id=taken)
    assert [make(api)["purchase_order_id"] for _ in range(3)] == ["PO-000002", "PO-000004", "PO-000005"]


def test_many_who_order_under_one_key_make_one_order(api: Api, office: Engine) -> None:
    def post(number: int) -> Any:
        headers = {"Idempotency-Key": "one" if number % 2 else f"of {number}"}
        return api.call("purchasing", "POST", "/v1/purchase-orders", ORDER, headers=headers)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(64)))
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["purchase_order_id"] for each in answers[1::2]}) == 1
    made = {each.json()["purchase_order_id"] for each in answers}
    assert made == {f"PO-{number:06}" for number in range(1, 34)}
    assert sorted(each.purchase_order_id for each in told(office, "BEY-01")) == sorted(made)


def test_what_was_delivered_is_shown_and_makes_the_state(api: Api, deliveries: Deliveries, office: Engine) -> None:
    order = make(api)["purchase_order_id"]

    def line(number: int) -> tuple[Any, ...]:
        found = api.call("viewer", "GET", f"/v1/purchase-orders/{order}").json()
        each = found["lines"][number - 1]
        return found["state"], each["received"], each["returned"], each["open"], each["over"]

    deliveries.add(order, 1, "milk", 5_000)
    assert line(1) == ("OPEN", 5, 0, 7, 0)
    late = deliveries.add(order, 1, "milk", 9_500)
    assert line(1) == ("OPEN", 14.5, 0, 0, 2.5)
    deliveries.add(order, 1, "milk", 0, returned=1_000)
    assert line(1) == ("OPEN", 14.5, 1, 0, 2.5)
    deliveries.add(order, 2, "tomato", 2_500)
    assert line(2) == ("RECEIVED", 2.5, 0, 0, 0)
    deliveries.void(late)
    assert line(1) == ("OPEN", 5, 1, 7, 0)
    # Another item, another location's order of that id, a line that is not there: none of it counts.
    deliveries.add(order, 1, "tomato", 7_000)
    deliveries.add(order, 1, "milk", 7_000, place="BEY-02")
    deliveries.add(order, 9, "milk", 7_000)
    assert line(1) == ("OPEN", 5, 1, 7, 0)
    # A branch's own code of the item counts once it is mapped to it.
    deliveries.add(order, 1, "leche", 7_000)
    assert line(1) == ("OPEN", 5, 1, 7, 0)
    log = BranchLog("BEY-01")
    log.record("ITEM_DEFINED", item_id="leche", definition=Definition(name="Leche", unit="l"))
    log.ship_now(office)
    with office.begin() as connection:
        item_proposals.map_to(connection, "BEY-01", "leche", "milk")
    assert line(1) == ("RECEIVED", 12, 1, 0, 0)


def test_an_order_is_closed_in_part_and_whole(api: Api, deliveries: Deliveries, office: Engine) -> None:
    order = make(api)["purchase_order_id"]
    path = f"/v1/purchase-orders/{order}/close"
    first = api.call("purchasing", "POST", path, {"lines": [2], "reason": "out of season"}).json()
    assert (first["state"], first["close_reason"]) == ("OPEN", "out of season")
    assert [(each["closed"], each["open"]) for each in first["lines"]] == [(False, 12), (True, 0)]
    assert api.call("purchasing", "POST", path, {"lines": [2, 2], "reason": "again"}).json() == first
    deliveries.add(order, 1, "milk", 12_000)
    assert api.call("viewer", "GET", f"/v1/purchase-orders/{order}").json()["state"] == "CLOSED"
    deliveries.add(order, 2, "tomato", 2_500)
    assert api.call("viewer", "GET", f"/v1/purchase-orders/{order}").json()["state"] == "RECEIVED"
    whole = api.call("manager of BEY-01", "POST", path, {}).json()
    assert (whole["state"], [each["closed"] for each in whole["lines"]]) == ("RECEIVED", [True, True])
    assert len(told(office, "BEY-01")) == 3
    assert told(office, "BEY-01")[-1].lines == tuple(
        msgspec.structs.replace(each, closed=True) for each in told(office, "BEY-01")[0].lines
    )
    with office.connect() as connection:
        rows = connection.execute(select(PURCHASE_ORDER_LINE.c.closed, PURCHASE_ORDER_LINE.c.awaited)).all()
    assert [tuple(row) for row in rows] == [(True, False), (True, False)]


def test_a_change_says_only_what_it_names(api: Api, office: Engine) -> None:
    order = make(api, due="2026-12-01", note="a")["purchase_order_id"]
    path = f"/v1/purchase-orders/{order}"

    def change(body: dict[str, Any]) -> tuple[Any, Any]:
        answer = api.call("purchasing", "PATCH", path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["due"], answer.json()["note"]

    assert change({}) == ("2026-12-01", "a")
    assert change({"note": "b"}) == ("2026-12-01", "b")
    assert change({"due": None}) == (None, "b")
    assert change({"due": "2026-12-24", "note": None}) == ("2026-12-24", None)
    assert change({"due": "2026-12-24"}) == ("2026-12-24", None)
    assert [(each.due, each.note) for each in told(office, "BEY-01")] == [
        ("2026-12-01", "a"),
        ("2026-12-01", "b"),
        (None, "b"),
        ("2026-12-24", None),
    ]


def test_closing_and_changing_at_once_lose_nothing(api: Api, office: Engine) -> None:
    order = make(api, lines=[LINES[0]] * 8)["purchase_order_id"]

    def act(number: int) -> int:
        path = f"/v1/purchase-orders/{order}"
        if number % 2:
            return api.call("purchasing", "PATCH", path, {"note": f"note {number}"}).status_code
        return api.call("purchasing", "POST", f"{path}/close", {"lines": [number // 2 + 1]}).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(act, range(16))) == {200}
    found = api.call("viewer", "GET", f"/v1/purchase-orders/{order}").json()
    assert all(each["closed"] for each in found["lines"])
    history = told(office, "BEY-01")
    assert len(history) == 17
    closed = [sum(line.closed for line in each.lines) for each in history]
    assert closed == sorted(closed)
    assert history[-1].note == found["note"]


def test_a_closing_waits_for_an_ingest_that_holds_the_line(api: Api, office: Engine) -> None:
    """What an ingest sets of a line that is being closed does not bring it back."""
    order = make(api)["purchase_order_id"]
    with ThreadPoolExecutor(1) as pool:
        with office.begin() as ingest:
            ingest.execute(text("SELECT larder_received_at()"))
            ingest.execute(text("UPDATE purchase_order_line SET awaited = false WHERE line = 1"))
            closing = pool.submit(api.call, "purchasing", "POST", f"/v1/purchase-orders/{order}/close", {})
            assert not closing.done()
            ingest.execute(text("UPDATE purchase_order_line SET awaited = NOT closed WHERE line = 1"))
        assert closing.result().status_code == 200
    with office.begin() as ingest:
        ingest.execute(text("UPDATE purchase_order_line SET awaited = NOT closed"))
        assert set(ingest.execute(select(PURCHASE_ORDER_LINE.c.awaited)).scalars()) == {False}


def test_the_list_is_filtered_and_paged(api: Api, deliveries: Deliveries) -> None:
    make(api, purchase_order_id="a", location_id="BEY-02")
    make(api, purchase_order_id="b", lines=LINES[:1])
    make(api, purchase_order_id="c", lines=LINES[1:])
    api.call("admin", "PUT", "/v1/suppliers/mill", {"name": "Mill"})
    make(api, purchase_order_id="d", supplier_id="mill")
    deliveries.add("b", 1, "milk", 12_000)
    api.call("admin", "POST", "/v1/purchase-orders/c/close", {})
    assert ids(api, "") == ["a", "b", "c", "d"]
    assert ids(api, "", who="viewer of BEY-01") == ["b", "c", "d"]
    assert ids(api, "location_id=BEY-02") == ["a"]
    assert ids(api, "supplier_id=mill") == ["d"]
    assert ids(api, "supplier_id=nobody") == []
    assert ids(api, "item_id=tomato") == ["a", "c", "d"]
    assert ids(api, "item_id=nothing") == []
    assert ids(api, "state=OPEN") == ["a", "d"]
    assert ids(api, "state=OPEN&location_id=BEY-01&item_id=milk&supplier_id=mill") == ["d"]
    assert ids(api, "state=RECEIVED") == ["b"]
    assert ids(api, "state=CLOSED") == ["c"]
    pages, after = [], ""
    while True:
        page = api.call("viewer", "GET", f"/v1/purchase-orders?limit=1{after}").json()
        pages.append([each["purchase_order_id"] for each in page["items"]])
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert pages == [["a"], ["b"], ["c"], ["d"]]


def test_a_page_is_filled_however_many_orders_of_another_state_stand_between(api: Api, deliveries: Deliveries) -> None:
    for number in range(12):
        make(api, purchase_order_id=f"o-{number:02}", lines=LINES[:1])
        if number % 4:
            deliveries.add(f"o-{number:02}", 1, "milk", 12_000)
    assert ids(api, "state=OPEN&limit=2") == ["o-00", "o-04"]
    assert ids(api, "state=OPEN&limit=3") == ["o-00", "o-04", "o-08"]
    assert ids(api, "state=RECEIVED&limit=4") == ["o-01", "o-02", "o-03", "o-05"]


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status", "code"),
    [
        ("viewer", "GET", "/v1/purchase-orders/PO-9", None, 404, "purchase-order-not-found"),
        ("admin", "PATCH", "/v1/purchase-orders/PO-9", {}, 404, "purchase-order-not-found"),
        ("admin", "POST", "/v1/purchase-orders/PO-9/close", {}, 404, "purchase-order-not-found"),
        ("viewer of BEY-01", "GET", "/v1/purchase-orders/far", None, 403, "wrong-location"),
        ("manager of BEY-01", "PATCH", "/v1/purchase-orders/far", {}, 403, "wrong-location"),
        ("manager of BEY-01", "POST", "/v1/purchase-orders/far/close", {}, 403, "wrong-location"),
        ("manager of BEY-01", "POST", "/v1/purchase-orders", ORDER | {"location_id": "BEY-02"}, 403, "wrong-location"),
        ("viewer of BEY-01", "GET", "/v1/purchase-orders?location_id=BEY-02", None, 403, "wrong-location"),
        ("viewer", "GET", "/v1/purchase-orders?location_id=NOWHERE", None, 422, "unknown-location"),
        ("viewer", "GET", "/v1/purchase-orders?state=LATE", None, 422, "invalid-request"),
        ("viewer", "GET", "/v1/purchase-orders?after=x", None, 400, "bad-cursor"),
        ("viewer", "POST", "/v1/purchase-orders", ORDER, 403, "forbidden"),
        ("staff", "GET", "/v1/purchase-orders", None, 403, "forbidden"),
        ("admin", "POST", "/v1/purchase-orders", ORDER | {"location_id": "BEY-1"}, 422, "unknown-location"),
        ("admin", "POST", "/v1/purchase-orders", ORDER | {"supplier_id": "fram"}, 422, "unknown-supplier"),
        (
            *("admin", "POST", "/v1/purchase-orders"),
            *(ORDER | {"lines": [{"item_id": "mlik", "quantity": 1}]}, 422, "unknown-item"),
        ),
        ("admin", "POST", "/v1/purchase-orders", ORDER | {"lines": []}, 422, "invalid-request"),
        ("admin", "POST", "/v1/purchase-orders", ORDER | {"lines": LINES[:1] * 201}, 422, "invalid-request"),
        ("admin", "POST", "/v1/purchase-orders", ORDER | {"state": "OPEN"}, 422, "invalid-request"),
        ("admin", "POST", "/v1/purchase-orders", ORDER | {"purchase_order_id": "far"}, 409, "purchase-order-exists"),
        ("admin", "POST", "/v1/purchase-orders/far/close", {"lines": [3]}, 422, "invalid-request"),
        ("admin", "POST", "/v1/purchase-orders/far/close", {"lines": []}, 422, "invalid-request"),
        ("admin", "POST", "/v1/purchase-orders/far/close", b"", 400, "malformed-json"),
        ("admin", "PATCH", "/v1/purchase-orders/far", {"supplier_id": "farm"}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_is_refused(
    api: Api, office: Engine, who: str, method: str, path: str, body: object, status: int, code: str
) -> None:
    make(api, purchase_order_id="far", location_id="BEY-02")
    before = len(told(office, "BEY-01")), len(told(office, "BEY-02"))
    answer = api.call(who, method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["hint"]
    if code.startswith("unknown") and method == "POST":
        assert answer.json()["nearest"]
    assert (len(told(office, "BEY-01")), len(told(office, "BEY-02"))) == before


def test_an_order_of_as_many_lines_as_there_can_be(api: Api) -> None:
    made = make(api, lines=[LINES[0]] * 200)
    assert len(made["lines"]) == 200
