"""Which location should serve an order: by what the logs say, and only where they say enough."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from head_office.catalogue import item_proposals, items
from head_office.log.hello_answer import hello
from shared.catalogue_messages import CatalogueItem
from shared.messages import HeadMessage, Hello
from shared.runtime.clock import MINUTE, SystemClock
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog
from tests.support.consolidation import Branch
from tests.support.events import an_event

HOUR = 60 * MINUTE
PATH = "/v1/availability"


def call(office: Engine, location_id: str, sequence: int, digest: bytes, **changes: Any) -> None:
    """A branch's hello."""
    head = HeadMessage(1, sequence, digest.hex())
    fields = {"protocol": 1, "schema": 1, "software": "test", **changes}
    with office.begin() as connection:
        message = Hello(location_id=location_id, head=head, acknowledged=None, **fields)
        hello(connection, message, catalogue_version=0, hello_every_seconds=30)


def stock_up(office: Engine, location_id: str, **quantities: int) -> BranchLog:
    log = BranchLog(location_id)
    for item_id, quantity in quantities.items():
        log.record("PURCHASE_RECEIVED", item_id=item_id, quantity=quantity * 1_000)
    log.ship_now(office)
    call(office, location_id, log.head.sequence, log.head.hash)
    return log


@pytest.fixture
def logs(office: Engine) -> dict[str, BranchLog]:
    with office.begin() as connection:
        milk = CatalogueItem(item_id="milk", name="Milk", unit="l", barcode="4006381333931")
        items.put(connection, [milk, CatalogueItem(item_id="tea", name="Tea", unit="l")])
    return {
        "BEY-01": stock_up(office, "BEY-01", milk=10, tea=10),
        "BEY-02": stock_up(office, "BEY-02", milk=20, tea=3),
    }


def ask(api: Api, lines: list[tuple[str, object]], who: str = "viewer", **more: object) -> dict[str, Any]:
    body = {"lines": [{"item_id": item, "quantity": quantity} for item, quantity in lines], **more}
    answer = api.call(who, "POST", PATH, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def of(answer: dict[str, Any], location_id: str) -> dict[str, Any]:
    return next(each for each in answer["items"] if each["location_id"] == location_id)


def test_enough_of_every_line(api: Api, logs: dict[str, BranchLog]) -> None:
    del logs
    answer = ask(api, [("milk", 2), ("tea", "4.5")])
    assert (answer["choice"], [each["location_id"] for each in answer["items"]]) == (
        "BEY-01",
        ["BEY-01", "BEY-02", "WH-1"],
    )
    short = of(answer, "BEY-02")
    assert (short["serves"], short["unfit"]) == (False, [])
    assert short["short"] == [{"item_id": "tea", "unit": "l", "asked": 4.5, "available": 3}]
    assert of(answer, "WH-1")["unfit"] == ["silent"]
    assert of(answer, "BEY-01")["freshness"]["verdict"] == "OK"
    # Lines of one item are one, whatever it is called.
    assert ask(api, [("milk", 6), ("4006381333931", 5)])["choice"] == "BEY-02"
    assert ask(api, [("milk", 21)])["choice"] is None


def test_the_preferred_one_that_can(api: Api, logs: dict[str, BranchLog]) -> None:
    del logs
    assert ask(api, [("milk", 1)])["choice"] == "BEY-02"
    assert ask(api, [("milk", 1)], prefer=["WH-1", "BEY-01", "BEY-02"])["choice"] == "BEY-01"
    assert ask(api, [("milk", 11)], prefer=["WH-1", "BEY-01"])["choice"] == "BEY-02"


def test_what_is_reserved_is_not_available_until_it_expires(
    api: Api, logs: dict[str, BranchLog], office: Engine
) -> None:
    log, now = logs["BEY-01"], SystemClock().now()
    log.record("STOCK_RESERVED", reservation_id="r", quantity=8_000, expires_at=now + HOUR)
    log.record("STOCK_RESERVED", reservation_id="s", quantity=1_000, expires_at=now - HOUR)
    log.ship_now(office)
    answer = ask(api, [("milk", 3)], prefer=["BEY-01"])
    assert of(answer, "BEY-01")["short"] == [{"item_id": "milk", "unit": "l", "asked": 3, "available": 2}]
    assert answer["choice"] == "BEY-02"


def test_a_branch_that_is_not_heard_of_or_has_more_to_tell_is_never_promised(
    api: Api, logs: dict[str, BranchLog], office: Engine
) -> None:
    head = logs["BEY-02"].head
    call(office, "BEY-02", head.sequence + 1, bytes(32))
    answer = ask(api, [("milk", 12)])
    assert (answer["choice"], of(answer, "BEY-02")["unfit"], of(answer, "BEY-02")["short"]) == (None, ["behind"], [])
    call(office, "BEY-02", head.sequence, bytes(32))
    assert of(ask(api, [("milk", 12)]), "BEY-02")["unfit"] == ["verdict"]
    call(office, "BEY-02", head.sequence, head.hash)
    assert ask(api, [("milk", 12)])["choice"] == "BEY-02"
    with office.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE contact SET contacted_at = contacted_at - 121000000; UPDATE head SET received_at = 1"
        )
    answer = ask(api, [("milk", 1)])
    assert (answer["choice"], {each["unfit"][0] for each in answer["items"]}) == (None, {"silent"})


