"""Reads of a branch over its API."""

from __future__ import annotations

from branch_node.database.schema import ITEM
from tests.support.branch_api import Caller


def test_the_log_from_its_end_backwards(any_caller: Caller) -> None:
    for number in range(7):
        item = "milk" if number % 2 else "beans"
        any_caller.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": item, "quantity": 1})
    voided = any_caller.get("/v1/events", newest="true", limit=1).json()["items"][0]
    any_caller.post(f"/v1/events/{voided['event_id']}/void", {"reason": "mistake"})
    seen, after = [], None
    while True:
        params = {"after": after} if after else {}  # type: ignore[var-annotated]
        page = any_caller.get("/v1/events", newest="true", limit=3, **params).json()
        seen += [(event["sequence"], event.get("voided_by")) for event in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == [(8, None), (7, 8), *((sequence, None) for sequence in range(6, 0, -1))]
    milk = any_caller.get("/v1/events", newest="true", item_id="milk", type="PURCHASE_RECEIVED").json()["items"]
    assert [event["sequence"] for event in milk] == [6, 4, 2]


def test_the_catalogue_says_what_a_code_stands_for(any_caller: Caller) -> None:
    with any_caller.node.store.writing_engine().begin() as connection:
        connection.execute(ITEM.update().where(ITEM.c.item_id == "beans").values(stands_for="milk"))
    found = any_caller.get("/v1/items").json()["items"]
    assert {each["item_id"]: each.get("stands_for") for each in found} == {
        "beans": "milk", "cup": None, "gin": None, "milk": None,
    }  # fmt: skip


def test_the_events_of_an_item_are_those_of_all_its_codes(any_caller: Caller) -> None:
    for item in ("milk", "beans", "milk"):
        any_caller.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": item, "quantity": 1})
    with any_caller.node.store.writing_engine().begin() as connection:
        connection.execute(ITEM.update().where(ITEM.c.item_id == "beans").values(stands_for="milk"))
    for newest in ("true", "false"):
        for code in ("milk", "beans"):
            found = any_caller.get("/v1/events", item_id=code, newest=newest).json()["items"]
            assert sorted((each["sequence"], each["item_id"]) for each in found) == [
                (1, "milk"),
                (2, "beans"),
                (3, "milk"),
            ]
