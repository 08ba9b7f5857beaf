"""`larder branch levels`: at which stock an item is to be reordered here, and how much."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from branch_node.cli.item_completion import complete_item
from branch_node.cli.node_client import Directory, node_at
from shared.levels.reorder_levels import MAX_LEAD_DAYS
from shared.runtime.cli.arguments import figure
from shared.runtime.cli.output import AsJson, print_json, print_table, print_text
from shared.runtime.cli.service_client import read_items

levels_app: Final = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Reorder levels here: list all, set or remove those of this branch's own.",
)

_Item = Annotated[str, typer.Argument(metavar="ITEM", autocompletion=complete_item)]
_COLUMNS: Final = ("item", "reorder at#", "up to#", "by#", "pack of#", "supplier", "days#", "set by")
_FIELDS: Final = ("item_id", "reorder_point", "order_up_to", "order_quantity", "pack_size", "supplier_id", "lead_days")


@levels_app.command("list")
def list_levels(directory: Directory = None, as_json: AsJson = False) -> None:
    """The reorder levels that act here: head office's, and those set here for items of which it has none."""
    with node_at(directory) as node:
        found = list(read_items(node, "/v1/reorder-levels"))
    if as_json:
        print_json({"items": found})
        return
    rows = [(*map(each.get, _FIELDS), "branch" if each["set_here"] else "head office") for each in found]
    print_table(
        "", _COLUMNS, rows,
        empty="No reorder levels yet: they come from head office, or set one with 'larder branch levels set'.",
    )  # fmt: skip


@levels_app.command("set")
def set_level(
    item: _Item,
    *,
    point: Annotated[
        str,
        typer.Option("--reorder-point", metavar="QUANTITY", help="Reorder at this stock or below, in the base unit."),
    ],
    up_to: Annotated[
        str | None,
        typer.Option("--order-up-to", metavar="QUANTITY", help="Up to which stock; above the reorder point."),
    ] = None,
    quantity: Annotated[
        str | None,
        typer.Option("--order-quantity", metavar="QUANTITY", help="Or: by this quantity, or a multiple of it."),
    ] = None,
    pack_size: Annotated[
        str | None, typer.Option("--pack-size", metavar="QUANTITY", help="Only whole packs of this size.")
    ] = None,
    supplier_id: Annotated[str | None, typer.Option("--supplier", help="The code of the supplier.")] = None,
    lead_days: Annotated[
        int | None,
        typer.Option("--lead-days", min=0, max=MAX_LEAD_DAYS, help="Days from the order to the delivery."),
    ] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Set this branch's own reorder level of an item. Refused where head office has one for it."""
    figures = {
        "reorder_point": figure(point, "--reorder-point"),
        "order_up_to": None if up_to is None else figure(up_to, "--order-up-to"),
        "order_quantity": None if quantity is None else figure(quantity, "--order-quantity"),
        "pack_size": None if pack_size is None else figure(pack_size, "--pack-size"),
    }
    given = {**figures, "supplier_id": supplier_id, "lead_days": lead_days}
    body = {name: value for name, value in given.items() if value is not None}
    with node_at(directory) as node:
        answer: Any = node.put(_address(item), body, tries=3)
    if as_json:
        print_json(answer)
        return
    how = f"up to {answer['order_up_to']}" if "order_up_to" in answer else f"by {answer['order_quantity']}"
    print_text(f"{answer['item_id']} is reordered at {answer['reorder_point']}, {how}.")


@levels_app.command("remove")
def remove_level(item: _Item, *, directory: Directory = None, as_json: AsJson = False) -> None:
    """Remove this branch's own reorder level of an item."""
    with node_at(directory) as node:
        node.request("DELETE", _address(item), tries=3)
    if as_json:
        print_json({"item_id": item, "reorder_point": None})
    else:
        print_text(f"{item} has no reorder level.")


def _address(item: str) -> str:
    return f"/v1/reorder-levels/{quote(item, safe='')}"
