"""A reservation that was refused, which the log has, as the problem that its caller is answered."""

from __future__ import annotations

from decimal import Decimal

from branch_node.commands.reservations.reservation_commands import Refusal
from branch_node.problems import INVENTORY_UNAVAILABLE
from shared.events import quantity_text
from shared.reservations import Reservation
from shared.runtime.problems import Recorded


def unless_refused(answer: Reservation | Refusal) -> Reservation:
    """The reservation that was made. Raises 409 `inventory-unavailable` where it was refused."""
    if isinstance(answer, Reservation):
        return answer
    lines = [
        f"{quantity_text(each.asked)} {each.unit} of {each.item_id} asked, {quantity_text(each.available)} available"
        for each in answer.short
    ]
    raise INVENTORY_UNAVAILABLE(
        "; ".join(lines),
        recorded=Recorded.YES,
        short=[
            {
                "item_id": each.item_id,
                "unit": each.unit,
                "asked": Decimal(quantity_text(each.asked)),
                "available": Decimal(quantity_text(each.available)),
            }
            for each in answer.short
        ],
    )
