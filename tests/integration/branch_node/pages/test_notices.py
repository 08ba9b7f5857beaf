"""What the branch's page says of what was just recorded or voided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from branch_node.model import Item
from branch_node.pages.recorded_notice import MOST_TOUCHED
from shared.runtime.http.scopes import Role
from tests.support.branch import PutItems
from tests.support.branch_person import Person, somebody

ITEMS = (
    Item(item_id="milk", name="Whole milk", unit="l"),
    Item(item_id="beans", name="Coffee beans", unit="kg"),
    Item(item_id="cup", name="Cup", unit="pcs"),
    *(Item(item_id=f"i{number:02}", name=f"Item {number:02}", unit="kg") for number in range(70)),
)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with somebody(tmp_path, ITEMS) as found:
        found.sign_in()
        yield found


def post(person: Person, path: str, body: dict[str, Any]) -> Any:
    answer = person.client.post(path, json=body, headers={"Authorization": f"Bearer {person.keys[Role.MANAGER]}"})
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def order(person: Person, *items: str) -> str:
    """Record an order of 2 of each; the address on which its first line is voided."""
    lines = [{"item_id": item, "quantity": 2} for item in items]
    recorded = post(person, "/v1/orders", {"order_id": f"o-{person.events()}", "lines": lines})["recorded"]
    return f"/void/{recorded[0]['event_id']}"


def test_a_whole_order_voided_tells_what_stands_of_every_item(person: Person) -> None:
    for item, quantity in (("milk", 10), ("beans", 7), ("cup", 1)):
        post(person, "/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": item, "quantity": quantity})
    action = order(person, "milk", "beans", "cup")
    post(person, "/v1/events", {"type": "ORDER_DEDUCTION", "item_id": "cup", "quantity": 3})
    person.open(action)
    said = person.send(action, reason="mistake").text
    assert "On hand now: 10 l." in said
    assert "On hand now of the other items: Coffee beans: 7 kg Cup: −2 pcs" in said
    assert "Cup: −2 pcs below zero" in said
    action = order(person, "milk", "beans")
    person.open(action)
    said = person.send(action, reason="mistake", scope="one").text
    assert "On hand now: 10 l." in said
    assert "other items" not in said, "the beans of it are left as they were"


def test_a_long_order_voided_tells_of_the_first_items_and_how_many_more(person: Person) -> None:
    action = order(person, "milk", *(f"i{number:02}" for number in range(70)))
    person.open(action)
    said = person.send(action, reason="mistake").text
    last = f"Item {MOST_TOUCHED - 1:02}"
    assert f"{last}: 0 kg and of {70 - MOST_TOUCHED} more: Stock" in said
    assert f"of {last} and {70 - MOST_TOUCHED} more, which the log has" in said


def test_items_of_several_codes_are_told_once(person: Person) -> None:
    person.node.writer.submit(PutItems((Item(item_id="cup", name="Tasse", unit="kg", stands_for="beans"),))).result(10)
    post(person, "/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "cup", "quantity": 3})
    action = order(person, "milk", "beans", "cup")
    person.open(action)
    said = person.send(action, reason="mistake").text
    assert said.count("Coffee beans: 3 kg") == 1


def test_a_count_says_what_it_left_under_the_items_other_codes(person: Person) -> None:
    post(person, "/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "cup", "quantity": 3})
    assert "a count is of one code" not in person.record("count", item="beans", quantity="4").text
    counted = person.last.url.path + "?" + person.last.url.query.decode()
    person.node.writer.submit(PutItems((Item(item_id="cup", name="Tasse", unit="kg", stands_for="beans"),))).result(10)
    said = person.open(counted).text
    assert "On hand now: 7 kg." in said
    assert "Under its code cup stand 3 kg: a count is of one code, and leaves what stands under others." in said
    post(person, "/v1/events", {"type": "INTERNAL_USE", "item_id": "cup", "quantity": 3})
    assert "a count is of one code" not in person.open(counted).text
