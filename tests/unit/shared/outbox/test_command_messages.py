"""The messages of single commands: exact bytes, and what the table of the contract says of each type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.events import Event, EventType, LowStock, Parent, Reference
from shared.outbox.command_messages import TYPES_OF
from shared.outbox.message_records import DATA_OF, MEANING, MessageType
from tests.support.events import MINUTE, NOON, an_event, seal_all
from tests.support.published import MemoryLog, in_commands, read_all, reader_of

GOLDEN = (
    b'{"specversion":"1.0","id":"01900000-0000-7000-8000-000000000002-0","source":"/locations/BEY-01",'
    b'"type":"larder.StockRemoved","subject":"tomato","time":"2026-01-01T12:00:00Z","datacontenttype":"application/json",'
    b'"cursor":"00000001-0000000000000002-000","data":{"location_id":"BEY-01","business_date":"2026-01-01",'
    b'"recorded_at":"2026-01-01T12:00:00Z","source":"till","reference":{"kind":"order","id":"4711"},'
    b'"lines":[{"event_id":"01900000-0000-7000-8000-000000000002","event_type":"ORDER_DEDUCTION","item_id":"tomato",'
    b'"unit":"kg","quantity":1.5,"on_hand":9,"reserved":0,"available":9}]}}'
)


def published(*commands: list[Event]) -> list[dict[str, Any]]:
    """The messages of the last of these commands, which follow each other in a log."""
    events: list[Event] = []
    for command in commands:
        events += in_commands(command, [len(command)])
    log = MemoryLog(seal_all(events))
    first = log.head.sequence - len(commands[-1]) + 1
    return [json.loads(each.body) for each in read_all(reader_of(log)) if each.cursor.sequence >= first]


def delivery(quantity: int, seed: int = 1, **fields: Any) -> Event:
    return an_event("PURCHASE_RECEIVED", seed=seed, quantity=quantity, **fields)


def test_the_exact_bytes() -> None:
    paper = Reference(id="4711", kind="order", line=3, product="salad")
    sale = an_event(seed=2, item_id="tomato", unit="kg", quantity=1_500, source="till", reference=paper)
    log = MemoryLog(seal_all([delivery(10_500, item_id="tomato", unit="kg"), sale]))
    assert read_all(reader_of(log))[1].body == GOLDEN


def test_every_type_has_data_and_a_meaning_and_is_published() -> None:
    assert set(DATA_OF) == set(MEANING) == set(MessageType)
    assert frozenset().union(*TYPES_OF.values()) == set(MessageType) - {MessageType.LOW_STOCK_DETECTED}
    silent = {EventType.ORDER_CANCELLED, EventType.EVENT_REVIEWED, EventType.ITEM_DEFINED}
    assert set(EventType) - TYPES_OF.keys() == silent


def test_what_is_late_says_nothing_and_a_count_says_what_it_changed() -> None:
    count = an_event("STOCKTAKE", seed=2, counted=7_000, expected=0, occurred_at=NOON + MINUTE)
    (counted,) = published([delivery(10_000)], [count])
    assert (counted["type"], counted["data"]["lines"][0]["quantity"]) == ("larder.StockRemoved", 3)
    late = an_event(seed=3, quantity=2_000, occurred_at=NOON + 1)
    assert published([delivery(10_000)], [count], [late]) == []
    void = an_event("EVENT_VOIDED", seed=4, reason="mistake", voided_event_id=count.event_id, voided_sequence=2)
    (voided,) = published([delivery(10_000)], [count], [late], [void])
    # On hand is what the delivery and the late sale make of it.
    assert (voided["type"], voided["data"]["lines"][0]["quantity"]) == ("larder.StockAdded", 1)
    assert (voided["data"]["lines"][0]["on_hand"], voided["data"]["lines"][0]["unit"]) == (8, "l")


def test_a_changed_order_adds_what_is_voided_and_removes_what_is_sold_now() -> None:
    paper = Reference(id="4711", kind="order", revision=2)
    first = an_event(seed=2, quantity=2_000, reference=Reference(id="4711", kind="order"))
    void = an_event("EVENT_VOIDED", seed=3, reason="revised", voided_event_id=first.event_id, voided_sequence=2)
    again = an_event(seed=4, quantity=3_000, reference=paper)
    added, removed = published([delivery(10_000)], [first], [void, again])
    assert [added["type"], removed["type"]] == ["larder.StockAdded", "larder.StockRemoved"]
    assert [added["id"], removed["id"]] == [f"{again.event_id}-0", f"{again.event_id}-1"]
    assert [added["data"]["lines"][0][name] for name in ("quantity", "on_hand")] == [2, 7]
    assert [removed["data"]["lines"][0][name] for name in ("quantity", "on_hand")] == [3, 7]
    # A void is about the paper of what it voids.
    assert added["data"]["reference"] == {"kind": "order", "id": "4711"}
    assert removed["data"]["reference"] == {"kind": "order", "id": "4711", "revision": 2}


def test_a_message_of_several_items_has_no_subject() -> None:
    (removed,) = published([an_event(seed=1), an_event(seed=2, item_id="bread")])
    assert "subject" not in removed
    assert [line["item_id"] for line in removed["data"]["lines"]] == ["milk", "bread"]
    assert "reference" not in removed["data"]


ORDER = Reference(id="4711", kind="order", revision=3)
HELD = {"reservation_id": "r-1", "reference": ORDER}


def reserving(quantity: int, seed: int) -> Event:
    return an_event("STOCK_RESERVED", seed=seed, quantity=quantity, expires_at=NOON + MINUTE, **HELD)


def test_a_reservation_and_its_ends() -> None:
    (reserved,) = published([delivery(10_000)], [reserving(4_000, 2)])
    assert (reserved["type"], reserved["subject"]) == ("larder.InventoryReserved", "r-1")
    data = reserved["data"]
    assert (data["reservation_id"], data["order_id"], data["revision"]) == ("r-1", "4711", 3)
    assert data["expires_at"] == "2026-01-01T12:01:00Z"
    figures = ("quantity", "on_hand", "reserved", "available")
    assert [data["lines"][0][name] for name in figures] == [4, 10, 4, 6]
    confirmed = an_event("RESERVATION_CONFIRMED", seed=3, quantity=3_000, **HELD)
    released = an_event("RESERVATION_RELEASED", seed=4, quantity=1_000, reason="rest", **HELD)
    one, other = published([delivery(10_000)], [reserving(4_000, 2)], [confirmed, released])
    assert [one["type"], other["type"]] == ["larder.ReservationConfirmed", "larder.ReservationReleased"]
    assert [one["data"]["lines"][0][name] for name in figures] == [3, 7, 0, 7]
    assert [other["data"]["lines"][0][name] for name in figures] == [1, 7, 0, 7]
    assert ("reason" in one["data"], other["data"]["reason"], other["data"]["order_id"]) == (False, "rest", "4711")
    expired = an_event("RESERVATION_EXPIRED", seed=3, quantity=4_000, **HELD)
    (ended,) = published([delivery(10_000)], [reserving(4_000, 2)], [expired])
    assert (ended["type"], ended["data"]["lines"][0]["available"]) == ("larder.ReservationExpired", 10)


def test_a_reservation_stated_anew_in_the_order_of_the_table() -> None:
    restated = an_event("RESERVATION_RELEASED", seed=3, quantity=4_000, reason="restated", **HELD)
    reserved, released = published([delivery(10_000)], [reserving(4_000, 2)], [restated, reserving(6_000, 4)])
    assert [reserved["type"], released["type"]] == ["larder.InventoryReserved", "larder.ReservationReleased"]
    assert (reserved["data"]["lines"][0]["quantity"], reserved["data"]["lines"][0]["reserved"]) == (6, 6)
    assert released["data"]["reason"] == "restated"


def test_what_could_not_be_reserved() -> None:
    refused = [
        an_event("RESERVATION_REFUSED", seed=seed, quantity=12_000, reason="unavailable", item_id=item, **HELD)
        for seed, item in ((3, "milk"), (4, "bread"))
    ]
    (message,) = published([delivery(10_000)], [reserving(4_000, 2)], refused)
    assert (message["type"], message["subject"]) == ("larder.InventoryUnavailable", "r-1")
    assert message["data"]["lines"] == [
        {"item_id": "milk", "unit": "l", "asked": 12, "available": 6},
        {"item_id": "bread", "unit": "l", "asked": 12, "available": 0},
    ]


def test_what_was_refused_whatever_was_available_is_no_message() -> None:
    for reason in ("superseded", "order-superseded", "strict-item-below-zero", "too-many-reservations"):
        refused = an_event("RESERVATION_REFUSED", seed=3, quantity=2_000, reason=reason, **HELD)
        assert published([delivery(10_000)], [refused]) == []


def test_transfers() -> None:
    moved = {"transfer_id": "t-1", "transfer_line": 1}
    out = an_event("TRANSFER_OUT", seed=2, quantity=4_000, occurred_at=NOON, **moved)
    # Before a count it moves nothing now, and is told all the same: it has left.
    count = an_event("STOCKTAKE", seed=3, counted=5_000, expected=0, occurred_at=NOON + MINUTE)
    (sent,) = published([count], [out])
    assert (sent["type"], sent["subject"], sent["data"]["transfer_id"]) == ("larder.TransferSent", "t-1", "t-1")
    assert [sent["data"]["lines"][0][name] for name in ("quantity", "on_hand")] == [4, 5]
    arrived = an_event("TRANSFER_IN", seed=3, quantity=3_000, **moved)
    lost = an_event("TRANSFER_LOST", seed=4, quantity=1_000, reason="short", **moved)
    over = an_event("ADJUSTMENT", seed=5, quantity=500, reason="over-received", transfer_id="t-1")
    added, received = published([lost, arrived, over])
    assert [added["type"], received["type"]] == ["larder.StockAdded", "larder.TransferReceived"]
    assert added["data"]["transfer_id"] == "t-1"
    lines = [(line["event_type"], line["quantity"], line["lost"]) for line in received["data"]["lines"]]
    assert lines == [("TRANSFER_LOST", 0, 1), ("TRANSFER_IN", 3, 0)]
    refusal = an_event("TRANSFER_REFUSED", seed=2, reason="no-stock", transfer_id="t-1")
    (refused,) = published([refusal])
    assert (refused["type"], refused["subject"]) == ("larder.TransferEnded", "t-1")
    assert {name: refused["data"][name] for name in ("outcome", "reason", "lines")} == {
        "outcome": "refused", "reason": "no-stock", "lines": [],
    }  # fmt: skip
    back = an_event(
        "TRANSFER_REVERSED", seed=3, quantity=4_000, voided_event_id=out.event_id, voided_sequence=1, **moved
    )
    (reversed_,) = published([out], [back])
    assert reversed_["data"]["outcome"] == "reversed"
    assert [reversed_["data"]["lines"][0][name] for name in ("quantity", "on_hand")] == [4, 0]


def test_low_stock_is_told_with_the_figure_after_the_command() -> None:
    low = LowStock(reorder_point=8_000, reorder_quantity=12_500)
    removed, told = published([delivery(10_000)], [an_event(seed=2, quantity=3_000, low=low, v=3)])
    assert removed["type"] == "larder.StockRemoved"
    assert (told["type"], told["subject"]) == ("larder.LowStockDetected", "milk")
    (line,) = told["data"]["lines"]
    assert line == {
        "event_id": line["event_id"], "item_id": "milk", "unit": "l", "available": 7, "reorder_point": 8,
        "reorder_quantity": 12.5,
    }  # fmt: skip


def test_a_log_that_goes_on_in_another_epoch() -> None:
    opened = an_event("EPOCH_OPENED", seed=1, parent=Parent(epoch=1, hash="ab" * 32, sequence=0))
    (message,) = published([opened])
    assert message["type"] == "larder.LogContinued"
    assert (message["data"]["epoch"], message["data"]["parent"]) == (1, {"epoch": 1, "sequence": 0})


@pytest.mark.parametrize(("location_id", "source"), [("A B/C", "/locations/A%20B%2FC"), ("é", "/locations/%C3%A9")])
def test_the_source_is_a_uri_whatever_the_location_is_called(location_id: str, source: str) -> None:
    (message,) = published([an_event(location_id=location_id)])
    assert message["source"] == source
