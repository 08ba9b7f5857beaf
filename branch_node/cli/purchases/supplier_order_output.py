"""What the commands of orders to suppliers share: how an order is named, and how it is printed."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape

from branch_node.cli.item_completion import complete_purchase_order
from shared.runtime.cli.output import number, print_line, print_table

PurchaseOrderId = Annotated[
    str, typer.Argument(metavar="ORDER", help="Such as PO-000042.", autocompletion=complete_purchase_order)
]

_COLUMNS = ("line#", "item", "ordered#", "received#", "open#", "over#", "returned#", "unit", "cost#", "")


def order_path(purchase_order_id: str) -> str:
    """The address of an order at the node."""
    return f"/v1/purchase-orders/{quote(purchase_order_id, safe='')}"


def print_order(order: dict[str, Any]) -> None:
    """An order, line by line."""
    due = "" if order["due"] is None else f", due {order['due']}"
    print_line(
        f"Order [bold]{escape(order['purchase_order_id'])}[/] to {escape(order['supplier_id'])}: "
        f"[bold]{order['state']}[/]{due}"
    )
    for text in (order["note"], order["close_reason"] and f"Closed: {order['close_reason']}"):
        if text:
            print_line(f"[dim]{escape(text)}[/]")
    rows = [
        (
            line["line"],
            line["item_id"],
            number(line["quantity"]),
            number(line["received"]),
            number(line["open"]),
            # Of most orders there is none: the column is left out.
            number(line["over"]) if line["over"] else None,
            number(line["returned"]) if line["returned"] else None,
            line["unit"],
            None if line["cost"] is None else f"{line['cost']['amount']} {line['cost']['currency']}",
            "closed" if line["closed"] else None,
        )
        for line in order["lines"]
    ]
    print_table("", _COLUMNS, rows)
