"""The open instructions of a branch for orders, as its long poll reads them.

Open is what its log has not answered under the instruction's key. Works inside the transaction of the Connection given.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from shared.orders.order_instructions import OrderInstruction

# One statement, so one moment: numbers are committed in order, so none up to the last one can still appear.
_PAGE: Final = text(
    """
    SELECT order_instruction_head.number AS last, wanted.number, wanted.body
    FROM order_instruction_head LEFT JOIN LATERAL (
        SELECT number, body FROM order_instruction AS asked
        WHERE asked.location_id = order_instruction_head.location_id AND asked.number > :after
            AND asked.number <= order_instruction_head.number AND asked.answer IS NULL
            AND NOT EXISTS (
                SELECT FROM order_answer
                WHERE order_answer.location_id = asked.location_id AND order_answer.command_key = asked.command_key
            )
        ORDER BY number LIMIT :limit
    ) AS wanted ON true
    WHERE order_instruction_head.location_id = :location_id
    ORDER BY wanted.number
    """
)
_decode: Final = msgspec.json.Decoder(OrderInstruction).decode


class OrderInstructionPage(NamedTuple):
    """Open instructions in the order of their numbers, and the cursor behind them."""

    orders: list[OrderInstruction]
    next: int


def open_order_instructions(connection: Connection, location_id: str, after: int, limit: int) -> OrderInstructionPage:
    """The open instructions of a location with numbers above `after`, at most `limit`.

    `next` skips answered ones; it is below `after` where head office was restored and has given fewer numbers.
    """
    rows = connection.execute(_PAGE, {"location_id": location_id, "after": after, "limit": limit}).all()
    if not rows:
        return OrderInstructionPage([], 0)
    found = [msgspec.structs.replace(_decode(row.body), number=row.number) for row in rows if row.number is not None]
    return OrderInstructionPage(found, found[-1].number if len(found) == limit else rows[0].last)
