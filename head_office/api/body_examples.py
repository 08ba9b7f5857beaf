"""An example of every body that head office reads, as its documentation shows them."""

from __future__ import annotations

from typing import Final

ITEM: Final = {"name": "Tomatoes", "unit": "kg", "category": "Vegetables", "strict_at": ["BEY-01"]}
LEVEL: Final = {"reorder_point": 5, "order_up_to": "12.5", "supplier_id": "farm-1", "pack_size": 2.5, "lead_days": 2}
SUPPLIER: Final = {"name": "Farm of the North", "email": "orders@farm.example", "lead_days": 2}
PURCHASE_ORDER: Final = {
    "location_id": "BEY-01",
    "supplier_id": "farm-1",
    "lines": [
        {"item_id": "tomato", "quantity": "12.5", "cost": {"amount": "30.00", "currency": "USD"}},
        {"item_id": "milk", "quantity": 24},
    ],
    "due": "2026-12-01",
    "note": "by the back door",
}
PURCHASE_ORDER_CHANGE: Final = {"due": "2026-12-03", "note": None}
PURCHASE_ORDER_CLOSING: Final = {"lines": [2], "reason": "out of season"}
ACCEPTED: Final = {"name": "Tomatoes"}
MAPPING: Final = {"item_id": "tomato"}
NEW_LOCATION: Final = {
    "location_id": "BEY-03",
    "name": "Beirut, Badaro",
    "timezone": "Asia/Beirut",
    "day_start": 240,
    "report_time": "06:30",
}
LOCATION: Final = {"name": "Beirut, Badaro", "timezone": "Asia/Beirut", "day_start": 240, "report_time": "06:00"}
KEY: Final = {"role": "staff", "location_id": "BEY-01", "label": "till 1"}
ROTATION: Final = {"overlap_seconds": 3600}
_HEAD: Final = {"epoch": 1, "sequence": 0, "hash": "0" * 64}
HELLO: Final = {
    "location_id": "BEY-01",
    "head": _HEAD,
    "acknowledged": _HEAD,
    "protocol": 1,
    "schema": 1,
    "software": "larder 0.1.0",
}
INSTRUCTION: Final = {
    "transfer_id": "t-4711",
    "step": "out",
    "token": 1,
    "location_id": "BEY-01",
    "source": "BEY-01",
    "destination": "BEY-02",
    "lines": [{"line": 1, "item_id": "tomato", "quantity": 2500, "unit": "kg"}],
}
INSTRUCTIONS: Final = {"instructions": [INSTRUCTION]}
AVAILABILITY: Final = {
    "lines": [{"item_id": "tomato", "quantity": "2.5"}, {"item_id": "4006381333931", "quantity": 1}],
    "prefer": ["BEY-02", "BEY-01"],
}
FACTS: Final = {"transfer_ids": ["t-4711"]}
ORDER_EVENT_DATA: Final = {"order_id": "4711", "lines": [{"item_id": "tomato", "quantity": 2}], "final": True}
ORDER_EVENT: Final = {
    "specversion": "1.0",
    "id": "01a2204d-beff-725a-8e8b-cba5acd2fa4f",
    "source": "https://shop.example/orders",
    "type": "com.shop.order.placed",
    "time": "2026-11-28T03:58:15Z",
    "data": {
        "order_id": "4711",
        "lines": [{"item_id": "tomato", "quantity": "2.5"}],
        "prefer": ["BEY-02", "BEY-01"],
    },
}
