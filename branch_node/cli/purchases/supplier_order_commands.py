"""`larder branch purchase-orders list` and `show`: the orders to suppliers that were pulled."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from branch_node.cli.item_completion import complete_item
from branch_node.cli.node_client import Directory, node_at, node_command
from branch_node.cli.purchases.supplier_order_output import PurchaseOrderId, order_path, print_order
from shared.runtime.cli.arguments import one_of
from shared.runtime.cli.output import AsJson, print_json, print_next, print_table
from shared.runtime.cli.service_app import command_group
from shared.runtime.cli.service_client import read_items

purchase_orders_app: Final = command_group(
    "Orders to suppliers for this branch, as head office stated them last: list them, show one."
)

STATES: Final = ("OPEN", "RECEIVED", "CLOSED")
_COLUMNS: Final = ("order", "supplier", "state", "due", "lines#", "open#")


@purchase_orders_app.command("list")
def list_orders(
    *,
    state: Annotated[str | None, typer.Option(help=", ".join(STATES))] = None,
    supplier: Annotated[str | None, typer.Option(help="To this supplier.")] = None,
    item: Annotated[str | None, typer.Option(help="That name this item.", autocompletion=complete_item)] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """List the orders by their ids, with how many of their lines are open."""
    wanted = {"supplier_id": supplier, "item_id": item}
    wanted["state"] = None if state is None else one_of(state.upper(), STATES, "--state")
    with node_at(directory) as node:
        given = {name: value for name, value in wanted.items() if value is not None}
        found = list(read_items(node, "/v1/purchase-orders", **given))
    if as_json:
        print_json({"items": found, "next": None})
        return
    rows = [
        (
            each["purchase_order_id"],
            each["supplier_id"],
            each["state"],
            each["due"],
            len(each["lines"]),
            sum(line["open"] > 0 for line in each["lines"]),
        )
        for each in found
    ]
    empty = "There is no such order. 'larder branch sync' pulls what head office has."
    print_table("Orders to suppliers", _COLUMNS, rows, empty=empty)


@purchase_orders_app.command()
def show(order: PurchaseOrderId, *, directory: Directory = None, as_json: AsJson = False) -> None:
    """Show one order, line by line, with what was delivered of it."""
    with node_at(directory) as node:
        found = node.get(order_path(order))
    if as_json:
        print_json(found)
        return
    print_order(found)
    if any(line["open"] for line in found["lines"]):
        print_next(node_command(directory, "receive", order, "--all"))
