"""An example of every body that a branch reads, as its documentation shows them; and what keys do at each route."""

from __future__ import annotations

from typing import Any, Final

EVENT: Final = {
    "type": "PURCHASE_RECEIVED",
    "item_id": "tomato",
    "quantity": "12.5",
    "reference": {"kind": "delivery", "id": "4711"},
    "cost": {"amount": "30.00", "currency": "USD"},
}
BATCH: Final = {
    "events": [
        {"key": "till-1:0001", "type": "ORDER_DEDUCTION", "item_id": "tomato", "quantity": 0.25},
        {"key": "till-1:0002", "type": "WASTE_RECORDED", "item_id": "tomato", "quantity": 0.1, "reason": "spoiled"},
    ]
}
ORDER: Final = {
    "order_id": "4711",
    "revision": 1,
    "source": "till",
    "lines": [
        {"item_id": "tomato", "quantity": 1.5, "product": "salad"},
        {"item_id": "bread", "quantity": 2, "product": "sandwich"},
    ],
}
CANCEL: Final = {"source": "till", "reason": "guest-left"}
COUNT: Final = {
    "count_id": "2026-11-28-evening",
    "lines": [{"item_id": "tomato", "counted": 9.25, "area": "kitchen"}, {"item_id": "bread", "counted": 14}],
}
VOID: Final = {"reason": "mistake", "whole": True, "note": "typed twice"}
REVIEW: Final = {"comment": "The scale was wrong that day."}
ITEM: Final = {"name": "Tomatoes", "unit": "kg", "category": "Vegetables", "strict": False}
LEVEL: Final = {"reorder_point": 5, "order_up_to": "12.5", "supplier_id": "farm-1", "pack_size": 2.5, "lead_days": 2}
RECEIVE: Final = {
    "lines": [
        {"line": 1, "quantity": 10, "cost": {"amount": "25.00", "currency": "USD"}, "lot": "L-2211"},
        {"line": 2, "quantity": "4.5", "expires_on": "2026-12-24"},
    ]
}
IMPORT: Final = {
    "source": "till-7",
    "file": "2026-11-28.csv",
    "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "known_by": "column id",
    "scope": "source",
}
IMPORT_ROWS: Final = {
    "events": [
        {
            "key": "import/till-7//id:4711",
            "type": "ORDER_DEDUCTION",
            "item_id": "tomato",
            "quantity": 0.25,
            "occurred_at": "2026-11-28T12:04:00+02:00",
            "source": "till-7",
        }
    ]
}
IMPORT_END: Final = {
    "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "end_line": 1022,
    "rows": 1020,
    "rejected": 2,
    "conflicting": 0,
}
IMPORT_UNDO: Final = {"reason": "wrong-map"}
RESERVATION: Final = {
    "order_id": "web-4711",
    "source": "shop",
    "lines": [{"item_id": "beans", "quantity": 2}, {"item_id": "cup", "quantity": 12}],
    "expires_in": 900,
}
CONFIRMATION: Final = {"lines": [{"item_id": "beans", "quantity": 1}], "rest": "keep"}
RELEASE: Final = {"reason": "cart-abandoned"}
ORDER_EVENT: Final = {
    "specversion": "1.0",
    "id": "evt-1001",
    "source": "https://shop.example/orders",
    "type": "com.shop.order.placed",
    "time": "2026-11-28T10:15:00Z",
    "data": {
        "order_id": "web-4711",
        "revision": 1,
        "lines": [{"item_id": "beans", "quantity": 2}, {"item_id": "5901234123457", "quantity": 12}],
    },
}
ORDER_EVENT_DATA: Final = {"order_id": "web-4711", "lines": [{"item_id": "beans", "quantity": 1}], "final": False}
CONFIRM: Final = {"now": "2026-11-28T18:30:00+02:00"}
REPAIR: Final = {"pass_over": 0}
ADJUST: Final = {"sku": "tomato", "change": -2, "reason": "SALE"}
KEY: Final = {"role": "staff", "label": "till 1"}
ROTATION: Final = {"overlap_seconds": 3600}

_ANEW: Final = "Without it the node makes a new key: the same request sent twice is recorded twice."


def key_header(without: str = _ANEW) -> dict[str, Any]:
    """The header `Idempotency-Key` as OpenAPI documents it; `without` says what a request without it does."""
    description = f"Made and kept before the first try: the same key and content have one effect, one answer. {without}"
    schema = {"type": "string", "minLength": 1, "maxLength": 200}
    header = {"name": "Idempotency-Key", "in": "header", "schema": schema, "description": description}
    return {"parameters": [header | {"example": "till-1:2026-11-28:0042"}]}


def if_match_header() -> dict[str, Any]:
    """The header `If-Match` as OpenAPI documents it."""
    description = (
        "ETags of the item's stock, as its GET, an adjustment or a 412 answered them, or *: the request is carried out "
        "only where the stock is still as it was. A request sent again under its key is answered as at first."
    )
    header = {"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": description}
    return {"parameters": [header]}


def headers(*documented: dict[str, Any]) -> dict[str, Any]:
    """Several headers of one route."""
    return {"parameters": [each for one in documented for each in one["parameters"]]}


OF_THE_ORDER: Final = (
    "Without it the key is made of source, order id and revision: the same order sent twice is recorded once, other "
    "lines under the same revision are refused; raise `revision` to change an order."
)
OF_THE_RESERVATION: Final = (
    "Without it the key is made of source, order id and revision: the same reservation stated twice is one, a refused "
    "one stays refused; a new try takes a key of its own."
)
OF_THE_CANCEL: Final = (
    "Without it the key is made of source and order id: the same cancel sent twice has one effect and one answer."
)
OF_THE_COUNT: Final = (
    "Without it the count is known by its count_id: the same figure of an area sent twice counts once, another one is "
    'refused unless the line says "replace": true.'
)
OF_THE_VOID: Final = "Without it the node makes a new key: a void sent twice is answered 409 `already-voided`."
OF_THE_ITEM: Final = "Without it the node makes a new key; the same definition sent twice changes nothing."
