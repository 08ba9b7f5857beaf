"""`larder head-office levels`: at which stock an item is to be reordered at a location."""

from __future__ import annotations

from typing import Annotated

import typer

from head_office.catalogue import items, locations
from head_office.cli.office_completion import complete_item, complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, read_all, transaction
from shared.events import BadQuantity, parse_quantity, quantity_json, quantity_text
from shared.messages import ReorderLevel
from shared.runtime.cli.arguments import figure
from shared.runtime.cli.output import AsJson, print_json, print_table, print_text

levels_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Reorder levels of the locations: list, set, remove."
)

_Location = Annotated[str, typer.Argument(metavar="LOCATION", autocompletion=complete_location)]
_Item = Annotated[str, typer.Argument(metavar="ITEM", autocompletion=complete_item)]


@levels_app.command("list")
def list_levels(
    location_id: _Location, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """The reorder levels of a location."""
    with transaction(folder, database_url) as connection:
        locations.read(connection, location_id)
        found: list[ReorderLevel] = read_all(
            lambda after: items.reorder_levels(connection, location_id, after), lambda each: each.item_id, ""
        )
    if as_json:
        print_json({"items": [_record(each) for each in found], "next": None})
        return
    rows = [
        (each.item_id, quantity_text(each.level), quantity_text(each.target))
        for each in found
        if each.level or each.target
    ]
    print_table(f"Reorder levels of {location_id}", ("item", "reorder at#", "up to#"), rows)


@levels_app.command("set")
def set_level(
    location_id: _Location,
    item_id: _Item,
    *,
    level: Annotated[str, typer.Option(metavar="QUANTITY", help="Reorder at this stock or below, in the base unit.")],
    target: Annotated[str, typer.Option(metavar="QUANTITY", help="Up to which stock; at least the level.")],
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Set the reorder level of an item at a location. Its branch receives it at its next contact."""
    wanted = ReorderLevel(
        location_id=location_id,
        item_id=item_id,
        level=_quantity("--level", level),
        target=_quantity("--target", target),
    )
    with transaction(folder, database_url) as connection:
        items.put_reorder_levels(connection, [wanted])
    if as_json:
        print_json(_record(wanted))
    else:
        at, up_to = quantity_text(wanted.level), quantity_text(wanted.target)
        print_text(f"{location_id}: {item_id} is reordered at {at}, up to {up_to}.")


@levels_app.command("remove")
def remove_level(
    location_id: _Location,
    item_id: _Item,
    *,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Remove the reorder level of an item at a location."""
    none = ReorderLevel(location_id=location_id, item_id=item_id, level=0, target=0)
    with transaction(folder, database_url) as connection:
        items.put_reorder_levels(connection, [none])
    if as_json:
        print_json(_record(none))
    else:
        print_text(f"{location_id}: {item_id} has no reorder level.")


def _record(each: ReorderLevel) -> dict[str, object]:
    return {
        "location_id": each.location_id,
        "item_id": each.item_id,
        "level": quantity_json(each.level),
        "target": quantity_json(each.target),
    }


def _quantity(option: str, text: str) -> int:
    try:
        return parse_quantity(figure(text, option))
    except BadQuantity as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