def test_an_event_in_quarantine_stands_against_its_location(api: Api, office: Engine, logs: dict[str, Any]) -> None:
    del logs
    branch = Branch("WH-1").record([an_event("PURCHASE_RECEIVED", quantity=90_000)]).scrawl([b"?"])
    branch.ship(office)
    call(office, "WH-1", 2, branch.hashes[2])
    answer = ask(api, [("milk", 50)])
    assert (answer["choice"], of(answer, "WH-1")["unfit"], of(answer, "WH-1")["short"]) == (None, ["quarantined"], [])


def test_codes_of_one_item_are_summed_and_another_unit_is_not(api: Api, office: Engine, logs: dict[str, Any]) -> None:
    log = logs["BEY-01"]
    log.record("PURCHASE_RECEIVED", item_id="lait", quantity=15_000)
    log.ship_now(office)
    with office.begin() as connection:
        item_proposals.map_to(connection, "BEY-01", "lait", "milk")
    assert ask(api, [("milk", 25)])["choice"] == "BEY-01"
    assert ask(api, [("lait", 25)])["choice"] == "BEY-01"
    with office.begin() as connection:
        connection.exec_driver_sql("DELETE FROM item_alias")
        connection.exec_driver_sql("INSERT INTO item_alias VALUES ('BEY-01', 'thé', 'milk')")
    log.record("PURCHASE_RECEIVED", item_id="thé", unit="kg", quantity=15_000)
    log.ship_now(office)
    answer = ask(api, [("milk", 1)], prefer=["BEY-01"])
    assert (answer["choice"], of(answer, "BEY-01")["unfit"]) == ("BEY-02", ["units"])
    # An item that only a branch knows.
    assert of(ask(api, [("lait", 15)]), "BEY-01")["serves"]


def test_a_key_of_one_location_asks_for_that_one(api: Api, logs: dict[str, BranchLog]) -> None:
    del logs
    answer = ask(api, [("milk", 1)], who="viewer of BEY-01")
    assert [each["location_id"] for each in answer["items"]] == ["BEY-01"]
    body = {"lines": [{"item_id": "milk", "quantity": 1}], "prefer": ["BEY-02"]}
    assert api.call("viewer of BEY-01", "POST", PATH, body).json()["code"] == "wrong-location"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-request"),
        ({"lines": []}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 0}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": "1.2345"}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 1}], "prefer": ["NO"]}, 422, "unknown-location"),
        ({"lines": [{"item_id": "milk", "quantity": 1}], "prefer": "BEY-01"}, 422, "invalid-request"),
        ({"lines": [{"item_id": "mylk", "quantity": 1}]}, 422, "unknown-item"),
        (b"[", 400, "malformed-json"),
    ],
)
def test_what_is_refused(api: Api, logs: dict[str, BranchLog], body: Any, status: int, code: str) -> None:
    del logs
    answer = api.call("viewer", "POST", PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_name_of_several_items_names_none(api: Api, logs: dict[str, BranchLog], office: Engine) -> None:
    del logs
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="cream", name="Cream", unit="l", barcode="4006381333931")])
    body = {"lines": [{"item_id": "4006381333931", "quantity": 1}]}
    refused = api.call("viewer", "POST", PATH, body).json()
    assert (refused["code"], refused["nearest"]) == ("unknown-item", ["cream", "milk"])
