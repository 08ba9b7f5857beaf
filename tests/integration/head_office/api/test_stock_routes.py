"""Stock, explanations, events, reports and the quarantine over HTTP."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from head_office.catalogue import items
from head_office.database.schema import now
from shared.catalogue_messages import CatalogueItem
from shared.events import Definition
from shared.runtime.clock import format_rfc3339
from tests.integration.head_office.api.test_sync_routes import code
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog
from tests.support.events import MINUTE, NOON


def at(minutes: int) -> str:
    return format_rfc3339(NOON + minutes * MINUTE)


def a_day(office: Engine) -> dict[str, BranchLog]:
    """Two branches and a warehouse with a delivery, sales, a count, a void, a transfer on its way."""
    logs = {name: BranchLog(name) for name in ("BEY-01", "BEY-02", "WH-1")}
    one = logs["BEY-01"]
    one.record("PURCHASE_RECEIVED", quantity=10_500, occurred_at=NOON)
    one.record("ORDER_DEDUCTION", quantity=2_250, occurred_at=NOON + MINUTE)
    mistake = one.record("WASTE_RECORDED", quantity=9_000, reason="spoiled", occurred_at=NOON + 2 * MINUTE)
    one.record(
        "EVENT_VOIDED",
        voided_event_id=mistake.event_id,
        voided_sequence=3,
        reason="typo",
        occurred_at=NOON + 3 * MINUTE,
    )
    one.record("STOCKTAKE", counted=8_000, expected=8_250, occurred_at=NOON + 4 * MINUTE)
    one.record("ORDER_DEDUCTION", quantity=125, occurred_at=NOON + 5 * MINUTE)
    logs["BEY-02"].record("ORDER_DEDUCTION", quantity=1_000, occurred_at=NOON + MINUTE)
    line = {"transfer_id": "t-1", "transfer_line": 1}
    logs["WH-1"].record("PURCHASE_RECEIVED", quantity=100_000)
    logs["WH-1"].record("TRANSFER_OUT", quantity=7_000, occurred_at=NOON + 6 * MINUTE, **line)
    for log in logs.values():
        log.ship_now(office)
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="milk", name="Milk", unit="l")])
    return logs


def api_now(office: Engine) -> int:
    with office.begin() as connection:
        return now(connection)


def get(api: Api, path: str, who: str = "viewer") -> Any:
    answer = api.call(who, "GET", path)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content, parse_float=Decimal)


def test_a_code_with_a_slash(api: Api) -> None:
    body = {"name": "Half a pint", "unit": "pcs"}
    assert api.call("admin", "PUT", "/v1/items/1%2F2%20pint", body).status_code in {200, 201}
    assert get(api, "/v1/items/1%2F2%20pint")["name"] == "Half a pint"
    level = {"reorder_point": "2", "order_up_to": "5"}
    assert api.call("admin", "PUT", "/v1/reorder-levels/BEY-01/1%2F2%20pint", level).status_code == 200
    unknown = api.call("viewer", "GET", "/v1/stock/1%2F2%20pint").json()
    assert (unknown["code"], unknown["item_id"]) == ("nothing-known", "1/2 pint")


def test_stock_of_the_group_with_its_freshness(api: Api, office: Engine) -> None:
    a_day(office)
    report = get(api, "/v1/stock")
    figures = {row["location_id"]: (row["on_hand"], row["flags"]) for row in report["items"]}
    assert figures == {"BEY-01": (Decimal("7.875"), []), "BEY-02": (-1, ["negative"]), "WH-1": (93, [])}
    assert report["cut"] == {"BEY-01": 6, "BEY-02": 1, "WH-1": 2}
    row = report["items"][0]
    assert (row["item_id"], row["recorded_as"], row["name"], row["unit"]) == ("milk", "milk", "Milk", "l")
    assert row["available"] == row["on_hand"]
    assert row["counted_at"] == at(4)
    assert row["freshness"]["sequence"] == 6
    assert row["freshness"]["occurred_at"] == at(5)
    assert row["freshness"]["received_at"]
    one = get(api, "/v1/stock/milk")
    assert [(each["on_hand"], each["locations"], each["unit"]) for each in one["totals"]] == [
        (Decimal("99.875"), 3, "l")
    ]
    assert [{**row, "as_of": ""} for row in one["items"]] == [{**row, "as_of": ""} for row in report["items"]]
    assert code(api.call("viewer", "GET", "/v1/stock/tea")) == "nothing-known"


def test_stock_page_by_page(api: Api, office: Engine) -> None:
    a_day(office)
    found: list[str] = []
    following = ""
    while following is not None:
        page = get(api, f"/v1/stock?limit=1&after={following}")
        found += [row["location_id"] for row in page["items"]]
        following = page["next"]
    assert found == ["BEY-01", "BEY-02", "WH-1"]


def test_stock_as_of_and_as_known(api: Api, office: Engine) -> None:
    log = a_day(office)["BEY-01"]
    path = "/v1/stock?location_id=BEY-01&as_of="
    expected = {0: "10.5", 1: "8.25", 2: "8.25", 4: "8", 5: "7.875"}
    for minutes, on_hand in expected.items():
        assert get(api, path + at(minutes))["items"][0]["on_hand"] == Decimal(on_hand)
    assert get(api, path + at(-1))["items"] == []
    known = get(api, "/v1/locations")["items"][0]["freshness"]["received_at"]
    log.record("CUSTOMER_RETURN", quantity=1_000, occurred_at=NOON + 5 * MINUTE)
    log.ship_now(office)
    assert get(api, path + at(5))["items"][0]["on_hand"] == Decimal("8.875")
    then = get(api, f"{path}{at(5)}&known_at={known}")
    assert then["items"][0]["on_hand"] == Decimal("7.875")
    assert (then["as_of"], then["known_at"], then["cut"]) == (at(5), known, {"BEY-01": 6})
    with_offset = at(5).replace("Z", "+00:00").replace("12:", "14:").replace("+00:00", "+02:00")
    assert get(api, path + with_offset)["as_of"] == at(5)  # though the plus sign was not escaped


@pytest.mark.parametrize("moment", ["yesterday", "2026-02-30", "2026-01-01T12:00:00", "1900-01-01T00:00:00Z", "1e9"])
def test_a_moment_that_cannot_be_is_refused(api: Api, moment: str) -> None:
    for path in ("/v1/stock?as_of=", "/v1/stock?known_at=", "/v1/events?from=", "/v1/reports/in-transit?as_of="):
        assert code(api.call("viewer", "GET", path + moment)) == "invalid-request"


def test_a_figure_is_explained(api: Api, office: Engine) -> None:
    a_day(office)
    told = get(api, "/v1/stock/milk/explain?location_id=BEY-01")
    assert (told["on_hand"], told["variance"], told["unit"]) == (Decimal("7.875"), Decimal("-0.25"), "l")
    assert told["start"]["event"]["counted"] == 8
    assert told["start"]["after"]["expected"] == Decimal("8.25")
    assert [(each["event"]["sequence"], each["after"]["on_hand"]) for each in told["steps"]] == [(6, Decimal("7.875"))]
    passed = {each["event"]["sequence"]: each["reason"] for each in told["not_counted"]}
    assert passed == {1: "before the count", 2: "before the count", 3: "voided", 4: "void"}
    event = told["steps"][0]["event"]
    assert (event["type"], event["quantity"], event["occurred_at"]) == (
        "ORDER_DEDUCTION",
        Decimal("0.125"),
        "2026-01-01T14:05:00+02:00",
    )
    assert code(api.call("viewer", "GET", "/v1/stock/milk/explain")) == "invalid-request"
    assert code(api.call("viewer", "GET", "/v1/stock/tea/explain?location_id=BEY-01")) == "nothing-known"
    assert code(api.call("viewer", "GET", "/v1/stock/milk/explain?location_id=NOWHERE")) == "unknown-location"
    assert get(api, "/v1/stock/milk/explain", "viewer of BEY-01")["location_id"] == "BEY-01"


def test_events_of_the_group(api: Api, office: Engine) -> None:
    logs = a_day(office)
    found: list[tuple[str, int]] = []
    following = ""
    while True:
        page = get(api, f"/v1/events?limit=2&after={following}")
        found += [(each["location_id"], each["sequence"]) for each in page["items"]]
        following = page["next"]
        if len(page["items"]) < 2:
            break
    assert found == [(name, each.event.sequence) for name, log in logs.items() for each in log.sealed]
    voided = get(api, "/v1/events?type=WASTE_RECORDED&type=EVENT_VOIDED")["items"]
    assert [(each["sequence"], each.get("voided_by")) for each in voided] == [(3, 4), (4, None)]
    assert voided[0]["hash"] == logs["BEY-01"].sealed[2].hash.hex()
    assert voided[0]["event_id"] == logs["BEY-01"].sealed[2].event.event_id
    assert [each["type"] for each in get(api, "/v1/events?transfer_id=t-1")["items"]] == ["TRANSFER_OUT"]
    span = get(api, f"/v1/events?location_id=BEY-01&from={at(1)}&to={at(4)}&newest_first=true")["items"]
    assert [each["sequence"] for each in span] == [4, 3, 2]
    assert code(api.call("viewer", "GET", "/v1/events?type=NONSENSE")) == "invalid-request"
    assert code(api.call("viewer", "GET", "/v1/events?after=WyJ4Il0")) == "bad-cursor"


def test_reports(api: Api, office: Engine) -> None:
    a_day(office)
    (row,) = get(api, "/v1/reports/in-transit")["items"]
    assert (row["transfer_id"], row["sent"], row["in_transit"], row["sources"]) == ("t-1", 7, 7, ["WH-1"])
    assert row["since"] == at(6)
    assert get(api, f"/v1/reports/in-transit?as_of={at(5)}")["items"] == []
    assert get(api, "/v1/reports/in-transit?location_id=BEY-02")["items"] == []
    (count,) = get(api, "/v1/reports/variance")["items"]
    assert (count["counted"], count["expected"], count["expected_when_posted"], count["variance"]) == (
        8,
        Decimal("8.25"),
        Decimal("8.25"),
        Decimal("-0.25"),
    )
    assert get(api, "/v1/reports/variance?location_id=BEY-02")["items"] == []


def test_a_key_of_one_location_sees_that_location_only(api: Api, office: Engine) -> None:
    a_day(office)
    who = "viewer of BEY-01"
    reports = ("in-transit", "variance", "usage", "unmet-demand")
    for path in ("/v1/stock", "/v1/events", *(f"/v1/reports/{each}" for each in reports), "/v1/quarantine"):
        assert {row["location_id"] for row in get(api, path, who)["items"]} <= {"BEY-01"}
        assert code(api.call(who, "GET", f"{path}?location_id=BEY-02")) == "wrong-location"
        assert code(api.call("viewer", "GET", f"{path}?location_id=NOWHERE")) == "unknown-location"
    assert [row["location_id"] for row in get(api, "/v1/locations", who)["items"]] == ["BEY-01"]


def test_a_branch_item_waits_until_it_is_accepted_or_mapped(api: Api, office: Engine) -> None:
    a_day(office)
    assert get(api, "/v1/items-waiting", "manager")["items"] == []
    fresh = api.call("admin", "POST", "/v1/locations", {"location_id": "NEW", "name": "New", "timezone": "UTC"}).json()
    api.keys["new"] = fresh["key"]
    log = BranchLog("NEW")
    definition = {"name": "Oat milk", "unit": "l", "category": "dairy"}
    for name in ("oat", "leche"):
        log.record("ITEM_DEFINED", item_id=name, definition=Definition(**definition))  # type: ignore[arg-type]
        log.record("PURCHASE_RECEIVED", item_id=name, quantity=3_000)
    log.record(
        "ITEM_DEFINED",
        item_id="oat",
        definition=Definition(**{**definition, "name": "Oat drink", "strict": True}),  # type: ignore[arg-type]
    )
    assert api.call("new", "POST", "/v1/sync/events", log.batch()).status_code == 200
    waits = get(api, "/v1/items-waiting", "manager")["items"]
    assert [(each["item_id"], each["name"], each["unit"], each["strict"]) for each in waits] == [
        ("leche", "Oat milk", "l", False),
        ("oat", "Oat drink", "l", True),
    ]
    assert get(api, "/v1/items-waiting?limit=1", "manager")["next"]
    accepted = api.call("manager", "POST", "/v1/items-waiting/NEW/oat/accept").json()
    assert accepted == {"item_id": "oat", "name": "Oat drink", "unit": "l", "category": "dairy", "strict_at": ["NEW"]}
    assert code(api.call("manager", "POST", "/v1/items-waiting/NEW/oat/accept")) == "not-waiting"
    rice = {"name": "Rice", "unit": "kg"}
    assert api.call("manager", "PUT", "/v1/items/rice", rice).status_code == 201
    path = "/v1/items-waiting/NEW/leche/map"
    assert code(api.call("manager", "PUT", path, {"item_id": "rice"})) == "unit-differs"
    assert code(api.call("manager", "PUT", path, {"item_id": "nothing"})) == "unknown-item"
    mapped = api.call("manager", "PUT", path, {"item_id": "milk"}).json()
    assert mapped == {"location_id": "NEW", "alias": "leche", "item_id": "milk"}
    assert get(api, "/v1/items-mapped", "manager")["items"] == [mapped]
    assert get(api, "/v1/items-waiting", "manager")["items"] == []
    there = [row for row in get(api, "/v1/stock?item_id=milk")["items"] if row["location_id"] == "NEW"]
    assert [(row["recorded_as"], row["on_hand"]) for row in there] == [("leche", 3)]
    assert get(api, "/v1/stock/milk")["totals"][0]["on_hand"] == Decimal("102.875")
    told = get(api, "/v1/stock/milk/explain?location_id=NEW")
    assert (told["item_id"], told["recorded_as"], told["on_hand"]) == ("milk", "leche", 3)


def test_any_code_of_an_item_finds_it(api: Api, office: Engine) -> None:
    """The branch goes on recording under its own code, which head office mapped."""
    a_day(office)
    log = BranchLog("NEW")
    for path, body in (
        ("/v1/locations", {"location_id": "NEW", "name": "New", "timezone": "UTC"}),
        ("/v1/locations", {"location_id": "OLD", "name": "Old", "timezone": "UTC"}),
    ):
        assert api.call("admin", "POST", path, body).status_code == 201
    log.record("PURCHASE_RECEIVED", item_id="leche", quantity=3_000)
    log.record("STOCKTAKE", item_id="leche", counted=2_000, expected=3_000)
    log.record("PURCHASE_RECEIVED", item_id="milk", quantity=1_000)
    log.record("TRANSFER_OUT", item_id="leche", quantity=500, transfer_id="t-2", transfer_line=1)
    log.record("PURCHASE_RECEIVED", item_id="oat", quantity=500)
    log.ship_now(office)
    before = format_rfc3339(api_now(office))
    assert api.call("manager", "PUT", "/v1/items-waiting/NEW/leche/map", {"item_id": "milk"}).status_code == 200

    def events(where: str) -> list[tuple[str, str]]:
        found, after = [], ""
        while True:
            page = get(api, f"/v1/events?limit=2&after={after}&{where}")
            found += [(each["location_id"], each["item_id"]) for each in page["items"]]
            after = page["next"]
            if len(page["items"]) < 2:
                return found

    there = "location_id=NEW&item_id="
    for where in ("item_id=", there):
        for path in ("/v1/stock?", "/v1/reports/variance?", "/v1/reports/in-transit?"):
            milk, leche = (
                [{**each, "as_of": None} for each in get(api, f"{path}{where}{code}")["items"]]
                for code in ("milk", "leche")
            )
            assert {each["item_id"] for each in milk} == {"milk"}, path
            assert leche == milk, path
        assert events(f"{where}leche") == events(f"{where}milk")
    own = [("NEW", "leche")] * 2 + [("NEW", "milk"), ("NEW", "leche")]
    assert events(f"{there}milk") == own
    assert events("item_id=milk")[-4:] == own
    assert len(events("item_id=milk")) == 13
    assert get(api, "/v1/events?item_id=leche&newest_first=true&limit=1")["items"][0]["type"] == "TRANSFER_OUT"
    # As known before it was mapped, the code is an item of its own.
    (then,) = get(api, f"/v1/stock?item_id=leche&known_at={before}")["items"]
    assert (then["item_id"], then["on_hand"]) == ("leche", Decimal("1.5"))
    assert get(api, "/v1/stock/leche")["item_id"] == "milk"
    assert get(api, "/v1/stock/leche")["totals"] == get(api, "/v1/stock/milk")["totals"]
    # Where nothing maps it, it stands for itself.
    other = BranchLog("OLD")
    other.record("PURCHASE_RECEIVED", item_id="leche", quantity=7_000)
    other.ship_now(office)
    rows = get(api, "/v1/stock?item_id=leche")["items"]
    assert [(each["item_id"], each["location_id"]) for each in rows if each["location_id"] in {"NEW", "OLD"}] == [
        ("leche", "OLD"),
        ("milk", "NEW"),
    ]
    assert events("location_id=OLD&item_id=leche") == [("OLD", "leche")]
    assert get(api, "/v1/stock?location_id=OLD&item_id=milk")["items"] == []
    # An item of the catalogue is itself in the group, whatever one branch means by its code.
    assert api.call("manager", "PUT", "/v1/items-waiting/NEW/oat/map", {"item_id": "milk"}).status_code == 200
    assert api.call("manager", "PUT", "/v1/items/oat", {"name": "Oats", "unit": "l"}).status_code == 201
    assert get(api, "/v1/stock?item_id=oat")["items"] == []
    assert [each["item_id"] for each in get(api, "/v1/stock?location_id=NEW&item_id=oat")["items"]] == ["milk"]
    assert get(api, "/v1/stock/oat/explain?location_id=NEW")["item_id"] == "milk"


def test_a_code_that_nobody_knows(api: Api, office: Engine) -> None:
    """A list filtered by it is empty; where the address names it, those nearest are named."""
    a_day(office)
    for path in ("stock", "events", "reports/variance", "reports/in-transit", "reports/usage"):
        assert get(api, f"/v1/{path}?item_id=mikl")["items"] == [], path
    for path in ("stock/mikl", "stock/mikl/explain?location_id=BEY-01", "items/mikl"):
        answer = api.call("viewer", "GET", f"/v1/{path}")
        assert (answer.status_code, answer.json()["nearest"]) == (404, ["milk"]), path
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="milk-2", name="Other milk", unit="l")])
    told = api.call("viewer", "GET", "/v1/stock/milk-2").json()
    assert (told["code"], "nearest" in told) == ("nothing-known", False), "it is known, and nothing was recorded of it"


LEVEL = {"reorder_point": 1, "order_up_to": 2}


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status", "wanted"),
    [
        ("viewer", "GET", "/v1/items/nothing", None, 404, "item-not-found"),
        ("viewer", "GET", "/v1/reorder-levels/NOWHERE", None, 404, "location-not-found"),
        ("admin", "PUT", "/v1/locations/NOWHERE", {"name": "N", "timezone": "UTC"}, 404, "location-not-found"),
        ("admin", "POST", "/v1/quarantine/NOWHERE/retry", None, 404, "location-not-found"),
        ("viewer", "GET", "/v1/stock?location_id=NOWHERE", None, 422, "unknown-location"),
        ("manager", "PUT", "/v1/reorder-levels/NOWHERE/milk", LEVEL, 422, "unknown-location"),
        ("manager", "PUT", "/v1/reorder-levels/BEY-01/nothing", LEVEL, 422, "unknown-item"),
        ("viewer", "GET", "/v1/reorder-levels/NOWHERE/milk", None, 404, "location-not-found"),
        ("viewer", "GET", "/v1/reorder-levels/BEY-01/nothing", None, 404, "level-not-found"),
        ("manager", "DELETE", "/v1/reorder-levels/NOWHERE/milk", None, 422, "unknown-location"),
        ("manager", "DELETE", "/v1/reorder-levels/BEY-01/nothing", None, 422, "unknown-item"),
        ("admin", "POST", "/v1/keys", {"role": "staff", "location_id": "NOWHERE"}, 422, "unknown-location"),
    ],
)
def test_what_the_address_names_is_not_found_and_what_a_request_names_is_unknown(
    api: Api, who: str, method: str, path: str, body: object, status: int, wanted: str
) -> None:
    answer = api.call(who, method, path, body)
    assert (answer.status_code, code(answer)) == (status, wanted)
