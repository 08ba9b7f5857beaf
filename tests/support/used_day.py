"""A day of two branches for reports: sales of dishes and orders, waste, counts, refused orders."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from shared.events import Reference
from tests.support.branch_log import BranchLog
from tests.support.events import MINUTE, NOON


def a_used_day(office: Engine) -> None:
    """Ship the day; it began at NOON of 2026-01-01 and took an hour."""
    one, two = BranchLog("BEY-01"), BranchLog("BEY-02")

    def of_order(order: str, product: str | None = None) -> Reference:
        return Reference(kind="order", id=order, product=product, revision=1)

    one.record("PURCHASE_RECEIVED", quantity=20_000, occurred_at=NOON)
    for number, product in enumerate(("latte", "=cappuccino", "latte"), start=1):
        sale: dict[str, Any] = {"reference": of_order(f"47{number}", product), "source": "till"}
        one.record("ORDER_DEDUCTION", quantity=250 * number, occurred_at=NOON + number * MINUTE, **sale)
    one.record("WASTE_RECORDED", quantity=500, reason="spoiled", occurred_at=NOON + 4 * MINUTE)
    one.record("INTERNAL_USE", quantity=125, occurred_at=NOON + 5 * MINUTE)
    one.record("CUSTOMER_RETURN", quantity=250, reference=of_order("471"), source="till", occurred_at=NOON + 6 * MINUTE)
    one.record("STOCKTAKE", counted=17_000, expected=18_125, occurred_at=NOON + 10 * MINUTE)
    one.record("STOCKTAKE", item_id="tea", unit="kg", counted=1_500, expected=0, occurred_at=NOON + 11 * MINUTE)
    refused: dict[str, Any] = {"reason": "unavailable", "source": "web"}
    for number in (1, 2):
        asked = {"reservation_id": f"r-{number}", "reference": of_order(f"-{number}"), "quantity": 20_000 * number}
        one.record("RESERVATION_REFUSED", occurred_at=NOON + (20 + number) * MINUTE, **asked, **refused)
    two.record("PRODUCTION_USED", item_id="tea", unit="kg", quantity=3_000, occurred_at=NOON + MINUTE)
    two.record("TRANSFER_OUT", quantity=2_000, transfer_id="t-1", transfer_line=1, occurred_at=NOON + 2 * MINUTE)
    two.record("STOCKTAKE", counted=500, expected=-2_000, occurred_at=NOON + 30 * MINUTE)
    for log in (one, two):
        log.ship_now(office)
