"""Orders of other systems at head office over HTTP: told by a signed route, asked by a poll, answered by a log."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.integration.head_office.api.test_sync_routes import HELLO, OUT, code, soon
from tests.integration.head_office.conftest import Api
from tests.support.order_rig import OrderRig
from tests.support.signed_shop import STRUCTURED, SignedShop, order_event
from tests.support.waiting import wait_until

ORDERS = "/v1/inbound/orders"
A, B, C = "BEY-01", "BEY-02", "WH-1"
BRANCHES = {A: "branch", B: "branch 2", C: "warehouse"}
MILK = {"milk": 5}


class HttpRig(OrderRig):
    """Branches without a node that ship and say hello over HTTP."""

    def __init__(self, api: Api, engine: Engine, stocked: Mapping[str, int]) -> None:
        self.api = api
        super().__init__(engine, stocked)

    def ship(self, place: str, last: int | None = None) -> None:
        log, who = self.logs[place], BRANCHES[place]
        if log.shipped < len(log.sealed):
            answer = self.api.call(who, "POST", "/v1/sync/events", log.batch(last=last))
            assert answer.status_code == 200, answer.text
            log.shipped = answer.json()["head"]["sequence"]
        head = log._head_at(log.shipped)
        said = {"epoch": 1, "sequence": log.shipped, "hash": head.hash.hex()}
        answer = self.api.call(who, "POST", "/v1/sync/hello", {**HELLO, "location_id": place, "head": said})
        assert answer.json()["verdict"] == "OK"

    def shown(self, order_id: str, who: str = "viewer") -> Any:
        answer = self.api.call(who, "GET", f"{ORDERS}/shop/{order_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def settled(self, order_id: str, state: str) -> Any:
        """The order once it is in a state: the router works in a thread of its own."""
        return wait_until(lambda: found if (found := self.shown(order_id))["state"] == state else None)


@pytest.fixture
def rig(api: Api, office: Engine) -> HttpRig:
    """A has less than B, which is therefore chosen; C has nothing."""
    return HttpRig(api, office, {A: 10, B: 20, C: 0})


@pytest.fixture
def shop(rig: HttpRig) -> SignedShop:
    made = rig.api.call("manager", "POST", "/v1/inbound/sources", {"source": "shop"}).json()
    client = rig.api.client
    return SignedShop(
        made["secret"],
        made["path"],
        lambda path, body, headers: client.request("POST", path, content=body, headers=headers),
    )


def rows(engine: Engine) -> list[Any]:
    tables = ("routed_order", "routed_event", "order_instruction", "order_instruction_head")
    with engine.connect() as connection:
        return [connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3")).all() for table in tables[:3]] + [
            connection.execute(text(f"SELECT * FROM {tables[3]} ORDER BY 1")).all()
        ]


@pytest.mark.parametrize("binary", [False, True], ids=["structured", "binary"])
def test_an_order_from_its_placing_to_its_end(rig: HttpRig, shop: SignedShop, binary: bool) -> None:
    told: list[tuple[str, dict[str, Any], str, str]] = [
        ("placed", {"lines": MILK}, "reserved", "RESERVED"),
        ("shipped", {"lines": {"4006381333931": 2}}, "shipped", "SHIPPED"),  # an item by its barcode
        ("returned", {"lines": {"milk": 1}}, "returned", "RETURNED"),
        ("cancelled", {"reason": "changed his mind"}, "released", "CANCELLED"),
    ]
    for number, (kind, data, outcome, state) in enumerate(told, start=1):
        event = order_event(kind, "4711", id=f"e{number}", **data)
        answer = shop.send(event, binary=binary)
        asked = {"id": f"e{number}", "type": f"com.shop.order.{kind}", "order_id": "4711"}
        asked |= {"outcome": "asked", "location_id": B}
        assert (answer.status_code, answer.json()) == (202, asked)
        waiting = rig.shown("4711")
        assert (waiting["state"], waiting["waits_for"], waiting["location_id"]) == ("ASKED", B, B)
        assert waiting["freshness"]["contacted_at"] is not None
        rig.answer(B, outcome)
        assert rig.settled("4711", state)["waits_for"] is None
        # The same again, in the other mode: the same answer, and nobody is asked.
        again = shop.send(event, binary=not binary)
        assert (again.status_code, again.json()) == (202, asked)
        assert rig.open_at(B) == []
    record = rig.shown("4711")
    assert [(each["kind"], each["event_id"], each["outcome"]) for each in record["asked"]] == [
        (f"order.{kind}", f"e{number}", outcome) for number, (kind, _, outcome, _) in enumerate(told, start=1)
    ]
    assert [each["outcome"] for each in record["told"]] == [outcome for _, _, outcome, _ in told]
    assert (record["source"], record["cancelled"], record["revision"]) == ("shop", True, 1)
    assert record["asked"][0]["reservation_id"] == f"r-{B}-4711"
    assert all(each["answered_at"] and each["location_id"] == B for each in record["asked"])


def test_what_head_office_can_tell_by_itself_is_final_at_once(rig: HttpRig, shop: SignedShop) -> None:
    def final(told: str, order_id: str, **more: Any) -> Any:
        event = order_event(told, order_id, **more)
        first, again = shop.send(event), shop.send(event, binary=True)
        assert (first.status_code, first.json()) == (200, again.json())
        answer = first.json()
        assert (answer.pop("id"), answer.pop("type")) == (event["id"], event["type"])
        return answer

    assert final("packed", "1") == {"order_id": None, "outcome": "ignored"}
    assert final("cancelled", "1") == {"order_id": "1", "outcome": "noted"}
    assert final("cancelled", "1") == {"order_id": "1", "outcome": "nothing"}
    assert final("placed", "1", lines=MILK) == {"order_id": "1", "outcome": "cancelled"}
    short = [{"item_id": "milk", "unit": "l", "asked": 25, "available": 10}]
    assert final("placed", "2", lines={"milk": 25}) == {"order_id": "2", "outcome": "unavailable", "short": short}
    assert shop.tell("placed", "3", lines=MILK, revision=2).status_code == 202
    assert final("placed", "3", lines=MILK, revision=1) == {"order_id": "3", "outcome": "superseded"}
    assert [rig.shown(each)["state"] for each in "123"] == ["CANCELLED", "UNAVAILABLE", "ASKED"]
    assert [rig.open_at(each) for each in (A, C)] == [[], []]
    assert len(rig.open_at(B)) == 1


def test_refused_at_one_it_is_asked_at_the_next(rig: HttpRig, shop: SignedShop) -> None:
    assert shop.tell("placed", "1", lines=MILK).json()["location_id"] == B
    rig.answer(B, "unavailable")
    assert wait_until(lambda: rig.shown("1")["waits_for"] == A)
    rig.answer(A)
    record = rig.settled("1", "RESERVED")
    assert [(each["location_id"], each["outcome"]) for each in record["asked"]] == [(B, "unavailable"), (A, "reserved")]
    assert record["asked"][0]["short"] == [{"item_id": "milk", "unit": "l", "asked": 5, "available": None}]
    assert shop.tell("placed", "2", lines={"milk": 2}, prefer=[A]).json()["location_id"] == A
    assert shop.tell("placed", "3", lines={"milk": 2}, location_id=C).json()["location_id"] == C
    rig.answer(C, "unavailable")
    assert [each["location_id"] for each in rig.settled("3", "UNAVAILABLE")["asked"]] == [C]


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "other lines under its id": (order_event("placed", "1", id="e", lines={"milk": 6}), 409, "key-reused"),
    "another order under its id": (order_event("placed", "9", id="e", lines=MILK), 409, "key-reused"),
    "another type under its id": (order_event("returned", "1", id="e", lines=MILK), 409, "key-reused"),
    "a location under its id": (order_event("placed", "1", id="e", lines=MILK, location_id=A), 409, "key-reused"),
    "placed elsewhere": (order_event("placed", "1", lines=MILK, revision=2, location_id=A), 409, "order-elsewhere"),
    "cancelled elsewhere": (order_event("cancelled", "1", location_id=A), 409, "order-elsewhere"),
    "shipped of nothing": (order_event("shipped", "2", lines=MILK), 409, "unknown-order"),
    "the rest of nothing": (order_event("shipped", "2"), 409, "unknown-order"),
    "returned of nothing": (order_event("returned", "2", lines=MILK), 409, "unknown-order"),
    "an item nobody has": (order_event("placed", "2", lines={"cake": 1}), 422, "unknown-item"),
    "a location that is not there": (order_event("placed", "2", lines=MILK, location_id="BEY-1"), 422,
        "unknown-location"),
    "one preferred that is not": (order_event("placed", "2", lines=MILK, prefer=[A, "NO"]), 422, "unknown-location"),
    "a location and others": (order_event("placed", "2", lines=MILK, location_id=A, prefer=[B]), 422,
        "invalid-request"),
    "preferred is no list": (order_event("placed", "2", lines=MILK, prefer="BEY-01"), 422, "invalid-request"),
    "a location that is no text": (order_event("placed", "2", lines=MILK, location_id=7), 422, "invalid-request"),
    "no lines": (order_event("placed", "2"), 422, "invalid-request"),
    "empty lines": (order_event("placed", "2", lines=[]), 422, "invalid-request"),
    "an empty parcel": (order_event("shipped", "1", lines=None), 422, "invalid-request"),
    "nothing of an item": (order_event("placed", "2", lines={"milk": 0}), 422, "invalid-request"),
    "less than nothing": (order_event("placed", "2", lines={"milk": -1}), 422, "invalid-request"),
    "four places": (order_event("placed", "2", lines={"milk": 1.0001}), 422, "invalid-request"),
    "true is no quantity": (order_event("placed", "2", lines={"milk": True}), 422, "invalid-request"),
    "too much in sum": (order_event("placed", "2", lines=[{"item_id": each, "quantity": 10**9} for each in
        ("milk", "4006381333931")]), 422, "invalid-request"),
    "revision 0": (order_event("placed", "2", lines=MILK, revision=0), 422, "invalid-request"),
    "no order": (order_event("placed", "", lines=MILK), 422, "invalid-request"),
    "it expired": (order_event("placed", "2", lines=MILK, expires_at="2020-01-01T00:00:00Z"), 422, "invalid-time"),
    "it never expires": (order_event("placed", "2", lines=MILK, expires_at="2199-01-01T00:00:00Z"), 422,
        "invalid-time"),
    "a moment without offset": (order_event("placed", "2", lines=MILK, expires_at="2020-01-01T00:00:00"), 422,
        "invalid-request"),
    "shipped in the future": (order_event("shipped", "1", lines=MILK, time="2199-01-01T00:00:00Z"), 422,
        "future-date"),
}  # fmt: skip


def test_what_is_refused_leaves_nothing_behind(rig: HttpRig, shop: SignedShop, office: Engine) -> None:
    assert shop.tell("placed", "1", id="e", lines=MILK).status_code == 202
    before = rows(office)
    for what, (event, status, expected) in REFUSED.items():
        for binary in (False, True):
            answer = shop.send(event, binary=binary)
            assert (what, answer.status_code, code(answer)) == (what, status, expected), answer.text
            assert answer.json()["recorded"] == "no", what
            if expected == "order-elsewhere":
                assert answer.json()["location_id"] == B
    for body in (b"", b"{", b"[]", b'{"specversion":"1.0"}', b"\xff", b'{"a":NaN}'):
        assert shop.post(body, {"content-type": STRUCTURED}).status_code in (400, 422), body
    for data in (b"", b"null", b"7", b"{}", b'{"order_id":"\\ud800","lines":[]}'):
        event = order_event("placed", "2")
        answer = shop.post(data, {"content-type": "application/json"} | _attributes(event))
        assert answer.status_code in (400, 422), (data, answer.text)
    assert rows(office) == before
    # What comes before what it follows is taken where it says where it was; refused ids are free.
    assert shop.tell("shipped", "2", lines=MILK, location_id=A).json()["location_id"] == A
    assert shop.tell("returned", "3", lines=MILK, location_id=C).json()["location_id"] == C


def _attributes(event: Mapping[str, Any]) -> dict[str, str]:
    return {f"ce-{name}": value for name, value in event.items() if name != "data"}


def test_a_signature_is_needed_and_a_key_is_none(rig: HttpRig, shop: SignedShop, office: Engine) -> None:
    event = order_event("placed", "1", lines=MILK)
    before = rows(office)
    assert code(rig.api.call("admin", "POST", shop.path, event)) == "invalid-signature"
    other = SignedShop("whsec_" + "A" * 32, shop.path, shop._post)
    assert code(other.send(event)) == "invalid-signature"
    assert code(SignedShop(shop.secret, f"{ORDERS}/nobody", shop._post).send(event)) == "invalid-signature"
    assert rows(office) == before


def test_orders_are_listed_by_source_state_and_location(rig: HttpRig, shop: SignedShop) -> None:
    api = rig.api
    market = api.call("manager", "POST", "/v1/inbound/sources", {"source": "market"}).json()
    SignedShop(market["secret"], market["path"], shop._post).tell("placed", "2", lines=MILK, prefer=[A])
    for number in range(1, 6):
        shop.tell("placed", str(number), lines={"milk": 1})
    shop.tell("placed", "6", lines={"milk": 1_000})
    shop.tell("placed", "7", lines={"milk": 1}, prefer=[A])
    rig.answer(B)
    rig.settled("1", "RESERVED")

    def found(who: str = "viewer", **filters: Any) -> list[tuple[str, str, str, str | None]]:
        """All pages, two orders each."""
        items: list[Any] = []
        after: dict[str, str] = {}
        while True:
            answer = api.call(who, "GET", ORDERS, params={"limit": 2, **filters, **after})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert len(page["items"]) == 2 or page["next"] is None
            items += page["items"]
            if page["next"] is None:
                return [tuple(each[name] for name in ("source", "order_id", "state", "location_id")) for each in items]
            after = {"after": page["next"]}

    everything = [
        ("market", "2", "ASKED", A), ("shop", "1", "RESERVED", B), *(("shop", str(n), "ASKED", B) for n in range(2, 6)),
        ("shop", "6", "UNAVAILABLE", None), ("shop", "7", "ASKED", A),
    ]  # fmt: skip
    assert found() == everything
    for filters in (
        {"source": "shop"}, {"source": "nobody"}, {"state": "ASKED"}, {"state": "UNAVAILABLE"}, {"state": "SHIPPED"},
        {"location_id": A}, {"location_id": C}, {"source": "shop", "state": "ASKED", "location_id": A},
    ):  # fmt: skip
        wanted = dict(zip(("source", "order_id", "state", "location_id"), range(4), strict=True))
        expected = [each for each in everything if all(each[wanted[name]] == filters[name] for name in filters)]
        assert found(**filters) == expected, filters
    # What each says beside its whole record is the same.
    for each in api.call("viewer", "GET", ORDERS, params={"source": "shop"}).json()["items"]:
        whole = rig.shown(each["order_id"])
        assert {name: whole[name] for name in each} == each
    # A key of one location sees what that location is asked for, or has.
    assert found("viewer of BEY-01") == [each for each in everything if each[3] == A]
    assert rig.shown("7", "viewer of BEY-01")["asked"][0]["location_id"] == A
    assert code(api.call("viewer of BEY-01", "GET", f"{ORDERS}/shop/2")) == "unknown-order"
    assert code(api.call("viewer of BEY-01", "GET", f"{ORDERS}?location_id={B}")) == "wrong-location"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=OPEN", "invalid-request"), ("state=asked", "invalid-request"), ("limit=0", "invalid-request"),
        ("limit=1001", "invalid-request"), ("location_id=NO", "unknown-location"), ("after=x", "bad-cursor"),
        ("source=%00", "bad-request"), (f"source={'x' * 65}", "invalid-request"),
    ],
)  # fmt: skip
def test_a_bad_question_about_orders_is_refused(rig: HttpRig, query: str, expected: str) -> None:
    assert code(rig.api.call("viewer", "GET", f"{ORDERS}?{query}")) == expected


def test_who_may_see_orders(rig: HttpRig, shop: SignedShop) -> None:
    shop.tell("placed", "1", lines=MILK)
    for path in (ORDERS, f"{ORDERS}/shop/1"):
        for who in ("admin", "manager", "purchasing", "staff", "viewer", "integration"):
            assert rig.api.call(who, "GET", path).status_code == 200, who
        for who in ("branch", "coordinator"):
            assert code(rig.api.call(who, "GET", path)) == "forbidden", who
        assert code(rig.api.client.request("GET", path)) == "unauthenticated"
    for path in ("shop/2", "nobody/1", f"shop/{'x' * 100}"):
        answer = rig.api.call("viewer", "GET", f"{ORDERS}/{path}")
        assert (answer.status_code, code(answer)) == (404, "unknown-order")
    assert code(rig.api.call("viewer", "GET", f"{ORDERS}/shop/{'x' * 101}")) == "invalid-request"


def test_a_waiting_branch_is_woken_by_an_order_that_it_asks_for(rig: HttpRig, shop: SignedShop) -> None:
    api = rig.api

    def poll(who: str, query: str) -> Any:
        return api.call(who, "GET", f"/v1/sync/instructions?{query}").json()

    page = soon(
        api,
        lambda: poll("branch 2", "wait=20&orders_after=0"),
        lambda: [
            shop.tell("placed", "elsewhere", lines={"milk": 1}, prefer=[A]),
            shop.tell("placed", "1", id="e1", lines=MILK),
        ],
    )
    assert (page["instructions"], page["next"], page["orders_next"]) == ([], 0, 1)
    (asked,) = page["orders"]
    assert (asked["number"], asked["kind"], asked["order_id"], asked["location_id"]) == (1, "order.placed", "1", B)
    assert asked["lines"] == [{"item_id": "milk", "quantity": 5_000, "unit": "l"}]
    # A branch of before knows nothing of orders; it is woken by what it does know.
    assert poll("branch 2", "") == {"instructions": [], "next": 0}
    assert poll("branch 2", "wait=0.4") == {"instructions": [], "next": 0}
    # Behind the cursor there is nothing, until something comes; a transfer still wakes it.
    assert poll("branch 2", "orders_after=1")["orders"] == []
    page = soon(
        api,
        lambda: poll("branch 2", "wait=20&orders_after=1"),
        lambda: shop.tell("cancelled", "1", id="e2"),
    )
    assert [(each["number"], each["kind"]) for each in page["orders"]] == [(2, "order.cancelled")]
    step = {**OUT, "location_id": B, "source": B, "destination": A}
    page = soon(
        api,
        lambda: poll("branch 2", "wait=20&orders_after=2"),
        lambda: api.call("coordinator", "PUT", "/v1/instructions/t/out", step),
    )
    assert ([each["transfer_id"] for each in page["instructions"]], page["orders"]) == (["t"], [])
    # A cursor from before a restore of head office is answered with the one to go on from.
    assert poll("branch 2", "orders_after=99")["orders_next"] == 2
    assert [each["number"] for each in poll("branch 2", "orders_after=0&limit=1")["orders"]] == [1]
    for wrong in ("-1", "x", "1.5", str(2**63)):
        assert code(api.call("branch 2", "GET", f"/v1/sync/instructions?orders_after={wrong}")) == "invalid-request"


def test_a_branch_polls_its_own_orders_only(rig: HttpRig, shop: SignedShop) -> None:
    shop.tell("placed", "1", lines=MILK)
    assert rig.api.call("branch", "GET", "/v1/sync/instructions?orders_after=0").json()["orders"] == []
    for who in ("admin", "viewer", "integration", "coordinator"):
        assert code(rig.api.call(who, "GET", "/v1/sync/instructions?orders_after=0")) == "forbidden"


def test_one_event_of_many_senders_is_told_once(rig: HttpRig, shop: SignedShop) -> None:
    event = order_event("placed", "1", id="e", lines=MILK)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda number: shop.send(event, binary=number % 2 == 0), range(32)))
    assert [each.status_code for each in answers] == [202] * 32
    assert all(each.json() == answers[0].json() for each in answers)
    assert len(rig.open_at(B)) == 1
    assert len(rig.shown("1")["told"]) == len(rig.shown("1")["asked"]) == 1
